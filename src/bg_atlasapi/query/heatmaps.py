"""How dense are points? A volume of their number in each voxel, smoothed if wanted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np
from bg_atlasapi.model.levels import as_spacing, same_spacing
from bg_atlasapi.model.parallel import over_blocks
from bg_atlasapi.model.scan import Planes, Scan
from bg_atlasapi.model.space import CoordinateSpace, as_points
from bg_atlasapi.query.grids import Grid, grid_of
from bg_atlasapi.query.measuring import image_span
from bg_atlasapi.query.subject import Subject, subject_of

if TYPE_CHECKING:
    import numpy.typing as npt

_BLOCK = 1 << 16
# Beyond these many standard deviations a Gaussian is cut off, as scipy does.
_TRUNCATE = 4.0
_MOST_VOXELS = 1 << 40


def heatmap(
    atlas: Any,
    points: npt.ArrayLike,
    unit: str = "um",
    *,
    sigma_um: float | Sequence[float] | None = None,
    resolution: float | Sequence[float] | None = None,
    mask: bool = False,
) -> npt.NDArray[np.float32]:
    """Return how many points lie in each voxel.

    Parameters
    ----------
    atlas
        In whose space.
    points
        ``(N, 3)`` or one triplet, in the atlas's axis order, origin at the corner of voxel 0. Those
        beyond the volume, and NaN, are left out.
    unit
        ``"um"``, ``"mm"`` or ``"voxel"`` (of the atlas).
    sigma_um
        Standard deviation of a Gaussian to smooth with, µm, one number or one for each axis. The
        sum stays the number of points inside: what would run past an edge is turned back.
    resolution
        Voxel size of the answer, µm, one number or one for each axis; default the atlas's.
    mask
        Put 0 where the atlas has background, after smoothing: then the sum is less.

    Returns
    -------
    numpy.ndarray
        ``float32``, of the atlas's shape, or as many voxels of another size as cover it.

    Raises
    ------
    InvalidInputError
        If points are not numbers of shape ``(N, 3)``, or an argument is not understood.

    Examples
    --------
    >>> from bg_atlasapi import BrainGlobeAtlas, query
    >>> atlas = BrainGlobeAtlas("phantom_mouse_100um")
    >>> cells = [[7100, 3870, 4500], [7120, 3890, 4530]]
    >>> float(query.heatmap(atlas, cells, resolution=200).max())
    2.0
    """
    subject = subject_of(atlas, every_voxel=mask)
    space = subject.space
    sigma = None if sigma_um is None else _sigma(sigma_um)
    spacing = space.spacing_um if resolution is None else as_spacing(resolution)
    shape = covering(space, spacing)
    counts = _counted(space, points, unit, shape, spacing)
    if sigma is not None:
        from scipy.ndimage import gaussian_filter

        widths = [one / size for one, size in zip(sigma, spacing, strict=True)]
        # "reflect" is what keeps the sum.
        counts = gaussian_filter(counts, widths, mode="reflect", truncate=_TRUNCATE)
    if mask:
        _mask(subject, counts, grid_of(space, shape, spacing))
    return counts


def covering(space: CoordinateSpace, spacing: Sequence[float]) -> tuple[int, int, int]:
    """Return how many voxels of another size cover a space."""
    if same_spacing(spacing, space.spacing_um):
        return space.shape
    lengths = [
        max(1, math.ceil(count * own / size - 1e-6))
        for count, own, size in zip(space.shape, space.spacing_um, spacing, strict=True)
    ]
    if math.prod(lengths) > _MOST_VOXELS:
        raise InvalidInputError(f"Voxels of {tuple(spacing)} µm are too small: {lengths} of them.")
    return (lengths[0], lengths[1], lengths[2])


def _sigma(sigma_um: object) -> tuple[float, ...]:
    several = hasattr(sigma_um, "__len__") and not isinstance(sigma_um, str | bytes)
    given: Any = sigma_um if several else [sigma_um] * 3
    try:
        sizes = tuple(float(size) for size in given)
    except (TypeError, ValueError, OverflowError):
        sizes = ()
    if len(sizes) != 3 or not all(math.isfinite(size) and size >= 0 for size in sizes):
        message = f"sigma_um= is a number of µm, 0 or more, or three; got {sigma_um!r}."
        raise InvalidInputError(message)
    return sizes


def _counted(
    space: CoordinateSpace,
    points: npt.ArrayLike,
    unit: str,
    shape: tuple[int, int, int],
    spacing: Sequence[float],
) -> npt.NDArray[np.float32]:
    array, _ = as_points(points)
    factor, scale = space.voxel_scale(unit)
    sizes = spacing
    if unit == "voxel":  # of the atlas: one is so many of the answer's
        pairs = zip(spacing, space.spacing_um, strict=True)
        sizes = scale if shape == space.shape else tuple(size / own for size, own in pairs)
    rows = np.full(len(array), -1, np.int64)

    def block(part: slice) -> None:
        flat = np.zeros(part.stop - part.start)
        inside = np.ones(len(flat), np.bool_)
        with np.errstate(over="ignore", invalid="ignore"):  # far outside is outside
            for axis, (size, length) in enumerate(zip(sizes, shape, strict=True)):
                voxel = np.floor(np.multiply(array[part, axis], factor, dtype=np.float64) / size)
                inside &= (voxel >= 0) & (voxel < length)
                flat *= length
                flat += voxel
        rows[part] = np.where(inside, np.where(inside, flat, 0), -1)

    over_blocks(block, len(array), _BLOCK)
    rows = rows[rows >= 0]
    volume = np.zeros(math.prod(shape), np.float32)
    found, often = np.unique(rows, return_counts=True)  # float32 counts one by one to 2**24 only
    volume[found] = often
    return volume.reshape(shape)


def _mask(subject: Subject, volume: npt.NDArray[np.float32], grid: Grid) -> None:
    """Put 0 where the annotation has background."""
    if 0 not in subject.labels.shape and grid.places is not None:
        for axis, places in enumerate(grid.places):
            volume[(slice(None),) * axis + (places < 0,)] = 0

    def fold(scan: Scan) -> None:
        def part(planes: Planes) -> None:
            first, stop = image_span(grid, planes.first, planes.stop)
            if grid.places is None:
                codes = planes.codes
            else:
                codes = planes.codes[grid.places[0][first:stop] - planes.first]
                codes = codes.take(grid.places[1], 1, mode="clip")
                codes = codes.take(grid.places[2], 2, mode="clip")
            np.copyto(volume[first:stop], 0, where=codes == 0)

        for _ in scan.over(part):
            pass

    subject.labels.scan(fold)
