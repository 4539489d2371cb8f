"""``atlas.plot``: what is drawn where, in which colours; and what is wrong."""

from __future__ import annotations

import io
import math
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.errors import InvalidInputError, UnknownStructureError, UnknownVolumeError
from bg_atlasapi.view import Style

mpl.use("agg")
VALUES = {"TH": 2.0, "CTX": 1.0, "VISp": 3.0}


@pytest.fixture(scope="module")
def atlas() -> BrainGlobeAtlas:
    """Return the phantom."""
    return BrainGlobeAtlas("phantom_mouse_100um", check_latest=False)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """Close what was drawn."""
    yield
    from matplotlib import pyplot as plt

    plt.close("all")


def regions(axes: Any) -> dict[str, Any]:
    """Return the regions that were drawn, by acronym; of two sides the last."""
    return {patch.get_gid(): patch for patch in axes.patches if patch.get_gid()}


def texts(axes: Any) -> list[str]:
    """Return what is written on a slice, the scale bar and the sides left out."""
    written = [text.get_text() for text in axes.texts]
    return [text for text in written if text not in "LRSIAP" and "mm" not in text]


def test_every_label_of_a_slice_is_drawn_in_its_colour(atlas: BrainGlobeAtlas) -> None:
    """A path a label, with its acronym; outlines once; the axes have the atlas's coordinates."""
    axes = atlas.plot("coronal", 7100)
    drawn = regions(axes)
    ids = np.unique(atlas.annotation[71])
    assert set(drawn) == {atlas.structures[int(one)].acronym for one in ids if one}
    colour = np.array(drawn["TH"].get_facecolor()[:3]) * 255
    assert np.allclose(colour, atlas.structures["TH"].rgb_triplet)
    assert drawn["TH"].get_path().contains_point((4500, 3870))
    assert atlas.lookup([7100, 3870, 4500])["acronym"][0] == "TH"
    assert [one.get_gid() for one in axes.collections] == ["outlines"]
    assert axes.get_title() == "coronal, AP 7.10 mm"
    # Left is left: the axis from right to left is turned, and so is that from the top down.
    assert axes.get_xlim()[0] > axes.get_xlim()[1]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


@pytest.mark.parametrize(
    "values",
    [
        VALUES,
        {549: 2.0, "Cerebral cortex": 1, np.uint32(385): np.float32(3)},
        pd.Series(VALUES, name="cells"),
        pd.DataFrame({"acronym": list(VALUES), "id": [549, 688, 385], "cells": [2.0, 1, 3]}),
        pd.DataFrame({"cells": VALUES}),
    ],
    ids=["acronyms", "mixed", "series", "ids", "index"],
)
def test_values_become_colours(atlas: BrainGlobeAtlas, values: Any) -> None:
    """However they come, the deepest listed structure colours a region, by the map between ends."""
    axes = atlas.plot("coronal", 9300, values=values, cmap="Reds")
    drawn = regions(axes)
    assert {"CTX", "VISp"} <= set(drawn) <= set(VALUES)
    for acronym in ("CTX", "VISp"):
        share = (VALUES[acronym] - 1) / 2
        assert np.allclose(drawn[acronym].get_facecolor(), mpl.colormaps["Reds"](share), atol=0.01)
    (bar,) = [one for one in axes.figure.axes if one is not axes]
    assert bar.get_ylabel() == ("cells" if hasattr(values, "index") else "")


def test_what_has_no_value_is_grey_and_fixed_ends_hold(atlas: BrainGlobeAtlas) -> None:
    """NaN and None are drawn in grey; vmin and vmax are those of the bar."""
    values = {"CTX": math.nan, "VISp": None, "TH": 5}
    axes = atlas.plot("coronal", 9300, values=values, vmin=0, vmax=10)
    assert np.allclose(regions(axes)["VISp"].get_facecolor()[:3], 0.85)
    bar = axes.figure.axes[-1]
    assert bar.get_ylim() == (0, 10)


def test_counts_and_sides(atlas: BrainGlobeAtlas) -> None:
    """A table of counts is drawn as it is; two columns are those of left and right."""
    down, across = np.argwhere(atlas.mask("VISp", "right")[93])[0]
    right = np.array([9350.0, down * 100 + 50, across * 100 + 50])
    cells = [right] * 3 + [atlas.mirror_point_across_hemispheres(right)]
    counts = atlas.count(cells)
    axes = atlas.plot("coronal", 9300, values=counts, column=("left", "right"), alpha=1)
    centre = atlas.shape_um[2] / 2
    name = atlas.lookup(cells)["acronym"][0]
    both = [one for one in axes.patches if one.get_gid() == name]
    sides = {one.get_path().vertices[:, 0].min() >= centre: one for one in both}
    assert set(sides) == {True, False}
    cmap = mpl.colormaps["viridis"]
    assert not np.allclose(sides[True].get_facecolor(), sides[False].get_facecolor())
    high = max(counts["left"].max(), counts["right"].max())
    assert high == 3
    assert any(np.allclose(one.get_facecolor(), cmap(1.0)) for one in axes.patches)
    with pytest.raises(InvalidInputError, match="column="):
        atlas.plot("coronal", 9300, values=counts)


def test_structures_and_a_hemisphere(atlas: BrainGlobeAtlas) -> None:
    """Only what was asked for is drawn, on the side that was; acronyms are written there."""
    axes = atlas.plot("coronal", 7100, structures=["TH", "CTX"], hemisphere="left")
    drawn = regions(axes)
    assert set(drawn) == {"TH", "CTX"}
    middle = atlas.shape_um[2] / 2
    assert drawn["CTX"].get_path().vertices[:, 0].min() >= middle
    assert sorted(texts(axes)) == ["CTX", "TH"]
    assert texts(atlas.plot("coronal", 7100, structures="TH", labels=False)) == []
    assert "TH" in texts(atlas.plot("coronal", 7100, labels=True))


def test_without_a_position_most_is_seen(atlas: BrainGlobeAtlas) -> None:
    """The plane is the one with most voxels of what was named; a structure is a position, too."""
    counts = (atlas.get_structure_mask("CA1") > 0).sum(axis=(1, 2))
    place = f"AP {(int(counts.argmax()) + 0.5) / 10:.2f} mm"
    assert atlas.plot(structures="CA1").get_title() == f"coronal, {place}"
    for unit in ("um", "mm", "voxel"):
        assert atlas.plot("coronal", "CA1", unit=unit).get_title() == f"coronal, {place}"
    assert atlas.plot().get_title() == "coronal, AP 6.60 mm"
    counts = (atlas.mask("CA1", "left") > 0).sum(axis=(0, 1))
    place = f"LR {(int(counts.argmax()) + 0.5) / 10:.2f} mm"
    found = atlas.plot("sagittal", values={"CA1": 1}, hemisphere="left")
    assert found.get_title() == f"sagittal, {place}"


def test_a_list_is_a_grid_to_one_scale(atlas: BrainGlobeAtlas) -> None:
    """Axes for each position, all with the same limits and size; one bar, one set of letters."""
    grid = atlas.plot("coronal", [5000, "TH", 9000, 11000], columns=2)
    assert grid.shape == (4,)
    assert len({axes.get_xlim() for axes in grid}) == 1
    sizes = {tuple(np.round(axes.get_position().size, 6)) for axes in grid}
    assert len(sizes) == 1
    assert [sum("mm" in text.get_text() for text in axes.texts) for axes in grid] == [0, 0, 0, 1]
    assert grid[0].get_position().y0 > grid[2].get_position().y0
    assert atlas.plot("coronal", [5000]).shape == (1,)


def test_axes_of_ones_own(atlas: BrainGlobeAtlas) -> None:
    """A slice is drawn into axes that are handed over, with a colour bar beside it."""
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2)
    assert atlas.plot("coronal", 7100, ax=right, values=VALUES, axes=True) is right
    assert regions(right)
    assert not regions(left)
    assert right.get_xlabel() == "left – right (mm)"
    figure.canvas.draw()
    assert [tick.get_text() for tick in right.get_xticklabels()][:2] == ["0", "2"]
    with pytest.raises(InvalidInputError, match="one slice"):
        atlas.plot("coronal", [7100, 8000], ax=left)


def test_images_below(atlas: BrainGlobeAtlas) -> None:
    """The template as it is now, an array, or nothing; of another shape, a sentence."""
    own = BrainGlobeAtlas("phantom_mouse_100um", check_latest=False)
    before = own.plot("coronal", 7100).images[-1].get_array().copy()
    own.reference[71] = own.reference[71][::-1]
    edited = own.plot("coronal", 7100).images[-1].get_array()
    assert not np.array_equal(before, edited)
    array = own.plot("coronal", 7100, image=atlas.reference).images[-1].get_array()
    assert np.array_equal(array, before)
    assert len(atlas.plot("coronal", 7100, image=None).images) == 0
    assert len(atlas.plot("coronal", 7100, image=np.zeros(atlas.shape)).images) == 0
    with pytest.raises(InvalidInputError, match=r"shape \(3, 3, 3\), the atlas"):
        atlas.plot(image=np.zeros((3, 3, 3)))
    with pytest.raises(UnknownVolumeError, match="template"):
        atlas.plot(image="nissl")


def test_oblique_planes_are_drawn(atlas: BrainGlobeAtlas) -> None:
    """Any vector across them; coordinates are those of the plane, from its point."""
    axes = atlas.plot((1, 0.3, 0), (7000, 4000, 5700))
    assert axes.get_title().startswith("oblique, normal (0.96, 0.29, 0.00)")
    assert regions(axes)["TH"].get_path().contains_point((0, 0))
    grid = atlas.plot((1, 0.3, 0), [-1000.0, 0.0])
    assert len(grid) == 2


def test_an_empty_slice_is_an_empty_picture(atlas: BrainGlobeAtlas) -> None:
    """Where the atlas has no label nothing is drawn, and nothing fails."""
    axes = atlas.plot("coronal", 0, values=VALUES)
    assert not regions(axes)
    axes.figure.canvas.draw()


def test_vectors_are_clean(atlas: BrainGlobeAtlas) -> None:
    """In an SVG every region is one path that is named, and every outline is drawn once."""
    axes = atlas.plot("coronal", 7100, structures=["TH", "CTX"])
    file = io.StringIO()
    axes.figure.savefig(file, format="svg")
    root = ET.fromstring(file.getvalue())
    groups = {one.get("id"): one for one in root.iter("{http://www.w3.org/2000/svg}g")}
    for name in ("TH", "CTX"):
        assert len(list(groups[name].iter("{http://www.w3.org/2000/svg}path"))) == 1
    assert "outlines" in groups
    assert "scale bar" in groups


def test_exact_outlines_on_request(atlas: BrainGlobeAtlas) -> None:
    """Without smoothing all points are corners of voxels."""
    axes = atlas.plot("coronal", 7100, structures="TH", smooth=False)
    points = regions(axes)["TH"].get_path().vertices
    assert np.array_equal(points % 100, np.zeros_like(points))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"colour": "red"}, "is no option of a plot"),
        ({"lables": True}, "did you mean labels="),
        ({"alpha": 2}, "alpha= is a finite number from 0 to 1"),
        ({"alpha": "half"}, "alpha="),
        ({"columns": 1.5}, "columns= is a whole number"),
        ({"vmin": math.nan}, "vmin="),
        ({"vmin": 2, "vmax": 1}, "vmin= 2 is more than vmax= 1"),
        ({"outlines": "some"}, "outlines= is True, False or 'all'"),
        ({"values": VALUES, "cmap": "rainbow9"}, "no colour map"),
        ({"column": "x"}, "which are missing"),
        ({"values": 7}, "mapping, a Series or a DataFrame"),
        ({"values": {"TH": "much"}}, "'much', is no finite number"),
        ({"values": {"TH": math.inf}}, "no finite number"),
        ({"hemisphere": "top"}, "hemisphere"),
        ({"structures": []}, "the list is empty"),
        ({"position": [1000] * 500}, "too many"),
    ],
)
def test_bad_input_is_a_sentence(
    atlas: BrainGlobeAtlas, options: dict[str, Any], said: str
) -> None:
    """What is wrong is named, with what would be right."""
    with pytest.raises(InvalidInputError, match=said):
        atlas.plot(**options)


def test_unknown_structures_are_named(atlas: BrainGlobeAtlas) -> None:
    """In values, among structures, as position: close matches."""
    for options in ({"values": {"VISq": 1}}, {"structures": "VISq"}, {"position": "VISq"}):
        with pytest.raises(UnknownStructureError, match=r"'VISq'\. Close matches: VIS"):
            atlas.plot(**options)


def test_no_display_is_needed_and_nothing_loads_before() -> None:
    """In a fresh process without a display it draws; opening an atlas does not load matplotlib."""
    script = (
        "import sys, io\n"
        "from bg_atlasapi import BrainGlobeAtlas\n"
        "atlas = BrainGlobeAtlas('phantom_mouse_100um')\n"
        "assert 'matplotlib' not in sys.modules\n"
        "from bg_atlasapi import view\n"
        "view.outlines_of(atlas)\n"
        "assert 'matplotlib' not in sys.modules and 'scipy' not in sys.modules\n"
        "atlas.plot().figure.savefig(io.BytesIO())\n"
    )
    environment = {"PATH": "", "HOME": "/nonexistent", "MPLCONFIGDIR": mpl.get_cachedir()}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)


def test_without_matplotlib_it_says_what_to_install() -> None:
    """The extra is named."""
    script = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from bg_atlasapi import BrainGlobeAtlas\n"
        "BrainGlobeAtlas('phantom_mouse_100um').plot()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert 'pip install "bg-atlasapi[plot]"' in done.stderr


def test_every_option_is_documented() -> None:
    """The docstring of the method names all of them."""
    named = BrainGlobeAtlas.plot.__doc__ or ""
    assert all(f"``{name}``" in named for name in Style.__dataclass_fields__)


@pytest.mark.parametrize("value", [2.0, 0.0, -3.0])
def test_a_single_value_has_the_colour_that_the_bar_gives_it(
    atlas: BrainGlobeAtlas, value: float
) -> None:
    """Where all values are alike, a region is painted as the colour bar paints its value."""
    axes = atlas.plot("coronal", 7100, values={"TH": value, "CTX": value})
    bar = axes.figure.axes[-1]
    low, high = bar.get_ylim()
    expected = mpl.colormaps["viridis"]((value - low) / (high - low))
    assert low < value < high
    assert np.allclose(regions(axes)["TH"].get_facecolor()[:3], expected[:3], atol=0.02)


def test_values_that_no_scale_spans_are_one_sentence(atlas: BrainGlobeAtlas) -> None:
    """The difference of the least and the greatest value must be a number."""
    with pytest.raises(InvalidInputError, match="span more than one scale"):
        atlas.plot("coronal", 7100, values={"TH": 1e308, "CTX": -1e308})


def test_a_structure_without_voxels_is_no_position() -> None:
    """Why no plane goes through a structure is said: it has no voxels, or the plane is oblique."""
    labels = np.ones((4, 4, 4), np.uint8)
    atlas = BrainGlobeAtlas.from_arrays(labels, {1: "one", 2: "two"}, resolution=100)
    with pytest.raises(InvalidInputError, match="it has no voxels"):
        atlas.plot("coronal", "2")
    with pytest.raises(InvalidInputError, match="put through a point"):
        atlas.plot((1, 1, 0), "1")
