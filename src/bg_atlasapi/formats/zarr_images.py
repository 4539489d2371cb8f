"""Open OME-Zarr and Zarr folders as images. Reading their chunks is elsewhere."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.checks import no_check
from bg_atlasapi.formats.image_sources import Sliceable, flat
from bg_atlasapi.formats.images import StoredImage
from bg_atlasapi.formats.packaged import read_json_file
from bg_atlasapi.formats.zarr_array import ZarrArray, ZarrVolume
from bg_atlasapi.formats.zarr_metadata import levels_of
from bg_atlasapi.late import np

_CLOSE = 1e-4
_LETTERS = {
    "anterior": "a",
    "posterior": "p",
    "superior": "s",
    "inferior": "i",
    "left": "l",
    "right": "r",
    "rostral": "a",
    "caudal": "p",
    "dorsal": "s",
    "ventral": "i",
}
_BODY = {"p": 0, "a": 0, "s": 1, "i": 1, "l": 2, "r": 2}


def open_zarr(path: Path, spacing_um: Sequence[float] | None) -> StoredImage:
    """Open a folder of OME-Zarr or Zarr; parameters and errors as of ``images.open_image``."""
    if (path / ".zarray").is_file() or _is_array(path):
        return StoredImage(flat(_ArraySlices(ZarrArray(path, no_check))), None, None, str(path))
    if not any((path / name).is_file() for name in ("zarr.json", ".zattrs")):
        raise InvalidInputError(f"{path} is a folder, but neither OME-Zarr nor Zarr.")
    levels = [sizes for _, sizes in levels_of(path, no_check)]
    level = min(levels)
    if spacing_um is not None:
        level = min(levels, key=lambda sizes: _apart(sizes, spacing_um))
        level = level if _apart(level, spacing_um) < _CLOSE else min(levels)
    source = ZarrVolume(path, None, level, "iuf", no_check)
    return StoredImage(flat(Sliceable(source)), level, _orientation(path), str(path))


def _orientation(path: Path) -> str | None:
    """Return the side of index 0 of each axis where the image says it, as OME-NGFF RFC-4 puts it.

    Source: https://ngff.openmicroscopy.org/rfc/4: ``"anterior-to-posterior"`` begins anterior.
    """
    for axes in _axes(path):
        sides = [str((axis.get("orientation") or {}).get("value", "")) for axis in axes[-3:]]
        letters = "".join(_LETTERS.get(side.partition("-to-")[0], "") for side in sides)
        if sorted(_BODY[letter] for letter in letters) == [0, 1, 2]:
            return letters
    return None


def _axes(path: Path) -> Iterator[list[dict[str, Any]]]:
    """Yield the axes of an image, if they are described soundly."""
    described = path / "zarr.json"
    stated = read_json_file(described if described.is_file() else path / ".zattrs")
    try:
        attributes = stated.get("attributes", stated)
        axes = attributes.get("ome", attributes)["multiscales"][0]["axes"]
        yield [dict(axis) for axis in axes]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return


def _apart(sizes: Sequence[float], wanted: Sequence[float]) -> float:
    return max(abs(a - b) / b for a, b in zip(sizes, wanted, strict=True))


def _is_array(path: Path) -> bool:
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
