"""A volume with its axes the other way round in memory: the first index runs fastest.

NIfTI and NRRD lay volumes out so. Reading that order off a file in C order would touch every plane
for every plane. So the volume is read once, put into a scratch file in groups of planes across
the last axis, and each group is turned in memory: a few blocks of memory, whatever the volume's
size, and as much disk as the volume has bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi.formats.tools.base import Image
from bg_atlasapi.late import np
from bg_atlasapi.model.parallel import spans

if TYPE_CHECKING:
    import numpy.typing as npt

GROUP_BYTES = 64 << 20


class Turned:
    """A volume that was read once, to be written in the order of NIfTI.

    Parameters
    ----------
    image
        What to read.
    scratch
        A file to be made; ``close`` removes it.
    progress
        Told of the bytes that were read.

    Attributes
    ----------
    low, high : int
        Least and largest value of labels; 0 for images.
    """

    def __init__(self, image: Image, scratch: Path, progress: Callable[[int], None]) -> None:
        self._image, self._scratch = image, scratch
        self.low = self.high = 0
        first, second, third = image.shape
        per_plane = max(1, first * second * image.dtype.itemsize)
        self._groups = [*spans(third, max(1, GROUP_BYTES // per_plane))]
        self._fill(progress)

    def close(self) -> None:
        """Remove the scratch file."""
        self._scratch.unlink(missing_ok=True)

    def _fill(self, progress: Callable[[int], None]) -> None:
        size = self._image.dtype.itemsize
        first, second, _ = self._image.shape
        done = 0
        with self._scratch.open("wb") as file:
            for block in self._image.blocks():
                if self._image.labels and block.size:
                    self.low = min(self.low, int(block.min()))
                    self.high = max(self.high, int(block.max()))
                for group in self._groups:
                    start, stop = group.start, group.stop
                    row = second * (stop - start) * size
                    file.seek(first * second * start * size + done * row)
                    file.write(np.ascontiguousarray(block[:, :, group]).data)
                done += len(block)
                progress(block.nbytes)

    def parts(self) -> Iterator[npt.NDArray[Any]]:
        """Yield the volume's bytes in order, as arrays ``(planes, rows, columns)``, C order.

        Indices run as last, second, first axis of the volume.
        """
        first, second, _ = self._image.shape
        with self._scratch.open("rb") as file:
            for group in self._groups:
                shape = (first, second, group.stop - group.start)
                stored = np.fromfile(file, self._image.dtype, math.prod(shape)).reshape(shape)
                yield np.ascontiguousarray(stored.transpose(2, 1, 0))
