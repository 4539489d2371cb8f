"""The progress bar that people see in a terminal; nothing where nobody looks.

It is fed by the protocol of ``store.progress`` and decides only how things look.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from bg_atlasapi.store.transfer import progress

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_WORDS = {
    progress.DOWNLOAD: "Downloading",
    progress.UNPACK: "Unpacking",
    progress.VERIFY: "Checking",
    "pack": "Copying",
    "export": "Exporting",
    "measure": "Measuring",
    "lookup": "Looking up",
    "count": "Counting",
    "regions": "Reading labels",
    "components": "Connecting",
    "compare": "Comparing",
    "mask": "Masking",
    "write": "Writing",
}


@contextlib.contextmanager
def shown(fn_update: Callable[[int, int], object] | None = None) -> Iterator[progress.Report]:
    """Give a report that draws bars on standard error, if that is a terminal.

    Parameters
    ----------
    fn_update
        Also called with the downloaded and total bytes, as in 1.x.
    """
    told = progress.from_fn_update(fn_update)
    if sys.stderr is None or not sys.stderr.isatty():
        yield told
        return
    with _bars() as bars:
        tasks: dict[str, TaskID] = {}

        def report(phase: str, done: int, total: int) -> None:
            if phase not in tasks:
                tasks[phase] = bars.add_task(_WORDS.get(phase, phase), total=None)
            bars.update(tasks[phase], completed=done, total=total or None)
            told(phase, done, total)

        yield report


def _bars() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("[bold]{task.description}", justify="right"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)
