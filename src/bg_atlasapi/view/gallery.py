"""The planes of one atlas, answered quickly from whatever is at hand.

The first planes are read straight from the files, so that a picture stands before anything is
loaded. ``prepare`` then brings a volume that fits into memory (labels as codes, images as 8 bits),
after which a plane across any axis takes about a millisecond.
"""

from __future__ import annotations

import contextlib
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
from bg_atlasapi.view import scene, slices, thrift
from bg_atlasapi.view.stores import PackedLabels, Stopped, TurnedImage, block_of, has_room

if TYPE_CHECKING:
    import numpy.typing as npt

    from bg_atlasapi.model.volume import VolumeSource

    Grey = npt.NDArray[np.uint8]

# Up to here a volume is brought into memory: 25 µm of a mouse are 77 M voxels.
KEPT_VOXELS = 1 << 27
_KEPT_BYTES = 16 << 20  # of planes that were answered
_KEPT_BLOCKS = 2  # of an image, each of 8 planes


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
    costly
        Held while planes are read that take much memory.
    """

    def __init__(self, source: VolumeSource, costly: threading.Lock | None = None) -> None:
        self.source = source
        self._costly = costly or threading.Lock()
        self._whole: Grey | None = None
        self._turned: TurnedImage | None = None
        self._lock = threading.Lock()
        self._blocks: OrderedDict[tuple[int, int], Grey] = OrderedDict()

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
        if self._turned is not None and axis == 2:
            return self._turned.plane(index)
        large = math.prod(self.source.shape) > KEPT_VOXELS
        if self.source.chunks is not None or (axis == 2 and large):
            return self._from_block(axis, index)
        return self._grey(axis, index, index + 1, 0)

    def _grey(self, axis: int, start: int, stop: int, within: int) -> Grey:
        planes = slices.read_planes(self.source, axis, start, stop)
        return slices.as_grey(_plane(planes, axis, within), self.window)

    def _from_block(self, axis: int, index: int) -> Grey:
        """Return a plane that costs as much as its neighbours with it: they are kept."""
        first, stop = block_of(index, self.source.shape[axis])
        window = self.window
        with self._costly:  # those who ask for neighbours meanwhile find them here
            block = self._blocks.get((axis, first))
            if block is None:
                planes = slices.read_planes(self.source, axis, first, stop)
                self._blocks[axis, first] = block = slices.as_grey(planes, window)
                while len(self._blocks) > _KEPT_BLOCKS:
                    self._blocks.popitem(last=False)
        return _plane(block, axis, index - first)

    def prepare(self, stopping: threading.Event) -> None:
        """Bring it into memory if it fits; else make ready what would take long."""
        if self._whole is not None or self._turned is not None:
            return
        if math.prod(self.source.shape) <= KEPT_VOXELS:
            whole, done = np.empty(self.source.shape, np.uint8), 0
            for slab in self.source.slabs():
                whole[done : done + len(slab)] = slices.as_grey(slab, self.window)
                done += len(slab)
            self._whole = whole
        elif self.source.chunks is None and has_room(math.prod(self.source.shape)):
            self._turned = TurnedImage(
                self.source, lambda slab: slices.as_grey(slab, self.window), stopping
            )
        with self._costly:
            self._blocks.clear()

    def close(self) -> None:
        """Let go of what was written for it."""
        if self._turned is not None:
            self._turned.close()


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
            self.put(key, answer)
        return answer

    def kept(self, key: tuple[int, int, int]) -> bytes | None:
        """Return what is kept."""
        with self._lock:
            return self._kept.get(key)

    def put(self, key: tuple[int, int, int], answer: bytes) -> None:
        """Keep an answer."""
        with self._lock:
            self._size += len(answer) - len(self._kept.pop(key, b""))
            self._kept[key] = answer
            while self._size > _KEPT_BYTES and len(self._kept) > 1:
                oldest, gone = self._kept.popitem(last=False)
                self._size -= len(gone)
                self._making.pop(oldest, None)


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
        self._packed: PackedLabels | None = None
        self._stopping = threading.Event()
        self._costly = threading.Lock()
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
                self._images[number] = Image(self.atlas.volumes[name].source, self._costly)
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
        if self._packed is not None:
            return self._from_packed(self._packed, axis, index)
        if self._codes is not None:
            plane = _plane(self._codes, axis, index)
            starts, codes = runs(plane.reshape(-1))
            if codes.max(initial=0) <= len(terminology):
                return slices.run_bytes(plane.shape, starts, codes, np.empty(0, np.int64))
        return self._from_files(axis, index)

    def _from_files(self, axis: int, index: int) -> bytes:
        source, terminology = self.subject.labels.source, self.subject.terminology
        # By reading, not through a map, whose pages would count as memory of this process.
        if self._is_small or (axis != 2 and source.chunks is None):
            planes = slices.read_planes(source, axis, index, index + 1)
            return slices.coded_runs(_plane(planes, axis, 0), terminology)
        first, stop = block_of(index, self.shape[axis])  # neighbours cost nothing more
        with self._costly:
            if (answer := self._answers.kept((-1, axis, index))) is not None:
                return answer
            planes = slices.read_planes(source, axis, first, stop)
            for at in range(first, stop):
                made = slices.coded_runs(_plane(planes, axis, at - first), terminology)
                self._answers.put((-1, axis, at), made)
                if at == index:  # what was put may be forgotten by now, if planes are very large
                    answer = made
        assert answer is not None
        return answer

    def _from_packed(self, packed: PackedLabels, axis: int, index: int) -> bytes:
        plane = packed.plane(axis, index)
        starts, codes = runs(plane.reshape(-1))
        strange = codes > len(self.subject.terminology)
        if not strange.any():
            return slices.run_bytes(plane.shape, starts, codes, np.empty(0, np.int64))
        return slices.coded_runs(packed.ids.take(plane), self.subject.terminology)

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

    @property
    def _is_small(self) -> bool:
        return math.prod(self.shape) <= KEPT_VOXELS

    def prepare(self) -> None:
        """Bring what fits into memory, make ready what does not; planes are answered meanwhile."""
        self.prepare_labels()
        self.prepare_image()

    def prepare_labels(self) -> None:
        """Prepare the annotation: a few tenths of a second, or some 10 s of a large one."""
        with contextlib.suppress(Stopped):
            if self._is_small:
                self._codes = self.subject.labels.coded.codes.reshape(self.shape)
            elif self._packed is None:
                thrift.be_thrifty()
                self._packed = PackedLabels(self.subject.labels, self._stopping)

    def prepare_image(self) -> None:
        """Prepare the template, likewise."""
        with contextlib.suppress(Stopped):
            self.image(0).prepare(self._stopping)
        thrift.give_back()

    def close(self) -> None:
        """Stop preparing, and let go of what was written."""
        self._stopping.set()
        for image in self._images.values():
            image.close()
