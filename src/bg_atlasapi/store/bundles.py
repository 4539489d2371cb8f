"""Atlases as one file, for machines without a network: make a bundle, add one.

A bundle is an ordinary ``.tar.gz``: of a package the same archive that a remote has, of a component
atlas the part of the store that it needs. It can be unpacked by hand as well.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bg_atlasapi import settings
from bg_atlasapi.errors import (
    Finding,
    IncompleteAtlasError,
    InvalidAtlasError,
    InvalidInputError,
)
from bg_atlasapi.formats import packaged, registry
from bg_atlasapi.store import (
    awaited,
    cache,
    disk,
    index,
    install,
    inventory,
    limbo,
    published_at,
    selection,
    verification,
)
from bg_atlasapi.store.archive import settle, unpack
from bg_atlasapi.store.cache import InstalledAtlas
from bg_atlasapi.store.lifecycle import Library
from bg_atlasapi.store.transfer.incoming import incoming as arriving
from bg_atlasapi.store.transfer.progress import DOWNLOAD, UNPACK, Report, Tally, silent
from bg_atlasapi.store.transport.addresses import file_at
from bg_atlasapi.store.transport.sources import Listed
from bg_atlasapi.store.workshop import Workshop

_PACK = "pack"
_LEVEL = 6


def bundle_atlas(
    library: Library,
    name: str,
    target: Path | None = None,
    version: str | None = None,
    report: Report = silent,
) -> Path:
    """Write an installed atlas as one file. The same atlas gives the same bytes.

    Parameters
    ----------
    library, name, version, report
        As in ``lifecycle.install_atlas``.
    target
        The file, or a folder for it. Default: ``<name>_v<version>.tar.gz`` in the current folder.

    Raises
    ------
    UnknownAtlasError
        If it is not installed.
    IncompleteAtlasError
        If it is damaged: a bundle of it would spread the damage.
    StorageError
        If the file cannot be written.
    """
    atlas = library.find(name, version)
    if absent := awaited.missing(atlas):
        message = (
            f"{absent:,} files of {atlas.name} are not here yet, so it cannot be carried. Bring "
            f"them first: brainglobe install {atlas.name} --only {','.join(selection.READABLE)}"
        )
        raise InvalidInputError(message)
    found = verification.verify(library, atlas)
    if found.damaged:
        problems = " ".join(one.problem for one in found.damaged[:3])
        message = (
            f"{atlas.name} is damaged and is not bundled: {problems} "
            f"Mend it with: brainglobe verify {atlas.name} --repair"
        )
        raise IncompleteAtlasError(message)
    filename = f"{atlas.name}_v{atlas.version_text}.tar.gz"
    path = Path.cwd() / filename if target is None else settings.expanded(target).absolute()
    path = path / filename if path.is_dir() else path
    with disk.explained(path.parent, f"write {path.name}", found.size):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(disk.unique(f".{path.name}"))
        try:
            _write(beside, atlas, report)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    return path


def _write(path: Path, atlas: InstalledAtlas, report: Report) -> None:
    store, files = atlas.layer, sorted(one for one in atlas.path.rglob("*") if one.is_file())
    known = inventory.load(atlas.layer, atlas.name, atlas.version_text)
    if known is not None:  # not what else lies there, such as another atlas's parts
        base = inventory.base_of(atlas.layer, known)
        files = [base / key for key in sorted(known.entries)]
    elif atlas.layout == inventory.COMPONENTS:
        files = verification.component_files(atlas)
    files.sort(key=lambda one: one == atlas.path / cache.MANIFEST)  # last here too
    tally = Tally(report, _PACK, sum(one.stat().st_size for one in files))
    with (
        path.open("wb") as out,
        gzip.GzipFile("", "wb", _LEVEL, out, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for one in files:
            member = tarfile.TarInfo(one.relative_to(store).as_posix())
            member.size, member.mode = one.stat().st_size, 0o644
            with one.open("rb") as file:
                tar.addfile(member, file)
            tally.add(member.size)
            tally.say()
    with path.open("rb") as raw:
        os.fsync(raw.fileno())


def add_atlas(
    library: Library, source: str, report: Report = silent, name: str | None = None
) -> InstalledAtlas:
    """Install an atlas from a file, a folder or an address, without any remote.

    Parameters
    ----------
    library, report
        As in ``lifecycle.install_atlas``.
    source
        A bundle or archive (path or URL), the unpacked folder of a package, the folder or
        manifest of a component atlas; or the address of a published folder of atlases.
    name
        Which of the atlases that are published at an address.

    Raises
    ------
    InvalidInputError
        If there is nothing there.
    InvalidAtlasError, IncompleteAtlasError
        If it is not an atlas, or not a whole one.
    RemoteError
        If it cannot be downloaded.
    StorageError
        If it cannot be kept.
    """
    workshop = library.workshop(f"add {source}")
    with disk.explained(workshop.layer, f"add {source}"):
        if not source.strip():
            message = "Name an archive, a bundle, a folder or an address to add."
            raise InvalidInputError(message)
        path = None if "://" in source else settings.expanded(source).absolute()
        if path is not None and not path.exists():
            message = f"There is no file or folder {path}. To download by name: brainglobe install."
            raise InvalidInputError(message)
        if path is not None and (path.is_dir() or path.name == cache.MANIFEST):
            return _add_folder(registry.folder_of(_the_atlas_in(path)), workshop, report)
        if path is None and not published_at.names_a_file(source):
            added = published_at.add_published(library, source, name, report)
            if added is not None:
                return added
        return _add_archive(source if path is None else str(path), workshop, report)


def _add_archive(source: str, workshop: Workshop, report: Report) -> InstalledAtlas:
    place, key = file_at(source)
    url = place.url(key)
    parts = workshop.parts(url, "add")
    with (
        workshop.staged("add") as folder,
        arriving(place, Listed(key), parts) as incoming,
    ):

        def written(count: int) -> None:
            report(DOWNLOAD, incoming.done, incoming.total)
            report(UNPACK, count, 0)

        inner = folder / "unpacked"
        inner.mkdir()
        try:
            unpacked = unpack(incoming, inner, where=url, written=written)
            incoming.finish()
        except (InvalidAtlasError, IncompleteAtlasError):
            incoming.discard()
            raise
        keys = [(one.key, one.size, one.sha256) for one in unpacked.members]
        with _told_of(url, inner):
            if unpacked.root == inventory.COMPONENT_STORE:
                added = _place_components(inner, workshop, report, url)
            else:
                named = cache.parse_folder(inner.with_name(unpacked.root))
                added = _place_package(inner, named, workshop, keys, url)
        incoming.discard()
    return added


@contextlib.contextmanager
def _told_of(source: str, folder: Path) -> Iterator[None]:
    """Let errors name what was to be added, not the folder that it was unpacked to."""
    try:
        yield
    except IncompleteAtlasError as error:
        raise IncompleteAtlasError(str(error).replace(str(folder), source)) from error
    except InvalidAtlasError as error:
        where = str(error.where).replace(str(folder), source)
        raise InvalidAtlasError(where, error.findings) from error


def _add_folder(folder: Path, workshop: Workshop, report: Report) -> InstalledAtlas:
    """Copy an atlas from a folder."""
    named = cache.identify(folder)
    if named is not None and named.layout == inventory.COMPONENTS:
        store = folder.parents[2]
        with workshop.staged("add") as inner:
            for path in _components_in(store, named):
                _copy(path, inner / path.relative_to(store))
            return _place_components(inner, workshop, report, str(folder))
    packaged.require_files(folder)
    if folder.parent == workshop.layer and named is not None:  # there already: adopt it
        made = verification.survey(named, report, str(folder))
        registry.open_atlas(folder)
        inventory.store(workshop.layer, made)
        return named
    with workshop.staged("add") as inner:
        keys = []
        tally = Tally(report, _PACK, disk.size_of(folder))
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            key = path.relative_to(folder).as_posix()
            _copy(path, inner / "atlas" / key)
            size = path.stat().st_size
            keys.append((key, size, inventory.sha256_of(inner / "atlas" / key)))
            tally.add(size)
            tally.say()
        return _place_package(inner / "atlas", named, workshop, keys, str(folder))


def _the_atlas_in(path: Path) -> Path:
    """Return the one manifest of a component store, or of what holds one; else the path itself."""
    stores = (path, path / inventory.COMPONENT_STORE)
    manifests = [one for store in stores for one in store.glob(f"atlases/*/*/{cache.MANIFEST}")]
    if len(manifests) > 1:
        message = f"{path} holds several atlases; name the manifest of one, such as {manifests[0]}."
        raise InvalidInputError(message)
    return manifests[0] if manifests else path


def _components_in(store: Path, named: InstalledAtlas) -> list[Path]:
    if store.name == inventory.COMPONENT_STORE:
        return verification.component_files(named)
    message = f"The component store of an atlas is called {inventory.COMPONENT_STORE}, not {store}."
    raise InvalidInputError(message)


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)


def _place_package(
    folder: Path,
    named: InstalledAtlas | None,
    workshop: Workshop,
    keys: list[tuple[str, int, str]],
    origin: str,
) -> InstalledAtlas:
    """Check a package's folder and make it an installed atlas."""
    packaged.require_files(folder)
    registry.open_atlas(folder)
    if named is None or not index.is_name(named.name):
        named = _named_by_metadata(folder)
    with workshop.locked(f"{named.name}_v{named.version_text}"):
        path = install.put_in_place(folder, workshop, named, keys, origin)
    return replace(named, path=path)


def _named_by_metadata(folder: Path) -> InstalledAtlas:
    """Name an atlas whose folder has no name of the usual form."""
    metadata = packaged.read_metadata(folder)
    size = "x".join(f"{one:g}" for one in sorted({float(one) for one in metadata["resolution"]}))
    name = f"{metadata.get('name', '')}_{size}um"
    try:
        version = cache.parse_version(str(metadata.get("version", "")))
    except InvalidInputError:
        version = (0, 0)
    if not index.is_name(name) or not metadata.get("name"):
        text = "Its folder is not <name>_v<major>.<minor>, and its metadata does not name it."
        raise InvalidAtlasError(folder, [Finding("no-name", text, "error")])
    return InstalledAtlas(name, version, folder)


def _is_same(path: Path, other: Path) -> bool:
    if not other.is_file() or other.stat().st_size != path.stat().st_size:
        return False
    return inventory.sha256_of(other) == inventory.sha256_of(path)


def _require_no_conflict(key: str, path: Path, layer: Path, manifest: Path, origin: str) -> None:
    """Refuse to change a file that another installed atlas needs as it is."""
    target = layer / inventory.COMPONENT_STORE / key
    own = cache.identify(manifest.parent)
    if own is None or not target.is_file() or _is_same(path, target):
        return
    place = layer / inventory.COMPONENT_STORE / "atlases" / own.name / manifest.parent.name
    owner = limbo.owner(layer, key, target, replace(own, path=place))
    if owner is not None:
        text = (
            f"{key} is not the file that {owner} uses, though the component has the same name and "
            "version. Add it to another folder: BRAINGLOBE_DIR."
        )
        raise InvalidAtlasError(origin, [Finding("component-conflict", text, "error")])


def _place_components(
    store: Path, workshop: Workshop, report: Report, origin: str
) -> InstalledAtlas:
    """Move the files of a component atlas into the layer's store, the manifest last."""
    manifests = list((store / "atlases").glob("*/*/" + cache.MANIFEST))
    target = workshop.layer / inventory.COMPONENT_STORE
    added = None
    for manifest in manifests:
        version = cache.parse_version_folder(manifest.parent.name)
        if version is None or not index.is_name(manifest.parent.parent.name):
            continue
        registry.open_atlas(manifest)
        for path in sorted(one for one in store.rglob("*") if one.is_file()):
            if path.name != cache.MANIFEST or path.parent.parent.parent.name != "atlases":
                key = path.relative_to(store)
                _require_no_conflict(key.as_posix(), path, workshop.layer, manifest, origin)
                if not _is_same(path, target / key):  # shared with an atlas that is here
                    (target / key).parent.mkdir(parents=True, exist_ok=True)
                    path.replace(target / key)
        settle(target, [])
        place = target / manifest.relative_to(store)
        place.parent.mkdir(parents=True, exist_ok=True)
        added = InstalledAtlas(manifest.parent.parent.name, version, place.parent)
        with workshop.locked(f"{added.name}_v{added.version_text}"):
            workshop.tag()
            manifest.replace(place)
            inventory.store(workshop.layer, verification.survey(added, report, origin))
    if added is None:
        text = "It holds no manifest, atlases/<name>/<major>_<minor>/manifest.json."
        raise InvalidAtlasError(origin, [Finding("no-manifest", text, "error")])
    return added
