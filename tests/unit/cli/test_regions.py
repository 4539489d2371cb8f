"""The verb regions."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from bg_atlasapi import BrainGlobeAtlas, cli, query

ATLAS = "phantom_mouse_100um"


def run(*args: str) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(cli.bg_cli, ["regions", *args], catch_exceptions=False)


def test_all_regions_with_voxels() -> None:
    """Everything that has voxels is listed; what has none is counted in a note."""
    result = run(ATLAS)
    assert result.exit_code == 0
    assert "Primary visual area" in result.stdout
    empty = (BrainGlobeAtlas(ATLAS).region_table()["voxels"] == 0).sum()
    assert (f"{empty} regions without voxels" in result.stderr) == bool(empty)


def test_some_regions_in_the_order_asked_for() -> None:
    """Named regions come as named, by acronym, id or name."""
    answer = json.loads(run(ATLAS, "CA1", "385", "Thalamus", "--json").stdout)
    assert [row["acronym"] for row in answer["regions"]] == ["CA1", "VISp", "TH"]
    assert answer["atlas"] == ATLAS
    assert answer["bg_atlasapi"]["sha256"]
    assert "largest" in run(ATLAS, "CA1", "--components").stdout


def test_narrow_terminals_cut_no_number_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """In forty columns text wraps, and numbers run over the edge, digit by digit what they are."""
    monkeypatch.setenv("COLUMNS", "40")
    shown = run(ATLAS, "TH", "VISp", "--components").stdout
    assert "…" not in shown
    for number in ("18028", "18.028", "9.014", "7638", "3819"):
        assert number in shown


def test_neighbours() -> None:
    """Regions that touch, with the area they share; alone a table of its own."""
    answer = json.loads(run(ATLAS, "TH", "CA3", "--neighbours", "--json").stdout)
    assert {row["acronym"] for row in answer["neighbours"]} == {"TH", "CA3"}
    assert "fiber tracts" in run(ATLAS, "TH", "--neighbours").stdout
    assert run(ATLAS, "--neighbours", "--components").exit_code == 2


@pytest.mark.parametrize("extension", ["csv", "tsv", "parquet", "json"])
def test_files(tmp_path: Path, extension: str) -> None:
    """All rows and columns are written, with where they come from."""
    path = tmp_path / f"regions.{extension}"
    result = run(ATLAS, "-o", str(path))
    assert result.stdout == f"Wrote 74 rows to {path}\n"
    table = BrainGlobeAtlas(ATLAS).region_table()
    readers = {"csv": pd.read_csv, "parquet": pd.read_parquet, "json": pd.read_json}
    reader = readers.get(extension, lambda file: pd.read_csv(file, sep="\t"))
    written = reader(path)
    assert written["voxels"].tolist() == table["voxels"].tolist()
    assert list(written.columns) == list(table.columns)
    if extension != "parquet":
        stated = json.loads(path.with_name(f"{path.name}-metadata.json").read_bytes())
        assert stated["notes"][0]["bg_atlasapi"]["question"] == "regions"


def test_long_passes_tell_how_far_they_are() -> None:
    """The pass over the labels, and the search for parts, report bytes up to all of them; once."""
    atlas = BrainGlobeAtlas(ATLAS)
    told: list[tuple[str, int, int]] = []
    for _ in range(2):
        query.region_table(atlas, components=True, report=lambda *news: told.append(news))
    size = atlas.annotation.nbytes
    for phase in ("regions", "components"):
        done = [one for name, one, total in told if name == phase and total == size]
        assert done == sorted(set(done))
        assert done[-1] == size


def test_what_is_wrong_is_a_sentence(tmp_path: Path) -> None:
    """An unknown region, and a file that cannot be written, end with their exit codes."""
    unknown = run(ATLAS, "XYZ")
    assert unknown.exit_code == 3
    assert "XYZ" in unknown.stderr
    nowhere = run(ATLAS, "-o", str(tmp_path / "regions.doc"))
    assert nowhere.exit_code == 2
    assert "Traceback" not in nowhere.stderr
