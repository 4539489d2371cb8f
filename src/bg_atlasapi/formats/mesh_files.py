"""Meshes in files: Wavefront OBJ.

The packages' meshes are plain OBJ, hundreds of thousands of short lines. A general reader spends
seconds on each in Python loops; here the vertex block and the face block are parsed by numpy in one
call each. A file that holds anything else (normals, textures, polygons, relative indices) is handed
to meshio.
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
    """Parse comments, then ``v x y z`` lines, then ``f a b c`` lines; None for anything richer."""
    start = 0 if data.startswith(b"v ") else data.find(b"\nv ") + 1
    middle = data.find(b"\nf ") + 1
    if not middle or middle <= start or not _only_comments(data[:start]):
        return None
    points = _numbers(data[start:middle], b"v", np.float64)
    faces = _numbers(data[middle:], b"f", np.int64)
    if points is None or faces is None or (len(faces) and faces.min() < 1):
        return None
    return TriangleMesh(points, faces - 1)


def _only_comments(head: bytes) -> bool:
    return all(not line.strip() or line.lstrip().startswith(b"#") for line in head.splitlines())


def _numbers(block: bytes, letter: bytes, dtype: type[np.generic]) -> npt.NDArray[Any] | None:
    """Parse lines of a letter and three numbers; None if a line is anything else."""
    if block.translate(None, b"0123456789+-.eE \t\r\n" + letter):
        return None
    # A separator makes this the text mode of fromstring; only its binary mode is deprecated.
    values = np.fromstring(block.replace(letter, b""), dtype=dtype, sep=" ")
    return values.reshape(-1, 3) if values.size == 3 * block.count(letter) else None


def _parse_general(data: bytes) -> TriangleMesh:
    import meshio  # noqa: PLC0415 - 70 ms, and only for unusual files

    # From a buffer: given a path, meshio prints and leaves the process when it cannot read it.
    mesh = meshio.read(io.StringIO(data.decode("utf-8", "replace")), file_format="obj")
    return TriangleMesh(
        np.asarray(mesh.points, dtype=np.float64),
        np.asarray(mesh.cells_dict["triangle"], dtype=np.int64),
    )
