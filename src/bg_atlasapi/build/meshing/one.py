"""One structure: from its voxels to its mesh.

It holds what the surface needs (some 200 bytes for each face between voxels), not the volume: of
that a few planes at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.build.meshing.cuberille import squares_of
from bg_atlasapi.build.meshing.merging import merged
from bg_atlasapi.build.meshing.patches import Fine, packed
from bg_atlasapi.build.meshing.pinches import parted
from bg_atlasapi.build.meshing.smoothing import heights_of, smoothed
from bg_atlasapi.build.meshing.vectors import areas_of, dot, unit
from bg_atlasapi.late import np
from bg_atlasapi.model.mesh import TriangleMesh

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Faces = npt.NDArray[np.int32]
    Whole = npt.NDArray[np.float64]
    Planes = Callable[[int, int], npt.NDArray[Any]]

_STEPS = 4  # towards the volume of the voxels
_MOST = 0.25  # of a voxel, in one of them
_CLOSE = 1e-5  # of the volume: no further step


@dataclass(frozen=True, slots=True)
class Finish:
    """How surfaces are smoothed and simplified.

    Parameters
    ----------
    tolerance_um
        How far a vertex may lie from the planes through those it stands for, µm; 0 joins none.
    passes
        Of the smoothing filter; 0 leaves the stairs of the voxels.
    """

    tolerance_um: float
    passes: int = 1


@dataclass(frozen=True, slots=True)
class Made:
    """A mesh and what it was made from.

    Parameters
    ----------
    mesh
        The mesh.
    volume_um3
        What it encloses, µm³.
    voxels
        How many it encloses.
    raw_triangles
        How many triangles the faces of the voxels are.
    """

    mesh: TriangleMesh
    volume_um3: float
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
    smooth = smoothed(points, surface, finish.passes)
    size = np.array(spacing_um, np.float32)[:, np.newaxis]
    # A surface that is stretched along an axis has normals that are squeezed along it.
    fine = Fine(smooth.points * size, unit(smooth.areas / size))
    cells = packed(surface.corners, origin)
    few, triangles = merged(fine, surface.squares, cells, finish.tolerance_um)
    voxels = int(heights_of(points, surface)[1].sum())
    wanted = voxels * float(np.prod(np.array(spacing_um, np.float64)))
    filled, volume = _filled(few.astype(np.float64), triangles, wanted, min(spacing_um))
    filled += (np.array(origin) * np.array(spacing_um, np.float64))[:, np.newaxis]
    mesh = TriangleMesh(np.ascontiguousarray(filled.T), np.ascontiguousarray(triangles.T, np.int64))
    return Made(mesh, volume, voxels, 2 * int(np.count_nonzero(surface.facing)))


def _filled(points: Whole, triangles: Faces, wanted: float, size_um: float) -> tuple[Whole, float]:
    """Move a surface along its normals until it holds a volume, µm³; a little at most.

    Returns where its vertices are then, and what it holds.
    """
    areas = areas_of(points, triangles)
    volume = _enclosed(points, triangles, areas)
    around = np.zeros_like(points)
    for axis, some in enumerate(areas):
        for side in triangles:
            around[axis] += np.bincount(side, some, points.shape[1])
    size = max(float(np.sqrt(dot(around, around)).sum()) / 3, 1e-9)
    normals = unit(around)
    for _ in range(_STEPS):
        if abs(wanted - volume) <= _CLOSE * wanted:
            break
        step = (wanted - volume) / size
        points = points + normals * min(max(step, -_MOST * size_um), _MOST * size_um)
        volume = _enclosed(points, triangles, areas_of(points, triangles))
    return points, volume


def _enclosed(points: Whole, triangles: Faces, areas: Whole) -> float:
    """Return the volume within a closed surface."""
    return float(dot(points.take(triangles[0], axis=1), areas).sum()) / 3
