"""The files that meshes are kept in while an atlas is built: binary PLY, which any tool opens.

A comment in the head says what the mesh was made from and how, and holds a checksum of what
follows, so that the next run knows which files it can keep.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import IncompleteAtlasError
from bg_atlasapi.late import np
from bg_atlasapi.model.mesh import TriangleMesh
from bg_atlasapi.store import disk

if TYPE_CHECKING:
    import numpy.typing as npt

_MARK = b"comment bg_atlasapi "
_HEAD = """ply
format binary_little_endian 1.0
{mark}{facts}
comment vertices in um from the corner of voxel 0, columns in the atlas's axis order
element vertex {vertices}
property float x
property float y
property float z
element face {faces}
property list uchar int vertex_indices
end_header
"""
_MOST_HEAD = 4096


@dataclass(frozen=True, slots=True)
class MeshFacts:
    """What is known of a mesh that was made.

    Parameters
    ----------
    identifier
        Of the structure.
    side
        0 for all of it, 1 left, 2 right.
    voxels
        How many it was made from.
    volume_um3
        What it encloses, µm³.
    raw_triangles
        How many the faces of the voxels would be.
    triangles
        How many it has.
    watertight, manifold
        Every edge has a triangle on either side; and none has more.
    """

    identifier: int
    side: int
    voxels: int
    volume_um3: float
    raw_triangles: int
    triangles: int
    watertight: bool
    manifold: bool


def name_of(identifier: int, side: int = 0) -> str:
    """Return the name of a mesh's file."""
    return f"{identifier}{('', '_left', '_right')[side]}.ply"


def write_surface(folder: Path, mesh: TriangleMesh, facts: MeshFacts, key: str) -> None:
    """Write a mesh, whole or not at all.

    Parameters
    ----------
    folder
        Where to.
    mesh
        Vertices in µm.
    facts
        About it.
    key
        Digest of what it was made from and how.
    """
    faces = np.empty(len(mesh.triangles), _face_type())
    faces["count"], faces["corners"] = 3, mesh.triangles
    body = np.asarray(mesh.points, "<f4").tobytes() + faces.tobytes()
    stated = {"key": key, "crc": zlib.crc32(body), **asdict(facts)}
    head = _HEAD.format(
        mark=_MARK.decode(),
        facts=json.dumps(stated, sort_keys=True),
        vertices=len(mesh.points),
        faces=len(faces),
    )
    path = folder / name_of(facts.identifier, facts.side)
    disk.write_bytes(path, head.encode() + body, lasting=False)


def _face_type() -> np.dtype[Any]:
    return np.dtype([("count", "u1"), ("corners", "<i4", 3)])


def facts_in(path: Path, key: str) -> MeshFacts | None:
    """Return the facts of a mesh that is whole and was made with this key, else None."""
    try:
        stated, _, _, _ = _opened(path)
        if stated.pop("key") != key:
            return None
        return MeshFacts(**stated)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_surface(path: Path) -> TriangleMesh:
    """Read a mesh that was written here.

    Raises
    ------
    IncompleteAtlasError
        If it is missing or damaged.
    """
    try:
        _, vertices, faces, body = _opened(path)
        points = np.frombuffer(body, "<f4", 3 * vertices).reshape(-1, 3).astype(np.float64)
        rows: npt.NDArray[Any] = np.frombuffer(body, _face_type(), faces, 12 * vertices)
        return TriangleMesh(points, rows["corners"].astype(np.int64))
    except OSError as error:
        message = f"The mesh {path} cannot be read: {error.strerror or error}."
        raise IncompleteAtlasError(message) from error
    except (ValueError, KeyError, TypeError) as error:
        message = f"The mesh {path} is damaged ({error}); build it again."
        raise IncompleteAtlasError(message) from error


def _opened(path: Path) -> tuple[dict[str, Any], int, int, memoryview]:
    """Return what a file states, how many vertices and faces it has, and the rest of it.

    Raises
    ------
    ValueError
        If it was not written here, or is not as it was written.
    """
    data = path.read_bytes()
    end = data.find(b"end_header\n", 0, _MOST_HEAD) + len(b"end_header\n")
    lines = data[:end].split(b"\n")
    stated = next((line for line in lines if line.startswith(_MARK)), None)
    if stated is None:
        message = "it was not written here"
        raise ValueError(message)
    vertices, faces = (int(line.split()[2]) for line in lines if line.startswith(b"element "))
    facts, body = json.loads(stated[len(_MARK) :]), memoryview(data)[end:]
    if facts.pop("crc") != zlib.crc32(body):
        message = "its bytes are not those that were written"
        raise ValueError(message)
    return facts, vertices, faces, body
