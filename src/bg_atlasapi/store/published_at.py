"""Install an atlas from an address where somebody published a folder of atlases.

Any static web server will do: what ``brainglobe build`` makes is such a folder. It need not be
among the remotes. A single file at an address is ``bundles``' business.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from bg_atlasapi.errors import InvalidInputError, RefusedError, UnknownAtlasError
from bg_atlasapi.store import cache, install
from bg_atlasapi.store.cache import InstalledAtlas
from bg_atlasapi.store.lifecycle import Library
from bg_atlasapi.store.remotes import Release, Remote, unknown
from bg_atlasapi.store.selection import Parts
from bg_atlasapi.store.transfer.progress import Report
from bg_atlasapi.store.transport import http

_ARCHIVES = (".tar.gz", ".tgz", ".tar", ".tar.zst", ".tar.xz", ".tar.bz2", ".zip")
_SHOWN = 10


def names_a_file(address: str) -> bool:
    """Say whether an address looks like that of a file, not of a folder of atlases."""
    parts = urlsplit(address)
    return bool(parts.query) or parts.path.lower().endswith(_ARCHIVES)


def add_published(
    library: Library, address: str, name: str | None, report: Report
) -> InstalledAtlas | None:
    """Install an atlas from a published folder.

    Parameters
    ----------
    library, report
        As in ``lifecycle.install_atlas``.
    address
        Of the folder, or of the manifest of a component atlas in one.
    name
        Which atlas, perhaps with a version, ``"name@1.2"``; None for the only one.

    Returns
    -------
    InstalledAtlas or None
        None if there is no published folder.

    Raises
    ------
    InvalidInputError
        If it holds several and none is named.
    UnknownAtlasError
        If it does not hold the one that is named.
    RemoteError
        If it cannot be downloaded.
    """
    folder, named = _of_manifest(address)
    remote = Remote(folder)
    try:
        offered = remote.index().versions
    except RefusedError as error:
        may_be_a_file = name is None and urlsplit(folder).path.rpartition("/")[2]
        if error.is_absence and may_be_a_file:
            return None
        raise
    release = _release(remote, sorted(offered), name or named)
    workshop = library.workshop(f"add {address}")
    return install.install(release, workshop, Parts(), report)


def _of_manifest(address: str) -> tuple[str, str | None]:
    """Return the folder that a manifest's address lies in, and which atlas it is of."""
    parts = urlsplit(address)
    way = parts.path.split("/")
    if len(way) < 5 or way[-1] != cache.MANIFEST or way[-4] != "atlases":
        return address, None
    name, version = way[-3], way[-2].replace("_", ".")
    return parts._replace(path="/".join(way[:-4]) + "/").geturl(), f"{name}@{version}"


def _release(remote: Remote, offered: list[str], name: str | None) -> Release:
    where = http.without_login(remote.address)
    if name is None:
        if len(offered) > 1:
            more = f" and {len(offered) - _SHOWN} more" if len(offered) > _SHOWN else ""
            shown = ", ".join(offered[:_SHOWN]) + more
            message = f"{where} holds several atlases; say which with --name: {shown}."
            raise InvalidInputError(message)
        name = offered[0]
    wanted, version = cache.named(name, offered)
    release = remote.release(wanted, version)
    if release is None:
        what = wanted if version is None else f"{wanted} {version[0]}.{version[1]}"
        reason = unknown(wanted, offered).partition(" List all")[0]
        message = f"{where} has no {what}." if wanted in offered else f"{where}: {reason}"
        raise UnknownAtlasError(message)
    return release
