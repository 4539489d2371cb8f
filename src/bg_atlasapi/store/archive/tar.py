"""Read a tar from front to back: which members it says it has, and their bytes.

Our own loop over the standard library's header parser, because ``tarfile``'s loop trusts what it
reads: it takes a damaged header for the end of the archive, does not mind a missing end, reads
extended headers of any size into memory, and keeps every member. Nothing here writes or judges
names.
"""

from __future__ import annotations

import re
import sys
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bg_atlasapi.store.archive.codecs import BLOCK, PIECE, not_a_tar
from bg_atlasapi.store.archive.limits import CutShort, Limits, Refused
from bg_atlasapi.store.archive.names import show

_ZEROS = bytes(PIECE)
_RECORD = re.compile(rb"([1-9][0-9]{0,8}) ([^=\n]+)=", re.ASCII)
_LONG_NAME, _LONG_LINK = tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK
_PAX = frozenset({tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE})
_FILE = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE})
_REFUSED_KINDS = {
    tarfile.SYMTYPE: ("symbolic-link", "a symbolic link"),
    tarfile.LNKTYPE: ("hard-link", "a hard link"),
    tarfile.CHRTYPE: ("device", "a device"),
    tarfile.BLKTYPE: ("device", "a device"),
    tarfile.FIFOTYPE: ("fifo", "a named pipe"),
    tarfile.GNUTYPE_SPARSE: ("sparse-file", "a sparse file"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or folder of a tar, as its headers say.

    Parameters
    ----------
    name
        As stored, unchecked.
    folder
        Else it is a file.
    size
        Bytes of a file, 0 of a folder.
    """

    name: str
    folder: bool
    size: int


class Blocks:
    """Bytes that come in pieces, taken in any length.

    Parameters
    ----------
    pieces
        None of them empty.

    Attributes
    ----------
    position
        Bytes taken so far.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._left = memoryview(b"")
        self.position = 0

    def parts(self, size: int) -> Iterator[memoryview]:
        """Yield the next ``size`` bytes, uncopied; fewer at the end of everything."""
        while size:
            if not self._left:
                self._left = memoryview(next(self._pieces, b""))
                if not self._left:
                    return
            part = self._left[:size]
            self._left = self._left[len(part) :]
            self.position += len(part)
            size -= len(part)
            yield part

    def take(self, size: int) -> bytes:
        """Return the next ``size`` bytes; fewer at the end of everything."""
        return b"".join(self.parts(size))

    def skip_to(self, position: int, what: str) -> None:
        """Pass over the bytes before a position.

        Raises
        ------
        CutShort
            If there are not so many.
        """
        for _ in self.parts(position - self.position):
            pass
        if self.position < position:
            raise CutShort(f"it breaks off within {what}")


class _Extended:
    """What the headers before a member's own say about it."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.size: int | None = None
        self.kinds: set[bytes] = set()

    def add(self, kind: bytes, data: bytes) -> None:
        kind = tarfile.XHDTYPE if kind in _PAX else kind
        if kind in self.kinds:
            raise Refused("odd-header", "Two extended headers of one kind precede a member.")
        self.kinds.add(kind)
        if kind == _LONG_NAME:
            self._set_name(data.rstrip(b"\0"))
            return
        records = read_pax(data)
        sparse = next((key for key in records if key.startswith("GNU.sparse.")), None)
        if sparse:
            raise Refused("sparse-file", f"A header has {sparse}: a sparse file.")
        if "path" in records:
            self._set_name(records["path"])
        if "size" in records:
            if not re.fullmatch(rb"[0-9]{1,19}", records["size"]):
                raise Refused("odd-size", f"A header gives the size {records['size'][:40]!r}.")
            self.size = int(records["size"])

    def _set_name(self, name: bytes) -> None:
        if self.name is not None:
            raise Refused("odd-header", f"Two headers name one member; one says {show(self.name)}.")
        self.name = name.decode("utf-8", "surrogateescape")


def read_pax(data: bytes) -> dict[str, bytes]:
    """Read the records ``<length> <key>=<value>`` of a pax header (POSIX.1-2001, pax).

    Raises
    ------
    Refused
        If they are malformed, or one key comes twice: readers differ in which they take.
    """
    records: dict[str, bytes] = {}
    start = 0
    while start < len(data):
        match = _RECORD.match(data, start)
        end = start + int(match[1]) if match else 0
        if match is None or not match.end() < end <= len(data) or data[end - 1] != 0x0A:
            raise Refused("odd-header", "A pax header is malformed.")
        key = match[2].decode("utf-8", "backslashreplace")
        if key in records:
            raise Refused("odd-header", f"A pax header gives {show(key)} twice.")
        records[key] = data[match.end() : end - 1]
        start = end
    return records


def entries(blocks: Blocks, limits: Limits) -> Iterator[Entry]:
    """Yield the members in order; take a file's bytes from ``blocks`` before asking for the next.

    What is not taken is skipped. After the last one the rest is read: it must be zeros.

    Raises
    ------
    Refused
        If a header is damaged, or a member is not a plain file or folder.
    CutShort
        If the tar has no end.
    """
    extended = _Extended()
    while (header := _header(blocks)) is not None:
        name = header.name
        if header.size < 0:
            raise Refused("odd-size", f"{show(name)} has the size {header.size:,}.")
        if header.type == tarfile.XGLTYPE:
            keys = set(read_pax(_extension(blocks, header, limits)))
            if any(key in {"path", "size"} or key.startswith("GNU.sparse.") for key in keys):
                raise Refused("odd-header", "A global header gives every member one name or size.")
            continue
        if header.type in _PAX or header.type == _LONG_NAME:
            extended.add(header.type, _extension(blocks, header, limits))
            continue
        if header.type == _LONG_LINK:
            raise Refused("symbolic-link", "A header gives the target of a link.")
        name = name if extended.name is None else extended.name
        size = header.size if extended.size is None else extended.size
        extended = _Extended()
        yield from _member(blocks, Entry(name, header.type == tarfile.DIRTYPE, size), header.type)
    if extended.kinds:
        raise Refused("odd-header", "An extended header is followed by no member.")
    for part in blocks.parts(sys.maxsize):
        if bytes(part) != _ZEROS[: len(part)]:
            raise Refused("trailing-data", "Something other than zeros follows the tar's end.")


def _member(blocks: Blocks, entry: Entry, kind: bytes) -> Iterator[Entry]:
    if kind not in _FILE and not entry.folder:
        unknown = ("odd-member", f"of a kind that atlases do not have ({kind!r})")
        code, what = _REFUSED_KINDS.get(kind, unknown)
        raise Refused(code, f"{show(entry.name)} is {what}.")
    if entry.folder and entry.size:
        raise Refused("odd-size", f"{show(entry.name)} is a folder of {entry.size:,} bytes.")
    if not entry.folder and entry.name.endswith("/"):
        raise Refused("file-and-folder", f"{show(entry.name)} is a file with a folder's name.")
    end = blocks.position + entry.size
    yield entry
    blocks.skip_to(end, f"{show(entry.name)}, which has {entry.size:,} bytes")
    blocks.skip_to(end + -end % BLOCK, f"the padding of {show(entry.name)}")


def _header(blocks: Blocks) -> tarfile.TarInfo | None:
    """Return the next header, None at the end mark."""
    at = blocks.position
    data = blocks.take(BLOCK)
    if at and len(data) < BLOCK:
        raise CutShort(f"its tar has no end mark after {at + len(data):,} bytes")
    if data == _ZEROS[:BLOCK]:
        return None
    try:
        return tarfile.TarInfo.frombuf(data, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError) as error:
        if not at:
            raise Refused("not-an-archive", not_a_tar("What is in it", data)) from error
        message = f"Its tar is damaged: no header at byte {at:,} ({error})."
        raise Refused("damaged-archive", message) from error


def _extension(blocks: Blocks, header: tarfile.TarInfo, limits: Limits) -> bytes:
    if header.size > limits.header_bytes:
        message = (
            f"An extended header has {header.size:,} bytes; at most {limits.header_bytes:,} "
            "are allowed."
        )
        raise Refused("header-too-large", message)
    data = blocks.take(header.size)
    blocks.skip_to(blocks.position + -header.size % BLOCK, "an extended header")
    if len(data) < header.size:
        raise CutShort("it breaks off within an extended header")
    return data
