"""Points read some at a time are those that are read whole."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.points_batches import open_points
from bg_atlasapi.formats.points_files import PointsTable, read_points


def batches(source: Any, rows: int, **options: Any) -> list[PointsTable]:
    """Return all batches of a source."""
    with open_points(source, rows=rows, **options) as found:
        return list(found)


@pytest.fixture
def table() -> pd.DataFrame:
    """Return points among columns whose types only all rows together tell."""
    frame = pd.DataFrame(np.random.default_rng(0).random((100, 3)), columns=["x", "y", "z"])
    frame["whole"] = range(100)
    frame["missing"] = pd.array([*range(90), None, *range(91, 100)], "Int64")
    frame["late text"] = [*map(str, range(99)), "z"]
    frame["flag"] = [*[True] * 99, None]
    frame["name"] = "NA"
    return frame


@pytest.mark.parametrize("rows", [1, 7, 30, 100, 1000])
@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet"])
def test_batches_are_the_whole(tmp_path: Path, table: pd.DataFrame, kind: str, rows: int) -> None:
    """Same points, same columns, same text when written; the same types in every batch."""
    path = tmp_path / f"cells.{kind}"
    if kind == "parquet":
        table.to_parquet(path, row_group_size=40)
    else:
        table.to_csv(path, sep="\t" if kind == "tsv" else ",", index=False)
    whole, parts = read_points(path), batches(path, rows)
    assert (np.concatenate([part.points for part in parts]) == whole.points).all()
    assert max(len(part.table) for part in parts) <= rows
    assert len({tuple(map(str, part.table.dtypes)) for part in parts}) == 1
    joined = pd.concat([part.table for part in parts], ignore_index=True)
    assert joined.to_csv() == whole.table.to_csv()
    bare = batches(path, rows, bare=True)
    assert (np.concatenate([part.points for part in bare]) == whole.points).all()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<i2"])
def test_arrays(tmp_path: Path, order: Any, dtype: str) -> None:
    """Arrays of any order and byte order are read by rows; more than three columns too."""
    path = tmp_path / "cells.npy"
    array = (np.random.default_rng(1).random((50, 3)) * 99).astype(dtype, order=order)
    np.save(path, array)
    for rows in (1, 20, 99):
        found = np.concatenate([part.points for part in batches(path, rows)])
        assert (found == array.astype(float)).all()
    with path.open("rb") as stream:
        assert len(batches(io.BytesIO(stream.read()), 20, file_format="npy")[0].points) == 50
    np.save(path, np.zeros((4, 2)))
    with pytest.raises(InvalidInputError, match="not \\(N, 3\\)"):
        batches(path, 9)


@pytest.mark.parametrize("text", ["x,y,z\n", "1,2,3\n", "x,y,z,t\n1,2,3,a\n"])
def test_few_rows(tmp_path: Path, text: str) -> None:
    """There is a batch, with its columns, even of a table without rows."""
    path = tmp_path / "cells.csv"
    path.write_text(text)
    parts = batches(path, 5)
    assert len(parts) == 1
    assert parts[0].table.columns.tolist() == read_points(path).table.columns.tolist()


def test_a_pipe_is_read_by_batches() -> None:
    """What cannot be sought is kept beside memory, and read as a file would be."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_place: int) -> int:
            raise io.UnsupportedOperation

    parts = batches(Pipe(b"1,2,3\n4,5,6\n7,8,9\n"), 2)
    assert [part.points.tolist() for part in parts] == [[[1, 2, 3], [4, 5, 6]], [[7, 8, 9]]]


def test_cells_of_cellfinder_come_in_batches(tmp_path: Path) -> None:
    """Markers are cut into batches of any length, each with the type of its group."""
    marker = "<Marker><MarkerX>{}</MarkerX><MarkerY>1</MarkerY><MarkerZ>2</MarkerZ></Marker>"
    groups = "".join(
        f"<Marker_Type><Type>{kind}</Type>{''.join(map(marker.format, range(kind)))}</Marker_Type>"
        for kind in (4, 0, 7)
    )
    path = tmp_path / "cells.xml"
    path.write_text(f"<CellCounter_Marker_File>{groups}</CellCounter_Marker_File>")
    whole = read_points(path)
    assert whole.points[:, 2].tolist() == [*range(4), *range(7)]
    assert whole.table["Type"].tolist() == ["4"] * 4 + ["7"] * 7
    for rows in (1, 3, 11, 99):
        parts = batches(path, rows)
        assert max(len(part.table) for part in parts) <= rows
        joined = pd.concat([part.table for part in parts], ignore_index=True)
        pd.testing.assert_frame_equal(joined, whole.table)


def test_memory_does_not_grow_with_cells_of_cellfinder(tmp_path: Path) -> None:
    """Counting takes a small part of the memory that the file takes on disk."""
    marker = "<Marker><MarkerX>1</MarkerX><MarkerY>1</MarkerY><MarkerZ>2</MarkerZ></Marker>\n"
    path = tmp_path / "cells.xml"
    text = f"<Marker_Type><Type>1</Type>{marker * 60_000}</Marker_Type>"
    path.write_text(f"<CellCounter_Marker_File>{text}</CellCounter_Marker_File>")
    tracemalloc.start()
    with open_points(path, rows=500) as parts:
        assert sum(len(part.points) for part in parts) == 60_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < path.stat().st_size / 2


@pytest.mark.parametrize("step", [1, -3])
def test_a_stated_index_is_read_by_batches(tmp_path: Path, step: int) -> None:
    """Numbered rows, whose numbers Parquet does not store, are cut like any others."""
    frame = pd.DataFrame(np.random.default_rng(0).random((10, 3)), columns=["x", "y", "z"])
    path = tmp_path / "cells.parquet"
    frame.set_axis(pd.RangeIndex(7, 7 + 10 * step, step, name="cell")).to_parquet(path)
    parts = batches(path, 3)
    assert max(len(part.table) for part in parts) == 3
    joined = pd.concat([part.table for part in parts], ignore_index=True)
    pd.testing.assert_frame_equal(joined, read_points(path).table)


def test_large_numbers_in_text_are_not_rounded(tmp_path: Path) -> None:
    """Ids of 64 bits, some past the largest with a sign, are written as they were."""
    path = tmp_path / "cells.csv"
    ids = ["9007199254740993", "12345678901234567891"]
    path.write_text("cell,x,y,z\n" + "".join(f"{one},1,2,3\n" for one in ids))
    found = [cell for part in batches(path, 1) for cell in part.table["cell"].astype(str)]
    assert found == ids


def test_indices_in_parquet(tmp_path: Path) -> None:
    """An index with a name is a column, one without is dropped, as when the file is read whole."""
    frame = pd.DataFrame({"y": pd.array([1, None, 3], "Int64"), "z": [1, 2, 3]})
    path = tmp_path / "cells.parquet"
    for index in (pd.Index([7, 8, 9], name="x"), pd.RangeIndex(5, 8, name="x")):
        frame.set_axis(index).to_parquet(path)
        whole = read_points(path)
        parts = batches(path, 2)
        points = np.concatenate([part.points for part in parts])
        np.testing.assert_array_equal(points, whole.points)
        assert parts[0].table.columns.tolist() == whole.table.columns.tolist()
    frame.assign(w=1.5).set_axis([7, 8, 9]).to_parquet(path)
    assert batches(path, 2, columns=["y", "z", "w"])[0].table.columns.tolist() == ["y", "z", "w"]


@pytest.mark.parametrize("kind", ["csv", "parquet", "npy", "xml"])
def test_damage_is_one_error(tmp_path: Path, kind: str) -> None:
    """Files of noise, and empty ones, are refused with their name."""
    path = tmp_path / f"cells.{kind}"
    for content in (b"", b"\x00\xff\xfe broken"):
        path.write_bytes(content)
        with pytest.raises(InvalidInputError, match="cells"):
            batches(path, 5)


def test_longer_rows_far_down_are_refused(tmp_path: Path) -> None:
    """A row with more fields than the header is an error in any batch."""
    path = tmp_path / "cells.csv"
    path.write_text("x,y,z\n" + "1,2,3\n" * 20 + "1,2,3,4\n")
    with pytest.raises(InvalidInputError, match="cells.csv cannot be read"):
        batches(path, 5)


def test_a_reader_that_stops_midway_leaves_nothing_open(tmp_path: Path) -> None:
    """The file is closed, quietly, when only the first batch is wanted."""
    path = tmp_path / "cells.csv"
    path.write_text("x,y,z\n" + "1,2,3\n" * 20)
    with open_points(path, rows=5) as found:
        assert len(next(found).points) == 5
    path.unlink()
