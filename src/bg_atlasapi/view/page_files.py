"""The built page: the files of ``view/page``, read once, each under its own address.

Addresses are looked up in a table of what there is, never joined to a folder, so no address leads
out of it. The page is built from ``web/``; ``built.json`` there records from which sources.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}
_GZIP_LEVEL = 6


@dataclass(frozen=True)
class PageFile:
    """One file of the page.

    Parameters
    ----------
    content_type
        For HTTP.
    body
        As it is.
    tag
        Changes with the content.
    """

    content_type: str
    body: bytes
    tag: str

    @cached_property
    def zipped(self) -> bytes:
        """With gzip; made when first asked for, since the 3-D view's takes longer than the rest."""
        return gzip.compress(self.body, _GZIP_LEVEL, mtime=0)


@cache
def page_files() -> dict[str, PageFile]:
    """Return the files of the page by address."""
    found: dict[str, PageFile] = {}
    for entry in files(__package__).joinpath("page").iterdir():
        kind = _TYPES.get(entry.name.rpartition(".")[2])
        if kind is not None:
            found[f"/{entry.name}"] = _read(entry, kind)
    found["/"] = found["/index.html"]
    return found


def _read(entry: Traversable, kind: str) -> PageFile:
    body = entry.read_bytes()
    tag = hashlib.sha256(body).hexdigest()[:16]
    return PageFile(kind, body, f'"{tag}"')
