"""Make what was written survive a power cut, before it is renamed into place."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Self

# Journaling file systems commit waiting flushes together; more threads gain nothing.
_THREADS = 8


def settle(folder: Path, files: Iterable[str]) -> None:
    """Flush files, and the folders that name them, to disk.

    Parameters
    ----------
    folder
        What they lie in; flushed too. The entry of the folder itself is its parent's.
    files
        POSIX paths relative to it, as ``Member.key``.

    Raises
    ------
    OSError
        If the disk reports that it could not keep them.
    """
    base = os.fspath(folder)
    paths = [os.path.join(base, *key.split("/")) for key in files]  # noqa: PTH118 - strings: half the time for a thousand files
    folders = {base}
    for path in paths:
        parent = os.path.dirname(path)  # noqa: PTH120 - strings: half the time for a thousand files
        while parent not in folders:
            folders.add(parent)
            parent = os.path.dirname(parent)  # noqa: PTH120 - strings: half the time for a thousand files
    with ThreadPoolExecutor(_THREADS, "settle") as pool:
        list(pool.map(_flush_file, paths))
        if os.name != "nt":  # Windows opens no folder, and journals their entries
            list(pool.map(_flush_folder, folders))
    if sys.platform == "darwin":
        _flush_device(base)


class EarlyFlush:
    """Flush files while others are still being written, so that ``settle`` finds little to do.

    Parameters
    ----------
    folder
        What they lie in.
    """

    def __init__(self, folder: Path) -> None:
        self._base = os.fspath(folder)
        self._pool = ThreadPoolExecutor(2, "flush")
        self._flushed: list[Future[None]] = []

    def __enter__(self) -> Self:
        return self

    def __call__(self, key: str) -> None:
        """Begin with a file that is complete."""
        path = os.path.join(self._base, *key.split("/"))  # noqa: PTH118 - strings: half the time for a thousand files
        self._flushed.append(self._pool.submit(_flush_file, path))

    def __exit__(self, kind: object, *_error: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=kind is not None)
        if kind is None:
            for one in self._flushed:
                one.result()  # an error is told once; settle would not hear of it


def _flush_file(path: str) -> None:
    # Windows flushes only what is open for writing.
    _flush(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)


def _flush_folder(path: str) -> None:
    _flush(path, os.O_RDONLY)


def _flush(path: str, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_device(path: str) -> None:
    """Empty the drive's own buffer, which fsync leaves alone on macOS (man 2 fsync)."""
    if sys.platform == "darwin":
        import fcntl

        descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        finally:
            os.close(descriptor)
