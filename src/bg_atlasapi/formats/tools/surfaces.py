"""Write the meshes of an atlas as OBJ, PLY or STL: a file a structure, and ``meshes.csv``.

Coordinates are the atlas's own, as in BrainGlobe's meshes: µm, columns in the atlas's axis order,
origin at the outer corner of voxel 0. PLY and STL are binary, 32-bit numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.exporting import meshes_of
from bg_atlasapi.formats.packaged_writing import write_obj
from bg_atlasapi.formats.tools.base import Region, ToolWriter, mesh_work, regions_of, table
from bg_atlasapi.late import np
from bg_atlasapi.model.atlas import Atlas
from bg_atlasapi.model.mesh import TriangleMesh

if TYPE_CHECKING:
    import numpy.typing as npt

INDEX = "meshes.csv"
_COLUMNS = ("id", "acronym", "name", "color", "file")
_STL_HEAD = b"binary STL, coordinates in micrometres".ljust(80, b"\0")
_PLY_HEAD = """\
ply
format binary_little_endian 1.0
comment coordinates in micrometres
element vertex {vertices}
property float x
property float y
property float z
property uchar red
property uchar green
property uchar blue
element face {faces}
property list uchar int vertex_indices
end_header
"""


def need_meshes(atlas: Atlas) -> None:
    """Raise ``InvalidInputError`` if there is no mesh."""
    if not any(atlas.meshes.has(one["id"]) for one in atlas.structures):
        raise InvalidInputError("The atlas has no meshes.")


class Surfaces(ToolWriter):
    """A folder of meshes."""

    extension: ClassVar[str]

    def check(self) -> None:
        """Refuse an atlas without meshes."""
        need_meshes(self.atlas)

    def work(self) -> int:
        """Return the share of the meshes."""
        return mesh_work(self.atlas)

    def write(self) -> None:
        """Write ``<id>.<extension>`` and the index."""
        self.target.mkdir(parents=True)
        regions = {one.id: one for one in regions_of(self.atlas)}
        rows = []
        for identifier in meshes_of(self.job):
            region, name = regions[identifier], f"{identifier}.{self.extension}"
            self.put(region, self.target / name)
            rows.append(
                {
                    "id": region.id,
                    "acronym": region.acronym,
                    "name": region.name,
                    "color": region.colour,
                    "file": name,
                }
            )
        (self.target / INDEX).write_bytes(table(rows, columns=_COLUMNS))

    def put(self, region: Region, path: Path) -> None:
        """Write one mesh."""
        raise NotImplementedError


class Obj(Surfaces):
    """The writer of the ``"obj"`` format."""

    ending, extension = "_obj", "obj"

    def put(self, region: Region, path: Path) -> None:
        """Write an OBJ file; what is one already is copied."""
        write_obj(self.atlas.meshes, region.id, path)


class Ply(Surfaces):
    """The writer of the ``"ply"`` format."""

    ending, extension = "_ply", "ply"

    def put(self, region: Region, path: Path) -> None:
        """Write a PLY file, its vertices in the structure's colour."""
        path.write_bytes(ply(self.atlas.meshes.read(region.id), region.rgb))


class Stl(Surfaces):
    """The writer of the ``"stl"`` format."""

    ending, extension = "_stl", "stl"

    def put(self, region: Region, path: Path) -> None:
        """Write an STL file."""
        path.write_bytes(stl(self.atlas.meshes.read(region.id)))


def ply(mesh: TriangleMesh, rgb: tuple[int, int, int]) -> bytes:
    """Return a mesh as binary PLY with coloured vertices."""
    vertices = np.empty(len(mesh.points), [("at", "<f4", 3), ("rgb", "u1", 3)])
    vertices["at"], vertices["rgb"] = mesh.points, rgb
    faces = np.empty(len(mesh.triangles), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, mesh.triangles
    head = _PLY_HEAD.format(vertices=len(vertices), faces=len(faces))
    return head.encode() + vertices.tobytes() + faces.tobytes()


def stl(mesh: TriangleMesh) -> bytes:
    """Return a mesh as binary STL."""
    corners = mesh.points[mesh.triangles]
    facets = np.zeros(
        len(corners), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("rest", "<u2")]
    )
    facets["normal"], facets["corners"] = _normals(corners), corners
    return _STL_HEAD + np.array(len(facets), "<u4").tobytes() + facets.tobytes()


def _normals(corners: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return unit normals of triangles, zeros for those without area."""
    first, second, third = corners[:, 0], corners[:, 1], corners[:, 2]
    normals: npt.NDArray[np.float64] = np.cross(second - first, third - first)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return normals / np.where(lengths > 0, lengths, 1)
