"""Files of web servers and of S3 buckets that anybody may read."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bg_atlasapi.errors import RefusedError, RemoteError
from bg_atlasapi.store.transport import http
from bg_atlasapi.store.transport.numbers import LARGEST, whole_number
from bg_atlasapi.store.transport.sources import BLOCK, Listed, Reply, Source

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse


class WebSource(Source):
    """A web server."""

    def below(self, prefix: str) -> Source:
        """Return the source of a folder, as in ``Source``."""
        return WebSource(self.url(prefix))

    def open(
        self, key: str, start: int = 0, stop: int | None = None, validator: str | None = None
    ) -> Reply:
        """Start to read a file, as in ``Source``."""
        url, headers = self.url(key), {}
        if start or stop is not None:
            headers["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
            if validator:
                headers["If-Range"] = validator
        response = http.SHARED.get(url, headers)
        begins, size = _place(response)
        if max(begins, size or 0) > LARGEST:
            response.close()
            where = f"{http.host_of(url)} gives {http.without_login(url)}"
            raise RefusedError(f"{where} an impossible size: {size} bytes.", response.status)
        listed = Listed(key, size, *_published_hashes(response))
        plain = _is_plain(response, key)
        if not plain:  # compressed on the way: neither its length nor its parts are the file's
            begins, size, listed = 0, None, Listed(key)
        return Reply(
            begins,
            size,
            _validator(response) if plain else None,
            response.status == 206 and plain,
            listed,
            _blocks(response, url, begins, decode=not plain),
            response.close,
        )

    def size(self, key: str) -> int | None:
        """Ask for a size, as in ``Source``."""
        try:
            response = http.SHARED.get(self.url(key), method="HEAD")
        except RefusedError as error:
            if error.status not in {400, 403, 405, 501}:
                raise
            reply = self.open(key, 0, 1)  # a server that does not know HEAD
            reply.close()
            return reply.size
        response.drain_conn()
        return whole_number(response.headers.get("Content-Length"))

    def files(self, prefix: str) -> Iterator[Listed]:
        """List files: as S3 does, or from the pages that web servers make of folders."""
        from bg_atlasapi.store.transport import listing

        yield from listing.of_web(self, prefix)

    def folders(self, prefix: str) -> list[str]:
        """List folders, as in ``Source``."""
        from bg_atlasapi.store.transport import listing

        return listing.folders_of_web(self, prefix)


class BucketSource(WebSource):
    """An S3 bucket that anybody may read, reached over HTTPS.

    Parameters
    ----------
    address
        ``s3://bucket/prefix``. ``AWS_ENDPOINT_URL_S3`` or ``AWS_ENDPOINT_URL`` name another server
        that speaks S3.
    """

    hides_absence = True  # S3 answers 403 for what is not there to those who may not list

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        bucket, self.prefix = parts.netloc, parts.path.strip("/")
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        if endpoint:
            self.service = f"{endpoint.rstrip('/')}/{bucket}"
        elif "." in bucket:  # the certificate does not cover names with dots
            self.service = f"https://s3.amazonaws.com/{bucket}"
        else:
            self.service = f"https://{bucket}.s3.amazonaws.com"
        super().__init__(f"{self.service}/{self.prefix}")
        self._bucket = bucket

    def below(self, prefix: str) -> Source:
        """Return the source of a folder, as in ``Source``."""
        return BucketSource(f"s3://{self._bucket}/{self.prefix}/{prefix}")


def _place(response: BaseHTTPResponse) -> tuple[int, int | None]:
    """Return where the body begins in the file, and the file's size."""
    if response.status == 206:
        match = re.fullmatch(
            r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)",
            response.headers.get("Content-Range", "").strip(),
        )
        if match is None:
            return -1, None
        return int(match[1]), whole_number(match[2])
    return 0, whole_number(response.headers.get("Content-Length"))


def _is_plain(response: BaseHTTPResponse, key: str) -> bool:
    """Say whether the body is the file itself, not the file compressed for the journey.

    Many servers call a stored ``.gz`` file an encoding; it is the file.
    """
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    stored = encoding in {"gzip", "x-gzip"} and key.endswith((".gz", ".tgz"))
    return encoding in {"", "identity"} or stored


def _validator(response: BaseHTTPResponse) -> str | None:
    tag = response.headers.get("ETag", "").strip()
    if tag.startswith('"'):  # a weak tag, W/"…", says nothing of bytes
        return tag
    return response.headers.get("Last-Modified") or None


def _published_hashes(response: BaseHTTPResponse) -> tuple[str | None, str | None]:
    """Return SHA-256 and MD5 of the whole file, where the headers state them."""
    headers = response.headers
    sha256 = _hexadecimal(headers.get("x-amz-checksum-sha256", ""), 32)
    for field_name, pattern in (
        ("Repr-Digest", r"sha-256=:([^:]+):"),
        ("Digest", r"(?i:sha-256)=([^,]+)"),
    ):
        match = re.search(pattern, headers.get(field_name, ""))
        sha256 = sha256 or (_hexadecimal(match[1], 32) if match else None)
    md5 = _hexadecimal(headers.get("Content-MD5", ""), 16) if response.status == 200 else None
    if "AmazonS3" in headers.get("Server", ""):  # elsewhere a tag may be anything
        md5 = md5 or md5_of_tag(headers.get("ETag", ""))
    return sha256, md5


def md5_of_tag(tag: str) -> str | None:
    """Return the MD5 that S3's tag is, None for files that were stored in several parts."""
    tag = tag.strip().strip('"').lower()
    return tag if re.fullmatch(r"[0-9a-f]{32}", tag) else None


def _hexadecimal(text: str, length: int) -> str | None:
    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except (ValueError, binascii.Error):
        return None
    return raw.hex() if len(raw) == length else None


def _blocks(response: BaseHTTPResponse, url: str, start: int, *, decode: bool) -> Iterator[bytes]:
    """Give a body in blocks, refusing the web page that some servers send in a file's place."""
    import urllib3

    first = start == 0 and not url.lower().endswith((".html", ".htm", "/"))
    try:
        while block := response.read(BLOCK, decode_content=decode) if decode else _some(response):
            if first and block[:64].lstrip().lower().startswith((b"<!doctype html", b"<html")):
                message = (
                    f"{http.host_of(url)} answered with a web page instead of "
                    f"{http.without_login(url)}. If this network asks for a login, open any page "
                    "in a browser first."
                )
                raise RefusedError(message, response.status)
            first = False
            yield block
    except (urllib3.exceptions.HTTPError, OSError) as error:
        if isinstance(error, RemoteError):
            raise
        http.raise_explained(error, url)
    finally:
        response.release_conn()


def _some(response: BaseHTTPResponse) -> bytes:
    """Return what has arrived, up to a block; empty at the end."""
    return response.read1(BLOCK, decode_content=False)
