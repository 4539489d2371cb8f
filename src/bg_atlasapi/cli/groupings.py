"""Groupings on the command line: what ``--at`` may name besides a depth and acronyms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bg_atlasapi.query.group_rules import EXTENSION, FOLDER

if TYPE_CHECKING:
    from bg_atlasapi.core import Atlas
    from bg_atlasapi.query.grouping import Grouping


def grouping_at(text: str, atlas: Atlas) -> Grouping | None:
    """Return the grouping that ``--at`` names, None if it names none.

    Parameters
    ----------
    text
        A file ``….json``, or the name of a grouping that came with the atlas. An acronym of the
        atlas is none, even if a grouping has its name.
    atlas
        The atlas that is asked.

    Raises
    ------
    InvalidInputError
        If the file cannot be read, or is no grouping.
    """
    if any(text in (one.acronym, one.name) for one in atlas.structures.values()):
        return None
    shipped = atlas.root_dir / FOLDER / f"{text}{EXTENSION}"
    named = Path(text).name == text and shipped.is_file()
    if not named and not text.endswith(EXTENSION):
        return None
    from bg_atlasapi.query.grouping import Grouping

    return Grouping.load(shipped if named else Path(text))
