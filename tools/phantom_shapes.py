"""The solids of the phantom: implicit shapes, in millimetres over one hemisphere.

A shape is a field that is negative inside (x = AP, y = DV, z = distance from the mid-plane); it
uses only + - * / and square roots, so that it repeats bit for bit. ``make_phantom.py`` paints the
regions into the solids.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Field: TypeAlias = NDArray[np.float64]
    Mask: TypeAlias = NDArray[np.bool_]
    Triple: TypeAlias = tuple[float, float, float]

SHAPE: Final = (132, 80, 114)
SPACING_UM: Final = 100.0
HALF: Final = SHAPE[2] // 2
# Directions (AP, DV) of the slits between the lobules of the cerebellum.
SLITS: Final = (
    (-0.97, -0.26),
    (-0.7, -0.71),
    (-0.17, -0.98),
    (0.42, -0.91),
    (0.82, -0.57),
    (0.99, 0.1),
)


@cache
def tables() -> dict[str, Any]:
    """Structures, outlines and seeds; the file says what its columns mean."""
    text = Path(__file__).with_name("phantom_structures.json").read_text(encoding="utf-8")
    tables: dict[str, Any] = json.loads(text)
    return tables


def grid() -> tuple[Field, Field, Field]:
    """Voxel centres of one hemisphere in mm: AP, DV, distance from the mid-plane; open grid."""
    x, y, z = (np.arange(n, dtype=np.float64) + 0.5 for n in (SHAPE[0], SHAPE[1], HALF))
    return x[:, None, None] / 10.0, y[None, :, None] / 10.0, z[None, None, :] / 10.0


def egg(centre: Triple, radii: Triple, lean: float = 0.0) -> Field:
    """Ellipsoid, about the distance in mm; `lean` shifts AP by that much per mm of DV."""
    x, y, z = grid()
    dx, dy, dz = x - centre[0], y - centre[1], z - centre[2]
    dx = dx - lean * dy
    square = (dx / radii[0]) ** 2 + (dy / radii[1]) ** 2 + (dz / radii[2]) ** 2
    return (np.sqrt(square) - 1.0) * min(radii)


def _smooth_profile(rows: Sequence[Sequence[float]]) -> Field:
    """Columns of a tube table for every AP plane, corners rounded; shape (132, columns)."""
    table = np.asarray(rows, dtype=np.float64)
    x = grid()[0].ravel()
    profile = np.stack([np.interp(x, table[:, 0], column) for column in table[:, 1:].T], axis=1)
    for _ in range(4):
        inner = (profile[:-2] + 2.0 * profile[1:-1] + profile[2:]) / 4.0
        profile = np.concatenate([profile[:1], inner, profile[-1:]])
    return profile


def _tube(name: str) -> Field:
    """Tube along AP, sections between ellipse and rounded square; about the distance in mm."""
    x, y, z = grid()
    rows = tables()[name]
    centre, reach, edge, top, bottom = _smooth_profile(rows).T[:, :, None, None]
    height = (y - (top + bottom) / 2.0) / ((bottom - top) / 2.0)
    v = height * height
    taper = 1.0 - np.where(height > 0, 0.2, 0.05) * np.minimum(v, 1.0)
    side = np.where(z < centre, reach, (edge - centre) * taper)
    u = ((z - centre) / side) ** 2
    rounded = np.sqrt(np.sqrt(u * u + v * v))
    distance = ((2.0 * np.sqrt(u + v) + rounded) / 3.0 - 1.0) * np.minimum(
        side, (bottom - top) / 2.0
    )
    inside_ends = (x >= rows[0][0]) & (x <= rows[-1][0])
    return np.where(inside_ends, distance, 9.0)


def blend(first: Field, *others: Field, width: float = 0.4) -> Field:
    """Union of shapes with a fillet of about `width` mm (polynomial smooth minimum)."""
    result = first
    for other in others:
        overlap = np.maximum(width - np.abs(result - other), 0.0)
        result = np.minimum(result, other) - overlap * overlap / (4.0 * width)
    return result


@dataclass(frozen=True)
class Solids:
    """The big parts of one hemisphere, boolean, each of shape (132, 80, 57)."""

    hemisphere: Mask
    core: Mask
    bulb: Mask
    olfactory_stalk: Mask
    thalamus: Mask
    hypothalamus: Mask
    midbrain: Mask
    pons: Mask
    medulla: Mask
    cerebellum: Mask
    fissure: Mask


def _folia() -> Mask:
    """Slits of the cerebellar surface: a fan of rays in the sagittal plane."""
    x, y, z = grid()
    dx, dy = x - 11.35, y - 3.7
    radius = np.sqrt(dx * dx + dy * dy)
    # Slope of each slit as a direction (AP, DV) from the hub; a slit is where the ray is near.
    slit = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape), dtype=bool)
    for ap, dv in SLITS:
        across = np.abs(dx * dv - dy * ap)
        along = dx * ap + dy * dv
        slit |= (across < 0.075) & (along > 0.85 + 0.07 * z * z) & (radius > 0.9)
    return slit


@cache
def build_solids() -> Solids:
    """Build the big parts."""
    x, y, z = grid()
    bottom = np.interp(x.ravel(), *np.asarray(tables()["fissure"]).T)[:, None, None]
    fissure = (z < 0.1) & (y < bottom)
    groove = (y + 1.3 * z < np.minimum(bottom, 1.25)) & (x < 9.5)
    frontal_gap = (x < 3.9) & (z < 0.1)
    stalk = egg((3.1, 4.25, 0.95), (1.3, 0.6, 0.65))
    bulb = blend(egg((1.75, 3.55, 0.88), (1.45, 1.3, 0.78)), stalk)
    vermis = egg((11.45, 2.75, 0.0), (1.5, 1.75, 1.25))
    lobe = egg((11.2, 3.05, 2.0), (1.25, 1.3, 1.55))
    flocculus = egg((11.1, 4.35, 3.35), (0.7, 0.75, 0.85))
    cerebellum = blend(vermis, lobe, flocculus, width=0.35)
    superior = egg((9.0, 2.75, 0.75), (0.95, 0.85, 1.0))
    inferior = egg((9.95, 2.8, 1.1), (0.65, 0.8, 0.95))
    colliculi = np.minimum(superior, inferior)
    thalamus = blend(egg((7.1, 3.9, 1.0), (1.4, 1.2, 1.3)), egg((7.2, 4.0, 0.0), (1.3, 1.0, 1.0)))
    hemisphere = (_tube("hemisphere") < 0) & ~fissure & ~groove
    return Solids(
        hemisphere=hemisphere,
        core=(_tube("core") < 0) & hemisphere,
        bulb=(bulb < 0) & ~frontal_gap,
        olfactory_stalk=(stalk < 0) & ~frontal_gap,
        thalamus=thalamus < 0,
        hypothalamus=egg((6.7, 5.9, 0.0), (1.75, 1.4, 1.45), lean=0.25) < 0,
        midbrain=blend(egg((9.1, 4.4, 0.0), (1.3, 2.0, 2.2)), colliculi, width=0.3) < 0,
        pons=egg((9.8, 6.0, 0.0), (1.2, 1.45, 2.15)) < 0,
        medulla=_tube("medulla") < 0,
        cerebellum=(cerebellum < 0) & ~_folia(),
        fissure=fissure | groove,
    )
