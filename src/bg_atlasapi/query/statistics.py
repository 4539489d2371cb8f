"""Which statistics of an image are asked for, and how they are taken from the voxels of regions.

Statistics are named ``"n"``, ``"sum"``, ``"mean"``, ``"std"``, ``"min"``, ``"max"``,
``"median"``, ``"p5"`` (any percentile, as ``numpy.percentile`` has it) and ``"area_fraction"``
(over a threshold).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np
from bg_atlasapi.query.accumulators import (
    Counts,
    Extremes,
    Members,
    Moments,
    WholeMoments,
    WideSums,
    divided,
)
from bg_atlasapi.query.distributions import Gathered, Histogram, Steps
from bg_atlasapi.query.runs import Runs

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

PLAIN = ("n", "sum", "mean", "std", "min", "max", "median", "area_fraction")
_PERCENTILE = re.compile(r"p(\d{1,3}(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for.

    Parameters
    ----------
    names
        Of the statistics, in order.
    threshold
        That ``area_fraction`` is over.
    steps
        To bring values to before percentiles are taken; None takes them as they are.
    """

    names: tuple[str, ...]
    threshold: float | None = None
    steps: Steps | None = None

    @property
    def quantiles(self) -> dict[str, float]:
        """Part of the voxels below, by name."""
        found = {name: _percent(name) for name in self.names}
        return {name: percent / 100 for name, percent in found.items() if percent is not None}

    @property
    def extremes(self) -> bool:
        """Whether least or largest values are asked for."""
        return "min" in self.names or "max" in self.names


def _percent(name: str) -> float | None:
    if name == "median":
        return 50.0
    found = _PERCENTILE.fullmatch(name)
    percent = float(found[1]) if found else None
    return percent if percent is not None and percent <= 100 else None


def wanted_of(statistics: object, threshold: object) -> Wanted:
    """Return what is asked for.

    Raises
    ------
    InvalidInputError
        If a statistic is not known, none is asked for, or the threshold is missing or no number.
    """
    names = [statistics] if isinstance(statistics, str) else statistics
    if not isinstance(names, Iterable):
        raise InvalidInputError(f"statistics= takes names, got {statistics!r}.")
    listed = list(dict.fromkeys(names))
    for name in listed:
        if not isinstance(name, str) or (name not in PLAIN and _percent(name) is None):
            known = ", ".join(PLAIN)
            message = f"{name!r} is no statistic; use {known}, or a percentile such as p5 or p99.5."
            raise InvalidInputError(message)
    if not listed:
        raise InvalidInputError("statistics= names no statistic.")
    if "area_fraction" in listed and threshold is None:
        raise InvalidInputError('The statistic "area_fraction" needs threshold=.')
    return Wanted(tuple(listed), None if threshold is None else _number(threshold))


def _number(threshold: Any) -> float:
    try:
        number = float(threshold)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(threshold, str | bytes) or math.isnan(number):
        raise InvalidInputError(f"threshold= takes a number, got {threshold!r}.")
    return number


@dataclass(frozen=True, slots=True)
class Sums:
    """What was gathered about some voxels, by slot or by row.

    Parameters
    ----------
    moments
        Always there: how many voxels counted.
    wide, extremes, counts, spread
        Where they are asked for.
    """

    moments: WholeMoments | Moments
    wide: WideSums | None = None
    extremes: Extremes | None = None
    counts: Counts | None = None
    spread: Histogram | Gathered | None = None

    @classmethod
    def of(cls, runs: Runs, wanted: Wanted) -> Self:
        """Gather from runs."""
        kind = runs.values.dtype
        small = kind.kind in "iu" and kind.itemsize <= 2
        counts = None
        if "area_fraction" in wanted.names and wanted.threshold is not None:
            counts = Counts.of(runs, wanted.threshold)
        return cls(
            WholeMoments.of(runs) if small else Moments.of(runs),
            WideSums.of(runs) if kind.kind in "iu" and not small else None,
            Extremes.of(runs) if wanted.extremes else None,
            counts,
            _spread(runs, wanted.steps, small=small) if wanted.quantiles else None,
        )

    def plus(self, other: Self) -> Self:
        """Return what was gathered about both."""
        mine: list[Any] = [getattr(self, name) for name in self.__slots__]
        theirs: list[Any] = [getattr(other, name) for name in self.__slots__]
        pairs = zip(mine, theirs, strict=True)
        both: list[Any] = [None if one is None else one.plus(two) for one, two in pairs]
        return type(self)(*both)

    def columns(self, wanted: Wanted, members: Members) -> dict[str, Array]:
        """Return the statistics by row; NaN of nothing, save that ``n`` and ``sum`` are 0."""
        moments = self.moments.rolled(members)
        n = moments.n
        found: dict[str, Array] = {"n": n, "mean": moments.means(), "std": moments.deviations()}
        found["sum"] = moments.sums() if self.wide is None else self.wide.rolled(members).sums()
        if self.wide is not None:
            found["mean"] = divided(found["sum"], n)
        if self.extremes is not None:
            extremes = self.extremes.rolled(members)
            found["min"] = np.where(n > 0, extremes.least.astype(np.float64), math.nan)
            found["max"] = np.where(n > 0, extremes.most.astype(np.float64), math.nan)
        if self.counts is not None:
            found["area_fraction"] = divided(self.counts.rolled(members).n, n)
        if self.spread is not None:
            parts = wanted.quantiles
            table = self.spread.quantiles(members, list(parts.values()))
            table = table if wanted.steps is None else wanted.steps.value(table)
            found |= dict(zip(parts, table.T, strict=True))
        return {name: found[name] for name in ("n", *wanted.names)}


def _spread(runs: Runs, steps: Steps | None, *, small: bool) -> Histogram | Gathered:
    if small:
        return Histogram.of(runs)
    if steps is None:
        return Gathered.of(runs)
    return Histogram.of(Runs(steps.number(runs.values), runs.starts, runs.slots, runs.codes))
