"""Volumes stored as TIFF stacks, read lazily.

An uncompressed stack, which is what the BrainGlobe packages hold, lies in one piece and is mapped:
opening costs nothing and a slice reads a slice. A compressed one is decoded page by page. Decoding
itself is tifffile's business.
"""

from __future__ import annotations

import math
import mmap
import os
import struct
import sys
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import AtlasError, IncompleteAtlasError
from bg_atlasapi.formats.checks import Check, CheckedOnce, no_check
from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

    from bg_atlasapi.formats.file_box import StoredArray
    from bg_atlasapi.formats.tiff_pages import TiffPages

# Reading one voxel from the file takes 2 µs, from the map 0.1 µs.
FEW = 4096
_LARGE = 1 << 30  # bytes; a smaller file may lie in memory
# Up to here it is still the better way to answer once: 0.1 s, and no memory.
MANY = 1 << 16
# Up to here a volume is read whole: as fast, and safe from whoever rewrites the file in place.
SMALL = 64 << 20
_STRETCH = 16 << 20


@dataclass(frozen=True, slots=True)
class Layout:
    """What the header of a TIFF says.

    Parameters
    ----------
    shape, dtype
        Of the stack, in native byte order.
    offset
        Where the voxels start, if they lie in one piece, native and uncompressed; else None.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int | None


class TiffVolume:
    """A TIFF stack as a ``VolumeSource``.

    Parameters
    ----------
    path
        The file; it is opened when something is first asked.
    check
        Asked about the file before it is opened.
    """

    def __init__(self, path: Path, check: Check = no_check) -> None:
        self.path = path
        self._check = CheckedOnce(check)
        self._asked = 0

    def _read_layout(self) -> Layout:
        self._check(self.path)
        return read_layout(self.path)

    @cached_property
    def _layout(self) -> Layout:
        return self._read_layout()

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return self._layout.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values, in native byte order."""
        return self._layout.dtype

    @cached_property
    def _map(self) -> npt.NDArray[Any] | None:
        return self._open_map("r")

    def _open_map(self, mode: Any) -> npt.NDArray[Any] | None:
        layout = self._layout
        if layout.offset is None or 0 in layout.shape:
            return None
        self._check(self.path)  # a copy brings the layout along and has not looked itself
        with Reading(self.path):
            mapped = np.memmap(self.path, layout.dtype, mode, layout.offset, layout.shape)
        return mapped.view(np.ndarray)

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Voxels of what is decoded in one piece; None where it is not encoded."""
        return self._encoded.chunks if self._layout.offset is None else None

    @property
    def where(self) -> str:
        """The file."""
        return str(self.path)

    @cached_property
    def _encoded(self) -> TiffPages:
        from bg_atlasapi.formats.tiff_pages import TiffPages

        return TiffPages(self.path, self._layout.shape, self._layout.dtype, self._check)

    @cached_property
    def _stored(self) -> StoredArray:
        from bg_atlasapi.formats.file_box import StoredArray

        offset = self._layout.offset
        assert offset is not None
        return StoredArray(self._fill_from, offset, self._layout.shape, self._layout.dtype)

    def outer(self, indices: Sequence[npt.NDArray[np.intp]], out: npt.NDArray[Any]) -> None:
        """Read where sorted indices along each axis meet, into zeros of that shape.

        By reading, not through the map: planes across the other axes touch most of the file, which
        would count as memory of this process.
        """
        if 0 in out.shape:
            return
        if self._layout.offset is None:
            self._encoded.outer(indices, out)
        else:
            self._stored.outer(indices, out)

    def pick(self, flat: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return the voxels at flat indices."""
        if self._layout.offset is None:
            return self._encoded.pick(flat)
        if len(flat) <= MANY and hasattr(os, "pread"):
            return self._read_each(flat, self._layout.offset)
        passing = self._open_map("r")  # closed at once: what it touched is not this process's
        return np.asarray(np.asarray(passing).reshape(-1).take(flat, mode="clip"))

    def _fill_from(self, start: int, memory: memoryview) -> None:
        """Fill memory with the bytes of the file from a place on."""
        from bg_atlasapi.formats.file_box import read_at

        with Reading(self.path):
            got = read_at(self._descriptor, start, memory)
        if got < len(memory):
            raise damaged(self.path, "it became shorter while it was open")

    def mapped(self) -> npt.NDArray[Any] | None:
        """Return a read-only array over the file, or None where it is encoded."""
        return self._map

    def gather(self, flat: npt.NDArray[np.int64]) -> npt.NDArray[Any] | None:
        """Return the voxels at flat indices, None where the file is encoded.

        The first few are read one by one: touching a map brings whole stretches of the file into
        this process's memory. 1,000 random points of a freshly written 308 MB file brought all of
        it, 100,000 of a 4.8 GB file 3.6 GB (Linux 6, large folios).
        """
        if self._layout.offset is None:
            return None
        self._asked += len(flat)
        if self._asked <= self._few and hasattr(os, "pread"):  # which Windows lacks
            return self._read_each(flat, self._layout.offset)
        return np.asarray(np.asarray(self._map).reshape(-1).take(flat, mode="clip"))

    @cached_property
    def _few(self) -> int:
        """How many points are read one by one; of a large file, as many as would touch half."""
        size = math.prod(self.shape) * self.dtype.itemsize
        return max(FEW, size // (2 * mmap.PAGESIZE)) if size > _LARGE else FEW

    def _read_each(self, flat: npt.NDArray[np.int64], offset: int) -> npt.NDArray[Any]:
        dtype = self._layout.dtype
        starts = (flat * dtype.itemsize + offset).tolist()
        with Reading(self.path):
            parts = [os.pread(self._descriptor, dtype.itemsize, start) for start in starts]
        data = bytearray().join(parts)  # of bytes, numpy would make a read-only array
        if len(data) < dtype.itemsize * len(flat):
            raise damaged(self.path, "it became shorter while it was open")
        return np.frombuffer(data, dtype)

    @cached_property
    def _descriptor(self) -> int:
        self._check(self.path)
        descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, descriptor)
        return descriptor

    def __getstate__(self) -> dict[str, Any]:
        # A map or file descriptor means nothing in another process or object: open them again.
        kept = ("_map", "_descriptor", "_encoded", "_stored")
        return {key: value for key, value in self.__dict__.items() if key not in kept}

    def read(self) -> npt.NDArray[Any]:
        """Return a writable array, private to the caller.

        A large uncompressed volume is mapped copy-on-write: pages load when touched, writing to
        the array never reaches the file, and the file must not be cut short while it is in use.
        """
        private = self._open_map("c")
        if private is not None:
            return private if private.nbytes > SMALL else private.copy()
        volume = np.empty(self.shape, self.dtype)
        done = 0
        for slab in self.slabs():
            volume[done : done + len(slab)] = slab
            done += len(slab)
        return volume

    def slabs(self) -> Iterator[npt.NDArray[Any]]:
        """Yield the volume in parts along the first axis, decoded one page at a time.

        An uncompressed one is read in stretches, not mapped: the pages of a map that were touched
        count as this process's memory.
        """
        if self._layout.offset is None or 0 in self.shape:
            yield from self._encoded.pages()
        else:
            yield from self._stretches(self._layout.offset)

    def _stretches(self, offset: int) -> Iterator[npt.NDArray[Any]]:
        first, *plane = self.shape
        size = math.prod(plane) * self.dtype.itemsize
        step = max(1, _STRETCH // size)
        for start in range(0, first, step):
            part = np.empty((min(step, first - start), *plane), self.dtype)
            self._fill_from(offset + start * size, part.data.cast("B"))
            yield part


def read_layout(path: Path) -> Layout:
    """Read the header of a TIFF stack.

    Raises
    ------
    IncompleteAtlasError
        If the file is missing, is not a TIFF, or is shorter than its header says.
    """
    import tifffile

    with Reading(path), tifffile.TiffFile(path) as file:
        if not _chain_is_whole(file):
            raise damaged(path, "its chain of pages breaks off, as of a file cut short")
        series = file.series[0]
        native = series.dtype.newbyteorder("=")
        contiguous = series.dataoffset
        layout = Layout(
            tuple(series.shape), native, contiguous if file.byteorder == _NATIVE else None
        )
        needed = _bytes_needed(series, contiguous)
    size = path.stat().st_size
    if size < needed:
        raise damaged(path, f"it should have at least {needed:,} bytes and has {size:,}")
    return layout


def _chain_is_whole(file: Any) -> bool:
    """Follow the page directories to their end.

    They are written after the voxels, so a file that lost only its tail still has every voxel;
    tifffile would read it with a line in the log.
    """
    handle, form = file.filehandle, file.tiff
    handle.seek(8 if file.is_bigtiff else 4)
    seen: set[int] = set()
    while True:
        pointer = handle.read(form.offsetsize)
        if len(pointer) < form.offsetsize:
            return False
        (offset,) = struct.unpack(form.offsetformat, pointer)
        if offset == 0:
            return bool(seen)
        if offset in seen or offset > handle.size:
            return False
        seen.add(offset)
        handle.seek(offset)
        count = handle.read(form.tagnosize)
        if len(count) < form.tagnosize:
            return False
        handle.seek(struct.unpack(form.tagnoformat, count)[0] * form.tagsize, 1)


def _bytes_needed(series: Any, contiguous: int | None) -> int:
    if contiguous is not None:
        return int(contiguous) + int(series.nbytes)
    ends = [
        offset + count
        for page in series.pages
        if page is not None
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)
    ]
    return max(ends, default=0)


_NATIVE = "<" if sys.byteorder == "little" else ">"


class Reading:
    """Turn what tifffile and the system raise on a bad file into an ``IncompleteAtlasError``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, AtlasError | MemoryError):
            return
        if isinstance(error, FileNotFoundError):
            raise damaged(self._path, "the file is missing") from error
        if isinstance(error, OSError) and error.errno:  # permission, too many open files, …
            message = f"{self._path} cannot be read: {error.strerror}."
            raise IncompleteAtlasError(message) from error
        if "imagecodecs" in str(error):
            message = (
                f"{self._path} is compressed in a way that needs the package imagecodecs: "
                'pip install "bg-atlasapi[tiff]".'
            )
            raise IncompleteAtlasError(message) from error
        raise damaged(self._path, f"it cannot be decoded ({error})") from error


def damaged(path: Path, what: str) -> IncompleteAtlasError:
    """Return the error for a file that is not what it should be."""
    message = (
        f"{path} is missing or damaged: {what}. Replace it, or the folder it lies in, with a "
        "whole copy."
    )
    return IncompleteAtlasError(message)
