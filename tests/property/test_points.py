"""Any points over any volume answer as plain Python would, one by one and in arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bg_atlasapi.model.labels import ArraySource, LabelVolume
from bg_atlasapi.model.space import CoordinateSpace, as_triplet
from bg_atlasapi.model.terminology import Record, Terminology
from bg_atlasapi.query.points import locate, lookup, roll_up, voxel_of

PATHS = [(1,), (1, 2), (1, 2, 4), (1, 2, 2**32 - 1), (1, 3), (1, 3, 9), (1, 3, 9, 27)]
TREE = Terminology([Record(p[-1], f"s{p[-1]}", "", p, (0, 0, 0)) for p in PATHS])
LABELS = np.array([0, *(path[-1] for path in PATHS), 77, 2**32 - 2], dtype=np.uint32)
PATH_OF = {path[-1]: path for path in PATHS}
ODD = [math.nan, math.inf, -math.inf, 1e300, -1e300, 1.7e308, 5e-324, -5e-324, -0.0, 2.0**63]


@st.composite
def spaces(draw: st.DrawFn) -> CoordinateSpace:
    """Draw a space: odd sizes, fractional and anisotropic voxels, axes in any order."""
    size = st.sampled_from([1.0, 25.0, 10.1, 39.0625, 0.5, 0.1, 1e-3, 1e4])
    shape = draw(st.tuples(*[st.integers(1, 6)] * 3))
    sizes = draw(st.tuples(size, size, size))
    letters = draw(st.permutations([draw(st.sampled_from(pair)) for pair in ("ap", "si", "lr")]))
    return CoordinateSpace(shape, sizes, "".join(letters))


def labels_of(space: CoordinateSpace, seed: int) -> LabelVolume:
    """Return random labels, listed and not, in a space."""
    volume = np.random.default_rng(seed).choice(LABELS, space.shape)
    return LabelVolume(ArraySource(volume), TREE)


@st.composite
def points_in(draw: st.DrawFn, scale: Sequence[float]) -> list[list[float]]:
    """Draw points near the voxels of a size: inside, on edges, beside edges, and absurd ones."""

    def coordinate(size: float) -> st.SearchStrategy[float]:
        edge = st.integers(-2, 8).map(lambda index: index * size)
        return (
            edge
            | edge.map(lambda value: math.nextafter(value, math.inf))
            | edge.map(lambda value: math.nextafter(value, -math.inf))
            | st.floats(-1.5 * size, 7.5 * size)
            | st.sampled_from(ODD)
        )

    one = st.tuples(*(coordinate(size) for size in scale)).map(list)
    return draw(st.lists(one, min_size=1, max_size=12))


def brute_force(
    point: Sequence[float], scale: Sequence[float], shape: Sequence[int], factor: float = 1.0
) -> tuple[int, ...] | None:
    """Return the voxel of a point by the definition."""
    voxel = []
    for value, size, count in zip(point, scale, shape, strict=True):
        quotient = float(value) * factor / size
        if not math.isfinite(quotient) or not 0 <= math.floor(quotient) < count:
            return None
        voxel.append(math.floor(quotient))
    return tuple(voxel)


@given(spaces(), st.sampled_from(["um", "mm", "voxel"]), st.integers(0, 9), st.data())
def test_points_answer_as_the_definition_says(
    space: CoordinateSpace, unit: str, seed: int, data: st.DataObject
) -> None:
    """Ids, codes, sides and inside equal floor(point / size) looked up in plain Python."""
    labels = labels_of(space, seed)
    volume = labels.ids()
    factor, sizes = space.voxel_scale(unit)
    points = data.draw(points_in([size / factor for size in sizes]))
    fresh = LabelVolume(labels.source, TREE)
    sides = space.hemispheres()
    for found in (locate(fresh, space, points, unit), locate(labels, space, points, unit)):
        for place, point in enumerate(points):
            voxel = brute_force(point, sizes, space.shape, factor)
            label = 0 if voxel is None else int(volume[voxel])
            assert found.ids[place] == label
            assert found.codes[place] == TREE.code_of_id(label)
            assert found.inside[place] == (voxel is not None)
            assert found.hemispheres[place] == (0 if voxel is None else sides[voxel])


@given(spaces(), st.integers(0, 9), st.sampled_from([np.float64, np.float32, np.int16]), st.data())
def test_one_point_is_answered_as_many(
    space: CoordinateSpace, seed: int, dtype: Any, data: st.DataObject
) -> None:
    """The scalar twin agrees with the array for every type of number, Python's and numpy's."""
    labels = labels_of(space, seed)
    volume = labels.ids()
    scale = space.spacing_um
    drawn = np.array(data.draw(points_in(scale)))
    limit = 1e4 if dtype is np.int16 else 1e38
    points = np.where(np.abs(drawn) < limit, drawn, -1).astype(dtype)
    found = locate(labels, space, points)
    for place, point in enumerate(points):
        for spelling in (point, point.tolist(), tuple(point), list(point)):
            triplet = as_triplet(spelling)
            if triplet is None:
                continue
            voxel = voxel_of(triplet, scale, space.shape)
            assert (voxel is not None) == bool(found.inside[place])
            assert found.ids[place] == (0 if voxel is None else volume[voxel])
        assert brute_force(point.tolist(), scale, space.shape) == voxel_of(
            point.tolist(), scale, space.shape
        )


@given(st.integers(0, 9), st.integers(-6, 6))
def test_every_depth_is_a_place_in_the_path(seed: int, depth: int) -> None:
    """A point's ancestor at a depth is the entry of its structure's path, held at the ends."""
    space = CoordinateSpace((3, 4, 5), (1.0, 1.0, 1.0))
    labels = labels_of(space, seed)
    points = np.argwhere(np.ones(space.shape)) + 0.5
    plain = locate(labels, space, points)
    raised = roll_up(plain, TREE, depth)
    for label, ancestor in zip(plain.ids.tolist(), raised.ids.tolist(), strict=True):
        path = PATH_OF.get(label, (label,))
        place = depth if depth >= 0 else len(path) + depth
        assert ancestor == path[min(max(place, 0), len(path) - 1)]


@given(st.integers(0, 9), st.lists(st.sampled_from(sorted(PATH_OF)), max_size=4))
def test_given_structures_take_what_they_hold(seed: int, chosen: list[int]) -> None:
    """Among given structures a point goes to the deepest in its path; else elsewhere or outside."""
    space = CoordinateSpace((3, 4, 5), (1.0, 1.0, 1.0))
    labels = labels_of(space, seed)
    points = np.argwhere(np.ones(space.shape)) + 0.5
    frame = lookup(labels, space, [*points, [-1, 0, 0]], at=chosen)
    answers = frame["acronym"].tolist()
    for label, answer in zip(labels.ids().reshape(-1).tolist(), answers, strict=False):
        held = [identifier for identifier in PATH_OF.get(label, ()) if identifier in chosen]
        nothing = "Elsewhere" if label else "Outside atlas"
        assert answer == (f"s{held[-1]}" if held else nothing)
    assert answers[-1] == "Outside atlas"
