"""Points in files, and answers to files."""

from __future__ import annotations

import json
from datetime import date, time
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats import points_batches
from bg_atlasapi.query.files import lookup_to, tally_file
from bg_atlasapi.query.subject import subject_of

XML = """<?xml version="1.0"?><CellCounter_Marker_File><Marker_Data><Marker_Type><Type>1</Type>
<Marker><MarkerX>45</MarkerX><MarkerY>38</MarkerY><MarkerZ>71</MarkerZ></Marker>
</Marker_Type></Marker_Data></CellCounter_Marker_File>"""


@pytest.fixture(scope="module")
def atlas() -> BrainGlobeAtlas:
    """Return the embedded atlas."""
    return BrainGlobeAtlas("phantom_mouse_100um")


@pytest.fixture
def table(atlas: BrainGlobeAtlas) -> pd.DataFrame:
    """Return a table of points."""
    points = np.random.default_rng(2).random((700, 3)) * atlas.shape_um * 1.1
    return pd.DataFrame(points, columns=["x", "y", "z"])


def write(frame: pd.DataFrame, path: Path) -> Path:
    """Write a table of points."""
    if path.suffix == ".parquet":
        frame.to_parquet(path, row_group_size=150)
    elif path.suffix == ".npy":
        np.save(path, frame.to_numpy())
    else:
        frame.to_csv(path, sep="\t" if path.suffix == ".tsv" else ",", index=False)
    return path


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "npy"])
@pytest.mark.parametrize("rows", [10_000, 100, 1])
def test_a_file_is_counted_as_its_points(
    tmp_path: Path,
    atlas: BrainGlobeAtlas,
    table: pd.DataFrame,
    kind: str,
    rows: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever the format and however it is cut, a file gives what its points give."""
    table = table[:20] if rows == 1 else table
    monkeypatch.setattr(points_batches, "ROWS", rows)
    path = write(table, tmp_path / f"cells.{kind}")
    pd.testing.assert_frame_equal(atlas.count(path), atlas.count(table.to_numpy()))
    pd.testing.assert_frame_equal(atlas.count(str(path), at=3), atlas.count(table, at=3))
    assert atlas.lookup(path).astype(str).equals(atlas.lookup(table).astype(str))


def test_the_unit_is_what_the_format_implies(tmp_path: Path, atlas: BrainGlobeAtlas) -> None:
    """Cellfinder counts voxels, unless somebody says otherwise."""
    path = tmp_path / "cells.xml"
    path.write_text(XML)
    assert atlas.lookup(path)["acronym"].tolist() == ["TH"]
    assert atlas.count(path, at=["TH"])["own"].tolist() == [1, 0, 0]
    assert atlas.lookup(path, unit="um")["acronym"].tolist() == ["Outside atlas"]
    assert tally_file(subject_of(atlas), path)[1] == "voxel"


def test_columns_of_a_file(tmp_path: Path, atlas: BrainGlobeAtlas, table: pd.DataFrame) -> None:
    """The coordinates can be named."""
    path = tmp_path / "cells.csv"
    table.rename(columns={"x": "q"}).assign(r=1.0).to_csv(path, index=False)
    pd.testing.assert_frame_equal(atlas.count(path, columns=["q", "y", "z"]), atlas.count(table))


def test_progress_is_reported(tmp_path: Path, atlas: BrainGlobeAtlas, table: pd.DataFrame) -> None:
    """The bytes that were read grow to those of the file."""
    path = write(table, tmp_path / "cells.parquet")
    said: list[tuple[int, int]] = []
    tally_file(subject_of(atlas), path, report=lambda done, total: said.append((done, total)))
    size = path.stat().st_size
    assert said[-1] == (size, size)
    assert [done for done, _ in said[1:]] == sorted(done for done, _ in said[1:])


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "json"])
def test_answers_to_a_file(
    tmp_path: Path,
    atlas: BrainGlobeAtlas,
    table: pd.DataFrame,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All rows with their answers, in parts of a few rows, and where they come from."""
    table["cell"] = [f"c{place}" for place in range(len(table))]
    source = write(table, tmp_path / "cells.parquet")
    monkeypatch.setattr(points_batches, "ROWS", 64)
    target = tmp_path / f"answers.{kind}"
    assert lookup_to(atlas, source, target, at=4) == len(table)
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet, "json": pd.read_json}
    found = read[kind](target) if kind != "tsv" else pd.read_csv(target, sep="\t")
    expected = atlas.lookup(table, at=4)
    assert found["cell"].tolist() == table["cell"].tolist()
    assert found["acronym"].tolist() == expected["acronym"].tolist()
    assert found["x"].tolist() == pytest.approx(table["x"].tolist(), rel=1e-9)
    if kind != "parquet":
        beside = json.loads(target.with_name(f"{target.name}-metadata.json").read_text())
        assert beside["notes"][0]["bg_atlasapi"]["options"]["at"] == 4


def test_a_bad_row_far_down_leaves_no_file(
    tmp_path: Path, atlas: BrainGlobeAtlas, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error in a later part names the row of the file; nothing half is left."""
    monkeypatch.setattr(points_batches, "ROWS", 10)
    source = tmp_path / "cells.csv"
    source.write_text("x,y,z\n" + "1,2,3\n" * 33 + "1,oops,3\n" + "1,2,3\n" * 9)
    with pytest.raises(InvalidInputError, match=r"row 34 says 'oops'"):
        lookup_to(atlas, source, tmp_path / "answers.csv")
    with pytest.raises(InvalidInputError, match=r"row 34 says 'oops'"):
        atlas.count(source)
    assert [one.name for one in tmp_path.iterdir()] == ["cells.csv"]


def test_any_column_of_parquet_comes_back(
    tmp_path: Path, atlas: BrainGlobeAtlas, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists, records, dates, decimals and bytes beside the points stay what they are."""
    others = {
        "list": pa.array([["a"], None, [], ["b", "c"], ["d"]]),
        "fixed": pa.array([[1.0, 2.0]] * 5, pa.list_(pa.float64(), 2)),
        "record": pa.array([{"a": 1, "b": "x"}] * 5),
        "map": pa.array([[("a", 1)]] * 5, pa.map_(pa.string(), pa.int64())),
        "date": pa.array([date(2020, 1, 1 + place) for place in range(5)]),
        "time": pa.array([time(1, 2), None] + [time(3, 4)] * 3),
        "decimal": pa.array([Decimal("1.25")] * 4 + [None]),
        "bytes": pa.array([b"ab", None, b"", b"\xff", b"c"]),
        "whole": pa.array([None, None, None, 1, 2]),
    }
    places = {"x": pa.array([7100.0] * 5), "y": [Decimal(3870)] * 5, "z": [4500] * 5}
    source = tmp_path / "cells.parquet"
    parquet.write_table(pa.table({**places, **others}), source)
    monkeypatch.setattr(points_batches, "ROWS", 2)
    assert lookup_to(atlas, source, tmp_path / "answers.parquet") == 5
    found = parquet.read_table(tmp_path / "answers.parquet")
    assert found["acronym"].to_pylist() == ["TH"] * 5
    for name, column in others.items():
        assert found[name].to_pylist() == column.to_pylist(), name
    lookup_to(atlas, source, tmp_path / "answers.json")
    rows = json.loads((tmp_path / "answers.json").read_text())
    assert [row["list"] for row in rows] == others["list"].to_pylist()
    assert rows[0]["date"] == "2020-01-01"
