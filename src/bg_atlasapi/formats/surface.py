"""Tell a chunk that was lost from one that was never stored, where nobody recorded which there are.

Zarr leaves out chunks that hold nothing but the fill value, so a file that is gone reads as empty.
An atlas has a second witness: the mesh of its root. Where that surface runs through a box, or the
middle of the box lies within it, the box is not empty. A hole in what has labels has a surface too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import AtlasError
from bg_atlasapi.late import np
from bg_atlasapi.locks import OnceLock
from bg_atlasapi.model.mesh import MeshSource

if TYPE_CHECKING:
    import numpy.typing as npt

# Meshes are smoothed, and made of coarser labels: what grazes a box says nothing.
_GRAZES = 1 / 8
_ENOUGH = 1 / 5000
# A mesh of a few corners stands for something else than the labels, as in tests.
_LEAST_POINTS = 200


class BrainSurface:
    """The surface of everything that has a label.

    Parameters
    ----------
    meshes
        Of the atlas.
    roots
        Structures without a parent.
    """

    def __init__(self, meshes: MeshSource, roots: Sequence[int]) -> None:
        self._meshes, self._roots = meshes, list(roots)
        self._lock = OnceLock()
        self._read: tuple[npt.NDArray[np.float64], ...] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_meshes": self._meshes, "_roots": self._roots}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_meshes"], state["_roots"])  # type: ignore[misc] # a lock of its own

    @property
    def _surface(self) -> tuple[npt.NDArray[np.float64], ...]:
        """Points all over the surface, (N, 3), in order along the first axis; its triangles.

        Of these the corners, (M, 3, 3), the lowest and the highest ends, (M, 3); µm.
        """
        with self._lock:
            if self._read is None:
                meshes = [self._mesh_of(root) for root in self._roots]
                points, corners = zip((np.empty((0, 3)), np.empty((0, 3, 3))), *meshes, strict=True)
                every, triangles = np.concatenate(points), np.concatenate(corners)
                extents = triangles.min(axis=1), triangles.max(axis=1)
                self._read = (every[np.argsort(every[:, 0])], triangles, *extents)
            return self._read

    def _mesh_of(self, root: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        try:
            mesh = self._meshes.read(root)
        except AtlasError:  # without a mesh nothing can be said
            return np.empty((0, 3)), np.empty((0, 3, 3))
        points = np.asarray(mesh.points, np.float64)
        if len(points) < _LEAST_POINTS:
            return np.empty((0, 3)), np.empty((0, 3, 3))
        corners = points[mesh.triangles]
        middles = (corners + np.roll(corners, 1, axis=1)) / 2
        # Large faces leave large gaps between vertices.
        return np.concatenate([points, corners.mean(axis=1), middles.reshape(-1, 3)]), corners

    def fills(self, low_um: Sequence[float], high_um: Sequence[float]) -> bool:
        """Say whether there certainly are labels in a box.

        Parameters
        ----------
        low_um, high_um
            Opposite corners, µm along each axis.
        """
        points, corners, lowest, highest = self._surface
        low, high = np.asarray(low_um), np.asarray(high_um)
        margin = (high - low) * _GRAZES
        first, last = np.searchsorted(points[:, 0], [low[0] + margin[0], high[0] - margin[0]])
        near = points[first:last]
        deep = ((near > low + margin) & (near < high - margin)).all(axis=1)
        if np.count_nonzero(deep) >= max(1, len(points) * _ENOUGH):
            return True
        return _is_within((low + high) / 2 + margin / 100, corners, lowest, highest)


def _is_within(
    point: npt.NDArray[np.float64],
    corners: npt.NDArray[np.float64],
    lowest: npt.NDArray[np.float64],
    highest: npt.NDArray[np.float64],
) -> bool:
    """Say whether a point lies within closed surfaces: rays from it cross them an odd time.

    Along two of three axes, since meshes have cracks.
    """
    beside = (lowest <= point) & (highest >= point)  # along each axis
    odd = 0
    for axis in range(3):
        others = [one for one in range(3) if one != axis]
        near = corners[beside[:, others].all(axis=1)]
        a, b, c = np.moveaxis(near[:, :, others] - point[others], 1, 0)
        # Where the ray meets a triangle, as weights of its corners: all of one sign.
        weights = np.stack([_crossed(b, c), _crossed(c, a), _crossed(a, b)])
        met = (weights > 0).all(axis=0) | (weights < 0).all(axis=0)
        heights = near[met, :, axis].T - point[axis]
        ahead = (weights[:, met] * heights).sum(axis=0) / weights[:, met].sum(axis=0) > 0
        odd += int(np.count_nonzero(ahead)) % 2
    return bool(odd >= 2)


def _crossed(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
