"""Find installed atlases.

They are folders ``<name>_v<major>.<minor>`` in the atlas folder, and the one embedded here. This
module only looks: it never makes a folder, never reads an atlas, never uses the network.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bg_atlasapi.errors import InvalidInputError, UnknownAtlasError

EMBEDDED = Path(__file__).resolve().parent.parent / "data"
_FOLDER = re.compile(r"(?P<name>[^.].*)_v(?P<major>0|[1-9]\d{0,8})\.(?P<minor>0|[1-9]\d{0,8})")
_VERSION = re.compile(r"v?(\d{1,9})\.(\d{1,9})")
_RESOLUTION = re.compile(r"_(?P<size>\d+(?:\.\d+)?)(?P<unit>nm|um|mm)")
_PER_UM = {"nm": 1000.0, "um": 1.0, "mm": 0.001}  # divided by: 9 * 0.001 is not 0.009


@dataclass(frozen=True, slots=True, order=True)
class InstalledAtlas:
    """One version of an atlas on this machine.

    Parameters
    ----------
    name
        Without version, for example ``"allen_mouse_25um"``.
    version
        Major and minor.
    path
        Its folder.
    """

    name: str
    version: tuple[int, int]
    path: Path

    @property
    def version_text(self) -> str:
        """The version as people write it, ``"1.2"``."""
        return f"{self.version[0]}.{self.version[1]}"


def parse_version(text: str) -> tuple[int, int]:
    """Read ``"1.2"`` or ``"v1.2"``.

    Raises
    ------
    InvalidInputError
        If it is something else.
    """
    match = _VERSION.fullmatch(str(text).strip())
    if match is None:
        message = f"{text!r} is not an atlas version; write it like '1.2'."
        raise InvalidInputError(message)
    return (int(match[1]), int(match[2]))


def parse_folder(folder: Path) -> InstalledAtlas | None:
    """Read name and version off a folder's name, None if it does not have that form."""
    match = _FOLDER.fullmatch(folder.name)
    if match is None:
        return None
    return InstalledAtlas(match["name"], (int(match["major"]), int(match["minor"])), folder)


def installed(brainglobe_dir: Path) -> list[InstalledAtlas]:
    """List every version of every atlas here, by name, oldest version first.

    The user's folder goes before the embedded atlas: a version found in both is the user's.
    """
    found = {(atlas.name, atlas.version): atlas for atlas in _in_folder(brainglobe_dir)}
    with contextlib.suppress(InvalidInputError):  # a package closed to this account: do without
        for atlas in _in_folder(EMBEDDED):
            found.setdefault((atlas.name, atlas.version), atlas)
    return sorted(found.values())


def _in_folder(folder: Path) -> Iterable[InstalledAtlas]:
    try:
        atlases = [parse_folder(child) for child in sorted(folder.iterdir())]
        yield from (atlas for atlas in atlases if atlas is not None and atlas.path.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:  # not ours to read; no path at all
        reason = getattr(error, "strerror", None) or error
        message = f"The brainglobe folder {folder} cannot be read: {reason}."
        raise InvalidInputError(message) from error


def newest(atlases: Iterable[InstalledAtlas]) -> dict[str, InstalledAtlas]:
    """Return the newest version of each name."""
    return {atlas.name: atlas for atlas in sorted(atlases)}


def find(
    name: object, brainglobe_dir: Path, version: str | None = None, resolution: float | None = None
) -> InstalledAtlas:
    """Find an installed atlas.

    Parameters
    ----------
    name
        With resolution (``"allen_mouse_25um"``), or without when ``resolution`` is given.
    brainglobe_dir
        The user's atlas folder.
    version
        Like ``"1.2"``; default the newest.
    resolution
        Voxel size, µm. Names hold it rounded down (``whs_sd_rat_39um`` is 39.0625 µm).

    Raises
    ------
    UnknownAtlasError
        Says what is here, what is close, and where was looked.
    """
    if not isinstance(name, str):
        message = f"An atlas name is a string, got {name!r}."
        raise InvalidInputError(message)
    here = installed(brainglobe_dir)
    if resolution is not None:
        name = _with_resolution(name, resolution, here)
    candidates = [atlas for atlas in here if atlas.name == name]
    if not candidates:
        raise UnknownAtlasError(_unknown(name, here, brainglobe_dir))
    if version is None:
        return candidates[-1]
    wanted = parse_version(version)
    for atlas in candidates:
        if atlas.version == wanted:
            return atlas
    versions = ", ".join(atlas.version_text for atlas in candidates)
    message = f"Version {version} of {name} is not installed; installed: {versions}."
    raise UnknownAtlasError(message)


def _with_resolution(name: str, resolution: float, here: Iterable[InstalledAtlas]) -> str:
    try:
        resolution = float(resolution)
    except (TypeError, ValueError) as error:
        message = f"A resolution is a voxel size in µm, got {resolution!r}."
        raise InvalidInputError(message) from error
    full = _RESOLUTION.search(name)
    if full and full.end() == len(name):  # the name says it already
        name = name[: full.start()]
    sizes = {}
    for atlas in here:
        match = _RESOLUTION.fullmatch(atlas.name.removeprefix(name))
        if atlas.name.startswith(name) and match:
            sizes[float(match["size"]) / _PER_UM[match["unit"]]] = atlas.name
    for size in (resolution, resolution // 1):
        if size in sizes:
            return sizes[size]
    if sizes:
        have = ", ".join(f"{size:g}" for size in sorted(sizes))
        message = f"{name} is not installed at {resolution:g} µm; installed: {have} µm."
        raise UnknownAtlasError(message)
    return f"{name}_{resolution:g}um"


def _unknown(name: str, here: Iterable[InstalledAtlas], brainglobe_dir: Path) -> str:
    names = sorted({atlas.name for atlas in here})
    import difflib  # noqa: PLC0415 - only when something is misspelt

    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = (
        f"Did you mean {' or '.join(close)}?"
        if close
        else f"To add it, put its unpacked folder ({name}_v<major>.<minor>) there."
    )
    return (
        f"No atlas {name!r} is installed in {brainglobe_dir}. {hint} "
        f"Installed: {', '.join(names)}; list with show_atlases() or 'brainglobe list'."
    )
