"""Meshes in files: Wavefront OBJ.

The packages' meshes are plain OBJ, hundreds of thousands of short lines. A general reader spends
seconds on each in Python loops; here the vertex block and the face block are parsed by numpy in one
call each. A file of another form (several blocks, polygons, relative indices) is read line by line:
general readers drop polygons among triangles and misread relative indices.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING

from bg_atlasapi.errors import IncompleteAtlasError
from bg_atlasapi.formats.checks import Check
from bg_atlasapi.formats.number_text import rows_of
from bg_atlasapi.late import np
from bg_atlasapi.model.mesh import TriangleMesh

if TYPE_CHECKING:
    import numpy.typing as npt

_ELEMENT = re.compile(rb"\n[ \t]*[vf][ \t]")


class ObjMeshes:
    """The OBJ files of a package, a ``MeshSource``.

    Parameters
    ----------
    folder
        Holds ``<id>.obj``.
    check
        Asked about each file before it is read.
    """

    def __init__(self, folder: Path, check: Check) -> None:
        self._folder, self._check = folder, check

    def path(self, identifier: int) -> Path:
        """Return where the mesh of a structure lies, if it has one."""
        return self._folder / f"{identifier}.obj"

    def file(self, identifier: int) -> Path:
        """Return the same."""
        return self.path(identifier)

    def has(self, identifier: int) -> bool:
        """Say whether a structure has a mesh.

        Raises
        ------
        IncompleteAtlasError
            If it was installed and is gone or changed.
        """
        self._check(self.path(identifier))
        try:
            return self.path(identifier).exists()
        except OSError:  # this account may not look; reading it says so
            return True

    def read(self, identifier: int) -> TriangleMesh:
        """Read the mesh of a structure; see ``read_obj``."""
        self._check(self.path(identifier))
        return read_obj(self.path(identifier))


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
    except Exception as error:  # whatever the damaged line trips
        message = f"The mesh {path} is damaged or not a Wavefront OBJ of triangles: {error}"
        raise IncompleteAtlasError(message) from error
    faces = mesh.triangles
    if not len(faces) or not len(mesh.points):
        message = f"The mesh {path} holds no triangles."
        raise IncompleteAtlasError(message)
    if not np.isfinite(mesh.points).all():
        message = f"The mesh {path} has vertices that are not finite; it is damaged."
        raise IncompleteAtlasError(message)
    if faces.min() < 0 or faces.max() >= len(mesh.points):
        message = f"The mesh {path} names a vertex it does not have; it is damaged."
        raise IncompleteAtlasError(message)
    return mesh


def _parse_plain(data: bytes) -> TriangleMesh | None:
    """Parse one block of vertices followed by one block of triangles; None for anything richer.

    What lies before and between the blocks (comments, normals, group names) is not needed.
    """
    first = 0 if data.startswith(b"v ") else data.find(b"\nv ") + 1
    faces_at = data.find(b"\nf ") + 1
    last = data.rfind(b"\nv ", 0, faces_at) + 1 or first
    if not faces_at or not data.startswith(b"v ", first) or last < first:
        return None
    end = data.index(b"\n", last)
    if _ELEMENT.search(b"\n" + data[:first]) or _ELEMENT.search(data, end, faces_at):
        return None
    points = _vertices(data[first:end])
    faces = _faces(data[faces_at:])
    return None if points is None or faces is None else TriangleMesh(points, faces)


def _faces(block: bytes) -> npt.NDArray[np.int64] | None:
    """Parse lines ``f a b c``, where each corner may read ``a/t``, ``a//n`` or ``a/t/n``."""
    rows, slashes = block.count(b"f"), block.count(b"/")
    if slashes not in (0, 3 * rows, 6 * rows):
        return None
    per_corner = 1 if not slashes else 3 if slashes == 6 * rows and b"//" not in block else 2
    if block.translate(None, b"0123456789/f \t\r\n"):
        return None
    numbers = rows_of(block.replace(b"/", b" "), b"f", 3 * per_corner, per_corner)
    return None if numbers is None else numbers.astype(np.int64) - 1


def _vertices(block: bytes) -> npt.NDArray[np.float64] | None:
    """Parse lines ``v x y z``; numbers with exponents or 16 digits and more go the slower way."""
    fast = rows_of(block, b"v", 3)
    if fast is not None or block.translate(None, b"0123456789.+-eEv \t\r\n"):
        return fast
    # Each letter becomes a NaN, so that a line of another length is seen: it shifts the next one.
    # A separator makes this the text mode of fromstring; only its binary mode is deprecated.
    values = np.fromstring(block.replace(b"v", b"nan"), sep=" ")
    if values.size != 4 * block.count(b"v"):
        return None
    rows = values.reshape(-1, 4)
    return rows[:, 1:] if np.isnan(rows[:, 0]).all() else None


def _parse_general(data: bytes) -> TriangleMesh:
    """Parse line by line: several blocks, polygons (cut into fans), relative indices."""
    points: list[list[float]] = []
    faces: list[tuple[int, int, int]] = []
    for line in data.decode("utf-8", "replace").replace("\\\n", " ").splitlines():
        kind, *words = line.partition("#")[0].split() or [""]
        if kind == "v":
            x, y, z = words[:3]
            points.append([float(x), float(y), float(z)])
        elif kind == "f":
            corners = [int(word.partition("/")[0]) for word in words]
            if len(corners) < 3 or 0 in corners:
                message = f"{line!r} is no face"
                raise ValueError(message)
            first, *rest = [c - 1 if c > 0 else len(points) + c for c in corners]
            faces += [(first, *pair) for pair in itertools.pairwise(rest)]
    return TriangleMesh(
        np.array(points, dtype=np.float64).reshape(-1, 3),
        np.array(faces, dtype=np.int64).reshape(-1, 3),
    )


def obj_text(mesh: TriangleMesh) -> bytes:
    """Return a mesh as Wavefront OBJ, coordinates to a tenth of a nm."""
    vertices = "v %.4f %.4f %.4f\n" * len(mesh.points) % tuple(mesh.points.ravel().tolist())
    faces = "f %d %d %d\n" * len(mesh.triangles) % tuple((mesh.triangles + 1).ravel().tolist())
    return f"{vertices}{faces}".encode()
