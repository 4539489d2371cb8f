"""Whatever the labels, the image, its type and its layout: a region's numbers are numpy's."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bg_atlasapi.model.hemispheres import StoredHemispheres
from bg_atlasapi.model.labels import ArraySource, LabelVolume
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.model.terminology import Record, Terminology
from bg_atlasapi.query import pictures, runs
from bg_atlasapi.query.measuring import measure
from bg_atlasapi.query.subject import Subject

LARGEST = 2**32 - 1
PATHS = {"root": (1,), "A": (1, 2), "A1": (1, 2, 3), "A2": (1, 2, 4), "B": (1, LARGEST)}
PATHS |= {"C": (1, 9), "C1": (1, 9, 8), "C2": (1, 9, 8, LARGEST - 1)}
TREE = Terminology([Record(p[-1], a, f"region {a}", p, (0, 0, 0)) for a, p in PATHS.items()])
LABELS = [0, 0, 1, 2, 3, 4, LARGEST, 8, LARGEST - 1, 77, LARGEST - 7]
ALL = ("n", "sum", "mean", "std", "min", "max", "median", "p5", "p99.5", "area_fraction")
TYPES = ["u1", "i1", "u2", "i2", ">u2", "u4", "i4", "i8", "u8", "f2", "f4", ">f4", "f8", "?"]


class Sliced:
    """An image that can do nothing but be sliced, in chunks."""

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self._array = array
        self.shape, self.dtype, self.chunks = array.shape, array.dtype, (2, 3, 2)

    def __getitem__(self, key: Any) -> Any:
        return self._array[key]


@st.composite
def cases(draw: st.DrawFn) -> tuple[Subject, npt.NDArray[Any], npt.NDArray[Any] | None]:
    """Draw an annotation, an image of the same voxels, and perhaps what is left out."""
    seed = np.random.default_rng(draw(st.integers(0, 10_000)))
    shape = tuple(draw(st.integers(1, 9)) for _ in range(3))
    orientation = draw(st.sampled_from(["asr", "rsa", "sra", "las", "pil"]))
    labels = seed.choice(np.array(LABELS[: draw(st.integers(1, len(LABELS)))], np.uint32), shape)
    labels = np.repeat(labels, draw(st.sampled_from([1, 3])), axis=2)
    shape = labels.shape
    space = CoordinateSpace(shape, (25.0, 10.0, 39.0625), orientation)
    stored = None
    if draw(st.booleans()):
        stored = StoredHemispheres(ArraySource(seed.integers(0, 4, shape).astype(np.uint8)))
    dtype = np.dtype(draw(st.sampled_from(TYPES)))
    if dtype.kind == "f":
        values = seed.normal(draw(st.sampled_from([0.0, 1000.0])), 3, shape)
        values[seed.random(shape) < draw(st.sampled_from([0.0, 0.3, 1.0]))] = np.nan
    else:
        limits = np.iinfo(dtype) if dtype.kind != "b" else np.iinfo(np.uint8)
        low, high = draw(st.sampled_from([(limits.min, limits.max), (0, 3)]))
        values = seed.integers(
            low,
            high,
            shape,
            dtype=np.dtype(dtype.name) if dtype.kind != "b" else np.uint8,
            endpoint=True,
        )
    image = values.astype(dtype)
    exclude = seed.random(shape) < 0.3 if draw(st.booleans()) else None
    source = ArraySource(labels if draw(st.booleans()) else np.asfortranarray(labels))
    return Subject(LabelVolume(source, TREE), space, stored), image, exclude


def brute(values: npt.NDArray[Any], threshold: float) -> dict[str, float]:
    """Return every statistic of some values, by numpy in 64 bits."""
    kept = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    exact = sum(int(one) for one in kept) if kept.dtype.kind in "biu" else None
    kept = kept.astype(np.float64)
    if not len(kept):
        return dict.fromkeys(ALL, np.nan) | {"n": 0, "sum": 0}
    found = {"n": len(kept), "sum": kept.sum() if exact is None else exact}
    found |= {"mean": kept.mean(), "std": kept.std(), "min": kept.min(), "max": kept.max()}
    found |= {"median": np.median(kept), "p5": np.percentile(kept, 5)}
    return found | {
        "p99.5": np.percentile(kept, 99.5),
        "area_fraction": (kept > threshold).mean(),
    }


def same(found: Any, expected: dict[str, float], suffix: str = "", prefix: str = "") -> None:
    """Hold one row's statistics against numpy's."""
    largest = max(abs(expected["min"]), abs(expected["max"])) if expected["n"] else 0
    for name, value in expected.items():
        own = found[f"{prefix}{name}{suffix}"]
        tolerance = 1e-9 * largest * (expected["n"] if name == "sum" else 1) + 1e-12
        assert own == pytest.approx(value, rel=1e-9, abs=tolerance, nan_ok=True), name


@given(
    case=cases(),
    how=st.sampled_from(["plain", "fortran", "strided", "sliced"]),
    small=st.booleans(),
)
def test_every_row_is_numpys(case: Any, how: str, small: bool) -> None:
    """With descendants, by side, own; structures without voxels and unlisted labels included."""
    subject, image, exclude = case
    labels, threshold = subject.labels.ids(), 1.5
    given_image: Any = image
    if how == "fortran":
        given_image = np.asfortranarray(image)
    elif how == "strided":
        given_image = np.repeat(image, 2, axis=1)[:, ::2]
    elif how == "sliced":
        given_image = Sliced(image)
    with (
        mock.patch.object(runs, "LONGEST", 2 if small else 256),
        mock.patch("bg_atlasapi.query.runs.MOST_VOXELS", 5 if small else 1 << 20),
        mock.patch("bg_atlasapi.query.measuring.MOST_VOXELS", 7 if small else 1 << 20),
        mock.patch.object(pictures, "_FEW", 2),
    ):
        table = measure(subject, given_image, ALL, threshold=threshold, exclude=exclude)
    kept = np.ones(image.shape, np.bool_) if exclude is None else ~exclude
    sides = np.broadcast_to(subject.sides(0, image.shape[0]), image.shape)
    unlisted = sorted({*np.unique(labels).tolist()} - {0, *TREE.ids.tolist()})
    assert table["id"].tolist() == [*TREE.ids[1:].tolist(), *unlisted]
    for row in table.to_dict("records"):
        listed = row["id"] not in unlisted
        code = TREE.code(row["id"]) if listed else 0
        ids = subject.labels.subtree_ids(code) if listed else [row["id"]]
        within = kept & np.isin(labels, ids)
        same(row, brute(image[within], threshold))
        same(row, brute(image[within & (sides == 1)], threshold), "_left")
        same(row, brute(image[within & (sides == 2)], threshold), "_right")
        same(row, brute(image[kept & (labels == row["id"])], threshold), prefix="own_")
        assert row["volume_mm3"] == pytest.approx(row["n"] * 25 * 10 * 39.0625 / 1e9)


@given(case=cases(), at=st.sampled_from([0, 1, 2, -1, ["A", "A1", "C1"], ["B"]]))
def test_at_counts_each_voxel_once(case: Any, at: Any) -> None:
    """With a depth or a list, a voxel belongs to the row that ``lookup`` would answer."""
    from bg_atlasapi.query.points import lookup

    subject, image, exclude = case
    table = measure(subject, image, ("n", "sum", "p5"), at, exclude=exclude).set_index("id")
    voxels = np.indices(image.shape).reshape(3, -1).T + 0.5
    answers = lookup(subject.labels, subject.space, voxels, "voxel", at)["id"].to_numpy()
    kept = np.ones(image.size, np.bool_) if exclude is None else ~exclude.reshape(-1)
    for identifier, row in table.iterrows():
        expected = brute(image.reshape(-1)[kept & (answers == identifier)], 0)
        assert row["n"] == expected["n"]
        assert row["p5"] == pytest.approx(expected["p5"], rel=1e-9, nan_ok=True)
    asked = {*answers[kept].tolist()} - {0}
    if image.dtype.kind != "f":
        assert asked <= {*table.index.tolist()}
        assert table["n"].sum() == (kept & (answers != 0)).sum()


@given(case=cases())
def test_a_sketch_keeps_its_error(case: Any) -> None:
    """Percentiles from steps are off by no more than is said."""
    subject, image, exclude = case
    exact = measure(subject, image, ("median", "p5"), exclude=exclude)
    sketch = measure(subject, image, ("median", "p5"), exclude=exclude, sketch=True)
    error = sketch.attrs.get("percentile_error", 0.0)
    for name in ("median", "p5_left", "own_p5"):
        apart = np.abs(exact[name] - sketch[name]).to_numpy()
        scale = np.nan_to_num(np.abs(exact[name].to_numpy()))
        assert (exact[name].isna() == sketch[name].isna()).all()
        assert (np.nan_to_num(apart) <= error * (1 + 1e-6) + 1e-9 * scale).all()
