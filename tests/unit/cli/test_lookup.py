"""The verb lookup."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from bg_atlasapi import BrainGlobeAtlas, cli
from bg_atlasapi.cli import outcome
from bg_atlasapi.cli.points import regions_hit
from bg_atlasapi.formats import points_batches

ATLAS = "phantom_mouse_100um"
EXAMPLE = Path(__file__).parents[3] / "examples" / "cells.csv"


def run(*args: str, stdin: str | bytes | None = None) -> Result:
    """Run ``brainglobe lookup`` on the embedded atlas in this process."""
    command = ["lookup", ATLAS, *args]
    return CliRunner().invoke(cli.bg_cli, command, input=stdin, catch_exceptions=False)


def answer(*args: str, stdin: str | bytes | None = None) -> Any:
    """Run it with ``--json`` and return what standard output holds."""
    result = run(*args, "--json", stdin=stdin)
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    return json.loads(result.stdout, parse_constant=pytest.fail)


@pytest.fixture(scope="module")
def atlas() -> BrainGlobeAtlas:
    """Return the embedded atlas."""
    return BrainGlobeAtlas(ATLAS)


def test_the_example(atlas: BrainGlobeAtlas) -> None:
    """The example file holds cells of several regions in both hemispheres, and some outside."""
    found = answer(str(EXAMPLE))
    expected = atlas.lookup(pd.read_csv(EXAMPLE).to_numpy())
    assert [row["id"] for row in found["points"]] == expected["id"].tolist()
    assert [row["acronym"] for row in found["points"]] == expected["acronym"].tolist()
    assert (found["atlas"], found["version"], found["unit"]) == (ATLAS, "1.0", "um")
    inside = [region for region in found["regions"] if region["id"]]
    assert len(inside) > 5
    assert sum(region["count"] for region in inside) > 0.8 * len(expected)
    assert any(region["left"] and region["right"] for region in inside)
    assert not expected["inside"].all()


def test_the_text_for_people() -> None:
    """The first ten rows, how many more, then the regions hit; nothing cut off in a pipe."""
    text = run(str(EXAMPLE)).stdout
    count = len(EXAMPLE.read_text().splitlines()) - 1
    assert f"First 10 of {count} points" in text
    assert f"{count - 10} more rows" in text
    assert text.index("more rows") < text.index("Regions hit")
    assert "…" not in text
    assert text.rstrip().splitlines()[-1].split()[:2] == ["Outside", "atlas"]
    few = run("-", stdin="1,2,3\n").stdout
    assert "more rows" not in few


def test_long_column_names_leave_room_for_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """In 80 columns, three long headings are cut at the front and the answer stays."""
    monkeypatch.setenv("COLUMNS", "80")
    header = ",".join(f"coordinate_atlas_axis_{axis}" for axis in range(3))
    text = run("-", stdin=f"{header}\n5500,4000,4000\n").stdout
    assert "s_axis_0" in text
    assert "hemisphere" in text


def test_points_outside_are_answers() -> None:
    """Negative, beyond the edge, infinite and empty coordinates are id 0, without hemisphere."""
    stdin = "x,y,z\n-1,4000,4000\n13200,4000,4000\ninf,4000,4000\n,4000,4000\n5500,4000,4000\n"
    found = answer("-", stdin=stdin)
    rows = found["points"]
    assert [row["id"] for row in rows[:4]] == [0] * 4
    assert [row["acronym"] for row in rows[:4]] == ["Outside atlas"] * 4
    assert [row["hemisphere"] for row in rows[:4]] == [None] * 4
    assert [row["inside"] for row in rows] == [False] * 4 + [True]
    assert rows[2]["x"] is rows[3]["x"] is None
    assert found["regions"][-1] == {
        "id": 0,
        "acronym": "Outside atlas",
        "name": "Outside atlas",
        "count": 4,
        "left": 0,
        "right": 0,
    }


@pytest.mark.parametrize(("unit", "scale"), [("um", 1), ("mm", 1000), ("voxel", 100)])
def test_units(unit: str, scale: int) -> None:
    """The same place in each unit is the same answer."""
    stdin = f"{5550 / scale},{4050 / scale},{4050 / scale}\n"
    expected = answer("-", stdin="5550,4050,4050\n")["points"][0]["id"]
    found = answer("-", "--unit", unit, stdin=stdin)
    assert (found["unit"], found["points"][0]["id"]) == (unit, expected)


def test_cellfinder_counts_voxels(tmp_path: Path, atlas: BrainGlobeAtlas) -> None:
    """XML is read as voxels, Z first, unless a unit is given."""
    path = tmp_path / "cells.xml"
    marker = "<MarkerX>40</MarkerX><MarkerY>41</MarkerY><MarkerZ>55</MarkerZ>"
    path.write_text(
        "<CellCounter_Marker_File><Marker_Type><Type>2</Type>"
        f"<Marker>{marker}</Marker></Marker_Type></CellCounter_Marker_File>"
    )
    found = answer(str(path))
    assert found["unit"] == "voxel"
    assert found["points"][0]["id"] == atlas.structure_from_coords((55, 41, 40))
    assert answer(str(path), "--unit", "um")["unit"] == "um"


def test_columns_and_format(tmp_path: Path) -> None:
    """Columns are chosen by name or position; a format that the name does not tell is given."""
    expected = answer("-", stdin="5500,4000,4100\n")["points"][0]["id"]
    rows = "a,b,c,d\n4100,4000,5500,0\n"
    for columns in ("c,b,a", "2,1,0", "C, B, A"):
        assert answer("-", "--columns", columns, stdin=rows)["points"][0]["id"] == expected
    path = tmp_path / "points.txt"
    path.write_text("5500\t4000\t4100\n")
    assert answer(str(path), "--format", "tsv")["points"][0]["id"] == expected


def test_at(atlas: BrainGlobeAtlas) -> None:
    """A depth or a list of regions answers the ancestor there; names may hold commas."""
    points = pd.read_csv(EXAMPLE).to_numpy()
    name = atlas.structures["VISp4"].name
    cases: list[tuple[str, int | list[str]]] = [("3", 3), ("-2", -2), ("TH, HY", ["TH", "HY"])]
    for option, value in (*cases, (name, ["VISp4"]), (f"TH,{name},HY", ["TH", "VISp4", "HY"])):
        found = answer(str(EXAMPLE), "--at", option)["points"]
        assert [row["id"] for row in found] == atlas.lookup(points, at=value)["id"].tolist()


@pytest.mark.parametrize("extension", ["csv", "tsv", "parquet", "json"])
def test_output(tmp_path: Path, extension: str, atlas: BrainGlobeAtlas) -> None:
    """The file holds the input's columns and the answers, in the input's order."""
    source, target = tmp_path / "in.csv", tmp_path / f"out.{extension}"
    source.write_text(",x,y,z,name\n7,5500,4000,4000,cell a\n8,-1,0,0,cell b\n")
    result = run(str(source), "-o", str(target))
    assert result.exit_code == 0, result.stderr
    assert f"Wrote 2 rows to {target}" in result.stdout
    assert "Regions hit: 1" in result.stdout
    assert "more rows" not in result.stdout
    read = {"parquet": pd.read_parquet, "json": pd.read_json, "csv": pd.read_csv}
    frame = read[extension](target) if extension != "tsv" else pd.read_csv(target, sep="\t")
    assert frame.columns.tolist()[1:] == [
        *("x", "y", "z", "name"),
        *("id", "acronym", "atlas_name", "hemisphere", "inside"),
    ]
    assert frame["name"].tolist() == ["cell a", "cell b"]
    assert frame["id"].tolist() == [atlas.structures[frame["acronym"].iloc[0]].id, 0]
    assert frame["inside"].tolist() == [True, False]
    assert frame["hemisphere"].isna().tolist() == [False, True]
    beside = [] if extension == "parquet" else [f"{target.name}-metadata.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", target.name, *beside]


def test_output_says_where_it_comes_from(tmp_path: Path) -> None:
    """The provenance of the answers names atlas, unit and columns."""
    target = tmp_path / "out.csv"
    assert run("-", "--unit", "mm", "-o", str(target), stdin="5.5,4,4\n").exit_code == 0
    stated = json.loads((tmp_path / "out.csv-metadata.json").read_text())["notes"][0]["bg_atlasapi"]
    assert (stated["atlas"], stated["question"]) == (ATLAS, "lookup")
    assert stated["options"] == {
        "points": "-",
        "unit": "mm",
        "at": None,
        "nearest": False,
        "columns": ["x", "y", "z"],
    }


def test_nearest(tmp_path: Path, atlas: BrainGlobeAtlas) -> None:
    """The nearest region and its distance are shown, written, and in the JSON, missing or not."""
    text = "x,y,z\n7100,3870,4500\n-500,3870,4500\n,,\n"
    expected = atlas.lookup([[7100, 3870, 4500], [-500, 3870, 4500], [np.nan] * 3], nearest=True)
    found = answer("-", "--nearest", stdin=text)
    assert [row["nearest_acronym"] for row in found["points"]] == [*expected["nearest_acronym"]]
    assert [row["distance_um"] for row in found["points"]] == [*expected["distance_um"][:2], None]
    assert found["bg_atlasapi"]["options"]["nearest"] is True
    shown = run("-", "--nearest", stdin=text).stdout
    assert "distance_um" in shown
    assert f"{expected['distance_um'][1]:.6g}" in shown
    target = tmp_path / "out.parquet"
    assert run("-", "--nearest", "-o", str(target), stdin=text).exit_code == 0
    assert pd.read_parquet(target)["nearest_id"].tolist() == expected["nearest_id"].tolist()


@pytest.mark.parametrize("extension", ["csv", "tsv", "parquet", "json"])
def test_long_files_are_answered_in_parts(
    tmp_path: Path, extension: str, atlas: BrainGlobeAtlas, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut into parts or not, the same file, the same regions, the same first rows."""
    points = np.random.default_rng(3).random((501, 3)) * atlas.shape_um
    source = tmp_path / "in.csv"
    frame = pd.DataFrame(points, columns=["x", "y", "z"]).assign(n=range(501))
    frame["n"] = frame["n"].where(frame["n"] != 400)
    frame.to_csv(source, index=False)
    seen = []
    for rows in (1000, 50):
        target = tmp_path / f"out{rows}.{extension}"
        with monkeypatch.context() as changed:
            changed.setattr(points_batches, "ROWS", rows)
            text = run(str(source), "-o", str(target)).stdout.replace(str(target), "")
            shown = run(str(source)).stdout
        table = pd.read_parquet(target).to_csv() if extension == "parquet" else target.read_text()
        seen.append((sorted(text.split("\n")), sorted(shown.split("\n")), table))
    assert seen[0] == seen[1]


def test_output_and_json(tmp_path: Path) -> None:
    """With a file, the JSON names it and holds the regions, not the rows."""
    target = tmp_path / "out.csv"
    found = answer("-", "-o", str(target), stdin="5500,4000,4000\n")
    assert found["output"] == str(target)
    assert "points" not in found
    assert found["regions"][0]["count"] == 1


def test_no_points() -> None:
    """A table without rows is answered with no rows."""
    found = answer("-", stdin="x,y,z\n")
    assert found["points"] == found["regions"] == []
    assert run("-", stdin="x,y,z\n").exit_code == 0


def test_regions_are_counted_and_sorted() -> None:
    """Most points first; elsewhere and outside last; sides add up to the points in the volume."""
    answers = pd.DataFrame(
        {
            "id": [0, 5, 7, 7, 0, 0],
            "acronym": ["Outside atlas", "B", "A", "A", "Outside atlas", "Elsewhere"],
            "name": ["Outside atlas", "b", "a", "a", "Outside atlas", "Elsewhere"],
            "hemisphere": [None, "left", "left", "right", "right", "left"],
            "inside": [False, True, True, True, True, True],
        }
    )
    assert regions_hit(answers).to_numpy().tolist() == [
        [7, "A", "a", 2, 1, 1],
        [5, "B", "b", 1, 1, 0],
        [0, "Elsewhere", "Elsewhere", 1, 1, 0],
        [0, "Outside atlas", "Outside atlas", 2, 0, 1],
    ]


@pytest.mark.parametrize(
    ("args", "stdin", "code", "text"),
    [
        (["-"], "", outcome.INVALID_INPUT, "it is empty"),
        (["-"], "x,y,z\n1,b,3\n", outcome.INVALID_INPUT, "must hold numbers"),
        (["-"], "a,b\n1,2\n", outcome.INVALID_INPUT, "Found: a, b"),
        (["-", "--columns", "x,y"], "1,2,3\n", outcome.INVALID_INPUT, "three different columns"),
        (["-", "--columns", "x,y,w"], "1,2,3\n", outcome.INVALID_INPUT, "no column 'w'"),
        (["-", "--at", "XX"], "1,2,3\n", outcome.UNKNOWN, f"brainglobe find {ATLAS} XX"),
        (["-", "--at", "TH,"], "1,2,3\n", outcome.INVALID_INPUT, "depth or acronyms"),
        (["-", "--at", "385"], "1,2,3\n", outcome.INVALID_INPUT, "not a depth"),
        (["-", "--unit", "inch"], "1,2,3\n", outcome.INVALID_INPUT, "'inch' is not one of"),
        (["-", "-o", "out.foo"], "1,2,3\n", outcome.INVALID_INPUT, "must end in one of"),
        (["-", "-o", "/no/such/o.csv"], "1,2,3\n", outcome.INVALID_INPUT, "cannot be written"),
        (["no_such_file.csv"], None, outcome.INVALID_INPUT, "No such file"),
        (["no_such_file.foo"], None, outcome.INVALID_INPUT, "'foo'"),
        (["-", "--version", "9.9"], "1,2,3\n", outcome.UNKNOWN, "9.9"),
    ],
)
def test_what_cannot_be_answered(args: list[str], stdin: str | None, code: int, text: str) -> None:
    """One sentence on standard error and the documented exit code; nothing on standard output."""
    result = run(*args, stdin=stdin)
    assert result.exit_code == code
    assert text in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_a_damaged_array(tmp_path: Path) -> None:
    """Objects in an npy file are not unpickled."""
    path = tmp_path / "points.npy"
    np.save(path, np.array([[1, 2, None]], dtype=object), allow_pickle=True)
    result = run(str(path))
    assert result.exit_code == outcome.INVALID_INPUT
    assert result.stderr.startswith(f"Error: {path} cannot be read: ")


def test_a_wrong_unit_is_suspected(tmp_path: Path) -> None:
    """When most points lie beyond the volume, the command asks whether the unit is right."""
    table = tmp_path / "cells.csv"
    table.write_text("x,y,z\n7100,3870,4500\n7200,3870,4500\n")
    assert run(str(table)).stderr == ""
    result = run(str(table), "--unit", "mm")
    assert result.exit_code == 0
    assert "2 of 2 points lie beyond the volume of 13200 × 8000 × 11400 µm" in result.stderr
    assert "is --unit right" in result.stderr
