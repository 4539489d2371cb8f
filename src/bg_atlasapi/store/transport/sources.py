"""What places that files come from have in common: web servers, S3 buckets, folders.

A source knows nothing of atlases. It opens a file at any byte, says what it knows of the file
(size, a validator for going on later, a hash), and lists what lies under a prefix where it can.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

from bg_atlasapi.errors import RefusedError, RemoteError
from bg_atlasapi.store.transport import http

BLOCK = 1 << 18
SMALL = 64 << 20  # more than any index, manifest or inventory


@dataclass(frozen=True, slots=True)
class Listed:
    """A file that a source has.

    Parameters
    ----------
    key
        POSIX path below the source's base.
    size
        Bytes, None if not known.
    sha256, md5
        Published hashes, hexadecimal in either case, None or empty if there are none.
    """

    key: str
    size: int | None = None
    sha256: str | None = None
    md5: str | None = None

    def __post_init__(self) -> None:
        """Write hashes in one way: lower case, None for none."""
        for name in ("sha256", "md5"):
            object.__setattr__(self, name, (getattr(self, name) or "").strip().lower() or None)


@dataclass(slots=True)
class Reply:
    """A file that is being read.

    Parameters
    ----------
    start
        Offset of the first byte that ``blocks`` gives.
    size
        Of the whole file, None if the source does not say.
    validator
        Changes when the file does; None if the source has no such thing.
    ranges
        Whether the source can start at any byte.
    listed
        What the source publishes about the file.
    blocks
        The bytes. Raises ``RemoteError`` when the source breaks off.
    close
        Stops reading.
    """

    start: int
    size: int | None
    validator: str | None
    ranges: bool
    listed: Listed
    blocks: Iterator[bytes]
    close: Callable[[], object] = field(default=lambda: None)


class Source(abc.ABC):
    """A place that files come from.

    Parameters
    ----------
    base
        Its address; keys are appended to it.
    """

    def __init__(self, base: str) -> None:
        self.base = base.rstrip("/")

    def url(self, key: str) -> str:
        """Return the full address of a file."""
        return f"{self.base}/{quote(key)}"

    @abc.abstractmethod
    def below(self, prefix: str) -> Source:
        """Return the source of what lies under a folder of this one."""

    @abc.abstractmethod
    def open(
        self, key: str, start: int = 0, stop: int | None = None, validator: str | None = None
    ) -> Reply:
        """Start to read a file.

        Parameters
        ----------
        key
            Which.
        start, stop
            Bytes wanted. A source without ranges gives the whole file all the same.
        validator
            Of an earlier reply: if the file has changed since, the whole file is given.

        Raises
        ------
        RemoteError
            If it cannot be had.
        """

    @abc.abstractmethod
    def size(self, key: str) -> int | None:
        """Return the size of a file without reading it, None if the source does not say.

        Raises
        ------
        RemoteError
            If it cannot be had.
        """

    @abc.abstractmethod
    def files(self, prefix: str) -> Iterator[Listed]:
        """List every file whose key begins with a prefix (a folder, ending in a slash).

        Raises
        ------
        RemoteError
            If the source cannot list.
        """

    @abc.abstractmethod
    def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders directly under a prefix, empty if there are none."""

    def read(self, key: str) -> bytes:
        """Read a small file whole, trying again where that may help.

        Raises
        ------
        RemoteError
            If it cannot be had, or is not small.
        """
        patience = http.Patience()
        while True:
            try:
                return self._read_once(key)
            except RemoteError as error:
                patience.spend(error)

    def _read_once(self, key: str) -> bytes:
        reply = self.open(key)
        found = bytearray()
        try:
            if reply.start != 0:
                raise refused_part(self.url(key))
            for block in reply.blocks:
                found += block
                if len(found) > SMALL:
                    where = http.without_login(self.url(key))
                    raise RefusedError(f"{where} is far too long for what it should be.")
        finally:
            reply.close()
        if reply.size is not None and len(found) < reply.size:  # a part that nobody asked for
            raise http.broken_off(self.url(key))
        return bytes(found)

    def read_if_there(self, key: str) -> bytes | None:
        """Read a small file whole, None if there is no such file."""
        try:
            return self.read(key)
        except RefusedError as error:
            if error.is_absence or (error.status == 403 and self.hides_absence):
                return None
            raise

    hides_absence = False


def refused_part(url: str) -> RefusedError:
    """Return the error of a server that answers with parts, though the whole was asked for."""
    message = (
        f"{http.host_of(url)} answers with a part of {http.without_login(url)} that was not asked "
        "for, or does not say which part it is."
    )
    return RefusedError(message, 206)
