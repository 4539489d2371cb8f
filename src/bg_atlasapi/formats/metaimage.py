"""Open MetaImage files, attached (``.mha``) or with their data elsewhere (``.mhd``).

Lines ``Key = value``, the last of which is ``ElementDataFile``. Directions and offset are in LPS,
the direction of the first axis first, as ITK writes them. Format:
https://itk.org/Wiki/ITK/MetaIO/Documentation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from bg_atlasapi.errors import Finding, InvalidInputError
from bg_atlasapi.formats.detached import beside, numbered
from bg_atlasapi.formats.image_frames import Frame, frame_of, plain_spacing, unit_of
from bg_atlasapi.formats.image_sources import Squeezed
from bg_atlasapi.formats.images import StoredImage
from bg_atlasapi.formats.voxel_files import DEFLATED, PLAIN, VoxelFile, VoxelLayout
from bg_atlasapi.late import np

_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",  # MetaIO's own size, whatever the machine's
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_MOST_HEADER = 1 << 20
_MOST_AXES = 10
_SAYS_DATA = "elementdatafile"
_SIDES = {"R": "r", "L": "l", "A": "a", "P": "p", "I": "i", "S": "s"}


def open_metaimage(path: Path) -> StoredImage:
    """Open a ``.mha`` or ``.mhd`` file.

    Raises
    ------
    InvalidInputError
        If it is none, it is damaged, or its data lie outside its folder.
    """
    with path.open("rb") as file:
        header = _read_header(path, file)
        offset = file.tell()
        files, offset = _files(path, header, file, offset)
    try:
        shape = _shape(path, header)
        layout = _layout(path, header, shape, offset)
        kept = [axis for axis, size in enumerate(shape) if axis < 3 or size != 1]
        source: Any = VoxelFile(files, layout)
        frame = _frame(header, shape, str(path)) if len(kept) == 3 else Frame()
    except (ValueError, OverflowError) as error:
        if isinstance(error, InvalidInputError):
            raise
        message = f"The header of {path} is no sound one of a MetaImage: {error}."
        raise InvalidInputError(message) from error
    if len(kept) < len(shape):
        source = Squeezed(source, kept)
    return StoredImage.framed(source, frame, path)


def _read_header(path: Path, file: BinaryIO) -> dict[str, str]:
    """Return keys in lower case, and values; stop after the line that names the data."""
    header: dict[str, str] = {}
    while _SAYS_DATA not in header and file.tell() < _MOST_HEADER:
        line = file.readline(_MOST_HEADER)
        key, equals, value = line.decode("latin-1").partition("=")
        if not line or (not equals and line.strip()):
            break
        if equals:
            header[key.strip().lower()] = value.strip()
    if _SAYS_DATA not in header:
        message = f"{path} is no MetaImage, or it is cut short: no line names ElementDataFile."
        raise InvalidInputError(message)
    return header


def _files(
    path: Path, header: Mapping[str, str], file: BinaryIO, offset: int
) -> tuple[list[Path], int]:
    """Return the files of the voxels, and where in each they begin."""
    stated = header[_SAYS_DATA]
    skip = _whole(header.get("headersize", "0"))
    if stated.upper() == "LOCAL":
        return [path], offset
    if stated.split()[:1] == ["LIST"]:
        names = [line.decode("latin-1").strip() for line in file]
        names = [name for name in names if name]
    else:
        names = numbered(stated) or [stated]
    return [beside(path, name) for name in names], skip


def _shape(path: Path, header: Mapping[str, str]) -> tuple[int, ...]:
    axes = _whole(header.get("ndims", "0"))
    if not 1 <= axes <= _MOST_AXES:
        message = f"{path} states {axes} axes (NDims); an image of a brain has 3."
        raise InvalidInputError(message)
    shape = tuple(_whole(part) for part in header.get("dimsize", "").split())
    if len(shape) != axes:
        message = f"{path} states {axes} axes (NDims), but the sizes of {len(shape)} (DimSize)."
        raise InvalidInputError(message)
    channels = _whole(header.get("elementnumberofchannels", "1"))
    if channels != 1:
        message = f"{path} holds {channels} values a voxel; an image of an atlas holds one."
        raise InvalidInputError(message)
    return shape


def _layout(
    path: Path, header: Mapping[str, str], shape: tuple[int, ...], offset: int
) -> VoxelLayout:
    code = _TYPES.get(header.get("elementtype", "").upper())
    if code is None:
        stated = header.get("elementtype", "nothing")
        message = f"{path} holds values of the type {stated}; {', '.join(_TYPES)} can be read."
        raise InvalidInputError(message)
    if not _is_true(header.get("binarydata", "True")):
        message = f"{path} holds its values as text (BinaryData = False); write them as numbers."
        raise InvalidInputError(message)
    big = header.get("binarydatabyteordermsb", header.get("elementbyteordermsb", "False"))
    dtype = np.dtype((">" if _is_true(big) else "<") + code)
    packing = DEFLATED if _is_true(header.get("compresseddata", "False")) else PLAIN
    return VoxelLayout(shape, dtype, offset, packing)


def _frame(header: Mapping[str, str], shape: tuple[int, ...], where: str) -> Frame:
    axes = len(shape)
    stated = header.get("elementspacing", header.get("elementsize"))
    if stated is None:
        return Frame()
    sizes = [float(part) for part in stated.split()]
    if len(sizes) != axes:
        raise ValueError(f"it has {axes} axes, but voxel sizes of {len(sizes)}")
    spatial = shape[:3]
    factor, remarks = unit_of(header.get("distanceunits"), sizes[:3], spatial, where)
    sides = header.get("anatomicalorientation", "").upper()
    letters = "".join(_SIDES.get(side, "") for side in sides)
    matrix = _first(header, "transformmatrix", "rotation", "orientation")
    if matrix is None:
        known = letters if _is_orientation(letters) else None
        spacing = plain_spacing([size * factor for size in sizes[:3]])
        return Frame(spacing, known, remarks=remarks)
    numbers = np.array([float(part) for part in matrix.split()])
    if numbers.size != axes * axes:
        raise ValueError(f"its matrix has {numbers.size} numbers, not {axes * axes}")
    to_ras = np.diag([-1.0, -1.0, 1.0])
    directions = numbers.reshape(axes, axes)[:3, :3].T  # a row a voxel axis in the file
    affine = np.eye(4)
    affine[:3, :3] = to_ras @ directions * sizes[:3]
    origin = (_first(header, "offset", "position", "origin") or "0 0 0").split()[:3]
    affine[:3, 3] = to_ras @ [float(part) for part in origin]
    frame = frame_of(affine, factor, where, remarks)
    return _with_contradiction(frame, letters, where)


def _with_contradiction(frame: Frame, letters: str, where: str) -> Frame:
    """Add a remark if the letters of a header say something else than its matrix."""
    if not _is_orientation(letters) or frame.orientation in {None, letters}:
        return frame
    message = (
        f"{where} says {letters.upper()} (AnatomicalOrientation), but its TransformMatrix says "
        f"that index 0 lies {frame.orientation!r}; the matrix counts, as in ITK."
    )
    mend = "State the orientation, and look at the orientation picture."
    remark = Finding("header-contradiction", message, "warning", where, mend)
    return Frame(
        frame.spacing_um,
        frame.orientation,
        frame.tilt_degrees,
        frame.affine,
        (*frame.remarks, remark),
    )


def _is_orientation(letters: str) -> bool:
    axes = {"p": 0, "a": 0, "s": 1, "i": 1, "l": 2, "r": 2}
    return sorted(axes[letter] for letter in letters) == [0, 1, 2]


def _first(header: Mapping[str, str], *keys: str) -> str | None:
    return next((header[key] for key in keys if key in header), None)


def _is_true(text: str) -> bool:
    return text.strip().lower() in {"true", "t", "1"}


def _whole(text: str) -> int:
    number = float(text)
    if not math.isfinite(number) or number != int(number):
        raise InvalidInputError(f"The header of a MetaImage states {text!r}, not a whole number.")
    return int(number)
