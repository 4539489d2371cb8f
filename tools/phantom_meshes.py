"""Surfaces for ``make_phantom.py``: from a boolean volume to a light, closed, outward mesh.

Marching cubes, Taubin smoothing (which does not shrink), quadric simplification, then a small
offset along the normals that gives the surface the volume of the voxels it encloses. Where
simplifying breaks the surface it is done again with more triangles, until every edge has exactly
two faces.

Vertices are in micrometres, columns in the array's axis order, origin at the corner of voxel 0.
Faces wind so that, reading the columns as x, y, z, normals point outward (volume is positive).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import fast_simplification
import numpy as np
from scipy import ndimage, sparse
from skimage import measure

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Points: TypeAlias = NDArray[np.float64]
    Faces: TypeAlias = NDArray[np.int64]

DECIMALS: Final = 1
LARGE: Final = 6000
AGGRESSIVENESS: Final = (4, 5, 7)
TAUBIN: Final = (0.5, -0.53)


def enclosed_volume(points: Points, faces: Faces) -> float:
    """Sum of signed tetrahedra, in the cube of the unit of `points`; positive when outward."""
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6.0)


def is_closed(faces: Faces) -> bool:
    """Whether every edge is used exactly once in each direction, and no face is degenerate."""
    if len(faces) < 4 or (faces == np.roll(faces, 1, axis=1)).any():
        return False
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    forward, counts = np.unique(edges, axis=0, return_counts=True)
    backward = np.unique(edges[:, ::-1], axis=0)
    return bool((counts == 1).all()) and np.array_equal(forward, backward)


def _merged(points: Points, faces: Faces) -> Faces:
    """Faces with vertices at the same place (as they will be written) taken as one."""
    _, index = np.unique(np.round(points, DECIMALS), axis=0, return_inverse=True)
    return np.asarray(index.reshape(-1)[faces])


def _smoothed(points: Points, faces: Faces, rounds: int) -> Points:
    """Taubin smoothing: one step in, one slightly larger step out, `rounds` times."""
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    n = len(points)
    ones = np.ones(len(start))
    links = sparse.coo_matrix((ones, (start, end)), shape=(n, n)).tocsr()
    links = ((links + links.T) > 0).astype(np.float64)
    mean = sparse.diags(1.0 / np.asarray(links.sum(axis=1)).ravel()) @ links
    for _ in range(rounds):
        for step in TAUBIN:
            points = points + step * (mean @ points - points)
    return points


def _with_volume(points: Points, faces: Faces, target: float) -> Points:
    """Move vertices along their normals until the surface encloses `target`."""
    for _ in range(4):
        a, b, c = (points[faces[:, corner]] for corner in range(3))
        cross = np.cross(b - a, c - a)
        normals = np.zeros_like(points)
        for corner in range(3):
            np.add.at(normals, faces[:, corner], cross)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        area = float(np.linalg.norm(cross, axis=1).sum()) / 2.0
        points = points + normals * ((target - enclosed_volume(points, faces)) / area)
    return points


def surface(mask: NDArray[np.bool_], spacing_um: float, rounds: int = 10) -> tuple[Points, Faces]:
    """Mesh a boolean volume.

    Parameters
    ----------
    mask
        The voxels to enclose, at least one.
    spacing_um
        Edge of a voxel, in µm.
    rounds
        Smoothing rounds.

    Returns
    -------
    Vertices ``(n, 3)`` in µm and faces ``(m, 3)``, closed and outward.

    Raises
    ------
    ValueError
        When no closed surface came out, whatever the number of triangles.
    """
    padded = np.pad(mask, 2).astype(np.float32)
    # One-voxel slits and contacts inside big regions are what a simplifier tears open; a sheet of
    # one voxel, common in small regions, survives the narrower filter only.
    padded = ndimage.gaussian_filter(padded, 0.8 if np.count_nonzero(mask) > LARGE else 0.45)
    # Lorensen: the default (Lewiner) leaves edges with four faces where voxels touch diagonally.
    marching_cubes: Any = measure.marching_cubes  # untyped upstream
    vertices, triangles = marching_cubes(padded, 0.5, method="lorensen")[:2]
    fine = np.asarray(triangles, dtype=np.int64)
    # Index i of the padded volume is the centre of voxel i - 2, which lies at (i - 1.5) spacings.
    raw = (np.asarray(vertices, dtype=np.float64) - 1.5) * spacing_um
    if enclosed_volume(raw, fine) < 0:
        fine = fine[:, ::-1]
    smooth = _smoothed(raw, fine, rounds)
    wanted = float(np.count_nonzero(mask)) * spacing_um**3
    # Fewer triangles per area on big smooth surfaces, never less than a recognisable blob.
    count = int(2.0 * len(fine) ** 0.55 + 40)
    while count < len(fine):
        for aggressiveness in AGGRESSIVENESS:
            points, faces = _simplified(smooth, fine, count, aggressiveness)
            points = np.round(_with_volume(points, faces, wanted), DECIMALS)
            if is_closed(_merged(points, faces)):
                return points, faces
        count = count * 7 // 6
    message = f"no closed surface for {np.count_nonzero(mask)} voxels"
    raise ValueError(message)


def _simplified(points: Points, faces: Faces, count: int, agg: int) -> tuple[Points, Faces]:
    """About `count` triangles; a lower `agg` (aggressiveness) is slower and more careful."""
    # Unit size, because the simplifier compares its error with a fixed threshold.
    size = float(np.ptp(points, axis=0).max())
    unit = (points / size).astype(np.float32)
    out = fast_simplification.simplify(unit, faces.astype(np.int32), target_count=count, agg=agg)
    return np.asarray(out[0], dtype=np.float64) * size, np.asarray(out[1], dtype=np.int64)


def write_obj(path: Path, points: Points, faces: Faces) -> None:
    """Write ``v x y z`` and ``f a b c`` lines, 1-based, one decimal."""
    lines = [f"v {x:.1f} {y:.1f} {z:.1f}" for x, y, z in points.tolist()]
    lines += [f"f {a} {b} {c}" for a, b, c in (faces + 1).tolist()]
    path.write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")
