"""Read numbers that a server wrote: they may be anything."""

from __future__ import annotations

import re

LARGEST = 1 << 45  # bytes; no file of an atlas is nearly as large
_DIGITS = re.compile(r"[0-9]{1,18}")


def whole_number(text: str | None) -> int | None:
    """Return a number of 1 to 18 ASCII digits, None for anything else.

    >>> whole_number(" 12 "), whole_number("²"), whole_number("9" * 400), whole_number(None)
    (12, None, None, None)
    """
    text = (text or "").strip(" \t")
    return int(text) if _DIGITS.fullmatch(text) else None
