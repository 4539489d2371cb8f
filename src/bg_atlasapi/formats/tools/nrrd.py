"""Write the volumes of an atlas as NRRD, and the structures as a table."""

from __future__ import annotations

from bg_atlasapi.formats.tools.base import ToolWriter, images_of, regions_of
from bg_atlasapi.formats.tools.structure_files import structure_table
from bg_atlasapi.formats.tools.volume_files import volume_work, write_nrrd


class Nrrd(ToolWriter):
    """The writer of the ``"nrrd"`` format."""

    ending = "_nrrd"

    def check(self) -> None:
        """Refuse volumes of other shapes."""
        self._images = images_of(self.atlas)

    def work(self) -> int:
        """Return the work of all volumes."""
        return volume_work(self._images)

    def write(self) -> None:
        """Write ``<volume>.nrrd`` and ``structures.csv``."""
        self.target.mkdir(parents=True)
        for image in self._images:
            write_nrrd(self, image, self.target / f"{image.name}.nrrd")
        (self.target / "structures.csv").write_bytes(structure_table(regions_of(self.atlas)))
