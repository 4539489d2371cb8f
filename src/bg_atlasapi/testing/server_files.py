"""How the test server answers for a file: ETags, conditions, ranges, folders.

After RFC 9110, sections 8.8 (validators), 13 (conditions) and 14 (ranges). Decides only; nothing
here touches a socket.
"""

from __future__ import annotations

import gzip
import hashlib
import html
import mimetypes
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate, parsedate_to_datetime
from functools import cache
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from bg_atlasapi.testing.server_faults import Fault
from bg_atlasapi.testing.server_wire import FileSlice, Incoming, Reply

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_TYPES = mimetypes.MimeTypes()  # without what this machine adds
LOGIN_PAGE = (
    b"<!DOCTYPE html>\n<html><title>Log in</title><p>Please log in to this network.</html>\n"
)


@dataclass(frozen=True)
class Site:
    """What is served, and how: see ``server.Server`` for each part."""

    root: Path
    s3_bucket: str | None = None
    ranges: bool = True
    etags: bool = True
    listing: bool = False
    rate: float | None = None
    latency: float = 0.0
    page_size: int = 1000


class UnsatisfiableError(Exception):
    """A range that lies outside the file."""


def locate(root: Path, name: str) -> Path | None:
    """Return the file or folder of that name under ``root``, None if there is none.

    Parameters
    ----------
    root
        A resolved path. Nothing outside it is ever returned, by dots or by links.
    name
        URL path, decoded.
    """
    if ".." in name.split("/") or "\0" in name:
        return None
    try:
        path = (root / name.lstrip("/")).resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    if not path.is_relative_to(root) or (name.endswith("/") and path.is_file()):
        return None
    return path


def etag_of(path: Path) -> str:
    """Return the strong ETag of a file: the MD5 of its content, in quotes, as S3 has it."""
    stat = path.stat()
    return f'"{_md5(path, stat.st_size, stat.st_mtime_ns)}"'


@cache
def _md5(path: Path, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def file_reply(site: Site, path: Path, request: Incoming, fault: Fault) -> Reply:
    """Return the answer for a file that exists.

    Raises
    ------
    UnsatisfiableError
        With the size of the file, if the range lies outside it.
    """
    stat = path.stat()
    etag = _etag(site, path, fault)
    modified = formatdate(int(stat.st_mtime), usegmt=True)
    headers = {"Last-Modified": modified}
    if etag is not None:
        headers["ETag"] = etag
    if site.ranges:
        headers["Accept-Ranges"] = "bytes"
    early = conditional_status(request.headers, etag, modified)
    if early is not None:
        return Reply(early, headers)
    headers["Content-Type"] = content_type(path.name, s3=site.s3_bucket is not None)
    span = None
    if site.ranges and request.method == "GET" and not fault.ignore_range:
        span = asked_range(request.headers, stat.st_size, etag, modified)
    if span is None:
        return Reply(200, headers, _parts(path, 0, stat.st_size, stat.st_size, fault))
    start, stop = _beside(*span, stat.st_size) if fault.wrong_range else span
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{stat.st_size}"
    return Reply(206, headers, _parts(path, start, stop, stat.st_size, fault))


def _etag(site: Site, path: Path, fault: Fault) -> str | None:
    if fault.etag is not None:
        return fault.etag if fault.etag.endswith('"') else f'"{fault.etag}"'
    return etag_of(path) if site.etags and not fault.drop_etag else None


def content_type(name: str, *, s3: bool) -> str:
    """Return a media type for a file name; S3 guesses none."""
    kind, encoding = _TYPES.guess_type(name)
    if s3:
        return "binary/octet-stream"
    if encoding == "gzip":
        return "application/gzip"
    return kind or "application/octet-stream"


def conditional_status(headers: Mapping[str, str], etag: str | None, modified: str) -> int | None:
    """Return 304 or 412 if a condition of the request says so, None to go on.

    Parameters
    ----------
    headers
        Of the request, names in lower case.
    etag, modified
        Of the file; ``modified`` as an HTTP date.
    """
    if "if-match" in headers and not _lists(headers["if-match"], etag):
        return HTTPStatus.PRECONDITION_FAILED
    if "if-none-match" in headers:
        return HTTPStatus.NOT_MODIFIED if _lists(headers["if-none-match"], etag) else None
    if "if-modified-since" in headers:
        try:
            since = parsedate_to_datetime(headers["if-modified-since"])
        except ValueError:
            return None
        return HTTPStatus.NOT_MODIFIED if parsedate_to_datetime(modified) <= since else None
    return None


def _lists(header: str, etag: str | None) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in header.split(",")]
    return etag is not None and ("*" in tags or etag.removeprefix("W/") in tags)


def asked_range(
    headers: Mapping[str, str], size: int, etag: str | None, modified: str
) -> tuple[int, int] | None:
    """Return the start and stop of the bytes asked for; None for the whole file.

    Several ranges, other units and nonsense count as nothing asked, and so does a range whose
    ``If-Range`` names another state of the file.

    Parameters
    ----------
    headers
        Of the request, names in lower case.
    size, etag, modified
        Of the file: bytes, ETag, HTTP date.

    Raises
    ------
    UnsatisfiableError
        If there is no such byte; holds the size.

    >>> asked = [{"range": f"bytes={text}"} for text in ("2-4", "7-", "-3", "5-4")]
    >>> [asked_range(headers, 10, None, "") for headers in asked]
    [(2, 5), (7, 10), (7, 10), None]
    """
    found = _RANGE.fullmatch(headers.get("range", "").replace(" ", ""))
    unchanged = headers.get("if-range", modified) in {etag, modified}
    weak = etag is not None and etag.startswith("W/") and headers.get("if-range") == etag
    if not found or not unchanged or weak or found[0] == "bytes=-":
        return None
    if not found[1]:
        start, stop = max(0, size - int(found[2])), size
    else:
        start, stop = int(found[1]), min(size, int(found[2]) + 1 if found[2] else size)
        if found[2] and int(found[2]) < start:
            return None
    if start >= size:
        raise UnsatisfiableError(size)
    return start, stop


def _beside(start: int, stop: int, size: int) -> tuple[int, int]:
    """Return a range that is not the one asked for: one to the left, or else to the right."""
    if start:
        return start - 1, stop - 1
    return (1, min(stop + 1, size)) if size > 1 else (0, size)


def _parts(
    path: Path, start: int, stop: int, size: int, fault: Fault
) -> tuple[bytes | FileSlice, ...]:
    if fault.flip_byte is None:
        return (FileSlice(path, start, stop - start),)
    flip = fault.flip_byte + size if fault.flip_byte < 0 else fault.flip_byte
    if not start <= flip < stop:
        return (FileSlice(path, start, stop - start),)
    flipped = bytes([FileSlice(path, flip, 1).read()[0] ^ 0xFF])
    after = FileSlice(path, flip + 1, stop - flip - 1)
    return (FileSlice(path, start, flip - start), flipped, after)


def folder_reply(folder: Path, url_path: str) -> Reply:
    """Return an index page like that of Python's ``http.server``.

    Parameters
    ----------
    folder
        What it lists.
    url_path
        Decoded path that was asked for; without a slash at its end, it is sent there first.
    """
    if not url_path.endswith("/"):
        return Reply(301, {"Location": quote(url_path) + "/"})
    title = html.escape(f"Directory listing for {url_path}", quote=False)
    lines = [
        "<!DOCTYPE HTML>",
        f'<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n</head>',
        f"<body>\n<h1>{title}</h1>\n<hr>\n<ul>",
    ]
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name.lower()):
        name = entry.name + ("/" if entry.is_dir() else "")
        lines.append(f'<li><a href="{quote(name)}">{html.escape(name, quote=False)}</a></li>')
    page = "\n".join([*lines, "</ul>\n<hr>\n</body>\n</html>\n"])
    return Reply(200, {"Content-Type": "text/html; charset=utf-8"}, (page.encode(),))


def compressed(reply: Reply) -> Reply:
    """Return the same answer with its body compressed, and saying so."""
    headers = {**reply.headers, "Content-Encoding": "gzip"}
    return replace(reply, headers=headers, body=(gzip.compress(reply.read(), mtime=0),))
