"""Decode one chunk of a Zarr array: bytes in, array out.

zstd, gzip, zlib, bz2, lzma, crc32c, crc32, adler32, and, where the package numcodecs is installed,
blosc and lz4. The standard library and ``backports.zstd`` do the work. What a chunk decodes to is
bounded by what its array's metadata promise, so that a hostile file cannot fill the memory.
Encoding is elsewhere.
"""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

_Bytes = bytes | memoryview
# What is to be decoded, the most it may give, where to put it (where the codec can).
_Step = Callable[[_Bytes, int, memoryview | None], _Bytes]


class UnknownCodec(Exception):  # noqa: N818 - a signal between functions, never leaves the package
    """A codec that cannot be decoded here; says which."""

    @classmethod
    def named(cls, name: str) -> UnknownCodec:
        """Return the error for a codec nobody here knows."""
        known = ", ".join(sorted(_STEPS))
        return cls(f"Its chunks use {name}, which cannot be decoded here. Known codecs: {known}.")


class DamagedChunk(Exception):  # noqa: N818 - a signal between functions, never leaves the package
    """Bytes that do not decode to what they should."""


class _Target:
    """Takes what a decompressor gives, bit by bit, into one stretch of memory.

    One call for all 8 MB of a chunk takes 7 times as long (0.84 s against 0.12 s for the 25 µm
    annotation): the decompressor grows its buffers, joins them, and the system clears each page.
    """

    step = 1 << 18

    def __init__(self, most: int, into: memoryview | None) -> None:
        self._memory = memoryview(bytearray(most)) if into is None else into
        self._filled = 0

    def take(self, part: bytes) -> None:
        """Append some bytes."""
        end = self._filled + len(part)
        if end > len(self._memory):
            most = f"{len(self._memory):,}"
            raise DamagedChunk(f"it should decode to at most {most} bytes and gives more")
        self._memory[self._filled : end] = part
        self._filled = end

    def taken(self) -> memoryview:
        """Return what was taken."""
        return self._memory[: self._filled]


def _unzstd(data: _Bytes, most: int, into: memoryview | None) -> _Bytes:
    zstd = import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
    target = _Target(most, into)
    while len(data):
        frame = zstd.ZstdDecompressor()
        try:
            target.take(frame.decompress(data, target.step))
            while not frame.eof:
                if frame.needs_input:
                    raise DamagedChunk("its zstd stream breaks off")
                target.take(frame.decompress(b"", target.step))
        except zstd.ZstdError as error:
            raise DamagedChunk(str(error)) from error
        data = frame.unused_data
    return target.taken()


def _inflate(data: _Bytes, most: int, into: memoryview | None) -> _Bytes:
    target = _Target(most, into)
    while len(data):
        stream = zlib.decompressobj(zlib.MAX_WBITS | 32)  # 32: gzip or zlib, as its header says
        try:
            while not stream.eof:
                part = stream.decompress(data, target.step)
                data = stream.unconsumed_tail
                if not part and not data and not stream.eof:
                    raise DamagedChunk("its deflate stream breaks off")
                target.take(part)
        except zlib.error as error:
            raise DamagedChunk(str(error)) from error
        data = stream.unused_data
    return target.taken()


def _unpack_whole(module: str, kind: str, data: _Bytes, most: int, _into: object) -> _Bytes:
    """Decode bz2 or lzma, no further than a chunk may be long."""
    codec = import_module(module)
    stream = getattr(codec, kind)()
    try:
        found: bytes = stream.decompress(bytes(data), max_length=most + 1)
    except (OSError, ValueError, codec.__dict__.get("LZMAError", OSError)) as error:
        raise DamagedChunk(str(error)) from error
    if len(found) > most:
        raise DamagedChunk(f"it should decode to at most {most:,} bytes and gives more")
    if not stream.eof:
        raise DamagedChunk(f"its {module} stream breaks off")
    return found


def _check_leading(checksum: Callable[[_Bytes], int], data: _Bytes, *_: object) -> _Bytes:
    """Check what zarr-python's crc32 and adler32 write before the data."""
    if len(data) < 4:
        raise DamagedChunk("it is shorter than its checksum")
    (stated,), found = struct.unpack("<I", data[:4]), checksum(data[4:]) & 0xFFFFFFFF
    if found != stated:
        raise DamagedChunk(f"its checksum should be {stated:08x} and is {found:08x}")
    return data[4:]


def _check_crc32c(data: _Bytes, _most: int, _into: memoryview | None) -> _Bytes:
    if len(data) < 4:
        raise DamagedChunk("it is shorter than its checksum")
    (stated,) = struct.unpack("<I", data[-4:])
    found = crc32c(bytes(data[:-4]))
    if found != stated:
        raise DamagedChunk(f"its checksum should be {stated:08x} and is {found:08x}")
    return data[:-4]


@cache
def _crc32c_table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)  # noqa: PLW2901 - the same thing, made plain
        table.append(byte)
    return table


def crc32c(data: bytes) -> int:
    """Return the Castagnoli checksum of some bytes (RFC 3720, appendix B.4)."""
    try:
        # 1 GB/s instead of 10 MB/s, where it is installed
        return int(import_module("google_crc32c").value(data))
    except ImportError:
        table, register = _crc32c_table(), 0xFFFFFFFF
        for byte in data:
            register = (register >> 8) ^ table[(register ^ byte) & 0xFF]
        return register ^ 0xFFFFFFFF


def _by_numcodecs(name: str, data: _Bytes, most: int, _into: memoryview | None) -> _Bytes:
    # The C libraries believe what a chunk says of itself: they reserve that much memory, and blosc
    # reads on behind the end of a chunk that was cut short.
    is_blosc = name == "blosc"
    if len(data) < (16 if is_blosc else 4):
        raise DamagedChunk("it is shorter than its header")
    (decoded,) = struct.unpack_from("<I", data, 4 if is_blosc else 0)
    if decoded > most:
        raise DamagedChunk(f"it should decode to at most {most:,} bytes and gives more")
    if is_blosc and (stored := struct.unpack_from("<I", data, 12)[0]) != len(data):
        raise DamagedChunk(f"its header says {stored:,} bytes, and it has {len(data):,}")
    numcodecs = import_module("numcodecs")
    try:
        return bytes(numcodecs.get_codec({"id": name}).decode(data))
    except (RuntimeError, ValueError) as error:
        raise DamagedChunk(str(error)) from error


_STEPS: dict[str, _Step] = {
    "zstd": _unzstd,
    "gzip": _inflate,
    "zlib": _inflate,
    "bz2": partial(_unpack_whole, "bz2", "BZ2Decompressor"),
    "lzma": partial(_unpack_whole, "lzma", "LZMADecompressor"),
    "crc32c": _check_crc32c,
    "crc32": partial(_check_leading, zlib.crc32),
    "adler32": partial(_check_leading, zlib.adler32),
    "blosc": partial(_by_numcodecs, "blosc"),
    "lz4": partial(_by_numcodecs, "lz4"),
}


def _step(name: str) -> _Step:
    short = name.removeprefix("numcodecs.")
    if short not in _STEPS:
        raise UnknownCodec.named(name)
    if short in ("blosc", "lz4"):
        try:
            import_module("numcodecs")
        except ImportError as error:
            text = f"Its chunks use {short}, which needs the package numcodecs: pip install it."
            raise UnknownCodec(text) from error
    return _STEPS[short]


@dataclass(frozen=True)
class Pipeline:
    """The way from the bytes of a chunk to its array.

    Parameters
    ----------
    shape
        Of the chunk.
    dtype
        As stored, byte order included.
    order
        The axes as stored.
    names
        Codecs from bytes to bytes, in the order of encoding.
    """

    shape: tuple[int, ...]
    dtype: str
    order: tuple[int, ...]
    names: tuple[str, ...]

    @classmethod
    def of_version_3(
        cls, codecs: Sequence[Mapping[str, Any]], shape: tuple[int, ...], data_type: str
    ) -> Pipeline:
        """Read the ``codecs`` of a ``zarr.json``.

        Raises
        ------
        UnknownCodec
            Names the first that cannot be decoded here.
        """
        order, endian = tuple(range(len(shape))), None
        names = []
        for codec in codecs:
            name, stated = codec["name"], codec.get("configuration") or {}
            if name == "bytes" and endian is None:
                endian = {"little": "<", "big": ">"}[stated.get("endian", "little")]
            elif name == "transpose" and endian is None:
                order = _transposed(order, stated["order"])
            elif endian is None:
                raise UnknownCodec.named(name)
            else:
                _step(name)
                names.append(name)
        if endian is None:
            raise ValueError("no codec turns its values into bytes")
        dtype = np.dtype(endian + np.dtype(data_type).str[1:]).str
        return cls(shape, dtype, order, tuple(names))

    @classmethod
    def of_version_2(
        cls, stated: Mapping[str, Any], shape: tuple[int, ...], dtype: str
    ) -> Pipeline:
        """Read ``compressor``, ``filters`` and ``order`` of a ``.zarray``.

        Raises
        ------
        UnknownCodec
            Names the first that cannot be decoded here.
        """
        order = tuple(range(len(shape)))
        if stated.get("order", "C") == "F":
            order = order[::-1]
        codecs = [*(stated.get("filters") or []), stated.get("compressor")]
        names = tuple(codec["id"] for codec in codecs if codec)
        for name in names:
            _step(name)
        return cls(shape, dtype, order, names)

    @property
    def size(self) -> int:
        """Bytes of the decoded chunk."""
        size = np.dtype(self.dtype).itemsize
        for length in self.shape:
            size *= length
        return size

    @property
    def encoded_size(self) -> int | None:
        """Bytes of the stored chunk, where that does not depend on its values."""
        if all(name == "crc32c" for name in self.names):
            return self.size + 4 * len(self.names)
        return None

    @property
    def most(self) -> int:
        """Bytes of a stored chunk at most, and of what stands between two of its codecs.

        There may be a little more than the array: headers, checksums.
        """
        return self.size + self.size // 8 + 4096

    def decode(self, data: _Bytes, scratch: bytearray | None = None) -> npt.NDArray[Any]:
        """Return the chunk's array, of native byte order, perhaps read-only.

        Parameters
        ----------
        data
            As stored.
        scratch
            Memory of ``size`` bytes to decode into, for callers that need the array only until
            they decode the next.

        Raises
        ------
        DamagedChunk
            If the bytes do not decode to an array of this shape.
        """
        if len(data) > self.most:
            raise DamagedChunk(f"it should have at most {self.most:,} bytes and has more")
        for position, name in reversed([*enumerate(self.names)]):
            last = scratch is not None and position == 0
            data = _step(name)(data, self.most, memoryview(scratch) if last and scratch else None)
        if len(data) != self.size:
            what = "more" if len(data) > self.size else f"{len(data):,}"
            raise DamagedChunk(f"it should decode to {self.size:,} bytes and gives {what}")
        array = np.frombuffer(data, self.dtype)
        native = array.astype(array.dtype.newbyteorder("="), copy=False)
        stored = native.reshape([self.shape[axis] for axis in self.order])
        return stored.transpose(np.argsort(self.order))


def _transposed(order: tuple[int, ...], stated: Any) -> tuple[int, ...]:
    axes = len(order)
    if stated in ("C", "F"):  # drafts of version 3 spelt it so
        stated = range(axes) if stated == "C" else range(axes - 1, -1, -1)
    if sorted(stated) != list(range(axes)):
        raise ValueError(f"{stated!r} is no order of {axes} axes")
    return tuple(order[axis] for axis in stated)
