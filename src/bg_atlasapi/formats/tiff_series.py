"""Open TIFF as an image: a stack in one file, or slices in a folder or behind a pattern.

A TIFF does not say how its axes lie in a body. ImageJ and OME write voxel sizes beside the image;
these are hints. Slices are sorted as people count: 2 before 10.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.image_frames import UM_PER_UNIT, plain_spacing
from bg_atlasapi.formats.image_sources import Sliceable
from bg_atlasapi.formats.images import StoredImage
from bg_atlasapi.formats.tiff import Reading, TiffVolume
from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

    Triplet = tuple[float, float, float]

_ENDINGS = {".tif", ".tiff"}
_DIGITS = re.compile(r"(\d+)")
_OME_AXES = ("Z", "Y", "X")
_HINT_ERRORS = (ValueError, KeyError, TypeError, AttributeError, IndexError, ZeroDivisionError)


def open_tiff(path: Path) -> StoredImage:
    """Open a stack in one file."""
    source = TiffVolume(path)
    shape = source.shape
    image = StoredImage(Sliceable(source), None, None, str(path))
    if len(shape) != 3:
        return image
    return StoredImage(image.source, None, None, str(path), hinted_spacing_um=_hint(path))


def slices_in(folder: Path) -> list[Path]:
    """Return the TIFF files of a folder in the order of their numbers."""
    found = [path for path in folder.iterdir() if path.suffix.lower() in _ENDINGS]
    return sorted((path for path in found if path.is_file()), key=_counted)


def open_pattern(path: Path) -> StoredImage:
    """Open the slices that a pattern such as ``slices/*.tif`` finds.

    Raises
    ------
    InvalidInputError
        If it finds none.
    """
    parent = path.parent
    found = [one for one in parent.glob(path.name) if one.suffix.lower() in _ENDINGS]
    slices = sorted(found, key=_counted)
    if not slices:
        raise InvalidInputError(f"There is no TIFF file {path}.")
    return open_slices(slices, path)


def open_slices(slices: Sequence[Path], where: Path) -> StoredImage:
    """Open slices, one file a plane, as one image whose first axis counts them."""
    return StoredImage(TiffSlices(slices), None, None, str(where))


def _counted(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Return what sorts names as people count."""
    parts = _DIGITS.split(path.name)
    return [
        (int(part), "") if part.isdecimal() else (-1, part.lower()) for part in parts
    ], path.name


class TiffSlices:
    """Planes in one file each, sliced lazily.

    Parameters
    ----------
    paths
        Of the planes, in order. The first one's header is read; the others must be like it.

    Raises
    ------
    InvalidInputError
        If the first is no plane.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        plane = TiffVolume(self._paths[0])
        if len(plane.shape) != 2:
            message = (
                f"{self._paths[0]} holds an array of {plane.shape}; of a series, each file holds "
                "one plane of grey values. Name the file to read it alone."
            )
            raise InvalidInputError(message)
        self.shape = (len(self._paths), *plane.shape)
        self.dtype = np.dtype(plane.dtype)
        self.chunks = (1, *plane.shape)

    def __getitem__(self, key: Any) -> Any:
        first, *across = key if isinstance(key, tuple) else (key,)
        chosen: Any = range(len(self._paths))[first]
        if isinstance(chosen, int):
            return self._plane(chosen)[tuple(across)]
        planes = [self._plane(number)[tuple(across)] for number in chosen]
        return np.stack(planes) if planes else np.empty(self.shape, self.dtype)[first]

    def _plane(self, number: int) -> npt.NDArray[Any]:
        path = self._paths[number]
        volume = TiffVolume(path)
        if volume.shape != self.shape[1:] or volume.dtype != self.dtype:
            message = (
                f"{path} holds {volume.shape} {volume.dtype}, but {self._paths[0]} "
                f"{self.shape[1:]} {self.dtype}; all slices must be alike."
            )
            raise InvalidInputError(message)
        return np.asarray(volume.read())


def _hint(path: Path) -> Triplet | None:
    """Return the voxel size that ImageJ or OME wrote, None without."""
    import tifffile

    with Reading(path), tifffile.TiffFile(path) as file:
        try:
            if file.is_imagej:
                return _of_imagej(file)
            return _of_ome(file.ome_metadata) if file.is_ome else None
        except _HINT_ERRORS:
            return None


def _of_imagej(file: Any) -> Triplet | None:
    stated = file.imagej_metadata or {}
    spelt = str(stated.get("unit", "")).replace("\\u00B5", "µ").strip().lower()
    unit = UM_PER_UNIT.get(spelt)
    tags = file.pages[0].tags
    sizes = [float(stated["spacing"])]
    for name in ("YResolution", "XResolution"):
        per_unit, units = tags[name].value
        sizes.append(units / per_unit)
    if unit is None:
        return None
    return plain_spacing([size * unit for size in sizes])


def _of_ome(text: str) -> Triplet | None:
    pixels = re.search(r"<(?:\w+:)?Pixels\b[^>]*>", text)
    if pixels is None:
        return None
    stated = dict(re.findall(r'(\w+)="([^"]*)"', pixels[0]))
    sizes = [
        float(stated[f"PhysicalSize{axis}"])
        * UM_PER_UNIT[stated.get(f"PhysicalSize{axis}Unit", "µm").lower()]
        for axis in _OME_AXES
    ]
    return plain_spacing(sizes)
