"""From numbers to rows: each names its bar and says whether it is met. Measures nothing."""

from __future__ import annotations

from typing import NamedTuple

from measure import Results


class Row(NamedTuple):
    """One line of the table.

    Parameters
    ----------
    title
        What was measured.
    unit
        ``"s"`` or ``"MB"``.
    ours, peer, v3
        Medians; None where there is none.
    floor
        The least it could take, by plain numpy or an empty interpreter.
    ratio
        Ours to what the bar compares with.
    bar
        The bar in words, empty if there is none.
    met
        Whether it is; None if it cannot be said.
    """

    title: str
    unit: str
    ours: float | None
    peer: float | None
    v3: float | None
    floor: float | None
    ratio: float | None
    bar: str
    met: bool | None


class Bar(NamedTuple):
    """A row to be: which value it reads and how it is judged.

    Parameters
    ----------
    title
        What was measured.
    question, value
        Where the number is.
    limit
        The largest ratio, or MB, that meets the bar; None if there is no bar.
    against
        ``"peer"``, ``"floor"`` or ``"MB"``.
    floor
        Question and value of the floor.
    """

    title: str
    question: str
    value: str
    limit: float | None
    against: str = "peer"
    floor: tuple[str, str] | None = None


BARS = (
    Bar("import, whole process", "import", "process", 1 / 6, floor=("nothing", "process")),
    Bar("open an installed atlas, whole process", "open", "process", 1 / 5),
    Bar('get_structure_mask("CTX"), first call', "mask", "first", 1 / 40, floor=("mask", "copy")),
    Bar('get_structure_mask("CTX"), codes at hand', "mask", "again", 1 / 100),
    Bar("  the same, against a copy of its bytes", "mask", "again", 4, "floor", ("mask", "copy")),
    Bar("1,000,000 points, fresh atlas, table", "points", "points", 1 / 15),
    Bar("  the same, against a bare gather", "points", "points", 2, "floor", ("points", "gather")),
    Bar("  the same, ids alone", "points", "ids", None, "floor", ("points", "gather")),
    Bar("all descendants of all structures", "descendants", "descendants", 1 / 100),
    Bar("meshes of 100 structures (100 µm)", "meshes", "meshes", 1 / 5),
    Bar("peak memory, 1,000 points", "memory_points", "peak", 200, "MB"),
    Bar("peak memory, one slice", "memory_slice", "peak", 200, "MB"),
)


def rows(results: Results, asked: set[str]) -> list[Row]:
    """Return the table of the questions that were asked."""
    return [_row(bar, results) for bar in BARS if bar.question in asked]


def _row(bar: Bar, results: Results) -> Row:
    ours, peer, v3 = (
        results.median(side, bar.question, bar.value) for side in ("ours", "v1", "v3")
    )
    floor = results.median("ours", *bar.floor) if bar.floor else None
    unit = "MB" if bar.value == "peak" else "s"
    compared = {"peer": peer, "floor": floor, "MB": peer}[bar.against]
    ratio = ours / compared if ours is not None and compared else None
    judged = ours if bar.against == "MB" else ratio
    met = None if bar.limit is None or judged is None else judged <= bar.limit
    return Row(bar.title, unit, ours, peer, v3, floor, ratio, _words(bar), met)


def _words(bar: Bar) -> str:
    if bar.limit is None:
        return ""
    if bar.against == "MB":
        return f"< {bar.limit:g} MB"
    if bar.against == "floor":
        return f"≤ {bar.limit:g} × floor"
    return f"≤ 1/{round(1 / bar.limit)} of 1.0.3"
