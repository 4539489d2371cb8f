"""One protocol for everything that takes long: a function of phase, done and total.

The same function feeds ``fn_update`` of 1.x, the command line's progress bar, and nothing at all
when there is nobody to look. Raising from it cancels the work; what was downloaded stays for the
next try.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

Report = Callable[[str, int, int], None]
DOWNLOAD, UNPACK, VERIFY = "download", "unpack", "verify"


def silent(phase: str, done: int, total: int) -> None:
    """Report to nobody."""


def from_fn_update(fn_update: Callable[[int, int], object] | None) -> Report:
    """Return a report that calls a function of 1.x with the downloaded and total bytes."""
    if fn_update is None:
        return silent

    def report(phase: str, done: int, total: int) -> None:
        if phase == DOWNLOAD:
            fn_update(done, total)

    return report


class Tally:
    """Adds up what several threads did, and reports the sum in the thread that asks for it.

    Parameters
    ----------
    report
        Where to.
    phase
        What is being done.
    total
        Units of the whole, 0 if not known.
    """

    def __init__(self, report: Report, phase: str, total: int) -> None:
        self._report, self._phase, self.total = report, phase, total
        self.done = 0
        self._said = -1
        self._lock = threading.Lock()

    def add(self, amount: int) -> None:
        """Count; from any thread."""
        with self._lock:
            self.done += amount

    def say(self) -> None:
        """Report, if there is news."""
        if self.done != self._said:
            self._said = self.done
            self._report(self._phase, self.done, self.total)
