"""A file that is read once, from its beginning, and then checked, wherever it comes from."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, Self

from bg_atlasapi.store.transfer.checked import Checked
from bg_atlasapi.store.transfer.download import Download
from bg_atlasapi.store.transport.folders import FolderSource
from bg_atlasapi.store.transport.sources import BLOCK, Listed, Source


class Incoming(Protocol):
    """A file that is read once, from its beginning, and then checked."""

    @property
    def done(self) -> int:
        """Bytes that are here."""

    @property
    def total(self) -> int:
        """Size of the file, 0 while it is not known."""

    @property
    def has_hash(self) -> bool:
        """Whether a hash of the file is published."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, empty at the end."""

    def finish(self) -> tuple[int, str]:
        """Read what is left, check the whole, return its size and SHA-256."""

    def discard(self) -> None:
        """Remove what is kept of it."""


def incoming(
    source: Source,
    expected: Listed,
    folder: Path,
    *,
    ranges: bool = True,
    ahead: int | None = None,
) -> AbstractContextManager[Incoming]:
    """Start to bring a file.

    Parameters
    ----------
    source
        Where from.
    expected
        Which file, and what is published about it.
    folder
        Where pieces are kept; what lies there from an earlier try is used.
    ranges
        Ask for parts. Switched off after a server answered with parts that do not fit.
    ahead
        Bytes to fetch before they are read, for a reader that may not want all; None for no limit.
    """
    if isinstance(source, FolderSource):
        return _LocalFile(source, expected)
    return Download(source, expected, folder, ranges=ranges, ahead=ahead)


class _LocalFile:
    """A file of a folder: nothing to bring, read where it lies."""

    def __init__(self, source: FolderSource, expected: Listed) -> None:
        self._reply = source.open(expected.key)
        self._checked = Checked(source.url(expected.key), expected)
        self._rest = b""
        self.done, self.total = 0, self._reply.size or 0
        self.has_hash = self._checked.has_hash

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._reply.close()

    def read(self, size: int, /) -> bytes:
        data = self._rest or next(self._reply.blocks, b"")
        data, self._rest = data[:size], data[size:]
        self._checked.feed(data)
        self.done += len(data)
        return data

    def finish(self) -> tuple[int, str]:
        while self.read(BLOCK):
            pass
        return self._checked.result()

    def discard(self) -> None:
        pass
