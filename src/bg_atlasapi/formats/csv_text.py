"""Tables as comma-separated text with plain line ends. Reading is elsewhere."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence

_END = "\r\n"


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    r"""Return a table as CSV, its rows ended by ``"\n"``; None is an empty cell.

    Up to Python 3.12, ``csv`` quotes only those line ends that it writes itself. A bare ``"\r"`` in
    the name of a structure would end the row for every reader. So it is told to write both.
    """
    lines = _Lines()
    writer = csv.writer(lines, lineterminator=_END)
    writer.writerow(columns)
    writer.writerows(rows)
    return "".join(lines)


class _Lines(list[str]):
    """Rows as ``csv.writer`` hands them over, one at a time."""

    def write(self, row: str) -> None:
        self.append(row.removesuffix(_END) + "\n")
