"""Voxels that follow a header: plain or compressed, in one file or several, first index fastest.

NIfTI, NRRD and MetaImage differ in their headers only. What follows is the same: so many numbers of
one type. They are read in blocks of planes across the last axis, never more bytes than the header
speaks of, so that a file which unpacks to a thousand times its size costs no more than it says.
What a header means is not known here.
"""

from __future__ import annotations

import bz2
import io
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

PLAIN, DEFLATED, BZ2 = "plain", "deflated", "bz2"
_BLOCK_BYTES = 16 << 20
_READ = 1 << 20
# The most that a byte of deflated data unpacks to (zlib's documentation: 1032).
_MOST_PER_BYTE = 1032
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class VoxelLayout:
    """What a header says about the voxels.

    Parameters
    ----------
    shape
        Voxels along each axis; the first index runs fastest.
    dtype
        With the byte order of the file.
    offset
        Where they begin in the file, compressed or not; negative: they are the last bytes of it.
    packing
        ``"plain"``, ``"deflated"`` (gzip or zlib) or ``"bz2"``.
    skip
        Bytes to leave out once unpacked.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int = 0
    packing: str = PLAIN
    skip: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes of all voxels."""
        return math.prod(self.shape) * self.dtype.itemsize


class VoxelFile:
    """The voxels of an image, sliced lazily; compressed ones are unpacked once, when first sliced.

    Parameters
    ----------
    paths
        The files that hold them, one after the other.
    layout
        What the header says.

    Raises
    ------
    InvalidInputError
        If the header speaks of more than the files can hold, or of nothing that can be.
    """

    chunks = None

    def __init__(self, paths: Sequence[Path], layout: VoxelLayout) -> None:
        self._paths, self._layout = tuple(paths), layout
        self.shape, self.dtype = layout.shape, layout.dtype.newbyteorder("=")
        self.surplus = False
        self._whole: npt.NDArray[Any] | None = None
        self._require_fit()

    def _require_fit(self) -> None:
        layout, where = self._layout, self._paths[0] if self._paths else None
        if where is None:
            raise InvalidInputError("The header of an image names no file of voxels.")
        if any(length < 1 for length in layout.shape) or not layout.shape:
            message = f"The header of {where} states the shape {layout.shape}; none may be below 1."
            raise InvalidInputError(message)
        missing = next((path for path in self._paths if not path.is_file()), None)
        if missing is not None:
            raise InvalidInputError(f"{missing}, which holds voxels of an image, is missing.")
        there = sum(path.stat().st_size - max(layout.offset, 0) for path in self._paths)
        most = there * _MOST_PER_BYTE if layout.packing == DEFLATED else there
        if layout.packing != BZ2 and layout.nbytes + layout.skip > max(most, 0):
            message = (
                f"{where} is cut short, or its header is wrong: {_shape(layout.shape)} voxels of "
                f"{layout.dtype.name} are {layout.nbytes:,} bytes, "
                f"there are {max(there, 0):,}{'' if most == there else ' compressed ones'}."
            )
            raise InvalidInputError(message)
        # Of several files each may have a header of its own: then bytes tell nothing.
        plain = layout.packing == PLAIN and len(self._paths) == 1 and layout.offset >= 0
        self.surplus = plain and there > layout.nbytes + layout.skip

    def __getitem__(self, key: Any) -> Any:
        return self.whole()[key]

    def whole(self) -> npt.NDArray[Any]:
        """Return all voxels: mapped where they lie plain in one file, else unpacked and kept."""
        if self._whole is None:
            self._whole = self._mapped() if self._is_mappable else self._unpacked()
        return self._whole

    @property
    def _is_mappable(self) -> bool:
        return self._layout.packing == PLAIN and len(self._paths) == 1

    def _mapped(self) -> npt.NDArray[Any]:
        layout, path = self._layout, self._paths[0]
        start = layout.offset if layout.offset >= 0 else path.stat().st_size - layout.nbytes
        mapped = np.memmap(path, layout.dtype, "r", start + layout.skip, layout.shape, "F")
        return mapped.view(np.ndarray)

    def _unpacked(self) -> npt.NDArray[Any]:
        whole = allocate(self.shape, self.dtype, str(self._paths[0]), order="F")
        for start, block in self.blocks():
            whole[..., start : start + block.shape[-1]] = block
        return whole

    def blocks(self) -> Iterator[tuple[int, npt.NDArray[Any]]]:
        """Yield the voxels in order: where a block begins along the last axis, and the block.

        Raises
        ------
        InvalidInputError
            If the file is damaged or ends too early.
        """
        *across, last = self.shape
        per_plane = math.prod(across) * self._layout.dtype.itemsize
        depth = max(1, _BLOCK_BYTES // per_plane)
        where = self._paths[0]
        try:
            with self._stream() as stream:
                for start in range(0, last, depth):
                    count = min(depth, last - start)
                    memory = bytearray(count * per_plane)
                    if _fill(stream, memory) < len(memory):
                        message = f"{where} is cut short: its voxels end before the header says so."
                        raise InvalidInputError(message)
                    flat = np.frombuffer(memory, self._layout.dtype)
                    yield start, flat.reshape((*across, count), order="F")
                self.surplus = self.surplus or bool(stream.read(1))
        except (OSError, EOFError, zlib.error) as error:
            message = f"{where} cannot be unpacked: it is cut short or damaged ({error})."
            raise InvalidInputError(message) from error

    def _stream(self) -> BinaryIO:
        layout = self._layout
        stream: Any = io.BufferedReader(_Parts(self._paths, layout), _READ)
        if layout.packing == DEFLATED:
            stream = _Inflated(stream)
        elif layout.packing == BZ2:
            stream = bz2.BZ2File(stream)
        left = layout.skip
        while left > 0 and (passed := len(stream.read(min(left, _READ)))):
            left -= passed
        return cast("BinaryIO", stream)


class _Parts(io.RawIOBase):
    """Files read one after the other, each from where its voxels begin."""

    def __init__(self, paths: Sequence[Path], layout: VoxelLayout) -> None:
        super().__init__()
        self._left, self._layout = list(paths), layout
        self._file: Any = None

    def readable(self) -> bool:
        return True

    def readinto(self, memory: Any) -> int:
        while True:
            if self._file is None:
                if not self._left:
                    return 0
                path, offset = self._left.pop(0), self._layout.offset
                self._file = path.open("rb", buffering=0)
                start = offset if offset >= 0 else path.stat().st_size - self._layout.nbytes
                self._file.seek(start)
            if got := self._file.readinto(memory):
                return int(got)
            self._file.close()
            self._file = None

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        super().close()


class _Inflated(io.RawIOBase):
    """Unpacks gzip (of several members too) and zlib, which are told apart by their first bytes."""

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self._stream, self._held = stream, b""
        self._unpack = zlib.decompressobj(_GZIP_OR_ZLIB)

    def readable(self) -> bool:
        return True

    def readinto(self, memory: Any) -> int:
        view = memoryview(memory).cast("B")
        while True:
            if self._unpack.eof:
                self._held = self._unpack.unused_data.lstrip(b"\0") or self._stream.read(_READ)
                self._held = self._held.lstrip(b"\0")  # padding between members and at the end
                if not self._held.startswith(b"\x1f"):
                    return 0
                self._unpack = zlib.decompressobj(_GZIP_OR_ZLIB)
            if not self._held:
                self._held = self._stream.read(_READ)
                if not self._held:
                    raise EOFError("the compressed data end too early")
            data = self._unpack.decompress(self._held, len(view))
            self._held = self._unpack.unconsumed_tail
            if data:
                view[: len(data)] = data
                return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


def _fill(stream: BinaryIO, memory: bytearray) -> int:
    view, done = memoryview(memory), 0
    while done < len(view):
        got = cast("io.RawIOBase", stream).readinto(view[done:])
        if not got:
            break
        done += got
    return done


def allocate(
    shape: tuple[int, ...], dtype: np.dtype[Any], where: str, order: Any = "C"
) -> npt.NDArray[Any]:
    """Return an array to be filled.

    Raises
    ------
    InvalidInputError
        If this machine has not so much memory.
    """
    try:
        return np.empty(shape, dtype, order)
    except (MemoryError, ValueError) as error:
        size = math.prod(shape) * dtype.itemsize
        message = (
            f"{where} holds {_shape(shape)} voxels, {size / 2**30:,.1f} GiB: more than the memory "
            "of this machine takes."
        )
        raise InvalidInputError(message) from error


def _shape(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))
