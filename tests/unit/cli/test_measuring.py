"""The verb ``measure``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.cli.group import bg_cli

NAME = "phantom_mouse_100um"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Return the template as a file."""
    path = tmp_path / "image.npy"
    np.save(path, BrainGlobeAtlas(NAME, check_latest=False).reference)
    return path


def run(*words: object) -> tuple[int, str, str]:
    """Return exit code, output and errors."""
    done = CliRunner().invoke(bg_cli, ["measure", NAME, *map(str, words)])
    return done.exit_code, done.stdout, done.stderr


def test_people_see_the_largest_regions(image: Path) -> None:
    """With the statistics asked for; the rest goes into a file."""
    code, out, _ = run(image, "--statistics", "mean,p50", "--at", "1")
    assert code == 0
    assert "grey" in out
    assert "p50" in out
    code, out, _ = run(image)
    assert "more regions; -o FILE writes them all" in out


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "json"])
def test_files_hold_what_the_method_answers(image: Path, tmp_path: Path, ending: str) -> None:
    """Every row, and where it comes from."""
    output = tmp_path / f"x.{ending}"
    code, out, _ = run(image, "-o", output, "--exclude", image, "--statistics", "n")
    assert (code, out) == (0, f"Wrote 74 rows to {output}\n")
    readers = {"csv": pd.read_csv, "parquet": pd.read_parquet, "json": pd.read_json}
    table = readers[ending](output) if ending != "tsv" else pd.read_csv(output, sep="\t")
    assert table["n"].sum() == 0
    if ending == "csv":
        stated = json.loads((tmp_path / "x.csv-metadata.json").read_text())
        assert stated["notes"][0]["bg_atlasapi"]["options"]["exclude"] == str(image)


def test_json(image: Path) -> None:
    """One object: rows, provenance; what has no value is null."""
    words = ("--statistics", "area_fraction", "--threshold", "200", "--no-hemispheres")
    code, out, _ = run(image, "--json", *words)
    stated = json.loads(out)
    assert code == 0
    assert stated["bg_atlasapi"]["question"] == "measure"
    assert set(stated["regions"][0]) == {
        *("id", "acronym", "name", "volume_mm3", "area_fraction", "own_area_fraction")
    }


def test_a_grouping_is_recorded_by_its_hash(image: Path, tmp_path: Path) -> None:
    """So that rows are known to come from these groups, whatever becomes of the file."""
    grouping = BrainGlobeAtlas(NAME, check_latest=False).group(["TH", "HY"], name="two").grouping
    grouping.save(tmp_path / "groups.json")
    _, out, _ = run(image, "--json", "--at", tmp_path / "groups.json")
    stated = json.loads(out)["bg_atlasapi"]["options"]["at"]
    assert stated == {"grouping": "two", **grouping.stamp()}


def test_nothing_to_measure_is_said(tmp_path: Path) -> None:
    """An image of NaN has no rows for people to see, and a reason."""
    shape = BrainGlobeAtlas(NAME, check_latest=False).shape
    np.save(tmp_path / "nan.npy", np.full(shape, np.nan, np.float32))
    code, _, said = run(tmp_path / "nan.npy")
    assert (code, "or NaN" in said) == (0, True)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--statistics", "mode"), "'mode' is no statistic"),
        (("--statistics", ","), "names no statistic"),
        (("--resolution", "x"), "--resolution takes"),
        (("--resolution", "1,2"), "A voxel size is"),
        (("--resolution", "10"), "has the shape"),
        (("--at", "99"), "not a depth"),
        (("-o", "x.jpg"), "must end in"),
        (("--exclude", "nowhere.npy"), "There is no image"),
    ],
)
def test_mistakes_are_one_sentence(image: Path, words: tuple[str, ...], sentence: str) -> None:
    """And the exit code of invalid input."""
    code, _, errors = run(image, *words)
    assert code == 2
    assert sentence in errors
    assert "Traceback" not in errors
