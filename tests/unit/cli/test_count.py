"""The verb count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from bg_atlasapi import BrainGlobeAtlas, cli
from bg_atlasapi.cli import outcome

ATLAS = "phantom_mouse_100um"
EXAMPLE = Path(__file__).parents[3] / "examples" / "cells.csv"


def run(*args: str, stdin: str | bytes | None = None) -> Result:
    """Run ``brainglobe count`` on the embedded atlas in this process."""
    command = ["count", ATLAS, *args]
    return CliRunner().invoke(cli.bg_cli, command, input=stdin, catch_exceptions=False)


def answer(*args: str, stdin: str | bytes | None = None) -> Any:
    """Run it with ``--json`` and return what standard output holds."""
    result = run(*args, "--json", stdin=stdin)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout, parse_constant=pytest.fail)


@pytest.fixture(scope="module")
def atlas() -> BrainGlobeAtlas:
    """Return the embedded atlas."""
    return BrainGlobeAtlas(ATLAS)


def test_json_is_the_table(atlas: BrainGlobeAtlas) -> None:
    """It holds the rows of ``atlas.count``, the unit, and where they come from."""
    found = answer(str(EXAMPLE), "--at", "TH,HY", "--zeros")
    expected = atlas.count(pd.read_csv(EXAMPLE), at=["TH", "HY"], zeros=True)
    regions = pd.DataFrame(found["regions"]).astype({"density_per_mm3": float})
    pd.testing.assert_frame_equal(regions, expected)
    assert (found["atlas"], found["version"], found["unit"]) == (ATLAS, "1.0", "um")
    assert found["count"] == expected["own"].sum()
    stated = found["bg_atlasapi"]
    assert stated["question"] == "count"
    assert stated["options"]["at"] == ["TH", "HY"]


def test_the_text_for_people() -> None:
    """A row a region, outside last, whole in a pipe."""
    text = run(str(EXAMPLE), "--at", "3").stdout
    count = len(EXAMPLE.read_text().splitlines()) - 1
    assert f"{count} points by region" in text
    assert "per mm³" in text
    assert text.rstrip().splitlines()[-1].split()[:2] == ["Outside", "atlas"]


@pytest.mark.parametrize("extension", ["csv", "tsv", "parquet", "json"])
def test_output(tmp_path: Path, extension: str, atlas: BrainGlobeAtlas) -> None:
    """The table is written, and where it comes from."""
    target = tmp_path / f"counts.{extension}"
    result = run(str(EXAMPLE), "-o", str(target))
    assert result.exit_code == 0, result.stderr
    assert f"to {target}" in result.stdout
    read = {"parquet": pd.read_parquet, "json": pd.read_json, "csv": pd.read_csv}
    frame = read[extension](target) if extension != "tsv" else pd.read_csv(target, sep="\t")
    expected = atlas.count(pd.read_csv(EXAMPLE))
    pd.testing.assert_frame_equal(frame, expected, check_dtype=False)
    sidecar = target.with_name(f"{target.name}-metadata.json")
    assert sidecar.exists() == (extension != "parquet")
    assert answer(str(EXAMPLE), "-o", str(target))["output"] == str(target)


def test_standard_input_and_units() -> None:
    """Points come through a pipe, in the unit that is said; a wrong one is suspected."""
    found = answer("-", "--unit", "mm", stdin="7.1,3.87,4.5\n")
    assert found["regions"][-2]["acronym"] == "TH"
    assert "is --unit right" in run("-", "--unit", "mm", stdin="7100,3870,4500\n").stderr


@pytest.mark.parametrize(
    ("args", "stdin", "code", "text"),
    [
        (["-"], "", outcome.INVALID_INPUT, "it is empty"),
        (["-"], "x,y,z\n1,b,3\n", outcome.INVALID_INPUT, "must hold numbers"),
        (["-", "--at", "XX"], "1,2,3\n", outcome.UNKNOWN, f"brainglobe find {ATLAS} XX"),
        (["-", "--at", "385"], "1,2,3\n", outcome.INVALID_INPUT, "not a depth"),
        (["-", "-o", "out.foo"], "1,2,3\n", outcome.INVALID_INPUT, "must end in one of"),
        (["no_such_file.csv"], None, outcome.INVALID_INPUT, "No such file"),
        (["-", "--version", "9.9"], "1,2,3\n", outcome.UNKNOWN, "9.9"),
    ],
)
def test_what_cannot_be_counted(args: list[str], stdin: str | None, code: int, text: str) -> None:
    """One sentence on standard error and the documented exit code; nothing on standard output."""
    result = run(*args, stdin=stdin)
    assert result.exit_code == code
    assert text in result.stderr
    assert result.stdout == ""


def test_a_grouping_in_a_file(tmp_path: Path, atlas: BrainGlobeAtlas) -> None:
    """--at takes the file of a grouping, and counts by its groups."""
    path = tmp_path / "mine.json"
    grouped = atlas.group({"forebrain": ["CH", "TH"]})
    grouped.grouping.save(path)
    found = answer(str(EXAMPLE), "--at", str(path))["regions"]
    expected = grouped.count(pd.read_csv(EXAMPLE))
    assert [row["acronym"] for row in found] == expected["acronym"].tolist()
    assert [row["own"] for row in found] == expected["own"].tolist()
