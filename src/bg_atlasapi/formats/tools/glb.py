"""Write the meshes of an atlas as one GLB file, binary glTF 2.0: a node a structure.

Vertices are the atlas's own, µm in its axis order. The node ``atlas``, above all others, takes them
where glTF wants them: metres, y upwards, the front towards +z, left at +x. So a viewer shows the
brain upright and not mirrored, and what reads the meshes alone reads µm.

Source: https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html.
"""

from __future__ import annotations

import json
import shutil
import struct
from typing import TYPE_CHECKING, Any, BinaryIO

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.exporting import meshes_of
from bg_atlasapi.formats.tools.base import Region, ToolWriter, mesh_work, regions_of
from bg_atlasapi.formats.tools.surfaces import need_meshes
from bg_atlasapi.late import np
from bg_atlasapi.model.affine import ras_from_um
from bg_atlasapi.model.mesh import TriangleMesh
from bg_atlasapi.model.space import CoordinateSpace

if TYPE_CHECKING:
    import numpy.typing as npt

_FLOAT, _UINT32 = 5126, 5125
_VERTICES, _FACES = 34962, 34963
_MOST_BYTES = 2**32 - 1
_ROOT_OPACITY = 0.2
# Rows of glTF's x, y, z out of RAS: left, up, front.
_GLTF_FROM_RAS = ((-1, 0, 0, 0), (0, 0, 1, 0), (0, 1, 0, 0), (0, 0, 0, 1))


class Glb(ToolWriter):
    """The writer of the ``"glb"`` format."""

    ending = ".glb"

    def check(self) -> None:
        """Refuse an atlas without meshes."""
        need_meshes(self.atlas)

    def work(self) -> int:
        """Return the share of the meshes."""
        return mesh_work(self.atlas)

    def write(self) -> None:
        """Write the one file; vertices and faces pass through a scratch file."""
        scratch = self.scratch("glb")
        regions = {one.id: one for one in regions_of(self.atlas)}
        with scratch.open("w+b") as data:
            scene = _Scene(self.atlas.space, data)
            for identifier in meshes_of(self.job):
                scene.add(regions[identifier], self.atlas.meshes.read(identifier))
            stated = scene.text()
            size = data.tell()
            total = 12 + 8 + len(stated) + 8 + size
            if total > _MOST_BYTES:
                message = f"The meshes take {total} bytes, a GLB file ends at {_MOST_BYTES}."
                raise InvalidInputError(message)
            data.seek(0)
            with self.target.open("wb") as file:
                file.write(struct.pack("<4sII", b"glTF", 2, total))
                file.write(struct.pack("<I4s", len(stated), b"JSON") + stated)
                file.write(struct.pack("<I4s", size, b"BIN\0"))
                shutil.copyfileobj(data, file)
        scratch.unlink()


class _Scene:
    """What is stated of a scene, while its data go into a file."""

    def __init__(self, space: CoordinateSpace, data: BinaryIO) -> None:
        self._data = data
        matrix = np.array(_GLTF_FROM_RAS) @ ras_from_um(space)
        matrix[:3] /= 1000  # mm are m
        self._nodes: list[dict[str, Any]] = [
            {"name": "atlas", "matrix": (matrix.T + 0.0).ravel().tolist(), "children": []}
        ]
        self._meshes: list[dict[str, Any]] = []
        self._views: list[dict[str, int]] = []
        self._accessors: list[dict[str, Any]] = []
        self._materials: dict[tuple[float, ...], int] = {}

    def add(self, region: Region, mesh: TriangleMesh) -> None:
        """Put a structure's mesh into the scene."""
        points = mesh.points.astype("<f4")
        faces = mesh.triangles.astype("<u4").reshape(-1)
        limits = {"min": points.min(axis=0).tolist(), "max": points.max(axis=0).tolist()}
        vertices = self._stored(points, "VEC3", _FLOAT, _VERTICES)
        self._accessors[vertices] |= limits
        drawn = {
            "attributes": {"POSITION": vertices},
            "indices": self._stored(faces, "SCALAR", _UINT32, _FACES),
            "material": self._material(region),
        }
        extras = {"id": region.id, "name": region.name, "parent_structure_id": region.parent}
        self._nodes[0]["children"].append(len(self._nodes))
        self._nodes.append({"name": region.acronym, "mesh": len(self._meshes), "extras": extras})
        self._meshes.append({"name": region.acronym, "primitives": [drawn]})

    def _stored(self, array: npt.NDArray[Any], kind: str, component: int, target: int) -> int:
        place = self._data.tell()
        self._data.write(array.tobytes())  # of 4-byte numbers: everything stays aligned
        view = {"buffer": 0, "byteOffset": place, "byteLength": array.nbytes, "target": target}
        self._views.append(view)
        self._accessors.append(
            {
                "bufferView": len(self._views) - 1,
                "componentType": component,
                "count": len(array),
                "type": kind,
            }
        )
        return len(self._accessors) - 1

    def _material(self, region: Region) -> int:
        """Return the material of a colour; a root is transparent, or it would hide the others."""
        opacity = _ROOT_OPACITY if region.parent is None else 1.0
        key = (*(_linear(part) for part in region.rgb), opacity)
        return self._materials.setdefault(key, len(self._materials))

    def text(self) -> bytes:
        """Return the JSON part, padded."""
        stated = {
            "asset": {"version": "2.0", "generator": "bg-atlasapi"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": self._nodes,
            "meshes": self._meshes,
            "materials": [_material(factor) for factor in self._materials],
            "accessors": self._accessors,
            "bufferViews": self._views,
            "buffers": [{"byteLength": self._data.tell()}],
        }
        text = json.dumps(stated, separators=(",", ":")).encode()
        return text.ljust(-(-len(text) // 4) * 4)


def _material(factor: tuple[float, ...]) -> dict[str, Any]:
    surface = {"baseColorFactor": [*factor], "metallicFactor": 0.0, "roughnessFactor": 0.8}
    # Which way published faces turn is not agreed on.
    stated: dict[str, Any] = {"pbrMetallicRoughness": surface, "doubleSided": True}
    return stated if factor[3] == 1 else {**stated, "alphaMode": "BLEND"}


def _linear(part: int) -> float:
    """Return a part of an sRGB colour, 0…255, as the linear number that glTF wants."""
    value = part / 255
    return round(value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4, 6)
