"""Write the annotation with the label files of ITK-SNAP and 3D Slicer.

ITK-SNAP takes labels up to 65535, and Slicer makes a colour table as long as the largest label. So
both get compact labels; ``labels.csv`` tells the id of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from bg_atlasapi.formats.tools.base import (
    TEMPLATE,
    Region,
    ToolWriter,
    images_of,
    one_line,
)
from bg_atlasapi.formats.tools.compact import NAME, compact_labels
from bg_atlasapi.formats.tools.volume_files import (
    need_nibabel,
    volume_work,
    write_nifti,
    write_nrrd,
)

_SNAP_HEAD = """\
################################################
# ITK-SnAP Label Description File
# File format:
# IDX   -R-  -G-  -B-  -A--  VIS MSH  LABEL
# Fields:
#    IDX:   Zero-based index
#    -R-:   Red color component (0..255)
#    -G-:   Green color component (0..255)
#    -B-:   Blue color component (0..255)
#    -A-:   Label transparency (0.00 .. 1.00)
#    VIS:   Label visibility (0 or 1)
#    IDX:   Label mesh visibility (0 or 1)
#  LABEL:   Label description
################################################
    0     0    0    0        0  0  0    "Clear Label"
"""


class _Labelled(ToolWriter):
    """A folder of the template, compact labels, their table, and a label file."""

    label_file: ClassVar[str]
    extension: ClassVar[str]

    def check(self) -> None:
        """Refuse volumes of other shapes."""
        by_name = {image.name: image for image in images_of(self.atlas)}
        self._template, self._annotation = by_name[TEMPLATE], by_name["annotation"]

    def work(self) -> int:
        """Return the work of template and labels, which have 16 bits."""
        voxels = self._annotation.nbytes // self._annotation.dtype.itemsize
        return volume_work([self._template]) + 2 * 2 * voxels

    def write(self) -> None:
        """Write the folder."""
        self.target.mkdir(parents=True)
        compact = compact_labels(self.atlas)
        put = write_nifti if self.extension == "nii.gz" else write_nrrd
        for image in (compact.image, self._template):
            put(self, image, self.target / f"{image.name}.{self.extension}")
        (self.target / f"{NAME}.csv").write_bytes(compact.table())
        text = self.text(compact.regions)
        (self.target / self.label_file).write_bytes(text.encode())

    def text(self, regions: Sequence[Region]) -> str:
        """Return the label file of labels 1, 2, …"""
        raise NotImplementedError


class ItkSnap(_Labelled):
    """The writer of the ``"itksnap"`` format."""

    ending, label_file, extension = "_itksnap", f"{NAME}.txt", "nii.gz"

    def check(self) -> None:
        """Refuse without nibabel as well."""
        need_nibabel()
        super().check()

    def text(self, regions: Sequence[Region]) -> str:
        """Return a label description file."""
        lines = [_SNAP_HEAD]
        for label, one in enumerate(regions, start=1):
            red, green, blue = one.rgb
            name = one_line(one.name).replace('"', "'")
            lines.append(f'{label:5} {red:5} {green:4} {blue:4}        1  1  1    "{name}"\n')
        return "".join(lines)


class Slicer(_Labelled):
    """The writer of the ``"slicer"`` format."""

    ending, label_file, extension = "_slicer", f"{NAME}.ctbl", "nrrd"

    def text(self, regions: Sequence[Region]) -> str:
        """Return a colour table; Slicer shows the underscores in names as blanks."""
        lines = [f"# Color table file {NAME}.ctbl\n# {len(regions) + 1} values\n"]
        lines.append("0 Background 0 0 0 0\n")
        for label, one in enumerate(regions, start=1):
            red, green, blue = one.rgb
            name = one_line(one.name).replace(" ", "_") or str(one.id)
            lines.append(f"{label} {name} {red} {green} {blue} 255\n")
        return "".join(lines)
