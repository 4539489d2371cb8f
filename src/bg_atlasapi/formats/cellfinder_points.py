"""Read the cells of cellfinder's XML, some at a time: no tree of the file is ever built.

Only what cellfinder and ImageJ's Cell Counter write is read: groups of markers, each with its type
first. How points of other formats are read is in ``points_files``.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pandas as pd

from bg_atlasapi.errors import InvalidInputError

# The first axis of an image is cellfinder's Z, the last its X.
COORDINATES = ("MarkerZ", "MarkerY", "MarkerX")
_COLUMNS = ("MarkerX", "MarkerY", "MarkerZ")
_KIND = "Type"
_ROOT = "CellCounter_Marker_File"
_BLOCK_BYTES = 1 << 18


class _Cells:
    """What a parser tells of elements; keeps finished markers until they are taken."""

    def __init__(self) -> None:
        self.found: list[tuple[float, float, float, str]] = []
        self._path: list[str] = []
        self._text: list[str] = []
        self._kind = ""
        self._marker: dict[str, str] = {}

    def doctype(self, *_declaration: object) -> None:
        """Refuse the declaration that entities need, and with it files that blow up on reading."""
        raise InvalidInputError("it has a DOCTYPE, which cellfinder never writes.")

    def start(self, tag: str, _attributes: object) -> None:
        """Begin an element."""
        if not self._path and tag != _ROOT:
            raise ValueError(f"its root is <{tag}>, not cellfinder's <{_ROOT}>")
        self._path.append(tag)
        self._text.clear()
        if tag == "Marker_Type":
            self._kind = ""
        elif tag == "Marker":
            self._marker = {}

    def data(self, text: str) -> None:
        """Take note of text, which comes in pieces."""
        self._text.append(text)

    def end(self, tag: str) -> None:
        """Finish an element."""
        self._path.pop()
        above = self._path[-1] if self._path else ""
        if above == "Marker":
            self._marker.setdefault(tag, "".join(self._text).strip())
        elif above == "Marker_Type" and tag == _KIND:
            self._kind = "".join(self._text).strip()
        elif above == "Marker_Type" and tag == "Marker":
            self._finish()
        self._text.clear()

    def _finish(self) -> None:
        texts = [self._marker.get(name, "") for name in _COLUMNS]
        try:
            first, second, third = map(float, texts)
        except ValueError:
            message = f"a marker of type {self._kind} is at {texts}, not three numbers"
            raise ValueError(message) from None
        self.found.append((first, second, third, self._kind))


def cells(stream: BinaryIO, rows: int | None = None) -> Iterator[pd.DataFrame]:
    """Yield the cells of a file, as a table of their voxels and types.

    Parameters
    ----------
    stream
        Read from where it stands.
    rows
        Most rows of a part; None gives all as one.

    Yields
    ------
    pandas.DataFrame
        ``MarkerX``, ``MarkerY``, ``MarkerZ``, ``Type``; at least one, which may be empty.

    Raises
    ------
    ValueError, SyntaxError, InvalidInputError
        If the file is damaged, or another.
    """
    seen = _Cells()
    parser = ET.XMLParser(target=seen)  # noqa: S314 - no DOCTYPE, no entities
    while block := stream.read(_BLOCK_BYTES):
        parser.feed(block)
        while rows is not None and len(seen.found) > rows:
            yield _frame(seen.found[:rows])
            del seen.found[:rows]
    parser.close()
    yield _frame(seen.found)


def _frame(found: list[tuple[float, float, float, str]]) -> pd.DataFrame:
    places = np.array([one[:3] for one in found], np.float64).reshape(-1, 3)
    frame = pd.DataFrame(places, columns=list(_COLUMNS))
    return frame.assign(**{_KIND: pd.Series([one[3] for one in found], dtype="str")})
