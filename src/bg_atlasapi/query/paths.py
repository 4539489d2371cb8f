"""Along a path: which regions it enters and leaves, and how far it runs in each.

Probe tracks, neurites, streamlines. A path is a chain of straight segments; each is cut where it
crosses the planes between voxels, so lengths are exact and no step size is chosen. Voxel i covers
``[i, i + 1)``: what runs in a face belongs to the voxel above it, as points there do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np
from bg_atlasapi.model.space import as_points
from bg_atlasapi.query.answers import OUTSIDE, Answers
from bg_atlasapi.query.geometry import places_of
from bg_atlasapi.query.subject import Subject, subject_of
from bg_atlasapi.query.traversal import Way, stretches

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

_FARTHEST = 1e12  # voxels, or µm: beyond, the crossings of a path could not be told apart
_SIDES = ("left", "right")


def along(
    atlas: Any,
    path: npt.ArrayLike | Sequence[npt.ArrayLike],
    *,
    unit: str = "um",
    at: int | Sequence[object] | None = None,
) -> pd.DataFrame:
    """Say which regions a path runs through, in order.

    Parameters
    ----------
    atlas
        The atlas.
    path
        One polyline, ``(N, 3)``, in the atlas's axis order, origin at the corner of voxel 0; or
        several: a list of them (such as ``read_swc`` returns), or ``(M, N, 3)``.
    unit
        ``"um"``, ``"mm"`` or ``"voxel"``.
    at
        A depth (0 is the root), or a list of structures: answer the ancestor there instead.

    Returns
    -------
    pandas.DataFrame
        A row a stretch within one region and hemisphere: ``id`` (0 outside), ``acronym``, ``name``,
        ``hemisphere`` ("left", "right", missing outside); ``entered_um`` and ``left_um`` from the
        start of the path along it, ``length_um``; ``entry_0`` … ``exit_2``, where that is along
        each axis, in the unit of the path. Lengths add up to the path's. With several paths a
        column ``path`` comes first. A path without length has one row.

    Raises
    ------
    InvalidInputError
        If a path is not finite numbers of shape ``(N, 3)`` with two points at least.
    UnknownStructureError
        If ``at`` names a structure the atlas lacks.

    Examples
    --------
    >>> from bg_atlasapi import BrainGlobeAtlas, query
    >>> atlas = BrainGlobeAtlas("phantom_mouse_100um")
    >>> track = query.along(atlas, [(7100, 0, 4500), (7100, 4000, 4500)])
    >>> round(float(track["length_um"].sum()), 6)
    4000.0
    """
    import pandas as pd

    subject = subject_of(atlas)
    answers = Answers(subject.labels, at)
    way, single = _way_of(subject, path, unit)
    found = stretches(subject, way, answers)
    sides = np.where(found.answer == OUTSIDE, -1, found.side.astype(np.int8) - 1)
    columns: dict[str, Any] = {
        "path": found.path,
        **answers.columns(found.answer),
        "hemisphere": pd.Categorical.from_codes(sides, categories=list(_SIDES)),
        "entered_um": found.entered,
        "left_um": found.left,
        "length_um": found.left - found.entered,
        **{f"entry_{axis}": found.entry[:, axis] for axis in range(3)},
        **{f"exit_{axis}": found.exit[:, axis] for axis in range(3)},
    }
    if single:
        del columns["path"]
    return pd.DataFrame(columns)


def lengths(
    atlas: Any,
    path: npt.ArrayLike | Sequence[npt.ArrayLike],
    *,
    unit: str = "um",
    at: int | Sequence[object] | None = None,
) -> pd.DataFrame:
    """Say how far paths run in each region, with its descendants.

    Parameters
    ----------
    atlas, path, unit, at
        As in ``along``; several paths are added up.

    Returns
    -------
    pandas.DataFrame
        A row for each region that paths run through, or whose descendants they do (with ``at``,
        for each answer), in the order of the hierarchy: ``id`` (0 outside), ``acronym``, ``name``;
        ``own_um``, the length in what is labelled as the region itself; ``total_um``, with its
        descendants; ``left_um`` and ``right_um``, of the total.

    Raises
    ------
    InvalidInputError, UnknownStructureError
        As in ``along``.
    """
    import pandas as pd

    subject = subject_of(atlas)
    answers = Answers(subject.labels, at)
    found = stretches(subject, _way_of(subject, path, unit)[0], answers)
    terminology = subject.terminology
    spans = found.left - found.entered
    distinct, row = np.unique(found.answer, return_inverse=True)
    side = np.where(found.answer == OUTSIDE, 0, found.side)
    sums = np.zeros((3, len(distinct)))
    np.add.at(sums, (side, row), spans)
    codes = answers.codes(distinct)
    listed = codes <= len(terminology)
    own = np.zeros((3, len(terminology) + 1))
    own[:, codes[listed]] = sums[:, listed]
    until = np.cumsum(own, axis=1)
    everywhere = np.arange(1, len(terminology) + 1)
    touched = np.zeros(len(terminology) + 1, np.int64)
    touched[codes[listed]] = 1
    passed = np.cumsum(touched)
    total = np.zeros_like(own)
    total[:, 0] = own[:, 0]
    total[:, 1:] = until[:, terminology.last[everywhere]] - until[:, everywhere - 1]
    below = passed[terminology.last[everywhere]] > passed[everywhere - 1]
    holds = np.append(touched[0], below) if at is None else touched
    shown = np.flatnonzero(holds)
    ids = np.concatenate([terminology.ids[shown].astype(np.int64), distinct[~listed]])
    own = np.concatenate([own[:, shown], sums[:, ~listed]], axis=1)
    total = np.concatenate([total[:, shown], sums[:, ~listed]], axis=1)
    return pd.DataFrame(
        {
            **answers.columns(ids),
            "own_um": own.sum(axis=0),
            "total_um": total.sum(axis=0),
            "left_um": total[1],
            "right_um": total[2],
        }
    )


def _way_of(subject: Subject, path: Any, unit: str) -> tuple[Way, bool]:
    """Return what a caller calls a path, and whether it is one, not a list of them."""
    lines, single = _polylines(path)
    arrays = [as_points(line)[0] for line in lines]
    short = [len(array) for array in arrays if len(array) < 2]
    if short:
        message = f"A path has two points at least, got {short[0]}."
        raise InvalidInputError(message)
    given = np.concatenate([np.empty((0, 3)), *arrays])
    places = places_of(subject.space, given, unit)
    counts = np.array([len(array) for array in arrays], np.int64)
    way = Way(given, places.voxel, places.um, counts)
    usable = ((np.abs(places.voxel) <= _FARTHEST) & (np.abs(places.um) <= _FARTHEST)).all(axis=1)
    if not usable.all():
        corner = int(np.flatnonzero(~usable)[0])
        number = int(np.searchsorted(way.starts, corner, side="right")) - 1
        message = (
            f"Paths are made of finite points, at most {_FARTHEST:g} µm or voxels away; point "
            f"{corner - int(way.starts[number])} of path {number} is {given[corner].tolist()}."
        )
        raise InvalidInputError(message)
    return way, single


def _polylines(path: Any) -> tuple[list[Any], bool]:
    """Return polylines, and whether just one was given."""
    if isinstance(path, list | tuple) and all(np.ndim(one) == 2 for one in _tried(path)):
        return list(path), False
    if isinstance(path, np.ndarray) and path.ndim == 3:
        return list(path), False
    return [path], True


def _tried(path: Sequence[Any]) -> Sequence[Any]:
    """Return the members of a list as arrays; one that is none stands for a list of numbers."""
    if not path:
        return [0]
    try:
        return [np.asarray(one) for one in path]
    except (TypeError, ValueError):
        return [0]
