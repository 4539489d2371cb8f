"""Paths that files state, kept inside the folder they speak of.

A manifest or an image names other folders. One from elsewhere could name any file of this machine;
what leaves the folder, by ``..``, as an absolute path or through a link, is refused.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from bg_atlasapi.errors import Finding, InvalidAtlasError


def inside(folder: Path, stated: str) -> Path | None:
    """Return a stated location as a path inside a folder; None if it leads elsewhere.

    Parameters
    ----------
    folder
        What the location is relative to.
    stated
        With or without a leading slash, parts separated by slashes.
    """
    parts = [part for part in PurePosixPath(stated).parts if part != "/"]
    if not parts or any(part == ".." or "\\" in part or ":" in part for part in parts):
        return None
    if "\0" in stated or not all(_can_be_a_name(part) for part in parts):
        return None
    path = folder.joinpath(*parts)
    return path if stays_inside(path, folder) else None


def _can_be_a_name(part: str) -> bool:
    try:
        return len(part.encode()) < 256
    except UnicodeEncodeError:  # half a character, as JSON can spell it
        return False


def stays_inside(path: Path, folder: Path) -> bool:
    """Say whether a path, every link followed, lies in a folder."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a ring of links
        return False


def require_inside(folder: Path, stated: str) -> Path:
    """Return a stated location as a path inside a folder.

    Raises
    ------
    InvalidAtlasError
        If it leads elsewhere.
    """
    path = inside(folder, stated)
    if path is None:
        text = f"It names {stated!r}, which does not lie inside {folder}."
        raise InvalidAtlasError(folder, [Finding("location-outside", text, "error")])
    return path
