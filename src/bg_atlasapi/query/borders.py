"""How far points are from where the answer changes.

A point 10 µm from a border may as well lie beyond it: registration is rarely better. A box of
voxels around the point is read, no larger than it takes to be sure that nothing beyond it is
nearer. Points outside every region are the business of ``nearest``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np
from bg_atlasapi.model.labels import LabelVolume
from bg_atlasapi.model.parallel import over_blocks
from bg_atlasapi.query.answers import Answers
from bg_atlasapi.query.geometry import box_gaps_um, places_of, voxels_of
from bg_atlasapi.query.nearest import surface_of
from bg_atlasapi.query.subject import Subject, subject_of

if TYPE_CHECKING:
    import numpy.typing as npt

_FIRST_VOXELS = 4.0  # half the side of the first box
_POINTS = 256  # a thread takes at a time
_MANY = 1000  # points from which on chunks are better decoded all at once
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
        finite.

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
    >>> query.border_distance(atlas, [(7100, 3870, 4500), (-250, 3870, 4500)], limit_um=100) < 100
    array([ True, False])
    """
    limit = _checked_limit(limit_um)
    subject = subject_of(atlas)
    answers = Answers(subject.labels, at)
    places = places_of(subject.space, points, unit)
    distance = np.full(len(places.um), np.inf)
    index, inside = voxels_of(places.voxel, subject.labels.shape)
    flat = np.zeros(len(index), np.int64)
    if 0 in subject.labels.shape:
        inside[:] = False
    else:
        flat = np.ravel_multi_index(tuple(index.T), subject.labels.shape)
    ids = np.zeros(len(index), subject.labels.dtype)
    ids[inside] = subject.labels.sample(flat[inside])[0]
    finite = np.isfinite(places.um).all(axis=1)
    outside = np.flatnonzero((ids == 0) & finite)
    within = np.flatnonzero(ids != 0)
    if len(outside):
        surface = surface_of(subject_of(atlas, every_voxel=True))
        distance[outside], _ = surface.nearest(places.um[outside])
    if len(within):
        labels = _readable(subject.labels, len(within))
        search = _Search(subject, labels, answers, limit)
        order = within[np.argsort(flat[within], kind="stable")]  # neighbours share chunks
        own = answers.of(ids[order])
        distance[order] = search.over(places.um[order], index[order], own)
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
        self._first_um = _FIRST_VOXELS * math.prod(self._sizes) ** (1 / 3)

    def over(
        self,
        um: npt.NDArray[np.float64],
        index: npt.NDArray[np.int64],
        own: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.float64]:
        """Return the distance of points in labelled voxels, with their voxels and answers."""
        places, voxels, answers = um.tolist(), index.tolist(), own.tolist()

        def some(part: slice) -> list[float]:
            rows = range(part.start, part.stop)
            return [self._of(places[row], voxels[row], answers[row]) for row in rows]

        return np.array([one for part in over_blocks(some, len(um), _POINTS) for one in part])

    def _of(self, um: list[float], voxel: list[int], own: int) -> float:
        triples = list(zip(um, voxel, self._sizes, self._labels.shape, strict=True))
        # Beyond the volume nothing has a label.
        best = min(max(min(u, n * size - u), 0.0) for u, _, size, n in triples)
        reach = min(self._first_um, self._limit)
        while True:
            reach = min(reach, best)
            bounds = [
                slice(
                    max(0, min(at, math.floor((u - reach) / size))),
                    min(n, max(at, math.floor((u + reach) / size)) + 1),
                )
                for u, at, size, n in triples
            ]
            best = min(best, self._nearest_in(bounds, um, own))
            if best <= reach or reach >= self._limit:
                return best
            reach = min(2 * reach, self._limit)

    def _nearest_in(self, bounds: Sequence[slice], um: list[float], own: int) -> float:
        """Return the distance to the nearest voxel of a box that answers otherwise."""
        other = self._answers.of(self._labels.box(bounds)) != own
        if not other.any():
            return math.inf
        gaps = []
        for bound, u, size in zip(bounds, um, self._sizes, strict=True):
            edge = np.arange(bound.start, bound.stop + 1) * size
            gap = box_gaps_um(np.asarray(u), edge[:-1], edge[1:])
            gaps.append(gap * gap)
        squares = gaps[0][:, None, None] + gaps[1][:, None] + gaps[2]
        return math.sqrt(squares[other].min())
