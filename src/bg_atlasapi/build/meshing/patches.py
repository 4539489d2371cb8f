"""The parts of a surface that may become single vertices, and where those would lie.

A patch can be drawn together without changing the surface's topology if it is a disc, a line or the
like; and it may be, if the vertex lies within the tolerance of the plane through every vertex of
the smoothed surface that it stands for, and they of the plane through it.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from bg_atlasapi.build.meshing.bodies import parts_of
from bg_atlasapi.build.meshing.vectors import dot, unit
from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Vertices = npt.NDArray[np.int32]
    Cells = npt.NDArray[np.int64]

_ALIKE = 0.85  # length of the mean of a patch's unit normals: they lie within some 30 degrees of it
_BITS = 21  # of a coordinate in a packed corner


@dataclass(frozen=True, slots=True)
class Fine:
    """The smoothed surface.

    Parameters
    ----------
    points
        ``float32``, shape ``(3, n)``, µm.
    normals
        ``float32``, shape ``(3, n)``, of length 1.
    """

    points: Floats
    normals: Floats


@dataclass(frozen=True, slots=True)
class Coarse:
    """The surface as simplified so far.

    Parameters
    ----------
    points
        ``float32``, shape ``(3, m)``, µm.
    faces
        ``int32``, shape ``(4, k)`` or ``(3, k)``, columns of ``points``.
    cells
        ``int64``, shape ``(m,)``: a corner of voxels near each vertex, from that of the volume,
        packed.
    of
        ``int32``, shape ``(n,)``: the vertex that stands for each of the smoothed surface.
    sums
        ``float32``, shape ``(m, 8)``: sums over those that each stands for; see ``moments``.
    """

    points: Floats
    faces: Vertices
    cells: Cells
    of: Vertices
    sums: Floats


@dataclass(frozen=True, slots=True)
class Patches:
    """The parts of a surface within blocks: of each vertex its patch, of each patch its shape."""

    of: Vertices
    simple: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Places:
    """Where the vertex of each patch would lie, the sums of the patch, and whether it may."""

    points: Floats
    sums: Floats
    fits: npt.NDArray[np.bool_]


def packed(corners: npt.NDArray[np.int32], origin: tuple[int, int, int]) -> Cells:
    """Return corners of voxels, shape ``(3, n)``, as one number each."""
    out = np.zeros(corners.shape[1], np.int64)
    for axis, start in enumerate(origin):
        out <<= _BITS
        out += corners[axis]
        out += start
    return out


def patches_of(surface: Coarse, level: int, shift: int) -> Patches:
    """Find the parts of a surface that hang together within blocks of ``2 ** level`` voxels.

    One is simple if it can be drawn together into a point: vertices minus edges plus faces is 1.
    """
    faces, count = surface.faces, len(surface.cells)
    each = sum(1 << _BITS * axis for axis in range(3))
    blocks = (surface.cells + each * shift) & (each * ((1 << _BITS) - (1 << level)))
    at = blocks.take(faces)
    within = np.ones(faces.shape[1], np.bool_)
    starts, ends = [], []
    for side in range(len(faces)):
        same = at[side - 1] == at[side]
        within &= same
        # Each edge is met twice, once in each direction; one that is a single vertex is none.
        rows = np.flatnonzero(same & (faces[side - 1] < faces[side]))
        starts.append(faces[side - 1].take(rows))
        ends.append(faces[side].take(rows))
    start = np.concatenate(starts)
    found, of = parts_of(start, np.concatenate(ends), count)
    vertices = np.bincount(of, minlength=found)
    edges = np.bincount(of.take(start), minlength=found)
    areas = np.bincount(of.take(faces[0].take(np.flatnonzero(within))), minlength=found)
    return Patches(of, (vertices - edges + areas == 1) & (vertices > 1))


def moments(fine: Fine) -> Floats:
    """Return what is added up of each vertex of the smoothed surface, shape ``(n, 8)``.

    Its normal (3), the height of its plane, its place (3), and 1.
    """
    out = np.empty((fine.points.shape[1], 8), np.float32)
    for axis in range(3):
        out[:, axis] = fine.normals[axis]
        out[:, 4 + axis] = fine.points[axis]
    out[:, 3] = dot(fine.points, fine.normals)
    out[:, 7] = 1
    return out


def _sums(of: Vertices, values: Floats, count: int) -> Floats:
    """Add up what vertices say, by what stands for them."""
    sparse = import_module("scipy.sparse")
    ones, ends = np.ones(len(of), np.float32), np.arange(len(of) + 1, dtype=np.int32)
    return np.asarray(sparse.csc_matrix((ones, of, ends), (count, len(of))) @ values)


def places_of(fine: Fine, surface: Coarse, patches: Patches, tolerance_um: float) -> Places:
    """Return where the vertex of each patch would lie, and whether it may.

    It lies on the mean normal through the middle, where the distances to the planes of the patch
    add up to nothing: so it holds what the patch held.
    """
    sums = _sums(patches.of, surface.sums, len(patches.simple))
    normals, members = np.ascontiguousarray(sums[:, :3].T), np.ascontiguousarray(sums[:, 7])
    middles = sums[:, 4:7].T / members
    lengths = np.sqrt(dot(normals, normals))
    facing = unit(normals)
    places = middles + facing * ((sums[:, 3] - dot(middles, normals)) / np.maximum(lengths, 1e-6))
    fits = patches.simple & (lengths >= _ALIKE * members)
    of = patches.of.take(surface.of)
    asked = np.flatnonzero(fits.take(of))
    of = of.take(asked)
    apart = [a.take(asked) - b.take(of) for a, b in zip(fine.points, places, strict=True)]
    over = np.zeros(len(of), np.bool_)
    for planes in ([a.take(asked) for a in fine.normals], [a.take(of) for a in facing]):
        over |= np.abs(dot(apart, planes)) > tolerance_um
    fits[of.take(np.flatnonzero(over))] = False
    return Places(places, sums, fits)
