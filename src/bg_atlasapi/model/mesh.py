"""A triangle mesh: vertices and faces. How a file spells them is the business of ``formats``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class TriangleMesh:
    """A surface.

    Parameters
    ----------
    points
        ``float64``, shape ``(n, 3)``, µm, columns in the atlas's axis order, origin at the corner
        of voxel 0.
    triangles
        ``int64``, shape ``(m, 3)``, rows of ``points``.
    """

    points: npt.NDArray[np.float64]
    triangles: npt.NDArray[np.int64]
