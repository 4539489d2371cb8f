"""Planes of volumes too large for memory: 10 µm of a mouse are 1.2 G voxels.

A plane across the first axis of such a volume is read in a moment, one across the last touches
nearly all of a mapped file, and any plane a layer of chunks. So one pass in the background packs
the labels in three ways, each some planes of one axis together, into a few ten MB of memory; the
template, which packs badly, is written a second time as 8 bits, last axis first, into a file that
the system forgets with the process.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, BinaryIO

from bg_atlasapi.late import np
from bg_atlasapi.model.labels import LabelVolume
from bg_atlasapi.model.parallel import alone
from bg_atlasapi.model.scan import Scan
from bg_atlasapi.view.slices import read_planes

if TYPE_CHECKING:
    import numpy.typing as npt

    from bg_atlasapi.model.volume import VolumeSource

    Array = npt.NDArray[Any]

_SLAB = 8  # planes that are packed together
_BLOCK = 8  # planes that are read together: of the labels of a 10 µm mouse 34 MB
_TOGETHER = 4  # planes across an axis that are packed together: all are unpacked for one
_ROOM = 4  # times the size of a file that must be free to write it
_LARGE_FILES = "/var/tmp"  # noqa: S108 - where large files go on systems whose /tmp is memory


class Stopped(Exception):  # noqa: N818 - not an error: the viewer was closed
    """The work is not wanted any more."""


class PackedLabels:
    """The codes of an annotation, packed for planes across every axis.

    Parameters
    ----------
    labels
        The annotation; it is read once, here.
    stopping
        Set when the work is not wanted any more.
    """

    def __init__(self, labels: LabelVolume, stopping: threading.Event) -> None:
        self._zstd = import_module(
            "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
        )
        self._stopping = stopping
        self.shape = labels.shape
        with alone():  # a core for those who look
            self.ids, self.dtype, self._packs = labels.scan(self._pack)

    def _pack(self, scan: Scan) -> tuple[Array, np.dtype[Any], list[list[list[bytes]]]]:
        packs: list[list[list[bytes]]] = [
            [[] for _ in range(-(-length // _TOGETHER))] for length in self.shape
        ]
        dtype = np.dtype(np.uint16)
        for first in range(0, self.shape[0], _SLAB):
            if self._stopping.is_set():
                raise Stopped
            codes = scan.some(first, min(first + _SLAB, self.shape[0])).codes
            dtype = codes.dtype
            for start in range(0, len(codes), _TOGETHER):
                packs[0][(first + start) // _TOGETHER].append(
                    self._packed(codes[start : start + _TOGETHER])
                )
            for at, pack in enumerate(packs[1]):
                pack.append(self._packed(codes[:, at * _TOGETHER : (at + 1) * _TOGETHER]))
            for at, pack in enumerate(packs[2]):
                pack.append(self._packed(codes[:, :, at * _TOGETHER : (at + 1) * _TOGETHER]))
        return scan.ids, dtype, packs

    def _packed(self, codes: Array) -> bytes:
        data: bytes = self._zstd.compress(np.ascontiguousarray(codes), 1)
        return data

    def plane(self, axis: int, index: int) -> Array:
        """Return the codes of a plane across an axis."""
        pack, within = self._packs[axis][index // _TOGETHER], index % _TOGETHER
        here = list(self.shape)
        first = index - within
        here[axis] = min(_TOGETHER, self.shape[axis] - first)
        parts = []
        for data in pack:
            flat = np.frombuffer(self._zstd.decompress(data), self.dtype)
            shape = here.copy()
            if axis:
                shape[0] = flat.size // math.prod(here[1:])
            parts.append(flat.reshape(shape)[(slice(None),) * axis + (within,)])
        return np.ascontiguousarray(parts[0] if axis == 0 else np.concatenate(parts))


class TurnedImage:
    """An image as 8 bits a voxel in a file of its own, the last axis first.

    Parameters
    ----------
    source
        Its voxels, which can be read one by one.
    grey
        Makes 8 bits of them.
    stopping
        Set when the work is not wanted any more.
    """

    def __init__(
        self,
        source: VolumeSource,
        grey: Callable[[Array], npt.NDArray[np.uint8]],
        stopping: threading.Event,
    ) -> None:
        first, second, _ = source.shape
        self._plane_shape = (first, second)
        self._lock = threading.Lock()
        self._file: BinaryIO = tempfile.TemporaryFile(dir=folder_for_large_files())  # noqa: SIM115
        try:
            with alone():
                self._fill(source, grey, stopping)
        except BaseException:
            self._file.close()
            raise

    def _fill(
        self,
        source: VolumeSource,
        grey: Callable[[Array], npt.NDArray[np.uint8]],
        stopping: threading.Event,
    ) -> None:
        first, second, third = source.shape
        for start in range(0, first, _SLAB):
            if stopping.is_set():
                raise Stopped
            slab = grey(read_planes(source, 0, start, min(start + _SLAB, first)))
            turned = np.ascontiguousarray(slab.transpose(2, 0, 1))
            for plane in range(third):
                self._file.seek((plane * first + start) * second)
                self._file.write(turned[plane].data)

    def plane(self, index: int) -> npt.NDArray[np.uint8]:
        """Return a plane across the last axis."""
        size = math.prod(self._plane_shape)
        with self._lock:
            self._file.seek(index * size)
            data = self._file.read(size)
        return np.frombuffer(data, np.uint8).reshape(self._plane_shape)

    def close(self) -> None:
        """Let go of the file, which then is no more."""
        self._file.close()


def folder_for_large_files() -> str | None:
    """Return where a file of a gigabyte may go; None where the system puts all such files."""
    named = any(os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    usable = os.path.isdir(_LARGE_FILES) and os.access(_LARGE_FILES, os.W_OK)  # noqa: PTH112
    return _LARGE_FILES if usable and not named else None


def has_room(size: int) -> bool:
    """Say whether a file of a size would leave enough free."""
    with contextlib.suppress(OSError):
        return (
            shutil.disk_usage(folder_for_large_files() or tempfile.gettempdir()).free > size * _ROOM
        )
    return False


def block_of(index: int, length: int) -> tuple[int, int]:
    """Return the half-open range of the planes that are read together with one."""
    first = index // _BLOCK * _BLOCK
    return first, min(first + _BLOCK, length)
