"""From the bytes of an archive to the bytes of its tar: recognise, decompress, hold back bombs.

It reads a stream from front to back and yields pieces of bounded size, whatever the ratio. What the
tar says is no business of this module.
"""

from __future__ import annotations

import importlib
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from bg_atlasapi.store.archive.limits import CutShort, Limits, Refused

BLOCK = 512
# Between 256 kB and 4 MiB the size makes no difference beyond the noise; memory is 8 of these.
PIECE = 1 << 20
_READ = 1 << 18


class Readable(Protocol):
    """What is read from: blocking, sequential, no seek needed."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes, none only at the end."""
        ...


class _Decoder(Protocol):
    """What ``bz2``, ``lzma`` and ``compression.zstd`` offer alike."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Inflate:
    """Give ``zlib`` the interface of the others."""

    def __init__(self, zlib: Any) -> None:
        self._zlib = zlib.decompressobj(wbits=31)  # gzip framing; checks its CRC and length
        self._waiting = b""

    @property
    def eof(self) -> bool:
        return bool(self._zlib.eof)

    @property
    def needs_input(self) -> bool:
        return not self._waiting

    @property
    def unused_data(self) -> bytes:
        return bytes(self._zlib.unused_data)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        out: bytes = self._zlib.decompress(self._waiting + data, max_length)
        self._waiting = self._zlib.unconsumed_tail
        return out


@dataclass(frozen=True, slots=True)
class _Codec:
    """A compression: its name, first bytes, modules (any will do), how to start decoding."""

    name: str
    magic: tuple[bytes, ...]
    modules: tuple[str, ...]
    start: Callable[[Any], _Decoder]


# xz -9 needs 65 MiB for its dictionary, zstd --ultra -22 128 MiB; what asks for more is refused.
_CODECS = (
    _Codec("gzip", (b"\x1f\x8b\x08",), ("zlib",), _Inflate),
    _Codec("bzip2", (b"BZh",), ("bz2",), lambda module: module.BZ2Decompressor()),
    _Codec(
        "xz",
        (b"\xfd7zXZ\0",),
        ("lzma",),
        lambda module: module.LZMADecompressor(format=module.FORMAT_XZ, memlimit=100 << 20),
    ),
    _Codec(
        "zstd",
        (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + n]) + b"\x2a\x4d\x18" for n in range(16))),
        ("compression.zstd", "backports.zstd"),
        lambda module: module.ZstdDecompressor(),
    ),
)

# By the first bytes, in lower case.
_LOOKS_LIKE = (
    ((b"\x1f\x8b\x08",), "compressed twice, as by a server that compresses everything"),
    ((b"pk\x03\x04", b"pk\x05\x06"), "a zip archive"),
    ((b"7z\xbc\xaf",), "a 7z archive"),
    ((b"rar!",), "a RAR archive"),
    ((b"\x1f\x9d", b"\x1f\xa0", b"\x5d\0\0", b"lzip", b"\x04\x22\x4d\x18"), "compressed otherwise"),
    ((b"version https://git-lfs",), "a Git LFS pointer, not the file it stands for"),
    ((b"<!doctype html", b"<html"), "an HTML page, as a server shows instead of a file"),
    ((b"<?xml", b"<error"), "an XML page, as a server shows instead of a file"),
    ((b"{", b"["), "JSON text"),
    ((b"\x93numpy", b"\x89hdf", b"ii*\0", b"mm\0*", b"nrrd000"), "a single data file"),
)


class Unpacking:
    """A stream, decompressed piece by piece.

    Parameters
    ----------
    stream
        The archive, from its first byte.
    limits
        Against what comes out.

    Attributes
    ----------
    read
        Archive bytes read so far.
    """

    def __init__(self, stream: Readable, limits: Limits) -> None:
        self._stream = stream
        self._limits = limits
        self.read = 0

    def pieces(self) -> Iterator[bytes]:
        """Yield the tar in pieces of at most 1 MiB, none empty.

        Raises
        ------
        Refused
            If the stream is not a tar, plain or in a known compression, is damaged, or expands
            beyond the limits.
        CutShort
            If the compressed data breaks off.
        """
        head = b""
        while len(head) < BLOCK and (more := self._more()):
            head += more
        codec = next((codec for codec in _CODECS if head.startswith(codec.magic)), None)
        if codec is None:
            _check_plain(head)
        total = 0
        for piece in self._plain(head) if codec is None else self._decoded(codec, head):
            total += len(piece)
            self._check(total)
            yield piece

    def _plain(self, head: bytes) -> Iterator[bytes]:
        yield head
        yield from iter(self._more, b"")

    def _more(self) -> bytes:
        data = self._stream.read(_READ)
        self.read += len(data)
        return data

    def _check(self, total: int) -> None:
        limits = self._limits
        if total > limits.total_bytes:
            message = f"It unpacks to more than the {limits.total_bytes:,} bytes allowed."
            raise Refused("too-large", message)
        if total > limits.grace_bytes + limits.ratio * self.read:
            message = (
                f"{self.read:,} bytes of it unpack to {total:,} and more; beyond "
                f"{limits.grace_bytes:,}, at most {limits.ratio} for one are allowed."
            )
            raise Refused("too-compressed", message)

    def _decoded(self, codec: _Codec, data: bytes) -> Iterator[bytes]:
        module = _load(codec)
        while data:  # gzip members, bzip2 and xz streams, zstd frames may follow each other
            decoder = codec.start(module)
            while not decoder.eof:
                if not data and decoder.needs_input and not (data := self._more()):
                    raise CutShort(f"its {codec.name} data breaks off")
                try:
                    piece = decoder.decompress(data, PIECE)
                except MemoryError:
                    raise
                except Exception as error:  # each library has its own, bz2 raises OSError
                    message = f"Its {codec.name} data is damaged ({error})."
                    raise Refused("damaged-archive", message) from error
                data = b""
                if piece:
                    yield piece
            data = self._after_end(codec, decoder.unused_data)

    def _after_end(self, codec: _Codec, data: bytes) -> bytes:
        """Skip padding; return the next member's bytes, none at the end of the stream."""
        while not (data := data.lstrip(b"\0")):
            if not (data := self._more()):
                return b""
        while len(data) < 6 and (more := self._more()):
            data += more
        if not data.startswith(codec.magic):
            message = f"Something other than padding follows its {codec.name} data."
            raise Refused("trailing-data", message)
        return data


def _load(codec: _Codec) -> Any:
    for name in codec.modules:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    message = f"It is compressed with {codec.name}, which needs {codec.modules[-1]}."
    raise Refused("no-decompressor", message)


def _check_plain(head: bytes) -> None:
    if head.startswith(bytes(BLOCK)):
        return  # a tar of nothing, which its reader says
    try:
        tarfile.TarInfo.frombuf(head[:BLOCK], "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError) as error:
        if len(head) < BLOCK and head[257:262] == b"ustar":
            raise CutShort("it ends within its first header") from error
        raise Refused("not-an-archive", not_a_tar("It", head)) from error


def not_a_tar(what: str, head: bytes) -> str:
    """Say what bytes seem to be that should have been a tar archive.

    Parameters
    ----------
    what
        The subject of the sentence.
    head
        The first bytes, as many as there are.
    """
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return f"{what} is empty; a tar archive was expected."
    known = (name for starts, name in _LOOKS_LIKE if text.startswith(starts))
    name = next(known, None) or _shown(head[:40])
    return f"{what} is not a tar archive (plain, gzip, bzip2, xz or zstd) but seems to be {name}."


def _shown(head: bytes) -> str:
    text = head.decode("utf-8", "ignore")
    if text and all(char.isprintable() or char.isspace() for char in text):
        return f"text ({text!r})"
    return f"something else (it begins {head[:8].hex(' ')})"
