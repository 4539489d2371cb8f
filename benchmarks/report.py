"""The table on the screen and the JSON file."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

from measure import Results, Side
from rows import Row

_HEADINGS = ("", "ours", "1.0.3", "3.x", "floor", "ratio", "bar", "met")


def table(rows: list[Row]) -> str:
    """Return the rows as aligned text."""
    lines = [_HEADINGS, *(_texts(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if column in (0, 6) else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _texts(row: Row) -> tuple[str, ...]:
    met = {True: "yes", False: "NO", None: "" if not row.bar else "n/a"}[row.met]
    figures = (_figure(value, row.unit) for value in (row.ours, row.peer, row.v3, row.floor))
    return (row.title, *figures, _ratio(row.ratio), row.bar, met)


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return "n/a"
    if unit == "MB":
        return f"{value:.0f} MB"
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.3g} ms"


def _ratio(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return f"1/{1 / ratio:.1f}" if ratio < 0.5 else f"{ratio:.2f}"


def notes(sides: list[Side], results: Results, loop: int) -> str:
    """Return what the table alone does not say."""
    lines = [f"{side.name}: {side.label}; {side.atlas}" for side in sides]
    lines += [
        f"1.0.3 and 3.x look points up one by one: {loop:,} of them, scaled to 1,000,000.",
        "floor: an empty interpreter; a copy of the mask into fresh memory; a[i, j, k] in memory.",
        "3.x reads no v1 package: it opens its own store of the same atlas, at 100 µm.",
    ]
    lines += [
        f"n/a: {question} of {side}: {reason}"
        for (side, question), reason in results.failures.items()
    ]
    return "\n".join(lines)


def write_json(path: Path, rows: list[Row], sides: list[Side], results: Results) -> None:
    """Write rows, every single number, and where they were measured."""
    content = {
        "machine": {
            "platform": platform.platform(),
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
        "sides": {side.name: {"label": side.label, "atlas": side.atlas} for side in sides},
        "rows": [row._asdict() for row in rows],
        "values": {" / ".join(key): figures for key, figures in results.values.items()},
        "failures": {" / ".join(key): reason for key, reason in results.failures.items()},
    }
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
