"""A perfect hash from structure ids to codes, for whole arrays at a time.

Ids are sparse (up to 2**32 - 1) and few (hundreds to thousands). A binary search per voxel or per
point costs ten branches; here it is one multiplication, one shift and two small gathers. The
multiplier is found by trying a fixed sequence until no two ids share a slot, so the same ids give
the same table on every machine. Not a general hash table: keys are fixed at construction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt


UNLISTED = -1
_FIRST_MULTIPLIER = 0x9E3779B97F4A7C15  # 2**64 / golden ratio, Knuth's multiplicative hashing
_STEP = 0xBF58476D1CE4E5B8
_TRIES_PER_SIZE = 8
_MOST_HASHED = 3000  # the table grows with the square: 16 MB here; beyond, a binary search


class IdIndex:
    """Maps ids to positions in ``ids``; unlisted ids map to ``UNLISTED`` (-1).

    Parameters
    ----------
    ids
        Ids, shape ``(n,)``; position 0 is conventionally the id 0 (outside). Of an id that stands
        twice the first position answers.
    """

    def __init__(self, ids: npt.NDArray[np.integer]) -> None:
        self._ids = np.ascontiguousarray(ids).astype(np.uint64)
        keys, first = np.unique(self._ids, return_index=True)
        self._sorted = (keys, first) if len(keys) > _MOST_HASHED else None
        if self._sorted is not None:
            return
        self._multiplier, self._bits = _perfect_multiplier(keys)
        dtype = np.int16 if len(self._ids) < np.iinfo(np.int16).max else np.int32
        self._table = np.zeros(1 << self._bits, dtype=dtype)
        self._table[self._slots(keys)] = first

    def _slots(self, ids: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        return _hash(ids, self._multiplier, self._bits).view(np.int64)

    def positions(self, ids: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
        """Return the position of every id.

        Parameters
        ----------
        ids
            Integer array of any shape; negative ids are unlisted.

        Returns
        -------
        numpy.ndarray
            ``int32``, same shape, ``-1`` where the id is not in the index.
        """
        wide = ids.astype(np.uint64)
        if self._sorted is None:
            positions = self._table.take(self._slots(wide)).astype(np.int32)
        else:
            keys, first = self._sorted
            places = np.searchsorted(keys, wide)
            positions = first.take(places, mode="clip").astype(np.int32)
        known = self._ids.take(positions) == wide
        if not known.all():
            positions = np.where(known, positions, np.int32(UNLISTED))
        return positions


def _hash(ids: npt.NDArray[np.uint64], multiplier: int, bits: int) -> npt.NDArray[np.uint64]:
    return (ids * np.uint64(multiplier)) >> np.uint64(64 - bits)


def _perfect_multiplier(ids: npt.NDArray[np.uint64]) -> tuple[int, int]:
    """Return a multiplier and table size (bits) under which no two ids share a slot."""
    # n**2 / 2 / 2**bits collisions are expected: start near one, grow when luck is out.
    bits = max(4, 2 * len(ids).bit_length() - 1)
    multiplier = _FIRST_MULTIPLIER
    while True:
        for _ in range(_TRIES_PER_SIZE):
            slots = np.sort(_hash(ids, multiplier, bits))
            if not (slots[1:] == slots[:-1]).any():
                return multiplier, bits
            multiplier = (multiplier * _FIRST_MULTIPLIER + _STEP) % (1 << 64) | 1
        bits += 1
