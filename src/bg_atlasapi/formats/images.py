"""Open an image from a file: NIfTI, TIFF, OME-Zarr or Zarr, npy.

What comes back can be sliced and reads as it is sliced; ``.nii.gz`` is one stream and is unpacked
into memory. What its axes mean is said as far as the file says it. Nothing here knows an atlas.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import AtlasError, InvalidAtlasError, InvalidInputError
from bg_atlasapi.formats.checks import no_check
from bg_atlasapi.formats.tiff import TiffVolume
from bg_atlasapi.formats.tools.volume_files import need_nibabel
from bg_atlasapi.formats.zarr_array import ZarrArray, ZarrVolume
from bg_atlasapi.formats.zarr_metadata import levels_of
from bg_atlasapi.late import np
from bg_atlasapi.model import indexing

if TYPE_CHECKING:
    from bg_atlasapi.model.volume import VolumeSource

    Triplet = tuple[float, float, float]

_KINDS = ".nii, .nii.gz, .tif, .tiff, .npy, or a folder .zarr"
_UM_PER_UNIT = {"meter": 1e6, "mm": 1e3, "micron": 1.0, "unknown": 1e3}
# The side of index 0, of an axis along which nibabel's letter grows.
_START = {"R": "l", "L": "r", "A": "p", "P": "a", "S": "i", "I": "s"}
# Cosine between an axis of an image and the nearest of the frame: less is no rounding (1.8°).
_STRAIGHT = 0.9995
_CLOSE = 1e-4


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image in a file.

    Parameters
    ----------
    source
        Has ``shape`` and ``dtype`` and can be sliced.
    spacing_um
        Voxel size along each axis, None where the file does not say.
    orientation
        Side of index 0 of each axis, such as ``"asr"``; None where the file does not say.
    where
        The file.
    """

    source: Any
    spacing_um: Triplet | None
    orientation: str | None
    where: str


class Sliceable:
    """A ``VolumeSource`` that can be sliced.

    Parameters
    ----------
    source
        What is read.
    """

    def __init__(self, source: VolumeSource) -> None:
        self._source = source
        self.shape, self.dtype = source.shape, source.dtype
        self.chunks = source.chunks

    def __getitem__(self, key: Any) -> Any:
        return indexing.take(self._source, key)


class Scaled:
    """Stored numbers that stand for others: times a slope, plus an intercept.

    Parameters
    ----------
    stored
        An array.
    slope, intercept
        Of the header.
    """

    def __init__(self, stored: Any, slope: float, intercept: float) -> None:
        self._stored, self._slope, self._intercept = stored, slope, intercept
        self.shape, self.dtype = stored.shape, np.dtype(np.float64)

    def __getitem__(self, key: Any) -> Any:
        return np.asarray(self._stored[key], np.float64) * self._slope + self._intercept


def open_image(path: str | Path, spacing_um: Sequence[float] | None = None) -> StoredImage:
    """Open an image.

    Parameters
    ----------
    path
        A ``.nii``, ``.nii.gz``, ``.tif``, ``.tiff`` or ``.npy`` file, or a folder of OME-Zarr or
        Zarr.
    spacing_um
        Of an image of several levels, take the one with this voxel size; else the finest.

    Raises
    ------
    InvalidInputError
        If there is no such file, it is of no kind that is known, or it is damaged.
    """
    path = Path(path).expanduser()
    try:
        return _opened(path, spacing_um)
    except InvalidAtlasError as error:
        reasons = "; ".join(map(str, error.findings))
        raise InvalidInputError(f"{path} cannot be read as an image: {reasons}") from error
    except InvalidInputError:
        raise
    except (AtlasError, OSError, EOFError, ValueError, zlib.error) as error:
        message = f"{path} cannot be read as an image; it may be cut short ({error})."
        raise InvalidInputError(message) from error


def _opened(path: Path, spacing_um: Sequence[float] | None) -> StoredImage:
    if not path.exists():
        raise InvalidInputError(f"There is no image {path}.")
    if path.is_dir():
        return _open_zarr(path, spacing_um)
    for ending, opener in _OPENERS.items():
        if path.name.lower().endswith(ending):
            return opener(path)
    raise InvalidInputError(f"{path} is no image that can be read here: {_KINDS}.")


def _open_tiff(path: Path) -> StoredImage:
    return StoredImage(Sliceable(TiffVolume(path)), None, None, str(path))


def _open_npy(path: Path) -> StoredImage:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        if "Python objects" not in str(error):
            raise
        message = f"{path} holds Python objects, an image holds numbers."
        raise InvalidInputError(message) from error
    return StoredImage(array, None, None, str(path))


def _open_nifti(path: Path) -> StoredImage:
    need_nibabel()
    nib: Any = import_module("nibabel")
    wrong = (
        nib.filebasedimages.ImageFileError,
        nib.spatialimages.HeaderDataError,
        gzip.BadGzipFile,
        KeyError,  # a unit that there is not
        OverflowError,  # lengths and offsets that no file has
    )
    try:
        return _nifti(nib, nib.load(path), str(path))
    except wrong as error:
        message = f"{path} is no NIfTI file, or it is damaged ({error})."
        raise InvalidInputError(message) from error


def _nifti(nib: Any, image: Any, where: str) -> StoredImage:
    stored, header = image.dataobj, image.header
    array = stored.get_unscaled() if hasattr(stored, "get_unscaled") else np.asarray(stored)
    slope, intercept = getattr(stored, "slope", 1), getattr(stored, "inter", 0)
    shape = array.shape
    while len(shape) > 3 and shape[-1] == 1:  # a series of one
        shape = shape[:-1]
    array = array.reshape(shape, order="F") if shape != array.shape else array
    source = array if (slope, intercept) == (1, 0) else Scaled(array, slope, intercept)
    factor = 1e3
    if "xyzt_units" in header:
        factor = _UM_PER_UNIT.get(header.get_xyzt_units()[0], 1e3)
    sizes = [float(size) * factor for size in nib.affines.voxel_sizes(image.affine)]
    if not all(0 < size < math.inf for size in sizes):
        raise InvalidInputError(f"The header of {where} says no voxel size: {sizes} µm.")
    known = "sform_code" not in header or header["sform_code"] > 0 or header["qform_code"] > 0
    orientation = _orientation(nib, image.affine, where) if known else None
    return StoredImage(source, (sizes[0], sizes[1], sizes[2]), orientation, where)


def _orientation(nib: Any, affine: Any, where: str) -> str:
    """Return the side of index 0 of each axis."""
    directions = affine[:3, :3] / nib.affines.voxel_sizes(affine)
    if (np.abs(directions).max(axis=0) < _STRAIGHT).any():
        message = (
            f"The axes of {where} lie aslant to left-right, front-back and top-bottom, so they "
            "cannot be matched with those of an atlas; resample the image first."
        )
        raise InvalidInputError(message)
    return "".join(_START[letter] for letter in nib.aff2axcodes(affine))


def _open_zarr(path: Path, spacing_um: Sequence[float] | None) -> StoredImage:
    if (path / ".zarray").is_file() or _is_array(path):
        return StoredImage(_flat(_ArraySlices(ZarrArray(path, no_check))), None, None, str(path))
    if not any((path / name).is_file() for name in ("zarr.json", ".zattrs")):
        raise InvalidInputError(f"{path} is a folder, but neither OME-Zarr nor Zarr.")
    levels = [sizes for _, sizes in levels_of(path, no_check)]
    level = min(levels)
    if spacing_um is not None:
        level = min(levels, key=lambda sizes: _apart(sizes, spacing_um))
        level = level if _apart(level, spacing_um) < _CLOSE else min(levels)
    source = ZarrVolume(path, None, level, "iuf", no_check)
    return StoredImage(_flat(Sliceable(source)), level, None, str(path))


def _apart(sizes: Sequence[float], wanted: Sequence[float]) -> float:
    return max(abs(a - b) / b for a, b in zip(sizes, wanted, strict=True))


def _is_array(path: Path) -> bool:
    from bg_atlasapi.formats.packaged import read_json_file

    described = path / "zarr.json"
    return described.is_file() and read_json_file(described).get("node_type") == "array"


class _ArraySlices:
    """A Zarr array without levels, sliced along its first axes.

    Parameters
    ----------
    array
        What is read.
    """

    def __init__(self, array: ZarrArray) -> None:
        self._array = array
        self.shape, self.dtype = array.layout.shape, array.layout.dtype
        self.chunks = array.layout.chunk_shape

    def __getitem__(self, key: Any) -> Any:
        import itertools

        spans = [range(length)[one] for length, one in zip(self.shape, key, strict=True)]
        out = np.full([len(one) for one in spans], self._array.layout.fill, self.dtype)
        touched = [
            range(one.start // side, -(-one.stop // side)) if one else range(0)
            for one, side in zip(spans, self.chunks, strict=True)
        ]
        for place in itertools.product(*touched):
            chunk = self._array.chunk(place)
            if chunk is None:
                continue
            ours, theirs = [], []
            for number, side, span in zip(place, self.chunks, spans, strict=True):
                low, high = max(number * side, span.start), min((number + 1) * side, span.stop)
                ours.append(slice(low - span.start, high - span.start))
                theirs.append(slice(low - number * side, high - number * side))
            out[tuple(ours)] = chunk[tuple(theirs)]
        return out


class _Last:
    """The last three axes of an image whose other axes have one index each.

    Parameters
    ----------
    source
        Of more than three axes.
    """

    def __init__(self, source: Any) -> None:
        self._source = source
        self._first = (slice(0, 1),) * (len(source.shape) - 3)
        self.shape, self.dtype, self.chunks = source.shape[-3:], source.dtype, source.chunks[-3:]

    def __getitem__(self, key: Any) -> Any:
        found = np.asarray(self._source[(*self._first, *key)])
        return found.reshape(found.shape[-3:])


def _flat(source: Any) -> Any:
    """Return an image without axes of time and channel, if these have one index each."""
    extra = len(source.shape) - 3
    return _Last(source) if extra > 0 and set(source.shape[:extra]) == {1} else source


_OPENERS: dict[str, Callable[[Path], StoredImage]] = {
    ".nii": _open_nifti,
    ".nii.gz": _open_nifti,
    ".tif": _open_tiff,
    ".tiff": _open_tiff,
    ".npy": _open_npy,
}
