"""The planes of one atlas, answered quickly from whatever is at hand.

The first planes are read straight from the files, so that a picture stands before anything is
loaded. ``prepare`` then brings a volume that fits into memory (labels as codes, images as 8 bits),
after which a plane across any axis takes about a millisecond.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.model.coding import runs
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.query.subject import Subject, subject_of
from bg_atlasapi.view import scene, slices

if TYPE_CHECKING:
    import numpy.typing as npt

    from bg_atlasapi.model.volume import VolumeSource

    Grey = npt.NDArray[np.uint8]

# Up to here a volume is brought into memory: 25 µm of a mouse are 77 M voxels.
KEPT_VOXELS = 1 << 27
_KEPT_BYTES = 16 << 20  # of planes that were answered


def _plane(volume: npt.NDArray[Any], axis: int, index: int) -> npt.NDArray[Any]:
    where: list[slice | int] = [slice(None)] * 3
    where[axis] = index
    return np.ascontiguousarray(volume[tuple(where)])


class Image:
    """A reference image as 8 bits a voxel.

    Parameters
    ----------
    source
        Its voxels.
    """

    def __init__(self, source: VolumeSource) -> None:
        self.source = source
        self._whole: Grey | None = None
        self._lock = threading.Lock()

    @cached_property
    def _window(self) -> tuple[float, float]:
        return slices.window_of(self.source)

    @property
    def window(self) -> tuple[float, float]:
        """The values that are black and white."""
        with self._lock:
            return self._window

    def plane(self, axis: int, index: int) -> Grey:
        """Return a plane across an axis."""
        if self._whole is not None:
            return _plane(self._whole, axis, index)
        plane = _plane(slices.read_planes(self.source, axis, index, index + 1), axis, 0)
        return slices.as_grey(plane, self.window)

    def prepare(self) -> None:
        """Bring it into memory if it fits."""
        if self._whole is not None or math.prod(self.source.shape) > KEPT_VOXELS:
            return
        whole, done = np.empty(self.source.shape, np.uint8), 0
        for slab in self.source.slabs():
            whole[done : done + len(slab)] = slices.as_grey(slab, self.window)
            done += len(slab)
        self._whole = whole


def middle(space: CoordinateSpace) -> tuple[int, int, int]:
    """Return where the page begins: in the middle, but beside the cleft between the hemispheres."""
    part = [0.5, 0.5, 0.5]
    part[space.left_right_axis] = 0.42
    first, second, third = (int(n * one) for n, one in zip(space.shape, part, strict=True))
    return first, second, third


class Answers:
    """Planes that were answered, as bytes; those least recently asked for are forgotten first.

    Threads that ask for the same plane at once wait for the first of them.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, int, int], bytes] = OrderedDict()
        self._making: dict[tuple[int, int, int], threading.Lock] = {}
        self._lock = threading.Lock()
        self._size = 0

    def get(self, key: tuple[int, int, int], make: Callable[[], bytes]) -> bytes:
        """Return what is kept, or make and keep it."""
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._kept:
                    self._kept.move_to_end(key)
                    return self._kept[key]
            answer = make()
            with self._lock:
                self._kept[key] = answer
                self._size += len(answer)
                while self._size > _KEPT_BYTES and len(self._kept) > 1:
                    oldest, gone = self._kept.popitem(last=False)
                    self._size -= len(gone)
                    self._making.pop(oldest, None)
        return answer


class Gallery:
    """The planes of an atlas, as bytes.

    Parameters
    ----------
    atlas
        An atlas; what its arrays hold now is shown.
    """

    def __init__(self, atlas: Any) -> None:
        self.atlas = atlas
        self.subject: Subject = subject_of(atlas)
        self.references = scene.reference_names(atlas)
        self._images: dict[int, Image] = {}
        self._lock = threading.Lock()
        self._codes: npt.NDArray[Any] | None = None
        self._answers = Answers()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis."""
        return self.subject.space.shape

    def image(self, number: int) -> Image:
        """Return one of the images, by its number among ``references``."""
        with self._lock:
            if number not in self._images:
                name = self.references[number]
                self._images[number] = Image(self.atlas.volumes[name].source)
            return self._images[number]

    def grey(self, number: int, axis: int, index: int) -> bytes:
        """Return a plane of an image; see ``slices.grey_bytes``."""
        return self._answers.get(
            (number, axis, index),
            lambda: slices.grey_bytes(self.image(number).plane(axis, index)),
        )

    def labels(self, axis: int, index: int) -> bytes:
        """Return a plane of the annotation; see ``slices.coded_runs``."""
        return self._answers.get((-1, axis, index), lambda: self._labels(axis, index))

    def _labels(self, axis: int, index: int) -> bytes:
        terminology = self.subject.terminology
        if self._codes is not None:
            plane = _plane(self._codes, axis, index)
            starts, codes = runs(plane.reshape(-1))
            if codes.max(initial=0) <= len(terminology):
                return slices.run_bytes(plane.shape, starts, codes, np.empty(0, np.int64))
        bounds = [slice(0, length) for length in self.shape]
        bounds[axis] = slice(index, index + 1)
        plane = _plane(self.subject.labels.ids_in(bounds), axis, 0)
        return slices.coded_runs(plane, terminology)

    def sides(self, axis: int, index: int) -> bytes:
        """Return a plane of the stored hemispheres, 1 left and 2 right, as ``labels`` are."""
        stored = self.subject.hemispheres
        assert stored is not None
        plane = _plane(slices.read_planes(stored._source, axis, index, index + 1), axis, 0)
        starts, codes = runs(plane.reshape(-1))
        return slices.run_bytes(plane.shape, starts, codes, np.empty(0, np.int64))

    def warm(self, voxel: Sequence[int] | None = None) -> None:
        """Read the planes that the page asks for first, while the browser still starts."""
        for axis, index in enumerate(voxel or middle(self.subject.space)):
            self.labels(axis, index)
            self.grey(0, axis, index)

    def prepare(self) -> None:
        """Bring what fits into memory; planes are answered meanwhile."""
        if math.prod(self.shape) <= KEPT_VOXELS:
            self._codes = self.subject.labels.coded.codes.reshape(self.shape)
        self.image(0).prepare()
