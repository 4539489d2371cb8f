"""What makes the test server look like S3: ListObjectsV2 and XML errors.

After https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html. Only what an
anonymous reader of a public bucket sees; no signatures, no versions, no writing.
"""

from __future__ import annotations

import base64
import binascii
import os
import threading
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, quote_plus
from xml.sax.saxutils import escape

from bg_atlasapi.testing.server_files import Site, etag_of, locate
from bg_atlasapi.testing.server_wire import Reply

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_CODES = {
    400: ("InvalidArgument", "Invalid Argument"),
    403: ("AccessDenied", "Access Denied"),
    404: ("NoSuchKey", "The specified key does not exist."),
    405: ("MethodNotAllowed", "The specified method is not allowed against this resource."),
    412: ("PreconditionFailed", "At least one of the pre-conditions you specified did not hold"),
    416: ("InvalidRange", "The requested range is not satisfiable"),
    429: ("SlowDown", "Please reduce your request rate."),
    500: ("InternalError", "We encountered an internal error. Please try again."),
    501: ("NotImplemented", "A header or query you provided implies functionality not implemented"),
    503: ("SlowDown", "Please reduce your request rate."),
}


@dataclass(frozen=True)
class Page:
    """One page of a listing. ``last`` is the last key or prefix in it if more follow."""

    keys: tuple[str, ...]
    prefixes: tuple[str, ...]
    last: str | None


def error_reply(status: int, resource: str) -> Reply:
    """Return S3's answer for an error: XML with a code, and the resource that was asked for."""
    code, message = _CODES.get(status, ("Unknown", "Unknown"))
    about = f"<Key>{escape(resource)}</Key>" if status == 404 else ""
    text = (
        f"{_XML}<Error><Code>{code}</Code><Message>{message}</Message>{about}"
        "<RequestId>0000000000000000</RequestId><HostId>testing</HostId></Error>"
    )
    return Reply(status, {"Content-Type": "application/xml"}, (text.encode(),))


def key_of(bucket: str, path: str) -> str:
    """Return the key that a decoded URL path means, path-style or virtual-hosted.

    >>> key_of("atlases", "/atlases/a/b"), key_of("atlases", "/a/b"), key_of("atlases", "/atlases")
    ('a/b', 'a/b', '')
    """
    if path in {f"/{bucket}", f"/{bucket}/"}:
        return ""
    return path.removeprefix(f"/{bucket}/").removeprefix("/")


def locate_key(root: Path, key: str) -> Path | None:
    """Return the file of a key, None if there is none. A key is exact: ``a//b`` is not ``a/b``."""
    if any(part in {"", "."} for part in key.split("/")):
        return None
    path = locate(root, key)
    return path if path is not None and path.is_file() else None


def select_page(
    keys: Sequence[str], prefix: str, delimiter: str, after: tuple[str, str], limit: int
) -> Page:
    """Return the next page of a listing.

    Parameters
    ----------
    keys
        All that start with ``prefix``, sorted.
    prefix, delimiter
        As in the request; what lies beyond the next delimiter is rolled up into one prefix.
    after
        ``start-after``, which skips keys, and the last entry of the page before, which may be a
        prefix and then skips all it stands for.
    limit
        Keys and prefixes on a page.

    >>> select_page(["a", "b/1", "b/2", "c"], "", "/", ("", ""), 2)
    Page(keys=('a',), prefixes=('b/',), last='b/')
    >>> select_page(["a", "b/1", "b/2", "c"], "", "/", ("", "b/"), 2)
    Page(keys=('c',), prefixes=(), last=None)
    """
    found: dict[str, bool] = {}
    start_after, last = after
    for key in keys[bisect_right(keys, max(after)) :]:
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        entry = key if cut < 0 else key[: cut + len(delimiter)]
        if entry in found or entry <= last or key <= start_after:
            continue
        if len(found) == limit:
            return _page(found, more=limit > 0)
        found[entry] = cut >= 0
    return _page(found, more=False)


def _page(found: dict[str, bool], *, more: bool) -> Page:
    keys = tuple(entry for entry, rolled in found.items() if not rolled)
    prefixes = tuple(entry for entry, rolled in found.items() if rolled)
    return Page(keys, prefixes, next(reversed(found)) if more else None)


class Bucket:
    """A folder as a bucket that can be listed."""

    def __init__(self, site: Site) -> None:
        self._site = site
        # The first page walks the folder, the following ones use that walk: it takes 0.3 s for
        # 100,000 files, which have 100 pages.
        self._walks: dict[str, list[str]] = {}
        self._lock = threading.Lock()

    def list_reply(self, query: str) -> Reply:
        """Return the answer to a request on the bucket itself.

        Parameters
        ----------
        query
            As sent. Without ``list-type=2``, 501: version 1 of the listing is not spoken here.
        """
        asked = dict(parse_qsl(query, keep_blank_values=True))
        if asked.get("list-type") != "2":
            return error_reply(501, "")
        prefix, token = asked.get("prefix", ""), asked.get("continuation-token")
        try:
            limit = min(int(asked.get("max-keys", "1000")), self._site.page_size)
            last = base64.b64decode(token or "", validate=True).decode()
        except (ValueError, binascii.Error):
            return error_reply(400, "")
        if limit < 0:
            return error_reply(400, "")
        keys = self._keys(prefix, again=token is not None)
        # S3: start-after is ignored once there is a token
        after = ("" if token else asked.get("start-after", ""), last)
        page = select_page(keys, prefix, asked.get("delimiter", ""), after, limit)
        text = self._xml(asked, page, limit)
        return Reply(200, {"Content-Type": "application/xml"}, (text.encode(),))

    def _keys(self, prefix: str, *, again: bool) -> list[str]:
        with self._lock:
            if not again or prefix not in self._walks:
                self._walks[prefix] = _walk(self._site.root, prefix)
            return self._walks[prefix]

    def _xml(self, asked: dict[str, str], page: Page, limit: int) -> str:
        encoded = asked.get("encoding-type") == "url"

        def spelt(text: str) -> str:
            return quote_plus(text, safe="/") if encoded else escape(text)

        fields = {
            "Name": escape(self._site.s3_bucket or ""),
            "Prefix": spelt(asked.get("prefix", "")),
            "KeyCount": str(len(page.keys) + len(page.prefixes)),
            "MaxKeys": str(limit),
            "IsTruncated": str(page.last is not None).lower(),
        }
        for name, parameter in (("Delimiter", "delimiter"), ("StartAfter", "start-after")):
            if asked.get(parameter):
                fields[name] = spelt(asked[parameter])
        if encoded:
            fields["EncodingType"] = "url"
        if "continuation-token" in asked:
            fields["ContinuationToken"] = escape(asked["continuation-token"])
        if page.last is not None:
            fields["NextContinuationToken"] = base64.b64encode(page.last.encode()).decode()
        parts = [f"<{name}>{value}</{name}>" for name, value in fields.items()]
        parts += [self._contents(key, spelt(key)) for key in page.keys]
        parts += [
            f"<CommonPrefixes><Prefix>{spelt(prefix)}</Prefix></CommonPrefixes>"
            for prefix in page.prefixes
        ]
        inside = "".join(parts)
        return f'{_XML}<ListBucketResult xmlns="{_NAMESPACE}">{inside}</ListBucketResult>'

    def _contents(self, key: str, spelt: str) -> str:
        path = self._site.root / key
        try:
            stat = path.stat()
            etag = f"<ETag>{escape(etag_of(path.resolve()))}</ETag>" if self._site.etags else ""
        except FileNotFoundError:  # gone since the walk; S3 would have a snapshot
            return ""
        when = datetime.fromtimestamp(int(stat.st_mtime), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return (
            f"<Contents><Key>{spelt}</Key><LastModified>{when}</LastModified>{etag}"
            f"<Size>{stat.st_size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        )


def _walk(root: Path, prefix: str) -> list[str]:
    """Return the keys that start with ``prefix``, in the order of their UTF-8 bytes."""
    parent = prefix.rpartition("/")[0]
    top = locate(root, parent)
    if top is None or not top.is_dir() or (parent and not all(parent.split("/"))):
        return []
    keys = []
    for folder, _, names in os.walk(top):
        inside = Path(folder).relative_to(root).as_posix()
        start = "" if inside == "." else inside + "/"
        keys += [start + name for name in names if (start + name).startswith(prefix)]
    kept = [key for key in keys if not (root / key).is_symlink() or locate(root, key)]
    return sorted(kept)
