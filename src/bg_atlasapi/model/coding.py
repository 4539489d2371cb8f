"""Turn a volume of ids into a volume of codes.

The work is done on runs of equal neighbours, of which real annotations have 25 times fewer than
voxels. Labels that the terminology lacks are kept: they get codes of their own after its last one.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.model.id_index import UNLISTED
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


def encode(source: VolumeSource, terminology: Terminology) -> CodedVolume:
    """Code a volume of ids.

    Parameters
    ----------
    source
        Integers.
    terminology
        Gives the codes.
    """
    small = len(terminology) < np.iinfo(np.uint16).max // 2
    try:
        return _Encoder(source, terminology, np.uint16 if small else np.uint32).run()
    except OverflowError:  # more unlisted labels than 16 bits can number
        return _Encoder(source, terminology, np.uint32).run()


class _Encoder:
    """One pass over a volume; the blocks run in threads and share the table of unlisted labels."""

    def __init__(
        self, source: VolumeSource, terminology: Terminology, dtype: type[np.unsignedinteger]
    ) -> None:
        self._source = source
        self._terminology = terminology
        self._codes = np.empty(int(np.prod(source.shape, dtype=np.int64)), dtype=dtype)
        self._unlisted: dict[int, int] = {}
        self._lock = threading.Lock()

    def run(self) -> CodedVolume:
        done = 0
        mapped = self._source.mapped()
        for slab in [mapped] if mapped is not None else self._source.slabs():
            self._encode(slab.reshape(-1), self._codes[done : done + slab.size])
            done += slab.size
        wide = max(self._unlisted, default=0) > np.iinfo(np.int64).max
        kind = np.uint64 if wide else np.int64
        extra = np.array(sorted(self._unlisted), dtype=kind)
        if len(extra):
            self._renumber(extra)
        ids = np.concatenate([self._terminology.ids.astype(kind), extra])
        fits = ids.min() >= 0 and ids.max() <= np.iinfo(np.uint32).max
        return CodedVolume(self._codes, ids.astype(np.uint32) if fits else ids)

    def _encode(self, ids: npt.NDArray[Any], target: npt.NDArray[Any]) -> None:
        def block(part: slice) -> None:
            values = ids[part]
            starts = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1])
            run_ids = values[starts]
            run_codes = self._terminology.index.positions(run_ids)
            strange = run_codes == UNLISTED
            if strange.any():
                run_codes[strange] = self._number(run_ids[strange])
            lengths = np.diff(starts, append=len(values))
            target[part] = np.repeat(run_codes.astype(target.dtype), lengths)

        over_blocks(block, ids.size, BLOCK)

    def _number(self, ids: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        labels, places = np.unique(ids, return_inverse=True)
        first = len(self._terminology) + 1
        with self._lock:
            for label in labels.tolist():
                self._unlisted.setdefault(label, first + len(self._unlisted))
            if first + len(self._unlisted) > np.iinfo(self._codes.dtype).max:
                raise OverflowError
            numbers = np.array([self._unlisted[label] for label in labels.tolist()])
        return np.asarray(numbers[places])

    def _renumber(self, extra: npt.NDArray[np.integer]) -> None:
        """Make the codes of unlisted labels follow their ids, whatever thread met them first."""
        first = len(self._terminology) + 1
        table = np.arange(first + len(extra), dtype=self._codes.dtype)
        for rank, label in enumerate(extra.tolist()):
            table[self._unlisted[label]] = first + rank

        def apply(part: slice) -> None:
            self._codes[part] = table.take(self._codes[part])

        over_blocks(apply, self._codes.size, BLOCK)
