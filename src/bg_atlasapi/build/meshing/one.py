"""One structure: from its voxels to its mesh.

It holds what the surface needs (some 200 bytes for each face between voxels), not the volume: of
that a few planes at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.build.meshing.cuberille import Squares, squares_of
from bg_atlasapi.build.meshing.merging import Fine, merged, triangles_of
from bg_atlasapi.build.meshing.pinches import parted
from bg_atlasapi.build.meshing.smoothing import crossed, smoothed, unit
from bg_atlasapi.late import np
from bg_atlasapi.model.mesh import TriangleMesh

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Planes = Callable[[int, int], npt.NDArray[Any]]

ITERATIONS = 6
_STEPS = 3  # towards the volume of the voxels
_MOST = 0.25  # of a voxel, in one of them


@dataclass(frozen=True, slots=True)
class Finish:
    """How surfaces are smoothed and simplified.

    Parameters
    ----------
    tolerance_um
        How far a vertex may lie from the planes through those it stands for, µm; 0 joins none.
    iterations
        Of the smoothing filter; 0 leaves the stairs of the voxels.
    """

    tolerance_um: float
    iterations: int = ITERATIONS


@dataclass(frozen=True, slots=True)
class Made:
    """A mesh and what it was made from.

    Parameters
    ----------
    mesh
        The mesh.
    voxels
        How many it encloses.
    raw_triangles
        How many triangles the faces of the voxels are.
    """

    mesh: TriangleMesh
    voxels: int
    raw_triangles: int


def mesh_of(
    planes: Planes,
    shape: tuple[int, int, int],
    spacing_um: tuple[float, float, float],
    finish: Finish,
    origin: tuple[int, int, int] = (0, 0, 0),
) -> Made:
    """Return the mesh of what lies within a box.

    Parameters
    ----------
    planes
        Given start and stop along the first axis of the box, returns which voxels are within:
        ``bool``, shape ``(stop - start, rows, columns)``.
    shape
        Of the box. What lies beyond it is outside: the mesh is closed there.
    spacing_um
        Voxel size along each axis, µm.
    finish
        How it is smoothed and simplified.
    origin
        Where the box begins in the volume, voxels.

    Returns
    -------
    Made
        The mesh: closed, manifold, facing outwards, in µm from the corner of voxel 0 of the
        volume; without triangles where there is no voxel.
    """
    points, surface = parted(squares_of(planes, shape))
    smooth = smoothed(points, surface, finish.iterations)
    size = np.array(spacing_um, np.float32)
    # A surface that is stretched along an axis has normals that are squeezed along it.
    fine = Fine(smooth.points * size, unit(smooth.areas / size))
    corners = surface.corners + np.array(origin, np.int32)
    coarse = merged(fine, surface.squares, corners, finish.tolerance_um)
    triangles = triangles_of(coarse.points, coarse.faces)
    voxels = _voxels(points, surface)
    wanted = voxels * float(np.prod(np.array(spacing_um, np.float64)))
    filled = _filled(coarse.points, triangles, wanted, min(spacing_um))
    filled += np.array(origin, np.float64) * np.array(spacing_um, np.float64)
    mesh = TriangleMesh(filled, triangles.astype(np.int64))
    return Made(mesh, voxels, 2 * int(np.count_nonzero(surface.facing)))


def _voxels(points: Floats, surface: Squares) -> int:
    """Return how many voxels a surface encloses, by the heights of the faces across one axis."""
    across = np.flatnonzero(np.abs(surface.facing) == 1)
    heights = points[surface.squares[across, 0], 0].astype(np.int64)
    return int((heights * surface.facing[across]).sum())


def _filled(
    points: Floats, triangles: npt.NDArray[np.int32], wanted: float, size_um: float
) -> npt.NDArray[np.float64]:
    """Move a surface along its normals until it holds a volume, µm³; a little at most."""
    moved = points.astype(np.float64)
    if not len(triangles):
        return moved
    for _ in range(_STEPS):
        first, second, third = (moved[triangles[:, side]] for side in range(3))
        areas = crossed(second - first, third - first) / 2
        volume = float(np.einsum("ij,ij->", first, areas)) / 3
        sums = np.stack(
            [
                sum(
                    np.bincount(triangles[:, side], weights=areas[:, axis], minlength=len(moved))
                    for side in range(3)
                )
                for axis in range(3)
            ],
            axis=1,
        )
        lengths = np.sqrt(np.einsum("ij,ij->i", sums, sums))
        step = (wanted - volume) / max(float(lengths.sum()) / 3, 1e-9)
        step = min(max(step, -_MOST * size_um), _MOST * size_um)
        moved += sums * (step / np.maximum(lengths, 1e-9))[:, np.newaxis]
        if abs(wanted - volume) < 0.001 * wanted:
            break
    return moved
