"""Write an atlas as a package, the layout that ``packaged`` reads and bg-atlasapi 1.0.3 opens.

TIFF stacks lie in one piece, uncompressed, so that readers map them. ``structures.csv`` is written
besides ``structures.json`` for the tools that read it.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats import components, packaged
from bg_atlasapi.formats.blocks import blocks
from bg_atlasapi.formats.csv_text import csv_text
from bg_atlasapi.formats.exporting import Job, forget_replaced, meshes_of
from bg_atlasapi.formats.label_checks import as_uint32
from bg_atlasapi.formats.mesh_files import ObjMeshes, obj_text
from bg_atlasapi.late import np
from bg_atlasapi.model.mesh import MeshSource
from bg_atlasapi.model.volume import VolumeSource
from bg_atlasapi.store.inventory import PACKAGES

if TYPE_CHECKING:
    import numpy.typing as npt

_TABLE = "structures.csv"
_ENTRY = ("acronym", "id", "name", "structure_id_path", "rgb_triplet")
_OF_STORES = {
    *("location", "coordinate_space", "terminology", "annotation_set", "template"),
    components.REFERENCES,
}
_BLOCK_BYTES = 32 << 20
# tifffile's own limit of the classic form, with room for the directories.
_CLASSIC_BYTES = (1 << 32) - (1 << 25)


class Package:
    """The writer of the ``"packaged"`` format."""

    def __init__(self, job: Job) -> None:
        self._job, self._atlas = job, job.atlas
        self._name = f"{job.name}_v{job.version}"
        self._folder = job.staging / self._name
        reserved = (packaged.REFERENCE, packaged.ANNOTATION, packaged.HEMISPHERES)
        for name in self._atlas.references:
            if (
                f"{name}.tiff" in reserved
                or not name.strip(". ")
                or set(name) & set('/\\:*?"<>|\0')
            ):
                message = f"{name!r} cannot be the name of an additional reference in a package."
                raise InvalidInputError(message)

    def folders(self) -> Sequence[str]:
        """Return the one folder of a package."""
        return [self._name]

    def write(self) -> None:
        """Write volumes, meshes, structures and metadata."""
        (self._folder / packaged.MESHES).mkdir(parents=True)
        volumes = {packaged.REFERENCE: self._atlas.reference}
        volumes |= {f"{name}.tiff": one for name, one in self._atlas.references.items()}
        for name, volume in volumes.items():
            self._stack(name, volume, volume.dtype)
        self._stack(packaged.ANNOTATION, self._atlas.annotation, np.dtype(np.uint32), as_uint32)
        if self._atlas.hemispheres is not None:
            sides = self._atlas.hemispheres
            self._stack(packaged.HEMISPHERES, sides, sides.dtype)
        self._surfaces(packaged.MESHES, self._atlas.meshes)
        for side, meshes in self._atlas.side_meshes.items():
            self._surfaces(packaged.SIDE_MESHES[side], meshes)
        self._write_structures()
        stated = json.dumps(self._metadata()).encode()
        (self._folder / packaged.METADATA).write_bytes(stated)

    def _surfaces(self, name: str, meshes: MeshSource) -> None:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        for identifier in meshes_of(self._job, meshes):
            write_obj(meshes, identifier, folder / f"{identifier}.obj")

    def placed(self) -> None:
        """Forget what was installed in its place."""
        forget_replaced(self._job, PACKAGES)

    def _metadata(self) -> dict[str, Any]:
        published = self._atlas.metadata
        kept = {key: value for key, value in published.items() if key not in _OF_STORES}
        if kept.get("atlas_packager", "") is None:  # stores state the lack of it
            del kept["atlas_packager"]
        kept.setdefault("symmetric", self._atlas.hemispheres is None)
        kept.setdefault("name", self._job.name.rpartition("_")[0] or self._job.name)
        return {
            **kept,
            "version": self._job.version,
            "additional_references": [*self._atlas.references],
        }

    def _write_structures(self) -> None:
        entries = [{key: one[key] for key in _ENTRY} for one in self._atlas.structures]
        (self._folder / packaged.STRUCTURES).write_bytes(json.dumps(entries).encode())
        rows = []
        for one in entries:
            path = one["structure_id_path"]
            spelt = "".join(f"/{part}" for part in path) + "/"
            parent = path[-2] if len(path) > 1 else None
            rows.append([one["acronym"], one["id"], one["name"], spelt, parent])
        text = csv_text([*_ENTRY[:-1], "parent_structure_id"], rows)
        (self._folder / _TABLE).write_bytes(text.encode())

    def _stack(
        self,
        name: str,
        volume: VolumeSource,
        dtype: np.dtype[Any],
        convert: Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None = None,
    ) -> None:
        def planes() -> Iterator[npt.NDArray[Any]]:
            per_plane = max(volume.dtype.itemsize * int(np.prod(volume.shape[1:])), 1)
            for block in blocks(volume, max(1, _BLOCK_BYTES // per_plane)):
                yield from convert(block) if convert else block
                self._job.tally.add(block.nbytes)
                self._job.tally.say()

        write_stack(self._folder / name, planes(), volume.shape, dtype)


def write_obj(meshes: MeshSource, identifier: int, target: Path) -> None:
    """Write the mesh of a structure as OBJ; a file that is one already is copied."""
    mesh = meshes.read(identifier)  # a damaged one is an error here
    if isinstance(meshes, ObjMeshes):
        shutil.copyfile(meshes.path(identifier), target)
    else:
        target.write_bytes(obj_text(mesh))


def write_stack(
    path: Path,
    planes: Iterator[npt.NDArray[Any]],
    shape: Sequence[int],
    dtype: np.dtype[Any],
    **tags: Any,
) -> None:
    """Write an uncompressed TIFF stack, plane by plane.

    Parameters
    ----------
    path
        The file.
    planes
        Arrays of ``shape[1:]``, ``shape[0]`` of them.
    shape, dtype
        Of the stack.
    **tags
        What else ``tifffile`` is to write.

    Raises
    ------
    OSError
        If it cannot be written, always with its ``errno``.
    """
    import tifffile

    size = np.dtype(dtype).itemsize * int(np.prod(shape, dtype=np.int64))
    try:
        with tifffile.TiffWriter(path, bigtiff=size > _CLASSIC_BYTES) as writer:
            writer.write(planes, shape=tuple(shape), dtype=dtype, photometric="minisblack", **tags)
    except OSError as error:
        # numpy tells how much of an array it wrote and not why it stopped: the disk is full.
        if type(error) is OSError and error.errno is None:
            raise OSError(errno.ENOSPC, str(error), str(path)) from error
        raise
