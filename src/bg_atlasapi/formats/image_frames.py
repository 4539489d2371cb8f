"""How the axes of a stored image lie: from a header's matrix to letters, sizes and an angle.

Every format that knows directions states them as a matrix from voxel indices to a place in the
body. Here that becomes what the rest of the library speaks: the side of index 0 of each axis, µm
along each, and how far the axes lie aslant. Headers are believed as far as they can be: what is
impossible or unlikely in one becomes a finding, never a silent guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import Finding
from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

Triplet = tuple[float, float, float]
Matrix = tuple[tuple[float, ...], ...]

# The side of index 0 of an axis along which a RAS coordinate grows, and along which it shrinks.
_START = (("l", "r"), ("p", "a"), ("i", "s"))
UM_PER_UNIT = {
    **dict.fromkeys(("m", "meter", "metre"), 1e6),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 1e4),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e3),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometre"), 1.0),
    **dict.fromkeys(("nm", "nanometer", "nanometre"), 1e-3),
}
# A length that no head and no brain reaches: the longest whale's head is longer, its brain is not.
_LONGEST_UM = 1e6
# Half the spacing of float32 at 1 is 6e-8; a norm of three adds to it.
_ROUNDED = 2.5e-7
# Of the columns of a matrix: longer numbers are damage, and their squares would overflow.
_LARGEST = 1e15


@dataclass(frozen=True, slots=True)
class Frame:
    """How the axes of an image lie, as far as its file says.

    Parameters
    ----------
    spacing_um
        Voxel size along each axis of the file; None where it is not said.
    orientation
        Side of index 0 of each axis of the file, such as ``"rai"``; None where it is not said.
    tilt_degrees
        The largest angle between an axis and the direction its letter stands for.
    affine
        From voxel indices to the centres of voxels in RAS+, mm; four rows; None where not said.
    remarks
        What is odd about the header.
    """

    spacing_um: Triplet | None = None
    orientation: str | None = None
    tilt_degrees: float = 0.0
    affine: Matrix | None = None
    remarks: tuple[Finding, ...] = ()


def unit_of(
    unit: str | None, sizes: Sequence[float], shape: Sequence[int], where: str
) -> tuple[float, tuple[Finding, ...]]:
    """Return how many µm a unit is, and what must be said about that.

    Parameters
    ----------
    unit
        As the file spells it; None or empty where it does not say.
    sizes
        Voxel size along each axis, in that unit.
    shape
        Voxels along each axis.
    where
        The file.

    Notes
    -----
    Without a unit, millimetres are what NIfTI, NRRD and MetaImage mean; but files of the Allen
    Institute state 25 for 25 µm. What would be longer than a metre is taken for µm.
    """
    spelt = (unit or "").strip().strip('"').lower()
    if spelt in UM_PER_UNIT:
        return UM_PER_UNIT[spelt], ()
    longest = max((s * n for s, n in zip(sizes, shape, strict=True)), default=0.0)
    if longest * 1e3 <= _LONGEST_UM:
        return 1e3, ()
    message = (
        f"{where} states voxels of {_sizes(sizes)} without a unit; as mm the volume would be "
        f"{longest / 1e3:.3g} m long, so they are taken for µm."
    )
    mend = "State the voxel size to be sure."
    return 1.0, (Finding("spacing-unit", message, "warning", where, mend),)


def frame_of(
    affine: npt.ArrayLike, um_per_unit: float, where: str, remarks: Sequence[Finding] = ()
) -> Frame:
    """Return how axes lie by the matrix of a header.

    Parameters
    ----------
    affine
        From voxel indices to RAS+, in some unit; shape ``(4, 4)``.
    um_per_unit
        What one of that unit is.
    where
        The file.
    remarks
        What was said about it already.
    """
    matrix = np.asarray(affine, np.float64)
    columns = matrix[:3, :3]
    if not np.isfinite(matrix).all() or np.abs(columns).max() > _LARGEST:
        return Frame(remarks=(*remarks, _unusable(where, "holds numbers that are none")))
    sizes = np.sqrt((columns**2).sum(axis=0))
    if (sizes == 0).any() or np.linalg.matrix_rank(columns / sizes) < 3:
        return Frame(remarks=(*remarks, _unusable(where, "puts two axes into one direction")))
    orientation, tilt = letters_of(columns)
    spacing = plain_spacing((sizes * um_per_unit).tolist())
    in_mm = matrix.copy()
    in_mm[:3] *= um_per_unit / 1e3
    rows = tuple(tuple(row) for row in in_mm.tolist())
    return Frame(spacing, orientation, tilt, rows, tuple(remarks))


def letters_of(columns: npt.NDArray[np.float64]) -> tuple[str, float]:
    """Return the side of index 0 of each axis, and how far the axes lie aslant, degrees.

    The axes of aslant images go where nibabel puts them: to those of the nearest matrix with
    perpendicular columns (``nibabel.orientations.io_orientation``).

    Parameters
    ----------
    columns
        Direction of each axis in RAS+, of any length but 0; shape ``(3, 3)``.
    """
    directions = columns / np.sqrt((columns**2).sum(axis=0))
    left, _, right = np.linalg.svd(directions)
    nearest = left @ right
    letters, free = [], np.ones(3, bool)
    cosines = []
    for axis in range(3):
        along = np.where(free, np.abs(nearest[:, axis]), -1.0)
        body = int(np.argmax(along))
        free[body] = False
        letters.append(_START[body][0 if nearest[body, axis] > 0 else 1])
        cosines.append(abs(float(directions[body, axis])))
    return "".join(letters), float(np.degrees(np.arccos(min(1.0, *cosines))))


def plain_spacing(sizes_um: Sequence[float]) -> Triplet | None:
    """Return voxel sizes without the tail that 32-bit floats add: 200 µm, not 200.00000298.

    None if one of them is not a positive number.
    """
    if any(not np.isfinite(size) or size <= 0 for size in sizes_um):
        return None
    rounded = [float(f"{size:.6g}") for size in sizes_um]
    first, second, third = (
        short if abs(short - size) <= _ROUNDED * size else float(size)
        for short, size in zip(rounded, sizes_um, strict=True)
    )
    return first, second, third


def _unusable(where: str, what: str) -> Finding:
    message = f"The matrix in the header of {where} {what}, so it does not say how the axes lie."
    mend = "State orientation and voxel size."
    return Finding("header-frame", message, "warning", where, mend)


def _sizes(sizes: Sequence[Any]) -> str:
    return " × ".join(f"{float(size):g}" for size in sizes)
