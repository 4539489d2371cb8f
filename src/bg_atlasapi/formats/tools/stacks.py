"""Write the volumes of an atlas as TIFF stacks that Fiji and tifffile read with their voxel size.

Fiji holds 32-bit numbers as ``float32``, exact up to 2**24 only, and ids are larger. So besides
``annotation.tif``, with the ids, there is ``labels.tif`` with compact labels of 16 bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.packaged_writing import write_stack
from bg_atlasapi.formats.tools.base import Image, ToolWriter, images_of, regions_of, taken
from bg_atlasapi.formats.tools.compact import NAME, TooManyLabelsError, compact_labels
from bg_atlasapi.formats.tools.structure_files import structure_table

if TYPE_CHECKING:
    import numpy.typing as npt

_NO_UNIT = 1  # of the tag; ImageJ reads the unit from the description


class Stacks(ToolWriter):
    """The writer of the ``"tiff"`` format."""

    ending = "_tiff"

    def check(self) -> None:
        """Refuse volumes of other shapes, and a reference that is called as the labels are."""
        self._images = images_of(self.atlas)
        for image in self._images:
            if image.name.casefold() == NAME:
                raise InvalidInputError(taken(image.name))

    def work(self) -> int:
        """Return the bytes of all volumes and of the compact labels."""
        return sum(image.nbytes for image in self._images) + self._labels_work()

    def _labels_work(self) -> int:
        return 2 * self._images[0].nbytes // self._images[0].dtype.itemsize

    def write(self) -> None:
        """Write ``<volume>.tif``, ``labels.csv`` and ``structures.csv``."""
        self.target.mkdir(parents=True)
        for image in self._images:
            self._stack(image)
        try:
            compact = compact_labels(self.atlas)
        except TooManyLabelsError:  # the ids are there all the same
            self.done(self._labels_work())
        else:
            self._stack(compact.image)
            (self.target / f"{NAME}.csv").write_bytes(compact.table())
        (self.target / "structures.csv").write_bytes(structure_table(regions_of(self.atlas)))

    def _stack(self, image: Image) -> None:
        depth_um, height_um, width_um = self.atlas.space.spacing_um
        count = image.shape[0]
        description = (
            f"ImageJ=1.53t\nimages={count}\nslices={count}\nunit=micron\n"
            f"spacing={depth_um!r}\nloop=false\n"
        )
        write_stack(
            self.target / f"{image.name}.tif",
            self._planes(image),
            image.shape,
            image.dtype,
            description=description,
            metadata=None,
            resolution=(1 / width_um, 1 / height_um),
            resolutionunit=_NO_UNIT,
        )

    def _planes(self, image: Image) -> Iterator[npt.NDArray[Any]]:
        for block in image.blocks():
            yield from block
            self.done(block.nbytes)
