"""Turn ids into codes: all of a volume, or a part of it at a time.

The work is done on runs of equal neighbours, of which real annotations have 25 times fewer than
voxels. Labels that the terminology lacks are kept: they get codes of their own after its last one,
in order of their ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.model.id_index import UNLISTED, IdIndex
from bg_atlasapi.model.parallel import over_blocks
from bg_atlasapi.model.terminology import Terminology
from bg_atlasapi.model.volume import VolumeSource

if TYPE_CHECKING:
    import numpy.typing as npt

# 256 k codes and their temporaries stay in a core's L2 cache; measured flat from 64 k to 512 k.
BLOCK = 1 << 18


@dataclass(frozen=True, slots=True)
class CodedVolume:
    """An annotation as codes.

    Parameters
    ----------
    codes
        ``uint16`` (``uint32`` where there are more labels than that), one a voxel, flat, C order.
    ids
        Id of every code; codes past the terminology are labels it lacks, in order of their ids.
    """

    codes: npt.NDArray[Any]
    ids: npt.NDArray[np.integer]


class UnlistedLabelError(Exception):
    """A label was met that has no code: the volume must be searched for all of them first."""


class Coding:
    """The codes of a terminology, and of labels that it lacks.

    Parameters
    ----------
    terminology
        Gives the first codes.
    unlisted
        Ids, sorted, that it lacks: they are numbered on from its last code.
    """

    def __init__(self, terminology: Terminology, unlisted: npt.NDArray[np.integer]) -> None:
        self.terminology = terminology
        self.unlisted = unlisted

    @cached_property
    def ids(self) -> npt.NDArray[np.integer]:
        """Id of every code; ``uint32`` where they fit."""
        ids = np.concatenate([self.terminology.ids.astype(self.unlisted.dtype), self.unlisted])
        fits = ids.min() >= 0 and ids.max() <= np.iinfo(np.uint32).max
        return ids.astype(np.uint32) if fits else ids

    @cached_property
    def _index(self) -> IdIndex:
        return IdIndex(self.ids) if len(self.unlisted) else self.terminology.index

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Type of the codes."""
        small = len(self.ids) <= np.iinfo(np.uint16).max
        return np.dtype(np.uint16 if small else np.uint32)

    def encode(self, values: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
        """Write the codes of ids.

        Parameters
        ----------
        values
            Ids, shape ``(n,)``.
        out
            Of the same shape, of ``dtype``.

        Raises
        ------
        UnlistedLabelError
            If one of them has no code.
        """
        starts, ids = runs(values)
        codes = self._index.positions(ids)
        if (codes == UNLISTED).any():
            raise UnlistedLabelError
        out[...] = np.repeat(codes.astype(out.dtype), np.diff(starts, append=len(values)))


def runs(values: npt.NDArray[Any]) -> tuple[npt.NDArray[np.intp], npt.NDArray[Any]]:
    """Return where runs of equal neighbours start, and the value of each.

    Parameters
    ----------
    values
        Shape ``(n,)``.
    """
    starts = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])
    starts = starts[: len(values)]
    return starts, values[starts]


def _parts(source: VolumeSource) -> Iterator[npt.NDArray[Any]]:
    """Yield a volume in flat parts, all of it at once where it can be mapped."""
    mapped = source.mapped()
    for slab in [mapped] if mapped is not None else source.slabs():
        yield slab.reshape(-1)


def unlisted_labels(source: VolumeSource, terminology: Terminology) -> npt.NDArray[np.integer]:
    """Return the labels of a volume that a terminology lacks, sorted."""
    found: set[int] = set()
    for part in _parts(source):

        def block(span: slice, part: npt.NDArray[Any] = part) -> npt.NDArray[Any]:
            _, ids = runs(part[span])
            return np.unique(ids[terminology.index.positions(ids) == UNLISTED])

        for labels in over_blocks(block, part.size, BLOCK):
            found.update(labels.tolist())
    wide = max(found, default=0) > np.iinfo(np.int64).max
    return np.array(sorted(found), dtype=np.uint64 if wide else np.int64)


def coding_of(source: VolumeSource, terminology: Terminology) -> Coding:
    """Return codes for all labels of a volume, by reading it."""
    return Coding(terminology, unlisted_labels(source, terminology))


def encode(source: VolumeSource, terminology: Terminology) -> CodedVolume:
    """Code a volume of ids.

    Parameters
    ----------
    source
        Integers.
    terminology
        Gives the codes.
    """
    try:
        return _encode(source, Coding(terminology, np.empty(0, np.int64)))
    except UnlistedLabelError:
        return _encode(source, coding_of(source, terminology))


def _encode(source: VolumeSource, coding: Coding) -> CodedVolume:
    codes = np.empty(int(np.prod(source.shape, dtype=np.int64)), coding.dtype)
    done = 0
    for part in _parts(source):
        target = codes[done : done + part.size]
        done += part.size

        def block(
            span: slice, part: npt.NDArray[Any] = part, target: npt.NDArray[Any] = target
        ) -> None:
            coding.encode(part[span], target[span])

        over_blocks(block, part.size, BLOCK)
    return CodedVolume(codes, coding.ids)
