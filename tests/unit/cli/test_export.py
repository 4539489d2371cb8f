"""The verb export."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bg_atlasapi import cli
from bg_atlasapi.core import Atlas
from bg_atlasapi.formats import exporting

ATLAS = "phantom_mouse_100um"


def run(*args: str) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(cli.bg_cli, list(args), catch_exceptions=False)


@pytest.mark.parametrize("form", ["components", "packaged"])
def test_export_answers_where_it_wrote(form: str, tmp_path: Path) -> None:
    """As JSON: name, version, format, the folder, which opens."""
    result = run("export", ATLAS, str(tmp_path / "out"), "--format", form, "--json")
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)
    path = facts.pop("path")
    assert facts == {"name": ATLAS, "version": "1.0", "format": form}
    assert Atlas.from_path(path).shape == (132, 80, 114)


@pytest.mark.parametrize("form", [*exporting.FORMATS][2:])
def test_export_for_other_tools(form: str, tmp_path: Path) -> None:
    """Answers what was made, a folder or a file, and it is there."""
    result = run("export", ATLAS, str(tmp_path / "out"), "--format", form, "--json")
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)
    assert facts["format"] == form
    assert [*(tmp_path / "out").iterdir()] == [Path(facts["path"])]
    assert Path(facts["path"]).name.startswith(f"{ATLAS}_v1.0")


def test_export_writes_components_unless_told(tmp_path: Path) -> None:
    """One line for people, with the folder; nothing on standard error."""
    result = run("export", f"{ATLAS}@1.0", str(tmp_path))
    assert result.exit_code == 0
    folder = tmp_path / "brainglobe-atlasapi" / "atlases" / ATLAS / "1_0"
    assert result.stdout == f"{ATLAS} exported as components: {folder}\n"
    assert result.stderr == ""


def test_export_replaces_only_when_told(tmp_path: Path) -> None:
    """The second time exits with 2 and says how; with --overwrite it is done again."""
    args = ("export", ATLAS, str(tmp_path), "--format", "packaged")
    assert run(*args).exit_code == 0
    again = run(*args)
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr
    assert run(*args, "--overwrite").exit_code == 0


def test_export_says_what_it_does_not_know(tmp_path: Path) -> None:
    """An unknown format exits with 2 and lists those there are, an unknown atlas with 3."""
    result = run("export", ATLAS, str(tmp_path), "--format", "v3")
    assert result.exit_code == 2
    assert "components" in result.stderr
    assert "packaged" in result.stderr
    assert run("export", "no_such_atlas_1um", str(tmp_path)).exit_code == 3
    assert not [*tmp_path.iterdir()]
