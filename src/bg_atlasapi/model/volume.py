"""What the model needs of a stored volume, whatever file it lies in.

Formats implement ``VolumeSource``; the model never opens a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt


class VolumeSource(Protocol):
    """A stored 3-D array that can be mapped, read whole, or read in slabs."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the values, in native byte order."""

    def mapped(self) -> npt.NDArray[np.generic] | None:
        """Return an array over the stored bytes, not to be written to; None where encoded."""

    def gather(self, flat: npt.NDArray[np.int64]) -> npt.NDArray[Any] | None:
        """Return the voxels at flat indices (C order, all inside); None where encoded."""

    def read(self) -> npt.NDArray[np.generic]:
        """Return a writable array, private to the caller; pages may load when touched."""

    def slabs(self) -> Iterator[npt.NDArray[np.generic]]:
        """Yield the volume in order, in parts along the first axis, each of shape ``(k, …)``."""
