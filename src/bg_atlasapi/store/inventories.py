"""Make a folder of atlases one that any static web server can serve: write its inventories.

A component atlas gets ``inventory.json`` beside its manifest, a folder of packages one for all
archives. With it, installing needs no listing, and every file is checked by SHA-256.
"""

from __future__ import annotations

from pathlib import Path

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.store import cache, disk, inventory, verification
from bg_atlasapi.store.cache import InstalledAtlas
from bg_atlasapi.store.install import INVENTORY_KEY
from bg_atlasapi.store.inventory import Entry, Inventory
from bg_atlasapi.store.remotes import CONF
from bg_atlasapi.store.transfer.progress import Report, silent


def write_inventories(folder: Path, report: Report = silent) -> list[Path]:
    """Write the inventories of a folder that is going to be a remote.

    Parameters
    ----------
    folder
        Holds archives ``<name>_v<major>.<minor>.tar.gz``, or a component store (``atlases/``, or
        ``brainglobe-atlasapi/atlases/``).
    report
        Told of the bytes that were hashed.

    Returns
    -------
    list of Path
        What was written. An index, ``last_versions.conf``, is written where there is none.

    Raises
    ------
    InvalidInputError
        If it holds neither.
    StorageError
        If they cannot be written.
    """
    with disk.explained(folder, "write inventories"):
        store = folder / inventory.COMPONENT_STORE
        store = store if store.is_dir() else folder
        if (store / "atlases").is_dir():
            return _of_components(store, report)
        archives = sorted(folder.glob("*_v*.tar.gz"))
        if archives:
            return _of_packages(folder, archives)
    message = (
        f"{folder} holds neither archives (<name>_v<major>.<minor>.tar.gz) nor a component store."
    )
    raise InvalidInputError(message)


def _of_components(store: Path, report: Report) -> list[Path]:
    written = []
    newest: dict[str, tuple[int, int]] = {}
    for manifest in sorted((store / "atlases").glob("*/*/" + cache.MANIFEST)):
        version = cache.parse_version_folder(manifest.parent.name)
        if version is None:
            continue
        atlas = InstalledAtlas(manifest.parent.parent.name, version, manifest.parent)
        made = verification.survey(atlas, report)
        path = manifest.with_name(INVENTORY_KEY)
        disk.write_text(path, made.to_text())
        written.append(path)
        newest[atlas.name] = max(newest.get(atlas.name, version), version)
    return written + _index(store / "atlases" / CONF, newest)


def index_packages(folder: Path) -> list[Path]:
    """Write index and inventory of the archives in a folder, in place of older ones.

    Parameters
    ----------
    folder
        Holds ``<name>_v<major>.<minor>.tar.gz``.

    Returns
    -------
    list of Path
        What was written.
    """
    (folder / CONF).unlink(missing_ok=True)
    return _of_packages(folder, sorted(folder.glob("*_v*.tar.gz")))


def _of_packages(folder: Path, archives: list[Path]) -> list[Path]:
    entries: dict[str, Entry] = {}
    newest: dict[str, tuple[int, int]] = {}
    for path in archives:
        named = cache.parse_folder(path.with_name(path.name.removesuffix(".tar.gz")))
        if named is None:
            continue
        entries[path.name] = Entry(path.name, path.stat().st_size, inventory.sha256_of(path), 0)
        newest[named.name] = max(newest.get(named.name, named.version), named.version)
    made = Inventory("", "", inventory.PACKAGES, "", "", entries)
    disk.write_text(folder / INVENTORY_KEY, made.to_text())
    return [folder / INVENTORY_KEY, *_index(folder / CONF, newest)]


def _index(path: Path, newest: dict[str, tuple[int, int]]) -> list[Path]:
    if path.exists():
        return []
    lines = [f"{name} = {major}.{minor}" for name, (major, minor) in sorted(newest.items())]
    disk.write_text(path, "\n".join(["[atlases]", *lines, ""]))
    return [path]
