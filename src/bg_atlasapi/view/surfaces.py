"""Meshes as bytes for the page: vertices in µm and triangles, as graphics cards want them."""

from __future__ import annotations

import struct

from bg_atlasapi.model.mesh import TriangleMesh


def mesh_bytes(mesh: TriangleMesh) -> bytes:
    """Return a mesh in binary.

    Returns
    -------
    bytes
        Little-endian: numbers of vertices and of triangles, ``uint32`` each; vertices, three
        ``float32`` each, µm, in the atlas's axis order; triangles, three ``uint32`` each.
    """
    head = struct.pack("<II", len(mesh.points), len(mesh.triangles))
    points, triangles = mesh.points.astype("<f4"), mesh.triangles.astype("<u4")
    return b"".join([head, points.tobytes(), triangles.tobytes()])
