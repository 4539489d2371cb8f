"""Volumes stored as OME-Zarr, read lazily, chunk by chunk.

Chunk files are read straight off the disk and decoded here: a point costs one chunk, a region the
chunks it touches, the whole volume each chunk once, on all cores. A chunk that is not stored is the
array's fill value, as the format says, unless the inventory lists it: then the check raises.
Writing and remote access are elsewhere.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import Finding, IncompleteAtlasError, InvalidAtlasError
from bg_atlasapi.formats.checks import Check
from bg_atlasapi.formats.inside import require_inside
from bg_atlasapi.formats.zarr_codecs import DamagedChunk, Pipeline
from bg_atlasapi.formats.zarr_metadata import ArrayLayout, level_of, read_layout
from bg_atlasapi.late import np
from bg_atlasapi.locks import OnceLock
from bg_atlasapi.model.parallel import over_blocks

if TYPE_CHECKING:
    import numpy.typing as npt

Place = tuple[int, ...]
_CACHE_BYTES = 64 << 20
_SLAB_BYTES = 16 << 20
# Up to here the whole volume may be decoded for points, once reading them chunk by chunk has
# decoded as much twice; a larger one would take gigabytes of memory.
_WHOLE_BYTES = 2 << 30
_ABSENT = 2**64 - 1


class _Scratch:
    """Memory to decode chunks into, as much as there are threads: clearing new pages costs more."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._free: list[bytearray] = []

    @contextlib.contextmanager
    def lent(self) -> Iterator[bytearray]:
        """Lend memory that no other thread uses meanwhile."""
        memory = self._free.pop() if self._free else bytearray(self._size)
        yield memory
        self._free.append(memory)


_METADATA = ("zarr.json", ".zarray", ".zattrs", ".zmetadata")


class ZarrArray:
    """One Zarr array in a folder.

    Parameters
    ----------
    folder
        Holds ``zarr.json`` or ``.zarray``.
    check
        Asked about each file before it is read.

    Raises
    ------
    IncompleteAtlasError, InvalidAtlasError
        If its metadata are missing or not sound.
    """

    def __init__(self, folder: Path, check: Check) -> None:
        self.folder = folder
        self._check = check
        self.layout: ArrayLayout = read_layout(folder, check)
        pairs = zip(self.layout.stored_shape, self.layout.chunk_shape, strict=True)
        self._per_file = tuple(whole // part for whole, part in pairs)
        self._indexes: dict[Place, npt.NDArray[np.uint64] | None] = {}
        self._has_data = False

    def chunk(self, place: Place, scratch: bytearray | None = None) -> npt.NDArray[Any] | None:
        """Return one decoded chunk, perhaps read-only; None where it is not stored.

        Parameters
        ----------
        place
            Its number along each axis.
        scratch
            See ``Pipeline.decode``.

        Raises
        ------
        IncompleteAtlasError
            If its file is damaged, cannot be read, or is missing though it is listed.
        """
        layout = self.layout
        if layout.index is None:
            path = self.folder / layout.file_name(place)
            data = self._read(path)
            return None if data is None else self._decode(layout.pipeline, data, path, scratch)
        shard = tuple(a // b for a, b in zip(place, self._per_file, strict=True))
        path = self.folder / layout.file_name(shard)
        if shard not in self._indexes:
            self._indexes[shard] = self._read_index(path, layout.index)
        index = self._indexes[shard]
        if index is None:
            return None
        offset, size = index[tuple(a % b for a, b in zip(place, self._per_file, strict=True))]
        if offset == _ABSENT and size == _ABSENT:
            return None
        data = self._read(path, int(offset), int(size))
        return self._decode(layout.pipeline, data or b"", path, scratch)

    def _read_index(self, path: Path, pipeline: Pipeline) -> npt.NDArray[np.uint64] | None:
        size = pipeline.encoded_size
        if size is None:
            text = "The index of its shards is compressed, which the format forbids."
            raise InvalidAtlasError(path, [Finding("zarr-codec", text, "error")])
        data = self._read(path, -size if self.layout.index_at_end else 0, size)
        return None if data is None else self._decode(pipeline, data, path)

    def _read(self, path: Path, offset: int = 0, size: int = -1) -> bytes | None:
        self._check(path)
        try:
            with path.open("rb") as file:
                if offset < 0:
                    end = file.seek(0, 2)
                    file.seek(max(end + offset, 0))
                elif offset:
                    file.seek(min(offset, 2**63 - 1))
                return file.read(size if size < 2**62 else -1)
        except FileNotFoundError:
            self._require_data()
            return None
        except OSError as error:
            message = f"{path} cannot be read: {error.strerror or error}."
            raise IncompleteAtlasError(message) from error

    def _require_data(self) -> None:
        """Refuse an array without any chunk: tools that download on demand leave such behind.

        A single chunk may be absent because all of it has the fill value.
        """
        if not self._has_data:
            self._has_data = any(
                one.is_file() and one.name not in _METADATA for one in self.folder.rglob("*")
            )
        if not self._has_data:
            message = (
                f"{self.folder} holds no data, only its description: it was not downloaded. "
                "Install that part of the atlas (brainglobe install NAME --only PARTS), or all."
            )
            raise IncompleteAtlasError(message)

    @staticmethod
    def _decode(
        pipeline: Pipeline, data: bytes, path: Path, scratch: bytearray | None = None
    ) -> npt.NDArray[Any]:
        try:
            return pipeline.decode(data, scratch)
        except DamagedChunk as problem:
            message = (
                f"{path} is damaged: {problem}. Replace it, or the folder it lies in, with a "
                "whole copy."
            )
            raise IncompleteAtlasError(message) from problem

    def region(self, bounds: Sequence[slice]) -> npt.NDArray[Any]:
        """Return a box of the array, new and writable; only the chunks it touches are decoded.

        Parameters
        ----------
        bounds
            Start and stop along each axis, within the array.
        """
        layout = self.layout
        starts = [bound.start for bound in bounds]
        shape = [max(bound.stop - bound.start, 0) for bound in bounds]
        # Pages of zeros are not allocated until they are written to.
        out = np.zeros(shape, layout.dtype)
        if layout.fill != 0:
            out[...] = layout.fill
        if 0 in shape:
            return out
        sizes = layout.chunk_shape
        grid = [
            range(bound.start // size, -(-bound.stop // size))
            for bound, size in zip(bounds, sizes, strict=True)
        ]
        places = list(itertools.product(*grid))
        scratch = _Scratch(layout.pipeline.size)

        def place_one(part: slice) -> None:
            place = places[part.start]
            theirs, ours = [], []
            for number, size, start, length in zip(place, sizes, starts, shape, strict=True):
                first = number * size - start  # where the chunk begins in the box
                ours.append(slice(max(first, 0), min(first + size, length)))
                theirs.append(slice(max(-first, 0), min(length - first, size)))
            with scratch.lent() as memory:
                chunk = self.chunk(place, memory)
                if chunk is not None:
                    out[tuple(ours)] = chunk[tuple(theirs)]

        over_blocks(place_one, len(places), 1)
        return out

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_indexes": {}}


class ZarrVolume:
    """A level of an OME-Zarr image as a ``VolumeSource``.

    Parameters
    ----------
    group
        The image's folder.
    shape
        What the atlas says it is.
    resolution_um
        Voxel size; says which level of the image is meant.
    kinds
        Letters of the numpy kinds that the values may have.
    check
        Asked about each file before it is read.
    """

    def __init__(
        self,
        group: Path,
        shape: tuple[int, ...],
        resolution_um: Sequence[float],
        kinds: str,
        check: Check,
    ) -> None:
        self.group = group
        self._stated_shape, self._kinds = shape, kinds
        self._resolution_um = tuple(resolution_um)
        self._check = check
        self._forget()

    def _forget(self) -> None:
        self._chunks: OrderedDict[Place, npt.NDArray[Any] | None] = OrderedDict()
        self._kept_bytes = self._decoded_bytes = 0
        self._once = OnceLock()

    def __getstate__(self) -> dict[str, Any]:
        passing = ("_chunks", "_kept_bytes", "_decoded_bytes", "_once", "_array")
        return {key: value for key, value in self.__dict__.items() if key not in passing}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    @cached_property
    def _array(self) -> ZarrArray:
        level = level_of(self.group, self._resolution_um, self._check)
        folder = require_inside(self.group, level)
        array = ZarrArray(folder, self._check)
        layout, findings = array.layout, []
        if layout.shape != self._stated_shape:
            text = f"The manifest says the shape is {self._stated_shape}, this is {layout.shape}."
            findings.append(Finding("shape-mismatch", text, "error"))
        if layout.dtype.kind not in self._kinds:
            expected = "numbers" if "f" in self._kinds else "whole numbers"
            text = f"It must hold {expected}, not {layout.dtype}."
            findings.append(Finding("volume-type", text, "error"))
        if findings:
            raise InvalidAtlasError(folder, findings)
        return array

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return self._array.layout.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values, in native byte order."""
        return self._array.layout.dtype

    def mapped(self) -> None:
        """Return None: the stored bytes are no array."""

    def region(self, bounds: Sequence[slice]) -> npt.NDArray[Any]:
        """Return a box of the volume; see ``ZarrArray.region``."""
        return self._array.region(bounds)

    def read(self) -> npt.NDArray[Any]:
        """Return the whole volume, writable and private to the caller."""
        return self.region([slice(0, length) for length in self.shape])

    def slabs(self) -> Iterator[npt.NDArray[Any]]:
        """Yield the volume in parts along the first axis, each some chunks deep."""
        first, *rest = self.shape
        depth = self._array.layout.chunk_shape[0]
        size = depth * math.prod(rest) * self.dtype.itemsize
        depth *= max(1, _SLAB_BYTES // max(size, 1))
        others = [slice(0, length) for length in rest]
        for start in range(0, first, depth):
            yield self.region([slice(start, min(start + depth, first)), *others])

    def gather(self, flat: npt.NDArray[np.int64]) -> npt.NDArray[Any] | None:
        """Return the voxels at flat indices.

        Chunks that were decoded are kept, up to 64 MB. None, so that the caller decodes the whole
        volume, once points have cost as much as reading all of it twice.
        """
        layout = self._array.layout
        size = math.prod(layout.shape) * layout.dtype.itemsize
        if size <= _WHOLE_BYTES and self._decoded_bytes > 2 * max(size, _CACHE_BYTES):
            return None
        voxels = np.unravel_index(flat, layout.shape)
        split = [np.divmod(v, c) for v, c in zip(voxels, layout.chunk_shape, strict=True)]
        if len(flat) == 1:
            chunk = self._cached(tuple(int(number[0]) for number, _ in split))
            value = layout.fill if chunk is None else chunk[tuple(rest[0] for _, rest in split)]
            return np.array([value], layout.dtype)
        grid = [-(-a // b) for a, b in zip(layout.shape, layout.chunk_shape, strict=True)]
        numbers = np.ravel_multi_index([number for number, _ in split], grid)
        order = np.argsort(numbers, kind="stable")
        ends = np.flatnonzero(np.diff(numbers[order], append=-1)) + 1
        groups = np.split(order, ends[:-1])
        out = np.empty(len(flat), layout.dtype)
        scratch = _Scratch(layout.pipeline.size)
        too_many = len(groups) * layout.pipeline.size > _CACHE_BYTES

        def answer(part: slice) -> None:
            rows = groups[part.start]
            place = tuple(int(n) for n in np.unravel_index(numbers[rows[0]], grid))
            with scratch.lent() if too_many else contextlib.nullcontext() as memory:
                chunk = self._array.chunk(place, memory) if memory else self._cached(place)
                inside = tuple(rest[rows] for _, rest in split)
                out[rows] = layout.fill if chunk is None else chunk[inside]

        if len(flat):
            over_blocks(answer, len(groups), 1)
        with self._once:
            self._decoded_bytes += len(groups) * layout.pipeline.size if too_many else 0
        return out

    def _cached(self, place: Place) -> npt.NDArray[Any] | None:
        with self._once:
            if place in self._chunks:
                self._chunks.move_to_end(place)
                return self._chunks[place]
        chunk = self._array.chunk(place)
        size = 0 if chunk is None else chunk.nbytes
        with self._once:
            self._decoded_bytes += size
            if place not in self._chunks:
                self._chunks[place] = chunk
                self._kept_bytes += size
            while self._kept_bytes > _CACHE_BYTES and len(self._chunks) > 1:
                _, old = self._chunks.popitem(last=False)
                self._kept_bytes -= 0 if old is None else old.nbytes
        return chunk
