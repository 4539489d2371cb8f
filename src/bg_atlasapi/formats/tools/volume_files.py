"""Volumes as NIfTI and NRRD, compressed, in RAS+ millimetres.

Index ``[i, j, k]`` of the file is ``[i, j, k]`` of the atlas; the axes' directions are in the
header. Both formats hold the same values at the same points. Time stamps and names are left out of
the compressed stream: the same volume gives the same bytes.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.tools.base import Image, ToolWriter
from bg_atlasapi.formats.tools.turned import Turned
from bg_atlasapi.late import np
from bg_atlasapi.model.affine import ras_from_voxel
from bg_atlasapi.model.space import CoordinateSpace

if TYPE_CHECKING:
    import numpy.typing as npt

    Header = Callable[[CoordinateSpace, np.dtype[Any], Image], bytes]

# Of labels at 25 µm: 220 MB/s and 2.3 %; level 6 158 MB/s and 1.6 %, and half as fast for images.
_GZIP_LEVEL = 4
_NIFTI1_LENGTH = 32767
# "Aligned to something": the frame is the atlas's own, no scanner's and not Talairach's or MNI's.
_FRAME_CODE = 2
_NRRD_NAMES = {"i1": "int8", "u1": "uint8", "i2": "int16", "u2": "uint16", "i4": "int32"} | {
    "u4": "uint32",
    "i8": "int64",
    "u8": "uint64",
    "f4": "float",
    "f8": "double",
}


def need_nibabel() -> None:
    """Raise ``InvalidInputError`` if NIfTI headers cannot be made here."""
    try:
        import_module("nibabel")
    except ImportError as error:
        message = f'NIfTI needs the package nibabel: pip install "bg-atlasapi[export]" ({error}).'
        raise InvalidInputError(message) from error


def volume_work(images: Sequence[Image]) -> int:
    """Return the progress that writing makes: each byte is read, then compressed."""
    return 2 * sum(image.nbytes for image in images)


def write_nifti(writer: ToolWriter, image: Image, path: Path) -> None:
    """Write ``.nii.gz``.

    Parameters
    ----------
    writer
        For whom; its progress is told.
    image
        Of the shape of the atlas.
    path
        The file.
    """
    _write(writer, image, path, nifti_header, compressed_header=True)


def write_nrrd(writer: ToolWriter, image: Image, path: Path) -> None:
    """Write ``.nrrd``, header and data in one file; parameters as of ``write_nifti``."""
    _write(writer, image, path, nrrd_header, compressed_header=False)


def _write(
    writer: ToolWriter, image: Image, path: Path, header: Header, *, compressed_header: bool
) -> None:
    turned = Turned(image, writer.scratch("turned"), writer.done)
    try:
        dtype = file_dtype(image, turned.low, turned.high)
        start = header(writer.atlas.space, dtype, image)
        with path.open("wb") as file:
            if not compressed_header:
                file.write(start)
            with _gzip(file) as stream:
                if compressed_header:
                    stream.write(start)
                for part in turned.parts():
                    stream.write(part.astype(dtype, copy=False).data)
                    writer.done(part.nbytes)
    finally:
        turned.close()


def _gzip(file: BinaryIO) -> gzip.GzipFile:
    return gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0)


def file_dtype(image: Image, low: int, high: int) -> np.dtype[Any]:
    """Return the type of values in a file, little-endian, that holds them all exactly.

    Labels of 32 bits are signed where they fit: fewer tools read ``uint32``.

    Parameters
    ----------
    image
        What was read.
    low, high
        Of its values, if they are labels.

    Raises
    ------
    InvalidInputError
        If there is none.
    """
    kind, size = image.dtype.kind, image.dtype.itemsize
    if kind == "b":
        return np.dtype("u1")
    if kind == "f" and size <= 8:
        return np.dtype("<f4" if size < 8 else "<f8")
    if kind not in "iu":
        raise InvalidInputError(f"The volume {image.name!r} holds {image.dtype}, not numbers.")
    if not image.labels or size <= 2:
        return image.dtype.newbyteorder("<")
    for spelt in ("<i4", "<u4", "<i8"):
        limits = np.iinfo(spelt)
        if limits.min <= low and high <= limits.max:
            return np.dtype(spelt)
    message = f"The annotation holds the label {high}; files of other tools end at 2**63 - 1."
    raise InvalidInputError(message)


def nifti_header(space: CoordinateSpace, dtype: np.dtype[Any], image: Image) -> bytes:
    """Return all that comes before the data: NIfTI-1, or NIfTI-2 where an axis is too long.

    Parameters
    ----------
    space
        Gives the affine; qform and sform hold the same.
    dtype
        In the file.
    image
        Its name and kind are stated.
    """
    nibabel = import_module("nibabel")
    kind = nibabel.Nifti2Header if max(image.shape) > _NIFTI1_LENGTH else nibabel.Nifti1Header
    header = kind(endianness="<")
    header.set_data_dtype(dtype)
    header.set_data_shape(image.shape)
    affine = ras_from_voxel(space)
    header.set_sform(affine, _FRAME_CODE)
    header.set_qform(affine, _FRAME_CODE)
    header.set_xyzt_units("mm")
    header.set_slope_inter(1, 0)
    if image.labels:
        header.set_intent("label")
    header["descrip"] = image.name.encode()[:79]
    offset = header.single_vox_offset
    header.set_data_offset(offset)
    return bytes(header.binaryblock).ljust(offset, b"\0")


def nrrd_header(space: CoordinateSpace, dtype: np.dtype[Any], image: Image) -> bytes:
    """Return the header of an NRRD file, its empty last line included; parameters as above.

    Source: https://teem.sourceforge.net/nrrd/format.html.
    """
    affine = ras_from_voxel(space)
    lines = [
        "NRRD0005",
        f"content: {image.name}",
        f"type: {_NRRD_NAMES[dtype.str[1:]]}",
        "dimension: 3",
        "space: right-anterior-superior",
        f"sizes: {' '.join(map(str, image.shape))}",
        f"space directions: {' '.join(_vector(affine[:3, axis]) for axis in range(3))}",
        "kinds: domain domain domain",
        *(["endian: little"] if dtype.itemsize > 1 else []),
        "encoding: gzip",
        'space units: "mm" "mm" "mm"',
        f"space origin: {_vector(affine[:3, 3])}",
    ]
    return "\n".join([*lines, "", ""]).encode()


def _vector(values: npt.NDArray[np.float64]) -> str:
    return f"({','.join(repr(float(one) + 0.0) for one in values)})"
