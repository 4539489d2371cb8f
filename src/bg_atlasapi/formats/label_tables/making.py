"""Make up what a label table lacks: acronyms, colours, ids. The same table gives the same ones."""

from __future__ import annotations

import colorsys
import re
from collections import Counter
from collections.abc import Collection, Sequence

from bg_atlasapi.formats.label_tables.entries import MOST_ID, RGB

_ROOT_ID = 997  # BrainGlobe's and the Allen Institute's
_LONGEST = 24
_WORD = re.compile(r"[^\W_]+")
_SMALL = {"of", "the", "and", "in", "to", "a", "an", "or", "with", "for", "part"}
_GOLDEN = 0.6180339887498949
_INITIALS = 8


def free_ids(taken: Collection[int], count: int) -> list[int]:
    """Return ids that are not taken: those after the largest, else the smallest free ones."""
    used = {number for number in taken if 0 <= number <= MOST_ID}
    start = max(used, default=0) + 1
    if start + count - 1 <= MOST_ID:
        return list(range(start, start + count))
    found: list[int] = []
    number = 1
    while len(found) < count:
        if number not in used:
            found.append(number)
        number += 1
    return found


def root_id(taken: Collection[int]) -> int:
    """Return the id of a root that is added: 997, or one that is free."""
    return _ROOT_ID if _ROOT_ID not in taken else free_ids(taken, 1)[0]


def made_acronyms(names: Sequence[str], ids: Sequence[int], taken: Collection[str]) -> list[str]:
    """Return an acronym for each name.

    A short name without blanks is its own acronym; of others, the initials of the words that count.
    Where several would get the same one, or it is taken, the id is added to each of them: so a new
    row does not change the acronyms of others but those it collides with.

    Parameters
    ----------
    names, ids
        Of the regions that need one.
    taken
        Acronyms that the table states.
    """
    wanted = [_short(name) for name in names]
    counts = Counter(wanted)
    return [
        short if short and counts[short] == 1 and short not in taken else f"{short}_{number}"
        for short, number in zip(wanted, ids, strict=True)
    ]


def _short(name: str) -> str:
    if len(name) <= _LONGEST and not re.search(r"\s", name):
        return name
    words = _WORD.findall(name)
    counting = [word for word in words if word.lower() not in _SMALL] or words
    if len(counting) == 1:
        return str(counting[0])[:_INITIALS]
    letters = [word if word.isdecimal() else word[0] for word in counting]
    return "".join(letters)[:_LONGEST]


def made_colour(number: int) -> RGB:
    """Return a colour for an id: hues of neighbouring ids lie far apart, none is near white."""
    hue = number * _GOLDEN % 1
    saturation = (0.55, 0.75, 0.95)[number % 3]
    value = (0.95, 0.8)[number // 3 % 2]
    red, green, blue = (
        int(part * 255 + 0.5) for part in colorsys.hsv_to_rgb(hue, saturation, value)
    )
    return red, green, blue
