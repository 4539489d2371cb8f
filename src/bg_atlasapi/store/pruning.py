"""Remove what is no longer needed: old versions of atlases, and what interrupted work left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bg_atlasapi.store import cache, description, disk, inventory
from bg_atlasapi.store.lifecycle import Library, remove_version
from bg_atlasapi.store.workshop import Workshop


@dataclass(frozen=True, slots=True)
class Pruned:
    """Something that is no longer needed.

    Parameters
    ----------
    path
        Where it was.
    size
        Bytes.
    reason
        What it was.
    """

    path: Path
    size: int
    reason: str


def prune(library: Library, *, dry_run: bool = False) -> list[Pruned]:
    """Remove old versions of atlases, and what interrupted work left behind.

    Parameters
    ----------
    library
        Its layers; those that cannot be written to are left alone.
    dry_run
        Only say what would go.

    Returns
    -------
    list of Pruned
        What went.

    Raises
    ------
    StorageError
        If something cannot be removed.
    """
    gone = []
    for layer in library.layers:
        if not disk.is_writable(layer):
            continue
        newest = cache.newest(cache.installed([layer]))
        for atlas in cache.installed([layer]):
            if atlas.layer == layer and atlas != newest[atlas.name]:
                size = description.size_of(atlas)
                gone.append(
                    Pruned(atlas.path, size, f"older than {newest[atlas.name].version_text}")
                )
                if not dry_run:
                    with disk.explained(layer, f"remove {atlas.name}"):
                        remove_version(atlas)
        gone += _prune_leftovers(Workshop.of(layer, library.downloads), dry_run=dry_run)
    return gone


def _prune_leftovers(workshop: Workshop, *, dry_run: bool) -> list[Pruned]:
    found = [(path, "half-made") for path in workshop.leftovers()]
    if workshop.downloads.is_dir():
        found += [(path, "interrupted download") for path in sorted(workshop.downloads.iterdir())]
    here = {(a.name, a.version_text) for a in cache.installed([workshop.layer])}
    kept = workshop.layer / inventory.OWN_FOLDER / "inventories"
    for path in sorted(kept.glob("*_v*.json")) if kept.is_dir() else []:
        name, _, version = path.stem.rpartition("_v")
        if (name, version) not in here:
            found.append((path, "inventory of an atlas that is gone"))
    gone = [Pruned(path, disk.size_of(path), reason) for path, reason in found]
    if not dry_run:
        with disk.explained(workshop.layer, "prune"):
            for one in gone:
                disk.remove(one.path)
    return [one for one in gone if one.size or not one.path.is_dir() or one.reason == "half-made"]
