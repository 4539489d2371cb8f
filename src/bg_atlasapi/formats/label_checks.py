"""Labels as the 32-bit numbers that both layouts hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

_MOST = 2**32 - 1


def as_uint32(labels: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    """Return labels as ``uint32``.

    Raises
    ------
    InvalidInputError
        If one does not fit: a number that changes on the way would be another structure.
    """
    if labels.dtype == np.uint32:
        return labels
    if labels.size and (labels.dtype.kind == "i" or labels.dtype.itemsize > 4):
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high > _MOST:
            strange = low if low < 0 else high
            message = f"The annotation holds the label {strange}; published layouts end at {_MOST}."
            raise InvalidInputError(message)
    return labels.astype(np.uint32)
