"""The meshes in a folder that ``mesh_structures`` filled, as an atlas takes them."""

from __future__ import annotations

from pathlib import Path

from bg_atlasapi.build.meshing.surface_files import name_of, read_surface
from bg_atlasapi.formats.mesh_files import obj_text
from bg_atlasapi.model.mesh import TriangleMesh
from bg_atlasapi.store import disk


class WrittenMeshes:
    """Meshes by structure id, a ``MeshSource``.

    Parameters
    ----------
    folder
        Where they were written.
    side
        0 for whole structures, 1 for what is left of them, 2 for what is right.
    """

    def __init__(self, folder: Path, side: int = 0) -> None:
        self._folder, self._side = Path(folder), side

    def _surface(self, identifier: int) -> Path:
        return self._folder / name_of(identifier, self._side)

    def path(self, identifier: int) -> Path:
        """Return where the OBJ file lies once ``file`` was asked for it."""
        return self._folder / "obj" / f"{self._surface(identifier).stem}.obj"

    def file(self, identifier: int) -> Path:
        """Return an OBJ file, made if need be; without a mesh, what ``path`` returns."""
        path = self.path(identifier)
        if self.has(identifier) and not path.exists():
            disk.write_bytes(path, obj_text(self.read(identifier)))
        return path

    def has(self, identifier: int) -> bool:
        """Say whether a structure has a mesh."""
        return self._surface(identifier).exists()

    def read(self, identifier: int) -> TriangleMesh:
        """Read the mesh of a structure.

        Raises
        ------
        IncompleteAtlasError
            If there is none, or it is damaged.
        """
        return read_surface(self._surface(identifier))
