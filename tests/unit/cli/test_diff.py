"""The verb diff, and groupings on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from bg_atlasapi import BrainGlobeAtlas, cli
from bg_atlasapi.testing import tiny_package

ATLAS = "phantom_mouse_100um"


def run(*args: str) -> Result:
    """Run a verb in this process."""
    return CliRunner().invoke(cli.bg_cli, list(args), catch_exceptions=False)


@pytest.fixture
def grouped(tmp_path: Path) -> Path:
    """Return the folder of the embedded atlas without its cortex."""
    atlas = BrainGlobeAtlas(ATLAS).group(prune=["CTX"], name="bare")
    return atlas.export(tmp_path / "atlases", format="packaged")


@pytest.mark.parametrize("name", [ATLAS, f"{ATLAS}:1.0", f"{ATLAS}@1.0", f"{ATLAS}_v1.0"])
def test_names_with_and_without_a_version(name: str) -> None:
    """An atlas against itself has no changes, however it is named."""
    result = run("diff", name, ATLAS)
    assert result.exit_code == 0, result.stderr
    assert "Structures: 74 same, 0 changed, 0 added, 0 removed" in result.stdout


def test_a_folder_and_the_text_for_people(grouped: Path) -> None:
    """A folder is an atlas too; the summary and the first rows are shown."""
    result = run("diff", ATLAS, str(grouped))
    assert "45 removed" in result.stdout
    assert "First 15 of 48 rows" in result.stdout
    moved = run("diff", ATLAS, str(grouped), "--table", "moved").stdout
    assert "Outside atlas" in moved


def test_files_and_json(grouped: Path, tmp_path: Path) -> None:
    """Each table is written by extension, with provenance of both atlases beside it."""
    for which, length in (("structures", 74), ("migration", 74), ("moved", 34)):
        target = tmp_path / f"{which}.csv"
        result = run("diff", ATLAS, str(grouped), "--table", which, "-o", str(target))
        assert f"Wrote {length} rows" in result.stdout
        assert len(pd.read_csv(target)) == length
    note = json.loads((tmp_path / "moved.csv-metadata.json").read_text())
    stated = note["notes"][0]["bg_atlasapi"]
    assert stated["atlas"] == ATLAS
    assert stated["options"]["with"]["atlas"].startswith("phantom_mouse-bare")
    answer = json.loads(run("diff", ATLAS, str(grouped), "--json").stdout)
    assert answer["structures_by_status"] == {"same": 26, "changed": 3, "added": 0, "removed": 45}
    assert len(answer["structures"]) == 74


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    """Unknown atlases, other spaces and bad files are one sentence and an exit code."""
    other = tiny_package(tmp_path)
    assert run("diff", ATLAS, str(other)).exit_code == 2
    assert run("diff", ATLAS, "no_such_atlas").exit_code == 3
    assert run("diff", ATLAS, str(tmp_path / "nothing")).exit_code == 4
    assert run("diff", ATLAS, ATLAS, "-o", str(tmp_path / "x.doc")).exit_code == 2


def test_lookup_at_a_grouping(tmp_path: Path) -> None:
    """--at takes the file of a grouping; a bad one is said before the points are read."""
    atlas = BrainGlobeAtlas(ATLAS)
    path, points = tmp_path / "two.json", tmp_path / "points.csv"
    atlas.group({"forebrain": ["CH", "TH"]}).grouping.save(path)
    points.write_text("x,y,z\n7100,3870,4500\n0,0,0\n")
    result = run("lookup", ATLAS, str(points), "--at", str(path), "--json")
    rows = json.loads(result.stdout)["points"]
    assert [row["acronym"] for row in rows] == ["forebrain", "Outside atlas"]
    path.write_text("{")
    result = run("lookup", ATLAS, str(points), "--at", str(path))
    assert result.exit_code == 2
    assert "no grouping" in result.stderr
