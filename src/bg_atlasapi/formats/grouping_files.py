"""Groupings as small JSON files, which people may write by hand.

::

    {
      "format": "bg_atlasapi grouping",
      "format_version": 1,
      "name": "forebrain",
      "atlas": {"name": "allen_mouse_25um", "version": "1.2"},
      "lateralised": false,
      "outside": [],
      "groups": [
        {"id": 997, "acronym": "root", "name": "root", "rgb_triplet": [255, 255, 255],
         "parent": null, "structures": [997]},
        {"id": 10001, "acronym": "forebrain", "name": "forebrain",
         "rgb_triplet": [176, 240, 255], "parent": 997, "structures": [567, 1129]}
      ]
    }

``structures`` are ids of the atlas; each stands for itself and all below it, the deepest wins. Only
``groups`` are required, and of a group ``id``, ``acronym`` and, but for the root, ``parent``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.model.grouping import Group, GroupSet, problems_of

FORMAT, FORMAT_VERSION = "bg_atlasapi grouping", 1
_WHITE = [255, 255, 255]
_MOST_BYTES = 64 << 20  # a thousand times the largest that makes sense
_SHOWN = 20


def to_text(grouping: GroupSet) -> str:
    """Return a grouping as JSON, a group a line."""
    head = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": grouping.name,
        "atlas": {"name": grouping.atlas, "version": grouping.version},
        "lateralised": grouping.lateralised,
        "outside": list(grouping.outside),
    }
    groups = [
        {
            "id": one.id,
            "acronym": one.acronym,
            "name": one.name,
            "rgb_triplet": list(one.rgb),
            "parent": one.parent,
            "structures": list(one.members),
        }
        for one in grouping.groups
    ]
    lines = ",\n".join(f"    {json.dumps(one)}" for one in groups)
    stated = json.dumps(head, indent=2).removesuffix("\n}")
    return f'{stated},\n  "groups": [\n{lines}\n  ]\n}}\n'


def write(grouping: GroupSet, path: Path) -> None:
    """Write a grouping; the file is whole or not there.

    Raises
    ------
    InvalidInputError
        If it cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            partial.write_text(to_text(grouping), encoding="utf-8")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror or error}."
        raise InvalidInputError(message) from error


def read(path: Path) -> GroupSet:
    """Read a grouping.

    Raises
    ------
    InvalidInputError
        If the file cannot be read, or is none; says all that is wrong with it.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidInputError(f"The grouping {path} cannot be read: {reason}.") from error
    if len(data) > _MOST_BYTES:
        raise InvalidInputError(f"{path} is no grouping: it has more than {_MOST_BYTES} bytes.")
    return from_text(data, str(path))


def from_text(text: str | bytes, where: str) -> GroupSet:
    """Read a grouping from JSON.

    Parameters
    ----------
    text
        JSON.
    where
        Where it came from, for messages.

    Raises
    ------
    InvalidInputError
        If it is none; says all that is wrong with it.
    """
    try:
        stated = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{where} is no grouping: it is not JSON, {error}.") from error
    reading = _Reading()
    grouping = reading.grouping(stated)
    if reading.problems or grouping is None:
        shown = reading.problems[:_SHOWN]
        if len(reading.problems) > _SHOWN:
            shown.append(f"And {len(reading.problems) - _SHOWN} problems more.")
        raise InvalidInputError(f"{where} is no grouping: {' '.join(shown)}")
    return grouping


class _Reading:
    """One reading of a file, which collects all that is wrong with it."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def grouping(self, stated: Any) -> GroupSet | None:
        if not isinstance(stated, dict):
            self.problems.append(f"It must hold an object, not {type(stated).__name__}.")
            return None
        version = stated.get("format_version", FORMAT_VERSION)
        if stated.get("format", FORMAT) != FORMAT or version != FORMAT_VERSION:
            found = f"{_short(stated.get('format'))} version {_short(version)}"
            self.problems.append(f"Its format is {found}, not {FORMAT} version {FORMAT_VERSION}.")
            return None
        atlas = self._typed(stated, "atlas", dict, {})
        groups = self._typed(stated, "groups", list, [])
        if not groups:
            self.problems.append("It lists no groups.")
        read = [self._group(place, one) for place, one in enumerate(groups)]
        outside = self._ids(stated, "outside", "")
        name = self._typed(stated, "name", str, "")
        lateralised = self._typed(stated, "lateralised", bool, False)  # noqa: FBT003 - default
        atlas_name = self._typed(atlas, "name", str, "")
        atlas_version = self._typed(atlas, "version", str, "")
        sound = [one for one in read if one is not None]
        if self.problems or len(sound) < len(read):
            return None
        self.problems += problems_of(sound, outside)
        if self.problems:
            return None
        return GroupSet(name, tuple(sound), outside, lateralised, atlas_name, atlas_version)

    def _group(self, place: int, stated: Any) -> Group | None:
        which = f"Group {place}: "
        if not isinstance(stated, dict):
            self.problems.append(f"{which}it must be an object, not {_short(stated)}.")
            return None
        before = len(self.problems)
        identifier, parent = stated.get("id"), stated.get("parent")
        if not _is_whole(identifier):
            self.problems.append(f"{which}'id' must be a whole number, got {_short(identifier)}.")
        if parent is not None and not _is_whole(parent):
            self.problems.append(f"{which}'parent' must be an id or null, got {_short(parent)}.")
        acronym = self._typed(stated, "acronym", str, "", which)
        if not acronym:
            self.problems.append(f"{which}it has no 'acronym'.")
        name = self._typed(stated, "name", str, acronym, which)
        rgb = stated.get("rgb_triplet", _WHITE)
        shades = rgb if isinstance(rgb, list) else []
        if len(shades) != 3 or not all(_is_whole(one) and 0 <= one <= 255 for one in shades):
            text = f"{which}'rgb_triplet' must be three numbers from 0 to 255, got {_short(rgb)}."
            self.problems.append(text)
        members = self._ids(stated, "structures", which)
        if len(self.problems) > before:
            return None
        red, green, blue = shades
        return Group(int(identifier), acronym, name, (red, green, blue), parent, members)  # type: ignore[arg-type]

    def _ids(self, stated: Mapping[str, Any], key: str, which: str) -> tuple[int, ...]:
        values = self._typed(stated, key, list, [], which)
        strange = [one for one in values if not _is_whole(one)]
        if strange:
            text = f"{which}{key!r} must list ids of structures, got {_short(strange[0])}."
            self.problems.append(text)
            return ()
        return tuple(values)

    def _typed(
        self, stated: Mapping[str, Any], key: str, kind: type, default: Any, which: str = ""
    ) -> Any:
        value = stated.get(key)
        if value is None:
            return default
        if not isinstance(value, kind):
            names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
            self.problems.append(f"{which}{key!r} must be {names[kind]}, got {_short(value)}.")
            return default
        return value


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of too many digits, or nested too deeply
        text = type(value).__name__
    return text if len(text) <= 40 else f"{text[:37]}…"
