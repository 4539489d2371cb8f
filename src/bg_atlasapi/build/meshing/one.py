"""One structure: from its voxels to its mesh."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.build.meshing.cuberille import squares_of
from bg_atlasapi.build.meshing.merging import Fine, merged, triangles_of
from bg_atlasapi.build.meshing.pinches import parted
from bg_atlasapi.build.meshing.smoothing import smoothed, unit
from bg_atlasapi.late import np
from bg_atlasapi.model.mesh import TriangleMesh

if TYPE_CHECKING:
    import numpy.typing as npt


def mesh_planes(planes, shape, origin, spacing_um, tolerance_um, iterations):
    points, surface = parted(squares_of(planes, shape))
    smooth = smoothed(points, surface, iterations)
    size = np.asarray(spacing_um, np.float32)
    # A normal is scaled the other way than its surface.
    fine = Fine(smooth.points * size, unit(smooth.areas / size))
    coarse = merged(
        fine, surface.squares, surface.corners + np.asarray(origin, np.int32), tolerance_um
    )
    faces = triangles_of(coarse.points, coarse.faces)
    return fine, surface, coarse, faces
