"""Which kind of source does an address name?"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.settings import expanded
from bg_atlasapi.store.transport import http
from bg_atlasapi.store.transport.folders import FolderSource
from bg_atlasapi.store.transport.sources import Source
from bg_atlasapi.store.transport.web import BucketSource, WebSource


def source_of(address: str) -> Source:
    """Return the source that an address names.

    Parameters
    ----------
    address
        ``https://…``, ``http://…``, ``file://…``, ``s3://bucket/prefix``, or a folder.

    Raises
    ------
    InvalidInputError
        For any other kind of address.
    """
    _check(address)
    scheme = address.partition("://")[0].lower() if "://" in address else ""
    if scheme in {"http", "https"} and urlsplit(address).netloc:
        return WebSource(address)
    if scheme == "s3" and urlsplit(address).netloc:
        return BucketSource(address)
    if scheme == "file":
        return FolderSource(Path(unquote(urlsplit(address).path)))
    if scheme:
        shown = http.without_login(address)
        message = f"{shown!r} is not an address this library can read: use https, http, s3, file."
        raise InvalidInputError(message)
    return FolderSource(expanded(address).absolute())


def _check(address: str) -> None:
    """Refuse what only looks like an address."""
    try:
        if "://" in address:
            _ = urlsplit(address).port  # read, it is checked
        if "\0" in address:
            raise ValueError("it has a null byte")  # noqa: TRY301 - put into words below
    except ValueError as error:
        message = f"{http.without_login(address)!r} is not an address: {error}."
        raise InvalidInputError(message) from error


def file_at(address: str) -> tuple[Source, str]:
    """Return the place and the name of one file.

    Parameters
    ----------
    address
        As ``source_of`` reads it, but of a file. A query ("?download=1", a signature) is kept.

    Raises
    ------
    InvalidInputError
        If it names no file, or a name with which one could be written elsewhere.
    """
    _check(address)
    if "://" in address and not address.startswith("file://"):
        parts = urlsplit(address)
        above, _, key = parts.path.rpartition("/")
        key = unquote(key)
        if key in {"", ".", ".."} or any(sign in key for sign in "/\\\0"):
            message = f"{http.without_login(address)!r} names no file."
            raise InvalidInputError(message)
        place = source_of(parts._replace(path=above, query="", fragment="").geturl())
        if parts.query:
            whole = parts._replace(fragment="").geturl()
            place.url = lambda key: whole  # type: ignore[method-assign] # noqa: ARG005
        return place, key
    folder = source_of(address)
    assert isinstance(folder, FolderSource)
    return FolderSource(folder.folder.parent), folder.folder.name
