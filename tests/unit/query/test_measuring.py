"""Images by region: other voxel sizes, files, what is refused, numbers that cancel."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.ma
import numpy.typing as npt
import pandas as pd
import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.errors import InvalidInputError, UnknownStructureError
from bg_atlasapi.model.labels import ArraySource, LabelVolume
from bg_atlasapi.model.lazy_volume import Volume
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.model.terminology import Record, Terminology
from bg_atlasapi.query.distributions import Steps
from bg_atlasapi.query.grids import grid_of
from bg_atlasapi.query.measuring import measure
from bg_atlasapi.query.subject import Subject

PATHS = {"root": (1,), "A": (1, 2), "A1": (1, 2, 3), "B": (1, 4)}
TREE = Terminology([Record(p[-1], a, f"region {a}", p, (0, 0, 0)) for a, p in PATHS.items()])
SHAPE = (12, 10, 8)
ALL = ("n", "sum", "mean", "std", "min", "max", "median", "p5")


@pytest.fixture
def subject() -> Subject:
    """Return an annotation of blocks two voxels wide, voxels of 50 x 25 x 100 µm."""
    blocks = np.random.default_rng(1).integers(0, 5, (6, 5, 4)).astype(np.uint32)
    labels = np.kron(blocks, np.ones((2, 2, 2), np.uint32))
    space = CoordinateSpace(SHAPE, (50.0, 25.0, 100.0), "asr")
    return Subject(LabelVolume(ArraySource(labels), TREE), space, None)


def brute(subject: Subject, image: npt.NDArray[Any], acronym: str) -> npt.NDArray[Any]:
    """Return the values of a structure and its descendants in an image of the same voxels."""
    ids = subject.labels.subtree_ids(TREE.code(acronym))
    return image[np.isin(subject.labels.ids(), ids)]


@pytest.mark.parametrize(
    ("low", "noise"), [(1e6, 1e-3), (-1e6, 1e-3), (1e12, 10.0), (0.0, 1e-9), (1e-30, 1e-33)]
)
def test_nothing_cancels(subject: Subject, low: float, noise: float) -> None:
    """A little noise on a large number has the deviation that two passes in 64 bits give it."""
    image = low + np.random.default_rng(2).normal(0, noise, SHAPE)
    table = measure(subject, image, ("mean", "std", "sum")).set_index("acronym")
    for acronym in PATHS:
        values = brute(subject, image, acronym)
        apart = values - values[0]
        assert table.loc[acronym, "std"] == pytest.approx(apart.std(), rel=1e-9)
        assert table.loc[acronym, "mean"] == pytest.approx(values[0] + apart.mean(), rel=1e-15)
        assert table.loc[acronym, "sum"] == pytest.approx(math.fsum(values), rel=1e-15)


@pytest.mark.parametrize("dtype", [np.uint64, np.int64, np.uint32, np.int32])
def test_sums_of_whole_numbers_are_exact(subject: Subject, dtype: Any) -> None:
    """To the last digit, however large the numbers are."""
    top = min(np.iinfo(dtype).max, 2**53 - 1)
    image = np.full(SHAPE, top, dtype)
    image[0] = 1
    table = measure(subject, image, ("sum",)).set_index("acronym")
    for acronym in PATHS:
        exact = sum(int(one) for one in brute(subject, image, acronym))
        assert int(table.loc[acronym, "sum"]) == exact
    huge = np.full(SHAPE, np.iinfo(dtype).max, dtype)
    n = measure(subject, huge, ("n", "sum", "mean"), hemispheres=False)
    assert n["sum"].tolist() == pytest.approx([c * float(np.iinfo(dtype).max) for c in n["n"]])


@pytest.mark.parametrize("dtype", [np.uint64, np.int64])
@pytest.mark.parametrize("end", ["min", "max"])
def test_deviations_of_whole_numbers_beyond_float64(subject: Subject, dtype: Any, end: str) -> None:
    """Near the ends of 64 bits, where float64 rounds to thousands, units still deviate."""
    noise = np.random.default_rng(11).integers(0, 9, SHAPE)
    limit = getattr(np.iinfo(dtype), end)
    step = noise.astype(dtype)
    image = limit + step if end == "min" else limit - step
    table = measure(subject, image, ("std",)).set_index("acronym")
    for acronym in PATHS:
        assert table.loc[acronym, "std"] == pytest.approx(brute(subject, noise, acronym).std())
    image[::2] = np.iinfo(dtype).max if end == "min" else np.iinfo(dtype).min  # as far as it gets
    table = measure(subject, image, ("std",)).set_index("acronym")
    expected = brute(subject, image.astype(np.longdouble), "root").std()
    assert table.loc["root", "std"] == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_threshold_is_not_rounded_to_the_image(subject: Subject, dtype: Any) -> None:
    """Values are compared as they are; a threshold that the type does not reach is no overflow."""
    image = np.full(SHAPE, 0.1, dtype)
    for threshold in (0.1, 1e6, -1e300):
        found = measure(subject, image, ("area_fraction",), threshold=threshold)
        assert found["area_fraction"].tolist() == [float(float(image[0, 0, 0]) > threshold)] * 4


def test_nan_is_not_counted_and_infinity_is(subject: Subject) -> None:
    """All-NaN answers NaN without a warning; infinities make a mean infinite, as in numpy."""
    empty = measure(subject, np.full(SHAPE, np.nan), ALL)
    assert empty["n"].tolist() == [0] * 4
    assert empty["sum"].tolist() == [0] * 4
    assert empty[["mean", "std", "min", "max", "median", "p5", "own_mean"]].isna().all().all()
    image = np.ones(SHAPE)
    image[subject.labels.ids() == 3] = np.inf
    table = measure(subject, image, ("mean", "max", "std")).set_index("acronym")
    assert table.loc[["root", "A", "A1"], "mean"].tolist() == [np.inf] * 3
    assert table.loc[["A", "A1"], "std"].isna().all()
    assert table.loc["B", ["mean", "max", "std"]].tolist() == [1, 1, 0]
    assert table.loc["A", "own_mean"] == 1


def test_background_of_nan_does_not_spread(subject: Subject) -> None:
    """What lies outside the structures has no part in them."""
    image = np.random.default_rng(3).random(SHAPE)
    expected = measure(subject, image, ALL)
    for strange in (np.nan, np.inf, 1e308):
        image[subject.labels.ids() == 0] = strange
        pd.testing.assert_frame_equal(measure(subject, image, ALL), expected, rtol=1e-13)


@pytest.mark.parametrize("factor", [2, 3])
def test_finer_voxels_of_the_same_space(subject: Subject, factor: int) -> None:
    """Each voxel takes the label at its centre: repeated voxels change numbers, not values."""
    image = np.random.default_rng(4).integers(0, 500, SHAPE).astype(np.uint16)
    finer = np.kron(image, np.ones((factor,) * 3, np.uint16))
    coarse, fine = measure(subject, image, ALL), measure(subject, finer, ALL)
    assert fine["n"].tolist() == (coarse["n"] * factor**3).tolist()
    assert fine["volume_mm3"].to_numpy() == pytest.approx(coarse["volume_mm3"].to_numpy())
    for name in ("mean", "std", "min", "max", "mean_left", "own_mean"):
        assert fine[name].to_numpy() == pytest.approx(coarse[name].to_numpy(), nan_ok=True)
    stated = measure(subject, finer, ALL, resolution=[50 / factor, 25 / factor, 100 / factor])
    pd.testing.assert_frame_equal(stated, fine)


def test_coarser_voxels_take_the_label_at_their_centre(subject: Subject) -> None:
    """Also where that is on a border, and where the last voxel reaches past the atlas."""
    for sizes in ((100.0, 50.0, 200.0), (120.0, 60.0, 240.0)):
        shape = tuple(
            math.ceil(n * own / size - 1e-9)
            for n, own, size in zip(SHAPE, (50.0, 25.0, 100.0), sizes, strict=True)
        )
        image = np.random.default_rng(5).integers(0, 99, shape).astype(np.int32)
        places = [
            np.floor((np.arange(n) + 0.5) * size / own + 1e-9).astype(int)
            for n, size, own in zip(shape, sizes, (50.0, 25.0, 100.0), strict=True)
        ]
        labels = np.zeros(shape, np.uint32)
        inside = [one[one < n] for one, n in zip(places, SHAPE, strict=True)]
        there = tuple(slice(0, len(one)) for one in inside)
        labels[there] = subject.labels.ids()[np.ix_(*inside)]
        table = measure(subject, image, ("n", "sum"), resolution=sizes).set_index("id")
        for identifier in (1, 2, 3, 4):
            own = image[labels == identifier]
            assert table.loc[identifier, "own_n"] == len(own)
            assert table.loc[identifier, "own_sum"] == own.sum()
        assert table["volume_mm3"].iloc[0] == pytest.approx(
            table["n"].iloc[0] * math.prod(sizes) / 1e9
        )


@pytest.mark.parametrize(
    ("shape", "simple"),
    [((1320, 800, 1140), 0.4), ((132, 80, 114), 4), ((264, 160, 228), 2), ((660, 400, 570), 0.8)],
)
def test_the_voxel_size_is_found_by_the_shape(shape: tuple[int, ...], simple: float) -> None:
    """Where one simple ratio explains all three axes."""
    space = CoordinateSpace((528, 320, 456), (25.0, 25.0, 25.0))
    assert grid_of(space, shape).spacing_um == pytest.approx((25 * simple,) * 3)


@pytest.mark.parametrize(
    "shape", [(527, 320, 456), (520, 315, 449), (320, 528, 456), (528, 320, 400), (1, 1, 1)]
)
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    """Cropped, transposed or shifted images are no image of the space; both shapes are said."""
    space = CoordinateSpace((528, 320, 456), (25.0, 25.0, 25.0))
    with pytest.raises(InvalidInputError) as refused:
        grid_of(space, shape)
    assert str(shape) in str(refused.value)
    assert "(528, 320, 456)" in str(refused.value)
    with pytest.raises(InvalidInputError, match="10 x 10 x 10 µm"):
        grid_of(space, shape, 10)


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (np.zeros(SHAPE, object), "holds object"),
        (np.zeros(SHAPE, complex), "holds complex128"),
        (np.full(SHAPE, "a"), "holds <U1"),
        (np.zeros(SHAPE, "datetime64[s]"), "holds datetime64"),
        (np.zeros(SHAPE[:2]), "has 2 axes"),
        (np.zeros((*SHAPE, 3)), "has 4 axes"),
        (5, "has 0 axes"),
        (None, "must be an array or a path, got NoneType"),
        ("no/such/file.nii", "There is no image"),
        ([[1, 2], [3]], "must be an array or a path"),
    ],
)
def test_what_is_no_image_is_refused(subject: Subject, image: Any, sentence: str) -> None:
    """One sentence says what was wrong."""
    with pytest.raises(InvalidInputError, match=sentence):
        measure(subject, image)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"statistics": ("mode",)}, "'mode' is no statistic"),
        ({"statistics": ("p101",)}, "'p101' is no statistic"),
        ({"statistics": (3,)}, "3 is no statistic"),
        ({"statistics": ()}, "names no statistic"),
        ({"statistics": 3}, "takes names"),
        ({"statistics": "area_fraction"}, "needs threshold="),
        ({"statistics": "area_fraction", "threshold": "x"}, "takes a number"),
        ({"threshold": math.nan}, "takes a number"),
        ({"resolution": -1}, "A voxel size is"),
        ({"at": "x" * 3}, "No structure"),
        ({"at": 1.5}, "at= takes"),
        ({"exclude": np.zeros((2, 2, 2), bool)}, "exclusion mask has the shape"),
        ({"exclude": np.zeros(SHAPE, object)}, "exclusion mask must hold"),
    ],
)
def test_what_is_no_question_is_refused(
    subject: Subject, options: dict[str, Any], sentence: str
) -> None:
    """Before the image is read."""
    with pytest.raises((InvalidInputError, UnknownStructureError), match=sentence):
        measure(subject, np.zeros(SHAPE), **options)


def test_masked_arrays_leave_out_what_they_mask(subject: Subject) -> None:
    """As an exclusion mask does; both together leave out either."""
    seed = np.random.default_rng(6)
    image, hidden, more = seed.random(SHAPE), seed.random(SHAPE) < 0.3, seed.random(SHAPE) < 0.3
    masked = np.ma.MaskedArray(image, hidden)
    expected = measure(subject, image, exclude=hidden | more)
    pd.testing.assert_frame_equal(measure(subject, masked, exclude=more), expected)
    with pytest.raises(InvalidInputError, match="exclusion mask has the shape"):
        measure(subject, masked, exclude=np.zeros((1, 1, 1)))


def test_volumes_are_turned_to_the_atlas(subject: Subject) -> None:
    """An image that says how it lies is measured as it lies, whatever its axes."""
    image = np.random.default_rng(7).random(SHAPE)
    turned = np.ascontiguousarray(image.transpose(2, 0, 1)[::-1, :, ::-1])
    volume = Volume("template", ArraySource(turned), (100.0, 50.0, 25.0), "lai", labels=False)
    pd.testing.assert_frame_equal(measure(subject, volume, ALL), measure(subject, image, ALL))


def test_hemispheres_can_be_left_out(subject: Subject) -> None:
    """Then there are no columns for them, and the others are the same."""
    image = np.random.default_rng(8).integers(0, 99, SHAPE).astype(np.uint8)
    both, plain = measure(subject, image, ALL), measure(subject, image, ALL, hemispheres=False)
    assert not [name for name in plain if name.endswith(("_left", "_right"))]
    pd.testing.assert_frame_equal(both[plain.columns.tolist()], plain)
    assert list(both.columns[:5]) == ["id", "acronym", "name", "volume_mm3", "n"]


def test_a_volume_larger_than_memory_answers_the_same(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Codes that are not kept are read part by part, unlisted labels among them."""
    image = np.random.default_rng(9).integers(0, 99, SHAPE).astype(np.uint16)
    labels = subject.labels.ids()
    labels[-1] = 99
    expected = measure(Subject(LabelVolume(ArraySource(labels), TREE), subject.space, None), image)
    monkeypatch.setattr("bg_atlasapi.model.labels._KEPT_BYTES", 0)
    streamed = measure(Subject(LabelVolume(ArraySource(labels), TREE), subject.space, None), image)
    pd.testing.assert_frame_equal(streamed, expected)
    assert streamed["acronym"].iloc[-1] == "unlisted 99"


def test_an_atlas_measures_its_own_template() -> None:
    """The lazy volume, the array and an edited annotation answer what they should."""
    atlas = BrainGlobeAtlas("phantom_mouse_100um", check_latest=False)
    lazy = atlas.measure(atlas.volumes["template"], ALL)
    pd.testing.assert_frame_equal(atlas.measure(atlas.reference, ALL), lazy)
    atlas.annotation[:] = 0
    atlas.annotation[5, 5, 5] = atlas.structures["TH"]["id"]
    table = atlas.measure(atlas.reference, ("n",)).set_index("acronym")
    assert table.loc["TH", ["n", "n_left", "n_right"]].tolist() == [1, 0, 1]


def test_progress_reaches_the_end(subject: Subject) -> None:
    """The bytes of the image are told as they are read."""
    told: list[tuple[str, int, int]] = []
    image = np.zeros(SHAPE, np.uint16)
    measure(subject, image, report=lambda *one: told.append(one))
    assert told[-1] == ("measure", image.nbytes, image.nbytes)


def test_steps_of_strange_ranges() -> None:
    """One value, or the widest range there is, still gives steps."""
    flat = Steps(3.0, 3.0)
    assert flat.value(flat.number(np.array([3.0, np.inf]))).tolist() == [3.0, 3.0]
    widest = Steps(-1.7e308, 1.7e308)
    assert np.isfinite(widest.value(widest.number(np.array([-1.7e308, 0.0, 1.7e308])))).all()


def test_npy_files_are_mapped(subject: Subject, tmp_path: Path) -> None:
    """A path answers what the array answers; Fortran order and big-endian too."""
    image = np.random.default_rng(10).integers(0, 500, SHAPE).astype(">u2")
    np.save(tmp_path / "image.npy", np.asfortranarray(image))
    table = measure(subject, tmp_path / "image.npy", ALL)
    pd.testing.assert_frame_equal(table, measure(subject, image, ALL))


def test_a_grouping_is_measured_by_group() -> None:
    """``at=`` a grouping asks the grouped atlas; its groups hold what their regions hold."""
    atlas = BrainGlobeAtlas("phantom_mouse_100um", check_latest=False)
    grouped = atlas.group({"ours": ["TH", "HY"]}, name="two")
    found = atlas.measure(atlas.reference, ALL, grouped).set_index("acronym")
    expected = atlas.measure(atlas.reference, ALL, at=["TH", "HY"]).set_index("acronym")
    assert found.loc["ours", "n"] == expected["n"].sum()
    assert found.loc["ours", "sum_left"] == expected["sum_left"].sum()
    direct = grouped.measure(atlas.reference, ALL).set_index("acronym")
    pd.testing.assert_frame_equal(found, direct)
