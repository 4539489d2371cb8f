"""Is an installed atlas what was published? Find damage, and fetch only what is damaged.

An atlas that was put here by hand has no inventory: it is judged by opening and reading it, and
gets one if it is sound.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bg_atlasapi.errors import (
    AtlasError,
    ChecksumError,
    IncompleteAtlasError,
    InvalidAtlasError,
    RemoteError,
    UnknownAtlasError,
)
from bg_atlasapi.formats import registry
from bg_atlasapi.store import cache, disk, index, inventory, offered
from bg_atlasapi.store.archive import settle, unpack
from bg_atlasapi.store.cache import InstalledAtlas
from bg_atlasapi.store.inventory import Entry, Inventory
from bg_atlasapi.store.lifecycle import Library
from bg_atlasapi.store.remotes import Release
from bg_atlasapi.store.selection import Parts
from bg_atlasapi.store.transfer import files
from bg_atlasapi.store.transfer.incoming import incoming as arriving
from bg_atlasapi.store.transfer.progress import DOWNLOAD, VERIFY, Report, Tally, silent
from bg_atlasapi.store.transport.sources import Listed
from bg_atlasapi.store.workshop import Workshop

_MESH = re.compile(r"(?:^|/)mesh(?:es)?/(\d+)(?:\.obj|\.index)?$")


@dataclass(frozen=True, slots=True)
class Damage:
    """A file that is not what it should be."""

    key: str
    problem: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found.

    Parameters
    ----------
    atlas
        Which.
    files, size
        How many were hashed, and their bytes.
    damaged
        Those that are missing or changed.
    repaired
        Keys that were fetched again.
    adopted
        Whether the atlas had no inventory, and has one from now on.
    repairable
        Whether it is known what its files should be.
    """

    atlas: InstalledAtlas
    files: int
    size: int
    damaged: tuple[Damage, ...] = ()
    repaired: tuple[str, ...] = ()
    adopted: bool = False
    repairable: bool = True

    @property
    def sound(self) -> bool:
        """Whether the atlas is whole now."""
        return len(self.repaired) == len(self.damaged)


def verify_atlas(
    library: Library,
    name: str,
    version: str | None = None,
    report: Report = silent,
    *,
    repair: bool = False,
) -> Verification:
    """Hash every file of an installed atlas.

    Parameters
    ----------
    library, name, version, report
        As in ``lifecycle.install_atlas``.
    repair
        Fetch what is damaged, and only that.

    Raises
    ------
    UnknownAtlasError
        If it is not installed.
    RemoteError
        If a repair cannot be downloaded; what could be repaired is.
    StorageError
        If a repair cannot be written.
    """
    try:
        atlas = library.find(name, version)
    except UnknownAtlasError:
        recorded = _recorded(library, name, version)
        if recorded is None:
            raise
        atlas = recorded
    return verify(library, atlas, report, repair=repair)


def _recorded(library: Library, name: str, version: str | None) -> InstalledAtlas | None:
    """Return an atlas that has an inventory, though what it is known by is gone."""
    name, wanted = cache.named(name, (), version)
    found = []
    for layer in library.layers:
        folder = layer / inventory.OWN_FOLDER / "inventories"
        for path in sorted(folder.glob(f"{name}_v*.json")) if index.is_name(name) else ():
            named = cache.parse_folder(path.with_suffix(""))
            known = inventory.load(layer, name, named.version_text) if named else None
            if named is None or known is None or wanted not in {None, named.version}:
                continue
            place = layer / f"{name}_v{named.version_text}"
            if known.layout == inventory.COMPONENTS:
                version_folder = f"{named.version[0]}_{named.version[1]}"
                place = layer / inventory.COMPONENT_STORE / "atlases" / name / version_folder
            found.append(replace(named, path=place))
    return max(found, default=None, key=lambda one: one.version)


def verify(
    library: Library, atlas: InstalledAtlas, report: Report = silent, *, repair: bool = False
) -> Verification:
    """Verify one installed version; see ``verify_atlas``."""
    known = inventory.load(atlas.layer, atlas.name, atlas.version_text)
    if known is None:
        return _adopt(library, atlas, report, repair=repair)
    base = inventory.base_of(atlas.layer, known)
    tally = Tally(report, VERIFY, known.size)
    damaged = []
    for entry in known.entries.values():
        problem = inventory.damage(base / entry.key, entry, thorough=True)
        if problem is not None:
            damaged.append(Damage(entry.key, problem))
        tally.add(entry.size)
        tally.say()
    found = Verification(atlas, len(known.entries), known.size, tuple(damaged))
    if not damaged:
        inventory.restamp(atlas.layer, known)
        return found
    if not repair:
        return found
    with disk.explained(atlas.layer, f"repair {atlas.name}"):
        _repair(library, atlas, known, [known.entries[one.key] for one in damaged], report)
    return replace(found, repaired=tuple(one.key for one in damaged))


def _adopt(
    library: Library, atlas: InstalledAtlas, report: Report, *, repair: bool
) -> Verification:
    """Judge an atlas without inventory, and record what it consists of if it is sound.

    It is read, and compared with what the remotes list of it, if any can be asked.
    """
    release, published = _published(library, atlas)
    store = atlas.layer / inventory.COMPONENT_STORE  # nothing of a package is listed
    wanted = [files.Wanted(one, store / one.key) for one in published]
    differing = [one for one in wanted if files.adopted(one) is None]
    damaged = [
        Damage(one.listed.key, f"{one.target} is missing, or not what {release.url} lists.")
        for one in differing
        if release is not None
    ]
    if damaged and repair and release is not None:
        workshop = Workshop.of(atlas.layer, library.downloads)
        with disk.explained(atlas.layer, f"repair {atlas.name}"):
            source, parts = release.remote.source, workshop.downloads / "components"
            files.bring(source, differing, parts, report, trust=False)
            settle(store, [one.listed.key for one in differing])
    repaired = tuple(one.key for one in damaged) if repair else ()
    made = survey(atlas, report)
    problems = () if damaged and not repair else _read_through(atlas.path, made.entries)
    found = Verification(
        atlas,
        len(made.entries),
        made.size,
        (*damaged, *problems),
        repaired,
        repairable=release is not None,
    )
    if not found.sound or atlas.layer == cache.EMBEDDED:
        return found
    try:
        inventory.store(atlas.layer, made)
    except OSError:  # a layer of somebody else: sound, but it stays without
        return found
    return replace(found, adopted=True)


def _published(library: Library, atlas: InstalledAtlas) -> tuple[Release | None, list[Listed]]:
    """Return what a remote lists of a component atlas; nothing where none can be asked."""
    if atlas.layout != inventory.COMPONENTS:
        return None, []
    with contextlib.suppress(RemoteError, UnknownAtlasError, InvalidAtlasError):
        for release in library.remotes.releases(atlas.name, atlas.version):
            if release.layout == inventory.COMPONENTS:
                return release, offered.files_of(release, Parts())[0]
    return None, []


def survey(atlas: InstalledAtlas, report: Report = silent, origin: str = "") -> Inventory:
    """Return an inventory of the files of an atlas as they are now."""
    if atlas.layout == inventory.COMPONENTS:
        store = atlas.path.parents[2]
        keys = component_files(atlas)
    else:
        store = atlas.path
        keys = [path for path in sorted(store.rglob("*")) if path.is_file()]
    total = sum(path.stat().st_size for path in keys)
    tally = Tally(report, VERIFY, total)
    entries = {}
    for path in keys:
        found = path.stat()
        key = path.relative_to(store).as_posix()
        entries[key] = Entry(key, found.st_size, inventory.sha256_of(path), found.st_mtime_ns)
        tally.add(found.st_size)
        tally.say()
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    name, version = atlas.name, atlas.version_text
    return Inventory(name, version, atlas.layout, origin, now, entries)


def component_files(atlas: InstalledAtlas) -> list[Path]:
    """Return every file of the components that a manifest names, and the manifest."""
    from bg_atlasapi.store import selection

    store = atlas.path.parents[2]
    manifest = atlas.path / cache.MANIFEST
    named = selection.components_of(manifest.read_bytes(), str(manifest))
    folders = (
        *(named.terminology, named.coordinate_space, named.annotation_set, named.template),
        *named.references,
    )
    found = {path for folder in folders for path in (store / folder).rglob("*") if path.is_file()}
    return [*sorted(found), manifest]


def _read_through(path: Path, keys: Iterable[str]) -> list[Damage]:
    """Open an atlas and read its volumes and those meshes that it has; return what fails."""
    problems = []
    try:
        atlas = registry.open_atlas(path)
    except (AtlasError, OSError) as error:
        return [Damage(path.name, str(error))]
    volumes = {"annotation": atlas.annotation, "reference": atlas.reference}
    if atlas.hemispheres is not None:
        volumes["hemispheres"] = atlas.hemispheres
    meshes = sorted({int(match[1]) for key in keys if (match := _MESH.search(key))})
    reads: list[tuple[str, Callable[[], object]]] = [
        *((name, volume.read) for name, volume in {**volumes, **atlas.references}.items()),
        *((f"mesh {one}", partial(atlas.meshes.read, one)) for one in meshes),
    ]
    for name, read in reads:
        try:
            read()
        except (AtlasError, OSError) as error:
            problems.append(Damage(name, str(error)))
    return problems


def _repair(
    library: Library,
    atlas: InstalledAtlas,
    known: Inventory,
    damaged: Sequence[Entry],
    report: Report,
) -> None:
    """Fetch damaged files from the first remote that still publishes them as they were."""
    workshop = Workshop.of(atlas.layer, library.downloads)
    errors: list[AtlasError] = []
    for release in library.remotes.releases(atlas.name, atlas.version):
        if release.layout != known.layout:
            continue
        try:
            with workshop.locked(f"{atlas.name}_v{atlas.version_text}"):
                if known.layout == inventory.COMPONENTS:
                    _repair_components(release, workshop, damaged, report)
                else:
                    _repair_package(release, workshop, damaged, report)
                _record(workshop.layer, known, damaged)
        except (RemoteError, IncompleteAtlasError) as error:
            errors.append(error)
        else:
            return
    if errors:
        raise errors[0]
    message = (
        f"No remote has {atlas.name} {atlas.version_text} as it was installed ({known.layout}), so "
        f"it cannot be repaired. Install it again: brainglobe update -f {atlas.name}"
    )
    raise RemoteError(message)


def _record(layer: Path, known: Inventory, mended: Sequence[Entry]) -> None:
    """Note the time stamps of the files that were fetched."""
    base = inventory.base_of(layer, known)
    fresh = inventory.stamped(base, [(one.key, one.size, one.sha256) for one in mended])
    inventory.store(layer, replace(known, entries={**known.entries, **fresh}))


def _repair_components(
    release: Release, workshop: Workshop, damaged: Sequence[Entry], report: Report
) -> None:
    store = workshop.layer / inventory.COMPONENT_STORE
    wanted = [files.Wanted(Listed(e.key, e.size, e.sha256), store / e.key) for e in damaged]
    parts = workshop.downloads / "components"
    files.bring(release.remote.source, wanted, parts, report, trust=False)
    settle(store, [entry.key for entry in damaged])


_AHEAD = 1 << 20


class _Enough(Exception):  # noqa: N818 - a signal between functions, never leaves the package
    """Every file that is wanted has come; the rest of the archive need not."""


def _repair_package(
    release: Release, workshop: Workshop, damaged: Sequence[Entry], report: Report
) -> None:
    """Take single files out of the archive, which is read no further than the last of them."""
    wanted = {entry.key: entry for entry in damaged}
    source = release.remote.source
    parts = workshop.parts(release.url, f"{release.folder_name}.repair")
    with (
        workshop.staged(f"{release.folder_name}.repair") as folder,
        arriving(source, Listed(release.archive), parts, ahead=_AHEAD) as incoming,
    ):

        def written(_count: int) -> None:
            report(DOWNLOAD, incoming.done, incoming.total)
            if all((folder / key).is_file() for key in wanted) and not _differing(folder, wanted):
                raise _Enough

        with contextlib.suppress(_Enough):
            unpack(
                incoming,
                folder,
                where=release.url,
                root=release.folder_name,
                wanted=wanted.__contains__,
                written=written,
            )
        incoming.discard()
        if different := _differing(folder, wanted):
            message = (
                f"{release.url} holds {', '.join(different)} no longer as installed. "
                f"Install the atlas again: brainglobe update -f {release.name}"
            )
            raise ChecksumError(message)
        settle(folder, wanted)
        for key in wanted:
            target = workshop.layer / release.folder_name / key
            target.parent.mkdir(parents=True, exist_ok=True)
            (folder / key).replace(target)


def _differing(folder: Path, wanted: dict[str, Entry]) -> list[str]:
    return [
        key
        for key, entry in wanted.items()
        if inventory.damage(folder / key, entry, thorough=True) is not None
    ]
