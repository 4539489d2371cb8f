"""Outlines of slices: exact, in the atlas's place, in GeoJSON and SVG."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bg_atlasapi import BrainGlobeAtlas, view
from bg_atlasapi.core import Atlas
from bg_atlasapi.errors import InvalidInputError, UnknownStructureError
from bg_atlasapi.query.subject import subject_of
from bg_atlasapi.testing import tiny_components, tiny_package, write_package
from bg_atlasapi.view import outlines as module
from bg_atlasapi.view.cuts import codes_in
from bg_atlasapi.view.planes import planes_of

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def atlas() -> BrainGlobeAtlas:
    """Return the phantom."""
    return BrainGlobeAtlas("phantom_mouse_100um", check_latest=False)


def drawn(outline: module.Outline, plane: Any) -> npt.NDArray[np.bool_]:
    """Return the pixels whose centres lie in an outline, by counting crossings to the left."""
    rows, columns = plane.shape
    inside = np.zeros(plane.shape, bool)
    across = plane.start_um[0] + (np.arange(columns) + 0.5) * plane.pixel_um[0]
    down = plane.start_um[1] + (np.arange(rows) + 0.5) * plane.pixel_um[1]
    for ring in (ring for polygon in outline.polygons for ring in polygon):
        for (x1, y1), (x2, y2) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            if x1 == x2:
                crossed = (down > min(y1, y2)) & (down < max(y1, y2))
                inside[np.ix_(crossed, across > x1)] ^= True
    return inside


@pytest.mark.parametrize("plane", ["coronal", "sagittal", "horizontal", (1.0, 0.4, 0.2)])
def test_polygons_hold_just_the_pixels_of_their_label(atlas: BrainGlobeAtlas, plane: Any) -> None:
    """Filled again by the even-odd rule, the outlines are the slice; areas are those of voxels."""
    found = view.outlines_of(atlas, plane)
    subject = subject_of(atlas)
    codes = codes_in(subject, found.plane)
    assert len(found) == len(np.unique(codes)) - 1
    for one in found:
        expected = codes == subject.terminology.code(one.id)
        assert np.array_equal(drawn(one, found.plane), expected)
        assert one.area_um2 == pytest.approx(expected.sum() * np.prod(found.plane.pixel_um))


def test_a_slice_is_that_of_the_annotation(atlas: BrainGlobeAtlas) -> None:
    """The coronal plane of a voxel holds the ids of the array, rows down and columns across."""
    (plane,) = planes_of(subject_of(atlas).space, "frontal", 71, "voxel")
    codes = codes_in(subject_of(atlas), plane)
    ids = atlas.structures.terminology.ids[codes]
    assert np.array_equal(ids, atlas.annotation[71])
    assert plane.axes == (2, 1)


def test_an_oblique_plane_answers_as_lookup(atlas: BrainGlobeAtlas) -> None:
    """The structure of each pixel is that of its centre in space."""
    (plane,) = planes_of(subject_of(atlas).space, (1, 0.5, -0.3), (7000, 4000, 5700))
    codes = codes_in(subject_of(atlas), plane)
    rng = np.random.default_rng(1)
    rows, columns = (rng.integers(0, length, 300) for length in plane.shape)
    across = plane.start_um[0] + (columns + 0.5) * plane.pixel_um[0]
    down = plane.start_um[1] + (rows + 0.5) * plane.pixel_um[1]
    points = np.array(plane.origin_um) + np.outer(across, plane.across) + np.outer(down, plane.down)
    expected = atlas.lookup(points)["id"].to_numpy()
    assert np.array_equal(atlas.structures.terminology.ids[codes[rows, columns]], expected)


def test_nested_structures_have_outlines_of_their_own(atlas: BrainGlobeAtlas) -> None:
    """A structure within another does not leave a hole in it; the order is the hierarchy's."""
    both = view.outlines_of(atlas, "coronal", 9300, ["VISp", "CTX"])
    alone = view.outlines_of(atlas, "coronal", 9300, "CTX")
    assert both.acronyms == ("CTX", "VISp")
    assert both["CTX"].area_um2 == alone["CTX"].area_um2
    assert both["VISp"].area_um2 == both[385].area_um2 > 0


def test_a_hemisphere_ends_at_the_midline(atlas: BrainGlobeAtlas) -> None:
    """Left and right outlines share no area and make the whole."""
    areas = {
        side: view.outlines_of(atlas, "horizontal", 4000, "TH", hemisphere=side)["TH"]
        for side in ("left", "right", "both")
    }
    assert areas["left"].polygons[0][0][:, 0].min() >= atlas.shape_um[2] / 2
    assert areas["right"].polygons[0][0][:, 0].max() <= atlas.shape_um[2] / 2
    together = areas["left"].area_um2 + areas["right"].area_um2
    assert together == areas["both"].area_um2


def test_stored_hemispheres_are_used(tmp_path: Path) -> None:
    """Of an asymmetric atlas the side is the stored one, in every plane."""
    atlas = Atlas.from_path(tiny_package(tmp_path, symmetric=False))
    for plane in ("coronal", "sagittal", "horizontal"):
        found = view.outlines_of(atlas, plane, hemisphere="left")
        axis = {"coronal": 0, "horizontal": 1, "sagittal": 2}[plane]
        index = atlas.shape[axis] // 2
        left = (atlas.hemispheres == 1) & (atlas.annotation > 0)
        expected = left.take(index, axis).sum() * np.prod(found.plane.pixel_um)
        assert sum(one.area_um2 for one in found) == pytest.approx(expected)


def test_smooth_outlines_stay_within_half_a_voxel(atlas: BrainGlobeAtlas) -> None:
    """Areas hardly change, and every point lies near an exact corner."""
    exact = view.outlines_of(atlas, "coronal", 7100)
    smooth = view.outlines_of(atlas, "coronal", 7100, smooth=True)
    assert smooth.acronyms == exact.acronyms
    assert smooth["TH"].area_um2 == pytest.approx(exact["TH"].area_um2, rel=0.03)
    points = np.concatenate([ring for one in smooth for poly in one.polygons for ring in poly])
    near = np.rint(points / 100) * 100
    assert np.abs(points - near).max() <= 50


def test_geojson(atlas: BrainGlobeAtlas) -> None:
    """Features are structures; rings are closed, outer ones counterclockwise, holes clockwise."""
    found = view.outlines_of(atlas, "coronal", 7100)
    for unit, size in (("um", 100), ("voxel", 1)):
        collection = json.loads(json.dumps(found.geojson(unit)))
        assert [one["properties"]["acronym"] for one in collection["features"]] == [*found.acronyms]
        for feature in collection["features"]:
            assert feature["geometry"]["type"] == "MultiPolygon"
            for outer, *holes in feature["geometry"]["coordinates"]:
                assert outer[0] == outer[-1]
                assert signed(outer) >= size**2
                assert all(signed(hole) <= -(size**2) for hole in holes)


def signed(ring: list[list[float]]) -> float:
    """Return the signed area of a closed ring."""
    x, y = np.array(ring).T
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2)


def test_svg_is_upright_and_escaped(tmp_path: Path) -> None:
    """A path a structure, with its name, whatever that holds; left is left."""
    structures = [
        {"id": 1, "acronym": "a<&\"'", "name": "</title><script>", "structure_id_path": [1]},
        {"id": 2, "acronym": "B", "name": "b", "structure_id_path": [1, 2]},
    ]
    for row in structures:
        row["rgb_triplet"] = [255, 0, 0]
    annotation = np.ones((4, 4, 4), np.uint32)
    annotation[:, :, :1] = 2  # right, for the atlas begins there
    path = write_package(
        tmp_path,
        name="odd_mouse_100um",
        version="1.0",
        annotation=annotation,
        reference=annotation.astype(np.uint16),
        structures=structures,
        resolution=(100, 100, 100),
    )
    found = view.outlines_of(Atlas.from_path(path), "coronal")
    root = ET.fromstring(found.svg())
    paths = {one.get("id"): one for one in root.iter(f"{SVG}path")}
    assert set(paths) == {"a<&\"'", "B"}
    assert paths["a<&\"'"].find(f"{SVG}title").text == "</title><script>"
    width = float(root.get("viewBox").split()[2])
    numbers = paths["B"].get("d").strip("MZ").replace(",", " ").split()
    assert min(map(float, numbers[::2])) == width * 3 / 4


def test_edits_and_unlisted_labels_show(atlas: BrainGlobeAtlas) -> None:
    """The outlines are of the array as it is now; what is not listed is called that."""
    own = BrainGlobeAtlas("phantom_mouse_100um", check_latest=False)
    own.annotation[:] = 0
    own.annotation[70:73, 10:12, 20:25] = 123456
    found = view.outlines_of(own, "coronal", 7100)
    assert found.acronyms == ("unlisted",)
    assert found["unlisted"].area_um2 == 10 * 100**2
    assert len(view.outlines_of(own, "coronal", 100)) == 0
    assert len(view.outlines_of(atlas, "coronal", 7100)) > 10


def test_stores_and_groups_have_outlines(tmp_path: Path) -> None:
    """A component store answers as a package does; a grouped atlas shows its groups."""
    package = Atlas.from_path(tiny_package(tmp_path / "v1"))
    store = tiny_components(tmp_path / "v3")
    manifest = next(store.rglob("manifest.json")) if store.is_dir() else store
    component = Atlas.from_path(manifest)
    for plane in ("coronal", (1, 0.2, 0.1)):
        ours, theirs = (view.outlines_of(one, plane) for one in (package, component))
        assert ours.geojson() == theirs.geojson()
    groups = package.group(1)
    assert set(view.outlines_of(groups, "coronal").acronyms) <= {
        one.acronym for one in groups.structures.values()
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("frontalis",), "A plane is one of 'coronal'"),
        ((7,), "A plane is one of"),
        (("coronal", 13200), "lies outside this atlas, which reaches from 0 to 13200 µm"),
        (("sagittal", -1), "along its left-right axis"),
        (("coronal", float("nan")), "A position is a finite number"),
        (("coronal", "7100"), "A position is a finite number"),
        (("coronal", [1000, 2000]), "2 positions were given"),
        (("coronal", []), "the list is empty"),
        (((0, 0, 0),), "must not be 0"),
        (((1, float("inf"), 0),), "three finite numbers"),
        (((1, 1, 0), (90_000, 0, 0)), "does not meet this atlas"),
        (((1, 1, 0), 90_000), "does not meet this atlas"),
    ],
)
def test_bad_planes_are_a_sentence(
    atlas: BrainGlobeAtlas, arguments: tuple[Any, ...], said: str
) -> None:
    """What is wrong is named, with what would be right."""
    with pytest.raises(InvalidInputError, match=said):
        view.outlines_of(atlas, *arguments)


def test_other_bad_input(atlas: BrainGlobeAtlas) -> None:
    """Unknown structures, sides, units."""
    with pytest.raises(UnknownStructureError, match="Close matches"):
        view.outlines_of(atlas, structures=["VISq"])
    with pytest.raises(UnknownStructureError):
        view.outlines_of(atlas, structures="TH")["VISp"]
    with pytest.raises(InvalidInputError, match="hemisphere"):
        view.outlines_of(atlas, hemisphere="top")
    with pytest.raises(InvalidInputError, match="unit"):
        view.outlines_of(atlas, unit="inch")
    with pytest.raises(InvalidInputError, match="'um', 'voxel'"):
        view.outlines_of(atlas).geojson("mm")
