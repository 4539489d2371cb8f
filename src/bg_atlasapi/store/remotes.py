"""Where atlases are installed from: an ordered list of remotes, in either layout.

*Packages*: ``last_versions.conf`` and ``<name>_v<major>.<minor>.tar.gz``, as the GIN repository has
them. *Components*: the V3 store, ``atlases/<name>/<major>_<minor>/manifest.json`` and what that
names. Which of the two a remote has is found out by asking.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bg_atlasapi import settings
from bg_atlasapi.errors import (
    InvalidInputError,
    OfflineError,
    RefusedError,
    RemoteError,
    UnknownAtlasError,
    UnreachableError,
)
from bg_atlasapi.store import cache, index, inventory
from bg_atlasapi.store.index import Index, Version
from bg_atlasapi.store.transport import http
from bg_atlasapi.store.transport.addresses import source_of
from bg_atlasapi.store.transport.folders import FolderSource
from bg_atlasapi.store.transport.sources import Source

CONF = "last_versions.conf"
# Of archives, in what ``brainglobe build`` makes.
PACKAGES_FOLDER = "packages"
_ROOTS = ("", f"{inventory.COMPONENT_STORE}/")


@dataclass(frozen=True, slots=True)
class Release:
    """One version of an atlas at a remote."""

    remote: Remote
    name: str
    version: Version
    layout: str

    @property
    def version_text(self) -> str:
        """The version as people write it, ``"1.2"``."""
        return f"{self.version[0]}.{self.version[1]}"

    @property
    def folder_name(self) -> str:
        """Name of the package's folder."""
        return f"{self.name}_v{self.version_text}"

    @property
    def archive(self) -> str:
        """Key of the package's archive."""
        return f"{self.folder_name}.tar.gz"

    @property
    def manifest(self) -> str:
        """Key of the component atlas's manifest, relative to the store."""
        return f"atlases/{self.name}/{self.version[0]}_{self.version[1]}/manifest.json"

    @property
    def url(self) -> str:
        """Address of the archive or the manifest, for people and records: without a login."""
        key = self.archive if self.layout == inventory.PACKAGES else self.manifest
        return http.without_login(self.remote.source.url(key))


class Remote:
    """A place to install from.

    Parameters
    ----------
    address
        As ``sources.source_of`` reads it.

    Attributes
    ----------
    source
        Where its files are read.
    root
        The folder of the address that keys of ``source`` are relative to, once it was asked.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.source: Source = source_of(address)
        self.root = ""
        self._index: Index | None = None

    def index(self) -> Index:
        """Ask what it offers, once.

        Raises
        ------
        RemoteError
            If it does not say.
        """
        if self._index is None:
            folder = f"{PACKAGES_FOLDER}/"
            found = self._packages() or self._components() or self._packages(folder)
            self._index = found or self._listed()
        return self._index

    def _made(self, layout: str, versions: dict[str, tuple[Version, ...]]) -> Index:
        return Index(self.address, layout, versions, time.time())

    def _packages(self, root: str = "") -> Index | None:
        text = self.source.read_if_there(f"{root}{CONF}")
        if text is None:
            return None
        versions = index.parse_conf(text, self.source.url(f"{root}{CONF}"))
        return self._at(root, inventory.PACKAGES, versions)

    def _components(self) -> Index | None:
        for root in _ROOTS:
            key = f"{root}atlases/{CONF}"
            text = self.source.read_if_there(key)
            if text is not None:
                versions = index.parse_conf(text, self.source.url(key))
                return self._at(root, inventory.COMPONENTS, versions)
        return None

    def _at(self, root: str, layout: str, versions: dict[str, tuple[Version, ...]]) -> Index:
        """Note that keys are relative to a folder of the remote from now on."""
        self.root, self.source = root, self.source.below(root) if root else self.source
        return self._made(layout, versions)

    def _listed(self) -> Index:
        """Make the index that the remote lacks from what lies there."""
        for root in _ROOTS:
            names = [n for n in self.source.folders(f"{root}atlases/") if index.is_name(n)]
            found = {name: self._versions_of_components(name, root) for name in names}
            versions = {name: tuple(have) for name, have in found.items() if have}
            if versions:
                return self._at(root, inventory.COMPONENTS, versions)
        if isinstance(self.source, FolderSource):
            archives = _archives(self.source.folder)
            if archives:
                return self._made(inventory.PACKAGES, archives)
        message = (
            f"{http.without_login(self.address)} is not a place to install atlases from: it has "
            f"neither {CONF} nor atlases/{CONF}."
        )
        raise RefusedError(message, 404)

    def _versions_of_components(self, name: str, root: str = "") -> list[Version]:
        folders = self.source.folders(f"{root}atlases/{name}/")
        found = [v for folder in folders if (v := cache.parse_version_folder(folder)) is not None]
        return sorted(found, reverse=True)

    def versions(self, name: str) -> list[Version]:
        """Return every version of an atlas that can be found, newest first."""
        offered = self.index()
        found = set(offered.versions.get(name, ()))
        if found and offered.layout == inventory.COMPONENTS:
            found |= set(self._versions_of_components(name))
        elif found and isinstance(self.source, FolderSource):
            found |= set(_archives(self.source.folder).get(name, ()))
        return sorted(found, reverse=True)

    def release(self, name: str, version: Version | None = None) -> Release | None:
        """Return a version of an atlas, the newest if none is asked for; None if it is not here."""
        offered = self.index()
        known = offered.versions.get(name, ())
        if not known:
            return None
        if version is None or version in known:
            return Release(self, name, version or max(known), offered.layout)
        release = Release(self, name, version, offered.layout)
        packages = offered.layout == inventory.PACKAGES
        if not packages or isinstance(self.source, FolderSource):
            listed = version in self.versions(name)
            if listed or isinstance(self.source, FolderSource):
                return release if listed else None
        try:  # an index has only the newest, and not every host lists
            self.source.size(release.archive if packages else release.manifest)
        except RefusedError as error:
            if error.is_absence or (error.status == 403 and self.source.hides_absence):
                return None
            raise
        return release


def _archives(folder: Path) -> dict[str, tuple[Version, ...]]:
    """Return the packaged archives in a folder."""
    found: dict[str, list[Version]] = {}
    for path in folder.glob("*_v*.tar.gz"):
        named = cache.parse_folder(path.with_name(path.name.removesuffix(".tar.gz")))
        if named is not None and index.is_name(named.name):
            found.setdefault(named.name, []).append(named.version)
    return {name: tuple(sorted(versions, reverse=True)) for name, versions in found.items()}


class Remotes:
    """The remotes that hold, in order; those that cannot be asked are passed over.

    Parameters
    ----------
    addresses
        Of each.
    layers
        Where indexes are kept, and atlases that are here already.
    """

    def __init__(self, addresses: Sequence[str], layers: Sequence[Path]) -> None:
        self._remotes = [Remote(address) for address in addresses]
        self._layers = tuple(layers)
        self.failures: dict[str, RemoteError] = {}

    def indexes(self) -> list[Index]:
        """Ask every remote; the failures stay in ``failures``."""
        return [found for remote in self._remotes if (found := self._ask(remote)) is not None]

    def _ask(self, remote: Remote) -> Index | None:
        if remote.address in self.failures:
            return None
        try:
            known = remote._index
            found = remote.index()
        except RemoteError as error:
            self.failures[remote.address] = error
            return None
        if found is not known:
            writable = cache.first_writable(self._layers)
            if writable is not None and not isinstance(remote.source, FolderSource):
                index.remember(writable, found)
        return found

    def releases(self, name: str, version: Version | None = None) -> Iterable[Release]:
        """Give the version of an atlas at each remote that has it, in order.

        Raises
        ------
        UnknownAtlasError
            If none has it: close matches, or which versions there are.
        RemoteError
            If it may be at a remote that could not be asked.
        """
        found = False
        for remote in self._remotes:
            if self._ask(remote) is None:
                continue
            try:
                release = remote.release(name, version)
            except RemoteError as error:
                self.failures[remote.address] = error
                continue
            if release is not None:
                found = True
                yield release
        if not found:
            raise self._not_found(name, version)

    def _not_found(self, name: str, version: Version | None) -> Exception:
        """Return the error that fits: unknown name, no such version, or nobody could be asked."""
        have = self._versions(name)
        if have and not self.failures and (version is None or version in have):
            what = name if version is None else f"{name} {version[0]}.{version[1]}"
            return UnknownAtlasError(f"No remote has {what}, it is only on this machine.")
        if version is not None and have:
            listed = ", ".join(f"{a}.{b}" for a, b in have)
            wanted = f"{version[0]}.{version[1]}"
            text = f"There is no version {wanted} of {name}; there are: {listed}."
            return UnknownAtlasError(text + self._unasked())
        if not self._remotes:
            return InvalidInputError("No remote is named to install from (BRAINGLOBE_REMOTES).")
        known = self._known_names()
        unsure = any(self._last_index(address) is None for address in self.failures)
        if self.failures and (name in known or unsure):
            return self._nobody_asked(name, known)
        return UnknownAtlasError(unknown(name, known) + self._unasked())

    def _versions(self, name: str) -> list[Version]:
        found = {atlas.version for atlas in cache.installed(self._layers) if atlas.name == name}
        for remote in self._remotes:
            if remote.address not in self.failures:
                found |= set(remote.versions(name))
        return sorted(found, reverse=True)

    def _last_index(self, address: str) -> Iterable[str] | None:
        """Return the names a remote had when it was last seen; None if that is not known."""
        seen = index.recall(self._layers, address)
        if seen is not None:
            return seen.versions
        return index.published() if address in settings.DEFAULT_REMOTES else None

    def _known_names(self) -> list[str]:
        names = {atlas.name for atlas in cache.installed(self._layers)}
        for remote in self._remotes:
            if remote.address in self.failures:
                names |= set(self._last_index(remote.address) or ())
            else:
                names |= set(remote.index().versions)
        return sorted(names)

    def _unasked(self) -> str:
        if not self.failures:
            return ""
        return f" Not every remote could be asked: {together(self.failures.values())}"

    def _nobody_asked(self, name: str, known: Sequence[str]) -> RemoteError:
        errors = list(self.failures.values())
        message = f"{name} cannot be downloaded now: {together(errors)}"
        if name not in known and (close := similar(name, known, 0.8)):
            message += f" If the name is not right, did you mean {' or '.join(close)}?"
        for kind in (OfflineError, UnreachableError):
            if all(isinstance(error, kind) for error in errors):
                return kind(message)
        refused = next((e for e in errors if isinstance(e, RefusedError)), None)
        return RefusedError(message, refused.status) if refused else RemoteError(message)


def unknown(name: str, known: Iterable[str]) -> str:
    """Return the sentence for a name that nobody knows, with close matches."""
    close = similar(name, known)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    return f"There is no atlas {name!r}.{hint} List all with 'brainglobe list'."


def similar(name: str, known: Iterable[str], cutoff: float = 0.5) -> list[str]:
    """Return the known names that may have been meant, best first."""
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=3, cutoff=cutoff)
    return close + [one for one in names if name.lower() in one.lower() and one not in close][:3]


def together(errors: Iterable[Exception]) -> str:
    """Join the messages of several remotes; what to do about all of them is said once."""
    errors = list(errors)
    if all(isinstance(error, OfflineError) for error in errors):
        return f"BRAINGLOBE_OFFLINE is set. Unset it to use the network. {http.WITHOUT_NETWORK}"
    texts = list(dict.fromkeys(str(error) for error in errors))
    advice = f" {http.WITHOUT_NETWORK}"
    said = advice if any(text.endswith(advice) for text in texts) else ""
    return " ".join(text.removesuffix(advice) for text in texts) + said
