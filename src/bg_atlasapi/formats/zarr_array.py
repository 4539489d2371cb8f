"""Volumes stored as OME-Zarr, read lazily, chunk by chunk.

Chunk files are read straight off the disk and decoded here; which ones a question needs, and which
are kept, is decided in ``model.chunked``. A chunk that is not stored is the
array's fill value, as the format says, unless the inventory lists it: then the check raises. Where
there is no inventory, the brain's surface tells whether it can be.
Of an atlas whose files come on demand, the check has the chunks here before they are read.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import Finding, IncompleteAtlasError, InvalidAtlasError
from bg_atlasapi.formats.checks import Check
from bg_atlasapi.formats.inside import require_inside
from bg_atlasapi.formats.zarr_codecs import DamagedChunk, Pipeline
from bg_atlasapi.formats.zarr_metadata import ArrayLayout, level_of, levels_of, read_layout
from bg_atlasapi.late import np
from bg_atlasapi.model.chunk_cache import Place
from bg_atlasapi.model.chunked import ChunkedSource

if TYPE_CHECKING:
    import numpy.typing as npt

    from bg_atlasapi.formats.surface import BrainSurface

# Points are worth answering from chunks up to here however small the volume.
_LITTLE = 64 << 20
# Up to here the whole volume may be decoded for points, once reading them chunk by chunk has
# decoded as much twice; a larger one would take gigabytes of memory.
_WHOLE_BYTES = 2 << 30
_ABSENT = 2**64 - 1
_METADATA = ("zarr.json", ".zarray", ".zattrs", ".zmetadata")


def holds_data(folder: Path) -> bool:
    """Say whether the folder of an array holds more than its description."""
    return any(one.is_file() and one.name not in _METADATA for one in folder.rglob("*"))


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
        self._most_bytes = max(one.most for one in self.layout.pipelines)
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
        layout, path = self.layout, self.file_of(place)
        if layout.index is None:
            data = self._read(path)
            return None if data is None else self._decode(layout.pipeline, data, path, scratch)
        shard = tuple(a // b for a, b in zip(place, self._per_file, strict=True))
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

    def file_of(self, place: Place) -> Path:
        """Return the file that a chunk lies in."""
        if self.layout.index is not None:
            place = tuple(a // b for a, b in zip(place, self._per_file, strict=True))
        return self.folder / self.layout.file_name(place)

    def _read_index(self, path: Path, pipeline: Pipeline) -> npt.NDArray[np.uint64] | None:
        size = pipeline.encoded_size
        if size is None:
            text = "The index of its shards is compressed, which the format forbids."
            raise InvalidAtlasError(path, [Finding("zarr-codec", text, "error")])
        data = self._read(path, -size if self.layout.index_at_end else 0, size)
        return None if data is None else self._decode(pipeline, data, path)

    def _read(self, path: Path, offset: int = 0, size: int = -1) -> bytes | None:
        """Return bytes of a file (all: -1), from its end if the offset is negative; None: no file.

        One that is not there is asked about again: it may have been, when it was asked about.
        """
        for ask in (self._check, self._check.again):
            ask(path)
            try:
                with path.open("rb") as file:
                    end = os.fstat(file.fileno()).st_size
                    start = min(offset if offset >= 0 else max(end + offset, 0), end)
                    file.seek(start)
                    # A shard may state any number, and a file of holes be as long as it likes.
                    there = end - start
                    return file.read(min(there if size < 0 else size, there, self._most_bytes + 1))
            except FileNotFoundError:
                continue
            except OSError as error:
                message = f"{path} cannot be read: {error.strerror or error}."
                raise IncompleteAtlasError(message) from error
        self._require_data()
        return None

    def _require_data(self) -> None:
        """Refuse an array without any chunk: tools that download on demand leave such behind.

        A single chunk may be absent because all of it has the fill value.
        """
        if self._has_data:
            return
        self._has_data = holds_data(self.folder) or self._check.awaits(self.folder)
        if not self._has_data:
            message = (
                f"{self.folder} holds no data, only its description: it was not downloaded. "
                "Install that part of the atlas (brainglobe install NAME --only PARTS), or all."
            )
            raise IncompleteAtlasError(message)
        if not self._check.recorded:
            self._require_fit()

    def _require_fit(self) -> None:
        """Decode a chunk that is stored: described as other than it is, much would be absent."""
        for path in sorted(self.folder.rglob("[0-9c]*")):
            parts = path.relative_to(self.folder).as_posix().replace(".", "/").split("/")
            numbers = parts[1:] if parts[0] == "c" else parts
            if path.is_file() and all(part.isdecimal() for part in numbers):
                self.chunk(self._first_in(tuple(map(int, numbers))))
                return

    def _first_in(self, file: Place) -> Place:
        """Return the first chunk of a file."""
        if len(file) != len(self._per_file):
            return (0,) * len(self._per_file)
        if self.layout.index is None:
            return file
        return tuple(a * b for a, b in zip(file, self._per_file, strict=True))

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

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_indexes": {}}


class ZarrVolume(ChunkedSource):
    """A level of an OME-Zarr image as a ``VolumeSource``.

    Parameters
    ----------
    group
        The image's folder.
    shape
        What the atlas says it is; None takes what is stored.
    resolution_um
        Voxel size; says which level of the image is meant.
    kinds
        Letters of the numpy kinds that the values may have.
    check
        Asked about each file before it is read.
    surface
        Where the brain is, for telling chunks that were lost from those that were never stored.
    """

    def __init__(
        self,
        group: Path,
        shape: tuple[int, ...] | None,
        resolution_um: Sequence[float],
        kinds: str,
        check: Check,
        surface: BrainSurface | None = None,
    ) -> None:
        self.group, self._surface = group, surface
        self._stated_shape, self._kinds = shape, kinds
        self._resolution_um = tuple(resolution_um)
        self._check = check

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in super().__getstate__().items() if key != "_array"}

    @cached_property
    def _array(self) -> ZarrArray:
        level = level_of(self.group, self._resolution_um, self._check)
        folder = require_inside(self.group, level)
        array = ZarrArray(folder, self._check)
        layout, findings = array.layout, []
        if self._stated_shape is not None and layout.shape != self._stated_shape:
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

    @property
    def chunks(self) -> tuple[int, ...]:
        """Voxels of a chunk along each axis."""
        return self._array.layout.chunk_shape

    @property
    def where(self) -> str:
        """The folder of the level."""
        return str(self._array.folder)

    @property
    def levels(self) -> tuple[tuple[float, float, float], ...]:
        """The voxel sizes that are stored, µm, finest first.

        Of levels that were not downloaded there is only the description.
        """
        stated = levels_of(self.group, self._check)
        folders = [(require_inside(self.group, name), sizes) for name, sizes in stated]
        return tuple(
            sorted(
                sizes
                for folder, sizes in folders
                if holds_data(folder) or self._check.awaits(folder)
            )
        )

    def at(self, spacing_um: tuple[float, float, float]) -> ZarrVolume:
        """Return the level with a voxel size."""
        return ZarrVolume(self.group, None, spacing_um, self._kinds, self._check, self._surface)

    @property
    def _fill(self) -> Any:
        return self._array.layout.fill

    def _prepare(self, places: Iterable[Place]) -> None:
        if self._check.on_demand:
            self._check.bring({self._array.file_of(place) for place in places})

    def _decode(self, place: Place, scratch: bytearray | None) -> npt.NDArray[Any] | None:
        # What is kept must not drag along the slack that codecs are otherwise given.
        memory = bytearray(self._chunk_bytes) if scratch is None else scratch
        chunk = self._array.chunk(place, memory)
        if chunk is None and self._surface is not None and not self._check.recorded:
            self._require_empty(place, self._surface)
        return chunk

    def _require_empty(self, place: Place, surface: BrainSurface) -> None:
        """Refuse to take a chunk for empty that cannot be.

        Raises
        ------
        IncompleteAtlasError
            If there is brain where it should be.
        """
        low = [number * size for number, size in zip(place, self.chunks, strict=True)]
        ends = [start + size for start, size in zip(low, self.chunks, strict=True)]
        high = [min(pair) for pair in zip(ends, self.shape, strict=True)]
        low_um, high_um = (np.multiply(one, self._resolution_um).tolist() for one in (low, high))
        if len(place) == 3 and surface.fills(low_um, high_um):
            message = (
                f"{self._array.file_of(place)} is missing: there is brain in that part of the "
                "volume. Install the atlas again, or put a whole copy of the component there."
            )
            raise IncompleteAtlasError(message)

    def gather(self, flat: npt.NDArray[np.int64]) -> npt.NDArray[Any] | None:
        """Return the voxels at flat indices.

        None, so that the caller decodes the whole volume, once points have cost as much as reading
        all of it twice.
        """
        size = math.prod(self.shape) * self.dtype.itemsize
        if size <= _WHOLE_BYTES and self._decoded_bytes > 2 * max(size, _LITTLE):
            return None
        return self.pick(flat)
