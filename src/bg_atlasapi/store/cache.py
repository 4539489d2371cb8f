"""Find installed atlases.

They are folders ``<name>_v<major>.<minor>`` (packages) and manifests below
``brainglobe-atlasapi/atlases`` (components) in the layers, and the one embedded here. This module
only looks: it never makes a folder, never reads an atlas, never uses the network.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bg_atlasapi.errors import InvalidInputError, StorageError, UnknownAtlasError
from bg_atlasapi.store import disk, inventory

MANIFEST = "manifest.json"
METADATA = "metadata.json"
EMBEDDED = Path(__file__).resolve().parent.parent / "data"
_FOLDER = re.compile(r"(?P<name>[^.].*)_v(?P<major>0|[1-9]\d{0,8})\.(?P<minor>0|[1-9]\d{0,8})")
_VERSION = re.compile(r"v?(\d{1,9})\.(\d{1,9})")
_VERSION_FOLDER = re.compile(r"(0|[1-9]\d{0,8})(?:_(0|[1-9]\d{0,8}))?")
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
        Its folder; of a component atlas, the folder of its manifest.
    """

    name: str
    version: tuple[int, int]
    path: Path

    @property
    def layout(self) -> str:
        """``"packages"`` or ``"components"``."""
        in_store = self.path.parent.parent.name == "atlases"
        return inventory.COMPONENTS if in_store else inventory.PACKAGES

    @property
    def layer(self) -> Path:
        """The folder of atlases it lies in."""
        return self.path.parents[3 if self.layout == inventory.COMPONENTS else 0]

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


def parse_version_folder(name: str) -> tuple[int, int] | None:
    """Read ``"3_0"`` or ``"3"``, None for anything else."""
    match = _VERSION_FOLDER.fullmatch(name)
    return (int(match[1]), int(match[2] or 0)) if match else None


def identify(root_dir: Path) -> InstalledAtlas | None:
    """Read name and version off the folder of an atlas of either layout."""
    version = parse_version_folder(root_dir.name)
    if version is not None and root_dir.parent.parent.name == "atlases":
        return InstalledAtlas(root_dir.parent.name, version, root_dir)
    return parse_folder(root_dir)


def parse_folder(folder: Path) -> InstalledAtlas | None:
    """Read name and version off a folder's name, None if it does not have that form."""
    match = _FOLDER.fullmatch(folder.name)
    if match is None:
        return None
    return InstalledAtlas(match["name"], (int(match["major"]), int(match["minor"])), folder)


def installed(layers: Iterable[Path]) -> list[InstalledAtlas]:
    """List every version of every atlas here, by name, oldest version first.

    A version found in several layers is the first layer's; the embedded atlas goes last.
    """
    found: dict[tuple[str, tuple[int, int]], InstalledAtlas] = {}
    for layer in layers:
        for atlas in (*_packages(layer), *_components(layer)):
            found.setdefault((atlas.name, atlas.version), atlas)
    with contextlib.suppress(InvalidInputError):  # a package closed to this account: do without
        for atlas in _packages(EMBEDDED):
            found.setdefault((atlas.name, atlas.version), atlas)
    return sorted(found.values())


def _packages(layer: Path) -> Iterator[InstalledAtlas]:
    for folder in _children(layer):
        atlas = parse_folder(folder)
        if atlas is not None and (_has_files(folder) or _is_recorded(atlas)):
            yield atlas


def _has_files(folder: Path) -> bool:
    """Say whether there is anything in a folder; tools that were interrupted leave empty ones."""
    try:
        with os.scandir(folder) as entries:
            return any(True for _ in entries)
    except OSError:
        return folder.is_dir()  # closed to this account: it is there all the same


def empty_folder(
    name: str, version: tuple[int, int] | None, layers: Iterable[Path]
) -> InstalledAtlas | None:
    """Return an empty folder of an atlas, None if there is none."""
    for layer in layers:
        for folder in _children(layer):
            atlas = parse_folder(folder)
            meant = atlas is not None and atlas.name == name and version in {None, atlas.version}
            if meant and folder.is_dir() and not _has_files(folder):
                return atlas
    return None


def _is_recorded(atlas: InstalledAtlas) -> bool:
    recorded = inventory.path_of(atlas.layer, atlas.name, atlas.version_text)
    return atlas.path.is_dir() and recorded.is_file()


def _components(layer: Path) -> Iterator[InstalledAtlas]:
    """Find component atlases: those whose manifest is there, which arrives last."""
    for atlas in _children(layer / inventory.COMPONENT_STORE / "atlases"):
        for folder in _children(atlas):
            version = parse_version_folder(folder.name)
            found = None if version is None else InstalledAtlas(atlas.name, version, folder)
            if found is not None and (folder / MANIFEST).is_file():
                yield found


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError) as error:  # not ours to read; no path at all
        reason = getattr(error, "strerror", None) or error
        message = f"The brainglobe folder {folder} cannot be read: {reason}."
        raise InvalidInputError(message) from error


def is_whole(atlas: InstalledAtlas) -> bool:
    """Say whether what every atlas has is there; of a recorded atlas its inventory judges."""
    if atlas.layout == inventory.COMPONENTS:
        return (atlas.path / MANIFEST).is_file()
    if inventory.load(atlas.layer, atlas.name, atlas.version_text) is not None:
        return True
    needed = (METADATA, "structures.json", "annotation.tiff", "reference.tiff")
    return all((atlas.path / name).is_file() for name in needed)


def first_writable(layers: Iterable[Path]) -> Path | None:
    """Return the layer that new atlases go to, None if none can be written to."""
    return next((layer for layer in layers if disk.is_writable(layer)), None)


def require_writable(layers: Sequence[Path], what: str) -> Path:
    """Return the layer that new atlases go to.

    Raises
    ------
    StorageError
        If none can be written to.
    """
    layer = first_writable(layers)
    if layer is None:
        places = " or ".join(str(one) for one in layers)
        message = (
            f"Cannot {what}: {places} cannot be written to. Choose another folder with "
            "BRAINGLOBE_DIR or 'brainglobe config -k brainglobe_dir -v FOLDER'."
        )
        raise StorageError(message)
    return layer


def newest(atlases: Iterable[InstalledAtlas]) -> dict[str, InstalledAtlas]:
    """Return the newest version of each name."""
    return {atlas.name: atlas for atlas in sorted(atlases)}


def find(
    name: object,
    layers: Sequence[Path],
    version: str | None = None,
    resolution: float | None = None,
) -> InstalledAtlas:
    """Find an installed atlas.

    Parameters
    ----------
    name
        With resolution (``"allen_mouse_25um"``), or without when ``resolution`` is given. A version
        may follow: ``"allen_mouse_25um@1.2"``.
    layers
        The folders of atlases.
    version
        Like ``"1.2"``; default the newest.
    resolution
        Voxel size, µm. Names hold it rounded down (``whs_sd_rat_39um`` is 39.0625 µm).

    Raises
    ------
    UnknownAtlasError
        Says what is here, what is close, and where was looked.
    """
    here = installed(layers)
    name, wanted = named(name, {atlas.name for atlas in here}, version, resolution)
    candidates = [atlas for atlas in here if atlas.name == name]
    if not candidates:
        raise UnknownAtlasError(_unknown(name, here, layers))
    if wanted is None:
        return candidates[-1]
    for atlas in candidates:
        if atlas.version == wanted:
            return atlas
    versions = ", ".join(atlas.version_text for atlas in candidates)
    text = f"{wanted[0]}.{wanted[1]}"
    message = f"Version {text} of {name} is not installed; installed: {versions}."
    raise UnknownAtlasError(message)


def finer(
    name: object, layers: Sequence[Path], version: str | None, resolution: float | None
) -> list[InstalledAtlas]:
    """List installed atlases of smaller voxels than those asked for, the largest first.

    Parameters
    ----------
    name, layers, version, resolution
        As in ``find``; without a resolution there are none.
    """
    if resolution is None:
        return []
    here = installed(layers)
    full, wanted = named(name, (), version, resolution)
    found = []
    for atlas in here:
        stem, size = _without_size(atlas.name)
        if size is None or stem != _without_size(full)[0] or size >= float(resolution):
            continue
        if wanted in (None, atlas.version):
            found.append((size, atlas.version, atlas))
    newest_last = sorted(found, key=lambda one: one[:2])
    return list({size: atlas for size, _, atlas in newest_last}.values())[::-1]


def _without_size(name: str) -> tuple[str, float | None]:
    """Return a name without its voxel size, and that, µm."""
    match = _RESOLUTION.search(name)
    if match is None or match.end() != len(name):
        return name, None
    return name[: match.start()], float(match["size"]) / _PER_UM[match["unit"]]


def named(
    name: object,
    known: Iterable[str],
    version: str | None = None,
    resolution: float | None = None,
) -> tuple[str, tuple[int, int] | None]:
    """Return the full name and the version that a caller means, among known names."""
    if not isinstance(name, str):
        message = f"An atlas name is a string, got {name!r}."
        raise InvalidInputError(message)
    name, _, written = name.partition("@")
    version = version if version is not None else written or None
    wanted = None if version is None else parse_version(version)
    return (name if resolution is None else _with_resolution(name, resolution, known)), wanted


def _with_resolution(name: str, resolution: float, known: Iterable[str]) -> str:
    try:
        resolution = float(resolution)
    except (TypeError, ValueError) as error:
        message = f"A resolution is a voxel size in µm, got {resolution!r}."
        raise InvalidInputError(message) from error
    full = _RESOLUTION.search(name)
    if full and full.end() == len(name):  # the name says it already
        name = name[: full.start()]
    sizes = {}
    for one in known:
        match = _RESOLUTION.fullmatch(one.removeprefix(name))
        if one.startswith(name) and match:
            sizes[float(match["size"]) / _PER_UM[match["unit"]]] = one
    for size in (resolution, resolution // 1):
        if size in sizes:
            return sizes[size]
    return f"{name}_{resolution:g}um"


def _unknown(name: str, here: Iterable[InstalledAtlas], layers: Sequence[Path]) -> str:
    names = sorted({atlas.name for atlas in here})
    import difflib

    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(close)}? " if close else ""
    places = ", ".join(str(layer) for layer in layers)
    return (
        f"No atlas {name!r} is installed in {places}. {hint}"
        f"Installed: {', '.join(names)}; list with show_atlases() or 'brainglobe list'."
    )
