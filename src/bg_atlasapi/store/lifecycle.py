"""Install, update and remove atlases: what happens to the layers, and in which order.

How the bytes of one release get here is ``install``'s business; this module decides which release,
tries the next remote when one fails, and never removes the old before the new is whole.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from bg_atlasapi import settings
from bg_atlasapi.errors import (
    AtlasError,
    IncompleteAtlasError,
    InvalidAtlasError,
    InvalidInputError,
    RemoteError,
    StorageError,
)
from bg_atlasapi.settings import PathLike
from bg_atlasapi.store import cache, disk, index, install, inventory, limbo, selection
from bg_atlasapi.store.cache import InstalledAtlas
from bg_atlasapi.store.install import Plan
from bg_atlasapi.store.remotes import Release, Remotes, together
from bg_atlasapi.store.selection import Parts
from bg_atlasapi.store.transfer.progress import Report, silent
from bg_atlasapi.store.workshop import Workshop


class Library:
    """The atlases of this machine and the remotes they come from, as the settings say.

    Parameters
    ----------
    brainglobe_dir, interm_download_dir, config_dir
        As in ``settings.resolve``.
    remotes
        As in ``settings.remotes``.
    """

    def __init__(
        self,
        brainglobe_dir: PathLike | Sequence[PathLike] | None = None,
        interm_download_dir: PathLike | None = None,
        config_dir: PathLike | None = None,
        remotes: str | Sequence[str] | None = None,
    ) -> None:
        effective = settings.resolve(brainglobe_dir, interm_download_dir, config_dir)
        self.layers = effective.layers.value
        self.addresses = settings.remotes(remotes, config_dir).value
        downloads = effective.interm_download_dir.value
        self.downloads = None if downloads == self.layers[0] else downloads

    @cached_property
    def remotes(self) -> Remotes:
        """The remotes, each asked at most once."""
        return Remotes(self.addresses, self.layers)

    def workshop(self, what: str) -> Workshop:
        """Return where to write to.

        Raises
        ------
        StorageError
            If no layer can be written to.
        """
        return Workshop.of(cache.require_writable(self.layers, what), self.downloads)

    def installed(self) -> list[InstalledAtlas]:
        """Return what is on this machine."""
        return cache.installed(self.layers)

    def find(self, name: object, version: str | None = None) -> InstalledAtlas:
        """Find an installed atlas; see ``cache.find``."""
        return cache.find(name, self.layers, version)

    def named(
        self, name: object, version: str | None = None, resolution: float | None = None
    ) -> tuple[str, tuple[int, int] | None]:
        """Return the full name and version that a caller means, of atlases here or anywhere."""
        known = {atlas.name for atlas in self.installed()} | set(index.published())
        name, wanted = cache.named(name, known, version, resolution)
        if not index.is_name(name):
            message = f"{name!r} is not the name of an atlas; they read like 'allen_mouse_25um'."
            raise InvalidInputError(message)
        return name, wanted


def plan(
    library: Library, name: str, version: str | None = None, parts: Parts | None = None
) -> Plan:
    """Find out what an installation would bring.

    Raises
    ------
    UnknownAtlasError, RemoteError
        As ``install_atlas``.
    """
    name, wanted = library.named(name, version)
    workshop = library.workshop(f"install {name}")
    failed: AtlasError | None = None
    for release in library.remotes.releases(name, wanted):
        try:
            return install.plan(release, workshop, parts or Parts())
        except RemoteError as error:
            failed = failed or error
    assert failed is not None  # releases gives one at least, or raises
    raise failed


def install_atlas(
    library: Library,
    name: str,
    version: str | None = None,
    parts: Parts | None = None,
    report: Report = silent,
) -> InstalledAtlas:
    """Install an atlas; one that is installed already is left alone.

    Parameters
    ----------
    library
        Where to, and from where.
    name
        With resolution; ``"name@1.2"`` asks for a version.
    version
        Default the newest.
    parts
        What of it; None for the usual parts, and for whatever is there already.
    report
        Told of the progress.

    Raises
    ------
    UnknownAtlasError
        If no remote has it.
    RemoteError
        If it cannot be downloaded.
    InvalidAtlasError, IncompleteAtlasError
        If what came is not the atlas.
    StorageError
        If it cannot be kept.
    """
    name, wanted = library.named(name, version)
    here = [
        atlas
        for atlas in library.installed()
        if atlas.name == name and wanted in {None, atlas.version} and cache.is_whole(atlas)
    ]
    if here and (parts is None or _has(here[-1], parts)):
        return here[-1]
    parts = parts or Parts()
    if here and here[-1].layer != cache.first_writable(library.layers):
        # The new copy will hide the one that is here, so it must not be the lesser one.
        parts = selection.together(_parts_of(here[-1]), parts)
        wanted = here[-1].version
    return fetch(library, name, wanted, parts, report)


def _parts_of(atlas: InstalledAtlas) -> tuple[str, ...]:
    known = inventory.load(atlas.layer, atlas.name, atlas.version_text)
    return known.parts if known is not None and known.parts else Parts().texts


def _has(atlas: InstalledAtlas, parts: Parts) -> bool:
    """Say whether parts are installed; of an atlas that was put here by hand, all there is."""
    known = inventory.load(atlas.layer, atlas.name, atlas.version_text)
    if known is None:
        return True
    if known.layout == inventory.PACKAGES:
        return not known.parts or selection.holds(known.parts, selection.of_package(parts))
    return selection.holds(known.parts, parts)


def fetch(
    library: Library,
    name: str,
    version: tuple[int, int] | None,
    parts: Parts,
    report: Report,
    *,
    again: bool = False,
) -> InstalledAtlas:
    """Install from the first remote that can deliver; parameters as in ``install_atlas``."""
    workshop = library.workshop(f"install {name}")
    errors: list[AtlasError] = []
    for release in library.remotes.releases(name, version):
        try:
            return install.install(release, workshop, parts, report, again=again)
        except StorageError:
            raise
        except (RemoteError, InvalidAtlasError, IncompleteAtlasError) as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    raise RemoteError(f"{name} could not be installed from any remote. {together(errors)}")


@dataclass(frozen=True, slots=True)
class Update:
    """What an update did.

    Parameters
    ----------
    before
        What was installed.
    after
        What is installed now.
    removed
        Whether the old version could be removed.
    """

    before: InstalledAtlas
    after: InstalledAtlas
    removed: bool = False

    @property
    def changed(self) -> bool:
        """Whether there was anything newer."""
        return self.before.version != self.after.version


def newest_release(library: Library, name: str) -> Release:
    """Return the newest release of an atlas at the first remote that has it.

    Raises
    ------
    UnknownAtlasError, RemoteError
        As ``install_atlas``.
    """
    return next(iter(library.remotes.releases(name)))


def _newer_release(
    library: Library, before: InstalledAtlas, *, force: bool
) -> tuple[tuple[int, int], Parts] | None:
    """Return the version and the parts an update installs, None if there is nothing to do."""
    release = newest_release(library, before.name)
    if release.version <= before.version and not force:
        return None
    known = inventory.load(before.layer, before.name, before.version_text)
    same_layout = known is not None and known.parts and known.layout == release.layout
    parts = selection.parse(known.parts) if known is not None and same_layout else Parts()
    return max(release.version, before.version), parts


def plan_update(library: Library, name: str, *, force: bool = False) -> Plan | None:
    """Find out what ``update_atlas`` would bring, None for nothing; parameters as there."""
    before = library.find(name)
    wanted = _newer_release(library, before, force=force)
    if wanted is None:
        return None
    version, parts = wanted
    return plan(library, before.name, f"{version[0]}.{version[1]}", parts)


def update_atlas(
    library: Library, name: str, report: Report = silent, *, force: bool = False
) -> Update:
    """Bring an installed atlas to the newest version; the old one goes once the new one is whole.

    Parameters
    ----------
    library, name, report
        As in ``install_atlas``.
    force
        Install again even if it is the newest.

    Raises
    ------
    UnknownAtlasError
        If it is not installed, or no remote has it.
    RemoteError, InvalidAtlasError, IncompleteAtlasError, StorageError
        As ``install_atlas``; the old version is still there.
    """
    before = library.find(name)
    wanted = _newer_release(library, before, force=force)
    if wanted is None:
        return Update(before, before)
    version, parts = wanted
    after = fetch(library, before.name, version, parts, report, again=force)
    if after.version == before.version or before.layer not in library.layers:
        return Update(before, after)
    try:
        remove_version(before)
    except OSError:  # another's read-only layer, or open on Windows: prune will find it
        return Update(before, after)
    return Update(before, after, removed=True)


def remove_atlas(library: Library, name: str, version: str | None = None) -> list[InstalledAtlas]:
    """Remove an atlas: one version if one is named, else all of them.

    Raises
    ------
    UnknownAtlasError
        If it is not installed.
    StorageError
        If it lies where this account may not write, or comes with the package.
    """
    found = library.find(name, version)
    one_version = version is not None or "@" in str(name)
    atlases = [
        atlas
        for atlas in library.installed()
        if atlas.name == found.name and (atlas.version == found.version or not one_version)
    ]
    if all(atlas.layer == cache.EMBEDDED for atlas in atlases):
        message = f"{found.name} comes with bg_atlasapi and cannot be removed."
        raise StorageError(message)
    atlases = [atlas for atlas in atlases if atlas.layer != cache.EMBEDDED]
    for atlas in atlases:
        with disk.explained(atlas.layer, f"remove {atlas.name}"):
            remove_version(atlas)
    return atlases


def remove_version(atlas: InstalledAtlas) -> None:
    """Remove one installed version. It is gone from the first moment, and whole until then."""
    workshop = Workshop.of(atlas.layer)
    with workshop.locked(f"{atlas.name}_v{atlas.version_text}"):
        if atlas.layout == inventory.PACKAGES:
            staged = workshop.staged(f"{atlas.path.name}.removed")
            with staged as folder, contextlib.suppress(FileNotFoundError):
                atlas.path.rename(folder / atlas.path.name)
        else:
            _remove_components(atlas)
        inventory.forget(atlas.layer, atlas.name, atlas.version_text)


def _remove_components(atlas: InstalledAtlas) -> None:
    """Remove the manifest, then the files that no other atlas of the store needs."""
    from bg_atlasapi.store import verification

    store = atlas.layer / inventory.COMPONENT_STORE
    known = inventory.load(atlas.layer, atlas.name, atlas.version_text)
    own = set(known.entries) if known else set()
    shared = limbo.needed(atlas.layer, atlas)
    made = None  # OBJ files that were made of the meshes for other software
    with contextlib.suppress(AtlasError, OSError):
        named = selection.components_of((atlas.path / cache.MANIFEST).read_bytes(), "")
        found = verification.component_files(atlas)  # put there by hand, or by a killed install
        own |= {path.relative_to(store).as_posix() for path in found}
        if named.annotation_set not in shared:
            made = store / inventory.OWN_FOLDER / "meshes" / named.annotation_set.partition("/")[2]
    note = limbo.note(atlas.layer, atlas.name, atlas.version_text, own)
    (atlas.path / cache.MANIFEST).unlink(missing_ok=True)
    disk.remove(atlas.path)
    if made is not None:
        disk.remove(made)
        limbo.remove_empty(made.parent, store)
    limbo.drop(atlas.layer, limbo.unneeded(atlas.layer, own, shared))
    limbo.remove_empty(atlas.path.parent, store)
    inventory.forget(atlas.layer, atlas.name, atlas.version_text)
    note.unlink(missing_ok=True)
