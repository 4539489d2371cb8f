"""The question every reader asks before it first reads a file: is this the file that was installed?

Who installs atlases knows which files belong to one, their sizes and hashes; readers do not. They
are given a ``Check``: it raises an ``AtlasError`` for a file that is listed and is missing, cut
short or changed, and is silent about files nobody listed. What the check does is not decided here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Check = Callable[[Path], None]


def no_check(_path: Path) -> None:
    """Take every file as it is."""


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

    def __reduce__(self) -> tuple[type[CheckedOnce], tuple[Check]]:
        return (CheckedOnce, (self._check,))  # another process looks again
