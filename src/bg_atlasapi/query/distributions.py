"""Percentiles of the voxels of each region, exact, put together from parts.

Whole numbers of at most 16 bits are counted: how often each slot (see ``runs``) holds each value.
That takes 16 bytes for each pair that occurs, whatever the number of voxels. Other numbers are
gathered by slot, and a region's are then one or few stretches of them: that takes twice the bytes
of the voxels in structures. To stay bounded, such an image can be brought to 4,096 steps first
(``Steps``); a percentile is then off by at most half a step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from bg_atlasapi.late import np
from bg_atlasapi.query.accumulators import Members
from bg_atlasapi.query.runs import SIDES, Runs

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

_VALUE_BITS = 16
# Of counts in one table; with more, pairs are sorted instead.
_TABLE = 1 << 22
# Pairs that wait until they are put together.
_PENDING = 1 << 22
VALUES = 1 << _VALUE_BITS
# Of a sketch: the pairs of a whole brain, 2,500 slots, then take 160 MB at most.
STEPS = 1 << 12


@dataclass(frozen=True, slots=True)
class Steps:
    """Even steps between the least and the largest value of an image.

    Parameters
    ----------
    low, high
        Finite.
    """

    low: float
    high: float

    @property
    def width(self) -> float:
        """Of one step."""
        return (self.high / 2 - self.low / 2) / (STEPS - 1) * 2

    @property
    def error(self) -> float:
        """How far off a percentile can be."""
        return self.width / 2

    def number(self, values: Array) -> npt.NDArray[np.uint16]:
        """Return the nearest step of each value; infinities the first and the last."""
        if not self.width > 0:
            return np.zeros(values.shape, np.uint16)
        with np.errstate(all="ignore"):
            half = np.asarray(values, np.float64) / 2 - self.low / 2  # the whole could overflow
            steps = np.rint(half / (self.width / 2))
            steps = np.clip(np.nan_to_num(steps, nan=0), 0, STEPS - 1)
        return np.asarray(steps.astype(np.uint16))

    def value(self, steps: Array) -> npt.NDArray[np.float64]:
        """Return the values of steps."""
        share = np.asarray(steps, np.float64) / (STEPS - 1)
        return self.low * (1 - share) + self.high * share


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often each slot holds each value.

    Parameters
    ----------
    parts
        Of keys (slot times 2**16, plus value plus offset), sorted, ``int64``, and their counts.
    size
        Number of slots.
    offset
        What was added to every value so that none is negative.
    """

    parts: tuple[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]], ...]
    size: int
    offset: int

    @classmethod
    def of(cls, runs: Runs) -> Self:
        """Count the values of runs."""
        offset = -int(np.iinfo(runs.values.dtype).min)
        seen = np.zeros(runs.size, np.bool_)
        seen[runs.slots] = True
        seen[:SIDES] = False
        slots = np.flatnonzero(seen)
        places = np.cumsum(seen) - 1
        inside = runs.slots >= SIDES
        values = runs.flat
        low, high = int(values.min()), int(values.max())
        wide = high - low + 1
        base = np.where(inside, places[runs.slots] * wide - low, len(slots) * wide - low)
        keys = np.repeat(base, runs.lengths)
        keys += values
        if (len(slots) + 1) * wide <= _TABLE:
            table = np.bincount(keys, minlength=(len(slots) + 1) * wide)[: len(slots) * wide]
            found = np.flatnonzero(table)
            counts = table[found]
        else:
            found, counts = np.unique(keys[keys < len(slots) * wide], return_counts=True)
        pairs = (slots[found // wide] << _VALUE_BITS) + found % wide + (low + offset)
        return cls(((pairs.astype(np.int64), counts.astype(np.int64)),), runs.size, offset)

    def plus(self, other: Self) -> Self:
        """Return the counts of both."""
        parts = (*self.parts, *other.parts)
        both = type(self)(parts, max(self.size, other.size), self.offset)
        # The first part holds what was put together: the others may grow as large as it.
        waiting = sum(len(keys) for keys, _ in parts[1:])
        return both.joined() if waiting > max(_PENDING, len(parts[0][0])) else both

    def joined(self) -> Self:
        """Return the same in one part."""
        if len(self.parts) == 1:
            return self
        keys = np.concatenate([keys for keys, _ in self.parts])
        counts = np.concatenate([counts for _, counts in self.parts])
        order = np.argsort(keys, kind="stable")
        keys, counts = keys[order], counts[order]
        firsts = np.flatnonzero(np.diff(keys, prepend=-1))
        added = np.add.reduceat(counts, firsts) if len(firsts) else counts
        return type(self)(((keys[firsts], added),), self.size, self.offset)

    def quantiles(self, members: Members, parts: Sequence[float]) -> npt.NDArray[np.float64]:
        """Return quantiles by row, shape ``(rows, len(parts))``; NaN of nothing."""
        ((keys, counts),) = self.joined().parts
        values = keys & (VALUES - 1)
        edges = np.searchsorted(keys, np.arange(self.size + 1) << _VALUE_BITS)
        answer = np.full((members.count, len(parts)), math.nan)
        for row, spans in _spans(members, edges):
            picked = [values[one] for one in spans], [counts[one] for one in spans]
            there, often = (np.concatenate(one) for one in picked)
            if len(there):
                low = int(there.min())
                table = np.bincount(there - low, often)
                answer[row] = _of_counts(table, parts) + (low - self.offset)
        return answer


def _of_counts(table: Array, parts: Sequence[float]) -> Array:
    """Return quantiles of the values 0, 1, … that occur so often."""
    upto = np.cumsum(table.astype(np.int64))
    places = np.asarray(parts) * (upto[-1] - 1)
    below = np.floor(places)
    ranks = [below.astype(np.int64), np.ceil(places).astype(np.int64)]
    first, second = (np.searchsorted(upto, rank, side="right").astype(np.float64) for rank in ranks)
    return between(first, second, places - below)


def between(first: Array, second: Array, share: Array) -> npt.NDArray[np.float64]:
    """Return what lies between two numbers, as ``numpy.percentile`` has it."""
    with np.errstate(all="ignore"):  # between infinities
        apart = second - first
        answer = np.where(share < 0.5, first + apart * share, second - apart * (1 - share))
    return np.where((share == 0) | (first == second), first, answer)


def _spans(members: Members, edges: npt.NDArray[np.intp]) -> list[tuple[int, list[slice]]]:
    """Return, for each row, where its slots lie; neighbouring slots are one span.

    Parameters
    ----------
    members
        Sorted by row, then by slot.
    edges
        Where each slot begins, and the end.
    """
    full = edges[1:] > edges[:-1]
    kept = full[members.slots]
    slots, rows = members.slots[kept], members.rows[kept]
    if not len(slots):
        return []
    starts, stops = edges[slots], edges[slots + 1]
    breaks = np.flatnonzero((starts[1:] != stops[:-1]) | (rows[1:] != rows[:-1])) + 1
    firsts, lasts = np.r_[0, breaks], np.r_[breaks, len(slots)] - 1
    found: dict[int, list[slice]] = {}
    triples = zip(
        *(one.tolist() for one in (rows[firsts], starts[firsts], stops[lasts])), strict=True
    )
    for row, start, stop in triples:
        found.setdefault(row, []).append(slice(start, stop))
    return list(found.items())


@dataclass(frozen=True, slots=True)
class Gathered:
    """The values themselves, by slot.

    Parameters
    ----------
    parts
        Of slots, how many values each has, and the values, in order of the slots.
    size
        Number of slots.
    """

    parts: tuple[tuple[npt.NDArray[np.intp], npt.NDArray[np.int64], Array], ...]
    size: int

    @classmethod
    def of(cls, runs: Runs) -> Self:
        """Sort the values of runs by slot."""
        inside = runs.slots >= SIDES
        lengths = runs.lengths
        values = runs.flat[np.repeat(inside, lengths)]
        slots, lengths = runs.slots[inside], lengths[inside]
        seen = np.bincount(slots, lengths, runs.size).astype(np.int64)
        present = np.flatnonzero(seen)
        places = np.zeros(runs.size, np.uint16 if len(present) < VALUES else np.int64)
        places[present] = np.arange(len(present))
        order = np.argsort(np.repeat(places[slots], lengths), kind="stable")
        return cls(((present, seen[present], values[order]),), runs.size)

    def plus(self, other: Self) -> Self:
        """Return the values of both."""
        return type(self)((*self.parts, *other.parts), max(self.size, other.size))

    def quantiles(self, members: Members, parts: Sequence[float]) -> npt.NDArray[np.float64]:
        """Return quantiles by row, shape ``(rows, len(parts))``; NaN of nothing."""
        values, edges = self._joined()
        answer = np.full((members.count, len(parts)), math.nan)
        for row, spans in _spans(members, edges):
            answer[row] = _of_values(np.concatenate([values[one] for one in spans]), parts)
        return answer

    def _joined(self) -> tuple[Array, npt.NDArray[np.intp]]:
        counts = np.zeros(self.size + 1, np.int64)
        for slots, often, _ in self.parts:
            counts[slots + 1] += often
        edges = np.cumsum(counts)
        values = np.empty(edges[-1], self.parts[0][2].dtype)
        filled = edges[:-1].copy()
        for slots, often, sorted_values in self.parts:
            done = 0
            for slot, count in zip(slots.tolist(), often.tolist(), strict=True):
                start = filled[slot]
                values[start : start + count] = sorted_values[done : done + count]
                filled[slot] += count
                done += count
        return values, edges.astype(np.intp)


def _of_values(values: Array, parts: Sequence[float]) -> npt.NDArray[np.float64]:
    places = np.asarray(parts) * (len(values) - 1)
    below, above = np.floor(places).astype(np.intp), np.ceil(places).astype(np.intp)
    values.partition(np.unique(np.r_[below, above]))
    first, second = values[below].astype(np.float64), values[above].astype(np.float64)
    return between(first, second, places - below)
