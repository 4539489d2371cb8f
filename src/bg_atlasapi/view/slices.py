"""Planes of an atlas as bytes for the page: labels as runs of codes, images as 8 bits a voxel.

A plane across axis ``a`` has the other two axes, in their order, as rows and columns; how it is
turned for the eye is the page's business. Colours never travel: the page paints codes, so that
recolouring needs no round trip, and hovering needs none either.
"""

from __future__ import annotations

import math
import struct
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.model.coding import runs
from bg_atlasapi.model.id_index import UNLISTED
from bg_atlasapi.model.parallel import alone
from bg_atlasapi.model.terminology import Terminology

if TYPE_CHECKING:
    import numpy.typing as npt

    from bg_atlasapi.model.volume import VolumeSource

_HEAD = struct.Struct("<IIII")
_PASSED_OVER = 1 << 27  # voxels of a volume that a plane may be picked from through a map
_LOWEST, _HIGHEST = 0.5, 99.8  # percentiles that become black and white


def read_planes(source: VolumeSource, axis: int, start: int, stop: int) -> npt.NDArray[Any]:
    """Read consecutive planes across an axis; only what they touch is read.

    Returns
    -------
    numpy.ndarray
        Of three axes, the one across being ``axis``.
    """
    rows, columns, depth = source.shape
    if axis == 2 and stop == start + 1 and source.chunks is None:
        size = rows * columns * depth
        if size <= _PASSED_OVER:  # half the time of reading all that lies between
            return source.pick(np.arange(start, size, depth)).reshape(rows, columns, 1)
    indices = [np.arange(length) for length in source.shape]
    indices[axis] = np.arange(start, stop)
    out = np.zeros([len(one) for one in indices], source.dtype)
    # A thousand small reads: threads would only wait for each other. Other requests have some.
    with alone() if axis < 2 else nullcontext():
        source.outer(indices, out)
    return out


def coded_runs(ids: npt.NDArray[Any], terminology: Terminology) -> bytes:
    """Return a plane of ids as runs of codes.

    Parameters
    ----------
    ids
        Shape ``(rows, columns)``.
    terminology
        Gives the codes.

    Returns
    -------
    bytes
        Little-endian. Rows, columns, number of runs ``n``, number of unlisted labels ``m``, each
        ``uint32``; ``m`` ids as ``float64``; ``n`` lengths, then ``n`` codes, ``uint32`` each. A
        label that the terminology lacks has the code N + 1 + its place among the ``m``.
    """
    flat = ids.reshape(-1)
    starts, labels = runs(flat)
    codes = terminology.index.positions(labels)
    strange = codes == UNLISTED
    extra: npt.NDArray[Any] = np.empty(0, np.int64)
    if strange.any():
        extra, place = np.unique(labels[strange], return_inverse=True)
        codes[strange] = len(terminology) + 1 + place
    return run_bytes(ids.shape, starts, codes, extra)


def run_bytes(
    shape: tuple[int, ...],
    starts: npt.NDArray[Any],
    codes: npt.NDArray[Any],
    extra: npt.NDArray[Any],
) -> bytes:
    """Return runs in the form of ``coded_runs``."""
    rows, columns = shape
    lengths = np.diff(starts, append=rows * columns)
    head = _HEAD.pack(rows, columns, len(starts), len(extra))
    parts = (extra.astype("<f8"), lengths.astype("<u4"), codes.astype("<u4"))
    return b"".join([head, *(part.tobytes() for part in parts)])


def window_of(source: VolumeSource) -> tuple[float, float]:
    """Return the values of an image that become black and white, from its three middle planes.

    Background would darken everything else, so only what is not the least value counts.
    """
    middle = [length // 2 for length in source.shape]
    planes = [
        read_planes(source, axis, middle[axis], middle[axis] + 1).reshape(-1)[::3]
        for axis in range(2)  # planes across the last axis touch most of a mapped file
    ]
    values = np.concatenate(planes).astype(np.float64)
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    least = values.min()
    shown = values[values > least]
    if not len(shown):
        return float(least), float(least) + 1.0
    low, high = _percentile(shown, _LOWEST), _percentile(shown, _HIGHEST)
    low = min(low, high) if least < 0 else float(least)
    return low, max(high, low + 1e-9)


def _percentile(values: npt.NDArray[np.float64], part: float) -> float:
    """Return what ``numpy.percentile`` does, which imports masked arrays: 70 ms at the start."""
    place = (len(values) - 1) * part / 100
    below, above = math.floor(place), math.ceil(place)
    found = np.partition(values, (below, above))
    return float(found[below] + (found[above] - found[below]) * (place - below))


def as_grey(values: npt.NDArray[Any], window: tuple[float, float]) -> npt.NDArray[np.uint8]:
    """Return values as 8 bits, black and white as ``window_of`` says; NaN is black."""
    grey = np.empty(values.shape, np.uint8)
    tones = None
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:
        tones = _scaled(np.arange(1 << 8 * values.dtype.itemsize), window)
    for at, part in enumerate(values):  # take makes indices of 8 bytes: of one part only
        grey[at] = _scaled(part, window) if tones is None else tones.take(part)
    return grey


def _scaled(values: npt.NDArray[Any], window: tuple[float, float]) -> npt.NDArray[np.uint8]:
    low, high = window
    scaled = (values.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))
    np.nan_to_num(scaled, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
    np.clip(scaled, 0, 255, out=scaled)
    return scaled.astype(np.uint8)


def grey_bytes(plane: npt.NDArray[np.uint8]) -> bytes:
    """Return a plane as rows and columns, ``uint32`` each, then a byte a voxel."""
    rows, columns = plane.shape
    return struct.pack("<II", rows, columns) + np.ascontiguousarray(plane).tobytes()
