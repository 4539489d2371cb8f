"""Open NRRD files, attached (``.nrrd``) or with their data elsewhere (``.nhdr``).

The header is pynrrd's business, what it means and the voxels are read here. Format:
https://teem.sourceforge.net/nrrd/format.html.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from bg_atlasapi.errors import Finding, InvalidInputError
from bg_atlasapi.formats.detached import beside, numbered
from bg_atlasapi.formats.image_frames import Frame, frame_of, plain_spacing, unit_of
from bg_atlasapi.formats.image_sources import Squeezed
from bg_atlasapi.formats.images import StoredImage
from bg_atlasapi.formats.voxel_files import BZ2, DEFLATED, PLAIN, VoxelFile, VoxelLayout
from bg_atlasapi.late import np

_TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(
        ("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"
    ),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(
        ("longlong", "long long", "long long int", "signed long long", "signed long long int"), "i8"
    ),
    **dict.fromkeys(("int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int"), "u8"),
    **dict.fromkeys(("uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}
_PACKINGS = {
    "raw": PLAIN,
    "gzip": DEFLATED,
    "gz": DEFLATED,
    "bzip2": BZ2,
    "bz2": BZ2,
}
_LIST = re.compile(r"data ?file: *LIST")
_MOST_HEADER = 1 << 20
# Signs that turn an axis of a space into that of RAS+.
_SPACES = {"left": -1, "right": 1, "posterior": -1, "anterior": 1, "superior": 1, "inferior": -1}
_SHORT = {letter[0].upper(): letter for letter in _SPACES}
# The Common Coordinate Framework of the Allen Institute, µm along anterior-posterior,
# superior-inferior, right-left. Its files state a frame in which none of the axes is right.
_CCF_UM = (13200.0, 8000.0, 11400.0)


def need_nrrd() -> Any:
    """Return the package nrrd; raise ``InvalidInputError`` if it is not installed."""
    try:
        return import_module("nrrd")
    except ImportError as error:
        message = f'NRRD needs the package pynrrd: pip install "bg-atlasapi[build]" ({error}).'
        raise InvalidInputError(message) from error


def open_nrrd(path: Path) -> StoredImage:
    """Open a ``.nrrd`` or ``.nhdr`` file.

    Raises
    ------
    InvalidInputError
        If it is none, it is damaged, its data lie outside its folder, or pynrrd is not installed.
    """
    nrrd = need_nrrd()
    try:
        lines, names, offset = _header_lines(path)
        header = nrrd.read_header(lines)
        sizes = tuple(int(size) for size in header["sizes"])
    except Exception as error:  # pynrrd meets bytes it does not expect in many ways
        reason = str(error) or "it has no header"
        message = f"{path} is no NRRD file, or it is damaged ({reason})."
        raise InvalidInputError(message) from error
    if len(sizes) != header.get("dimension"):
        message = f"{path} states {header.get('dimension')} axes, but the sizes of {len(sizes)}."
        raise InvalidInputError(message)
    files, offset = _files(path, header, names, offset)
    source: Any = VoxelFile(files, _layout(path, header, sizes, files, offset))
    spatial = _spatial(header, sizes)
    if len(spatial) == 3 and len(sizes) > 3:
        source = Squeezed(source, spatial)
    frame = _frame(path, header, sizes, spatial) if len(spatial) == 3 else Frame()
    return StoredImage.framed(source, frame, path)


def _header_lines(path: Path) -> tuple[list[str], list[str], int]:
    """Return the lines of a header, the data files it lists, and where it ends.

    pynrrd knows no lists of data files, which end a header.
    """
    with path.open("rb") as file:
        lines = []
        while file.tell() < _MOST_HEADER:
            line = file.readline(_MOST_HEADER).decode("latin-1").rstrip()
            if not line:
                break
            lines.append(line)
            if _LIST.match(line):
                names = [name.decode("latin-1").strip() for name in file]
                return lines, [name for name in names if name], file.tell()
        return lines, [], file.tell()


def _files(
    path: Path, header: Mapping[str, Any], names: Sequence[str], offset: int
) -> tuple[list[Path], int]:
    """Return the files of the voxels, and where in each they begin."""
    stated = header.get("data file", header.get("datafile"))
    if stated is None:
        return [path], offset
    stated = " ".join(stated) if isinstance(stated, list) else str(stated)
    found = names or numbered(stated) or [stated]
    return [beside(path, name) for name in found], 0


def _layout(
    path: Path,
    header: Mapping[str, Any],
    sizes: tuple[int, ...],
    files: Sequence[Path],
    offset: int,
) -> VoxelLayout:
    code = _TYPES.get(str(header.get("type")))
    if code is None:
        message = f"{path} holds values of the type {header.get('type')!r}, an image holds numbers."
        raise InvalidInputError(message)
    encoding = str(header.get("encoding")).lower()
    if encoding not in _PACKINGS:
        message = f"{path} is encoded as {encoding!r}; raw, gzip and bzip2 can be read."
        raise InvalidInputError(message)
    endian = header.get("endian")
    if code[1] != "1" and endian not in {"little", "big"}:
        message = f"{path} does not say the byte order of its values (endian: little or big)."
        raise InvalidInputError(message)
    dtype = np.dtype(("<" if endian == "little" else ">") + code)
    lines, skip = (
        int(header.get(key, header.get(key.replace(" ", ""), 0)))
        for key in ("line skip", "byte skip")
    )
    if lines > 0:
        offset = _after_lines(files[0], offset, lines)
    if skip == -1 and _PACKINGS[encoding] == PLAIN:
        return VoxelLayout(sizes, dtype, -1)
    if skip < 0 or lines < 0:
        message = f"{path} leaves out {min(skip, lines)} bytes or lines, which means nothing."
        raise InvalidInputError(message)
    return VoxelLayout(sizes, dtype, offset, _PACKINGS[encoding], skip)


def _after_lines(path: Path, offset: int, lines: int) -> int:
    with path.open("rb") as file:
        file.seek(offset)
        for _ in range(lines):
            if not file.readline():
                break
        return file.tell()


def _spatial(header: Mapping[str, Any], sizes: tuple[int, ...]) -> list[int]:
    """Return the axes that lie in space: not those of one channel, nor of lists."""
    directions = header.get("space directions")
    if directions is None:
        return [axis for axis, size in enumerate(sizes) if size != 1 or len(sizes) <= 3]
    rows = [] if directions is None else list(directions)
    none = [row is None or not np.isfinite(np.asarray(row, float)).all() for row in rows]
    return [
        axis
        for axis, size in enumerate(sizes)
        if not (len(sizes) > 3 and size == 1 and axis < len(none) and none[axis])
    ]


def _frame(
    path: Path, header: Mapping[str, Any], sizes: tuple[int, ...], spatial: Sequence[int]
) -> Frame:
    where, shape = str(path), [sizes[axis] for axis in spatial]
    directions = header.get("space directions")
    if directions is None:
        return _unplaced(header, spatial, shape, where)
    rows = np.array([np.asarray(directions[axis], float) for axis in spatial])
    if rows.shape != (3, 3):
        return Frame()
    lengths = np.sqrt((rows**2).sum(axis=1)).tolist()
    units = header.get("space units") or [None]
    factor, remarks = unit_of(units[0], lengths, shape, where)
    signs = _signs(str(header.get("space", "")))
    if signs is None:
        spacing = plain_spacing([length * factor for length in lengths])
        return Frame(spacing, remarks=remarks)
    affine = np.eye(4)
    affine[:3, :3] = signs @ rows.T
    origin = header.get("space origin")
    affine[:3, 3] = signs @ np.asarray(origin, float) if origin is not None else 0
    if header.get("space units") is None and _is_allen(rows, origin, shape):
        return _allen(rows, where)
    return frame_of(affine, factor, where, remarks)


def _unplaced(
    header: Mapping[str, Any], spatial: Sequence[int], shape: Sequence[int], where: str
) -> Frame:
    """Return the frame of a header without directions, which may state voxel sizes."""
    stated = header.get("spacings")
    if stated is None or len(stated) <= max(spatial):
        return Frame()
    sizes = [float(stated[axis]) for axis in spatial]
    units = header.get("units")
    unit = units[spatial[0]] if units is not None and len(units) > spatial[0] else None
    factor, remarks = unit_of(unit, sizes, shape, where)
    return Frame(plain_spacing([size * factor for size in sizes]), remarks=remarks)


def _signs(space: str) -> Any:
    """Return the matrix from a space to RAS+, None if the space is not one of a body."""
    spelt = space.strip().lower().removesuffix("-time").removesuffix("t")
    words = spelt.split("-")
    if len(spelt) == 3 and spelt.upper() in {"RAS", "LAS", "LPS"}:
        words = [_SHORT[letter] for letter in spelt.upper()]
    if len(words) != 3 or any(word not in _SPACES for word in words):
        return None
    return np.diag([float(_SPACES[word]) for word in words])


def _is_allen(rows: Any, origin: Any, shape: Sequence[int]) -> bool:
    """Say whether this is a volume of the Allen CCF, as the institute publishes it."""
    size = float(rows[0, 0])
    zero = origin is None or not np.any(origin)
    extent = [length * size for length in shape]
    return zero and bool((rows == np.eye(3) * size).all()) and tuple(extent) == _CCF_UM


def _allen(rows: Any, where: str) -> Frame:
    size = float(rows[0, 0])
    message = (
        f"{where} has the grid of the Allen CCF ({size:g} µm); its header names axes that are not "
        'its own, so it is read as what it is published as: "asr", in µm.'
    )
    mend = "State orientation and voxel size if it is something else."
    remark = Finding("allen-frame", message, "note", where, mend)
    return Frame((size, size, size), "asr", remarks=(remark,))
