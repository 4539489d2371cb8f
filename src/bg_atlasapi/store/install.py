"""Install one release: an archive is unpacked while it arrives, components come file by file.

Either way an atlas is whole or absent: a package is put together beside its place and renamed, the
manifest of a component atlas comes last. Everything is on the disk before that.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bg_atlasapi.errors import (
    AtlasError,
    ChecksumError,
    IncompleteAtlasError,
    InvalidAtlasError,
    StorageError,
)
from bg_atlasapi.formats import packaged
from bg_atlasapi.store import awaited, cache, disk, inventory, limbo, offered, selection
from bg_atlasapi.store.archive import EarlyFlush, settle, unpack
from bg_atlasapi.store.inventory import COMPONENTS, PACKAGES, Inventory
from bg_atlasapi.store.offered import INVENTORY_KEY
from bg_atlasapi.store.remotes import Release
from bg_atlasapi.store.selection import Parts
from bg_atlasapi.store.transfer import download, files
from bg_atlasapi.store.transfer.incoming import incoming as arriving
from bg_atlasapi.store.transfer.progress import DOWNLOAD, UNPACK, Report
from bg_atlasapi.store.transport.sources import Listed
from bg_atlasapi.store.workshop import Workshop, swap

_CLEARED = 20
_KEPT = "What was downloaded stays for the next try."
# Findings that bytes which went wrong on the way also cause: worth a second download.
_MAYBE_THE_WAY = {
    *("damaged-archive", "not-an-archive", "trailing-data", "empty-archive"),
    *("odd-header", "odd-size", "header-too-large", "sparse-file"),
}


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
        listed, _ = offered.files_of(release, parts)
        wanted = _wanted(listed, workshop.layer)
        sized = all(one.size is not None for one in listed)
        missing = files.missing_bytes(wanted) if sized else None
        target = workshop.layer / inventory.COMPONENT_STORE / release.manifest
        return Plan(release, target.parent, tuple(listed), missing, parts)
    size = release.remote.source.size(release.archive)
    target = workshop.layer / release.folder_name
    pieces = workshop.parts(release.url, release.folder_name).glob("[0-9]*")
    here = sum(disk.size_of(piece) for piece in pieces)
    missing = None if size is None else max(size - here, 0)
    if target.is_dir() and _wider(workshop.layer, release, parts) is None:
        missing = 0
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
    parts = selection.of_package(parts)
    replaces = target.is_dir()
    if replaces and not again and cache.is_whole(done):
        more = _wider(workshop.layer, release, parts)
        if more is None:
            return done
        parts = more  # one archive, so what is here comes once more
    ranges, cleared = True, 0
    while True:
        try:
            _fetch_package(release, workshop, parts, report, ranges=ranges, replaces=replaces)
        except (
            *(download.ChangedError, ChecksumError, InvalidAtlasError, IncompleteAtlasError),
            FileNotFoundError,
        ) as error:
            if target.is_dir() and not replaces:
                return done  # another process finished the same download
            emptied = isinstance(error, download.EmptiedError) or not isinstance(error, AtlasError)
            if emptied and cleared < _CLEARED:
                cleared += 1  # without locks, others clear up what they no longer need
            elif ranges and _worth_another(error):
                ranges = False
            else:
                raise
        else:
            return done


def _wider(layer: Path, release: Release, parts: Parts) -> Parts | None:
    """Return what an installed package must grow to, None if it has all that is wanted."""
    known = inventory.load(layer, release.name, release.version_text)
    wanted = selection.of_package(parts)
    if known is None or not known.parts or selection.holds(known.parts, wanted):
        return None
    return selection.together(known.parts, wanted)


def _worth_another(error: OSError | ValueError) -> bool:
    if isinstance(error, InvalidAtlasError):
        return any(finding.code in _MAYBE_THE_WAY for finding in error.findings)
    return True


def _fetch_package(
    release: Release,
    workshop: Workshop,
    parts: Parts,
    report: Report,
    *,
    ranges: bool,
    replaces: bool,
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
            with EarlyFlush(folder) as flush:
                unpacked = unpack(
                    incoming,
                    folder,
                    where=release.url,
                    root=release.folder_name,
                    wanted=None if parts == Parts() else selection.choose_of_package(parts),
                    written=written,
                    finished=flush,
                )
            incoming.finish()
            packaged.require_files(folder)
        except (InvalidAtlasError, IncompleteAtlasError) as error:
            if incoming.has_hash and _worth_another(error):
                incoming.finish()  # tells if it is not what was published, the better reason
            incoming.discard()  # the next try would unpack the same
            raise
        report(DOWNLOAD, incoming.done, incoming.total or incoming.done)
        keys = [(one.key, one.size, one.sha256) for one in unpacked.members]
        put_in_place(folder, workshop, release, keys, release.url, parts, replaces=replaces)
        incoming.discard()


def put_in_place(
    folder: Path,
    workshop: Workshop,
    named: cache.InstalledAtlas | Release,
    keys: Sequence[tuple[str, int, str]],
    origin: str,
    parts: Parts | None = None,
    *,
    replaces: bool = True,
) -> Path:
    """Make a finished package folder an installed atlas.

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
    replaces
        Replace the same version if it is there, else leave it: others may be reading it.
    """
    version = named.version_text
    target = workshop.layer / f"{named.name}_v{version}"
    settle(folder, [key for key, _, _ in keys])
    texts = () if parts in {None, Parts()} else parts.texts
    made = Inventory(
        named.name, version, PACKAGES, origin, _now(), inventory.stamped(folder, keys), texts
    )
    workshop.tag()
    replacing = target.is_dir()
    if replacing and not replaces:
        return target
    if replacing:  # whichever folder is there meanwhile, no inventory of the other judges it
        inventory.forget(workshop.layer, named.name, version)
    else:
        inventory.store(workshop.layer, made)
    old = folder.with_name(disk.unique(f"{target.name}.old"))
    swapped = swap(folder, target, old if replacing else None)
    if replacing and swapped:
        inventory.store(workshop.layer, made)
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
        elsewhere = workshop.layer not in workshop.downloads.parents
        why = " It is the folder for downloads, interm_download_dir." if elsewhere else ""
        raise disk.full_disk(workshop.downloads, f"install {name}", needed, _KEPT + why)


# Components


def _wanted(
    listed: Sequence[Listed], layer: Path, before: Inventory | None = None, *, again: bool = False
) -> list[files.Wanted]:
    """Say where files go, and which of those that are here may be taken as they are.

    Where the remote publishes no hash, a file that was installed must be as it was then: taken by
    its size, a damaged one would be recorded as sound.
    """
    store = layer / inventory.COMPONENT_STORE
    known = before.entries if before is not None else {}
    return [
        files.Wanted(
            one,
            store / one.key,
            "" if again else known[one.key].sha256 if one.key in known else None,
        )
        for one in listed
    ]


def _install_components(
    release: Release, workshop: Workshop, parts: Parts, report: Report, *, again: bool
) -> cache.InstalledAtlas:
    store = workshop.layer / inventory.COMPONENT_STORE
    target = store / release.manifest
    done = cache.InstalledAtlas(release.name, release.version, target.parent)
    known = inventory.load(workshop.layer, release.name, release.version_text)
    before = known if target.is_file() else None  # else it is of an atlas that is gone
    if before is not None and not again and selection.holds(before.parts, parts):
        return done
    listed, later = offered.files_of(release, parts)
    wanted = _wanted(listed, workshop.layer, known, again=again)
    limbo.require_no_conflict(wanted, workshop.layer, done)
    _require_space(workshop, files.missing_bytes(wanted), release.name)
    keys = {one.key for one in listed}
    if known is not None:
        keys.update(known.entries)
    note = limbo.note(workshop.layer, release.name, release.version_text, keys)
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
            anew = {one.key for one in later} if again else ()
            kept = {key: entry for key, entry in before.entries.items() if key not in anew}
            stamps = {**kept, **stamps}
            texts = tuple(dict.fromkeys((*before.parts, *texts)))
        workshop.tag()
        made = Inventory(
            release.name, release.version_text, COMPONENTS, release.url, _now(), stamps, texts
        )
        if later:
            awaited.note(workshop.layer, release, later)
        inventory.store(workshop.layer, made)
        settle(folder, [cache.MANIFEST])
        wanted[-1].target.replace(target)
        disk.sync_folder(target.parent)
    note.unlink(missing_ok=True)
    return done


__all__ = ["INVENTORY_KEY", "Plan", "StorageError", "install", "plan", "put_in_place"]
