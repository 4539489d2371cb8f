"""Which files does a component atlas consist of at a remote? Asked, never guessed.

The remote's own inventory answers, else a listing. Keys that lead anywhere but below the store are
passed over, whoever sent them. Nothing is downloaded here but what is needed to choose.
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath

from bg_atlasapi.errors import Finding, InvalidAtlasError, RefusedError
from bg_atlasapi.store import selection
from bg_atlasapi.store.inventory import Inventory
from bg_atlasapi.store.remotes import Release
from bg_atlasapi.store.selection import Parts
from bg_atlasapi.store.transport.sources import Listed

INVENTORY_KEY = "inventory.json"


def files_of(release: Release, parts: Parts) -> tuple[list[Listed], list[Listed]]:
    """Return the files of a component atlas, keys relative to the store, the manifest last.

    Those that come now, and those that come when they are read.

    Raises
    ------
    RemoteError
        If the remote cannot list them.
    InvalidAtlasError
        If its manifest is none, or leads out of the store.
    """
    remote = release.remote
    manifest = remote.source.read(release.manifest)
    components = selection.components_of(manifest, release.url)
    _require_own(manifest, release)
    listed = _remote_inventory(release)
    if listed is None:
        below = selection.prefixes(components, parts)
        listed = [one for prefix in below for one in _listing(release, prefix)]
    safe = [one for one in listed if _stays_inside(one.key)]
    chosen = selection.choose(safe, components, parts, remote.source.read)
    chosen, later = selection.put_off(safe, chosen, components, parts, remote.source.read)
    keys = {one.key for one in chosen}
    for needed in (components.terminology, *_volumes(components, parts)):
        if not any(key.startswith(needed) for key in keys):
            message = (
                f"{remote.address} has no files in {needed}, which {release.url} names, or cannot "
                "list them: it has no inventory.json, speaks no S3 and shows no pages of folders. "
                "Whoever runs it can make the inventory: brainglobe inventory FOLDER."
            )
            raise RefusedError(message, 404)
    own = next((one for one in listed if one.key == release.manifest), None)
    return [*chosen, own or Listed(release.manifest, len(manifest))], later


def _require_own(manifest: bytes, release: Release) -> None:
    """Refuse the manifest of another atlas.

    Raises
    ------
    InvalidAtlasError
        If it says that it lies elsewhere, or is of another version.
    """
    stated = json.loads(manifest)
    here = release.manifest.rpartition("/")[0]
    place, version = stated.get("location", here), stated.get("version", release.version_text)
    if str(place).strip("/") != here or str(version).replace("_", ".") != release.version_text:
        text = f"It is the manifest of {place!r}, version {version!r}, not of {here}."
        raise InvalidAtlasError(release.url, [Finding("version-mismatch", text, "error")])


def _volumes(components: selection.Components, parts: Parts) -> list[str]:
    annotation = components.annotation_set + selection.ANNOTATION
    needed = {"annotation": annotation, "template": components.template}
    every = selection.ON_DEMAND in parts.names  # at least their descriptions
    return [prefix for name, prefix in needed.items() if every or name in parts.names]


def _listing(release: Release, prefix: str) -> list[Listed]:
    """List a folder; none is like an empty one, because some parts are optional."""
    try:
        return list(release.remote.source.files(prefix))
    except RefusedError as error:
        if error.is_absence:
            return []
        raise


def _stays_inside(key: str) -> bool:
    path = PurePosixPath(key)
    odd = any(ord(c) < 32 or c in '\\:*?"<>|' for c in key)
    if not key or key.endswith("/") or odd:
        return False
    return not path.is_absolute() and ".." not in path.parts


def _remote_inventory(release: Release) -> list[Listed] | None:
    """Return the files that the remote's inventory lists, beside the manifest or for the store."""
    remote = release.remote
    beside = f"{release.manifest.rpartition('/')[0]}/{INVENTORY_KEY}"
    for key in (beside, INVENTORY_KEY):
        text = remote.source.read_if_there(key)
        known = Inventory.from_text(text.decode("utf-8", "replace")) if text else None
        if known is not None:
            return [Listed(e.key, e.size, e.sha256) for e in known.entries.values()]
    return None
