"""Reading and writing tables of points."""

from __future__ import annotations

import io
import json
import signal
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats import points_files, table_files
from bg_atlasapi.formats.points_files import read_points

SHARED = Path(__file__).parents[3].parent / "shared" / "data" / "points"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")

POINTS = np.array([[2860.1, 2467.0, 3813.0], [4060.0, 1867.25, 4407.0]])
XML = """<?xml version="1.0" encoding="UTF-8"?>
<CellCounter_Marker_File><Marker_Data><Marker_Type><Type>2</Type>
<Marker><MarkerX>1</MarkerX><MarkerY>2</MarkerY><MarkerZ>3</MarkerZ></Marker>
<Marker><MarkerX>4</MarkerX><MarkerY>5</MarkerY><MarkerZ>6</MarkerZ></Marker>
</Marker_Type></Marker_Data></CellCounter_Marker_File>
"""


def _csv(text: str, **options: object) -> points_files.PointsTable:
    return read_points(io.BytesIO(text.encode()), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("extension", ["csv", "tsv", "parquet", "npy"])
def test_every_format_gives_the_same_points(tmp_path: Path, extension: str) -> None:
    """The same numbers in any format are the same float64 points, to the last digit."""
    path = tmp_path / f"cells.{extension.upper()}"
    frame = pd.DataFrame(POINTS, columns=["x", "y", "z"])
    if extension == "npy":
        with path.open("wb") as file:
            np.save(file, POINTS)
    else:
        table_files.write_table(frame, path)
    found = read_points(path)
    assert found.points.dtype == np.float64
    np.testing.assert_array_equal(found.points, POINTS)
    assert found.coordinates == ("x", "y", "z")
    assert found.unit is None
    pd.testing.assert_frame_equal(found.table, frame)


def test_cellfinder_axes(tmp_path: Path) -> None:
    """Markers are voxels; Z is the first axis of the image and X the last."""
    path = tmp_path / "cells.xml"
    path.write_text(XML)
    found = read_points(path)
    assert found.points.tolist() == [[3, 2, 1], [6, 5, 4]]
    assert found.unit == "voxel"
    assert found.table["Type"].tolist() == ["2", "2"]


def test_cellfinder_without_markers(tmp_path: Path) -> None:
    """No cell found is a result: zero points."""
    path = tmp_path / "cells.xml"
    path.write_text("<CellCounter_Marker_File/>")
    assert read_points(path).points.shape == (0, 3)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("x,y,z", (1, 2, 3)),
        ("Z,y,X", (3, 2, 1)),
        ("DV,AP,ML", (2, 1, 3)),
        ("ap,dv,lr", (1, 2, 3)),
        ("depth,row,column", (1, 2, 3)),
        (" x , y , z ", (1, 2, 3)),
    ],
)
def test_coordinates_are_found_by_name(header: str, expected: tuple[int, ...]) -> None:
    """Known names give the order, case ignored; else the only three columns of numbers do."""
    assert _csv(f"{header}\n1,2,3\n").points.tolist() == [[*map(float, expected)]]


def test_other_columns_do_not_disturb() -> None:
    """An unnamed index, text and further numbers are kept and are no coordinates."""
    found = _csv(",x,y,z,region,score\n0,1,2,3,NA,0.5\n1,4,5,6,,0.25\n")
    assert found.points.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert found.table.columns.tolist() == ["", "x", "y", "z", "region", "score"]
    assert found.table["region"].iloc[0] == "NA"
    assert _csv(",p,q,r\n0,1,2,3\n").points.tolist() == [[1, 2, 3]]


def test_no_header() -> None:
    """A first row of numbers is a point; an unnamed index before 0, 1, 2 is a header."""
    assert _csv("1,2,3\n4,5,6\n").points.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert _csv("\ufeff1,2,3\n").points.tolist() == [[1, 2, 3]]
    assert _csv(",0,1,2\n0,7,8,9\n").points.tolist() == [[7, 8, 9]]
    assert _csv("9,1,2,3\n", columns=["1", "2", "3"]).points.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("cell", ["", "nan", "NaN", "NA", "null", " n/a"])
def test_missing_coordinates_are_nan(cell: str) -> None:
    """However a table writes "no value", the coordinate is NaN and the row stays."""
    points = _csv(f"x,y,z\n1,{cell},3\n4,5,6\n").points
    np.testing.assert_array_equal(points, [[1, np.nan, 3], [4, 5, 6]])
    assert np.isnan(_csv(f"1,{cell},3\n").points[0, 1])


def test_extreme_numbers_are_points() -> None:
    """Negative, huge and infinite coordinates are read, not refused."""
    points = _csv("x,y,z\n-5,inf,1e300\n-inf,0,-1e300\n").points
    assert points.tolist() == [[-5, np.inf, 1e300], [-np.inf, 0, -1e300]]


def test_chosen_columns() -> None:
    """Columns can be named, in any case and order, or counted from 0."""
    text = "a,b,c,d\n1,2,3,4\n"
    assert _csv(text, columns=["D", "b", "a"]).points.tolist() == [[4, 2, 1]]
    assert _csv(text, columns=[3, "1", 0]).coordinates == ("d", "b", "a")
    for columns, complaint in (
        (["a", "b"], "three different columns"),
        (["a", "b", "a"], "three different columns"),
        (["a", "b", "e"], "no column 'e'; it has: a, b, c, d"),
        (["a", "b", "4"], "no column '4'"),
    ):
        with pytest.raises(InvalidInputError, match=complaint):
            _csv(text, columns=columns)


def test_a_header_alone_is_zero_points() -> None:
    """A table without rows is a table."""
    assert _csv("x,y,z\n").points.shape == (0, 3)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("x,y,z\n1,b,3\n", "'y' must hold numbers, but row 1 says 'b'"),
        ("x,y,z\n1,2,True\n", "'z' must hold numbers"),
        ("a,b\n1,2\n", "no columns x, y, z .* Found: a, b"),
        ("a,b,c,d\n1,2,3,4\n", "Found: a, b, c, d"),
        ("x;y;z\n1,5;2;3\n", "';' is between its fields, not ','"),
        ("x\ty\tz\n1\t2\t3\n", r"'\\t' is between its fields, not ',' \(--format tsv\)"),
        ("x,X,y,z\n1,2,3,4\n", "Found: x, X, y, z"),
        ("x,y,z\n1,2,3,4\n", "more fields than its header"),
        ("x,y,z\n1,2,3\n1,2,3,4\n", "Expected 3 fields in line 3, saw 4"),
    ],
)
def test_wrong_tables(text: str, complaint: str) -> None:
    """What is wrong with a table is said in one sentence that names the source."""
    with pytest.raises(InvalidInputError, match=complaint) as caught:
        _csv(text)
    assert str(caught.value).startswith("the stream")


def test_an_interrupt_is_not_a_damaged_file() -> None:
    """Ctrl-C while a table is read ends the work; it is not said to be an error in the file."""

    class Interrupted(io.BytesIO):
        reads = 0

        def read(self, size: int | None = -1) -> bytes:
            self.reads += 1
            if self.reads > 2:
                signal.raise_signal(signal.SIGINT)
            return super().read(size)

        read1 = read

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            read_points(Interrupted(b"x,y,z\n" + b"1,2,3\n" * 300_000))
    finally:
        signal.signal(signal.SIGINT, before)


def test_wrong_arrays(tmp_path: Path) -> None:
    """Pickled objects are never loaded; text, complex numbers and other shapes are refused."""
    for array, complaint in (
        (np.array([[1, 2, None]], dtype=object), "allow_pickle=False"),
        (np.array([["1", "2", "3"]]), "not real numbers"),
        (np.ones((2, 3), complex), "not real numbers"),
        (np.arange(3.0), r"shape is \(3,\), not \(N, 3\)"),
        (np.ones((3, 2)), "not"),
    ):
        path = tmp_path / "points.npy"
        np.save(path, array, allow_pickle=True)
        with pytest.raises(InvalidInputError, match=complaint):
            read_points(path)
    np.save(path, POINTS.astype(">f4"))
    np.testing.assert_array_equal(read_points(path).points, POINTS.astype("f4"))


@pytest.mark.parametrize("extension", [*points_files.FORMATS, "foo", ""])
def test_wrong_files(tmp_path: Path, extension: str) -> None:
    """Missing, empty, damaged and unknown files, and folders, are an error that names them."""
    path = tmp_path / (f"points.{extension}" if extension else "points")
    with pytest.raises(InvalidInputError, match=str(path)):
        read_points(path)
    for content in (b"", b"\xff\xfe\x00garbage\x00\x01", b"PAR1\x00\x00PAR1", b"\x93NUMPY\x01\x00"):
        path.write_bytes(content)
        with pytest.raises(InvalidInputError, match=str(path)):
            read_points(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(InvalidInputError, match=str(path)):
        read_points(path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (XML[:-27], "no element found"),
        ("<markers/>", "its root is <markers>"),
        (XML.replace(">5<", ">five<"), "a marker of type 2 is at"),
        (XML.replace("<MarkerY>5</MarkerY>", ""), "a marker of type 2 is at"),
        (
            '<!DOCTYPE a [<!ENTITY b "x">]><CellCounter_Marker_File>&b;</CellCounter_Marker_File>',
            "DOCTYPE",
        ),
    ],
)
def test_wrong_xml(tmp_path: Path, text: str, complaint: str) -> None:
    """Broken XML, other XML, markers without numbers, and entity bombs are refused."""
    path = tmp_path / "cells.xml"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=complaint):
        read_points(path)


def test_parquet_details(tmp_path: Path) -> None:
    """An index with a name is a column; missing integers are NaN; repeated names are refused."""
    path = tmp_path / "cells.parquet"
    frame = pd.DataFrame({"y": pd.array([1, None], "Int64"), "z": [1, 2]})
    frame.index = pd.Index([7, 8], name="x")
    frame.to_parquet(path)
    found = read_points(path)
    np.testing.assert_array_equal(found.points, [[7, 1, 1], [8, np.nan, 2]])


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, both reading and writing parquet say what to install."""
    path = tmp_path / "cells.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    for action in (read_points, table_files.check_output):
        with pytest.raises(InvalidInputError, match=r'pip install "bg-atlasapi\[parquet\]"'):
            action(path)


def test_a_stream_that_cannot_seek() -> None:
    """Pipes and other formats on a stream work."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: object) -> int:
            raise io.UnsupportedOperation

    assert read_points(Pipe(b"1,2,3\n")).points.tolist() == [[1, 2, 3]]
    assert read_points(Pipe(XML.encode()), file_format="xml").points.shape == (2, 3)


def test_answers_go_beside_the_input() -> None:
    """Input columns keep their names; an answer whose name is taken gets a prefix."""
    table = pd.DataFrame({"x": [1], "id": ["mine"], "atlas_id": ["too"]})
    joined = table_files.beside(table, pd.DataFrame({"id": [5], "name": ["b"]}))
    assert joined.to_dict("records") == [
        {"x": 1, "id": "mine", "atlas_id": "too", "atlas_atlas_id": 5, "name": "b"}
    ]
    assert table.columns.tolist() == ["x", "id", "atlas_id"]


def test_json_has_no_nan(tmp_path: Path) -> None:
    """NaN, infinity and missing text are null; the file is strict JSON."""
    path = tmp_path / "out.json"
    frame = pd.DataFrame({"x": [0.1, np.nan, np.inf], "c": pd.Categorical(["a", None, "b"])})
    table_files.write_table(frame, path)
    assert json.loads(path.read_text(), parse_constant=pytest.fail) == [
        {"x": 0.1, "c": "a"},
        {"x": None, "c": None},
        {"x": None, "c": "b"},
    ]


def test_a_table_is_written_whole_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up leaves the old file as it was, and nothing beside it."""
    path = tmp_path / "out.csv"
    path.write_text("old")

    def fill_up(_frame: pd.DataFrame, target: Path) -> None:
        target.write_text("ha")
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(table_files._WRITERS, "csv", fill_up)
    with pytest.raises(InvalidInputError, match="No space left on device"):
        table_files.write_table(pd.DataFrame(), path)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out.csv"]


def test_where_tables_cannot_go(tmp_path: Path) -> None:
    """An unknown extension, an absent folder and a folder are refused before any work."""
    (tmp_path / "dir.csv").mkdir()
    for name, complaint in (
        ("a.foo", "must end in"),
        ("n/a.csv", "no folder"),
        ("dir.csv", "is a folder"),
    ):
        with pytest.raises(InvalidInputError, match=complaint):
            table_files.check_output(tmp_path / name)


@needs_shared
def test_real_files() -> None:
    """The shared real files read: an index column, a text column, and two cellfinder files."""
    cells = read_points(SHARED / "cells.csv")
    assert cells.points[0].tolist() == [2860, 2467, 3813]
    regions = read_points(SHARED / "cells_with_regions.csv")
    assert regions.points[0].tolist() == [12925, 4000, 8100]
    assert regions.table["region"].iloc[0] == "PRM"
    markers = read_points(SHARED / "cellfinder" / "cells.xml")
    assert markers.points[0].tolist() == [1282, 2379, 181]
    assert set(read_points(SHARED / "cellfinder" / "cells_two_types.xml").table["Type"]) > {"2"}
