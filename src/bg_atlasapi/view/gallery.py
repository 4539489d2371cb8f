"""The planes of one atlas, answered quickly from whatever is at hand.

The first planes are read straight from the files, so that a picture stands before anything is
loaded. ``prepare`` then brings a volume that fits into memory (labels as codes, images as 8 bits),
after which a plane across any axis takes about a millisecond.
"""

from __future__ import annotations

import math
import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.model.coding import runs
from bg_atlasapi.query.subject import Subject, subject_of
from bg_atlasapi.view import scene, slices

if TYPE_CHECKING:
    import numpy.typing as npt

    from bg_atlasapi.model.volume import VolumeSource

    Grey = npt.NDArray[np.uint8]

# Up to here a volume is brought into memory: 25 µm of a mouse are 77 M voxels.
KEPT_VOXELS = 1 << 27


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

    @cached_property
    def window(self) -> tuple[float, float]:
        """The values that are black and white."""
        return slices.window_of(self.source)

    def plane(self, axis: int, index: int) -> Grey:
        """Return a plane across an axis."""
        if self._whole is not None:
            return self._whole.take(index, axis=axis)
        plane = slices.read_planes(self.source, axis, index, index + 1).take(0, axis=axis)
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
        return slices.grey_bytes(self.image(number).plane(axis, index))

    def labels(self, axis: int, index: int) -> bytes:
        """Return a plane of the annotation; see ``slices.coded_runs``."""
        terminology = self.subject.terminology
        if self._codes is not None:
            plane = np.ascontiguousarray(self._codes.take(index, axis=axis))
            starts, codes = runs(plane.reshape(-1))
            if codes.max(initial=0) <= len(terminology):
                return slices.run_bytes(plane.shape, starts, codes, np.empty(0, np.int64))
        bounds = [slice(0, length) for length in self.shape]
        bounds[axis] = slice(index, index + 1)
        plane = self.subject.labels.ids_in(bounds).take(0, axis=axis)
        return slices.coded_runs(np.ascontiguousarray(plane), terminology)

    def sides(self, axis: int, index: int) -> bytes:
        """Return a plane of the stored hemispheres, 1 left and 2 right, as ``labels`` are."""
        stored = self.subject.hemispheres
        assert stored is not None
        plane = slices.read_planes(stored._source, axis, index, index + 1).take(0, axis=axis)
        starts, codes = runs(np.ascontiguousarray(plane).reshape(-1))
        return slices.run_bytes(plane.shape, starts, codes, np.empty(0, np.int64))

    def prepare(self) -> None:
        """Bring what fits into memory; planes are answered meanwhile."""
        if math.prod(self.shape) <= KEPT_VOXELS:
            self._codes = self.subject.labels.coded.codes.reshape(self.shape)
        self.image(0).prepare()
