"""Every kind of label table: recognised by what is in it, and read as one tree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.label_tables import KINDS, LabelTable, read_label_table
from bg_atlasapi.formats.packaged import records_of
from bg_atlasapi.model.terminology import Terminology


def read(tmp_path: Path, text: Any, name: str = "table.txt", **options: Any) -> LabelTable:
    """Write a table, read it, and make sure that an atlas takes the rows as they are."""
    path = tmp_path / name
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    table = read_label_table(path, **options)
    if table.rows:
        assert Terminology(records_of(table.rows, path)).findings == ()
    return table


def by_id(table: LabelTable) -> dict[int, dict[str, Any]]:
    """Return the rows by id."""
    return {row["id"]: row for row in table.rows}


def codes(table: LabelTable) -> list[str]:
    """Return the codes of the findings."""
    return [one.code for one in table.findings]


@pytest.mark.parametrize(
    ("kind", "id_", "expected"),
    [
        ("itksnap", 1, ("corticofugal tract, corona radiata", [255, 52, 39], [997, 1])),
        ("freesurfer", 1001, ("ctx-lh-bankssts", [25, 100, 40], [997, 1001])),
        ("slicer", 5, ("Primary visual area", [10, 20, 30], [997, 5])),
        ("bids", 2, ("Area A1/A2", [7, 8, 64], [997, 2])),
        ("allen-csv", 8, ("Basic cell groups, regions", [1, 147, 153], [997, 8])),
        ("allen-graph", 8, ("Grey", [191, 218, 227], [997, 8])),
        ("brainglobe-json", 5, ("Region a", [1, 2, 3], [1, 5])),
        ("terminology-csv", 8, ("Grey", [191, 218, 227], [997, 8])),
    ],
)
def test_each_kind_is_recognised(
    tmp_path: Path, samples: dict[str, str], kind: str, id_: int, expected: tuple[Any, ...]
) -> None:
    """By content, whatever the file is called; and the same if the kind is stated."""
    table = read(tmp_path, samples[kind])
    assert table.kind == kind
    row = by_id(table)[id_]
    assert (row["name"], row["rgb_triplet"], row["structure_id_path"]) == expected
    assert 0 not in by_id(table)
    assert table.rows[0]["structure_id_path"] == [table.rows[0]["id"]]
    assert set(row) == {"id", "acronym", "name", "structure_id_path", "rgb_triplet"}
    assert read(tmp_path, samples[kind], kind=kind) == table
    assert not [one for one in table.findings if one.severity == "error"]


def test_a_structure_graph_with_and_without_its_envelope(
    tmp_path: Path, samples: dict[str, str]
) -> None:
    """The answer of the Allen Institute's server, its list of roots, and the root alone."""
    graph = json.loads(samples["allen-graph"])
    whole = read(tmp_path, graph)
    assert read(tmp_path, graph["msg"]) == read(tmp_path, graph["msg"][0]) == whole


def test_brainglobe_csv_has_no_colours(tmp_path: Path, samples: dict[str, str]) -> None:
    """They are made up, and it is told; names with commas are whole."""
    table = read(tmp_path, samples["brainglobe-csv"])
    assert table.kind == "brainglobe-csv"
    assert codes(table) == ["colours-made"]
    assert by_id(table)[8]["name"] == "Basic cell groups, regions"


def test_the_files_we_write_are_read_back(tmp_path: Path) -> None:
    """Slicer, ITK-SNAP, Allen JSON and CSV exports of the phantom: the regions it has."""
    atlas = BrainGlobeAtlas("phantom_mouse_100um", check_latest=False)
    want = {one["id"]: one for one in atlas.structures_list}
    for form in ("allen-json", "csv"):
        path = atlas.export(tmp_path / form, format=form)
        files = [path] if Path(path).is_file() else sorted(Path(path).iterdir())
        table = read_label_table(files[0])
        assert table.findings == ()
        assert by_id(table).keys() == want.keys()
        for row in table.rows:
            for key in ("acronym", "name", "structure_id_path", "rgb_triplet"):
                assert row[key] == want[row["id"]][key]


@pytest.mark.parametrize(
    "head",
    [
        "idx,name,r,g,b",
        "Label,Region,Red,Green,Blue",
        "LabelValue,Name,Color_R,Color_G,Color_B",
        '"ID","Full Name","R","G","B"',
        "id;name;red;green;blue",
        "id\tname\tred\tgreen\tblue",
    ],
)
def test_columns_are_found_by_their_names(tmp_path: Path, head: str) -> None:
    """What programs and people call them, in any delimiter."""
    delimiter = next(sign for sign in "\t;," if sign in head)
    rows = [["1", "Cortex", "255.0", "0", "10"], ["2", "Striatum", "1", "2", "3"]]
    text = "\n".join([head, *(delimiter.join(row) for row in rows)])
    table = read(tmp_path, text)
    assert table.kind == "csv"
    assert by_id(table)[1]["name"] == "Cortex"
    assert by_id(table)[1]["rgb_triplet"] == [255, 0, 10]
    assert codes(table) == ["root-added", "acronyms-made"]


def test_columns_that_are_stated(tmp_path: Path) -> None:
    """They count, others are not looked at; one that is not there is a finding with a close name."""
    text = "Nummer,Bezeichnung,Kürzel,Farbe,name\n1,Rinde,Ri,#010203,x\n2,Streifen,St,4 5 6,y\n"
    columns = {"id": "Nummer", "name": "Bezeichnung", "acronym": "Kürzel", "colour": "Farbe"}
    table = read(tmp_path, text, columns=columns)
    assert by_id(table)[2] == {
        "id": 2,
        "acronym": "St",
        "name": "Streifen",
        "structure_id_path": [997, 2],
        "rgb_triplet": [4, 5, 6],
    }
    table = read(tmp_path, text, columns={"id": "Numer", "name": "Bezeichnung"})
    assert table.rows == ()
    assert "Did you mean 'Nummer'" in str(table.findings[0])
    with pytest.raises(InvalidInputError, match="cannot hold 'ident'"):
        read(tmp_path, text, columns={"ident": "Nummer"})
    with pytest.raises(InvalidInputError, match="no column of ids.*Bezeichnung.*State them"):
        read(tmp_path, text)
    with pytest.raises(InvalidInputError, match="no column of names"):
        read(tmp_path, text, columns={"id": "Nummer"})
    with pytest.raises(InvalidInputError, match="goes with the kind"):
        read(tmp_path, text, kind="itksnap", columns=columns)
    with pytest.raises(InvalidInputError, match="no kind of label table"):
        read(tmp_path, text, kind="xlsx")
    assert len(KINDS) == 10


@pytest.mark.parametrize("by", ["id", "acronym", "name"])
def test_parents_are_ids_acronyms_or_names(tmp_path: Path, by: str) -> None:
    """A parent column is followed whatever it holds; the only top is the root."""
    rows = [(10, "Brain", "Br", ""), (20, "Cortex", "Cx", 0), (30, "Area 1", "A1", 1)]
    cells = ["id,name,acronym,parent"]
    for number, name, acronym, parent in rows:
        above = rows[parent] if parent != "" else None
        stated = dict(zip(("id", "name", "acronym"), above, strict=False))[by] if above else "NA"
        cells.append(f"{number},{name},{acronym},{stated}")
    table = read(tmp_path, "\n".join(cells))
    assert [row["structure_id_path"] for row in table.rows] == [[10], [10, 20], [10, 20, 30]]
    assert codes(table) == ["root-renamed", "colours-made"]
    assert table.made_ids == ()


def test_a_region_called_na_is_one(tmp_path: Path) -> None:
    """NA is the nucleus ambiguus, as acronym and as parent; beside it NA means none."""
    text = "id,name,acronym,parent\n1,Brain,Br,NA\n2,Ambiguus,Nam,Br\n"
    assert by_id(read(tmp_path, text))[1]["structure_id_path"] == [1]
    text = "id,name,acronym,parent\n1,Brain,Br,\n2,Nucleus ambiguus,NA,Br\n3,External,E,NA\n"
    assert by_id(read(tmp_path, text))[3]["structure_id_path"] == [1, 2, 3]


@pytest.mark.parametrize("sign", ["/{}", "{}", "/{}/"], ids=["leading", "plain", "both"])
def test_paths_of_names_become_trees(tmp_path: Path, sign: str) -> None:
    """Headings that only paths name become rows with ids of their own, told."""
    paths = ["Brain/Cortex/V1", "Brain/Cortex/A1", "Brain/Striatum", "Fluid/Cortex/V1"]
    rows = [
        f"{number},{path.rsplit('/')[-1]},{sign.format(path)}"
        for number, path in enumerate(paths, start=1)
    ]
    table = read(tmp_path, "\n".join(["id,name,path", *rows]))
    names = {row["id"]: row["name"] for row in table.rows}
    ways = {row["id"]: [names[one] for one in row["structure_id_path"]] for row in table.rows}
    for number, path in enumerate(paths, start=1):
        assert ways[number] == ["root", *path.split("/")]
    made = [names[one] for one in table.made_ids]
    assert made == ["root", "Cortex", "Brain", "Cortex", "Fluid"]
    assert "ids-made" in codes(table)


def test_paths_of_ids_become_trees(tmp_path: Path) -> None:
    """With or without the row itself; ids that are not listed are told, not made up."""
    text = "id,name,structure_id_path\n1,Brain,/1/\n2,Cortex,/1/\n3,V1,/1/2/3/\n4,Lost,/1/9/4/\n"
    table = read(tmp_path, text, kind="csv")
    assert [row["structure_id_path"] for row in table.rows] == [[1], [1, 2], [1, 2, 3], [1, 4]]
    assert "missing-parent" in codes(table)


@pytest.mark.parametrize("blank", ["  ", "\t", "    "])
def test_indented_names_become_trees(tmp_path: Path, blank: str) -> None:
    """Blanks before names are levels; headings may lack ids."""
    text = (
        "id,name\n"
        ',"Brain"\n'
        f'1,"{blank}Cortex"\n'
        f'2,"{blank}{blank}V1"\n'
        f'3,"{blank}{blank}A1"\n'
        f'4,"{blank}Striatum"\n'
    )
    table = read(tmp_path, text)
    brain = table.made_ids[0]
    paths = {row["name"]: row["structure_id_path"] for row in table.rows}
    assert paths["V1"] == [brain, 1, 2]
    assert paths["Striatum"] == [brain, 4]
    stated = read(tmp_path, text, columns={"id": "id", "name": "name", "indent": "name"})
    assert stated.rows == table.rows
    assert read(tmp_path, text, columns={"id": "id", "indent": "name"}).rows == stated.rows


def test_levels_become_trees(tmp_path: Path) -> None:
    """A column of depths, if it is stated, says the same as indentation."""
    text = "id,name,level\n1,Brain,0\n2,Cortex,1\n3,V1,2\n4,Striatum,1\n"
    columns = {"id": "id", "name": "name", "depth": "level"}
    table = read(tmp_path, text, columns=columns)
    assert [row["structure_id_path"] for row in table.rows] == [[1], [1, 2], [1, 2, 3], [1, 4]]
    wrong = read(tmp_path, text.replace("V1,2", "V1,x"), columns=columns)
    assert "label-depth" in codes(wrong)


def test_slashes_in_names_are_no_paths(tmp_path: Path) -> None:
    """A1/A2 is an area, and FRP2/3 a layer."""
    table = read(tmp_path, "index\tname\n1\tA1/A2\n2\tA1\n3\tA2\n")
    assert [row["structure_id_path"] for row in table.rows[1:]] == [[997, 1], [997, 2], [997, 3]]


def test_roots(tmp_path: Path) -> None:
    """One is added where there is none, never with an id that is used by a row or a label."""
    flat = "id,name\n{}\n1,A\n2,B\n"
    assert read(tmp_path, flat.format("3,C")).made_ids == (997,)
    assert read(tmp_path, flat.format("997,C")).made_ids == (998,)
    assert read(tmp_path, flat.format("3,C"), taken={997, 1500}).made_ids == (1501,)
    full = read(tmp_path, flat.format("997,C"), taken={2**32 - 1})
    assert full.made_ids == (3,)
    named = read(tmp_path, flat.format("50,Root"))
    assert named.made_ids == ()
    assert [row["structure_id_path"] for row in named.rows] == [[50], [50, 1], [50, 2]]
    assert (named.rows[0]["acronym"], named.rows[0]["name"]) == ("root", "Root")
    several = read(tmp_path, "id,name,parent\n1,root,\n2,A,1\n3,B,\n")
    assert "tops-joined" in codes(several)
    assert by_id(several)[3]["structure_id_path"] == [1, 3]
    brain = read(tmp_path, "id,name,parent\n1,Brain,\n2,A,1\n")
    assert brain.rows[0]["acronym"] == "root"  # other libraries do not open an atlas without one
    forest = read(tmp_path, "id,name,parent\n1,A,\n2,B,1\n3,C,\n")
    assert forest.made_ids == (997,)
    assert by_id(forest)[2]["structure_id_path"] == [997, 1, 2]


def test_what_is_made_up_is_the_same_each_time(tmp_path: Path) -> None:
    """Acronyms are short and no two alike; a new row changes those only that it collides with."""
    text = "id,name\n1,Nucleus of the lateral olfactory tract\n2,V1\n3,Septal region\n"
    first = by_id(read(tmp_path, text))
    assert [first[one]["acronym"] for one in (1, 2, 3)] == ["Nlot", "V1", "Sr"]
    assert read(tmp_path, text).rows == tuple(first.values())
    second = by_id(read(tmp_path, f"{text}4,Stria region\n5,Stria\n"))
    assert [second[one]["acronym"] for one in (1, 2, 3, 4)] == ["Nlot", "V1", "Sr_3", "Sr_4"]
    assert second[1] == first[1]
    colours = {tuple(row["rgb_triplet"]) for row in second.values()}
    assert len(colours) == len(second)
