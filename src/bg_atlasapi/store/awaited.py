"""Files of a component atlas that come when they are first read.

``brainglobe install NAME --only on-demand`` brings the terminology and the descriptions of the
volumes. What the remote publishes of every other file is noted beside the inventory; a reader that
wants one has it fetched, compared with what is published, flushed and renamed into place, and from
then on it is a file of the atlas like any other. Nothing that is awaited can be taken for empty.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bg_atlasapi import settings
from bg_atlasapi.errors import IncompleteAtlasError
from bg_atlasapi.locks import OnceLock
from bg_atlasapi.store import checker, disk, inventory
from bg_atlasapi.store.inventory import Entry
from bg_atlasapi.store.transport.sources import Listed

if TYPE_CHECKING:
    from bg_atlasapi.store.cache import InstalledAtlas
    from bg_atlasapi.store.checker import Shown
    from bg_atlasapi.store.remotes import Release
    from bg_atlasapi.store.transport.sources import Source

# Below this, a bar would be gone before anybody could read it.
_WORTH_A_BAR = 8 << 20


def path_of(layer: Path, name: str, version: str) -> Path:
    """Return where it is noted which files of an atlas are awaited."""
    return inventory.path_of(layer, name, version).with_suffix(inventory.AWAITED)


def note(layer: Path, release: Release, listed: Sequence[Listed]) -> None:
    """Note the files of a release that are going to come when they are read."""
    rows = ",\n".join(json.dumps([one.key, one.size, one.sha256, one.md5]) for one in listed)
    head = json.dumps(
        {"remote": _without_login(release.remote.address), "root": release.remote.root}
    )
    text = f'{head[:-1]},\n"files": [\n{rows}\n]}}\n'
    disk.write_text(path_of(layer, release.name, release.version_text), text)


def missing(atlas: InstalledAtlas) -> int:
    """Return how many files of an installed atlas are not here yet."""
    place = (atlas.layer, atlas.name, atlas.version_text)
    if not path_of(*place).exists():
        return 0
    store = atlas.layer / inventory.COMPONENT_STORE
    return sum(not (store / key).is_file() for key in Awaited.of(*place).keys)


class Awaited:
    """The files of one installed atlas that come when they are read.

    Parameters
    ----------
    layer, name, version
        Which atlas.
    address, root
        The remote they come from, and the folder of it that is the store.
    listed
        What is published of them.
    """

    def __init__(
        self, layer: Path, name: str, version: str, address: str, root: str, listed: list[Listed]
    ) -> None:
        self._place, self._address, self._root = (layer, name, version), address, root
        self._store = layer / inventory.COMPONENT_STORE
        self.keys = {one.key: one for one in listed}
        self._came: Mapping[str, Entry] = {}
        self._sound: set[str] = set()
        self._lock = OnceLock()

    @classmethod
    def of(cls, layer: Path, name: str, version: str) -> Self:
        """Read what ``note`` wrote.

        Raises
        ------
        IncompleteAtlasError
            If it is damaged.
        """
        path = path_of(layer, name, version)
        try:
            stated = json.loads(path.read_bytes())
            listed = [Listed(str(key), size, *hashes) for key, size, *hashes in stated["files"]]
            return cls(layer, name, version, str(stated["remote"]), str(stated["root"]), listed)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            message = (
                f"{path}, which says where the rest of {name} comes from, is damaged. Note it "
                f"anew: brainglobe update -f {name}"
            )
            raise IncompleteAtlasError(message) from error

    def awaits(self, key: str) -> bool:
        """Say whether a file, or some below a folder, comes when it is read."""
        return key in self.keys or any(one.startswith(f"{key}/") for one in self.keys)

    def bring(self, keys: Iterable[str], shown: Shown) -> None:
        """Have files here, as they are published.

        Parameters
        ----------
        keys
            Which; those that are not awaited are passed over.
        shown
            Gives a report of the progress.

        Raises
        ------
        RemoteError
            If one cannot be had.
        StorageError
            If one cannot be kept.
        InvalidAtlasError
            If another atlas of this folder has a different file in its place.
        IncompleteAtlasError
            If the atlas was removed meanwhile: what came now would belong to nobody.
        """
        asked = [key for key in keys if key in self.keys and key not in self._sound]
        if not asked:
            return
        with self._lock:
            wanted = self._not_sound(asked)
            if wanted:  # another process may have been at it
                known = inventory.load(*self._place)
                self._came = known.entries if known is not None else {}
                wanted = self._not_sound(wanted)
            if wanted and not path_of(*self._place).exists():
                layer, name, version = self._place
                message = (
                    f"{name} {version} was removed from {layer} while it was open. "
                    f"Install it again: brainglobe install {name}@{version} --only on-demand"
                )
                raise IncompleteAtlasError(message)
            if wanted:
                self._fetch(wanted, shown)
            self._sound.update(asked)

    def forget(self, key: str) -> None:
        """Look anew, when it is next asked for, whether a file is here."""
        self._sound.discard(key)

    def _not_sound(self, keys: Iterable[str]) -> list[str]:
        return [
            key
            for key in keys
            if key not in self._came or inventory.damage(self._store / key, self._came[key])
        ]

    def _fetch(self, keys: Sequence[str], shown: Shown) -> None:
        from bg_atlasapi.store import cache, limbo
        from bg_atlasapi.store.archive import settle
        from bg_atlasapi.store.transfer import files
        from bg_atlasapi.store.workshop import Workshop

        layer, name, version = self._place
        wanted = [files.Wanted(self.keys[key], self._store / key, "") for key in keys]
        atlas = cache.InstalledAtlas(name, cache.parse_version(version), self._manifest_folder)
        limbo.require_no_conflict(wanted, layer, atlas)
        size = sum(one.listed.size or 0 for one in wanted)
        parts = Workshop.of(layer).downloads / "components"
        with (
            disk.explained(layer, f"keep what was read of {name}", size),
            (shown if size >= _WORTH_A_BAR else checker.silently)() as report,
        ):
            found = files.bring(self._source(), wanted, parts, report)
            settle(self._store, [key for key, _, _ in found])
            inventory.add(layer, name, version, inventory.stamped(self._store, found).values())

    @property
    def _manifest_folder(self) -> Path:
        _, name, version = self._place
        return self._store / "atlases" / name / version.replace(".", "_")

    def _source(self) -> Source:
        """Return where the files come from; a login is taken from the settings, never kept."""
        from bg_atlasapi.store.transport.addresses import source_of

        own = (one for one in settings.remotes().value if _without_login(one) == self._address)
        source = source_of(next(own, self._address))
        return source.below(self._root) if self._root else source


def _without_login(address: str) -> str:
    from bg_atlasapi.store.transport import http

    return http.without_login(address)
