"""Write meshes as Neuroglancer's multi-resolution format, in Draco: one level, one fragment each.

Vertices are X, Y, Z in nm, the reverse of the atlas's axis order, and so is each face's. They are
quantised to 16 bits: to the 65,535th part of the mesh's longest side, so that each coordinate moves
by half of that at most (0.1 µm for a whole mouse brain). Vertices and faces keep their order.

Two readers differ in what they take a fragment to hold. Neuroglancer counts steps within the cell;
brainglobe-atlasapi 3 lets Draco undo the quantisation and takes coordinates. Origin and range of
the quantisation are those of the cell, so both are right.
"""

from __future__ import annotations

import struct
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from bg_atlasapi.formats.zarr_writing import write_json
from bg_atlasapi.late import np
from bg_atlasapi.model.mesh import TriangleMesh

if TYPE_CHECKING:
    import numpy.typing as npt

BITS = 16
STEPS = (1 << BITS) - 1
_NM_PER_UM = 1000.0
_PLAIN = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def write_info(folder: Path) -> None:
    """Write what holds for all meshes of a folder."""
    info = {
        "@type": "neuroglancer_multilod_draco",
        "vertex_quantization_bits": BITS,
        "transform": _PLAIN,
        "lod_scale_multiplier": 1.0,
    }
    write_json(folder / "info", info)


def write_mesh(folder: Path, identifier: int, mesh: TriangleMesh) -> None:
    """Write ``<id>`` and ``<id>.index``.

    Parameters
    ----------
    folder
        Exists.
    identifier
        Of the structure.
    mesh
        In µm.
    """
    points = np.ascontiguousarray(mesh.points[:, ::-1] * _NM_PER_UM, np.float32)
    faces = np.ascontiguousarray(mesh.triangles[:, ::-1], np.uint32)
    origin, size = cell_of(points)
    fragment = import_module("DracoPy").encode(
        points,
        faces,
        quantization_bits=BITS,
        compression_level=7,
        quantization_range=size,
        quantization_origin=origin.tolist(),
        preserve_order=True,
    )
    (folder / str(identifier)).write_bytes(fragment)
    (folder / f"{identifier}.index").write_bytes(_index(origin, size, len(fragment)))


def cell_of(points: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], float]:
    """Return corner and side of the cube that vertices are quantised in, nm.

    A mesh of a few µm whose coordinates all come out as whole numbers up to 65,535 could be taken
    for steps. Its cube is made wider by a fraction of a nm, which none of its coordinates is.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    size = float((high - low).max()) or 1.0
    if low.min() > -1 and high.max() <= STEPS + 1:
        low, size = low - np.float32(0.37), size + 0.74
    return low.astype(np.float32), float(np.float32(size))


def _index(origin: npt.NDArray[np.float32], size: float, length: int) -> bytes:
    return b"".join(
        [
            struct.pack("<3f", size, size, size),  # the cell
            origin.astype("<f4").tobytes(),
            struct.pack("<I", 1),  # levels
            struct.pack("<f", size),  # scale of the level
            struct.pack("<3f", 0, 0, 0),  # its offset
            struct.pack("<I", 1),  # its fragments
            struct.pack("<3I", 0, 0, 0),  # the place of the fragment
            struct.pack("<I", length),
        ]
    )
