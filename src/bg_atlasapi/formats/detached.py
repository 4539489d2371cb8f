"""Files of voxels that a header names. They lie in the header's folder, or are refused."""

from __future__ import annotations

import re
from pathlib import Path

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.inside import inside

_MOST_FILES = 100_000
_NUMBERED = re.compile(r"(\S*%\d{0,3}d\S*)\s+(-?\d+)\s+(-?\d+)\s+(-?\d+)(?:\s+\d+)?")
_PLACE = re.compile(r"%(\d{0,3})d")


def beside(header: Path, name: str) -> Path:
    """Return a file that a header names.

    Raises
    ------
    InvalidInputError
        If it lies elsewhere than in the header's folder: a file from elsewhere could name any file
        of this machine.
    """
    name = name.strip()
    found = None if name.startswith(("/", "\\")) else inside(header.parent, name.removeprefix("./"))
    if found is None:
        message = (
            f"{header} says its voxels are in {name!r}, which does not lie in its folder; put both "
            "into one folder and name the file only."
        )
        raise InvalidInputError(message)
    return found


def numbered(stated: str) -> list[str]:
    """Return the names that ``slice_%03d.raw 1 100 1`` stands for; none if it is no such pattern.

    Raises
    ------
    InvalidInputError
        If it counts nowhere, or to more than 100,000 files.
    """
    match = _NUMBERED.fullmatch(stated.strip())
    if match is None:
        return []
    first, last, step = (int(match[part]) for part in (2, 3, 4))
    numbers = range(first, last + (1 if step > 0 else -1), step) if step else range(0)
    if not 0 < len(numbers) <= _MOST_FILES:
        message = f"{stated!r} names {len(numbers):,} files; 1 to {_MOST_FILES:,} are possible."
        raise InvalidInputError(message)
    return [_PLACE.sub(lambda m, n=number: f"{n:{m[1]}d}", match[1]) for number in numbers]
