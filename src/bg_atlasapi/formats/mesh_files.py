"""Meshes in files: Wavefront OBJ.

The packages' meshes are plain OBJ, hundreds of thousands of short lines. A general reader spends
seconds on each in Python loops; here the vertex block and the face block are parsed by numpy in one
call each. A file of another form (several blocks, polygons, relative indices) is handed to meshio.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bg_atlasapi.errors import IncompleteAtlasError
from bg_atlasapi.model.mesh import TriangleMesh


def read_obj(path: Path) -> TriangleMesh:
    """Read a Wavefront OBJ file of triangles.

    Parameters
    ----------
    path
        Vertices in µm.

    Raises
    ------
    IncompleteAtlasError
        If the file is missing, empty, cut short, or not an OBJ file of triangles.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        message = f"The mesh {path} cannot be read: {error.strerror or error}."
        raise IncompleteAtlasError(message) from error
    try:
        mesh = _parse_plain(data) or _parse_general(data)
    except Exception as error:  # meshio raises whatever the damaged line happens to trip
        message = f"The mesh {path} is damaged or not a Wavefront OBJ of triangles: {error}"
        raise IncompleteAtlasError(message) from error
    faces = mesh.triangles
    if not len(faces) or not len(mesh.points):
        message = f"The mesh {path} holds no triangles."
        raise IncompleteAtlasError(message)
    if faces.min() < 0 or faces.max() >= len(mesh.points):
        message = f"The mesh {path} names a vertex it does not have; it is damaged."
        raise IncompleteAtlasError(message)
    return mesh


def _parse_plain(data: bytes) -> TriangleMesh | None:
    """Parse one block of vertices followed by one block of triangles; None for anything richer.

    What lies between the blocks (normals, texture coordinates, group names) is not needed.
    """
    first = 0 if data.startswith(b"v ") else data.find(b"\nv ") + 1
    faces_at = data.find(b"\nf ") + 1
    last = data.rfind(b"\nv ", 0, faces_at) + 1 or first
    if not faces_at or not data.startswith(b"v ", first) or last < first:
        return None
    points = _numbers(data[first : data.index(b"\n", last)], b"v", b".+-eE", np.float64, 3)
    faces = _faces(data[faces_at:])
    if points is None or faces is None or b"\nv " in data[faces_at:]:
        return None
    return TriangleMesh(points, faces)


def _faces(block: bytes) -> npt.NDArray[np.int64] | None:
    """Parse lines ``f a b c``, where each corner may read ``a/t``, ``a//n`` or ``a/t/n``."""
    rows, slashes = block.count(b"f"), block.count(b"/")
    if slashes not in (0, 3 * rows, 6 * rows):
        return None
    per_corner = 1 if not slashes else 3 if slashes == 6 * rows and b"//" not in block else 2
    numbers = _numbers(block.replace(b"/", b" "), b"f", b"", np.int64, 3 * per_corner)
    if numbers is None or numbers.min() < 1:
        return None
    return np.ascontiguousarray(numbers[:, ::per_corner]) - 1


def _numbers(
    block: bytes, letter: bytes, marks: bytes, dtype: type[np.generic], columns: int
) -> npt.NDArray[Any] | None:
    """Parse lines of a letter and ``columns`` numbers; None if a line is anything else."""
    if block.translate(None, b"0123456789 \t\r\n" + marks + letter):
        return None
    # A separator makes this the text mode of fromstring; only its binary mode is deprecated.
    values = np.fromstring(block.replace(letter, b""), dtype=dtype, sep=" ")
    return values.reshape(-1, columns) if values.size == columns * block.count(letter) else None


def _parse_general(data: bytes) -> TriangleMesh:
    import meshio  # noqa: PLC0415 - 70 ms, and only for unusual files

    # From a buffer: given a path, meshio prints and leaves the process when it cannot read it.
    mesh = meshio.read(io.StringIO(data.decode("utf-8", "replace")), file_format="obj")
    return TriangleMesh(
        np.asarray(mesh.points, dtype=np.float64),
        np.asarray(mesh.cells_dict["triangle"], dtype=np.int64),
    )
