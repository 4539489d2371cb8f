"""What the model needs of a stored volume, whatever file it lies in.

Formats implement ``VolumeSource``; the model never opens a file. What users index is a ``Volume``,
see ``lazy_volume``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

    Triplet = tuple[float, float, float]


class VolumeSource(Protocol):
    """A stored array that can be mapped, read whole, in slabs, or in part."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the values, in native byte order."""

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Voxels, along each axis, of what is decoded together; None: each stands alone."""

    @property
    def where(self) -> str:
        """What it is read from, for people."""

    def mapped(self) -> npt.NDArray[np.generic] | None:
        """Return an array over the stored bytes, not to be written to; None where encoded."""

    def gather(self, flat: npt.NDArray[np.int64]) -> npt.NDArray[Any] | None:
        """Return the voxels at flat indices (C order, all inside); None: reading all is cheaper."""

    def pick(self, flat: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return the voxels at flat indices, whatever it costs."""

    def outer(self, indices: Sequence[npt.NDArray[np.intp]], out: npt.NDArray[Any]) -> None:
        """Read where sorted indices along each axis meet, into zeros of that shape."""

    def read(self) -> npt.NDArray[np.generic]:
        """Return a writable array, private to the caller; pages may load when touched."""

    def slabs(self) -> Iterator[npt.NDArray[np.generic]]:
        """Yield the volume in order, in parts along the first axis, each of shape ``(k, …)``."""


@runtime_checkable
class Pyramid(Protocol):
    """A source that is stored at several voxel sizes."""

    @property
    def levels(self) -> tuple[Triplet, ...]:
        """The voxel sizes that are stored, µm, finest first."""

    def at(self, spacing_um: Triplet) -> VolumeSource:
        """Return what is stored at one of these voxel sizes."""
