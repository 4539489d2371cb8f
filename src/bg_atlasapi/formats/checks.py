"""The question every reader asks before it first reads a file: is this the file that was installed?

Who installs atlases knows which files belong to one, their sizes and hashes; readers do not. They
are given a ``Check``: it raises an ``AtlasError`` for a file that is listed and is missing, cut
short or changed, and is silent about files nobody listed. Of an atlas whose files come on demand,
it has them here when it returns. What the check does is not decided here.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol


class Check(Protocol):
    """What readers ask."""

    def __call__(self, path: Path) -> None:
        """Raise if a file is not what was installed; have it here if it comes on demand."""

    def again(self, path: Path) -> None:
        """Ask anew about a file that is gone: it may have been here when it was asked about."""

    @property
    def recorded(self) -> bool:
        """Whether it is known which files there are."""

    @property
    def on_demand(self) -> bool:
        """Whether there are files that come when they are first read."""

    def awaits(self, path: Path) -> bool:
        """Say whether a file, or some below a folder, would come when it is read."""

    def bring(self, paths: Iterable[Path]) -> None:
        """Have files here that are going to be read: faster than one by one."""


class NoCheck:
    """Takes every file as it is; a ``Check`` of an atlas that is here."""

    recorded = on_demand = False

    def __call__(self, path: Path) -> None:
        """Do nothing."""

    def again(self, path: Path) -> None:
        """Do nothing."""

    def awaits(self, _path: Path) -> bool:
        """Return False: what is not here does not come."""
        return False

    def bring(self, paths: Iterable[Path]) -> None:
        """Do nothing."""


no_check = NoCheck()


class CheckedOnce:
    """A check that is asked once about each file.

    Parameters
    ----------
    check
        What to ask. It must be picklable where atlases are pickled.
    """

    def __init__(self, check: Check = no_check) -> None:
        self._check = check
        self._sound: set[Path] = set()

    def __call__(self, path: Path) -> None:
        """Ask about a file unless it was found sound before."""
        if path not in self._sound:
            self._check(path)
            self._sound.add(path)

    def again(self, path: Path) -> None:
        """Ask about a file that was sound and is gone."""
        self._sound.discard(path)
        self._check.again(path)
        self._sound.add(path)

    @property
    def recorded(self) -> bool:
        """As the check says."""
        return self._check.recorded

    @property
    def on_demand(self) -> bool:
        """As the check says."""
        return self._check.on_demand

    def awaits(self, path: Path) -> bool:
        """As the check says."""
        return self._check.awaits(path)

    def bring(self, paths: Iterable[Path]) -> None:
        """Have those here that were not asked about before."""
        self._check.bring([path for path in paths if path not in self._sound])

    def __reduce__(self) -> tuple[type[CheckedOnce], tuple[Check]]:
        return (CheckedOnce, (self._check,))  # another process looks again
