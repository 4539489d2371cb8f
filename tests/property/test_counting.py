"""Any points over any volume are counted as plain Python would count them, in any parts."""

from __future__ import annotations

from collections import Counter
from typing import Any

import dask
import dask.array as da
import numpy as np
import numpy.typing as npt
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from bg_atlasapi.model.hemispheres import StoredHemispheres
from bg_atlasapi.model.labels import ArraySource, LabelVolume
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.model.terminology import Record, Terminology
from bg_atlasapi.query import counting, lazily
from bg_atlasapi.query.counting import Rows, Tally, tally_of
from bg_atlasapi.query.points import locate, lookup
from bg_atlasapi.query.subject import Subject

PATHS = [(1,), (1, 2), (1, 2, 4), (1, 2, 2**32 - 1), (1, 3), (1, 3, 9), (1, 3, 9, 27), (1, 5)]
TREE = Terminology([Record(p[-1], f"s{p[-1]}", f"n{p[-1]}", p, (0, 0, 0)) for p in PATHS])
# 5 is a region without a voxel.
LABELS = np.array([0, *(path[-1] for path in PATHS[:-1]), 77, 2**32 - 2], dtype=np.uint32)
PATH_OF = {path[-1]: path for path in PATHS}

ats = (
    st.none()
    | st.integers(-3, 5)
    | st.lists(st.sampled_from(sorted(PATH_OF)), min_size=1, max_size=4, unique=True)
)


@st.composite
def asked(draw: st.DrawFn) -> tuple[Subject, npt.NDArray[np.float64]]:
    """Draw labels in an anisotropic space, sides worked out or stored, and points around them."""
    shape = draw(st.tuples(*[st.integers(1, 6)] * 3))
    sizes = draw(st.tuples(*[st.sampled_from([1.0, 25.0, 10.1, 0.5, 39.0625])] * 3))
    letters = "".join(draw(st.permutations(["a", "s", draw(st.sampled_from("lr"))])))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    volume = rng.choice(LABELS, shape)
    sides = StoredHemispheres(ArraySource(rng.integers(1, 3, shape, np.uint8)))
    space = CoordinateSpace(shape, sizes, letters)
    labels = LabelVolume(ArraySource(volume), TREE)
    points = (rng.random((draw(st.integers(0, 200)), 3)) * 1.4 - 0.2) * shape * sizes
    points[rng.random(points.shape) < 0.01] = np.nan
    return Subject(labels, space, sides if draw(st.booleans()) else None), points


def row_of(label: int, at: Any) -> Any:
    """Return what a label is counted for, by its path in plain Python."""
    path = PATH_OF.get(label)
    if label == 0:
        return "Outside atlas"
    if isinstance(at, list):
        return next((one for one in reversed(path or ()) if one in at), "Elsewhere")
    if path is None:
        return f"unlisted {label}"
    if at is None:
        return label
    place = at if at >= 0 else len(path) + at
    return path[min(max(place, 0), len(path) - 1)]


@given(asked(), ats, st.booleans())
def test_counts_are_those_of_brute_force(
    question: tuple[Subject, npt.NDArray[np.float64]], at: Any, zeros: bool
) -> None:
    """Own and total, left and right, and volumes equal counting points and voxels one by one."""
    subject, points = question
    frame = counting.count(subject, points, at=at, zeros=zeros)
    found = locate(subject.labels, subject.space, points, hemispheres=subject.hemispheres)
    volume = subject.labels.ids().reshape(-1).tolist()
    own = Counter(row_of(label, at) for label in found.ids.tolist())
    for row in frame.to_dict("records"):
        key = row["acronym"] if row["acronym"] not in TREE.acronyms[1:] else row["id"]

        def within(label: int, key: Any = key) -> bool:
            """Say whether a label belongs to the row, descendants included."""
            return key in PATH_OF.get(label, ()) if key in PATH_OF else row_of(label, at) == key

        inside = [within(label) for label in found.ids.tolist()]
        sides = found.hemispheres[inside].tolist()
        assert row["own"] == own.pop(key, 0)
        assert (row["total"], row["left"], row["right"]) == (
            *(len(sides), sides.count(1), sides.count(2)),
        )
        size = sum(map(within, volume)) * np.prod(subject.space.spacing_um) / 1e9
        if key == "Outside atlas" or not size:
            assert np.isnan(row["density_per_mm3"])
        else:
            assert row["density_per_mm3"] == np.float64(len(sides)) / size or np.isclose(
                row["density_per_mm3"], len(sides) / size, rtol=1e-12
            )
    assert not own


@given(asked(), ats)
def test_counts_conserve(question: tuple[Subject, npt.NDArray[np.float64]], at: Any) -> None:
    """Own adds up to the points; roots, the rest and outside too; left and right to the total."""
    subject, points = question
    frame = counting.count(subject, points, at=at)
    assert frame["own"].sum() == len(points)
    assert frame["acronym"].iloc[-1] == "Outside atlas"
    regions = frame[frame["acronym"].isin(TREE.acronyms[1:])]
    assert (regions["left"] + regions["right"] == regions["total"]).all()
    if at is None:
        others = frame[~frame["acronym"].isin(TREE.acronyms[1:])]
        roots = frame.loc[frame["id"] == 1, "total"].sum()
        assert roots + others["total"].sum() == len(points)


@given(asked(), st.lists(st.integers(0, 200), max_size=4))
def test_any_parts_give_the_same(
    question: tuple[Subject, npt.NDArray[np.float64]], cuts: list[int]
) -> None:
    """Tallies of parts add up to the tally of all, by ``+`` and in place."""
    subject, points = question
    parts = [tally_of(subject, part) for part in np.split(points, sorted(cuts))]
    whole = tally_of(subject, points)
    running = Tally.empty(TREE)
    for part in parts:
        running += part
    for total in (running, sum(parts[1:], parts[0])):
        assert (total.counts == whole.counts).all()
        assert total.beyond == whole.beyond
        assert len(total) == len(points)
        assert {k: v.tolist() for k, v in total.unlisted.items()} == {
            k: v.tolist() for k, v in whole.unlisted.items()
        }
    rows = Rows.of(TREE)
    pd.testing.assert_frame_equal(
        counting.table(running, subject, rows), counting.table(whole, subject, rows)
    )


@given(asked(), ats, st.booleans(), st.integers(1, 70), st.sampled_from([1, 3]))
def test_dask_answers_as_numpy(
    question: tuple[Subject, npt.NDArray[np.float64]],
    at: Any,
    zeros: bool,
    rows: int,
    columns: int,
) -> None:
    """Points in any chunks are counted and looked up as in memory; types are those announced."""
    subject, points = question
    chunked = da.from_array(points, chunks=(rows, columns))
    with dask.config.set(scheduler="synchronous"):
        counted = lazily.count(subject, chunked, at=at, zeros=zeros).compute()
        looked = lazily.lookup(subject, chunked, at=at)
        answers = looked.compute()
    pd.testing.assert_frame_equal(counted, counting.count(subject, points, at=at, zeros=zeros))
    expected = lookup(subject.labels, subject.space, points, "um", at, subject.hemispheres)
    texts = {"acronym": str, "name": str}
    pd.testing.assert_frame_equal(answers.astype(texts), expected.astype(texts), check_dtype=False)
    assert (answers.dtypes == looked.dtypes).all()


@given(asked(), ats)
def test_one_by_one_is_all_at_once(
    question: tuple[Subject, npt.NDArray[np.float64]], at: Any
) -> None:
    """A triplet alone is looked up, and counted, as in an array."""
    subject, points = question
    given_sides = subject.hemispheres
    together = lookup(subject.labels, subject.space, points, "um", at, given_sides)
    for place, point in enumerate(points[:5]):
        alone = lookup(subject.labels, subject.space, point, "um", at, given_sides)
        one, other = alone.astype(object).iloc[0], together.astype(object).iloc[place]
        assert one.astype(str).tolist() == other.astype(str).tolist()
        assert counting.count(subject, point, at=at)["own"].sum() == 1
