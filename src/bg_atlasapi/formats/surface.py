"""Tell a chunk that was lost from one that was never stored, where nobody recorded which there are.

Zarr leaves out chunks that hold nothing but the fill value, so a file that is gone reads as empty.
An atlas has a second witness: the mesh of its root. Where that surface runs through a box, or lies
around it on all six sides, the box is not empty.
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
_ENOUGH = 1 / 500
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
        self._read: npt.NDArray[np.float64] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_meshes": self._meshes, "_roots": self._roots}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_meshes"], state["_roots"])  # type: ignore[misc] # a lock of its own

    @property
    def _points(self) -> npt.NDArray[np.float64]:
        with self._lock:
            if self._read is None:
                found = [self._points_of(root) for root in self._roots]
                self._read = np.concatenate([np.empty((0, 3)), *found])
            return self._read

    def _points_of(self, root: int) -> npt.NDArray[np.float64]:
        try:
            mesh = self._meshes.read(root)
        except AtlasError:  # without a mesh nothing can be said
            return np.empty((0, 3))
        points = np.asarray(mesh.points, np.float64)
        if len(points) < _LEAST_POINTS:
            return np.empty((0, 3))
        corners = points[mesh.triangles]  # between the vertices of large faces are large gaps
        middles = (corners + np.roll(corners, 1, axis=1)) / 2
        return np.concatenate([points, corners.mean(axis=1), middles.reshape(-1, 3)])

    def fills(self, low_um: Sequence[float], high_um: Sequence[float]) -> bool:
        """Say whether there certainly are labels in a box.

        Parameters
        ----------
        low_um, high_um
            Opposite corners, µm along each axis.
        """
        points = self._points
        low, high = np.asarray(low_um), np.asarray(high_um)
        inside = (points > low) & (points < high)
        margin = (high - low) * _GRAZES
        deep = (points > low + margin) & (points < high - margin)
        needed = max(1, len(points) * _ENOUGH)
        if np.count_nonzero(deep.all(axis=1)) >= needed:
            return True
        for axis in range(3):
            column = points[np.delete(inside, axis, axis=1).all(axis=1), axis]
            if not (column <= low[axis]).any() or not (column >= high[axis]).any():
                return False
        return True
