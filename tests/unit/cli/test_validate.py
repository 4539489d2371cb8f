"""The verb validate."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from bg_atlasapi import cli
from bg_atlasapi.testing import tiny_components, tiny_package


def run(*args: str) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(cli.bg_cli, ["validate", *args], catch_exceptions=False)


def test_an_installed_atlas_by_name() -> None:
    """A sound atlas exits with 0; notes are shown."""
    result = run("phantom_mouse_100um")
    assert result.exit_code == 0
    assert "note: licence-missing" in result.stdout


def test_folders_of_both_layouts(tmp_path: Path) -> None:
    """A package's folder, a manifest and its folder are paths."""
    package = tiny_package(tmp_path)
    manifest = tiny_components(tmp_path) / "manifest.json"
    for path in (package, manifest, manifest.parent):
        result = run(str(path), "--no-meshes")
        assert result.exit_code == 0, result.output


def test_errors_exit_with_4_and_json_has_them_all(tmp_path: Path) -> None:
    """Every finding is in the JSON, with what it takes to mend it."""
    folder = tiny_package(tmp_path)
    (folder / "annotation.tiff").write_bytes(b"")
    result = run(str(folder), "--json")
    assert result.exit_code == 4
    answer = json.loads(result.stdout)
    assert not answer["ok"]
    assert answer["counts"]["error"] == len(
        [1 for one in answer["findings"] if one["severity"] == "error"]
    )
    assert {"code", "severity", "message", "where", "mend"} == set(answer["findings"][0])


def test_nothing_there(tmp_path: Path) -> None:
    """A path without an atlas is a finding (4); a name nobody has is an unknown atlas (3)."""
    result = run(str(tmp_path / "none"))
    assert result.exit_code == 4
    assert "not-an-atlas" in result.stdout
    result = run("no_such_mouse_1um")
    assert result.exit_code == 3
    assert "neither installed" in result.stderr


def test_a_report(tmp_path: Path) -> None:
    """A page is written beside the findings; of what does not open there is none."""
    page = tmp_path / "page.html"
    result = run("phantom_mouse_100um", "--report", str(page), "--no-meshes", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["report"] == str(page)
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    folder = tiny_package(tmp_path)
    (folder / "metadata.json").unlink()
    result = run(str(folder), "--report", str(tmp_path / "none.html"))
    assert result.exit_code == 4
    assert "no report" in result.stderr
    assert not (tmp_path / "none.html").exists()
