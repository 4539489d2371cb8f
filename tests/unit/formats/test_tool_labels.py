"""What ITK-SNAP, Slicer and readers of structure graphs and tables are given."""

from __future__ import annotations

import csv
import io
import json
import shlex
import sys
import warnings
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import pandas as pd
import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.core import Atlas
from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.tools import compact
from bg_atlasapi.formats.tools.base import Region
from bg_atlasapi.formats.tools.structure_files import structure_graph, structure_table
from bg_atlasapi.testing import TINY_STRUCTURES, tiny_components, tiny_package, write_package

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import SimpleITK


def rows_of(path: Path) -> list[dict[str, str]]:
    """Read a table."""
    with path.open(encoding="utf-8", newline="") as file:
        return [*csv.DictReader(file)]


@pytest.fixture(params=["package", "store", "asymmetric", "phantom"])
def atlas(request: pytest.FixtureRequest, tmp_path: Path) -> Atlas:
    """Return one atlas after the other."""
    if request.param == "phantom":
        return BrainGlobeAtlas("phantom_mouse_100um")
    if request.param == "package":
        return Atlas.from_path(tiny_package(tmp_path, resolution=(50, 25, 12.5), orientation="pil"))
    if request.param == "store":
        return Atlas.from_path(tiny_components(tmp_path))
    return Atlas.from_path(tiny_package(tmp_path, symmetric=False))


def test_itk_snap(atlas: Atlas, tmp_path: Path) -> None:
    """A label of 16 bits a structure; file, image and table agree; ids come back from them."""
    folder = atlas.export(tmp_path / "out", format="itksnap")
    labels = np.asarray(nibabel.load(folder / "labels.nii.gz").dataobj)
    rows = rows_of(folder / "labels.csv")
    assert labels.dtype == np.uint16
    assert [int(row["label"]) for row in rows] == [*range(1, len(atlas.structures_list) + 1)]
    ids = np.array([0, *(int(row["id"]) for row in rows)])
    assert np.array_equal(ids[labels], atlas.annotation)
    lines = (folder / "labels.txt").read_text(encoding="utf-8").splitlines()
    parsed = [shlex.split(line) for line in lines if not line.startswith("#")]
    assert parsed[0][0] == "0"
    for words, row in zip(parsed[1:], rows, strict=True):
        one = atlas.structures[int(row["id"])]
        label, red, green, blue, alpha, visible, mesh, name = words
        assert label == row["label"]
        assert [int(red), int(green), int(blue)] == list(one["rgb_triplet"])
        assert (alpha, visible, mesh, name) == ("1", "1", "1", one["name"])
    shown = SimpleITK.ReadImage(str(folder / "template.nii.gz"))
    assert np.array_equal(SimpleITK.GetArrayFromImage(shown).T, atlas.reference)


def test_slicer(atlas: Atlas, tmp_path: Path) -> None:
    """The colour table has a line a label, names without blanks."""
    folder = atlas.export(tmp_path / "out", format="slicer")
    labels, header = nrrd.read(str(folder / "labels.nrrd"))
    rows = rows_of(folder / "labels.csv")
    ids = np.array([0, *(int(row["id"]) for row in rows)])
    assert np.array_equal(ids[labels], atlas.annotation)
    assert header["type"] == "uint16"
    lines = (folder / "labels.ctbl").read_text(encoding="utf-8").splitlines()
    parsed = [line.split() for line in lines if not line.startswith("#")]
    assert parsed[0] == ["0", "Background", "0", "0", "0", "0"]
    for words, row in zip(parsed[1:], rows, strict=True):
        one = atlas.structures[int(row["id"])]
        assert words[0] == row["label"]
        assert words[1].replace("_", " ") == one["name"]
        assert [int(part) for part in words[2:]] == [*one["rgb_triplet"], 255]


def _strange(folder: Path, labels: Any, name: str = "root") -> Atlas:
    entry = {**TINY_STRUCTURES[0], "id": 5, "structure_id_path": [5], "name": name}
    array = np.array(labels).reshape(1, 2, -1)
    return Atlas.from_path(
        write_package(
            folder,
            name="some_100um",
            annotation=array,
            reference=array.astype(np.uint16),
            structures=[{**entry, "rgb_triplet": [1, 2, 3]}],
            resolution=(100, 100, 100),
        )
    )


def test_labels_without_a_structure_are_numbered_too(tmp_path: Path) -> None:
    """They come last, in order of their ids, and none becomes background."""
    atlas = _strange(tmp_path, np.array([0, 70000, 5, 9, 9, 2**32 - 1], np.uint32))
    folder = atlas.export(tmp_path / "out", format="itksnap")
    labels = np.asarray(nibabel.load(folder / "labels.nii.gz").dataobj)
    assert labels.ravel().tolist() == [0, 3, 1, 2, 2, 4]
    assert [row["id"] for row in rows_of(folder / "labels.csv")] == [
        "5",
        "9",
        "70000",
        f"{2**32 - 1}",
    ]


def test_too_many_labels_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do instead; stacks do without the compact ones."""
    monkeypatch.setattr(compact, "MOST", 5)
    atlas = Atlas.from_path(tiny_package(tmp_path))
    for form in ("itksnap", "slicer"):
        with pytest.raises(InvalidInputError, match="6 labels.* nifti"):
            atlas.export(tmp_path / "out", format=form)
    assert [*(tmp_path / "out").iterdir()] == []
    told: list[tuple[int, int]] = []
    folder = atlas.export(
        tmp_path / "out", format="tiff", fn_update=lambda done, total: told.append((done, total))
    )
    assert not (folder / "labels.tif").exists()
    assert told[-1][0] == told[-1][1]


def test_stacks_do_without_compact_labels_that_no_structure_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels without a structure count, too."""
    monkeypatch.setattr(compact, "MOST", 2)
    atlas = _strange(tmp_path, np.array([0, 5, 6, 7], np.uint32))
    told: list[tuple[int, int]] = []
    folder = atlas.export(
        tmp_path / "out", format="tiff", fn_update=lambda done, total: told.append((done, total))
    )
    assert not (folder / "labels.tif").exists()
    assert (folder / "annotation.tif").exists()
    assert told[-1][0] == told[-1][1]


def test_names_stay_on_their_line(tmp_path: Path) -> None:
    """Quotes, tabs and line ends in a name do not break the files."""
    atlas = _strange(tmp_path, np.array([0, 5], np.uint32), name='a "b"\tc\nd#')
    text = (atlas.export(tmp_path / "o", format="itksnap") / "labels.txt").read_text()
    assert text.splitlines()[-1].endswith("\"a 'b' c d#\"")
    text = (atlas.export(tmp_path / "o", format="slicer") / "labels.ctbl").read_text()
    assert text.splitlines()[-1] == '1 a_"b"_c_d# 1 2 3 255'
    (table,) = atlas.export(tmp_path / "o", format="nifti").rglob("*_atlas-*.tsv")
    assert table.read_text().splitlines()[1] == '5\ta "b" c d#\troot\t#010203\tn/a'


def test_a_quote_at_the_start_of_a_name(tmp_path: Path) -> None:
    """Readers of tables take it for a part of the name, not for a cell that ends somewhere."""
    atlas = _strange(tmp_path, np.array([0, 5], np.uint32), name='"a" or "b')
    folder = atlas.export(tmp_path / "o", format="nifti")
    table = pd.read_csv(next(folder.rglob("*_atlas-*.tsv")), sep="\t")
    assert table["name"].to_list() == ['"a" or "b']


def flattened(graph: dict[str, Any]) -> list[tuple[dict[str, Any], list[int]]]:
    """Return the nodes of a structure graph with their paths, as its readers walk it."""
    found, waiting = [], [(node, [node["id"]]) for node in reversed(graph["msg"])]
    while waiting:
        node, path = waiting.pop()
        found.append((node, path))
        waiting += [(child, [*path, child["id"]]) for child in reversed(node["children"])]
    return found


def test_the_structure_graph(atlas: Atlas, tmp_path: Path) -> None:
    """Converted back as generators of BrainGlobe atlases do, it is the atlas's own structures."""
    path = atlas.export(tmp_path / "out", format="allen-json")
    graph = json.loads(path.read_bytes())
    assert path.name.endswith("_structure_graph.json")
    assert {key: graph[key] for key in ("success", "id", "num_rows", "total_rows")} == {
        "success": True,
        "id": 0,
        "num_rows": 1,
        "total_rows": 1,
    }
    back = {}
    for order, (node, way) in enumerate(flattened(graph)):
        assert node["graph_order"] == order
        assert node["st_level"] == len(way) - 1
        assert node["parent_structure_id"] == (way[-2] if len(way) > 1 else None)
        colour = [*bytes.fromhex(node["color_hex_triplet"])]
        back[node["id"]] = (node["acronym"], node["name"], way, colour)
    keys = ("acronym", "name", "structure_id_path", "rgb_triplet")
    assert back == {
        one["id"]: tuple(list(one[k]) if k in keys[2:] else one[k] for k in keys)
        for one in atlas.structures_list
    }


def test_a_graph_of_several_roots(tmp_path: Path) -> None:
    """Each is an entry of ``msg``, whatever order the file has; tables have no parent for it."""
    places = {8: (7, 8), 2: (1, 2), 1: (1,), 7: (7,), 9: (9,), 3: (1, 2, 3), 4: (1, 4)}
    entries = [
        {"acronym": f"a{one}", "id": one, "name": "n", "structure_id_path": [*way]}
        | {"rgb_triplet": [1, 2, 3]}
        for one, way in places.items()
    ]
    labels = np.array([*places, 0], np.uint32).reshape(2, 2, 2)
    folder = write_package(
        tmp_path,
        name="some_100um",
        annotation=labels,
        reference=labels,
        structures=entries,
        resolution=(100, 100, 100),
    )
    atlas = Atlas.from_path(folder)
    graph = json.loads(atlas.export(tmp_path / "out", format="allen-json").read_bytes())
    assert graph["num_rows"] == graph["total_rows"] == len(graph["msg"]) == 3
    assert {node["id"]: tuple(way) for node, way in flattened(graph)} == places
    rows = rows_of(atlas.export(tmp_path / "out", format="csv"))
    ways = {int(row["id"]): row["structure_id_path"].strip("/").split("/") for row in rows}
    assert {one: tuple(map(int, way)) for one, way in ways.items()} == places
    out = atlas.export(tmp_path / "out", format="itksnap")
    ids = np.array([0, *(int(row["id"]) for row in rows_of(out / "labels.csv"))])
    assert np.array_equal(ids[np.asarray(nibabel.load(out / "labels.nii.gz").dataobj)], labels)


def test_a_deep_graph_is_written() -> None:
    """Deeper than Python recurses."""
    depth = 3 * sys.getrecursionlimit()
    ways = [tuple(range(1, level + 1)) for level in range(1, depth + 1)]
    regions = [Region(way[-1], len(way) - 1 or None, "a", "n", way, (0, 0, 0)) for way in ways]
    text = structure_graph(regions).decode()
    assert text.count('"id"') == depth + 1
    assert text.endswith('"children": [' + "]}" * (depth + 1) + "\n")


def test_the_table(atlas: Atlas, tmp_path: Path) -> None:
    """A row a structure, parents first, paths as the Allen Institute spells them."""
    path = atlas.export(tmp_path / "out", format="csv")
    rows = rows_of(path)
    seen = {""}
    for row in rows:
        one = atlas.structures[int(row["id"])]
        assert (row["acronym"], row["name"]) == (one["acronym"], one["name"])
        way = one["structure_id_path"]
        assert row["structure_id_path"] == "/" + "".join(f"{part}/" for part in way)
        assert row["parent_structure_id"] == (str(way[-2]) if len(way) > 1 else "")
        assert row["parent_structure_id"] in seen
        assert row["color"] == "#{:02x}{:02x}{:02x}".format(*one["rgb_triplet"])
        seen.add(row["id"])
    assert len(rows) == len(atlas.structures_list)


def test_a_table_quotes_what_needs_it() -> None:
    """Commas, quotes and line ends come back, a bare carriage return among them."""
    regions = [Region(1, None, 'a,"b', "line\nend\rof it", (1,), (0, 0, 0))]
    (row,) = csv.DictReader(io.StringIO(structure_table(regions).decode(), newline=""))
    assert (row["acronym"], row["name"]) == ('a,"b', "line\nend\rof it")
