"""What is shown on top of an atlas: points, and values of regions, from files.

Files are named when the viewer starts, or dropped on its page; both go the same way. Points are
counted by the engine of ``atlas.count``, all of them; of very many only a part is drawn.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np
from bg_atlasapi.model.space import LEFT, RIGHT
from bg_atlasapi.query.counting import Tally, tally_of
from bg_atlasapi.query.subject import Subject
from bg_atlasapi.view.scene import as_json
from bg_atlasapi.view.value_tables import Values, holds_values, values_in

if TYPE_CHECKING:
    from typing import BinaryIO

    import numpy.typing as npt

    from bg_atlasapi.settings import PathLike

DRAWN = 200_000
_TABLES = ("csv", "tsv")


@dataclass(frozen=True, slots=True)
class Request:
    """A file that is to be shown.

    Parameters
    ----------
    source
        A path, or its bytes.
    name
        What to call it.
    kind
        Its extension: ``"csv"``, ``"tsv"``, ``"parquet"``, ``"npy"``, ``"xml"``.
    unit
        Of points; None is what the format implies, else µm.
    columns
        Of points: names or positions of the coordinates. Of values: the column of numbers.
    """

    source: str | Path | bytes
    name: str
    kind: str
    unit: str | None = None
    columns: tuple[str, ...] = field(default=())

    @classmethod
    def of_path(
        cls, path: PathLike, unit: str | None = None, columns: tuple[str, ...] = ()
    ) -> Request:
        """Return the request for a file on this machine."""
        path = Path(path)
        return cls(path, path.name, path.suffix.lower().lstrip("."), unit, columns)

    def opened(self) -> str | Path | BinaryIO:
        """Return what readers take."""
        return io.BytesIO(self.source) if isinstance(self.source, bytes) else self.source


class _Thinned:
    """Points to be drawn: every n-th, n growing as they come."""

    def __init__(self) -> None:
        self._parts: list[npt.NDArray[np.float32]] = []
        self._step = 1

    def add(self, points_um: npt.NDArray[np.floating]) -> None:
        with np.errstate(over="ignore"):  # what is beyond all numbers is not drawn
            self._parts.append(points_um[:: self._step].astype(np.float32))
        if sum(map(len, self._parts)) > 4 * DRAWN:
            self._parts = [np.concatenate(self._parts)[::2]]
            self._step *= 2

    def drawn(self) -> npt.NDArray[np.float32]:
        if not self._parts:
            return np.empty((0, 3), np.float32)
        points = np.concatenate(self._parts)
        points = points[np.isfinite(points).all(axis=1)]
        return points[:: -(-len(points) // DRAWN) or 1]


def points_bytes(subject: Subject, wish: Request) -> bytes:
    """Count the points of a file, and return counts and points.

    Returns
    -------
    bytes
        The length of a JSON text, ``uint32``; the text, padded with spaces to a multiple of four:
        ``kind`` ("points"), ``name``, ``count``, ``beyond``, ``rows`` of code, own, total, left and
        right, ``unlisted`` by label; then the points that are drawn, three ``float32`` each, µm.

    Raises
    ------
    InvalidInputError
        If the file cannot be read, or the unit is unknown.
    """
    from bg_atlasapi.formats.points_batches import open_points

    if wish.unit is not None:
        subject.space.voxel_scale(wish.unit)
    tally, drawn = Tally.empty(subject.terminology), _Thinned()
    columns = list(wish.columns) or None
    used = wish.unit or "um"
    with open_points(wish.opened(), columns, wish.kind or None, bare=True) as batches:
        for batch in batches:
            used = wish.unit or batch.unit or "um"
            tally += tally_of(subject, batch.points, used)
            factor, sizes = subject.space.voxel_scale(used)
            scale = factor if used != "voxel" else np.asarray(subject.space.spacing_um)
            drawn.add(np.asarray(batch.points, np.float64) * scale)
            del sizes
    return _packed(_counted(tally, subject, wish, used), drawn.drawn())


def _counted(tally: Tally, subject: Subject, wish: Request, unit: str) -> dict[str, Any]:
    terminology = subject.terminology
    parts = np.stack([tally.counts.sum(axis=0), tally.counts[LEFT], tally.counts[RIGHT]])
    own = parts[0].copy()
    parts[:, 0] = 0
    upto, last = np.cumsum(parts, axis=1), terminology.last[1:]
    rolled = upto[:, last] - upto[:, : len(last)]
    codes = np.flatnonzero(rolled[0]) + 1
    rows = np.column_stack([codes, own[codes], *rolled[:, codes - 1]])
    return {
        "kind": "points",
        "name": wish.name,
        "unit": unit,
        "count": len(tally),
        "outside": int(own[0]),
        "beyond": tally.beyond,
        "rows": rows.tolist(),
        "unlisted": {str(label): int(counts.sum()) for label, counts in tally.unlisted.items()},
    }


def _packed(told: dict[str, Any], points: npt.NDArray[np.float32]) -> bytes:
    text = as_json(told)
    text += b" " * (-len(text) % 4)
    return struct.pack("<I", len(text)) + text + points.astype("<f4").tobytes()


class Overlays:
    """What the viewer was asked to show, and what is dropped on its page.

    Parameters
    ----------
    subject
        The atlas's labels and space.
    points, values
        Files to show from the start.
    """

    def __init__(
        self, subject: Subject, points: Request | None = None, values: Request | None = None
    ) -> None:
        self._subject = subject
        self._points = None if points is None else points_bytes(subject, points)
        self._values = None if values is None else self._valued(values)

    def _valued(self, wish: Request) -> Values:
        return values_in(
            wish.opened(), self._subject.terminology, wish.name, wish.kind, wish.columns
        )

    def told(self) -> dict[str, bool]:
        """Return which overlays there are from the start."""
        return {"points": self._points is not None, "values": self._values is not None}

    def points(self) -> bytes:
        """Return the points from the start; see ``points_bytes``."""
        if self._points is None:
            raise InvalidInputError("The viewer was started without points.")
        return self._points

    def values(self) -> dict[str, Any]:
        """Return the values from the start."""
        if self._values is None:
            raise InvalidInputError("The viewer was started without values.")
        return self._values.told()

    def dropped(self, body: bytes, query: bytes) -> bytes:
        """Return what a dropped file holds, in the form of ``points_bytes``.

        Parameters
        ----------
        body
            The file.
        query
            ``name=``, ``unit=`` and ``columns=``, as in an address.

        Raises
        ------
        InvalidInputError
            If the file holds neither points nor values.
        """
        wish = _dropped_request(body, query)
        if wish.kind in _TABLES and holds_values(body, wish.kind):
            return _packed(self._valued(wish).told(), np.empty((0, 3), np.float32))
        try:
            return points_bytes(self._subject, wish)
        except InvalidInputError as error:
            text = str(error).replace("the stream", wish.name)
            raise InvalidInputError(text) from error


def _dropped_request(body: bytes, query: bytes) -> Request:
    try:
        asked = parse_qs(query.decode("ascii"), max_num_fields=8)
    except ValueError as error:
        raise InvalidInputError("The request cannot be understood.") from error
    name = "".join(one for one in asked.get("name", ["file.csv"])[0][:100] if one.isprintable())
    name = name.replace("\\", "/").rpartition("/")[2] or "file.csv"
    columns = tuple(one for one in asked.get("columns", [""])[0].split(",") if one)
    kind = name.rpartition(".")[2].lower() if "." in name else "csv"
    unit = asked.get("unit", [None])[0]
    return Request(body, name, "csv" if kind == "txt" else kind, unit, columns)
