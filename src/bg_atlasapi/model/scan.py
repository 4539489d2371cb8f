"""Read every voxel of an annotation once, as codes, some planes at a time, on all cores.

What a question makes of the planes is its own business. A volume whose codes fit in memory is
coded once and kept; a larger one is read, coded and forgotten part by part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from bg_atlasapi.late import np
from bg_atlasapi.model.coding import CodedVolume, Coding
from bg_atlasapi.model.parallel import stream
from bg_atlasapi.model.volume import VolumeSource

if TYPE_CHECKING:
    import numpy.typing as npt

_T = TypeVar("_T")
# Voxels handed to a question at a time: codes and temporaries stay near a core's cache.
_VOXELS = 1 << 19


@dataclass(frozen=True, slots=True)
class Planes:
    """Consecutive planes across the first axis.

    Parameters
    ----------
    first
        Index of the first plane.
    codes
        Shape ``(n, rows, columns)``, not to be written to.
    before
        The plane before the first, shape ``(rows, columns)``; None at the start of the volume, and
        where it was not asked for.
    """

    first: int
    codes: npt.NDArray[Any]
    before: npt.NDArray[Any] | None

    @property
    def stop(self) -> int:
        """Index past the last plane."""
        return self.first + len(self.codes)


class Scan:
    """All voxels of an annotation, as codes, in order.

    Parameters
    ----------
    source
        The ids.
    coding
        Codes of all of them.
    coded
        The codes, if they are kept.
    """

    def __init__(self, source: VolumeSource, coding: Coding, coded: CodedVolume | None) -> None:
        first, second, third = source.shape
        self.shape = (first, second, third)
        self.ids = coding.ids if coded is None else coded.ids
        self._source = source
        self._coding = coding
        self._coded = coded

    def over(
        self,
        question: Callable[[Planes], _T],
        *,
        before: bool = False,
        report: Callable[[int, int], object] | None = None,
    ) -> Iterator[_T]:
        """Yield what a question answers to planes, in order; it runs in threads.

        Parameters
        ----------
        question
            Called with ``Planes``.
        before
            Also give it the plane before the first.
        report
            Told of the bytes of labels that were worked through, and of all.
        """
        if 0 in self.shape:
            return
        plane_bytes = math.prod(self.shape[1:]) * self._source.dtype.itemsize

        def answered(make: Callable[[], Planes]) -> tuple[_T, int]:
            planes = make()
            return question(planes), planes.stop

        planes = self._kept_planes if self._coded is not None else self._read_planes
        for answer, stop in stream(answered, planes(before=before)):
            yield answer
            if report is not None:
                report(stop * plane_bytes, self.shape[0] * plane_bytes)

    def some(self, first: int, stop: int) -> Planes:
        """Return planes as if the volume began with them; only these are read."""
        if self._coded is not None:
            return Planes(0, self._coded.codes.reshape(self.shape)[first:stop], None)
        indices = [np.arange(first, stop), *(np.arange(length) for length in self.shape[1:])]
        ids = np.zeros([len(one) for one in indices], self._source.dtype)
        self._source.outer(indices, ids)
        return Planes(0, self._codes(ids), None)

    @property
    def _depth(self) -> int:
        return max(1, _VOXELS // max(math.prod(self.shape[1:]), 1))

    def _kept_planes(self, *, before: bool) -> Iterator[Callable[[], Planes]]:
        assert self._coded is not None
        codes = self._coded.codes.reshape(self.shape)
        for start in range(0, len(codes), self._depth):
            halo = codes[start - 1] if before and start else None
            planes = Planes(start, codes[start : start + self._depth], halo)
            yield lambda planes=planes: planes  # type: ignore[misc]

    def _read_planes(self, *, before: bool) -> Iterator[Callable[[], Planes]]:
        first, previous = 0, None
        for slab in self._source.slabs():
            for start in range(0, len(slab), self._depth):
                part = slab[start : start + self._depth]
                yield lambda first=first, part=part, previous=previous: self._encoded(  # type: ignore[misc]
                    first, part, previous
                )
                first += len(part)
                previous = part[-1] if before else None

    def _encoded(
        self, first: int, part: npt.NDArray[Any], previous: npt.NDArray[Any] | None
    ) -> Planes:
        halo = None if previous is None else self._codes(previous)
        return Planes(first, self._codes(part), halo)

    def _codes(self, ids: npt.NDArray[Any]) -> npt.NDArray[Any]:
        codes = np.empty(ids.size, self._coding.dtype)
        self._coding.encode(ids.reshape(-1), codes)
        return codes.reshape(ids.shape)
