"""Which member names of an archive are safe to write, on every system.

Pure: it looks at names, never at a disk. An archive is judged by the strictest system, so that an
atlas that unpacks on one machine unpacks on all, to the same files.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from bg_atlasapi.store.archive.limits import Limits, Refused

# Our own records lie beside the atlas's files under these names; an archive must not forge them.
RESERVED = frozenset({"inventory.json", ".inventory.json"})

# https://learn.microsoft.com/windows/win32/fileio/naming-a-file: devices, whatever the extension.
_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])[ ]*(?:\..*)?", re.IGNORECASE
)
# MESHES~1 is another name of "meshes folder" on Windows; the rest cannot be in a name there.
_NOT_ON_WINDOWS = re.compile(r'[<>"|?*]|~\d|[. ]$')
_JUNK = re.compile(r"\._.*|\.DS_Store|__MACOSX|PaxHeaders?(?:\.\d+|X)?")


def split_name(name: str, limits: Limits) -> tuple[str, ...]:
    """Return the parts of a member's name, without ``.`` and empty ones.

    Raises
    ------
    Refused
        If a part is unsafe or means something else on some system.
    """
    shown = show(name)
    if name.startswith("/"):
        raise Refused("absolute-path", f"{shown} is an absolute path.")
    if "\\" in name:
        raise Refused("backslash-in-name", f"{shown} holds a backslash, which parts folders.")
    if re.match(r"[A-Za-z]:", name):
        raise Refused("absolute-path", f"{shown} names a drive.")
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    for part in parts:
        code, what = _problem(part)
        if code:
            raise Refused(code, f"{shown} {what}.")
    if len(parts) > limits.depth + 1:
        message = f"{shown} is {len(parts) - 1} folders deep; at most {limits.depth} are allowed."
        raise Refused("path-too-deep", message)
    size = len("/".join(parts[1:]).encode("utf-8"))
    if size > limits.path_bytes:
        message = f"{shown} has {size:,} bytes; at most {limits.path_bytes:,} are allowed."
        raise Refused("path-too-long", message)
    return parts


@lru_cache(1024)  # a folder comes with each of its files
def _problem(part: str) -> tuple[str, str]:
    """Return a code and what is wrong, both empty if nothing is."""
    checks = (
        (part == "..", "parent-folder", "leads out of its folder"),
        # Control and format characters, bytes that are no UTF-8.
        (not part.isprintable(), "odd-character", "holds a character that cannot be shown"),
        (":" in part, "colon-in-name", "holds a colon: a stream or a drive on Windows"),
        (_DEVICE.fullmatch(part), "device-name", "names a device on Windows"),
        (_NOT_ON_WINDOWS.search(part), "not-portable", "is no name of its own on Windows"),
        (
            len(part.encode("utf-8", "replace")) > 255,
            "path-too-long",
            "has a part of more than 255 bytes",
        ),
    )
    return next(((code, what) for wrong, code, what in checks if wrong), ("", ""))


def is_junk(parts: tuple[str, ...]) -> bool:
    """Whether a tool left this behind: macOS attributes, headers an old tar took for files."""
    return any(_JUNK.fullmatch(part) for part in parts)


def fold(path: str) -> str:
    """Return the same text for paths that are one file on macOS or Windows."""
    if path.isascii():
        return path.lower()
    composed = unicodedata.normalize("NFC", path)
    return unicodedata.normalize("NFC", composed.casefold())


def show(name: str) -> str:
    """Return a name for a message: quoted, escaped, not longer than a line or two."""
    text = repr(name)
    return text if len(text) <= 160 else f"{text[:140]}…' ({len(name):,} characters)"


class Claims:
    """Which paths are taken: none twice, none as file and folder, none in two spellings."""

    def __init__(self) -> None:
        self._taken: dict[str, tuple[str, bool]] = {}
        self._parent = ""

    def folder(self, parts: tuple[str, ...]) -> None:
        """Claim a folder and those it lies in; again is no error."""
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            exact, is_folder = self._taken.setdefault(fold(path), (path, True))
            if not is_folder:
                message = f"{show(path)} is a folder here and a file before."
                raise Refused("file-and-folder", message)
            if exact != path:
                raise Refused("same-name-twice", _twice(path, exact))

    def file(self, parts: tuple[str, ...]) -> None:
        """Claim a file."""
        path = "/".join(parts)
        parent = path[: -len(parts[-1])]
        if parent != self._parent:  # files mostly come folder by folder
            self.folder(parts[:-1])
            self._parent = parent
        folded = fold(path)
        if folded in self._taken:
            exact, is_folder = self._taken[folded]
            if is_folder:
                message = f"{show(path)} is a file here and a folder before."
                raise Refused("file-and-folder", message)
            raise Refused("same-name-twice", _twice(path, exact))
        self._taken[folded] = (path, False)


def _twice(path: str, exact: str) -> str:
    if path == exact:
        return f"{show(path)} is in the archive twice."
    return f"{show(path)} and {show(exact)} are one name on macOS and Windows."
