"""Find out what a web server has: S3's ListObjectsV2, or the pages made of folders.

A static host without either is served by our own ``inventory.json``, see ``store.inventories``.
"""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from urllib.parse import parse_qsl, quote, unquote, unquote_plus, urlencode, urljoin, urlsplit

from bg_atlasapi.errors import RefusedError, RemoteError
from bg_atlasapi.store.transport import http
from bg_atlasapi.store.transport.numbers import whole_number
from bg_atlasapi.store.transport.sources import Listed
from bg_atlasapi.store.transport.web import BucketSource, WebSource, md5_of_tag

_LINK = re.compile(r"""<a\s[^>]*?href\s*=\s*["']([^"'#?]+)["']""", re.IGNORECASE)
_MAX_KEYS = 2_000_000
_MAX_DEPTH = 16
_MAX_PAGES = 20_000
_MAX_EMPTY = 100  # pages in a row without a file


def of_web(source: WebSource, prefix: str) -> Iterator[Listed]:
    """List every file below a prefix.

    Raises
    ------
    RemoteError
        If the server lists in neither way.
    """
    service = _service(source)
    if service is None:
        for count, listed in enumerate(_from_pages(source, prefix, 0, iter(range(_MAX_PAGES)))):
            if count > _MAX_KEYS:
                raise _endless(source.url(prefix))
            yield listed
        return
    address, above = service
    cut = len(above)
    for count, listed in enumerate(_objects(address, above + prefix)):
        if count > _MAX_KEYS or not listed.key.startswith(above):
            raise RefusedError(f"{http.without_login(address)} lists more than it was asked for.")
        if not listed.key.endswith("/"):
            yield Listed(listed.key[cut:], listed.size, None, listed.md5)


def folders_of_web(source: WebSource, prefix: str) -> list[str]:
    """Return the names of the folders directly under a prefix, empty if nothing lists them."""
    service = _service(source)
    try:
        if service is None:
            return [name.strip("/") for name in _links(source, prefix) if name.endswith("/")]
        address, above = service
        root = _ask(address, {"prefix": above + prefix, "delimiter": "/"})
    except RemoteError:
        return []
    common = (_text(one, "Prefix") for one in _all(root, "CommonPrefixes"))
    asked = above + prefix
    names = (name[len(asked) :].strip("/") for name in common if name.startswith(asked))
    return [name for name in names if name]


def _service(source: WebSource) -> tuple[str, str] | None:
    """Return where S3 lists this source, and what its keys begin with there; None if it does not.

    The bucket may be the host, or the first part of the path.
    """
    if not hasattr(source, "_listed_by"):
        source._listed_by = _find_service(source)  # type: ignore[attr-defined]
    return source._listed_by  # type: ignore[attr-defined,no-any-return]


def _find_service(source: WebSource) -> tuple[str, str] | None:
    if isinstance(source, BucketSource):
        return source.service, f"{source.prefix}/" if source.prefix else ""
    parts = urlsplit(source.base)
    host = f"{parts.scheme}://{parts.netloc}"
    path = unquote(parts.path).strip("/")
    bucket, _, rest = path.partition("/")
    candidates = [(host, f"{path}/" if path else "")]
    if bucket:
        candidates.append((f"{host}/{quote(bucket)}", f"{rest}/" if rest else ""))
    for address, above in candidates:
        try:
            root = _ask(address, {"prefix": above, "delimiter": "/", "max-keys": "1"})
        except RemoteError:
            continue
        # Any bucket lists; only the right one has something here.
        if _all(root, "CommonPrefixes") or _all(root, "Contents"):
            return address, above
    return None


def _objects(address: str, prefix: str) -> Iterator[Listed]:
    """List objects, page by page.

    Source: Amazon S3 API reference, ListObjectsV2.
    """
    token, empty = "", 0
    for _ in range(_MAX_PAGES):
        asked = {"prefix": prefix, "encoding-type": "url"}
        if token:
            asked["continuation-token"] = token
        root = _ask(address, asked)
        encoded = _text(root, "EncodingType") == "url"
        entries = _all(root, "Contents")
        empty = 0 if entries else empty + 1
        for entry in entries:
            key, size = _text(entry, "Key"), _text(entry, "Size")
            key = unquote_plus(key) if encoded else key
            yield Listed(key, whole_number(size), None, md5_of_tag(_text(entry, "ETag")))
        following = _text(root, "NextContinuationToken")
        if _text(root, "IsTruncated") != "true" or following in {"", token}:
            return
        if empty >= _MAX_EMPTY:
            break
        token = following
    raise _endless(address)


def _endless(address: str) -> RefusedError:
    return RefusedError(f"{http.without_login(address)} lists files without end.")


def _ask(address: str, query: dict[str, str]) -> ET.Element:
    base, _, old = address.partition("?")
    asked = urlencode({**dict(parse_qsl(old)), "list-type": "2", **query})
    source = WebSource(f"{base}/")
    source.url = lambda key: f"{base}/?{key}"  # type: ignore[method-assign]
    text = source.read(asked)
    if b"<!DOCTYPE" in text[:1000] or b"<!ENTITY" in text:
        raise RefusedError(f"{http.without_login(base)} does not list its files as S3 does.")
    try:
        root = ET.fromstring(text)  # noqa: S314 - no entities, checked above
    except (ET.ParseError, ValueError, LookupError) as error:  # also of odd encodings
        message = f"{http.without_login(base)} does not list its files as S3 does."
        raise RefusedError(message) from error
    if root.tag.rpartition("}")[2] != "ListBucketResult":
        raise RefusedError(f"{http.without_login(base)} does not list its files as S3 does.")
    return root


def _all(element: ET.Element, name: str) -> list[ET.Element]:
    return [child for child in element if child.tag.rpartition("}")[2] == name]


def _text(element: ET.Element, name: str) -> str:
    return next((child.text or "" for child in _all(element, name)), "")


def _from_pages(
    source: WebSource, prefix: str, depth: int, pages: Iterator[int]
) -> Iterator[Listed]:
    """Follow the links on the page of a folder; ``pages`` gives as many as may be asked for."""
    if depth > _MAX_DEPTH:
        where = http.without_login(source.url(prefix))
        raise RefusedError(f"{where}: the folders go deeper than any atlas.")
    if next(pages, None) is None:
        raise _endless(source.base)
    for name in _links(source, prefix):
        if name.endswith("/"):
            yield from _from_pages(source, prefix + name, depth + 1, pages)
        else:
            yield Listed(prefix + name)


def _links(source: WebSource, prefix: str) -> list[str]:
    """Return what the page of a folder links to directly below it; folders end in a slash."""
    address, _ = http.split_login(source.url(prefix))  # links have no login
    page = source.read(prefix).decode("utf-8", "replace")
    names = []
    for link in _LINK.findall(page):
        try:
            full = urljoin(address, html.unescape(link))
        except ValueError:  # an address of some other kind
            continue
        if not full.startswith(address) or full == address:
            continue
        name = unquote(full[len(address) :])
        if "/" not in name.rstrip("/") and name.rstrip("/") not in {"", ".", ".."}:
            names.append(name)
    return list(dict.fromkeys(names))
