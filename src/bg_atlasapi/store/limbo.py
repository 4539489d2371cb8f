"""Files of component atlases that are on their way in or out, noted so that none is forgotten.

A component atlas is there when its manifest is; its files come before that, and go after. A process
that is killed in between leaves files that belong to no atlas. So it notes their keys first, in
``<layer>/.bg_atlasapi/limbo``, and ``prune`` finds them. Nobody who removes another atlas takes
them for his own meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from bg_atlasapi.errors import AtlasError, Finding, InvalidAtlasError
from bg_atlasapi.store import cache, disk, inventory, selection
from bg_atlasapi.store.transfer import files


def path_of(layer: Path, name: str, version: str) -> Path:
    """Return where the keys of an atlas are noted."""
    return layer / inventory.OWN_FOLDER / "limbo" / f"{name}_v{version}.txt"


def note(layer: Path, name: str, version: str, keys: Iterable[str]) -> Path:
    """Note the files of an atlas that comes or goes; removing the note is the caller's."""
    path = path_of(layer, name, version)
    disk.write_text(path, "".join(f"{key}\n" for key in sorted(keys)))
    return path


def noted(layer: Path) -> Mapping[Path, frozenset[str]]:
    """Return every note and the keys in it, relative to the store."""
    folder = layer / inventory.OWN_FOLDER / "limbo"
    found = {}
    for path in sorted(folder.glob("*.txt")) if folder.is_dir() else []:
        with contextlib.suppress(OSError, ValueError):
            lines = path.read_text(encoding="utf-8").splitlines()
            found[path] = frozenset(key for key in lines if _is_below(key))
    return found


def _is_below(key: str) -> bool:
    path = PurePosixPath(key)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def needed(layer: Path, leaving: cache.InstalledAtlas | None = None) -> set[str]:
    """Return the folders of components, and the files, that installed atlases need.

    Parameters
    ----------
    layer
        The folder of atlases.
    leaving
        One that is going to be removed. Then others may be at work, so that what is noted of other
        atlases is needed too.
    """
    found: set[str] = set()
    for other in cache.installed([layer]):
        if other.layout == inventory.COMPONENTS and other != leaving:
            named = needed_by(other)
            if not named:  # damaged: what it consisted of is still needed
                known = inventory.load(other.layer, other.name, other.version_text)
                keys = known.entries if known else ()
                named = {"/".join([*key.split("/")[:3], ""]) for key in keys}
            found |= named
            found.add((other.path / cache.MANIFEST).relative_to(_store(layer)).as_posix())
    if leaving is not None:
        own = path_of(layer, leaving.name, leaving.version_text)
        found = found.union(*(keys for path, keys in noted(layer).items() if path != own))
    return found


def owner(layer: Path, key: str, path: Path, leaving: cache.InstalledAtlas) -> str | None:
    """Return the name of another installed atlas that needs a file as it is, None if none does.

    Parameters
    ----------
    layer
        The folder of atlases.
    key
        Of the file, relative to the store.
    path
        The file. One that is damaged by the record of the other atlas may be replaced.
    leaving
        The atlas that does not count.
    """
    for other in cache.installed([layer]):
        if other.layout != inventory.COMPONENTS or other.path == leaving.path:
            continue
        known = inventory.load(other.layer, other.name, other.version_text)
        if known is None and key.startswith(tuple(needed_by(other))):
            return other.name
        if (
            known is not None
            and key in known.entries
            and not inventory.damage(path, known.entries[key], thorough=True)
        ):
            return other.name
    return None


def require_no_conflict(
    wanted: Sequence[files.Wanted], layer: Path, atlas: cache.InstalledAtlas
) -> None:
    """Refuse to change files that other installed atlases need as they are.

    Raises
    ------
    InvalidAtlasError
        If a component of the same name and version has other content.
    """
    for one in wanted:
        if one.target.is_file() and files.adopted(one) is None:
            needing = owner(layer, one.listed.key, one.target, atlas)
            if needing is not None:
                text = (
                    f"{one.listed.key} is not the file that {needing} uses, though the component "
                    "has the same name and version. Install into another folder: BRAINGLOBE_DIR."
                )
                raise InvalidAtlasError(atlas.name, [Finding("component-conflict", text, "error")])


def needed_by(atlas: cache.InstalledAtlas) -> set[str]:
    """Return the folders of the components that an installed atlas names."""
    try:
        manifest = (atlas.path / cache.MANIFEST).read_bytes()
        named = selection.components_of(manifest, str(atlas.path))
    except (AtlasError, OSError):
        return set()
    found = {named.terminology, named.coordinate_space, named.annotation_set}
    return found | {named.template, *named.references}


def unneeded(layer: Path, keys: Iterable[str], needed: Iterable[str]) -> list[Path]:
    """Return the files among keys that are there and that nobody needs."""
    prefixes = tuple(needed)
    every = (_store(layer) / key for key in sorted(keys) if not key.startswith(prefixes))
    return [path for path in every if path.is_file()]


def drop(layer: Path, files: Iterable[Path]) -> None:
    """Remove files of the store, and the folders that are empty then."""
    every = list(files)
    for path in every:
        path.unlink(missing_ok=True)
    tidy(layer, every)


def tidy(layer: Path, files: Iterable[Path | str]) -> None:
    """Remove the folders that files of the store were in, as far as they are empty."""
    store = _store(layer)
    for folder in sorted({(store / file).parent for file in files}, reverse=True):
        remove_empty(folder, store)


def remove_empty(folder: Path, top: Path) -> None:
    """Remove a folder and those above it, as long as they are empty."""
    while folder != top and top in folder.parents:
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            return
        folder = folder.parent


def _store(layer: Path) -> Path:
    return layer / inventory.COMPONENT_STORE
