"""The verbs list, info, install, update and find."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bg_atlasapi import cli
from bg_atlasapi.cli import outcome
from bg_atlasapi.store import cache

ATLAS = "phantom_mouse_100um"


def run(*args: str) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(cli.bg_cli, list(args), catch_exceptions=False)


def answer(*args: str) -> Any:
    """Run a verb with ``--json`` and return what standard output holds."""
    result = run(*args, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout, parse_constant=pytest.fail)


def test_list() -> None:
    """The embedded atlas is listed; its folder with ``-s`` or ``--show``, on one line."""
    assert ATLAS in run("list").stdout
    folder = str(cache.EMBEDDED)
    assert folder not in run("list").stdout
    for option in ("-s", "--show"):
        assert folder in run("list", option).stdout


def test_list_as_json() -> None:
    """A row for each version, with species, voxel size and folder."""
    rows = {row["name"]: row for row in answer("list")}
    assert rows[ATLAS]["species"] == "Mus musculus"
    assert rows[ATLAS]["resolution"] == [100, 100, 100]
    assert Path(rows[ATLAS]["path"]).is_dir()


def test_info() -> None:
    """The human text holds the metadata, the geometry, the folder and the size."""
    text = run("info", ATLAS).stdout
    for fact in ("Mus musculus", "132 × 80 × 114", "13.2 × 8 × 11.4", str(cache.EMBEDDED), "bytes"):
        assert fact in text


def test_info_as_json() -> None:
    """The same facts as values."""
    facts = answer("info", ATLAS, "--version", "1.0")
    folder = Path(facts["path"])
    assert facts["name"] == ATLAS
    assert facts["shape"] == [132, 80, 114]
    assert facts["resolution_um"] == [100, 100, 100]
    assert facts["installed_versions"] == [facts["version"]] == ["1.0"]
    assert facts["structures"] == len(json.loads((folder / "structures.json").read_bytes()))
    assert facts["size_bytes"] == sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    assert facts["findings"] == []
    assert facts["metadata"] == json.loads((folder / "metadata.json").read_bytes())


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the embedded atlas, version 1.1, that may be damaged."""
    source = cache.find(ATLAS, []).path
    target = tmp_path / f"{ATLAS}_v1.1"
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("meshes"))
    monkeypatch.setenv("BRAINGLOBE_DIR", str(tmp_path))
    return target


def test_info_reports_findings(copy: Path) -> None:
    """What was forgiven while reading is told, in both forms; every installed version too."""
    path = copy / "structures.json"
    structures = json.loads(path.read_bytes())
    structures[-1]["acronym"] = structures[-2]["acronym"]
    path.write_text(json.dumps(structures))
    facts = answer("info", ATLAS)
    assert facts["installed_versions"] == ["1.0", "1.1"]
    assert facts["findings"]
    assert facts["findings"][0]["code"] in run("info", ATLAS).stdout


def test_damaged_atlases(copy: Path) -> None:
    """A damaged atlas is a sentence and exit code 4, and does not disturb the list."""
    (copy / "annotation.tiff").unlink()
    result = run("lookup", ATLAS, "-")
    assert result.exit_code == outcome.INVALID_ATLAS
    assert "annotation.tiff" in result.stderr
    (copy / "metadata.json").write_text("{")
    result = run("info", ATLAS)
    assert result.exit_code == outcome.INVALID_ATLAS
    assert result.stderr.startswith("Error: ")
    (row,) = answer("list", "--installed")
    assert (row["local"], row["versions"]) == ("1.1", ["1.1", "1.0"])


def test_unknown_atlas() -> None:
    """An unknown name or version says what is installed; exit code 3."""
    for args in (["phantom_mouse_10um"], [ATLAS, "--version", "7.0"]):
        result = run("info", *args)
        assert result.exit_code == outcome.UNKNOWN
        assert ATLAS in result.stderr
    assert run("info", ATLAS, "--version", "seven").exit_code == outcome.INVALID_INPUT


def test_find() -> None:
    """Hits come best first, with parent and depth."""
    rows = answer("find", ATLAS, "visp")
    assert rows[0] == {
        "acronym": "VISp",
        "id": 385,
        "name": "Primary visual area",
        "parent": "VIS",
        "depth": 7,
    }
    assert len(rows) > 1
    assert answer("find", ATLAS, "^root$", "--regex")[0]["parent"] is None
    assert "Primary visual area" in run("find", ATLAS, "visp").stdout


def test_find_close_matches() -> None:
    """A misspelling lists the closest, says so aside; nothing at all is exit code 3."""
    result = run("find", ATLAS, "Talamus", "--json")
    assert json.loads(result.stdout)[0]["acronym"] == "TH"
    assert "closest" in result.stderr
    for args in (["qqqqqq"], ["^qq", "--regex"]):
        result = run("find", ATLAS, *args)
        assert result.exit_code == outcome.UNKNOWN
        assert "No structure" in result.stderr
    assert run("find", ATLAS, "(", "--regex").exit_code == outcome.INVALID_INPUT


@pytest.mark.parametrize("name", [[ATLAS], ["-a", ATLAS], ["--atlas_name", ATLAS]])
def test_install_and_update(name: list[str]) -> None:
    """An installed atlas is left alone; one that no remote has cannot be updated."""
    result = run("install", *name)
    assert (result.exit_code, "is installed already" in result.stdout) == (0, True)
    for force in ([], ["-f"], ["--force"]):
        result = run("update", *name, *force)
        assert result.exit_code == outcome.UNKNOWN
        assert result.stderr.startswith("Error: No remote has phantom_mouse_100um")


def test_install_and_update_of_others() -> None:
    """A name nobody knows is exit 3; no name, or two, is a usage error."""
    assert run("install", "other_25um").exit_code == outcome.UNKNOWN
    assert run("update", "other_25um").exit_code == outcome.UNKNOWN
    for args in (["install"], ["update"], ["install", "a", "-a", "b"]):
        assert run(*args).exit_code == outcome.INVALID_INPUT
