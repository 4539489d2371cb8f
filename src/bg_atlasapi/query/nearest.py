"""Which region is nearest to points outside every region, and how far it is.

Only voxels at the surface of what is labelled can be nearest to a point outside. They are kept in
small blocks, with the box that each block's voxels take up: a tree of the blocks says which can
hold the nearest voxel, and only those are compared. Distances are to the box of a voxel, not to its
middle. The surface is found once, by reading every voxel, and kept as long as the labels are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.locks import OnceLock
from bg_atlasapi.model.labels import LabelVolume
from bg_atlasapi.model.parallel import spans, stream
from bg_atlasapi.model.scan import Planes
from bg_atlasapi.model.space import as_points
from bg_atlasapi.query.geometry import Places, box_gaps_um, near_enough, places_of, voxels_of
from bg_atlasapi.query.points import answers
from bg_atlasapi.query.subject import Subject, subject_of

if TYPE_CHECKING:
    import numpy.typing as npt

_BLOCK = 4  # voxels along each side of a block
_LOCATED = 1 << 18  # points at a time
_POINTS = 1 << 10  # of those outside
_PAIRS = 1 << 19  # of points and voxels, at a time
_KEY = "surface"
_ONCE = OnceLock()


@dataclass(frozen=True, slots=True)
class Nearest:
    """What is nearest to points; arrays of shape ``(n,)``.

    Parameters
    ----------
    distance_um
        To the nearest labelled voxel: 0 in one, infinite where there is none, NaN for a point that
        is not finite, or beyond a kilometre.
    ids
        Its label; 0 where there is none. Of several equally near ones the smallest.
    """

    distance_um: npt.NDArray[np.float64]
    ids: npt.NDArray[np.integer]


def nearest_of(atlas: Any, points: npt.ArrayLike, unit: str = "um") -> Nearest:
    """Find the labelled voxel nearest to each point.

    Parameters
    ----------
    atlas
        The atlas.
    points
        One triplet or ``(N, 3)``, in the atlas's axis order, origin at the corner of voxel 0.
    unit
        ``"um"``, ``"mm"`` or ``"voxel"``.

    Raises
    ------
    InvalidInputError
        If points are not numbers of shape ``(N, 3)`` or the unit is unknown.
    """
    subject = subject_of(atlas)
    array, _ = as_points(points)
    subject.space.voxel_scale(unit)
    ids = np.zeros(len(array), subject.labels.dtype)
    distance = np.zeros(len(array))
    surface: Surface | None = None
    for part in spans(len(array), _LOCATED):
        places = places_of(subject.space, array[part], unit)
        known = near_enough(places.um)
        ids[part] = labels_at(subject, places)
        distance[part][~known] = np.nan
        outside = np.flatnonzero((ids[part] == 0) & known)
        if len(outside):
            surface = surface or surface_of(subject_of(atlas, every_voxel=True))
            distance[part][outside], ids[part][outside] = surface.nearest(places.um[outside])
    return Nearest(distance, ids)


def labels_at(subject: Subject, places: Places) -> npt.NDArray[np.integer]:
    """Return the labels of places, 0 beyond the volume."""
    ids = np.zeros(len(places.um), subject.labels.dtype)
    shape = subject.labels.shape
    index, inside = voxels_of(places.voxel, shape)
    if inside.any():
        flat = np.ravel_multi_index(tuple(index[inside].T), shape)
        ids[inside] = subject.labels.sample(flat)[0]
    return ids


def columns(
    atlas: Any, points: npt.ArrayLike, unit: str, at: int | Sequence[object] | None
) -> dict[str, Any]:
    """Return the columns that ``lookup(nearest=True)`` adds."""
    found = nearest_of(atlas, points, unit)
    terminology = subject_of(atlas).terminology
    named = answers(found.ids, terminology.index.positions(found.ids), terminology, at)
    return {
        "distance_um": found.distance_um,
        "nearest_id": named["id"],
        "nearest_acronym": named["acronym"],
    }


def surface_of(subject: Subject) -> Surface:
    """Return the surface of what is labelled, made on first use and kept with the labels."""
    with _ONCE:
        surface: Surface | None = subject.labels.remembered.get(_KEY)
        if surface is None or surface.sizes != subject.space.spacing_um:
            surface = subject.labels.remembered[_KEY] = Surface(subject)
        return surface


class Surface:
    """Labelled voxels that have a face without a label on its other side.

    Parameters
    ----------
    subject
        What is asked; all of it is read.

    Attributes
    ----------
    sizes : tuple of float
        Of voxels, µm: metadata may be edited, so the same labels may come with others.
    """

    def __init__(self, subject: Subject) -> None:
        shape = subject.labels.shape
        self.sizes = subject.space.spacing_um
        self._sizes = np.asarray(self.sizes)
        flat, ids = _surface_voxels(subject.labels)
        index = np.stack(np.unravel_index(flat, shape), axis=1).astype(np.int32)
        grid = [-(-length // _BLOCK) for length in shape]
        block = np.ravel_multi_index(tuple((index // _BLOCK).T), grid) if len(flat) else flat
        order = np.argsort(block, kind="stable")
        self._index, self._ids = index[order], ids[order]
        self._starts = np.flatnonzero(np.diff(block[order], prepend=-1))
        self._counts = np.diff(self._starts, append=len(order))
        if len(order):
            from scipy.spatial import cKDTree

            self._low = np.minimum.reduceat(self._index, self._starts) * self._sizes
            self._high = (np.maximum.reduceat(self._index, self._starts) + 1) * self._sizes
            middles = (self._low + self._high) / 2
            self._reach = float(np.sqrt(((self._high - middles) ** 2).sum(axis=1)).max())
            self._tree = cKDTree(middles)

    def nearest(
        self, um: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.integer]]:
        """Return the distance to the nearest of the voxels, and its label.

        Parameters
        ----------
        um
            Finite places in µm, shape ``(n, 3)``, in none of the voxels.
        """
        distance, ids = np.full(len(um), np.inf), np.zeros(len(um), self._ids.dtype)
        if not len(self._ids):
            return distance, ids
        parts = list(spans(len(um), _POINTS))
        found = stream(lambda part: self._of_some(um[part]), parts)
        for part, (squares, labels) in zip(parts, found, strict=True):
            distance[part], ids[part] = np.sqrt(squares), labels
        return distance, ids

    def _of_some(
        self, um: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.integer]]:
        best, ids = np.full(len(um), np.inf), np.zeros(len(um), self._ids.dtype)
        rows = np.arange(len(um))
        _, first = self._tree.query(um)
        self._compare(um, rows, first, best, ids)
        # What is nearer lies in a block whose middle is at most this far; rounding is let in.
        reach = (np.sqrt(best) + self._reach) * (1 + 1e-9)
        for part in self._candidates(um, reach):
            row, block = part
            gaps = box_gaps_um(um[row], self._low[block], self._high[block])
            near = ((gaps * gaps).sum(axis=1) <= best[row] * (1 + 1e-12)) & (block != first[row])
            self._compare(um, row[near], block[near], best, ids)
        return best, ids

    def _candidates(
        self, um: npt.NDArray[np.float64], reach: npt.NDArray[np.float64]
    ) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
        """Yield pairs of points and blocks, some at a time."""
        most = self._tree.query_ball_point(um, reach, return_length=True)
        group = np.cumsum(most) // _PAIRS
        for number in np.unique(group):
            rows = np.flatnonzero(group == number)
            lists = self._tree.query_ball_point(um[rows], reach[rows])
            blocks = np.concatenate([np.asarray(one, np.intp) for one in lists])
            yield np.repeat(rows, [len(one) for one in lists]), blocks

    def _compare(
        self,
        um: npt.NDArray[np.float64],
        row: npt.NDArray[np.intp],
        block: npt.NDArray[np.intp],
        best: npt.NDArray[np.float64],
        ids: npt.NDArray[np.integer],
    ) -> None:
        """Take note of what is nearer among the voxels of blocks; rows are sorted."""
        until = np.cumsum(self._counts[block])
        cuts = np.searchsorted(until, np.arange(_PAIRS, until[-1] if len(until) else 0, _PAIRS))
        for one, two in zip([0, *cuts.tolist()], [*cuts.tolist(), len(row)], strict=True):
            if one < two:
                self._note(um, row[one:two], block[one:two], best, ids)

    def _note(
        self,
        um: npt.NDArray[np.float64],
        row: npt.NDArray[np.intp],
        block: npt.NDArray[np.intp],
        best: npt.NDArray[np.float64],
        ids: npt.NDArray[np.integer],
    ) -> None:
        counts = self._counts[block]
        first = np.cumsum(counts) - counts
        voxel = np.arange(int(counts.sum())) + np.repeat(self._starts[block] - first, counts)
        owner = np.repeat(row, counts)
        squares = squared_gaps(um[owner], self._index[voxel], self._sizes)
        order = np.lexsort((self._ids[voxel], squares, owner))
        winner = order[np.flatnonzero(np.diff(owner[order], prepend=-1))]
        who, square, label = owner[winner], squares[winner], self._ids[voxel[winner]]
        better = (square < best[who]) | ((square == best[who]) & (label < ids[who]))
        best[who[better]], ids[who[better]] = square[better], label[better]


def squared_gaps(
    um: npt.NDArray[np.float64], index: npt.NDArray[np.integer], sizes: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the squared distance, µm², from places to the boxes of voxels, row by row."""
    total = np.zeros(len(um))
    for axis, size in enumerate(sizes):
        place = index[:, axis]
        gap = box_gaps_um(um[:, axis], place * size, (place + 1) * size)
        total += gap * gap
    return total


def _surface_voxels(
    labels: LabelVolume,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.integer]]:
    """Return the flat indices of the voxels at the surface, sorted, and their labels."""
    first_axis = labels.shape[0]

    def question(planes: Planes) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
        plane = planes.codes[0].size
        before = planes.before
        if before is None:  # what precedes the volume has no label
            before = np.zeros_like(planes.codes[0])
        codes = np.concatenate([before[None], planes.codes])
        full = codes > 0
        bare = np.zeros(full.shape, np.bool_)  # has a face without label on its other side
        bare[:-1] |= ~full[1:]
        bare[1:] |= ~full[:-1]
        for axis in (1, 2):
            after = [slice(None)] * 3
            ahead = [slice(None)] * 3
            after[axis], ahead[axis] = slice(1, None), slice(None, -1)
            bare[1:][tuple(ahead)] |= ~full[1:][tuple(after)]
            bare[1:][tuple(after)] |= ~full[1:][tuple(ahead)]
            for end in (0, -1):
                edge: list[Any] = [slice(1, None), slice(None), slice(None)]
                edge[axis] = end
                bare[tuple(edge)] = True
        if planes.stop == first_axis:
            bare[-1] = True
        found = np.flatnonzero(full & bare)
        return found + (planes.first - 1) * plane, codes.reshape(-1)[found]

    def all_of(scan: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any], npt.NDArray[Any]]:
        parts = list(scan.over(question, before=True))
        flat = np.concatenate([np.empty(0, np.int64), *(part[0] for part in parts)])
        codes = np.concatenate([np.empty(0, np.uint16), *(part[1] for part in parts)])
        return flat, codes, scan.ids

    flat, codes, ids = labels.scan(all_of)
    flat, chosen = np.unique(flat, return_index=True)
    return flat, ids.take(codes[chosen]).astype(labels.dtype)
