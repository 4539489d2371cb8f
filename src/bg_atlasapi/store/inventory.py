"""What an installed atlas consists of: key, size and hash of each file, where from and since when.

Inventories lie beside the atlases, in ``<layer>/.bg_atlasapi/inventories``, so that an atlas folder
holds exactly what was published. A file that its inventory lists is complete or it is an error:
readers ask (``checker``) before they first read a file. It costs one ``stat``; only a file that was
touched since is hashed again. Files that come later, when they are first read (``awaited``),
are added to a list beside the inventory, which several processes may do at once. An atlas without
an inventory (put there by hand) is checked against the one that was published with it, if there is
one beside its manifest, else it is read as is.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from bg_atlasapi.store import disk

OWN_FOLDER = ".bg_atlasapi"
PUBLISHED = "inventory.json"
COMPONENT_STORE = "brainglobe-atlasapi"
PACKAGES, COMPONENTS = "packages", "components"
_FORMAT = 1
_ADDED, AWAITED = ".added", ".awaited"
_HEAD = ("name", "version", "layout", "origin", "installed")
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One file.

    Parameters
    ----------
    key
        POSIX path, relative to the inventory's base.
    size
        Bytes.
    sha256
        Of its content, hexadecimal.
    mtime_ns
        When the content was last known to have this hash.
    """

    key: str
    size: int
    sha256: str
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Inventory:
    """One installed atlas.

    Parameters
    ----------
    name, version
        As in ``cache.InstalledAtlas``; the version as text, ``"1.2"``.
    layout
        ``"packages"`` or ``"components"``.
    origin
        Address the files came from; empty if they were put there by hand.
    installed
        When, ISO 8601, UTC.
    entries
        By key.
    parts
        Of a component atlas: what was chosen, for example ``["annotation", "template"]``.
    """

    name: str
    version: str
    layout: str
    origin: str
    installed: str
    entries: Mapping[str, Entry] = field(default_factory=dict)
    parts: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.entries.values())

    def to_text(self) -> str:
        """Return the inventory as it is stored: JSON, a line a file, with a hash of its own."""
        rows = [asdict(entry) for entry in self.entries.values()]
        lines = ",\n".join(json.dumps([*row.values()]) for row in rows)
        head: dict[str, Any] = {"format": _FORMAT}
        head |= {key: getattr(self, key) for key in _HEAD} | {"parts": list(self.parts)}
        head["digest"] = _digest(head, lines)
        return f"{json.dumps(head)[:-1]},\n" + f'"files": [\n{lines}\n]}}\n'

    @classmethod
    def from_text(cls, text: str) -> Inventory | None:
        """Read ``to_text``'s answer; None for anything else, a damaged inventory included."""
        try:
            stored = json.loads(text)
            lines = text.partition('"files": [\n')[2].rpartition("\n]")[0]
            head = {key: stored[key] for key in ("format", *_HEAD, "parts")}
            if stored["format"] != _FORMAT or stored["digest"] != _digest(head, lines):
                return None
            entries = {row[0]: _entry(row) for row in stored["files"]}
            facts = {key: str(stored[key]) for key in _HEAD}
            return cls(**facts, entries=entries, parts=tuple(map(str, stored["parts"])))
        except (ValueError, TypeError, KeyError, IndexError, RecursionError):
            return None


def _digest(head: Mapping[str, Any], lines: str) -> str:
    """Tell a damaged inventory; every open computes it, so no cryptography is loaded for it."""
    return f"{zlib.crc32(f'{json.dumps(head)}{lines}'.encode()):08x}"


def _entry(row: Sequence[Any]) -> Entry:
    """Read a row; anybody can write an inventory of a remote, digest and all."""
    key, size, sha256, mtime_ns = row
    sound = type(key) is str and type(size) is int and type(sha256) is str and size >= 0
    if not sound or type(mtime_ns) is not int:
        raise ValueError(row)
    return Entry(key, size, sha256, mtime_ns)


def path_of(layer: Path, name: str, version: str) -> Path:
    """Return where the inventory of an atlas lies, or would."""
    return layer / OWN_FOLDER / "inventories" / f"{name}_v{version}.json"


def load(layer: Path, name: str, version: str) -> Inventory | None:
    """Read the inventory of an atlas, None if there is none that can be used."""
    path = path_of(layer, name, version)
    found = read(path, name, version)
    added = _additions(path.with_suffix(_ADDED)) if found is not None else {}
    return replace(found, entries={**found.entries, **added}) if found and added else found


def read(path: Path, name: str, version: str) -> Inventory | None:
    """Read a file that should be the inventory of an atlas, None if it is not."""
    try:
        found = Inventory.from_text(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_its_own = found is not None and (found.name, found.version) == (name, version)
    return found if is_its_own else None


def _additions(path: Path) -> dict[str, Entry]:
    """Read what ``add`` wrote; a line that is not whole is passed over: its file comes again."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, RecursionError):
            entry = _entry(json.loads(line))
            found[entry.key] = entry
    return found


def add(layer: Path, name: str, version: str, entries: Iterable[Entry]) -> None:
    """Add files to an inventory without writing it anew; processes may do so at once."""
    lines = "".join(f"{json.dumps([*asdict(entry).values()])}\n" for entry in entries)
    path = path_of(layer, name, version).with_suffix(_ADDED)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:  # in one go, so that lines of several processes do not mix; after a torn line, a new one
        os.write(descriptor, f"\n{lines}".encode())
    finally:
        os.close(descriptor)


def store(layer: Path, inventory: Inventory) -> None:
    """Write an inventory, whole or not at all, in place of what was added to an earlier one."""
    path = path_of(layer, inventory.name, inventory.version)
    disk.write_text(path, inventory.to_text())
    path.with_suffix(_ADDED).unlink(missing_ok=True)


def forget(layer: Path, name: str, version: str) -> None:
    """Remove the inventory of an atlas and all that goes with it."""
    path = path_of(layer, name, version)
    for suffix in (path.suffix, _ADDED, AWAITED):
        path.with_suffix(suffix).unlink(missing_ok=True)


def base_of(layer: Path, inventory: Inventory) -> Path:
    """Return the folder that keys are relative to."""
    if inventory.layout == COMPONENTS:
        return layer / COMPONENT_STORE
    return layer / f"{inventory.name}_v{inventory.version}"


def stamped(base: Path, sizes_and_hashes: Iterable[tuple[str, int, str]]) -> dict[str, Entry]:
    """Return entries of files that were just written, with their time stamps."""
    return {
        key: Entry(key, size, sha256, os.stat(base / key).st_mtime_ns)  # noqa: PTH116 - strings: half the time for a thousand files
        for key, size, sha256 in sizes_and_hashes
    }


def sha256_of(path: Path, report: Callable[[int], None] | None = None) -> str:
    """Hash a file.

    Parameters
    ----------
    path
        The file.
    report
        Called with the bytes of each block that was read.
    """
    import hashlib

    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            if report:
                report(len(block))
    return digest.hexdigest()


def identify(root_dir: Path) -> tuple[Path, str, str] | None:
    """Read layer, name and version off an atlas's folder; None if it is not in a layer's form."""
    if root_dir.parent.parent.name == "atlases":
        layer = root_dir.parents[3] if len(root_dir.parents) > 3 else None
        if layer is not None and root_dir.parents[2].name == COMPONENT_STORE:
            return layer, root_dir.parent.name, version_of_folder(root_dir.name)
    name, _, version = root_dir.name.rpartition("_v")
    return (root_dir.parent, name, version) if name else None


def version_of_folder(folder: str) -> str:
    """Return ``"3.0"`` for ``"3_0"``."""
    major, _, minor = folder.partition("_")
    return f"{major}.{minor or 0}"


def damage(path: Path, entry: Entry, *, thorough: bool = False) -> str | None:
    """Say what is wrong with a file, None if nothing is.

    Parameters
    ----------
    path
        Where the file should be.
    entry
        What it should be.
    thorough
        Hash it even if size and time stamp are as recorded.
    """
    try:
        found = path.stat()
        if found.st_size != entry.size:
            return f"{path} has {found.st_size:,} bytes, {entry.size:,} were installed."
        if found.st_mtime_ns == entry.mtime_ns and not thorough:
            return None
        actual = sha256_of(path)
    except (FileNotFoundError, NotADirectoryError):
        return f"{path} is missing."
    except OSError as error:
        return f"{path} cannot be read: {error.strerror or error}."
    if actual == entry.sha256:
        return None
    return (
        f"{path} is not what was installed (SHA-256 {actual[:12]}…, expected {entry.sha256[:12]}…)."
    )


def restamp(layer: Path, inventory: Inventory) -> Inventory:
    """Record the time stamps of files that were just found sound, if that can be written."""
    base = base_of(layer, inventory)
    entries = {}
    for key, entry in inventory.entries.items():
        with contextlib.suppress(OSError):
            entry = replace(entry, mtime_ns=(base / key).stat().st_mtime_ns)  # noqa: PLW2901 - the same thing, made plain
        entries[key] = entry
    fresh = replace(inventory, entries=entries)
    if fresh != inventory:
        with contextlib.suppress(OSError):
            store(layer, fresh)
    return fresh


def to_facts(inventory: Inventory) -> dict[str, Any]:
    """Return what people and programs ask of an inventory, without its files."""
    return {
        "origin": inventory.origin or None,
        "installed": inventory.installed,
        "files": len(inventory.entries),
        "size_bytes": inventory.size,
        "parts": list(inventory.parts),
    }
