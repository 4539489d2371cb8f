"""How far points are from where the answer changes.

A point 10 µm from a border may as well lie beyond it: registration is rarely better. A box of
voxels around the point is read, no larger than it takes to be sure that nothing beyond it is
nearer. Where many points are far from a border, blocks of voxels that all answer alike are found
first, and passed over. Points outside every region are the business of ``nearest``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np
from bg_atlasapi.model.labels import LabelVolume
from bg_atlasapi.model.scan import Planes, Scan
from bg_atlasapi.query.answers import Answers
from bg_atlasapi.query.geometry import box_gaps_um, near_enough, places_of, voxels_of
from bg_atlasapi.query.nearest import labels_at, surface_of
from bg_atlasapi.query.subject import Subject, subject_of

if TYPE_CHECKING:
    import numpy.typing as npt

_FIRST_VOXELS = 4.0  # half the side of the first box
_NEAR_VOXELS = 8.0  # up to here boxes are read before blocks are thought of
_SLACK = 1e-6  # voxels: what touches the end of a box by a face is as near as the end
_BLOCK = 8  # voxels along each side of a block
_FIRST_BLOCKS, _NEXT_BLOCKS = 4, 64  # whose voxels are compared at a time
_MANY = 1000  # points from which on chunks are better decoded all at once
_MANY_FAR = 100  # points from which on finding the blocks is worth it
_KEPT_VOXELS = 1 << 28  # if they are no more than these


def border_distance(
    atlas: Any,
    points: npt.ArrayLike,
    unit: str = "um",
    *,
    at: int | Sequence[object] | None = None,
    limit_um: float | None = None,
) -> npt.NDArray[np.float64]:
    """Return how far each point is from where ``lookup`` would answer another structure.

    Parameters
    ----------
    atlas
        The atlas.
    points
        One triplet or ``(N, 3)``, in the atlas's axis order, origin at the corner of voxel 0.
    unit
        ``"um"``, ``"mm"`` or ``"voxel"``.
    at
        A depth (0 is the root), or a list of structures: only borders between what is answered
        there count.
    limit_um
        Farther borders are not looked for.

    Returns
    -------
    numpy.ndarray
        µm, shape ``(N,)``: to the nearest voxel (the box it takes up) with another answer, or to
        the edge of the volume; for a point outside every region, to the nearest labelled voxel.
        Infinite beyond the limit and where there is no other answer; NaN for a point that is not
        finite, or beyond a kilometre.

    Raises
    ------
    InvalidInputError
        If points, unit or limit cannot be understood.
    UnknownStructureError
        If ``at`` names a structure the atlas lacks.

    Examples
    --------
    >>> from bg_atlasapi import BrainGlobeAtlas, query
    >>> atlas = BrainGlobeAtlas("phantom_mouse_100um")
    >>> query.border_distance(atlas, [(7130, 1530, 3230), (7130, 580, 3230)]).round(1).tolist()
    [30.0, 120.0]
    """
    limit = _checked_limit(limit_um)
    subject = subject_of(atlas)
    answers = Answers(subject.labels, at)
    places = places_of(subject.space, points, unit)
    distance = np.full(len(places.um), np.inf)
    ids = labels_at(subject, places)
    finite = near_enough(places.um)
    outside = np.flatnonzero((ids == 0) & finite)
    within = np.flatnonzero(ids != 0)
    if len(outside):
        surface = surface_of(subject_of(atlas, every_voxel=True))
        distance[outside], _ = surface.nearest(places.um[outside])
    if len(within):
        labels = _readable(subject.labels, len(within))
        index, _ = voxels_of(places.voxel[within], labels.shape)
        ordered = np.lexsort(index.T[::-1])  # neighbours share chunks
        order, index = within[ordered], index[ordered]
        own = answers.of(ids[order])
        search = _Search(subject, labels, answers, limit)
        distance[order] = search.over(places.um[order], index, own)
        far = np.isnan(distance[order])
        if np.count_nonzero(far) >= _MANY_FAR:
            search.blocks = _Blocks(subject_of(atlas, every_voxel=True), answers)
        order, index, own = order[far], index[far], own[far]
        search.go_far()
        distance[order] = search.over(places.um[order], index, own)
    distance[distance > limit] = np.inf
    distance[~finite] = np.nan
    return distance


def _checked_limit(limit_um: object) -> float:
    if limit_um is None:
        return math.inf
    real = isinstance(limit_um, int | float | np.integer | np.floating)
    if not real or isinstance(limit_um, bool) or not limit_um >= 0:  # type: ignore[operator]
        message = f"The limit is a number of µm, 0 or more; got {limit_um!r}."
        raise InvalidInputError(message)
    return float(limit_um)  # type: ignore[arg-type]


def _readable(labels: LabelVolume, points: int) -> LabelVolume:
    """Decode all chunks at once where many points would decode most of them anyway."""
    encoded = labels.source.chunks is not None and labels.source.mapped() is None
    if encoded and points >= _MANY and math.prod(labels.shape) <= _KEPT_VOXELS:
        _ = labels.coded
    return labels


class _Search:
    """Looks for the nearest voxel with another answer.

    Parameters
    ----------
    subject
        What is asked.
    labels
        Its annotation.
    answers
        Of its labels.
    limit
        µm beyond which nothing is looked for.
    """

    def __init__(
        self, subject: Subject, labels: LabelVolume, answers: Answers, limit: float
    ) -> None:
        self._labels, self._answers, self._limit = labels, answers, limit
        self._sizes = subject.space.spacing_um
        size = math.prod(self._sizes) ** (1 / 3)
        self._first_um = _FIRST_VOXELS * size
        self._stop_um = _NEAR_VOXELS * size
        self._growth = 2
        self.blocks: _Blocks | None = None

    def go_far(self) -> None:
        """Go on where the search stopped, as far as it takes."""
        self._first_um, self._stop_um = 2 * self._stop_um, math.inf
        self._growth = 2 if self.blocks is None else 4

    def over(
        self,
        um: npt.NDArray[np.float64],
        index: npt.NDArray[np.int64],
        own: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.float64]:
        """Return the distance of points in labelled voxels, with their voxels and answers.

        NaN stands for what is farther than was searched: it is not known yet.
        """
        # Threads would only take turns: arrays this small leave most of the work to Python.
        rows = zip(um.tolist(), index.tolist(), own.tolist(), strict=True)
        return np.array([self._of(*row) for row in rows], np.float64)

    def _of(self, um: list[float], voxel: list[int], own: int) -> float:
        triples = list(zip(um, voxel, self._sizes, self._labels.shape, strict=True))
        # Beyond the volume nothing has a label.
        best = min(max(min(u, n * size - u), 0.0) for u, _, size, n in triples)
        reach = min(self._first_um, self._limit)
        while True:
            reach = min(reach, best)
            bounds = [
                slice(
                    max(0, min(at, math.floor((u - reach) / size - _SLACK))),
                    min(n, max(at, math.floor((u + reach) / size + _SLACK)) + 1),
                )
                for u, at, size, n in triples
            ]
            best = min(best, self._nearest(bounds, um, own, best))
            if best <= reach or reach >= self._limit:
                return best
            if reach >= self._stop_um:
                return math.nan
            reach = min(self._growth * reach, self._limit)

    def _nearest(self, bounds: Sequence[slice], um: list[float], own: int, best: float) -> float:
        """Return the distance to the nearest voxel of a box that answers otherwise."""
        if self.blocks is None:
            return self._nearest_in(bounds, um, own)
        least, corners = self.blocks.others(bounds, um, own)
        start, count = 0, _FIRST_BLOCKS
        while start < len(least) and least[start] < best:
            stop = min(start + count, int(np.searchsorted(least, best)))
            best = min(best, self._nearest_in_blocks(corners[start:stop], um, own))
            start, count = stop, _NEXT_BLOCKS
        return best

    def _nearest_in_blocks(
        self, corners: npt.NDArray[np.int64], um: Sequence[float], own: int
    ) -> float:
        """Return the distance to the nearest voxel of some blocks that answers otherwise."""
        shape = self._labels.shape
        along = np.arange(_BLOCK)
        # At the end of the volume the last voxel stands in for those that are not there.
        index = [np.minimum(corners[:, axis, None] + along, shape[axis] - 1) for axis in range(3)]
        flat = (index[0][:, :, None] * shape[1] + index[1][:, None, :])[..., None] * shape[2]
        flat = flat + index[2][:, None, None, :]
        ids, _ = self._labels.sample(flat.reshape(-1))
        other = (self._answers.of(ids) != own).reshape(flat.shape)
        gaps = [
            box_gaps_um(np.asarray(u), one * size, (one + 1) * size)
            for u, one, size in zip(um, index, self._sizes, strict=True)
        ]
        first, second, third = (gap * gap for gap in gaps)
        squares = (first[:, :, None] + second[:, None, :])[..., None] + third[:, None, None, :]
        return math.sqrt(np.min(squares, where=other, initial=math.inf))

    def _nearest_in(self, bounds: Sequence[slice], um: list[float], own: int) -> float:
        """Return the distance to the nearest voxel of a box that answers otherwise."""
        other = self._answers.of(self._labels.ids_in(bounds)) != own
        if not other.any():
            return math.inf
        edges = [
            np.arange(bound.start, bound.stop + 1) * size
            for bound, size in zip(bounds, self._sizes, strict=True)
        ]
        return math.sqrt(_squares(um, edges)[other].min())


def _squares(
    um: Sequence[float], edges: Sequence[npt.NDArray[np.float64]]
) -> npt.NDArray[np.float64]:
    """Return the squared distance of a place to each box between edges along the axes."""
    gaps = [
        box_gaps_um(np.asarray(u), edge[:-1], edge[1:]) for u, edge in zip(um, edges, strict=True)
    ]
    first, second, third = (gap * gap for gap in gaps)
    return first[:, None, None] + second[:, None] + third


class _Blocks:
    """Which blocks of voxels hold but one answer.

    Parameters
    ----------
    subject
        What is asked; all of it is read.
    answers
        Of its labels.
    """

    def __init__(self, subject: Subject, answers: Answers) -> None:
        self._shape = subject.labels.shape
        self._sizes = subject.space.spacing_um
        self._ranks, self._least, self._most = subject.labels.scan(
            lambda scan: _extremes(scan, answers)
        )

    def others(
        self, bounds: Sequence[slice], um: Sequence[float], own: int
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Return the blocks in a box that hold another answer, nearest first.

        Returns
        -------
        distances, corners
            In µm, shape ``(n,)``; the first voxel of each, shape ``(n, 3)``.
        """
        rank = int(np.searchsorted(self._ranks, own))
        span = [slice(one.start // _BLOCK, -(-one.stop // _BLOCK)) for one in bounds]
        least, most = self._least[tuple(span)], self._most[tuple(span)]
        other = np.nonzero((least != rank) | (most != rank))
        edges = [
            np.minimum(np.arange(one.start, one.stop + 1) * _BLOCK, length) * size
            for one, length, size in zip(span, self._shape, self._sizes, strict=True)
        ]
        distances = np.sqrt(_squares(um, edges)[other])
        order = np.argsort(distances, kind="stable")
        corners = np.stack(other, axis=1)[order] + [one.start for one in span]
        return distances[order], corners * _BLOCK


def _extremes(
    scan: Scan, answers: Answers
) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the distinct answers, sorted, and the first and last of them in each block."""
    ranks, table = np.unique(answers.of(scan.ids), return_inverse=True)
    small = table.astype(np.uint16 if len(ranks) <= np.iinfo(np.uint16).max else np.uint32)
    starts = [np.arange(0, length, _BLOCK) for length in scan.shape]

    def plane_by_plane(planes: Planes) -> list[npt.NDArray[Any]]:
        ranked = small.take(planes.codes)
        return [
            reduce.reduceat(reduce.reduceat(ranked, starts[1], axis=1), starts[2], axis=2)
            for reduce in (np.minimum, np.maximum)
        ]

    parts = list(scan.over(plane_by_plane))
    least = np.minimum.reduceat(np.concatenate([part[0] for part in parts]), starts[0])
    most = np.maximum.reduceat(np.concatenate([part[1] for part in parts]), starts[0])
    return ranks, least, most
