"""Things that can be sliced as images are: stored volumes, scaled numbers, images of one time.

Each has ``shape``, ``dtype`` and ``chunks``. What they read from is elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.model import indexing

if TYPE_CHECKING:
    from bg_atlasapi.model.volume import VolumeSource


class Sliceable:
    """A ``VolumeSource`` that can be sliced.

    Parameters
    ----------
    source
        What is read.
    """

    def __init__(self, source: VolumeSource) -> None:
        self._source = source
        self.shape, self.dtype = source.shape, source.dtype
        self.chunks = source.chunks

    def __getitem__(self, key: Any) -> Any:
        return indexing.take(self._source, key)


class Scaled:
    """Stored numbers that stand for others: times a slope, plus an intercept.

    Parameters
    ----------
    stored
        An array.
    slope, intercept
        Of the header.
    """

    def __init__(self, stored: Any, slope: float, intercept: float) -> None:
        self.stored, self.slope, self.intercept = stored, slope, intercept
        self.shape, self.dtype = stored.shape, np.dtype(np.float64)
        self.chunks = getattr(stored, "chunks", None)

    def __getitem__(self, key: Any) -> Any:
        return np.asarray(self.stored[key], np.float64) * self.slope + self.intercept


class _Last:
    """The last three axes of an image whose other axes have one index each.

    Parameters
    ----------
    source
        Of more than three axes.
    """

    def __init__(self, source: Any) -> None:
        self._source = source
        self._first = (slice(0, 1),) * (len(source.shape) - 3)
        self.shape, self.dtype, self.chunks = source.shape[-3:], source.dtype, source.chunks[-3:]

    def __getitem__(self, key: Any) -> Any:
        found = np.asarray(self._source[(*self._first, *key)])
        return found.reshape(found.shape[-3:])


def flat(source: Any) -> Any:
    """Return an image without axes of time and channel, if these have one index each."""
    extra = len(source.shape) - 3
    return _Last(source) if extra > 0 and set(source.shape[:extra]) == {1} else source


class Squeezed:
    """An image without its axes of one index, wherever these stand.

    Parameters
    ----------
    source
        Its other axes have one index each.
    kept
        The axes that stay.
    """

    def __init__(self, source: Any, kept: Sequence[int]) -> None:
        self._source, self._kept = source, tuple(kept)
        self.shape = tuple(source.shape[axis] for axis in kept)
        self.dtype, self.chunks = source.dtype, None

    def __getitem__(self, key: Any) -> Any:
        whole: list[Any] = [0] * len(self._source.shape)
        for axis, part in zip(self._kept, key, strict=True):
            whole[axis] = part
        return self._source[tuple(whole)]
