"""Install one release: an archive is unpacked while it arrives, components come file by file.

Either way an atlas is whole or absent: a package is put together beside its place and renamed, the
manifest of a component atlas comes last. Everything is on the disk before that.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from bg_atlasapi.errors import (
    AtlasError,
    IncompleteAtlasError,
    InvalidAtlasError,
    RefusedError,
    StorageError,
)
from bg_atlasapi.formats import packaged
from bg_atlasapi.store import cache, disk, inventory, selection
from bg_atlasapi.store.archive import settle, unpack
from bg_atlasapi.store.inventory import COMPONENTS, PACKAGES, Inventory
from bg_atlasapi.store.remotes import Release
from bg_atlasapi.store.selection import Parts
from bg_atlasapi.store.transfer import download, files
from bg_atlasapi.store.transfer.incoming import incoming as arriving
from bg_atlasapi.store.transfer.progress import DOWNLOAD, UNPACK, Report
from bg_atlasapi.store.transport.sources import Listed
from bg_atlasapi.store.workshop import Workshop, swap

_KEPT = "What was downloaded stays for the next try."
# Findings that bytes which went wrong on the way also cause: worth a second download.
_MAYBE_THE_WAY = {"damaged", "corrupt", "checksum", "trailing-data"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What an installation brings.

    Parameters
    ----------
    release
        From where.
    target
        Where the atlas will be.
    files
        What comes; one archive, or many files of components.
    to_fetch_bytes
        Bytes that are not here yet; None if the remote does not say.
    parts
        What was chosen.
    """

    release: Release
    target: Path
    files: tuple[Listed, ...]
    to_fetch_bytes: int | None
    parts: Parts = field(default_factory=Parts)

    @property
    def total_bytes(self) -> int | None:
        """Bytes of everything, None if the remote does not say."""
        sizes = [one.size for one in self.files]
        return None if None in sizes else sum(size or 0 for size in sizes)


def plan(release: Release, workshop: Workshop, parts: Parts) -> Plan:
    """Find out what an installation brings, without bringing it.

    Raises
    ------
    RemoteError
        If the remote does not say.
    """
    if release.layout == COMPONENTS:
        listed = _component_files(release, parts)
        wanted = _wanted(listed, workshop.layer)
        sized = all(one.size is not None for one in listed)
        missing = files.missing_bytes(wanted) if sized else None
        target = workshop.layer / inventory.COMPONENT_STORE / release.manifest
        return Plan(release, target.parent, tuple(listed), missing, parts)
    size = release.remote.source.size(release.archive)
    target = workshop.layer / release.folder_name
    here = disk.size_of(workshop.parts(release.url, release.folder_name))
    missing = None if size is None else max(size - here, 0)
    return Plan(release, target, (Listed(release.archive, size),), missing, parts)


def install(
    release: Release, workshop: Workshop, parts: Parts, report: Report, *, again: bool = False
) -> cache.InstalledAtlas:
    """Install a release.

    Parameters
    ----------
    release
        What, and from where.
    workshop
        Where to.
    parts
        What of it.
    report
        Told of the progress.
    again
        Replace what is installed.

    Raises
    ------
    RemoteError
        If it cannot be downloaded.
    InvalidAtlasError, IncompleteAtlasError
        If what came is not the atlas.
    StorageError
        If it cannot be kept.
    """
    what = f"install {release.name}"
    with disk.explained(workshop.layer, what, kept=_KEPT):
        workshop.layer.mkdir(parents=True, exist_ok=True)
        with workshop.locked(f"{release.name}_v{release.version_text}"):
            if release.layout == COMPONENTS:
                return _install_components(release, workshop, parts, report, again=again)
            return _install_package(release, workshop, parts, report, again=again)


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


# Packages


def _install_package(
    release: Release, workshop: Workshop, parts: Parts, report: Report, *, again: bool
) -> cache.InstalledAtlas:
    target = workshop.layer / release.folder_name
    done = cache.InstalledAtlas(release.name, release.version, target)
    if target.is_dir() and not again:
        return done
    last_error: AtlasError | None = None
    for ranges in (True, False):
        try:
            _fetch_package(release, workshop, parts, report, ranges=ranges)
        except (download.ChangedError, InvalidAtlasError, IncompleteAtlasError) as error:
            if not _worth_another(error) or last_error is not None:
                raise
            last_error = error
        except FileNotFoundError as error:
            if isinstance(error, AtlasError) or not target.is_dir():
                raise
            return done  # another process finished the same download and cleared up
        else:
            return done
    raise AssertionError  # pragma: no cover - the second round returns or raises


def _worth_another(error: AtlasError) -> bool:
    if isinstance(error, InvalidAtlasError):
        return any(finding.code in _MAYBE_THE_WAY for finding in error.findings)
    return True


def _fetch_package(
    release: Release, workshop: Workshop, parts: Parts, report: Report, *, ranges: bool
) -> None:
    """Download, unpack, check and put in place."""
    expected = _published(release)
    pieces = workshop.parts(release.url, release.folder_name)
    source = release.remote.source
    with (
        workshop.staged(release.folder_name) as folder,
        arriving(source, expected, pieces, ranges=ranges) as incoming,
    ):

        def written(count: int) -> None:
            if incoming.total:
                _require_space(workshop, incoming.total - incoming.done, release.name)
            report(DOWNLOAD, incoming.done, incoming.total)
            report(UNPACK, count, 0)

        try:
            unpacked = unpack(
                incoming,
                folder,
                where=release.url,
                root=release.folder_name,
                wanted=None if parts == Parts() else selection.choose_of_package(parts),
                written=written,
            )
            incoming.finish()
            packaged.require_files(folder)
        except (InvalidAtlasError, IncompleteAtlasError):
            incoming.discard()  # the next try would unpack the same
            raise
        report(DOWNLOAD, incoming.done, incoming.total or incoming.done)
        keys = [(one.key, one.size, one.sha256) for one in unpacked.members]
        put_in_place(folder, workshop, release, keys, release.url, parts)
        incoming.discard()


def put_in_place(
    folder: Path,
    workshop: Workshop,
    named: cache.InstalledAtlas | Release,
    keys: Sequence[tuple[str, int, str]],
    origin: str,
    parts: Parts | None = None,
) -> Path:
    """Make a finished package folder an installed atlas, replacing the same version if it is there.

    Parameters
    ----------
    folder
        The finished folder, in the workshop's staging.
    workshop
        Where to.
    named
        Whose name and version it gets.
    keys
        Key, size and SHA-256 of its files.
    origin
        Where it came from.
    parts
        What was chosen of it.
    """
    version = named.version_text
    target = workshop.layer / f"{named.name}_v{version}"
    settle(folder, [key for key, _, _ in keys])
    texts = () if parts in {None, Parts()} else parts.texts
    made = Inventory(
        named.name, version, PACKAGES, origin, _now(), inventory.stamped(folder, keys), texts
    )
    workshop.tag()
    inventory.store(workshop.layer, made)
    old = folder.with_name(disk.unique(f"{target.name}.old"))
    swap(folder, target, old)
    if old.exists():
        disk.remove(old)
    return target


def _published(release: Release) -> Listed:
    """Return what the remote's inventory says of an archive, if it has one."""
    text = release.remote.source.read_if_there(INVENTORY_KEY)
    known = Inventory.from_text(text.decode("utf-8", "replace")) if text else None
    entry = known.entries.get(release.archive) if known else None
    if entry is not None:
        return Listed(release.archive, entry.size, entry.sha256)
    return Listed(release.archive, None, _side_hash(release))


def _side_hash(release: Release) -> str | None:
    """Return the SHA-256 in ``<archive>.sha256``, the form that sha256sum writes."""
    text = release.remote.source.read_if_there(f"{release.archive}.sha256")
    first = text.split()[:1] if text and len(text) < 4096 else []
    word = first[0].decode("ascii", "replace").lower() if first else ""
    return word if len(word) == 64 and set(word) <= set("0123456789abcdef") else None


def _require_space(workshop: Workshop, needed: int, name: str) -> None:
    free = disk.free_bytes(workshop.downloads)
    if free is not None and needed > free:
        raise disk.full_disk(workshop.downloads, f"install {name}", needed, _KEPT)


# Components

INVENTORY_KEY = "inventory.json"


def _component_files(release: Release, parts: Parts) -> list[Listed]:
    """Return the files of a component atlas, keys relative to the store, the manifest last."""
    remote = release.remote
    manifest = remote.source.read(release.manifest)
    components = selection.components_of(manifest, release.url)
    listed = _remote_inventory(release)
    if listed is None:
        below = selection.prefixes(components, parts)
        listed = [one for prefix in below for one in _listing(release, prefix)]
    chosen = selection.choose(
        [one for one in listed if _stays_inside(one.key)],
        components,
        parts,
        remote.source.read,
    )
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
    return [*chosen, own or Listed(release.manifest, len(manifest))]


def _volumes(components: selection.Components, parts: Parts) -> list[str]:
    needed = {"annotation": components.annotation_set, "template": components.template}
    return [prefix for name, prefix in needed.items() if name in parts.names]


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
    return bool(key) and not path.is_absolute() and ".." not in path.parts and not odd


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


def _wanted(listed: Sequence[Listed], layer: Path) -> list[files.Wanted]:
    store = layer / inventory.COMPONENT_STORE
    return [files.Wanted(one, store / one.key) for one in listed]


def _install_components(
    release: Release, workshop: Workshop, parts: Parts, report: Report, *, again: bool
) -> cache.InstalledAtlas:
    store = workshop.layer / inventory.COMPONENT_STORE
    target = store / release.manifest
    done = cache.InstalledAtlas(release.name, release.version, target.parent)
    before = inventory.load(workshop.layer, release.name, release.version_text)
    if (
        target.is_file()
        and not again
        and before is not None
        and set(parts.texts) <= set(before.parts)
    ):
        return done
    listed = _component_files(release, parts)
    wanted = _wanted(listed, workshop.layer)
    _require_space(workshop, files.missing_bytes(wanted), release.name)
    with workshop.staged(release.manifest.replace("/", "-")) as folder:
        # The manifest waits beside: with it in its place the atlas is there.
        wanted[-1] = replace(wanted[-1], target=folder / cache.MANIFEST)
        source = release.remote.source
        found = files.bring(source, wanted, workshop.downloads / "components", report)
        settle(store, [key for key, _, _ in found[:-1]])
        target.parent.mkdir(parents=True, exist_ok=True)
        stamps = inventory.stamped(store, found[:-1])
        key, size, sha256 = found[-1]
        mtime_ns = wanted[-1].target.stat().st_mtime_ns
        stamps[key] = inventory.Entry(key, size, sha256, mtime_ns)
        texts = parts.texts
        if before is not None:
            stamps = {**before.entries, **stamps}
            texts = tuple(dict.fromkeys((*before.parts, *texts)))
        workshop.tag()
        made = Inventory(
            release.name, release.version_text, COMPONENTS, release.url, _now(), stamps, texts
        )
        inventory.store(workshop.layer, made)
        settle(folder, [cache.MANIFEST])
        wanted[-1].target.replace(target)
        disk.sync_folder(target.parent)
    return done


__all__ = ["INVENTORY_KEY", "Plan", "StorageError", "install", "plan", "put_in_place"]
