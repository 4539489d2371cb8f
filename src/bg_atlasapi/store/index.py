"""Which atlases does a remote offer? Read, remembered, and, without a network, known beforehand.

An index is what a remote listed at some time: names and their versions. The last one seen of each
remote is kept in ``<layer>/.bg_atlasapi/index``. ``published`` are facts of the published atlases
that come with the package.
"""

from __future__ import annotations

import configparser
import contextlib
import functools
import hashlib
import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bg_atlasapi.errors import InvalidInputError, RefusedError
from bg_atlasapi.store import cache, disk, inventory
from bg_atlasapi.store.transport import http

DAY_S = 86_400.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,199}")
_PUBLISHED = cache.EMBEDDED / "published_atlases.json"
_LAYOUTS = ("packages", "components")
_CLOCKS_DIFFER_S = 60.0  # machines that share a folder
Version = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Index:
    """What a remote offers.

    Parameters
    ----------
    remote
        Its address.
    layout
        ``"packages"`` or ``"components"``.
    versions
        Newest first, by name. A packages remote lists only the newest of each.
    seen
        When it was read, seconds since 1970.
    """

    remote: str
    layout: str
    versions: Mapping[str, tuple[Version, ...]]
    seen: float

    @property
    def age_s(self) -> float:
        """Seconds since it was read."""
        return max(time.time() - self.seen, 0.0)


def is_name(text: object) -> bool:
    """Say whether a text can be the name of an atlas: no path, no address, nothing odd."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def parse_conf(text: bytes, where: str) -> dict[str, tuple[Version, ...]]:
    """Read ``last_versions.conf``: INI with ``name = major.minor`` under ``[atlases]``.

    Raises
    ------
    RefusedError
        If it is something else.
    """
    where = http.without_login(where)
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(text.decode("utf-8-sig"))
        section = dict(parser["atlases"])
    except (configparser.Error, UnicodeDecodeError, KeyError) as error:
        start = " ".join(text[:60].decode("utf-8", "replace").split())
        message = f"{where} is not an index of atlases (INI, [atlases]); it begins {start!r}."
        raise RefusedError(message) from error
    found: dict[str, tuple[Version, ...]] = {}
    for name, version in section.items():
        with contextlib.suppress(InvalidInputError):  # one odd line does not hide the others
            if is_name(name):
                found[name] = (cache.parse_version(version),)
    if section and not found:  # cut short, or not an index after all
        line = " = ".join(next(iter(section.items())))[:60]
        raise RefusedError(f"{where} is not an index of atlases (name = 1.2): it has {line!r}.")
    return found


def _path(layer: Path, remote: str) -> Path:
    name = hashlib.sha256(remote.encode()).hexdigest()[:16]
    return layer / inventory.OWN_FOLDER / "index" / f"{name}.json"


def remember(layer: Path, index: Index) -> None:
    """Keep an index for later; where that cannot be written, do without."""
    versions = {name: [f"{a}.{b}" for a, b in found] for name, found in index.versions.items()}
    stored = {
        "remote": index.remote,
        "layout": index.layout,
        "seen": index.seen,
        "versions": versions,
    }
    with contextlib.suppress(OSError):
        disk.write_text(_path(layer, index.remote), json.dumps(stored))


def recall(layers: Iterable[Path], remote: str) -> Index | None:
    """Return the newest index of a remote that was kept, None if there is none."""
    found = [one for layer in layers if (one := _load(_path(layer, remote))) is not None]
    return max(found, key=lambda one: one.seen, default=None)


def note_failure(layers: Iterable[Path], remote: str) -> None:
    """Keep in mind that a remote could not be asked, so that nobody asks in vain all day."""
    layer = cache.first_writable(layers)
    if layer is not None:
        with contextlib.suppress(OSError):
            disk.write_text(_path(layer, remote).with_suffix(".failed"), "")


def failed_lately(layers: Iterable[Path], remote: str, within_s: float = DAY_S) -> bool:
    """Say whether a remote could not be asked within a time, nor since."""
    failed = [_modified(_path(layer, remote).with_suffix(".failed")) for layer in layers]
    seen = recall(layers, remote)
    last = max(failed, default=0.0)
    return -_CLOCKS_DIFFER_S <= time.time() - last < within_s and (seen is None or seen.seen < last)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _load(path: Path) -> Index | None:
    try:
        stored = json.loads(path.read_bytes())
        versions = {
            name: tuple(cache.parse_version(one) for one in found)
            for name, found in stored["versions"].items()
            if is_name(name) and isinstance(found, list)
        }
        seen = float(stored["seen"])
        if not 0 <= seen <= time.time() + _CLOCKS_DIFFER_S:  # of no time, or of one to come
            return None
        if not isinstance(stored["remote"], str) or stored["layout"] not in _LAYOUTS:
            return None
        return Index(stored["remote"], stored["layout"], versions, seen)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None
    except RecursionError:  # brackets without end
        return None


@functools.cache
def published() -> Mapping[str, Mapping[str, Any]]:
    """Return the facts of published atlases that come with the package, by name."""
    try:
        stored = json.loads(_PUBLISHED.read_bytes())
        return {entry["name"]: entry for entry in stored["atlases"]}
    except (OSError, ValueError, TypeError, KeyError):  # a package without it still works
        return {}


def facts_of(name: str) -> Mapping[str, Any]:
    """Return what is known beforehand of an atlas, empty if nothing is."""
    return published().get(name, {})
