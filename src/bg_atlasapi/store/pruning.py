"""Remove what is no longer needed: old versions of atlases, and what interrupted work left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bg_atlasapi import settings
from bg_atlasapi.store import cache, description, disk, inventory, limbo
from bg_atlasapi.store.lifecycle import Library, remove_version
from bg_atlasapi.store.workshop import Workshop

_DAY_S = 86_400.0
_HALF_MADE = "half-made"


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
        recorded = [
            atlas
            for atlas in cache.installed([layer])
            if inventory.load(layer, atlas.name, atlas.version_text) is not None
        ]
        newest = cache.newest(recorded)
        for atlas in recorded:  # what was put there by hand is not ours to remove
            if atlas != newest[atlas.name]:
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
    idle = (path for path in workshop.leftovers() if not disk.maker_is_at_work(path.name))
    found = [(path, _HALF_MADE) for path in idle]
    if workshop.is_busy():
        return _removed(workshop, found, dry_run=dry_run)
    noted = [key for keys in limbo.noted(workshop.layer).values() for key in keys]
    found += _limbo(workshop.layer)
    if workshop.downloads.is_dir():
        found += [(path, "interrupted download") for path in _idle_downloads(workshop)]
    here = {(a.name, a.version_text) for a in cache.installed([workshop.layer])}
    kept = workshop.layer / inventory.OWN_FOLDER / "inventories"
    for path in sorted(kept.glob("*_v*.*")) if kept.is_dir() else []:
        name, _, version = path.stem.rpartition("_v")
        if (name, version) not in here:
            found.append((path, "inventory of an atlas that is gone"))
    gone = _removed(workshop, found, dry_run=dry_run)
    if not dry_run:
        limbo.tidy(workshop.layer, noted)
    return gone


def _idle_downloads(workshop: Workshop) -> list[Path]:
    """Return what nobody can be downloading any more.

    Locks tell of one layer only. In a folder that layers share, or without locks, a day must pass.
    """
    found = sorted(workshop.downloads.iterdir())
    if settings.locks() and workshop == Workshop.of(workshop.layer):
        return found
    return [path for path in found if time.time() - path.stat().st_mtime > _DAY_S]


def _limbo(layer: Path) -> list[tuple[Path, str]]:
    """Find the files that an interrupted installation or removal left in the store."""
    notes = limbo.noted(layer)
    keys = frozenset[str]().union(*notes.values())
    files = limbo.unneeded(layer, keys, limbo.needed(layer))
    found = [(path, "of an atlas that is not there") for path in files]
    return [*found, *((note, "note of them") for note in notes)]


def _removed(
    workshop: Workshop, found: Sequence[tuple[Path, str]], *, dry_run: bool
) -> list[Pruned]:
    every = [Pruned(path, disk.size_of(path), reason) for path, reason in found]
    gone = [one for one in every if one.size or not one.path.is_dir() or one.reason == _HALF_MADE]
    if not dry_run:
        with disk.explained(workshop.layer, "prune"):
            for one in every:
                disk.remove(one.path)
    return gone
