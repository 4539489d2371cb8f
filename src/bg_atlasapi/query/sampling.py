"""Random points in regions, uniform in their volume.

For null models, stereology and tests. Voxels are counted plane by plane, drawn, and found in a
second pass, so that memory grows with the number of points and not with the atlas. What points lie
in is the business of ``points``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np
from bg_atlasapi.model.scan import Planes
from bg_atlasapi.model.space import UM_PER_UNIT
from bg_atlasapi.query.masking import codes_of
from bg_atlasapi.query.subject import Subject, side_of, subject_of

if TYPE_CHECKING:
    import numpy.typing as npt

_MOST = 10**10  # points: these take 240 GB, so more are a slip of the hand


def sample(
    atlas: Any,
    structure: object | Sequence[object],
    n: int,
    seed: int | np.random.Generator | None = None,
    *,
    hemisphere: str = "both",
    unit: str = "um",
) -> npt.NDArray[np.float64]:
    """Draw points uniformly from the volume of a structure with its descendants.

    Parameters
    ----------
    atlas
        The atlas.
    structure
        An id, acronym, exact name or ``Structure``; a list of those stands for all of them
        together.
    n
        How many points.
    seed
        The same seed draws the same points; or a numpy ``Generator``. None draws others each time.
    hemisphere
        ``"left"``, ``"right"`` or ``"both"``.
    unit
        Of the answer: ``"um"``, ``"mm"`` or ``"voxel"``.

    Returns
    -------
    numpy.ndarray
        Shape ``(n, 3)``, in the atlas's axis order, origin at the corner of voxel 0. In µm, and in
        voxels, ``atlas.lookup`` finds each of them in the structure.

    Raises
    ------
    InvalidInputError
        If the structure has no voxel there, or an argument cannot be understood.
    UnknownStructureError
        If the atlas lacks the structure.

    Examples
    --------
    >>> from bg_atlasapi import BrainGlobeAtlas, query
    >>> atlas = BrainGlobeAtlas("phantom_mouse_100um")
    >>> points = query.sample(atlas, "TH", 100, seed=1)
    >>> atlas.lookup(points, at=["TH"])["acronym"].unique().tolist()
    ['TH']
    """
    count, generator = _checked_count(n), _generator(seed)
    side = side_of(hemisphere)
    subject = subject_of(atlas, every_voxel=True)
    subject.space.voxel_scale(unit)
    codes = codes_of(subject.terminology, structure)
    voxels = _Voxels(subject, codes, side)
    per_plane = voxels.per_plane()
    total = int(per_plane.sum())
    if total == 0:
        names = ", ".join(subject.terminology.acronyms[code] for code in codes)
        where = "" if hemisphere == "both" else f" in the {hemisphere} hemisphere"
        message = f"No voxel{where} of this annotation belongs to {names}, so no point lies in it."
        raise InvalidInputError(message)
    ranks = generator.integers(0, total, count)
    index = voxels.at(ranks, per_plane)
    shift = generator.random((count, 3))
    if unit == "voxel":
        return _within_voxels(index, shift, (1.0, 1.0, 1.0))
    return _within_voxels(index, shift, subject.space.spacing_um) / UM_PER_UNIT[unit]


def _within_voxels(
    index: npt.NDArray[np.int64], shift: npt.NDArray[np.float64], sizes: Sequence[float]
) -> npt.NDArray[np.float64]:
    """Return places within voxels; where rounding would leave one, its middle."""
    points = (index + shift) * sizes
    return np.where(np.floor(points / sizes) == index, points, (index + 0.5) * sizes)


def _checked_count(n: object) -> int:
    whole = isinstance(n, int | np.integer) and not isinstance(n, bool)
    if not whole or not 0 <= n <= _MOST:  # type: ignore[operator]
        message = f"The number of points is a whole number, 0 to {_MOST:,}; got {n!r}."
        raise InvalidInputError(message)
    return int(n)  # type: ignore[call-overload, no-any-return]


def _generator(seed: Any) -> np.random.Generator:
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        message = f"A seed is a whole number, 0 or more, or a numpy Generator; got {seed!r}."
        raise InvalidInputError(message) from error


class _Voxels:
    """The voxels of structures with their descendants, in order.

    Parameters
    ----------
    subject
        What is asked.
    codes
        Of the structures.
    side
        1 or 2 takes one hemisphere, None both.
    """

    def __init__(self, subject: Subject, codes: Sequence[int], side: int | None) -> None:
        self._subject, self._side = subject, side
        self._under = subject.terminology.codes_under(codes) > 0

    def _wanted(self, planes: Planes, labels: int) -> npt.NDArray[np.bool_]:
        table = np.zeros(labels, np.bool_)  # labels that the terminology lacks have codes too
        table[: len(self._under)] = self._under
        wanted = table[planes.codes]
        if self._side is not None:
            wanted &= self._subject.sides(planes.first, planes.stop) == self._side
        return np.asarray(wanted)

    def per_plane(self) -> npt.NDArray[np.int64]:
        """Return how many there are in each plane across the first axis."""

        def counts(labels: int, planes: Planes) -> npt.NDArray[np.int64]:
            return np.asarray(np.count_nonzero(self._wanted(planes, labels), axis=(1, 2)), np.int64)

        found = self._subject.labels.scan(
            lambda scan: list(scan.over(lambda planes: counts(len(scan.ids), planes)))
        )
        return np.concatenate([np.empty(0, np.int64), *found])

    def at(
        self, ranks: npt.NDArray[np.int64], per_plane: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Return the indices of the voxels of some ranks, shape ``(n, 3)``."""
        until = np.append(0, np.cumsum(per_plane))
        order = np.argsort(ranks, kind="stable")
        ordered = ranks[order]

        def picked(labels: int, planes: Planes) -> npt.NDArray[np.int64]:
            low, high = int(until[planes.first]), int(until[planes.stop])
            mine = ordered[np.searchsorted(ordered, low) : np.searchsorted(ordered, high)]
            if not len(mine):
                return np.empty((0, 3), np.int64)
            flat = np.flatnonzero(self._wanted(planes, labels))[mine - low]
            index = np.stack(np.unravel_index(flat, planes.codes.shape), axis=1)
            index[:, 0] += planes.first
            return index

        parts = self._subject.labels.scan(
            lambda scan: list(scan.over(lambda planes: picked(len(scan.ids), planes)))
        )
        index = np.empty((len(ranks), 3), np.int64)
        index[order] = np.concatenate([np.empty((0, 3), np.int64), *parts])
        return index
