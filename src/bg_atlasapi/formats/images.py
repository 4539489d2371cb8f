"""Open an image from a file: NIfTI, NRRD, MetaImage, MINC2, TIFF, OME-Zarr or Zarr, npy.

What comes back can be sliced and reads as it is sliced; only the header is read before. What is
compressed as one stream (``.nii.gz``, ``.nrrd``) is unpacked into memory when it is first sliced.
What its axes mean is said as far as the file says it. Nothing here knows an atlas.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from bg_atlasapi import settings
from bg_atlasapi.errors import AtlasError, Finding, InvalidAtlasError, InvalidInputError
from bg_atlasapi.formats.image_frames import Frame, Matrix, Triplet
from bg_atlasapi.late import np

KINDS = (
    ".nii, .nii.gz, .nrrd, .nhdr, .mha, .mhd, .mnc, .tif, .tiff, .npy, a folder .zarr, or a folder "
    "or pattern (slices_*.tif) of TIFF slices"
)
# An axis of an image lies along one of the frame up to so many degrees; more is no rounding.
STRAIGHT_DEGREES = 1.812


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
    tilt_degrees
        How far the axes lie aslant to the directions that their letters stand for.
    affine
        From voxel indices to the centres of voxels in RAS+, mm; four rows; None where not said.
    remarks
        What is odd about its header.
    hinted_spacing_um
        What a microscope or ImageJ wrote beside the image: less reliable than a header.
    """

    source: Any
    spacing_um: Triplet | None
    orientation: str | None
    where: str
    tilt_degrees: float = 0.0
    affine: Matrix | None = None
    remarks: tuple[Finding, ...] = ()
    hinted_spacing_um: Triplet | None = None

    @classmethod
    def framed(cls, source: Any, frame: Frame, where: object) -> StoredImage:
        """Return an image whose axes lie as a header says."""
        return cls(
            source,
            frame.spacing_um,
            frame.orientation,
            str(where),
            frame.tilt_degrees,
            frame.affine,
            frame.remarks,
        )


def open_image(path: str | Path, spacing_um: Sequence[float] | None = None) -> StoredImage:
    """Open an image whose axes can be matched with those of an atlas.

    Parameters
    ----------
    path
        A file (``.nii``, ``.nii.gz``, ``.nrrd``, ``.nhdr``, ``.mha``, ``.mhd``, ``.mnc``, ``.tif``,
        ``.tiff``, ``.npy``), a folder of OME-Zarr or Zarr, or a folder or pattern of TIFF slices.
    spacing_um
        Of an image of several levels, take the one with this voxel size; else the finest.

    Raises
    ------
    InvalidInputError
        If there is no such file, it is of no kind that is known, it is damaged, or its axes lie
        aslant.
    """
    image = open_stored(path, spacing_um)
    if image.tilt_degrees > STRAIGHT_DEGREES:
        message = (
            f"The axes of {image.where} lie aslant to left-right, front-back and top-bottom "
            f"(by {image.tilt_degrees:.1f}°), so they cannot be matched with those of an atlas; "
            "resample the image first."
        )
        raise InvalidInputError(message)
    return image


def open_stored(path: str | Path, spacing_um: Sequence[float] | None = None) -> StoredImage:
    """Open an image whatever way its axes lie; parameters and errors as of ``open_image``."""
    path = settings.expanded(path)
    try:
        ending = _ending(path)
        if ending == "folder":
            return _open_folder(path, spacing_um)
        opener: Callable[[Path], StoredImage] = _named(_OPENERS[ending])
        return opener(path)
    except InvalidAtlasError as error:
        reasons = "; ".join(map(str, error.findings))
        raise InvalidInputError(f"{path} cannot be read as an image: {reasons}") from error
    except InvalidInputError:
        raise
    except (AtlasError, OSError, EOFError, ValueError, zlib.error) as error:
        message = f"{path} cannot be read as an image; it may be cut short ({error})."
        raise InvalidInputError(message) from error


def _ending(path: Path) -> str:
    """Return what opens a path: an ending, ``"folder"`` or ``"pattern"``."""
    if any(sign in path.name for sign in "*?[") and not path.exists():
        return "pattern"
    if not path.exists():
        raise InvalidInputError(f"There is no image {path}.")
    if path.is_dir():
        return "folder"
    name = path.name.lower()
    for ending in _OPENERS:
        if name.endswith(ending):
            return ending
    raise InvalidInputError(f"{path} is no image that can be read here: {KINDS}.")


def _named(dotted: str) -> Any:
    module, _, name = dotted.partition(":")
    return getattr(import_module(f"bg_atlasapi.formats.{module}"), name)


def _open_folder(path: Path, spacing_um: Sequence[float] | None) -> StoredImage:
    described = (".zarray", "zarr.json", ".zattrs")
    if not any((path / name).is_file() for name in described):
        slices = _named("tiff_series:slices_in")(path)
        if slices:
            image: StoredImage = _named("tiff_series:open_slices")(slices, path)
            return image
        message = f"{path} is a folder, but neither OME-Zarr nor Zarr, and holds no TIFF slices."
        raise InvalidInputError(message)
    opened: StoredImage = _named("zarr_images:open_zarr")(path, spacing_um)
    return opened


def open_npy(path: Path) -> StoredImage:
    """Open an array of numpy, mapped."""
    try:
        with np.errstate(over="ignore"):
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OverflowError, TypeError) as error:
        message = f"{path} is cut short, or its header is wrong: no file holds what it speaks of."
        raise InvalidInputError(message) from error
    except ValueError as error:
        if "Python objects" not in str(error):
            raise
        message = f"{path} holds Python objects, an image holds numbers."
        raise InvalidInputError(message) from error
    return StoredImage(array, None, None, str(path))


_OPENERS = {
    ".nii": "nifti:open_nifti",
    ".nii.gz": "nifti:open_nifti",
    ".nrrd": "nrrd:open_nrrd",
    ".nhdr": "nrrd:open_nrrd",
    ".mha": "metaimage:open_metaimage",
    ".mhd": "metaimage:open_metaimage",
    ".mnc": "minc:open_minc",
    ".tif": "tiff_series:open_tiff",
    ".tiff": "tiff_series:open_tiff",
    ".npy": "images:open_npy",
    "pattern": "tiff_series:open_pattern",
}
