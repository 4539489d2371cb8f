"""The pages of a TIFF that is compressed, or otherwise no plain array: decoded one at a time.

Decoding itself is tifffile's business.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi.formats.checks import Check
from bg_atlasapi.formats.tiff import Reading
from bg_atlasapi.late import np
from bg_atlasapi.model.chunk_cache import Place
from bg_atlasapi.model.chunked import ChunkedSource

if TYPE_CHECKING:
    import numpy.typing as npt


class TiffPages(ChunkedSource):
    """A stack whose chunks are its pages.

    Parameters
    ----------
    path
        The file.
    shape, dtype
        Of the stack. Where the pages are not the planes across the first axis of three, all of it
        is one chunk.
    check
        Asked about the file before it is opened.
    """

    def __init__(
        self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], check: Check
    ) -> None:
        self._path, self._shape, self._dtype, self._check = path, shape, dtype, check
        self._lock = threading.Lock()
        self._file: Any = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values, in native byte order."""
        return self._dtype

    @property
    def where(self) -> str:
        """The file."""
        return str(self._path)

    @property
    def chunks(self) -> tuple[int, ...]:
        """Voxels of a page."""
        with self._lock:
            return (1, *self._shape[1:]) if self._by_page(self._open()) else self._shape

    def _open(self) -> Any:
        """Return the series; the file stays open, for finding its pages takes a while."""
        import tifffile

        if self._file is None:
            self._check(self._path)
            with Reading(self._path):
                self._file = tifffile.TiffFile(self._path)
                weakref.finalize(self, self._file.close)
        return self._file.series[0]

    def _by_page(self, series: Any) -> bool:
        found = sum(page is not None for page in series.pages)
        return found == self._shape[0] and len(self._shape) == 3

    def _decode(self, place: Place, _scratch: bytearray | None) -> npt.NDArray[Any]:
        with self._lock, Reading(self._path):
            series = self._open()
            if not self._by_page(series):
                whole = series.asarray().astype(self._dtype, copy=False)
                return np.asarray(whole.reshape(self._shape))
            page = [page for page in series.pages if page is not None][place[0]]
            return np.asarray(page.asarray().astype(self._dtype, copy=False)[np.newaxis])

    def pages(self) -> Iterator[npt.NDArray[Any]]:
        """Yield the stack in parts along the first axis, each decoded once."""
        for number in range(-(-self._shape[0] // max(self.chunks[0], 1))):
            yield self._decode((number, 0, 0), None)
