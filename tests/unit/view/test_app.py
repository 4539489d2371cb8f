"""What the viewer's server answers, compared with the atlas itself."""

from __future__ import annotations

import _thread
import json
import struct
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.errors import InvalidInputError, UnknownStructureError
from bg_atlasapi.testing import write_package
from bg_atlasapi.view import slices
from bg_atlasapi.view.local_app import LocalApp
from bg_atlasapi.view.overlays import Request
from bg_atlasapi.view.serving import Viewing, listen
from bg_atlasapi.view.viewer import Wish, position_voxel, start


def labels_of(body: bytes) -> tuple[np.ndarray, list[float]]:
    """Unroll a plane of labels, as the page does."""
    rows, columns, runs, strange = struct.unpack_from("<IIII", body)
    extra = np.frombuffer(body, "<f8", strange, 16)
    at = 16 + 8 * strange
    lengths = np.frombuffer(body, "<u4", runs, at)
    codes = np.frombuffer(body, "<u4", runs, at + 4 * runs)
    return np.repeat(codes, lengths).reshape(rows, columns), extra.tolist()


def packed(body: bytes) -> tuple[dict[str, Any], np.ndarray]:
    """Unpack an overlay, as the page does."""
    (length,) = struct.unpack_from("<I", body)
    told = json.loads(body[4 : 4 + length])
    return told, np.frombuffer(body, "<f4", offset=4 + length).reshape(-1, 3)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("prepared", [False, True])
def test_planes_are_the_annotation(
    phantom: BrainGlobeAtlas, client_of: Any, axis: int, prepared: bool
) -> None:
    """Before and after the volume is in memory, the codes of a plane are those of the annotation's ids."""
    ask = client_of(phantom)
    if prepared:
        ask.app.gallery.prepare()
    for index in (0, phantom.shape[axis] // 2, phantom.shape[axis] - 1):
        codes, extra = labels_of(ask(f"/api/labels/{axis}/{index}").body)
        ids = phantom._terminology.ids[codes]
        assert np.array_equal(ids, phantom.annotation.take(index, axis=axis))
        assert extra == []


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every volume be too large for memory."""
    monkeypatch.setattr("bg_atlasapi.view.gallery.KEPT_VOXELS", 0)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_planes_of_a_large_atlas(phantom: BrainGlobeAtlas, client_of: Any, axis: int) -> None:
    """What is packed, or written again turned, holds the same planes as the files, first and last ones too."""
    before, after = client_of(phantom), client_of(phantom)
    after.app.gallery.prepare()
    assert after.app.gallery._packed is not None
    length = phantom.shape[axis]
    for index in (0, 7, 8, 15, 16, length // 2, length - 1):
        for kind in ("labels", "image/0"):
            path = f"/api/{kind}/{axis}/{index}"
            assert before(path).body == after(path).body
    small = sum(map(len, (b"".join(pack) for pack in after.app.gallery._packed._packs[axis])))
    assert small < phantom.annotation.size / 10


@pytest.mark.usefixtures("large")
def test_planes_larger_than_what_is_kept(
    phantom: BrainGlobeAtlas, client_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plane whose neighbours push it out of what is kept is answered all the same, by threads at once too."""
    monkeypatch.setattr("bg_atlasapi.view.gallery._KEPT_BYTES", 1)
    gallery = client_of(phantom).app.gallery
    with ThreadPoolExecutor(8) as pool:
        for index, body in enumerate(pool.map(lambda one: gallery.labels(2, one), range(40))):
            codes, _ = labels_of(body)
            ids = phantom._terminology.ids[codes]
            assert np.array_equal(ids, phantom.annotation.take(index, axis=2))


@pytest.mark.usefixtures("large")
def test_closing_ends_the_preparing(phantom: BrainGlobeAtlas, client_of: Any) -> None:
    """A viewer that is closed while it prepares stops, and leaves no file behind."""
    gallery = client_of(phantom).app.gallery
    gallery.close()
    gallery.prepare()
    assert gallery._packed is None


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_images_are_the_template(phantom: BrainGlobeAtlas, client_of: Any, axis: int) -> None:
    """A plane of the template keeps its order of grey values, black at the least and white near the largest."""
    ask = client_of(phantom)
    index = phantom.shape[axis] // 2
    first = ask(f"/api/image/0/{axis}/{index}").body
    ask = client_of(phantom)
    ask.app.gallery.prepare()
    assert ask(f"/api/image/0/{axis}/{index}").body == first
    rows, columns = struct.unpack_from("<II", first)
    grey = np.frombuffer(first, np.uint8, offset=8).reshape(rows, columns)
    plane = phantom.reference.take(index, axis=axis)
    assert grey.shape == plane.shape
    assert grey.max() > 200
    order = np.argsort(plane, axis=None)
    assert (np.diff(grey.reshape(-1)[order].astype(int)) >= 0).all()


def test_the_description_is_the_terminology(phantom: BrainGlobeAtlas, ask: Any) -> None:
    """Ids, names, parents and colours of all structures stand by code, and meshes are where they are."""
    told = json.loads(ask("/api/atlas.json").body)
    tree, told_tree = phantom._terminology, told["structures"]
    assert told["shape"] == list(phantom.shape)
    assert told["orientation"] == phantom.orientation
    assert told_tree["id"] == tree.ids.tolist()
    assert told_tree["acronym"] == list(tree.acronyms)
    assert told_tree["parent"] == tree.parents.tolist()
    assert told_tree["last"] == tree.last.tolist()
    assert np.array(told_tree["rgb"]).reshape(-1, 3).tolist() == tree.colours.tolist()
    meshes = [phantom._model.meshes.has(int(one)) for one in tree.ids[1:]]
    assert told_tree["mesh"][1:] == [int(one) for one in meshes]


def test_regions_are_the_region_table(phantom: BrainGlobeAtlas, ask: Any) -> None:
    """Volumes are those of ``region_table``, and the point inside a region lies inside it."""
    told = json.loads(ask("/api/regions.json").body)
    table, tree = phantom.region_table(), phantom._terminology
    assert told["volume_mm3"][1:] == pytest.approx(table["volume_mm3"].tolist(), rel=1e-5)
    for code in range(1, len(tree) + 1):
        place = told["inside_um"][code]
        assert (place is None) == (table["voxels"][code - 1] == 0)
        if place is not None:
            found = phantom.structure_from_coords(place, microns=True)
            assert tree.contains(code, tree.code(int(found)))


def test_a_mesh_is_the_mesh(phantom: BrainGlobeAtlas, ask: Any) -> None:
    """Vertices and triangles of a mesh arrive as they are stored."""
    code = phantom._terminology.code("TH")
    body = ask(f"/api/mesh/{code}").body
    vertices, triangles = struct.unpack_from("<II", body)
    mesh = phantom.mesh_from_structure("TH")
    points = np.frombuffer(body, "<f4", 3 * vertices, 8).reshape(-1, 3)
    faces = np.frombuffer(body, "<u4", 3 * triangles, 8 + 12 * vertices).reshape(-1, 3)
    assert np.allclose(points, mesh.points)
    assert np.array_equal(faces, mesh.cells[0].data)


def test_labels_that_nobody_lists_are_shown_as_such(
    client_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A label that the terminology lacks has a code past its last, and its id goes with the plane."""
    annotation = np.zeros((4, 5, 6), np.uint32)
    annotation[1, 2, 3], annotation[1, 2, 4], annotation[2] = 7, 77, 7
    root = {
        "acronym": "root",
        "id": 7,
        "name": "root",
        "structure_id_path": [7],
        "rgb_triplet": [9, 9, 9],
    }
    package = write_package(
        tmp_path,
        name="tiny_100um",
        annotation=annotation,
        reference=annotation.astype(np.uint16),
        structures=[root],
        resolution=(100, 100, 100),
        symmetric=False,
        hemispheres=np.where(np.arange(6) < 1, 1, 2) * np.ones((4, 5, 1), np.uint8),
    )
    atlas = BrainGlobeAtlas.from_path(package)
    ask = client_of(atlas)
    for kept in (1 << 27, 0):
        monkeypatch.setattr("bg_atlasapi.view.gallery.KEPT_VOXELS", kept)
        codes, extra = labels_of(ask("/api/labels/0/1").body)
        assert extra == [77.0]
        assert codes[2, 3] == 1
        assert codes[2, 4] == 2
        sides, _ = labels_of(ask("/api/sides/0/1").body)
        assert sides[0].tolist() == [1, 2, 2, 2, 2, 2]
        ask = client_of(atlas)
        ask.app.gallery.prepare()


def test_edits_are_shown(client_of: Any) -> None:
    """An annotation that was edited in place is what the viewer shows."""
    atlas = BrainGlobeAtlas("phantom_mouse_100um", check_latest=False)
    atlas.annotation[10] = atlas.structures["TH"]["id"]
    codes, _ = labels_of(client_of(atlas)("/api/labels/0/10").body)
    assert (codes == atlas._terminology.code("TH")).all()


def test_what_is_handed_out_meanwhile_changes_nothing(client_of: Any) -> None:
    """A page that is opened once the caller has read the hemispheres asks only for what there is."""
    atlas = BrainGlobeAtlas("phantom_mouse_100um", check_latest=False)
    ask = client_of(atlas)
    assert ask("/api/labels/0/10").status == 200
    assert atlas.hemispheres.any()
    told = json.loads(ask("/api/atlas.json").body)
    assert told["sides_stored"] is (ask("/api/sides/0/10").status == 200)


def test_a_grouped_atlas_is_shown(phantom: BrainGlobeAtlas, client_of: Any) -> None:
    """A derived atlas is shown with its groups, meshes included."""
    grouped = phantom.group(1)
    ask = client_of(grouped)
    told = json.loads(ask("/api/atlas.json").body)
    assert told["structures"]["acronym"] == list(grouped._terminology.acronyms)
    codes, _ = labels_of(ask("/api/labels/0/66").body)
    assert set(codes.reshape(-1).tolist()) <= set(range(len(grouped._terminology) + 1))
    assert ask("/api/mesh/1").status in (200, 404)


def test_a_component_store_is_shown(
    phantom: BrainGlobeAtlas, client_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An atlas of the third generation, in chunks, gives the same planes, before and after it is packed."""
    stored = BrainGlobeAtlas.from_path(phantom.export(tmp_path))
    for kept in (1 << 27, 0):
        monkeypatch.setattr("bg_atlasapi.view.gallery.KEPT_VOXELS", kept)
        ask = client_of(stored)
        for prepared in (False, True):
            if prepared:
                ask = client_of(stored)
                ask.app.gallery.prepare()
            for axis, index in ((0, 66), (1, 17), (2, 113)):
                codes, _ = labels_of(ask(f"/api/labels/{axis}/{index}").body)
                ids = phantom._terminology.ids[codes]
                assert np.array_equal(ids, phantom.annotation.take(index, axis=axis))
                same = client_of(phantom)(f"/api/image/0/{axis}/{index}").body
                assert ask(f"/api/image/0/{axis}/{index}").body == same
    assert ask("/api/mesh/1").status == 200


def test_points_are_counted_as_count_counts(phantom: BrainGlobeAtlas, ask: Any) -> None:
    """Dropped points get the totals, own and sides of ``atlas.count``; all that are finite are drawn."""
    points = np.random.default_rng(3).uniform(-0.1, 1.1, (4000, 3)) * phantom.shape_um
    text = "x,y,z\n" + "\n".join(",".join(f"{one:.3f}" for one in row) for row in points)
    points = np.array([row.split(",") for row in text.splitlines()[1:]], float)
    reply = ask("/api/drop", "POST", body=[text.encode()], query=b"name=cells.csv")
    told, drawn = packed(reply.body)
    expected = phantom.count(points)
    rows = {phantom._terminology.acronyms[code]: rest for code, *rest in told["rows"]}
    listed = expected[expected["id"] != 0].set_index("acronym")
    assert rows == {
        key: row[:4]
        for key, row in zip(
            listed.index, listed[["own", "total", "left", "right"]].to_numpy().tolist(), strict=True
        )
    }
    assert told["outside"] == expected.iloc[-1]["own"]
    assert told["count"] == 4000
    assert np.allclose(drawn, points, atol=0.01)


def test_of_very_many_points_some_are_drawn_and_all_counted(
    phantom: BrainGlobeAtlas, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million points are all counted; no more are drawn than a browser can take, from all of the file."""
    from bg_atlasapi.view import overlays

    monkeypatch.setattr(overlays, "DRAWN", 500)
    x = np.linspace(0, 13_000, 20_000)
    text = "x,y,z\n" + "\n".join(f"{one:.2f},3870,4500" for one in x)
    wish = Request(text.encode(), "many.csv", "csv")
    told, drawn = packed(overlays.points_bytes(phantom._subject(), wish))
    assert told["count"] == 20_000
    assert 100 < len(drawn) <= 500
    assert drawn[:, 0].max() > 12_000


@pytest.mark.filterwarnings("error")
def test_points_beyond_all_numbers_are_counted_and_not_drawn(ask: Any) -> None:
    """A coordinate that fits no 32 bits is one of a point beyond the volume, without a warning."""
    body = b"x,y,z\n1e308,1,1\n-1e300,5,5\nnan,1,2\n7100,3870,4500\n"
    told, points = packed(ask("/api/drop", "POST", body=[body], query=b"name=c.csv").body)
    assert (told["count"], told["beyond"], len(points)) == (4, 3, 1)


def test_points_of_any_unit_and_format(ask: Any) -> None:
    """mm, voxels and npy are read as the rest of the library reads them."""
    import io

    _, drawn = packed(
        ask("/api/drop", "POST", body=[b"x,y,z\n7.1,3.87,4.5\n"], query=b"unit=mm").body
    )
    assert np.allclose(drawn, [[7100, 3870, 4500]])
    memory = io.BytesIO()
    np.save(memory, np.array([[71.0, 38.7, 45.0]]))
    query = b"name=a.npy&unit=voxel"
    told, drawn = packed(ask("/api/drop", "POST", body=[memory.getvalue()], query=query).body)
    assert np.allclose(drawn, [[7100, 3870, 4500]])
    assert told["unit"] == "voxel"


def test_values_go_by_id_acronym_or_name(phantom: BrainGlobeAtlas, ask: Any) -> None:
    """Rows name regions in any of the three ways; empty cells say nothing; strangers are reported."""
    ids = phantom.structures["TH"]["id"]
    for text in (
        f"id,value\n{ids},1.5\n",
        "acronym,score\nTH,1.5\nNOPE,3\nHY,\n",
        "region\tscore\nThalamus\t1.5\n",
    ):
        name = b"name=t.tsv" if "\t" in text else b"name=t.csv"
        told, _ = packed(ask("/api/drop", "POST", body=[text.encode()], query=name).body)
        assert told["kind"] == "values"
        assert told["rows"] == [[phantom._terminology.code("TH"), 1.5]]
        assert told["unknown"] == (["NOPE"] if "NOPE" in text else [])


def test_overlays_from_the_start(phantom: BrainGlobeAtlas, client_of: Any, tmp_path: Path) -> None:
    """Files that were named on the command line are there from the start, and only then."""
    cells, table = tmp_path / "cells.csv", tmp_path / "table.csv"
    cells.write_text("x,y,z\n7100,3870,4500\n")
    table.write_text("acronym,a,b\nTH,1,2\n")
    ask = client_of(
        phantom,
        points=Request.of_path(cells),
        values=Request.of_path(table, columns=("b",)),
    )
    assert json.loads(ask("/api/atlas.json").body)["overlays"] == {"points": True, "values": True}
    assert packed(ask("/api/points").body)[0]["count"] == 1
    values = json.loads(ask("/api/values").body)
    assert values["column"] == "b"
    assert values["rows"][0][1] == 2
    bare = client_of(phantom)
    assert json.loads(bare("/api/atlas.json").body)["overlays"] == {
        "points": False,
        "values": False,
    }
    assert bare("/api/points").status == 422


def test_planes_may_be_kept_and_the_rest_not(ask: Any) -> None:
    """Planes and meshes carry addresses of this server alone and may be kept; overlays never; the page is asked again."""
    assert b"immutable" in ask("/api/labels/0/3").headers[b"cache-control"]
    assert ask("/api/atlas.json").headers[b"cache-control"] == b"no-store"
    page = ask("/")
    assert page.headers[b"cache-control"] == b"no-cache"
    tag = page.headers[b"etag"]
    again = ask("/", headers=[(b"host", b"localhost:8123"), (b"if-none-match", tag)])
    assert again.status == 304
    assert again.body == b""


@pytest.mark.parametrize(
    ("place", "part"),
    [
        ((1e9, 0, 0), "outside the volume"),
        ((-1, 0, 0), "outside the volume"),
        ((float("nan"), 0, 0), "three numbers"),
        ((1, 2), "three numbers"),
        ("abc", "three numbers"),
        (None, "three numbers"),
    ],
)
def test_a_wrong_position_is_one_sentence(phantom: BrainGlobeAtlas, place: Any, part: str) -> None:
    """A position that is none, or lies outside, is explained."""
    with pytest.raises(InvalidInputError, match=part):
        position_voxel(phantom._subject(), place)


def test_a_port_in_use_is_one_sentence(phantom: BrainGlobeAtlas) -> None:
    """A second viewer on a port is told that it is taken; when the first is closed, it is free again."""
    with start(phantom, Wish()) as viewing:
        port = int(viewing.url.rsplit(":", 1)[1].strip("/"))
        with pytest.raises(InvalidInputError, match=f"Port {port} is in use"):
            start(phantom, Wish(port=port))
    with start(phantom, Wish(port=port)):
        pass
    with pytest.raises(InvalidInputError, match="from 0 to 65535"):
        start(phantom, Wish(port=70_000))


def test_wrong_files_stop_the_start(phantom: BrainGlobeAtlas, tmp_path: Path) -> None:
    """Missing files, wrong columns and unknown regions are errors before a browser opens."""
    table = tmp_path / "table.csv"
    table.write_text("acronym,score\nTH,1\n")
    with pytest.raises(InvalidInputError, match="three columns of numbers"):
        start(phantom, Wish(points=table))
    with pytest.raises(InvalidInputError, match="cannot be read"):
        start(phantom, Wish(points=tmp_path / "none.csv"))
    with pytest.raises(InvalidInputError, match="cannot be read"):
        start(phantom, Wish(values=tmp_path / "none.csv"))
    with pytest.raises(InvalidInputError, match="no column 'nope'; it has acronym, score"):
        start(phantom, Wish(values=table, column="nope"))
    table.write_text("a,b\nTH,1\n")
    with pytest.raises(InvalidInputError, match="no column that names regions"):
        start(phantom, Wish(values=table))
    table.write_text("acronym,b\nTH,high\n")
    with pytest.raises(InvalidInputError, match="no column of numbers"):
        start(phantom, Wish(values=table))
    with pytest.raises(UnknownStructureError):
        start(phantom, Wish(structures=["NOPE"]))


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int16", "float32", "float64"])
def test_grey_is_grey_whatever_the_type(kind: str) -> None:
    """Values of every type become 8 bits alike; what is no number, or beyond the window, has an end of the scale."""
    from bg_atlasapi.view.slices import as_grey

    values = np.arange(200).reshape(2, 10, 10).astype(kind)
    grey = as_grey(values, (50.0, 150.0))
    expected = np.clip((np.arange(200.0) - 50) * 2.55, 0, 255).astype(int)
    assert np.abs(grey.reshape(-1).astype(int) - expected).max() <= 1
    if kind.startswith("float"):
        values[0, 0, :3] = np.nan, np.inf, -np.inf
        assert as_grey(values, (50.0, 150.0))[0, 0, :3].tolist() == [0, 255, 0]


def test_percentiles_are_those_of_numpy() -> None:
    """Grey values end where ``numpy.percentile`` says."""
    generator = np.random.default_rng(0)
    for count in (1, 2, 7, 1000):
        values = generator.normal(size=count)
        for part in (0.0, 0.5, 50.0, 99.8, 100.0):
            assert slices._percentile(values, part) == pytest.approx(np.percentile(values, part))


def test_how_threads_take_turns_is_as_before_once_viewers_have_begun(
    phantom: BrainGlobeAtlas,
) -> None:
    """What somebody set for the interpreter is in force again after two viewers began at once."""
    usual = sys.getswitchinterval()
    try:
        sys.setswitchinterval(0.0123)
        with start(phantom, Wish()), start(phantom, Wish()):
            pass
        deadline = time.monotonic() + 60
        while sys.getswitchinterval() < 0.01 and time.monotonic() < deadline:
            time.sleep(0.01)  # what was begun is ended after the viewer was closed
        assert sys.getswitchinterval() == pytest.approx(0.0123)
    finally:
        sys.setswitchinterval(usual)


class _Interrupting(LocalApp):
    """Presses Ctrl-C when the server, which begins, looks at it."""

    def __getattribute__(self, name: str) -> Any:
        if name == "__call__":
            _thread.interrupt_main()
        return super().__getattribute__(name)


def test_an_interrupted_start_leaves_nothing_that_runs(phantom: BrainGlobeAtlas) -> None:
    """If Ctrl-C comes while a viewer starts, no server and no port is left that nobody can close."""
    listening = listen()
    with pytest.raises(KeyboardInterrupt):
        Viewing(_Interrupting(listening.getsockname()[1]), listening)
    assert listening.fileno() == -1
    assert "viewer" not in {one.name for one in threading.enumerate()}

    ports = []

    def interrupted(url: str) -> None:
        ports.append(urlsplit(url).port)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start(phantom, Wish(), interrupted)
    listen(ports[0]).close()
