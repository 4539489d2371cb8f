"""Label tables that are wrong: all findings at once, or one sentence."""

from __future__ import annotations

import codecs
import contextlib
import json
import random
from pathlib import Path
from typing import Any

import pytest

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.label_tables import KINDS, LabelTable, read_label_table
from bg_atlasapi.formats.packaged import records_of
from bg_atlasapi.model.terminology import Terminology

PLAIN = "id,name,acronym\r\n1,Área préoptique,APO\r\n2,Cortex,Cx\r\n"


def read(tmp_path: Path, data: str | bytes, **options: Any) -> LabelTable:
    """Write a table, read it, and make sure that the rows are a tree whatever was in it."""
    path = tmp_path / "table.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    table = read_label_table(path, **options)
    if table.rows:
        found = Terminology(records_of(table.rows, path)).findings
        assert {one.code for one in found} <= {"duplicate-acronym"}
    return table


def told(table: LabelTable) -> dict[str, str]:
    """Return where each kind of finding is."""
    return {one.code: one.where for one in table.findings}


@pytest.mark.parametrize(
    ("data", "guessed"),
    [
        (PLAIN.encode(), False),
        (codecs.BOM_UTF8 + PLAIN.encode(), False),
        (PLAIN.encode("utf-16"), False),
        (codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"), False),
        (PLAIN.encode("utf-16-le"), False),
        (PLAIN.encode("utf-16-be"), False),
        (PLAIN.encode("utf-32"), False),
        (PLAIN.encode("latin-1"), True),
        (PLAIN.replace("\r\n", "\r").encode(), False),
        (PLAIN.replace("\r\n", "\n\n\n").encode(), False),
    ],
    ids=[
        "utf8",
        "bom",
        "utf16",
        "utf16be-bom",
        "utf16le",
        "utf16be",
        "utf32",
        "latin1",
        "cr",
        "lf",
    ],
)
def test_any_encoding_and_line_end(tmp_path: Path, data: bytes, guessed: bool) -> None:
    """The same names; what had to be guessed is told."""
    table = read(tmp_path, data)
    assert [row["name"] for row in table.rows] == ["root", "Área préoptique", "Cortex"]
    assert ("encoding" in told(table)) is guessed


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" \n\n",
        b"\x00\x01\x02\x03" * 99,
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"PK\3\4\0\0\0\0abc",
    ],
    ids=["empty", "blank", "zeros", "png", "zip"],
)
def test_what_is_no_text_is_one_sentence(tmp_path: Path, data: bytes) -> None:
    """Empty files, pictures, spreadsheets."""
    with pytest.raises(InvalidInputError, match=r"table\.csv"):
        read(tmp_path, data)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    """A missing file and a folder are one sentence."""
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(InvalidInputError, match="cannot be read as a label table"):
            read_label_table(path)


@pytest.mark.parametrize(
    ("text", "number"),
    [("12", 12), ("12.0", 12), (" 12 ", 12), ("1.2e1", 12), ("4294967295", 2**32 - 1), ("+7", 7)],
)
def test_ids_however_they_are_spelt(tmp_path: Path, text: str, number: int) -> None:
    """Whole numbers up to 2**32 - 1, as spreadsheets and pandas write them."""
    table = read(tmp_path, f"id,name\n{text},A\n")
    assert [row["id"] for row in table.rows if row["name"] == "A"] == [number]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("4294967296", "id-out-of-range"),
        ("-1", "id-out-of-range"),
        ("1.5", "label-id"),
        ("1e30", "label-id"),
        ("1e999999999", "label-id"),
        ("abc", "label-id"),
        ("inf", "label-id"),
        ("12,5", "extra-cells"),
        ("9" * 5000, "label-id"),
        ("NaN", "missing-id"),
        ("n/a", "missing-id"),
        ("", "missing-id"),
    ],
)
def test_ids_that_are_none(tmp_path: Path, text: str, code: str) -> None:
    """Each is an error that says where; the other rows are read."""
    table = read(tmp_path, f"id,name\n{text},A\n2,B\n")
    found = next(one for one in table.findings if one.code == code)
    assert found.severity == "error"
    assert "line 2" in found.where
    assert 2 in [row["id"] for row in table.rows]


def test_all_findings_at_once(tmp_path: Path) -> None:
    """A table with everything wrong: every problem is told, and what is left is a tree."""
    text = (
        "id,name,acronym,parent,colour\n"
        "1,Brain,Br,,#FFFFFF\n"
        "2,Cortex,Cx,1,999 0 0\n"
        "2,Cortex again,Cx2,1,#000000\n"
        "3,Striatum,Cx,1,#0000zz\n"
        "4,Ring a,Ra,5,1 2 3\n"
        "5,Ring b,Rb,6,1 2 3\n"
        "6,Ring c,Rc,4,1 2 3\n"
        "7,Orphan,Or,77,1 2 3\n"
        "8,,Nn,1,1 2 3\n"
        "9,Self,Se,9,1 2 3\n"
        "x,No id,Ni,1,1 2 3\n"
        ",Heading,He,1,1 2 3\n"
        "10,Cortex,Xx,1,1 2 3,surplus\n"
    )
    table = read(tmp_path, text)
    errors = {one.code for one in table.findings if one.severity == "error"}
    warnings = {one.code for one in table.findings if one.severity == "warning"}
    notes = {one.code for one in table.findings if one.severity == "note"}
    assert notes == {"colours-made", "root-added"}
    assert errors == {
        *("duplicate-id", "duplicate-acronym", "cycle", "missing-parent"),
        *("label-id", "missing-id", "extra-cells"),
    }
    assert warnings >= {
        *("colour-unreadable", "name-missing", "duplicate-name"),
    }
    assert told(table)["cycle"] == "table.csv, line 6"
    assert len([one for one in table.findings if one.code == "colour-unreadable"]) == 2
    paths = {row["id"]: row["structure_id_path"] for row in table.rows}
    root = table.rows[0]["id"]
    assert paths[4] == [root, 4]
    assert paths[5] == [root, 4, 6, 5]
    assert {row["name"] for row in table.rows} >= {"Cortex", "Nn", "Self", "Orphan"}


def test_the_same_row_twice_is_a_warning(tmp_path: Path) -> None:
    """Nothing is lost by leaving out a copy."""
    table = read(tmp_path, "id,name\n1,A\n1,A\n2,B\n")
    found = next(one for one in table.findings if one.code == "repeated-row")
    assert found.severity == "warning"


def test_no_region_at_all(tmp_path: Path) -> None:
    """A head alone, or only outside: a finding, no rows."""
    for text in ("id,name\n", "id,name\n0,Background\n"):
        table = read(tmp_path, text)
        assert table.rows == ()
        assert [one.code for one in table.findings] == ["empty"]


def test_quotes(tmp_path: Path) -> None:
    """Commas, quotes and line ends in quotes are parts of names; a quote that never ends is told."""
    table = read(tmp_path, 'id,name\r\n1,"Area ""A"", left"\r\n2,"two\r\nlines"\r\n')
    assert [row["name"] for row in table.rows[1:]] == ['Area "A", left', "two\nlines"]
    with pytest.raises(InvalidInputError, match="no table that can be read"):
        read(tmp_path, 'id,name\n1,"A\n2,B\n')
    inches = read(tmp_path, 'index\tname\n1\t5" area\n2\t"B\n')
    assert [row["name"] for row in inches.rows[1:]] == ['5" area', '"B']


def test_label_files_with_strange_lines(tmp_path: Path) -> None:
    """Lines that are none are errors; the others are read."""
    text = '1 255 0 0 1 1 0 "A"\n' * 1 + '2 300 0 0 1 1 0 "B"\nhello\n3 1 2 3 1 1 0 "C"\n'
    table = read(tmp_path, text, kind="itksnap")
    assert [one.code for one in table.findings if one.severity == "error"] == ["label-line"]
    assert "colour-unreadable" in told(table)
    table = read(tmp_path, "1 Area one 1 2 3 0\n2 B 4 5 6\n", kind="freesurfer")
    assert [row["name"] for row in table.rows[1:]] == ["Area one", "B"]
    assert table.rows[2]["rgb_triplet"] == [4, 5, 6]


def test_hostile_json(tmp_path: Path) -> None:
    """Deep nesting, no JSON, other JSON, and fields of other types are told."""
    for text in ("{", "[" * 100_000, '{"a": 1}', "[]", "[1, 2]", '{"msg": 5, "x": 1}'):
        with pytest.raises(InvalidInputError, match=r"table\.csv"):
            read(tmp_path, text)
    with pytest.raises(InvalidInputError, match="children that are no list"):
        read(tmp_path, json.dumps({"id": 1, "name": "a", "children": {"id": 2}}))
    wrong = [
        {"id": "x", "acronym": "a", "name": "a", "structure_id_path": [1]},
        {"id": 1, "acronym": None, "name": None, "structure_id_path": [1], "rgb_triplet": "blue"},
        {"id": 2.0, "acronym": "b", "name": "b", "structure_id_path": 7, "rgb_triplet": [1, 2]},
        {"id": True, "structure_id_path": [1]},
        {"structure_id_path": [1]},
        {"id": 3, "acronym": "c", "name": "c", "structure_id_path": [9, 1, 3]},
    ]
    table = read(tmp_path, json.dumps(wrong))
    assert set(told(table)) >= {
        *("label-id", "name-missing", "colour-unreadable", "structure-path", "missing-id"),
        "path-mismatch",
    }


def test_trees_deeper_than_any_brain(tmp_path: Path) -> None:
    """A chain of 20,000 regions would need a path of 20,000 ids each: it is refused at once."""
    rows = "\n".join(f"{number},R{number},{number - 1}" for number in range(1, 20_001))
    with pytest.raises(InvalidInputError, match="levels deep"):
        read(tmp_path, f"id,name,parent\n{rows}\n")
    with pytest.raises(InvalidInputError, match="levels deep"):
        read(tmp_path, "id,name,path\n1,A,{}\n".format("/".join("x" * 5000)))
    node: dict[str, Any] = {"id": 1, "name": "a"}
    for number in range(2, 400):
        node = {"id": number, "name": "a", "children": [node]}
    with pytest.raises(InvalidInputError, match="levels deep"):
        read(tmp_path, json.dumps(node))


def test_terminology_with_errors(tmp_path: Path) -> None:
    """What its own reader refuses becomes findings, all of them."""
    head = "identifier,parent_identifier,annotation_value,name,abbreviation,color_hex_triplet\n"
    table = read(tmp_path, f"{head}1,,x,A,a,#FFFFFF\n2,1,y,B,b,#GGGGGG\n")
    assert table.rows == ()
    assert len(table.findings) >= 2
    assert {one.severity for one in table.findings} == {"error"}


def test_changed_bytes_never_escape(tmp_path: Path, samples: dict[str, str]) -> None:
    """Bytes cut, changed and put in at random, read as any kind: a tree, findings or one sentence."""
    rng = random.Random(11)
    texts = [*samples.values(), PLAIN]
    bits = [b"\0", b"\n", b'"', b",", b"\t", b"-1", b"NaN", b"1e9", b"null", b"\xff", b"/", b"  "]
    for _ in range(400):
        data = bytearray(rng.choice(texts).encode())
        for _ in range(rng.randint(1, 4)):
            start = rng.randrange(len(data) + 1)
            data[start : start + rng.choice([0, 1, 4])] = rng.choice(bits)
        with contextlib.suppress(InvalidInputError):
            read(tmp_path, bytes(data), kind=rng.choice([None, None, *KINDS]))


def test_long_lines_take_no_time(tmp_path: Path) -> None:
    """A million blanks between numbers would keep a regular expression busy for days."""
    for text in (f"1 {' ' * 1_000_000}x", f'1 2 3 4 5 6 7 {" " * 1_000_000}"', "1 " * 500_000):
        with pytest.raises(InvalidInputError):
            read(tmp_path, text)
        table = read(tmp_path, text, kind="freesurfer")
        assert "label-line" in told(table)
