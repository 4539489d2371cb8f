"""Trace the regions of a label picture: exact rings along pixel edges, and the borders they share.

Pure numpy on two axes; which slice of which atlas a picture is, and what a ring is called, is the
business of ``outlines``. Every step works on all regions at once: pixels become runs, runs become
parts, the edges of parts become half-edges that each know the next, and following that by doubling
puts them in order in as many steps as a ring's length has digits.

Corners are numbered in C order on a grid of one row and one column more than the pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.view.corners import border_edges, places_of, smoothed

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Indices = npt.NDArray[np.intp]
    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Trace:
    """A label picture, its parts, and where the corners of its pixels lie.

    Parameters
    ----------
    labels
        The picture.
    parts, first
        As ``parts_of`` returns them.
    places
        Row and column of each corner, shape ``(corners, 2)``.
    spare
        Corners that lines need not have; None needs all.
    """

    labels: Array
    parts: Indices
    first: Indices
    places: Floats
    spare: npt.NDArray[np.bool_] | None


def traced(labels: Array, *, smooth: bool) -> Trace:
    """Return what rings and borders of a picture are made from.

    Parameters
    ----------
    labels
        Whole numbers, shape ``(rows, columns)``; 0 is outside.
    smooth
        Take the stairs out.
    """
    parts, first = parts_of(labels)
    if smooth:
        return Trace(labels, parts, first, *smoothed(labels, parts))
    return Trace(labels, parts, first, places_of((labels.shape[0], labels.shape[1])), None)


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of corners, one after another.

    Parameters
    ----------
    corners
        Number of each corner; those of a line in order. A ring does not repeat its first corner.
    starts
        Where each line starts, and the end of the last: one more than there are lines.
    parts
        The part each ring goes round; of borders the number of the line.
    """

    corners: Indices
    starts: Indices
    parts: Indices


def parts_of(labels: Array) -> tuple[Indices, Indices]:
    """Return the connected parts of a label picture.

    Parameters
    ----------
    labels
        Whole numbers, shape ``(rows, columns)``; 0 is outside.

    Returns
    -------
    parts, first
        The part of each pixel, numbered from 1 in the order of their first pixels, 0 outside; and
        the flat index of the first pixel of each, that of part 1 first. Pixels of one label are
        connected where they share an edge.
    """
    if labels.size == 0:
        return np.zeros(labels.shape, np.intp), np.zeros(0, np.intp)
    change = np.ones(labels.shape, np.bool_)
    np.not_equal(labels[:, 1:], labels[:, :-1], out=change[:, 1:])
    starts = np.flatnonzero(change)
    run_of = (np.cumsum(change.reshape(-1)) - 1).reshape(labels.shape)
    # A pair of runs shows anew where either of them begins.
    same = (labels[1:] == labels[:-1]) & (change[1:] | change[:-1]) & (labels[1:] != 0)
    lower, upper = run_of[1:][same], run_of[:-1][same]
    root = np.arange(len(starts))
    while True:
        one, other = root[lower], root[upper]
        apart = one != other
        if not apart.any():
            break
        lower, upper, one, other = lower[apart], upper[apart], one[apart], other[apart]
        np.minimum.at(root, np.maximum(one, other), np.minimum(one, other))
        while True:
            above = root[root]
            if np.array_equal(above, root):
                break
            root = above
    inside = labels.reshape(-1)[starts] != 0
    first = np.flatnonzero(inside & (root == np.arange(len(root))))
    number = np.zeros(len(root), np.intp)
    number[first] = np.arange(1, len(first) + 1)
    return number[root][run_of], starts[first]


def rings_of(parts: Indices) -> Lines:
    """Return the rings round the parts of a picture, and round their holes.

    Parameters
    ----------
    parts
        As ``parts_of`` returns them.

    Returns
    -------
    Lines
        Ordered by part. With rows downwards on the second axis of a plane, rings round a part have
        a positive area and rings round holes a negative one. No ring touches itself; rings of one
        part touch in single corners at most. Corners lie one pixel edge apart.
    """
    owner, following = _half_edges(parts)
    edges = np.flatnonzero(owner)
    place = np.zeros(owner.size, np.intp)
    place[edges] = np.arange(len(edges))
    line, order, starts = _in_order(place[following(edges)])
    del line
    corners = (edges % (owner.size // 4))[order]
    of_ring = owner[edges[order[starts[:-1]]]]
    by_part = np.argsort(of_ring, kind="stable")
    return Lines(*_rearranged(corners, starts, by_part), of_ring[by_part])


def _half_edges(parts: Indices) -> tuple[Indices, Any]:
    """Return the part of each half-edge, 0 where there is none, and a function to the next ones.

    A half-edge is numbered by its direction (right, down, left, up) and the corner it leaves; its
    part lies on its right hand.
    """
    rows, columns = parts.shape
    wide = columns + 1
    inner = np.zeros((rows + 2, columns + 2), np.intp)
    inner[1:-1, 1:-1] = parts
    middle = inner[1:-1, 1:-1]
    owner = np.zeros((4, rows + 1, wide), np.intp)
    owner[0, :-1, :-1] = np.where(middle != inner[:-2, 1:-1], middle, 0)
    owner[1, :-1, 1:] = np.where(middle != inner[1:-1, 2:], middle, 0)
    owner[2, 1:, 1:] = np.where(middle != inner[2:, 1:-1], middle, 0)
    owner[3, 1:, :-1] = np.where(middle != inner[1:-1, :-2], middle, 0)
    flat = owner.reshape(-1)
    count = (rows + 1) * wide
    steps = np.array([1, wide, -1, -wide])

    def following(edges: Indices) -> Indices:
        direction, corner = np.divmod(edges, count)
        corner = corner + steps[direction]
        mine = flat[edges]
        # Left before straight on before right: where two pixels of a part meet in a corner only,
        # the ring crosses over, so that it is the background which is parted there. That keeps
        # every ring simple.
        left = (direction + 3) % 4 * count + corner
        straight = direction * count + corner
        right = (direction + 1) % 4 * count + corner
        answer: Indices = np.where(
            flat[left] == mine, left, np.where(flat[straight] == mine, straight, right)
        )
        return answer

    return flat, following


def _in_order(after: Indices) -> tuple[Indices, Indices, Indices]:
    """Return the lines that things form which each know the next; the last ones know themselves.

    Returns
    -------
    line, order, starts
        The least thing of each one's line; all things, line by line and in order, a ring beginning
        with its least; where each line begins in it, and the end.
    """
    count = len(after)
    ends = after == np.arange(count)
    least, jump = np.arange(count), after
    for _ in range(max(count, 1).bit_length()):  # least of all that can be reached
        least = np.minimum(least, least[jump])
        jump = jump[jump]
    in_chain = ends[jump]
    # Rings are cut before their least thing; then everyone counts the steps to the end.
    cut = np.where((least[after] == after) & ~in_chain, np.arange(count), after)
    steps = (cut != np.arange(count)).astype(np.intp)
    jump = cut
    for _ in range(max(count, 1).bit_length()):
        steps = steps + steps[jump]
        jump = jump[jump]
    line = jump  # whoever comes last stands for the line
    order = np.lexsort((-steps, line))
    starts = np.flatnonzero(np.diff(line[order], prepend=-1))
    return line, order, np.append(starts, count)


def _rearranged(corners: Indices, starts: Indices, order: Indices) -> tuple[Indices, Indices]:
    """Return lines in another order."""
    lengths = np.diff(starts)[order]
    ends = np.append(0, np.cumsum(lengths))
    index = np.arange(len(corners)) - np.repeat(ends[:-1] - starts[:-1][order], lengths)
    return corners[index], ends


def borders_of(labels: Array) -> Lines:
    """Return every border once, as lines from junction to junction, or rings without one.

    Parameters
    ----------
    labels
        Whole numbers, shape ``(rows, columns)``; 0 is outside. Parts of the same label do not have
        a border, whether they touch or not.

    Returns
    -------
    Lines
        A ring repeats its first corner at its end here.
    """
    wide = labels.shape[1] + 1
    start, stop = border_edges(labels)
    count = len(start)
    if not count:
        none = np.zeros(0, np.intp)
        return Lines(none, np.zeros(1, np.intp), none)
    tails, heads = np.concatenate([start, stop]), np.concatenate([stop, start])
    degree = np.bincount(tails, minlength=(labels.shape[0] + 1) * wide)
    by_tail = np.argsort(tails, kind="stable")
    first = np.append(0, np.cumsum(degree))
    one, other = by_tail[first[heads]], by_tail[np.minimum(first[heads] + 1, 2 * count - 1)]
    arcs = np.arange(2 * count)
    back = (arcs + count) % (2 * count)
    after = np.where(degree[heads] == 2, np.where(one == back, other, one), arcs)
    _, order, starts = _in_order(after)
    lowest = np.minimum.reduceat(order % count, starts[:-1])
    # Each line was found in both directions.
    once = np.sort(np.unique(lowest, return_index=True)[1])
    lengths = np.diff(starts)[once]
    ends = np.append(0, np.cumsum(lengths + 1))
    corners = np.empty(ends[-1], np.intp)
    index = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    kept = order[index + np.repeat(starts[:-1][once], lengths)]
    corners[index + np.repeat(ends[:-1], lengths)] = tails[kept]
    corners[ends[1:] - 1] = heads[order[starts[1:][once] - 1]]
    return Lines(corners, ends, np.arange(len(once)))


def points_of(
    lines: Lines,
    places: Floats,
    spare: npt.NDArray[np.bool_] | None = None,
    *,
    closed: bool,
) -> tuple[Floats, Indices]:
    """Return the points of lines, those left out that lie on the way between their neighbours.

    Parameters
    ----------
    lines
        Of corners.
    places
        Of every corner.
    spare
        Corners that can be left out.
    closed
        Whether each line leads back to its start.

    Returns
    -------
    points, starts
        Shape ``(n, 2)``; where each line starts, and the end.
    """
    points = places[lines.corners]
    count = len(points)
    if not count:
        return points, lines.starts
    before, behind = np.arange(count) - 1, np.arange(count) + 1
    first, last = lines.starts[:-1], lines.starts[1:] - 1
    before[first], behind[last] = (last, first) if closed else (first, last)
    one, other = points - points[before], points[behind] - points
    keep = np.abs(one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]) > 1e-9
    if spare is not None:
        keep &= ~spare[lines.corners]
    if not closed:
        keep[first] = keep[last] = True
    kept = np.append(0, np.cumsum(keep))
    return points[keep], kept[lines.starts]


def areas_of(points: Floats, starts: Indices) -> Floats:
    """Return the signed areas of rings, first coordinate across, second down."""
    count = len(points)
    if not count:
        return np.zeros(0)
    behind = np.arange(count) + 1
    behind[starts[1:] - 1] = starts[:-1]
    cross = points[:, 0] * points[behind, 1] - points[:, 1] * points[behind, 0]
    sums: Floats = np.add.reduceat(cross, starts[:-1]) / 2
    return sums


def rooms_of(labels: Array, parts: Indices, pixel: tuple[float, float]) -> tuple[Indices, Floats]:
    """Return the pixel of each part round which there is most room for a text, and how much.

    Parameters
    ----------
    labels, parts
        A picture and its parts.
    pixel
        Height and width of a pixel.

    Returns
    -------
    pixels, rooms
        Flat index, by part (that of part 1 first); half the free width and half the free height
        round it, shape ``(parts, 2)``.
    """
    wide = _to_edge(parts) * pixel[1]
    high = _to_edge(parts.T).T * pixel[0]
    inside = np.flatnonzero(labels)
    flat = parts.reshape(-1)[inside]
    score = np.minimum(wide.reshape(-1)[inside], 1.5 * high.reshape(-1)[inside])
    order = np.lexsort((score, flat))
    last = np.flatnonzero(np.diff(flat[order], append=-1))
    pixels = inside[order[last]]
    rooms = np.stack([wide.reshape(-1)[pixels], high.reshape(-1)[pixels]], axis=1)
    return pixels, rooms


def _to_edge(parts: Array) -> Floats:
    """Return how far along the last axis it is to the nearer end of the part, from the middle."""
    length = parts.shape[1]
    change = np.ones(parts.shape, np.bool_)
    np.not_equal(parts[:, 1:], parts[:, :-1], out=change[:, 1:])
    places = np.arange(length)
    begin = np.maximum.accumulate(np.where(change, places, 0), axis=1)
    ending = np.ones(parts.shape, np.bool_)
    ending[:, :-1] = change[:, 1:]
    end = np.minimum.accumulate(np.where(ending, places, length)[:, ::-1], axis=1)[:, ::-1]
    return np.minimum(places - begin, end - places) + 0.5
