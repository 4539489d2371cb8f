"""Outlines of random pictures against counting pixels one by one."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bg_atlasapi.view import corners, tracing

pictures = arrays(
    np.int32,
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    elements=st.integers(0, 3),
)


def flooded(labels: npt.NDArray[np.int32]) -> list[set[tuple[int, int]]]:
    """Return the parts of a picture, found pixel by pixel."""
    left = {(int(r), int(c)) for r, c in np.argwhere(labels)}
    parts = []
    while left:
        waiting, part = [min(left)], set()
        left.remove(waiting[0])
        while waiting:
            row, column = waiting.pop()
            part.add((row, column))
            for near in (
                (row + 1, column),
                (row - 1, column),
                (row, column + 1),
                (row, column - 1),
            ):
                if near in left and labels[near] == labels[row, column]:
                    left.remove(near)
                    waiting.append(near)
        parts.append(part)
    return parts


@given(pictures)
def test_parts_are_those_of_a_flood(labels: npt.NDArray[np.int32]) -> None:
    """Parts are numbered by their first pixel and hold what a flood fill finds."""
    parts, first = tracing.parts_of(labels)
    expected = flooded(labels)
    assert len(first) == len(expected)
    for number, part in enumerate(expected, start=1):
        assert {(int(r), int(c)) for r, c in np.argwhere(parts == number)} == part
        assert divmod(int(first[number - 1]), labels.shape[1]) == min(part)


@given(pictures)
def test_rings_enclose_their_pixels_and_never_touch_themselves(
    labels: npt.NDArray[np.int32],
) -> None:
    """One ring round each part, others round its holes; areas add up; each is simple, step by step."""
    parts, first = tracing.parts_of(labels)
    lines = tracing.rings_of(parts)
    places = corners.places_of(labels.shape)[:, ::-1]
    points, starts = tracing.points_of(lines, places, closed=True)
    areas = tracing.areas_of(points, starts)
    for number in range(1, len(first) + 1):
        mine = areas[lines.parts == number]
        assert (mine > 0).sum() == 1
        assert np.isclose(mine.sum(), (parts == number).sum())
    for start, stop in zip(lines.starts[:-1], lines.starts[1:], strict=True):
        ring = lines.corners[start:stop]
        assert len(set(ring.tolist())) == len(ring)
        steps = np.abs(np.diff(places[np.append(ring, ring[0])], axis=0)).sum(axis=1)
        assert (steps == 1).all()


@given(pictures)
def test_every_border_is_drawn_once(labels: npt.NDArray[np.int32]) -> None:
    """The steps of all lines are the pixel edges between different labels, each once."""
    framed = np.pad(labels, 1)
    wide = labels.shape[1] + 1
    edges = set()
    for row in range(labels.shape[0] + 1):
        for column in range(labels.shape[1] + 1):
            corner = row * wide + column
            if framed[row, column + 1] != framed[row + 1, column + 1] and column < wide - 1:
                edges.add((corner, corner + 1))
            if framed[row + 1, column] != framed[row + 1, column + 1] and row < labels.shape[0]:
                edges.add((corner, corner + wide))
    lines = tracing.borders_of(labels)
    steps: Counter[tuple[int, int]] = Counter()
    for start, stop in zip(lines.starts[:-1], lines.starts[1:], strict=True):
        line = lines.corners[start:stop].tolist()
        steps.update(tuple(sorted(pair)) for pair in pairwise(line))
    assert set(steps) == edges
    assert set(steps.values()) <= {1}


@given(pictures)
def test_smoothing_moves_corners_by_half_a_pixel_at_most(labels: npt.NDArray[np.int32]) -> None:
    """No corner moves further, those away from borders not at all; junctions are never spare."""
    trace = tracing.traced(labels, smooth=True)
    exact = corners.places_of(labels.shape)
    assert np.abs(trace.places - exact).max() <= 0.5
    used = np.unique(tracing.borders_of(labels).corners)
    away = np.setdiff1d(np.arange(len(exact)), used)
    assert np.array_equal(trace.places[away], exact[away])
    assert trace.spare is not None
    lines = tracing.borders_of(labels)
    ends = np.concatenate([lines.corners[lines.starts[:-1]], lines.corners[lines.starts[1:] - 1]])
    open_ends = [end for end, often in Counter(ends.tolist()).items() if often != 2]
    assert not trace.spare[open_ends].any()


@given(pictures)
def test_texts_go_where_the_region_is(labels: npt.NDArray[np.int32]) -> None:
    """The pixel of each part lies in it, and what is said to be free around it is."""
    parts, first = tracing.parts_of(labels)
    pixels, rooms = tracing.rooms_of(labels, parts, (1.0, 1.0))
    assert len(pixels) == len(first)
    for number, (pixel, (wide, high)) in enumerate(zip(pixels, rooms, strict=True), start=1):
        row, column = divmod(int(pixel), labels.shape[1])
        across, down = int(wide - 0.5), int(high - 0.5)
        assert (parts[row, column - across : column + across + 1] == number).all()
        assert (parts[row - down : row + down + 1, column] == number).all()
