"""What is known of atlases: those here, those the remotes list, those that were ever published.

Everything here works without a network: an index of today answers, else the remotes are asked, else
the last index seen, else the facts that come with the package.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bg_atlasapi import settings
from bg_atlasapi.errors import AtlasError, RemoteError, UnknownAtlasError
from bg_atlasapi.store import cache, disk, index, install, inventory, selection
from bg_atlasapi.store.cache import InstalledAtlas
from bg_atlasapi.store.index import Index
from bg_atlasapi.store.lifecycle import Library
from bg_atlasapi.store.remotes import Release, Remotes

_SIZE_IN_NAME = re.compile(r"_(\d+(?:\.\d+)?)(nm|um|mm)$")
# A list is for people who wait for it: on a machine that is cut off, not long, and not each time.
_PATIENCE_S, _FAILURE_S = 6.0, 600.0
_UM = {"nm": 1e-3, "um": 1.0, "mm": 1e3}


@dataclass(slots=True)
class Known:
    """One atlas, as far as it is known.

    Parameters
    ----------
    name
        With resolution.
    species
        In Latin, None if not known.
    resolution
        Voxel size, µm, along each axis; None if not known.
    installed
        Its versions on this machine, oldest first.
    latest
        Newest version a remote lists, None if none does.
    origin
        Address of that remote; of an atlas that no remote lists, where it was installed from.
    citation
        As published, None if not known.
    """

    name: str
    species: str | None = None
    resolution: tuple[float, ...] | None = None
    installed: list[InstalledAtlas] = field(default_factory=list)
    latest: tuple[int, int] | None = None
    origin: str | None = None
    citation: str | None = None

    @property
    def local(self) -> InstalledAtlas | None:
        """The newest version on this machine."""
        return self.installed[-1] if self.installed else None


def catalogue(library: Library, *, fresh: bool = False) -> list[Known]:
    """Return every atlas that is known, by name.

    Parameters
    ----------
    library
        Which layers and remotes.
    fresh
        Ask the remotes even if an index of today is at hand.
    """
    found: dict[str, Known] = {}
    for listed in indexes(library, fresh=fresh):
        for name, versions in listed.versions.items():
            known = found.setdefault(name, Known(name))
            if known.latest is None and versions:
                known.latest, known.origin = max(versions), listed.remote
    for atlas in library.installed():
        found.setdefault(atlas.name, Known(atlas.name)).installed.append(atlas)
    for known in found.values():
        _fill(known)
    return [found[name] for name in sorted(found)]


def indexes(library: Library, *, fresh: bool = False) -> Iterator[Index]:
    """Give the index of each remote: of today, else asked for, else the last seen, else shipped."""
    seen = {one: index.recall(library.layers, one) for one in library.addresses}
    old = [
        address
        for address, known in seen.items()
        if fresh
        or (
            (known is None or known.age_s > index.DAY_S)
            and not index.failed_lately(library.layers, address, _FAILURE_S)
        )
    ]
    seen.update(_asked(library, old))
    for address, known in seen.items():
        if known is not None:
            yield known
        elif address in settings.DEFAULT_REMOTES:
            yield _shipped(address)


def _asked(library: Library, addresses: Sequence[str]) -> dict[str, Index]:
    """Ask remotes side by side; those that are slow to answer count as failed for now."""
    found: dict[str, Index] = {}

    def ask(address: str) -> None:
        with contextlib.suppress(AtlasError):  # an address that is none, too
            answers = Remotes([address], library.layers).indexes()
            found.update(zip([address], answers, strict=False))

    threads = [threading.Thread(target=ask, args=(one,), daemon=True) for one in addresses]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + _PATIENCE_S
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0.0))
    answers = dict(found)
    for address in addresses:
        if address not in answers and not settings.offline():
            index.note_failure(library.layers, address)
    return answers


def _shipped(address: str) -> Index:
    """Return what the package knows of a default remote."""
    layout = inventory.COMPONENTS if address.startswith("s3:") else inventory.PACKAGES
    versions: dict[str, tuple[tuple[int, int], ...]] = {}
    for name, facts in index.published().items():
        if layout in facts.get("stores", ()):
            version = facts.get("versions", {}).get(layout)
            versions[name] = (cache.parse_version(version),) if version else ()
    return Index(address, layout, versions, 0.0)


def _fill(known: Known) -> None:
    """Add facts: of the files here, else published ones, else what the name says."""
    facts = _own_metadata(known.local) if known.local else {}
    shipped = index.facts_of(known.name)
    known.species = _text(facts.get("species")) or shipped.get("species")
    known.citation = _text(facts.get("citation")) or shipped.get("citation")
    known.resolution = _triplet(facts.get("resolution")) or _triplet(shipped.get("resolution"))
    match = _SIZE_IN_NAME.search(known.name)
    if known.resolution is None and match and not known.installed:
        known.resolution = (float(match[1]) * _UM[match[2]],) * 3
    if known.local and known.origin is None:
        own = inventory.load(known.local.layer, known.name, known.local.version_text)
        known.origin = (own.origin or None) if own else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _triplet(value: object) -> tuple[float, ...] | None:
    if isinstance(value, int | float):
        return (float(value),) * 3
    try:
        return tuple(float(one) for one in value) if value else None  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        return None


def _own_metadata(atlas: InstalledAtlas) -> Mapping[str, Any]:
    """Read the metadata of an installed atlas; a damaged one is still listed."""
    packages = atlas.layout == inventory.PACKAGES
    try:
        stored = json.loads(
            (atlas.path / ("metadata.json" if packages else cache.MANIFEST)).read_bytes()
        )
    except (OSError, ValueError, RecursionError):
        return {}
    return stored if isinstance(stored, dict) else {}


def size_of(atlas: InstalledAtlas) -> int:
    """Return the bytes an installed atlas takes."""
    own = inventory.load(atlas.layer, atlas.name, atlas.version_text)
    return own.size if own else disk.size_of(atlas.path)


def describe(library: Library, name: str, version: str | None = None) -> dict[str, Any]:
    """Describe an atlas, installed or not; see ``update_atlases.atlas_info``."""
    full, wanted = library.named(name, version)
    here = [a for a in library.installed() if a.name == full and wanted in {None, a.version}]
    if here:
        return _of_installed(library, here[-1])
    return _of_release(library, full, wanted)


def _common(library: Library, name: str) -> dict[str, Any]:
    shipped = index.facts_of(name)
    resolution = _triplet(shipped.get("resolution"))
    return {
        "name": name,
        "version": None,
        "installed_versions": [a.version_text for a in library.installed() if a.name == name],
        "path": None,
        "layout": None,
        "origin": None,
        "installed": None,
        "parts": [],
        "size_bytes": None,
        "species": shipped.get("species"),
        "resolution_um": resolution,
        "citation": shipped.get("citation"),
        "atlas_link": shipped.get("atlas_link"),
        "metadata": {},
    }


def _of_installed(library: Library, atlas: InstalledAtlas) -> dict[str, Any]:
    metadata = _own_metadata(atlas)
    own = inventory.load(atlas.layer, atlas.name, atlas.version_text)
    facts = _common(library, atlas.name)
    facts |= {
        "version": atlas.version_text,
        "path": str(atlas.path),
        "layout": atlas.layout,
        "size_bytes": size_of(atlas),
        "metadata": dict(metadata),
    }
    facts |= _stated(metadata)
    if own is not None:
        facts |= {
            "origin": own.origin or None,
            "installed": own.installed,
            "parts": list(own.parts) or list(selection.USUAL),
        }
    return facts


def _stated(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an atlas's own metadata says under the names used here."""
    stated = {
        key: metadata[key] for key in ("species", "citation", "atlas_link") if key in metadata
    }
    if (resolution := _triplet(metadata.get("resolution"))) is not None:
        stated["resolution_um"] = resolution
    return stated


def _of_release(library: Library, name: str, wanted: tuple[int, int] | None) -> dict[str, Any]:
    """Describe an atlas at a remote, going by its manifest or by published facts."""
    facts = _common(library, name)
    try:
        release = next(iter(library.remotes.releases(name, wanted)))
    except RemoteError:
        if not index.facts_of(name) or wanted is not None:
            raise
        return facts  # nobody can be asked, but this much is known
    except UnknownAtlasError:
        raise
    facts |= {"version": release.version_text, "layout": release.layout, "origin": release.url}
    if release.layout == inventory.COMPONENTS:
        facts |= _manifest_facts(release)
    workshop = (
        library.workshop(f"describe {name}") if cache.first_writable(library.layers) else None
    )
    if workshop is not None:
        with contextlib.suppress(RemoteError):  # one that lists nothing: the size is not known
            facts["download_bytes"] = install.plan(release, workshop, selection.Parts()).total_bytes
    return facts


def _manifest_facts(release: Release) -> dict[str, Any]:
    text = release.remote.source.read(release.manifest)
    selection.components_of(text, release.url)  # refuses what is no manifest
    metadata = json.loads(text)
    return {"metadata": metadata, **_stated(metadata)}


def to_row(known: Known) -> dict[str, Any]:
    """Return one row of ``available_atlases`` and of ``brainglobe list --json``."""
    local = known.local
    versions = {atlas.version for atlas in known.installed}
    if known.latest is not None:
        versions.add(known.latest)
    return {
        "name": known.name,
        "species": known.species,
        "resolution": known.resolution,
        "versions": tuple(_spelt(one) for one in sorted(versions, reverse=True)),
        "local": local.version_text if local else None,
        "latest": _spelt(known.latest) if known.latest else None,
        "size_bytes": size_of(local) if local else None,
        "path": Path(local.path) if local else None,
        "origin": known.origin,
        "citation": known.citation,
    }


def _spelt(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
