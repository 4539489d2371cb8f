"""Label files without columns: ITK-SNAP, FreeSurfer's lookup tables, colour tables of 3D Slicer."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bg_atlasapi.formats.label_tables.entries import Entry, Notes, id_of, shades_of

# IDX R G B A VIS MSH "LABEL"
_SNAP = re.compile(
    r'\s*(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+"(.*)"\s*', re.DOTALL
)
# ID NAME R G B [A]; the name may have blanks.
_LUT = re.compile(
    r"\s*(-?\d+)\s+(.*\S)\s+(-?[\d.]+)\s+(-?[\d.]+)\s+(-?[\d.]+)(?:\s+(-?[\d.]+))?\s*"
)
_LUT_WITH_ALPHA = re.compile(
    r"\s*(-?\d+)\s+(.*\S)\s+(-?[\d.]+)\s+(-?[\d.]+)\s+(-?[\d.]+)\s+(-?[\d.]+)\s*"
)
_LOOKED_AT = 20
_LONGEST_LINE = 2048  # the patterns take their time on long lines


def is_itksnap(text: str) -> bool:
    """Say whether a text is a label description file of ITK-SNAP."""
    lines = [line for _, line in _lines(text)][:_LOOKED_AT]
    return bool(lines) and all(_matched(_SNAP, line) for line in lines)


def is_lut(text: str) -> bool:
    """Say whether a text is a lookup table of FreeSurfer or a colour table of Slicer."""
    lines = [line for _, line in _lines(text)][:_LOOKED_AT]
    return bool(lines) and all(_matched(_LUT_WITH_ALPHA, line) for line in lines)


def is_slicer(text: str, name: str) -> bool:
    """Say, of a lookup table, whether it is Slicer's: those show ``_`` in names as a blank."""
    return name.lower().endswith(".ctbl") or "# Color table file" in text


def itksnap_entries(text: str, notes: Notes) -> list[Entry]:
    """Return the rows of a label description file."""
    return _entries(text, _SNAP, (1, 8, (2, 3, 4)), notes)


def freesurfer_entries(text: str, notes: Notes) -> list[Entry]:
    """Return the rows of a lookup table."""
    return _entries(text, _LUT_WITH_ALPHA, (1, 2, (3, 4, 5)), notes)


def slicer_entries(text: str, notes: Notes) -> list[Entry]:
    """Return the rows of a colour table."""
    return _entries(text, _LUT_WITH_ALPHA, (1, 2, (3, 4, 5)), notes, underscores=True)


def _entries(
    text: str,
    pattern: re.Pattern[str],
    groups: tuple[int, int, tuple[int, int, int]],
    notes: Notes,
    *,
    underscores: bool = False,
) -> list[Entry]:
    at_id, at_name, at_rgb = groups
    entries = []
    for number, line in _lines(text):
        where = f"line {number}"
        match = _matched(pattern, line) or (None if pattern is _SNAP else _matched(_LUT, line))
        if match is None:
            message = f"it is no line of such a file: {line.strip()[:60]!r}."
            notes.error("label-line", message, where)
            continue
        found = id_of(match[at_id], where, notes)
        if found is None:
            continue
        name = match[at_name].strip()
        name = name.strip('"').replace("_", " ") if underscores else name
        entries.append(
            Entry(where, found, name, "", shades_of([match[at] for at in at_rgb], where, notes))
        )
    return entries


def _matched(pattern: re.Pattern[str], line: str) -> re.Match[str] | None:
    return pattern.fullmatch(line) if len(line) <= _LONGEST_LINE else None


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that are neither empty nor comments, with their numbers."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line
