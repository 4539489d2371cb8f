"""Sums over the voxels of each region that can be put together: of parts, of regions, of tasks.

Each class holds one family of numbers by slot (see ``runs``), knows how to take them from runs, how
to add another part's, and how to bring slots together into rows. Whole numbers of 8 and 16 bits are
summed exactly, squares too. Of other numbers, deviations from each part's own mean are squared, so
that nothing cancels: one million plus a thousandth of noise keeps its noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from bg_atlasapi.late import np
from bg_atlasapi.query.runs import SIDES, Runs, scratch

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

_LOW = 24  # bits of a run's sum of 16-bit values; its sum of squares takes the 40 above
_HALF = 32
_MASK = (1 << _HALF) - 1


@dataclass(frozen=True, slots=True)
class Members:
    """Which slots make up which rows.

    Parameters
    ----------
    slots, rows
        Pairs; a slot may belong to several rows.
    count
        Number of rows.
    """

    slots: npt.NDArray[np.intp]
    rows: npt.NDArray[np.intp]
    count: int

    def add(self, values: Array) -> Array:
        """Return the sums of whole numbers by row."""
        sums = np.zeros(self.count, values.dtype)
        np.add.at(sums, self.rows, values[self.slots])
        return sums

    def weigh(self, of_pairs: Array) -> npt.NDArray[np.float64]:
        """Return the sums, by row, of a number for each pair."""
        return np.bincount(self.rows, of_pairs, self.count).astype(np.float64, copy=False)


def fitted(array: Array, size: int, fill: Any = 0) -> Array:
    """Return an array lengthened by ``fill``."""
    if len(array) == size:
        return array
    longer = np.full(size, fill, array.dtype)
    longer[: len(array)] = array
    return longer


@dataclass(frozen=True, slots=True)
class WholeMoments:
    """Number, sum and sum of squares of whole numbers of at most 16 bits, exact.

    Parameters
    ----------
    n, total
        ``int64``.
    low, high
        The sum of squares is ``low + high * 2**32``.
    offset
        What was added to every value so that none is negative.
    """

    n: npt.NDArray[np.int64]
    total: npt.NDArray[np.int64]
    low: npt.NDArray[np.int64]
    high: npt.NDArray[np.int64]
    offset: int

    @classmethod
    def of(cls, runs: Runs) -> Self:
        """Sum up runs: one pass adds values and squares, packed into 64 bits."""
        offset = -int(np.iinfo(runs.values.dtype).min)
        values = scratch("values", runs.values.shape, np.int64)
        values[...] = runs.values
        if offset:
            values += offset
        values = values.reshape(-1).view(np.uint64)
        packed = scratch("packed", values.shape, np.uint64)
        np.left_shift(values, np.uint64(_LOW), out=packed)
        packed += np.uint64(1)
        packed *= values
        sums = np.add.reduceat(packed, runs.starts)
        n, total, squares = (
            runs.total(one).astype(np.int64)
            for one in (runs.lengths, sums & np.uint64((1 << _LOW) - 1), sums >> np.uint64(_LOW))
        )
        return cls(n, total, squares & _MASK, squares >> _HALF, offset)

    def plus(self, other: Self) -> Self:
        """Return the sums of both."""
        size = max(len(self.n), len(other.n))
        n, total, low, high = (
            fitted(getattr(self, name), size) + fitted(getattr(other, name), size)
            for name in ("n", "total", "low", "high")
        )
        return type(self)(n, total, low & _MASK, high + (low >> _HALF), self.offset)

    def rolled(self, members: Members) -> Self:
        """Return the sums by row."""
        low = members.add(self.low)
        high = members.add(self.high) + (low >> _HALF)
        return type(self)(
            members.add(self.n), members.add(self.total), low & _MASK, high, self.offset
        )

    def sums(self) -> Array:
        """Return the sums, ``int64``."""
        return self.total - self.n * self.offset

    def means(self) -> npt.NDArray[np.float64]:
        """Return the means, NaN of nothing."""
        return divided(self.sums(), self.n)

    def deviations(self) -> npt.NDArray[np.float64]:
        """Return the standard deviations of the population, NaN of nothing."""
        rows = zip(
            *(one.tolist() for one in (self.n, self.total, self.low, self.high)), strict=True
        )
        return np.array(
            [
                math.sqrt(n * (low + (high << _HALF)) - total * total) / n if n else math.nan
                for n, total, low, high in rows
            ]
        )


@dataclass(frozen=True, slots=True)
class Moments:
    """Number, sum, mean and squared deviations of any real numbers.

    Parameters
    ----------
    n
        ``int64``.
    total
        The plain sum: says what comes of infinities.
    near, rest
        The mean is ``near + rest``; ``near`` is rounded, ``rest`` is what that lost.
    squares
        Sum of the squared deviations from the mean.
    """

    n: npt.NDArray[np.int64]
    total: npt.NDArray[np.float64]
    near: npt.NDArray[np.float64]
    rest: npt.NDArray[np.float64]
    squares: npt.NDArray[np.float64]

    @classmethod
    def of(cls, runs: Runs) -> Self:
        """Sum up runs, then the deviations from their means."""
        lengths = runs.lengths
        values = scratch("values", runs.values.shape, np.float64)
        values[...] = runs.values
        values = values.reshape(-1)
        with np.errstate(all="ignore"):  # infinities, and what lies outside the structures
            n = runs.total(lengths)
            total = runs.total(np.add.reduceat(values, runs.starts))
            near = divided(total, n, nothing=0)
            _subtract(runs, values, np.repeat(near[runs.slots], lengths))
            rest = runs.total(np.add.reduceat(values, runs.starts))
            rest = divided(rest, n, nothing=0)
            values *= values
            squares = runs.total(np.add.reduceat(values, runs.starts)) - n * rest * rest
        return cls(n.astype(np.int64), total, near, rest, squares)

    def plus(self, other: Self) -> Self:
        """Return the moments of both together."""
        size = max(len(self.n), len(other.n))
        first = type(self)(*(fitted(getattr(self, name), size) for name in self.__slots__))
        second = type(self)(*(fitted(getattr(other, name), size) for name in other.__slots__))
        with np.errstate(all="ignore"):
            n = first.n + second.n
            near = np.where(first.n > 0, first.near, second.near)
            apart = (second.near - first.near) + (second.rest - first.rest)
            part = divided(second.n, n, nothing=0)
            both = (first.n > 0) & (second.n > 0)
            rest = np.where(both, first.rest + apart * part, first.rest + second.rest)
            between = np.where(both, apart * apart * part * first.n, 0)
            squares = first.squares + second.squares + between
            return type(self)(n, first.total + second.total, near, rest, squares)

    def rolled(self, members: Members) -> Self:
        """Return the moments by row."""
        with np.errstate(all="ignore"):
            n = members.add(self.n)
            share = self.n[members.slots]
            total = members.weigh(self.total[members.slots])
            means = np.where(share > 0, self.near[members.slots] + self.rest[members.slots], 0)
            near = divided(members.weigh(share * means), n, nothing=0)
            apart = self.near[members.slots] - near[members.rows] + self.rest[members.slots]
            apart = np.where(share > 0, apart, 0)
            rest = divided(members.weigh(share * apart), n, nothing=0)
            apart -= rest[members.rows]
            squares = members.weigh(self.squares[members.slots] + share * apart * apart)
        return type(self)(n, total, near, rest, squares)

    def sums(self) -> Array:
        """Return the sums, 0 of nothing."""
        with np.errstate(all="ignore"):
            exact = self.near * self.n + self.rest * self.n
        return np.where(np.isfinite(self.total) & np.isfinite(exact), exact, self.total)

    def means(self) -> npt.NDArray[np.float64]:
        """Return the means, NaN of nothing."""
        with np.errstate(all="ignore"):
            means = np.where(np.isfinite(self.total), self.near + self.rest, self.total)
        return np.where(self.n > 0, means, math.nan)

    def deviations(self) -> npt.NDArray[np.float64]:
        """Return the standard deviations of the population, NaN of nothing."""
        with np.errstate(all="ignore"):
            return np.sqrt(np.maximum(divided(self.squares, self.n), 0))


def divided(above: Array, below: Array, nothing: float = math.nan) -> npt.NDArray[np.float64]:
    """Return quotients, ``nothing`` where the divisor is 0."""
    answer = np.full(len(above), float(nothing))
    with np.errstate(all="ignore"):
        np.divide(above, below, out=answer, where=below != 0)
    return answer


def _subtract(runs: Runs, values: Array, near: Array) -> None:
    """Take numbers from the values of runs; of 64-bit whole numbers nothing is rounded before."""
    flat = runs.flat
    if flat.dtype.kind not in "iu" or flat.dtype.itemsize < 8:
        values -= near
        return
    kind = flat.dtype.type
    np.multiply(flat >> kind(_HALF), float(1 << _HALF), out=values)
    values -= near
    values += flat & kind(_MASK)


@dataclass(frozen=True, slots=True)
class WideSums:
    """Sums of whole numbers of 32 and 64 bits, exact.

    Parameters
    ----------
    low, high
        ``int64``; the sum is ``low + high * 2**32``.
    """

    low: npt.NDArray[np.int64]
    high: npt.NDArray[np.int64]

    @classmethod
    def of(cls, runs: Runs) -> Self:
        """Sum up runs."""
        kind = np.uint64 if runs.values.dtype.kind == "u" else np.int64
        values = runs.flat.astype(kind)
        low, high = (
            runs.total(np.add.reduceat(part, runs.starts)).astype(np.int64)
            for part in (values & kind(_MASK), values >> kind(_HALF))
        )
        return cls(low & _MASK, high + (low >> _HALF))

    def plus(self, other: Self) -> Self:
        """Return the sums of both."""
        size = max(len(self.low), len(other.low))
        low = fitted(self.low, size) + fitted(other.low, size)
        high = fitted(self.high, size) + fitted(other.high, size)
        return type(self)(low & _MASK, high + (low >> _HALF))

    def rolled(self, members: Members) -> Self:
        """Return the sums by row."""
        low, high = members.add(self.low), members.add(self.high)
        return type(self)(low & _MASK, high + (low >> _HALF))

    def sums(self) -> Array:
        """Return the sums: ``int64`` if all fit, else the nearest ``float64``."""
        pairs = zip(self.low.tolist(), self.high.tolist(), strict=True)
        exact = [low + (high << _HALF) for low, high in pairs]
        limits = np.iinfo(np.int64)
        fits = all(limits.min <= one <= limits.max for one in exact)
        return np.array(exact, np.int64) if fits else np.array([float(one) for one in exact])


@dataclass(frozen=True, slots=True)
class Extremes:
    """Least and largest value.

    Parameters
    ----------
    least, most
        Of the type of the values; where there are none, the type's largest and least.
    """

    least: Array
    most: Array

    @classmethod
    def of(cls, runs: Runs) -> Self:
        """Take them from runs."""
        low, high = _limits(runs.values.dtype)
        least = np.full(runs.size, high, runs.values.dtype)
        most = np.full(runs.size, low, runs.values.dtype)
        np.minimum.at(least, runs.slots, np.minimum.reduceat(runs.flat, runs.starts))
        np.maximum.at(most, runs.slots, np.maximum.reduceat(runs.flat, runs.starts))
        least[:SIDES], most[:SIDES] = high, low
        return cls(least, most)

    def plus(self, other: Self) -> Self:
        """Return the extremes of both."""
        low, high = _limits(self.least.dtype)
        size = max(len(self.least), len(other.least))
        least = np.minimum(fitted(self.least, size, high), fitted(other.least, size, high))
        most = np.maximum(fitted(self.most, size, low), fitted(other.most, size, low))
        return type(self)(least, most)

    def rolled(self, members: Members) -> Self:
        """Return the extremes by row."""
        low, high = _limits(self.least.dtype)
        least = np.full(members.count, high, self.least.dtype)
        most = np.full(members.count, low, self.least.dtype)
        np.minimum.at(least, members.rows, self.least[members.slots])
        np.maximum.at(most, members.rows, self.most[members.slots])
        return type(self)(least, most)


def _limits(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    if dtype.kind == "f":
        return -math.inf, math.inf
    limits = np.iinfo(dtype)
    return limits.min, limits.max


@dataclass(frozen=True, slots=True)
class Counts:
    """How many voxels are more than a threshold."""

    n: npt.NDArray[np.int64]

    @classmethod
    def of(cls, runs: Runs, threshold: float) -> Self:
        """Count in runs."""
        # Not in the image's own type: it may round the threshold, or be too small for it.
        over = (runs.flat > np.float64(threshold)).astype(np.int32)
        return cls(runs.total(np.add.reduceat(over, runs.starts)).astype(np.int64))

    def plus(self, other: Self) -> Self:
        """Return the counts of both."""
        size = max(len(self.n), len(other.n))
        return type(self)(fitted(self.n, size) + fitted(other.n, size))

    def rolled(self, members: Members) -> Self:
        """Return the counts by row."""
        return type(self)(members.add(self.n))
