"""What every kind of label table is read into, and how numbers and colours in it are understood.

An ``Entry`` is a row as the file states it: its parent is still a word, its id may be missing.
What becomes of that is decided in ``trees``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from bg_atlasapi.errors import Finding

MOST_ID = 2**32 - 1
RGB = tuple[int, int, int]
_MISSING = {"", "na", "n/a", "nan", "none", "null", "<na>", "-"}
_NO_PARENT = _MISSING | {"0", "-1", "0.0", "-1.0"}
# NA is a region, too: the nucleus ambiguus.
_NO_WORD = {"", "n/a", "nan", "<na>"}
_WHOLE = re.compile(r"[+-]?\d{1,19}(\.0*)?")
_HEX = re.compile(r"(?:#|0x)?([0-9a-fA-F]{6})")
_PARTS = re.compile(r"[\s,;]+")
_LONGEST_NUMBER = 40


@dataclass(frozen=True, slots=True)
class Entry:
    """A row as the file states it.

    Parameters
    ----------
    where
        The row, for people.
    id
        None where it is not stated, as of a heading.
    name, acronym
        Empty where not stated.
    rgb
        None where not stated.
    parent
        Id, acronym or name of the parent; empty where not stated.
    path
        Ids, acronyms or names from the root, perhaps to this row itself; empty where not stated.
    depth
        How far the row is indented; None where rows are not.
    """

    where: str
    id: int | None
    name: str
    acronym: str = ""
    rgb: RGB | None = None
    parent: str = ""
    path: tuple[str, ...] = ()
    depth: int | None = None


@dataclass(frozen=True, slots=True)
class LabelTable:
    """What a label table says, in the form of ``structures.json``.

    Parameters
    ----------
    rows
        Each with ``id``, ``acronym``, ``name``, ``structure_id_path`` (ids from the root to this
        one) and ``rgb_triplet``. There is one root; every parent is listed.
    kind
        What the file was read as.
    findings
        Everything that is wrong, was made up, or was forgiven.
    made_ids
        Ids of rows that the file does not have: a root, headings without a number.
    """

    rows: tuple[dict[str, Any], ...]
    kind: str
    findings: tuple[Finding, ...]
    made_ids: tuple[int, ...] = ()


@dataclass
class Notes:
    """Findings as they come up.

    Parameters
    ----------
    file
        What they are about.
    """

    file: str
    findings: list[Finding] = field(default_factory=list)

    def error(self, code: str, message: str, where: str = "", mend: str = "") -> None:
        """Add something that makes the table unusable as it is."""
        self._add(code, message, "error", where, mend)

    def note(self, code: str, message: str, where: str = "", mend: str = "") -> None:
        """Add something worth knowing that needs nothing done."""
        self._add(code, message, "note", where, mend)

    def warning(self, code: str, message: str, where: str = "", mend: str = "") -> None:
        """Add something that is likely not as it was meant."""
        self._add(code, message, "warning", where, mend)

    def _add(self, code: str, message: str, severity: str, where: str, mend: str) -> None:
        place = f"{self.file}, {where}" if where else self.file
        self.findings.append(Finding(code, f"{place}: {message}", severity, place, mend))


def is_missing(text: str) -> bool:
    """Say whether a cell says nothing: empty, ``n/a`` (BIDS), ``NaN`` (pandas)."""
    return text.strip().lower() in _MISSING


def present(text: str) -> str:
    """Return a name or acronym without the blanks around it; empty if it says nothing."""
    return "" if text.strip().lower() in _NO_WORD else text.strip()


def is_no_parent(text: str) -> bool:
    """Say whether a cell says that there is no parent, unless a region is called so."""
    return text.strip().lower() in _NO_PARENT


def id_of(value: object, where: str, notes: Notes) -> int | None:
    """Return an id; None, with a finding unless the cell is empty, if it is none.

    0, which stands for outside everywhere, is returned as it is.
    """
    text = "" if value is None else str(value)
    if is_missing(text):
        return None
    number = whole(text)
    if number is None:
        notes.error("label-id", f"the id must be a whole number, got {text.strip()[:40]!r}.", where)
    elif not 0 <= number <= MOST_ID:
        message = f"the id {number} is none; ids of regions are 1 to {MOST_ID}."
        notes.error("id-out-of-range", message, where)
        return None
    return number


def whole(text: str) -> int | None:
    """Return a whole number however it is spelt: ``12``, ``12.0``, ``1.2e1``; None for others."""
    text = text.strip()
    if _WHOLE.fullmatch(text):
        return int(text.partition(".")[0])
    if len(text) > _LONGEST_NUMBER:
        return None
    try:
        number = Decimal(text)
        inside = number.is_finite() and abs(number.adjusted()) < 20
        return int(number) if inside and number == int(number) else None
    except (InvalidOperation, ValueError):
        return None


def colour_of(value: object, where: str, notes: Notes) -> RGB | None:
    """Return a colour of one cell; None, with a finding unless the cell is empty, if it is none.

    ``#BFDAE3``, ``BFDAE3``, ``19399`` (for ``019399``: spreadsheets drop zeros), ``191,218,227``,
    ``[191 218 227]``, ``rgb(191, 218, 227)``, or fractions of 1.
    """
    if isinstance(value, list | tuple):
        return shades_of([str(part) for part in value], where, notes)
    text = "" if value is None else str(value)
    if is_missing(text):
        return None
    text = text.strip()
    digits = text.removesuffix(".0")
    if digits.isdecimal() and len(digits) < 6:
        text = digits.zfill(6)
    if match := _HEX.fullmatch(text):
        number = int(match[1], 16)
        return number >> 16, number >> 8 & 255, number & 255
    parts = [part for part in _PARTS.split(text.removeprefix("rgb").strip("()[] ")) if part]
    return shades_of(parts, where, notes)


def shades_of(parts: Sequence[str], where: str, notes: Notes) -> RGB | None:
    """Return a colour of three cells; None, with a finding unless all are empty, if it is none."""
    if all(is_missing(part) for part in parts):
        return None
    try:
        red, green, blue = (float(part) for part in parts)
    except ValueError:
        _not_a_colour(parts, where, notes)
        return None
    shades = (red, green, blue)
    fractions = max(shades) <= 1 and any("." in part and float(part) % 1 for part in parts)
    if fractions:
        shades = (red * 255, green * 255, blue * 255)
    if not all(math.isfinite(shade) and 0 <= shade <= 255 for shade in shades):
        _not_a_colour(parts, where, notes)
        return None
    first, second, third = (int(shade + 0.5) for shade in shades)
    return first, second, third


def _not_a_colour(parts: Sequence[str], where: str, notes: Notes) -> None:
    shown = ", ".join(parts)[:40]
    message = f"{shown!r} is no colour; it needs three numbers from 0 to 255, or RRGGBB."
    notes.warning("colour-unreadable", message, where, "A colour was made up.")
