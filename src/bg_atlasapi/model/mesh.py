"""A triangle mesh: vertices and faces. How a file spells them is the business of ``formats``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class TriangleMesh:
    """A surface.

    Parameters
    ----------
    points
        ``float64``, shape ``(n, 3)``, µm, columns in the atlas's axis order, origin at the corner
        of voxel 0.
    triangles
        ``int64``, shape ``(m, 3)``, rows of ``points``.
    """

    points: npt.NDArray[np.float64]
    triangles: npt.NDArray[np.int64]


class MeshSource(Protocol):
    """The stored meshes of an atlas, by structure id. Formats implement it."""

    def path(self, identifier: int) -> Path:
        """Return where the mesh lies as an OBJ file, or will once ``file`` was asked for it."""

    def file(self, identifier: int) -> Path:
        """Return an OBJ file, made if need be; without a mesh, what ``path`` returns."""

    def has(self, identifier: int) -> bool:
        """Say whether there is a mesh; one that is listed and gone is an error."""

    def read(self, identifier: int) -> TriangleMesh:
        """Read the mesh."""
