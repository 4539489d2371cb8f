"""Choose the level of a volume, or of an atlas, by voxel size; derive what is not stored."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.model.downsample import MEAN, MODE, Downsampled, text_of
from bg_atlasapi.model.lazy_volume import Volume
from bg_atlasapi.model.volume import Pyramid

if TYPE_CHECKING:
    Triplet = tuple[float, float, float]

_CLOSE = 1e-4


def level_of(volume: Volume, resolution_um: float | Sequence[float]) -> Volume:
    """Return a volume at another voxel size; see ``Volume.level``.

    A level is derived from the volume itself where that goes, else from the finest that is stored.
    """
    wanted = as_spacing(resolution_um)
    if same_spacing(wanted, volume.spacing_um):
        return volume
    for spacing in volume.levels:
        if same_spacing(wanted, spacing):
            return _stored(_underived(volume), spacing)
    return derived_level(volume, wanted)


def derived_level(volume: Volume, wanted: Triplet) -> Volume:
    """Return a volume at another voxel size, worked out even where such a level is stored."""
    volume = _underived(volume)
    for spacing in (volume.spacing_um, *volume.levels):
        factors = factors_between(spacing, wanted)
        if factors:
            base, how = _stored(volume, spacing), MODE if volume.labels else MEAN
            source = Downsampled(base.source, factors, how, spacing)
            return dataclasses.replace(base, source=source, spacing_um=wanted)
    have = "; ".join(text_of(spacing) for spacing in volume.levels)
    message = (
        f"{volume.name} cannot have voxels of {text_of(wanted)} µm: it is stored at {have} µm, and "
        "a level can be derived only by a whole factor along each axis."
    )
    raise InvalidInputError(message)


def as_spacing(resolution_um: object) -> Triplet:
    """Return a voxel size as three numbers.

    Raises
    ------
    InvalidInputError
        If it is no voxel size.
    """
    several = hasattr(resolution_um, "__len__") and not isinstance(resolution_um, str | bytes)
    given: Any = resolution_um if several else [resolution_um] * 3
    try:
        sizes = [float(size) for size in given]
    except (TypeError, ValueError, OverflowError):
        sizes = []
    if len(sizes) != 3 or not all(math.isfinite(size) and size > 0 for size in sizes):
        message = f"A voxel size is a number of µm, or three, got {resolution_um!r}."
        raise InvalidInputError(message)
    return (sizes[0], sizes[1], sizes[2])


def same_spacing(one: Sequence[float], other: Sequence[float]) -> bool:
    """Say whether two voxel sizes are the same."""
    return all(math.isclose(a, b, rel_tol=_CLOSE) for a, b in zip(one, other, strict=True))


def factors_between(fine: Sequence[float], coarse: Sequence[float]) -> tuple[int, ...] | None:
    """Return how many times larger the coarser voxels are along each axis, None if not wholly."""
    ratios = [b / a for a, b in zip(fine, coarse, strict=True)]
    factors = tuple(round(ratio) for ratio in ratios)
    whole = all(math.isclose(r, f, rel_tol=_CLOSE) for r, f in zip(ratios, factors, strict=True))
    return factors if whole and min(factors) >= 1 else None


def _stored(volume: Volume, spacing: Triplet) -> Volume:
    if same_spacing(spacing, volume.spacing_um) or not isinstance(volume.source, Pyramid):
        return volume
    source = volume.source.at(spacing)
    return dataclasses.replace(volume, source=source, spacing_um=spacing)


def _underived(volume: Volume) -> Volume:
    source = volume.source
    if not isinstance(source, Downsampled):
        return volume
    return dataclasses.replace(volume, source=source.base, spacing_um=source.base_spacing_um)
