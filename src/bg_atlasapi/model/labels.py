"""The annotation of an atlas: which structure each voxel belongs to.

Ids are what files hold and people see; codes (see ``terminology``) are what questions are asked of.
The volume is coded on runs of equal neighbours, of which there are 25 times fewer than voxels, and
only when a question needs every voxel: points are answered straight off the mapped file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from bg_atlasapi.late import np
from bg_atlasapi.locks import OnceLock
from bg_atlasapi.model.coding import (
    BLOCK,
    CodedVolume,
    Coding,
    UnlistedLabelError,
    coding_of,
    encode,
)
from bg_atlasapi.model.id_index import UNLISTED
from bg_atlasapi.model.parallel import over_blocks
from bg_atlasapi.model.picking import cut, narrowed
from bg_atlasapi.model.ranges import fill_ranges, ranges_of
from bg_atlasapi.model.scan import Planes, Scan
from bg_atlasapi.model.terminology import Terminology
from bg_atlasapi.model.volume import VolumeSource

if TYPE_CHECKING:
    import numpy.typing as npt

_T = TypeVar("_T")
# Up to here the codes of a volume are kept for the next question: 25 µm of a mouse are 154 MB.
_KEPT_BYTES = 512 << 20


@dataclass(frozen=True, slots=True)
class ArraySource:
    """An annotation that is already in memory, as a ``VolumeSource``."""

    array: npt.NDArray[np.generic]

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the values."""
        return self.array.dtype

    @property
    def chunks(self) -> None:
        """None: each voxel can be read alone."""
        return

    @property
    def where(self) -> str:
        """What it is read from."""
        return "memory"

    def mapped(self) -> npt.NDArray[np.generic] | None:
        """Return the array itself if its bytes lie in order, else None."""
        return self.array if self.array.flags.c_contiguous else None

    def gather(self, flat: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return the voxels at flat indices."""
        if self.array.flags.c_contiguous:
            return np.asarray(self.array.reshape(-1).take(flat, mode="clip"))
        return np.asarray(self.array[np.unravel_index(flat, self.array.shape)])

    def pick(self, flat: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return the voxels at flat indices."""
        return self.gather(flat)

    def outer(self, indices: Sequence[npt.NDArray[np.intp]], out: npt.NDArray[Any]) -> None:
        """Copy where sorted indices along each axis meet."""
        out[...] = cut(self.array, [narrowed(one) for one in indices])

    def read(self) -> npt.NDArray[np.generic]:
        """Return a copy."""
        return self.array.copy()

    def slabs(self) -> Iterator[npt.NDArray[np.generic]]:
        """Yield the whole array."""
        yield self.array


class LabelVolume:
    """An annotation and the terminology that explains it.

    Parameters
    ----------
    source
        Where the ids are stored; integers, shape ``(x, y, z)``.
    terminology
        The structures the ids stand for. Labels it lacks are kept, as "unlisted" ones.

    Attributes
    ----------
    remembered : dict
        What questions worked out and keep, each under its own key; copies and pickles forget it.
    """

    def __init__(self, source: VolumeSource, terminology: Terminology) -> None:
        self.source = source
        self.terminology = terminology
        self._once = OnceLock()
        self._coded: CodedVolume | None = None
        self._coding: Coding | None = None
        self.remembered: dict[Any, Any] = {}

    def __reduce__(self) -> tuple[type[LabelVolume], tuple[VolumeSource, Terminology]]:
        return (LabelVolume, (self.source, self.terminology))

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis."""
        first, second, third = self.source.shape
        return (first, second, third)

    @cached_property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the ids as stored."""
        return self.source.dtype

    @property
    def coded(self) -> CodedVolume:
        """The volume as codes, made on first use and kept."""
        with self._once:
            if self._coded is None:
                self._coded = encode(self.source, self.terminology)
            return self._coded

    def scan(self, question: Callable[[Scan], _T]) -> _T:
        """Ask a question that takes every voxel.

        Parameters
        ----------
        question
            Called with a ``Scan``; called again, from the start, if the volume turns out to hold
            labels that the terminology lacks. So it keeps nothing outside itself.
        """
        coding = self._coding or Coding(self.terminology, np.empty(0, np.int64))
        small = math.prod(self.shape) * coding.dtype.itemsize <= _KEPT_BYTES
        coded = self.coded if small else self._coded
        try:
            return question(Scan(self.source, coding, coded))
        except UnlistedLabelError:
            self._coding = coding_of(self.source, self.terminology)
            return question(Scan(self.source, self._coding, None))

    def sample(
        self, flat: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.int32]]:
        """Return ids and codes of voxels.

        Parameters
        ----------
        flat
            Indices of voxels in C order, all inside the volume, shape ``(n,)``.

        Returns
        -------
        ids, codes
            Both of shape ``(n,)``; the code of a label the terminology lacks is -1.
        """
        ids = self.source.gather(flat) if self._coded is None else None
        if ids is not None:
            return ids, self.terminology.index.positions(ids)
        coded = self.coded
        codes = coded.codes.take(flat, mode="clip")
        answer = codes.astype(np.int32)
        answer[codes > len(self.terminology)] = UNLISTED
        return coded.ids.take(codes), answer

    def id_at(self, index: tuple[int, int, int]) -> np.integer:
        """Return the id of one voxel, which must lie inside the volume."""
        _, rows, columns = self.shape
        flat = (index[0] * rows + index[1]) * columns + index[2]
        ids = self.source.gather(np.array([flat])) if self._coded is None else None
        if ids is not None:
            return ids[0]  # type: ignore[no-any-return]
        coded = self.coded
        return coded.ids[coded.codes[flat]].astype(self.dtype)  # type: ignore[no-any-return]

    def ids_in(self, bounds: Sequence[slice]) -> npt.NDArray[np.integer]:
        """Return the ids of a box of voxels, not to be written to; only what it takes is read.

        Parameters
        ----------
        bounds
            Start and stop along each axis, within the volume.
        """
        mapped = self.source.mapped()
        if mapped is not None:
            return mapped[tuple(bounds)]  # type: ignore[return-value]
        if self._coded is not None:
            codes = self._coded.codes.reshape(self.shape)
            return self._coded.ids.take(codes[tuple(bounds)])
        indices = [np.arange(bound.start, bound.stop) for bound in bounds]
        out = np.zeros([len(one) for one in indices], self.dtype)
        self.source.outer(indices, out)
        return out

    @property
    def shared(self) -> CodedVolume:
        """The volume as codes of any numbering, which need not be the terminology's."""
        return self.coded

    def ids(self) -> npt.NDArray[np.integer]:
        """Return the ids of all voxels, a new array of the stored type."""
        coded = self.shared
        return coded.ids.astype(self.dtype).take(coded.codes).reshape(self.shape)

    def holds(self, array: npt.NDArray[np.generic]) -> bool:
        """Say whether an array equals the annotation, by its codes: nothing is read again."""
        coded = self.shared
        if array.shape != self.shape or not array.flags.c_contiguous:
            return False
        flat = array.reshape(-1)

        def same(part: slice) -> bool:
            return np.array_equal(coded.ids.take(coded.codes[part]), flat[part])

        return all(over_blocks(same, flat.size, BLOCK))

    def subtree_ids(self, code: int) -> npt.NDArray[np.integer]:
        """Return the ids of a structure and all its descendants."""
        return self.terminology.ids[code : int(self.terminology.last[code]) + 1]

    def mask(self, ids: npt.ArrayLike, value: int, dtype: npt.DTypeLike) -> npt.NDArray[np.generic]:
        """Return a volume that holds ``value`` where a voxel's id is one of ``ids``, else 0.

        Parameters
        ----------
        ids
            Ids, listed or not. Those of a subtree are one range of codes and take one compare.
        value
            Must fit ``dtype``.
        dtype
            Type of the answer.
        """

        def fill(scan: Scan) -> npt.NDArray[np.generic]:
            out = np.zeros(self.shape, dtype=dtype)
            ranges = ranges_of(np.flatnonzero(np.isin(scan.ids, np.asarray(ids))))
            if not ranges or value == 0:
                return out

            def block(planes: Planes) -> None:
                fill_ranges(planes.codes, ranges, value, out[planes.first : planes.stop])

            for _ in scan.over(block):
                pass
            return out

        return self.scan(fill)

    def box(self, bounds: Sequence[slice]) -> tuple[npt.NDArray[Any], npt.NDArray[np.integer]]:
        """Return the codes of a box of voxels, and the id of every code.

        Parameters
        ----------
        bounds
            Start and stop along each axis, within the volume. Only what they hold is read.
        """
        small = math.prod(self.shape) * 2 <= _KEPT_BYTES
        if self._coded is not None or small:
            return self.coded.codes.reshape(self.shape)[tuple(bounds)], self.coded.ids
        indices = [np.arange(bound.start, bound.stop) for bound in bounds]
        ids = np.zeros([len(one) for one in indices], self.dtype)
        self.source.outer(indices, ids)
        return self._encoded(ids)

    def _encoded(self, ids: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.integer]]:
        while True:
            coding = self._coding or Coding(self.terminology, np.empty(0, np.int64))
            codes = np.empty(ids.size, coding.dtype)
            try:
                coding.encode(ids.reshape(-1), codes)
                return codes.reshape(ids.shape), coding.ids
            except UnlistedLabelError:
                self._coding = coding_of(self.source, self.terminology)


def same_values(array: npt.NDArray[np.generic], source: VolumeSource) -> bool:
    """Say whether an array equals what is stored, a NaN being equal to itself."""
    if array.shape != source.shape:
        return False
    floating = array.dtype.kind == "f"
    stored = source.mapped()
    if stored is None or not array.flags.c_contiguous:
        done = 0
        for slab in source.slabs():
            if not np.array_equal(array[done : done + len(slab)], slab, equal_nan=floating):
                return False
            done += len(slab)
        return True
    left, right = array.reshape(-1), stored.reshape(-1)

    def same(part: slice) -> bool:
        return np.array_equal(left[part], right[part], equal_nan=floating)

    return all(over_blocks(same, left.size, BLOCK))
