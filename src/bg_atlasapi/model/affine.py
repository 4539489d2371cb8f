"""Where voxels and points of an atlas lie for other tools: RAS+, millimetres.

RAS+ is the frame of NIfTI: x grows to the right, y to the front, z upwards. Its origin is put where
the atlas's is, at the outer corner of voxel 0, so that both frames differ by signs, axis order and
the factor 1000 only. The centre of voxel 0 lies half a voxel from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bg_atlasapi.late import np
from bg_atlasapi.model.space import CoordinateSpace

if TYPE_CHECKING:
    import numpy.typing as npt

# The side of index 0: which RAS axis runs there, and whether it grows with the index.
_RAS = {"l": (0, 1), "r": (0, -1), "p": (1, 1), "a": (1, -1), "i": (2, 1), "s": (2, -1)}
_MM_PER_UM = 1e-3


def ras_from_um(space: CoordinateSpace) -> npt.NDArray[np.float64]:
    """Return the matrix from the atlas's coordinates, µm, to RAS+, mm; shape ``(4, 4)``."""
    matrix = np.zeros((4, 4))
    for axis, letter in enumerate(space.orientation):
        row, sign = _RAS[letter]
        matrix[row, axis] = sign * _MM_PER_UM
    matrix[3, 3] = 1
    return matrix


def ras_from_voxel(space: CoordinateSpace) -> npt.NDArray[np.float64]:
    """Return the matrix from voxel indices to their centres in RAS+, mm; shape ``(4, 4)``."""
    matrix = np.zeros((4, 4))
    for axis, (letter, size_um) in enumerate(zip(space.orientation, space.spacing_um, strict=True)):
        row, sign = _RAS[letter]
        matrix[row, axis] = sign * size_um / 1000  # 25 µm are 0.025 mm, not 25 * 0.001
        matrix[row, 3] = sign * size_um / 2000
    matrix[3, 3] = 1
    return matrix
