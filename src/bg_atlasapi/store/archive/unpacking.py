"""Unpack an atlas archive while it is still downloading, trusting nothing in it.

One pass: the calling thread reads the stream and decompresses, a second one reads the tar, hashes
and writes; zlib, hashlib and the system's write work side by side. Every name is judged before
anything is written (``archive_names``), every expansion is bounded (``archive_limits``). Where the
bytes come from and what happens to the folder afterwards is the caller's business.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bg_atlasapi.errors import IncompleteAtlasError, InvalidAtlasError
from bg_atlasapi.store.archive.codecs import Readable, Unpacking
from bg_atlasapi.store.archive.limits import DEFAULT_LIMITS, CutShort, Limits, Refused
from bg_atlasapi.store.archive.names import (
    RESERVED,
    Claims,
    fold,
    is_junk,
    show,
    split_name,
)
from bg_atlasapi.store.archive.settling import settle
from bg_atlasapi.store.archive.tar import Blocks, Entry, entries

__all__ = ["RESERVED", "Limits", "Member", "Readable", "Unpacked", "settle", "unpack"]

# Pieces of 1 MiB between the two threads: enough to ride over a folder of small files.
_WAITING = 8


@dataclass(frozen=True, slots=True)
class Member:
    """One file that was written.

    Parameters
    ----------
    key
        POSIX path relative to the archive's top folder.
    size
        In bytes.
    sha256
        Hexadecimal, of the bytes as they were handed to the system.
    """

    key: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What an archive held.

    Parameters
    ----------
    root
        Name of its top folder.
    members
        The files that were written, in archive order.
    """

    root: str
    members: tuple[Member, ...]


def unpack(  # noqa: PLR0913 - all but two by name
    stream: Readable,
    target: Path,
    *,
    where: str,
    root: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    wanted: Callable[[str], bool] | None = None,
    written: Callable[[int], None] | None = None,
    finished: Callable[[str], object] | None = None,
) -> Unpacked:
    """Unpack a tar (plain, gzip, bzip2, xz, zstd) from a stream, which is read to its end.

    After an error the target holds whatever was written until then: remove it. Nothing is flushed
    to disk; see ``settle``.

    Parameters
    ----------
    stream
        Read in this thread only.
    target
        An existing empty folder. The files of the archive's one top folder go there, without that
        folder's name. Files that tools leave behind (``._x``, ``.DS_Store``, ``PaxHeader``) and
        ``RESERVED`` keys are left out.
    where
        URL or path of the archive, for messages.
    root
        The top folder it must have; None accepts any single one.
    limits
        What it may expand to.
    wanted
        Called with each key, in another thread; only keys it accepts are written and returned.
        The others are judged all the same.
    written
        Called in this thread with the bytes of files passed so far. What it raises ends the
        unpacking.

    finished
        Called with the key of each file that is complete, in another thread; see
        ``settling.EarlyFlush``.

    Raises
    ------
    InvalidAtlasError
        If the archive is hostile, damaged or no archive; the finding's code says which.
    IncompleteAtlasError
        If it ends too early.
    OSError
        Whatever reading the stream or writing raises, unchanged.
    """
    source = Unpacking(stream, limits)
    writer = _Writer(target, root, limits, wanted, finished)
    try:
        return _run(source, writer, written or (lambda _: None))
    except Refused as refused:
        raise InvalidAtlasError(where, [refused.finding]) from refused
    except CutShort as error:
        message = (
            f"{where} is cut short: {error} ({source.read:,} bytes of the archive arrived). "
            "Fetch it again."
        )
        raise IncompleteAtlasError(message) from error


def _run(source: Unpacking, writer: _Writer, written: Callable[[int], None]) -> Unpacked:
    """Decompress here, write there.

    The writer takes pieces until the end that always comes, also after it failed, so neither
    thread can wait for the other for ever. Where the compressed data breaks, the writer is told in
    place of a piece: what is wrong with the tar before that point is told first.
    """
    pieces: queue.Queue[bytes | Refused | CutShort | None] = queue.Queue(_WAITING)
    failed = threading.Event()

    def write() -> Unpacked:
        incoming = _taken(pieces)
        try:
            return writer.write(incoming)
        except BaseException:
            failed.set()
            raise
        finally:
            with contextlib.suppress(Refused, CutShort):  # only the first is told
                collections.deque(incoming, 0)

    with ThreadPoolExecutor(1, "unpack") as pool:
        result = pool.submit(write)
        end: Refused | CutShort | None = None
        try:
            for piece in source.pieces():
                if failed.is_set():
                    break
                pieces.put(piece)
                written(writer.passed)
        except (Refused, CutShort) as error:
            end = error
        finally:
            pieces.put(end)
    unpacked = result.result()
    written(writer.passed)
    return unpacked


def _taken(pieces: queue.Queue[bytes | Refused | CutShort | None]) -> Iterator[bytes]:
    while (piece := pieces.get()) is not None:
        if not isinstance(piece, bytes):
            raise piece
        yield piece


class _Writer:
    """Write the members of a tar below a folder."""

    def __init__(
        self,
        target: Path,
        root: str | None,
        limits: Limits,
        wanted: Callable[[str], bool] | None,
        finished: Callable[[str], object] | None,
    ) -> None:
        self._finished = finished
        self._target = os.fspath(target)
        self._root = root
        self._limits = limits
        self._wanted = wanted
        self._claims = Claims()
        self._made: set[tuple[str, ...]] = {()}
        self.passed = 0  # bytes of files, written or left out

    def write(self, pieces: Iterable[bytes]) -> Unpacked:
        blocks = Blocks(pieces)
        members: list[Member] = []
        files = 0
        for count, entry in enumerate(entries(blocks, self._limits), 1):
            self._check(entry, count)
            parts = split_name(entry.name, self._limits)
            if not parts or is_junk(parts):
                self.passed += entry.size
                continue
            key = self._below_root(parts, entry)
            files += not entry.folder
            member = self._write_entry(blocks, entry, key)
            if member is not None:
                members.append(member)
        if not files or self._root is None:
            raise Refused("empty-archive", "It is a tar archive without a file.")
        return Unpacked(self._root, tuple(members))

    def _check(self, entry: Entry, count: int) -> None:
        limits = self._limits
        if count > limits.members:
            message = f"It has more than the {limits.members:,} files and folders allowed."
            raise Refused("too-many-members", message)
        if entry.size > limits.total_bytes - self.passed:
            message = (
                f"{show(entry.name)} has {entry.size:,} bytes after {self.passed:,} before it; "
                f"at most {limits.total_bytes:,} are allowed."
            )
            raise Refused("too-large", message)

    def _below_root(self, parts: tuple[str, ...], entry: Entry) -> tuple[str, ...]:
        """Return the key's parts, () for the top folder itself."""
        top = parts[0]
        if len(parts) == 1 and not entry.folder:
            message = f"{show(entry.name)} lies outside the archive's top folder."
            raise Refused("outside-top-folder", message)
        if self._root is None:
            self._root = top
        if top != self._root:
            message = f"{show(entry.name)} is not in the top folder {show(self._root)}."
            raise Refused("wrong-top-folder", message)
        key = parts[1:]
        if key and fold(key[0]) in RESERVED and (entry.folder or len(key) > 1):
            message = f"{show(entry.name)} takes the place of a record of this library."
            raise Refused("reserved-name", message)
        return key

    def _write_entry(self, blocks: Blocks, entry: Entry, parts: tuple[str, ...]) -> Member | None:
        if entry.folder:
            self._claims.folder(parts)
            if self._wanted is None:
                self._make(parts)
            return None
        self._claims.file(parts)
        key = "/".join(parts)
        if fold(key) in RESERVED or (self._wanted is not None and not self._wanted(key)):
            self.passed += entry.size
            return None
        self._make(parts[:-1])
        return self._write_file(blocks, entry.size, key)

    def _make(self, parts: tuple[str, ...]) -> None:
        """Make a folder and those it lies in; each by this archive, so that none is a link."""
        if parts in self._made:
            return
        self._make(parts[:-1])
        os.mkdir(os.path.join(self._target, *parts), 0o755)  # noqa: PTH102, PTH118 - strings: half the time for a thousand files
        self._made.add(parts)

    def _write_file(self, blocks: Blocks, size: int, key: str) -> Member:
        digest = hashlib.sha256()
        start = blocks.position
        path = os.path.join(self._target, *key.split("/"))  # noqa: PTH118 - strings: half the time for a thousand files
        with open(path, "xb", opener=_open_plainly) as file:
            for part in blocks.parts(size):
                digest.update(part)
                file.write(part)
                self.passed += len(part)
        if blocks.position - start < size:
            got = blocks.position - start
            raise CutShort(f"{show(key)} should have {size:,} bytes and has {got:,}")
        if self._finished is not None:
            self._finished(key)
        return Member(key, size, digest.hexdigest())


def _open_plainly(path: str, flags: int) -> int:
    return os.open(path, flags, 0o644)
