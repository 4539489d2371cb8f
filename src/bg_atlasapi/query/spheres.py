"""What a ball is made of: the regions around a point, by volume.

A voxel that the sphere cuts counts by the part of it that is in the ball, in closed form: the ball
beyond a corner (x ≥ a, y ≥ b, z ≥ c) has a volume that needs only square roots and arctangents, and
a voxel is eight corners. So neither the shape of voxels nor their size against the radius matters;
what is left is the rounding of float64, below 1e-14 r³ a voxel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np
from bg_atlasapi.model.labels import LabelVolume
from bg_atlasapi.model.parallel import stream
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.query.answers import OUTSIDE, Answers
from bg_atlasapi.query.geometry import parts_of_box, places_of
from bg_atlasapi.query.subject import subject_of

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

_BALL = 4 / 3 * math.pi  # volume for the radius 1
_LARGEST_UM = 1e6
_FAR = 2.0  # in radii: whatever is beyond the ball is as good as this far
_UM3_PER_MM3 = 1e9
_ROUNDING = 1e-13  # of a ball: less is not beyond the volume, but lost on the way


def within(
    atlas: Any,
    point: npt.ArrayLike,
    radius_um: float,
    *,
    unit: str = "um",
    at: int | Sequence[object] | None = None,
) -> pd.DataFrame:
    """Say which regions a ball around a point is made of.

    Parameters
    ----------
    atlas
        The atlas.
    point
        The centre, one triplet; or several, ``(N, 3)``.
    radius_um
        Radius in µm, above 0, at most a metre.
    unit
        Of the point: ``"um"``, ``"mm"`` or ``"voxel"``.
    at
        A depth (0 is the root), or a list of structures: answer the ancestor there instead.

    Returns
    -------
    pandas.DataFrame
        A row a region, the largest part first: ``id``, ``acronym``, ``name``, ``volume_mm3``,
        ``fraction`` of the ball. Background and what is beyond the volume is the row of id 0,
        "Outside atlas"; so fractions add up to 1. A point that is not a number, or infinite, has
        all of its ball outside. With several points a column ``point`` comes first.

    Raises
    ------
    InvalidInputError
        If the point, the radius or the unit cannot be understood.
    UnknownStructureError
        If ``at`` names a structure the atlas lacks.

    Examples
    --------
    >>> from bg_atlasapi import BrainGlobeAtlas, query
    >>> atlas = BrainGlobeAtlas("phantom_mouse_100um")
    >>> table = query.within(atlas, (7100, 3870, 4500), 500)
    >>> round(float(table["fraction"].sum()), 12)
    1.0
    """
    radius = _checked_radius(radius_um)
    subject = subject_of(atlas)
    places = places_of(subject.space, point, unit)
    answers = Answers(subject.labels, at)
    balls = [_Ball(subject.labels, subject.space, um, radius) for um in places.um]
    tasks = ((number, part) for number, ball in enumerate(balls) for part in ball.parts())
    totals: list[dict[int, float]] = [{} for _ in balls]

    def one(task: tuple[int, tuple[slice, ...]]) -> tuple[int, dict[int, float]]:
        return task[0], balls[task[0]].fractions(task[1], answers.of)

    for number, found in stream(one, tasks):
        for answer, fraction in found.items():
            totals[number][answer] = totals[number].get(answer, 0.0) + fraction
    for ball, total in zip(balls, totals, strict=True):
        if ball.protrudes:
            beyond = 1.0 - math.fsum(total.values())
            if beyond > _ROUNDING:
                total[OUTSIDE] = total.get(OUTSIDE, 0.0) + beyond
    volume_mm3 = _BALL * radius**3 / _UM3_PER_MM3
    return _table(totals, answers, volume_mm3, single=places.single)


def _checked_radius(radius_um: object) -> float:
    real = isinstance(radius_um, int | float | np.integer | np.floating)
    if not real or isinstance(radius_um, bool) or not 0 < radius_um <= _LARGEST_UM:  # type: ignore[operator]
        message = f"A radius is a number of µm above 0, at most a metre; got {radius_um!r}."
        raise InvalidInputError(message)
    return float(radius_um)  # type: ignore[arg-type]


def _table(
    totals: list[dict[int, float]], answers: Answers, volume_mm3: float, *, single: bool
) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for number, total in enumerate(totals):
        found = [(fraction, answer) for answer, fraction in total.items() if fraction > 0]
        ordered = sorted(found, key=lambda one: (-one[0], one[1]))
        rows += [(number, answer, fraction) for fraction, answer in ordered]
    fractions = np.array([row[2] for row in rows], np.float64)
    columns = {
        "point": np.array([row[0] for row in rows], np.int64),
        **answers.columns(np.array([row[1] for row in rows], np.int64)),
        "volume_mm3": fractions * volume_mm3,
        "fraction": fractions,
    }
    if single:
        del columns["point"]
    return pd.DataFrame(columns)


@dataclass(frozen=True, slots=True)
class _Axis:
    """Voxels along one axis, cut at the centre, in radii away from it.

    Parameters
    ----------
    near, far
        Where each piece begins and ends, both at least 0.
    index
        The voxel each piece is of.
    """

    near: npt.NDArray[np.float64]
    far: npt.NDArray[np.float64]
    index: npt.NDArray[np.int64]


class _Ball:
    """A ball in a volume.

    Parameters
    ----------
    labels, space
        The annotation.
    centre
        In µm.
    radius
        In µm.
    """

    def __init__(
        self,
        labels: LabelVolume,
        space: CoordinateSpace,
        centre: npt.NDArray[np.float64],
        radius: float,
    ) -> None:
        self._labels, self._sizes = labels, np.asarray(space.spacing_um)
        self._centre, self._radius = centre, radius
        ends = np.asarray(labels.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            least, most = centre - radius, centre + radius
            # What a ball merely touches is read too: it may be so small that adding it is lost.
            first = np.ceil(least / self._sizes) - 1
            stop = np.floor(most / self._sizes) + 1
        known = np.isfinite(centre).all()
        self.protrudes = not known or bool(((least <= 0) | (most >= ends * self._sizes)).any())
        if not known:
            first = stop = np.zeros(3)
        low, high = np.clip(first, 0, ends).astype(int), np.clip(stop, 0, ends).astype(int)
        self._bounds = [
            slice(one, two) for one, two in zip(low.tolist(), high.tolist(), strict=True)
        ]

    def parts(self) -> Iterator[tuple[slice, slice, slice]]:
        """Yield the boxes of voxels to ask about."""
        if all(bound.start < bound.stop for bound in self._bounds):
            yield from parts_of_box(self._bounds, self._labels.shape, self._labels.source.chunks)

    def fractions(
        self,
        bounds: Sequence[slice],
        answer_of: Callable[[npt.NDArray[np.integer]], npt.NDArray[np.int64]],
    ) -> dict[int, float]:
        """Return, by answer, which fraction of the ball lies in a box of voxels."""
        axes = [self._axis(number, bound) for number, bound in enumerate(bounds)]
        if sum(axis.near.min() ** 2 for axis in axes) >= 1:
            return {}
        far = _squares([axis.far for axis in axes])
        whole = far <= 1
        cut = np.nonzero(~whole & (_squares([axis.near for axis in axes]) < 1))
        first, second, third = (axis.far - axis.near for axis in axes)
        volumes = (first[:, None, None] * second[:, None] * third)[whole]
        volumes = np.concatenate([volumes, _cut_volumes(axes, cut)])
        box = self._labels.ids_in(bounds)
        for number, axis in enumerate(axes):
            if len(axis.index) > box.shape[number]:  # a voxel that was cut in two
                box = box.take(axis.index, number)
        ids = np.concatenate([box[whole], box[cut]])
        if not len(ids):
            return {}
        distinct, rows = _distinct(ids)
        sums = np.bincount(rows, volumes / _BALL, len(distinct))
        found: dict[int, float] = {}
        for answer, fraction in zip(answer_of(distinct).tolist(), sums.tolist(), strict=True):
            found[answer] = found.get(answer, 0.0) + fraction
        return found

    def _axis(self, number: int, bound: slice) -> _Axis:
        edges = np.arange(bound.start, bound.stop + 1) * self._sizes[number]
        with np.errstate(over="ignore"):
            away = np.clip((edges - self._centre[number]) / self._radius, -_FAR, _FAR)
        low, high = away[:-1], away[1:]
        split = np.flatnonzero((low < 0) & (high > 0))
        index = np.arange(len(low))
        near = np.where(low >= 0, low, np.maximum(-high, 0))
        far = np.where(low >= 0, high, -low)
        return _Axis(
            np.append(near, np.zeros(len(split))),
            np.append(far, high[split]),
            np.append(index, index[split]),
        )


def _squares(parts: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    first, second, third = (part * part for part in parts)
    return first[:, None, None] + second[:, None] + third


def _distinct(
    ids: npt.NDArray[np.integer],
) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.intp]]:
    """Return the distinct of some ids, and which of them each is; by runs of equal ones."""
    starts = np.append(0, np.flatnonzero(ids[1:] != ids[:-1]) + 1)
    distinct, place = np.unique(ids[starts], return_inverse=True)
    return distinct, np.repeat(place, np.diff(starts, append=len(ids)))


def _cut_volumes(
    axes: Sequence[_Axis], places: Sequence[npt.NDArray[np.intp]]
) -> npt.NDArray[np.float64]:
    """Return the volume, in r³, of the parts of boxes that are in the ball."""
    volumes = np.zeros(len(places[0]))
    edges = [(axis.near[one], axis.far[one]) for axis, one in zip(axes, places, strict=True)]
    for picks in product((0, 1), repeat=3):
        corner = [pair[pick] for pair, pick in zip(edges, picks, strict=True)]
        inside = corner[0] ** 2 + corner[1] ** 2 + corner[2] ** 2 < 1
        sign = -1 if sum(picks) % 2 else 1
        volumes[inside] += sign * _beyond(*(one[inside] for one in corner))
    whole = np.ones(len(volumes))
    for near, far in edges:
        whole *= far - near
    return np.clip(volumes, 0.0, whole)


def _beyond(
    a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], c: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the volume of the unit ball beyond corners in it, none of whose coordinates is < 0.

    By the divergence theorem it is a third of the patch of sphere less each flat face times its
    distance from the centre. The patch is a triangle of circular arcs: Gauss and Bonnet give its
    area from the angles at its corners and the arcs. Every angle is an arctangent, so that nothing
    is lost where a corner is close to the sphere.
    """
    edge_ab = np.sqrt(np.maximum(1 - a * a - b * b, 0))
    edge_ac = np.sqrt(np.maximum(1 - a * a - c * c, 0))
    edge_bc = np.sqrt(np.maximum(1 - b * b - c * c, 0))
    patch = 2 * np.pi - (
        np.arctan2(edge_ab, -a * b) + np.arctan2(edge_ac, -a * c) + np.arctan2(edge_bc, -b * c)
    )
    solid = patch
    for plane, one, two, edge_one, edge_two in (
        (a, b, c, edge_ab, edge_ac),
        (b, c, a, edge_bc, edge_ab),
        (c, a, b, edge_ac, edge_bc),
    ):
        arc = np.arctan2(edge_one, one) - np.arctan2(two, edge_two)
        corner = one * (edge_one - two) + two * (edge_two - one)
        face = ((1 - plane * plane) * arc - corner) / 2
        solid = solid - plane * (arc + face)
    return solid / 3
