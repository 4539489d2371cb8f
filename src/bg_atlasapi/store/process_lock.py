"""Let processes wait for each other, so that they do not download the same thing twice.

Locks save bandwidth and nothing else: everything they guard is correct without them (network file
systems without locks, ``BRAINGLOBE_LOCKS=0``), because files are renamed into place whole. The
system releases a lock when its process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from bg_atlasapi import settings

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_PAUSE_S = 0.05


def _take(file: IO[bytes]) -> bool:
    """Try to lock; True also where locking does not work at all."""
    try:
        if sys.platform == "win32":
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # this file system has no locks
        return True
    return True


def _give(file: IO[bytes]) -> None:
    """Unlock. Closing is not enough: a child forked meanwhile has the file open too."""
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_UN)


@contextlib.contextmanager
def waiting(path: Path) -> Iterator[None]:
    """Hold a lock file while the block runs, waiting for other processes first.

    Parameters
    ----------
    path
        The lock file; it is made, and stays.
    """
    if not settings.locks():
        yield
        return
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # cannot be made: go on without
            path.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(path.open("ab"))
            while not _take(file):
                time.sleep(_PAUSE_S)
            stack.callback(_give, file)
        yield


def held(path: Path) -> bool:
    """Say whether a process holds a lock file just now."""
    try:
        with path.open("ab") as file:
            if not _take(file):
                return True
            _give(file)
    except OSError:
        pass
    return False
