"""The meshes of the V3 component store: Neuroglancer's multi-resolution format, in Draco.

``mesh/info`` (one for all), ``mesh/<id>.index`` (which fragments make up which level of detail) and
``mesh/<id>`` (the fragments, Draco). Vertices are X, Y, Z in nm, the reverse of the atlas's axis
order, and so is the order of each face's corners. The finest level is read. Software that wants a
file gets an OBJ, written on demand into a cache. Source: Neuroglancer's description of precomputed
meshes. Decoding is DracoPy's business.
"""

from __future__ import annotations

import os
import struct
import weakref
from functools import cached_property
from importlib import import_module
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import Finding, IncompleteAtlasError, InvalidAtlasError
from bg_atlasapi.formats.checks import Check
from bg_atlasapi.formats.mesh_files import obj_text
from bg_atlasapi.formats.packaged import is_there, read_json_file
from bg_atlasapi.late import np
from bg_atlasapi.model.mesh import TriangleMesh

if TYPE_CHECKING:
    import numpy.typing as npt

_NM_PER_UM = 1000.0
_PLAIN = (1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_HEAD = struct.Struct("<6fI")


class DracoMeshes:
    """The meshes of an annotation set, a ``MeshSource``.

    Parameters
    ----------
    folder
        Holds ``info``, ``<id>`` and ``<id>.index``.
    cache
        Where OBJ files are written.
    check
        Asked about each file before it is read.
    """

    def __init__(self, folder: Path, cache: Path, check: Check) -> None:
        self._folder, self._cache, self._check = folder, cache, check

    def __getstate__(self) -> dict[str, Any]:
        return {key: self.__dict__[key] for key in ("_folder", "_cache", "_check")}

    def path(self, identifier: int) -> Path:
        """Return where the OBJ file of a structure lies once it was asked for."""
        return self._cache / f"{identifier}.obj"

    def file(self, identifier: int) -> Path:
        """Return an OBJ file of a structure's mesh, written if it is not there yet.

        A structure without a mesh has no file, as in a package.

        Raises
        ------
        IncompleteAtlasError, InvalidAtlasError
            If the mesh is damaged, or listed and gone.
        """
        source, target = self._folder / str(identifier), self.path(identifier)
        self._check(source)
        try:
            status = source.stat()
        except OSError:
            return target
        stamp = f"# from {source.name}, {status.st_size} bytes, {status.st_mtime_ns}\n".encode()
        for place in (target, self._temporary / target.name) if self._fell_back else (target,):
            if _starts_with(place, stamp):
                return place
        text = stamp + obj_text(self.read(identifier))
        try:
            return _write(target, text)
        except OSError:  # a store that this account may only read
            return _write(self._temporary / target.name, text)

    @property
    def _fell_back(self) -> bool:
        return "_temporary" in self.__dict__

    @cached_property
    def _temporary(self) -> Path:
        import shutil
        import tempfile

        folder = tempfile.mkdtemp(prefix="bg_atlasapi-meshes-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

    def has(self, identifier: int) -> bool:
        """Say whether a structure has a mesh.

        Raises
        ------
        IncompleteAtlasError
            If it was installed and is gone or changed.
        """
        path = self._folder / str(identifier)
        if self._check.awaits(path):
            return True
        self._check(path)
        return is_there(path)

    def read(self, identifier: int) -> TriangleMesh:
        """Read the finest level of a structure's mesh.

        Raises
        ------
        IncompleteAtlasError
            If it is missing or damaged.
        InvalidAtlasError
            If the meshes are stored in a way that is not known here.
        """
        path = self._folder / str(identifier)
        data = self._bytes(path)
        index = path.with_name(f"{identifier}.index")
        self._check(index)
        try:
            if is_there(index):
                parts = list(starmap(self._dequantised, _finest(self._bytes(index), data)))
            else:
                parts = [_decode(data)]
            points, faces = _joined(parts)
            mesh = self._in_atlas(points, faces)
        except InvalidAtlasError:
            raise
        except Exception as error:  # whatever the damaged file trips
            message = f"The mesh {path} is damaged: {error}."
            raise IncompleteAtlasError(message) from error
        if not len(mesh.triangles) or not np.isfinite(mesh.points).all():
            message = f"The mesh {path} holds no triangles, or vertices that are not finite."
            raise IncompleteAtlasError(message)
        return mesh

    def _bytes(self, path: Path) -> bytes:
        self._check(path)
        try:
            return path.read_bytes()
        except OSError as error:
            message = f"The mesh {path} cannot be read: {error.strerror or error}."
            raise IncompleteAtlasError(message) from error

    @cached_property
    def _info(self) -> dict[str, Any]:
        path = self._folder / "info"
        self._check(path)
        if not is_there(path):
            return {}
        stated: Any = read_json_file(path)
        info: dict[str, Any] = stated if isinstance(stated, dict) else {}
        kind = info.get("@type")
        if kind != "neuroglancer_multilod_draco" or info.get("sharding"):
            what = f"sharded {kind}" if kind and info.get("sharding") else repr(kind)
            text = f"Its meshes are {what}; 'neuroglancer_multilod_draco', a file each, is read."
            raise InvalidAtlasError(path, [Finding("mesh-format", text, "error")])
        return info

    def _dequantised(
        self, fragment: bytes, corner: npt.NDArray[Any], size: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Decode a fragment; place what counts steps of the quantisation in its cell."""
        points, faces = _decode(fragment)
        top = (1 << int(self._info.get("vertex_quantization_bits", 16))) - 1
        # The format stores steps 0 … top within the cell. The peer 3.0.2 stores the quantisation's
        # origin and range in the fragment too, so that Draco gives coordinates: never all whole.
        steps = (points >= 0) & (points <= top) & (points == np.rint(points))
        return (corner + size * (points / top) if steps.all() else points), faces

    def _in_atlas(
        self, points: npt.NDArray[np.float64], faces: npt.NDArray[np.int64]
    ) -> TriangleMesh:
        """Turn the model's X, Y, Z into µm in the atlas's axis order."""
        matrix = np.array(self._info.get("transform", _PLAIN), dtype=np.float64).reshape(3, 4)
        if matrix.ravel().tolist() != list(_PLAIN):
            points = points @ matrix[:, :3].T + matrix[:, 3]
        if np.linalg.det(matrix[:, :3]) > 0:  # reversing the axes mirrors: turn the faces over too
            faces = faces[:, ::-1]
        return TriangleMesh(
            np.ascontiguousarray(points[:, ::-1]) / _NM_PER_UM, np.ascontiguousarray(faces)
        )


def _finest(
    index: bytes, data: bytes
) -> list[tuple[bytes, npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Return the fragments of level 0, each with corner and size of its cell."""
    *numbers, levels = _HEAD.unpack_from(index)
    cell, origin = np.array(numbers[:3], np.float64), np.array(numbers[3:], np.float64)
    place = _HEAD.size + 4 * levels  # the levels' scales serve to choose one
    if len(index) < place + 16 * levels or not levels:
        raise ValueError(f"its index has {len(index)} bytes for {levels} levels")
    offsets = np.frombuffer(index, "<f4", 3 * levels, place).reshape(levels, 3)
    place += 12 * levels
    count = int(np.frombuffer(index, "<u4", levels, place)[0])
    place += 4 * levels
    if len(index) < place + 16 * count:
        raise ValueError(f"its index has {len(index)} bytes for {count} fragments")
    positions = np.frombuffer(index, "<u4", 3 * count, place).reshape(3, count).T
    sizes = np.frombuffer(index, "<u4", count, place + 12 * count).tolist()
    if sum(sizes) > len(data):
        raise ValueError(f"its fragments take {sum(sizes):,} bytes, it has {len(data):,}")
    found, start = [], 0
    for position, size in zip(positions.astype(np.float64), sizes, strict=True):
        if size:
            corner = origin + offsets[0].astype(np.float64) + cell * position
            found.append((data[start : start + size], corner, cell))
        start += size
    return found


def _decode(fragment: bytes) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    draco = import_module("DracoPy")
    decoded = draco.decode(fragment)
    points = np.asarray(decoded.points, np.float64).reshape(-1, 3)
    return points, np.asarray(decoded.faces, np.int64).reshape(-1, 3)


def _joined(
    parts: list[tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    points, faces = [np.empty((0, 3))], [np.empty((0, 3), np.int64)]
    before = 0
    for more, corners in parts:
        points.append(more)
        faces.append(corners + before)
        before += len(more)
    return np.concatenate(points), np.concatenate(faces)


def _starts_with(path: Path, stamp: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(stamp)) == stamp
    except OSError:
        return False


def _write(target: Path, text: bytes) -> Path:
    """Write beside the target and rename: the file is whole or not there."""
    import tempfile

    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(".part", f".{target.name}.", target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)
    return target
