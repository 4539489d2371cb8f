"""Write a volume in the space of an atlas as one image file; the name says which kind.

NIfTI and NRRD state where it lies (RAS+ millimetres, as exported atlases do), OME-Zarr and TIFF
its voxel size. Every kind says where the numbers come from; beside ``.npy``, which has no room for
that, lies ``<file>-metadata.json``. The file is whole or not there.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import AlreadyThereError, InvalidInputError
from bg_atlasapi.formats.packaged_writing import write_stack
from bg_atlasapi.formats.provenance import KEY, Provenance, into_nifti, sidecar_of, sidecar_text
from bg_atlasapi.formats.tools.base import Image
from bg_atlasapi.formats.tools.volume_files import file_dtype, need_nibabel, nrrd_header
from bg_atlasapi.formats.zarr_writing import ImageWriter
from bg_atlasapi.late import np
from bg_atlasapi.model.affine import ras_from_voxel
from bg_atlasapi.model.space import CoordinateSpace

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

_ALIGNED = 2  # NIfTI's code for a frame that is neither a scanner's nor Talairach's
_GZIP_LEVEL = 4
_NO_UNIT = 1


def write_image(
    volume: npt.ArrayLike,
    path: str | Path,
    space: CoordinateSpace,
    provenance: Provenance | None = None,
) -> None:
    """Write a volume.

    Parameters
    ----------
    volume
        Of three axes.
    path
        Ends in ``.nii.gz``, ``.nii``, ``.nrrd``, ``.tif``, ``.tiff``, ``.npy`` or ``.zarr``. A file
        that is there is replaced, a folder is not.
    space
        Of the volume: its shape, voxel size and orientation.
    provenance
        Where the numbers come from.

    Raises
    ------
    InvalidInputError
        If the name says no kind, the volume is not of the space, or it cannot be written.
    """
    path = Path(path)
    check_image_output(path)
    array = np.asarray(volume)
    if array.shape != space.shape:
        message = f"The volume has the shape {array.shape}, its space {space.shape}."
        raise InvalidInputError(message)
    array = array.astype(file_dtype(_described(array), 0, 0), copy=False)
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        try:
            _writer_of(path)(array, partial, space, provenance)
            partial.replace(path)
            if provenance is not None and path.suffix.lower() == ".npy":
                sidecar_of(path).write_text(sidecar_text(path, provenance), encoding="utf-8")
        finally:
            _remove(partial)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror or error}."
        raise InvalidInputError(message) from error


def check_image_output(path: Path) -> None:
    """Make sure an image can be written to a file of this name, before work is done for it.

    Raises
    ------
    InvalidInputError
        If the ending is unknown, a library is missing, or the folder is not there.
    AlreadyThereError
        If a folder of this name is there.
    """
    writer = _writer_of(path)
    if writer is _write_nifti:
        need_nibabel()
    if path.is_dir():
        raise AlreadyThereError(f"{path} is a folder that is there already.")
    if not path.parent.is_dir():
        raise InvalidInputError(f"{path} cannot be written: there is no folder {path.parent}.")


def _writer_of(path: Path) -> Callable[[Array, Path, CoordinateSpace, Provenance | None], None]:
    for ending, writer in _WRITERS.items():
        if path.name.lower().endswith(ending):
            return writer
    kinds = ", ".join(_WRITERS)
    raise InvalidInputError(f"{path} cannot be written: its name must end in one of {kinds}.")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _described(array: Array) -> Image:
    return Image("volume", array.shape, array.dtype, labels=False, blocks=lambda: iter((array,)))


def _write_nifti(
    array: Array, path: Path, space: CoordinateSpace, provenance: Provenance | None
) -> None:
    nib: Any = import_module("nibabel")
    kind = nib.Nifti2Image if max(array.shape) > np.iinfo(np.int16).max else nib.Nifti1Image
    affine = ras_from_voxel(space)
    image = kind(array, affine, dtype=array.dtype)
    image.header.set_sform(affine, _ALIGNED)
    image.header.set_qform(affine, _ALIGNED)
    image.header.set_xyzt_units("mm")
    if provenance is not None:
        into_nifti(image, provenance)
    nib.save(image, path)


def _write_nrrd(
    array: Array, path: Path, space: CoordinateSpace, provenance: Provenance | None
) -> None:
    header = nrrd_header(space, array.dtype, _described(array)).removesuffix(b"\n")
    if provenance is not None:
        header += f"{KEY}:={_text(provenance)}\n".encode()
    with path.open("wb") as file:
        file.write(header + b"\n")
        with gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as stream:
            for first in range(array.shape[2]):  # the first index runs fastest
                stream.write(np.ascontiguousarray(array[:, :, first].T).data)


def _write_tiff(
    array: Array, path: Path, space: CoordinateSpace, provenance: Provenance | None
) -> None:
    depth_um, height_um, width_um = space.spacing_um
    count = array.shape[0]
    description = (
        f"ImageJ=1.53t\nimages={count}\nslices={count}\nunit=micron\n"
        f"spacing={depth_um!r}\nloop=false\n"
    )
    if provenance is not None:
        description += f"{KEY}={_text(provenance)}\n"
    write_stack(
        path,
        iter(array),
        array.shape,
        array.dtype,
        description=description,
        metadata=None,
        resolution=(1 / width_um, 1 / height_um),
        resolutionunit=_NO_UNIT,
    )


def _write_zarr(
    array: Array, path: Path, space: CoordinateSpace, provenance: Provenance | None
) -> None:
    writer = ImageWriter(path, array.dtype, space, labels=False)
    depth = writer.chunk_shape[0]
    for first in range(0, len(array), depth):
        writer.put(array[first : first + depth])
    if provenance is not None:
        described = path / "zarr.json"
        stated = json.loads(described.read_bytes())
        stated["attributes"][KEY] = provenance.to_dict()
        described.write_bytes(json.dumps(stated, indent=2).encode())


def _write_npy(
    array: Array, path: Path, _space: CoordinateSpace, _provenance: Provenance | None
) -> None:
    with path.open("wb") as file:
        np.save(file, array)


def _text(provenance: Provenance) -> str:
    return json.dumps(provenance.to_dict(), allow_nan=False)  # ASCII, one line


_WRITERS: dict[str, Callable[[Array, Path, CoordinateSpace, Provenance | None], None]] = {
    ".nii.gz": _write_nifti,
    ".nii": _write_nifti,
    ".nrrd": _write_nrrd,
    ".tif": _write_tiff,
    ".tiff": _write_tiff,
    ".zarr": _write_zarr,
    ".npy": _write_npy,
}
