"""The server's side of the viewer: a plain ASGI application.

Plain, because eight addresses need no framework: what a framework would add (routes, static files,
hosts) is what must be strict here, and is a table, a dictionary and ``guard``. uvicorn runs it.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import AtlasError, InvalidInputError
from bg_atlasapi.view import scene
from bg_atlasapi.view.gallery import Gallery
from bg_atlasapi.view.guard import MAX_BODY, Refusal, local_hosts, refusal
from bg_atlasapi.view.page_files import page_files
from bg_atlasapi.view.surfaces import mesh_bytes

if TYPE_CHECKING:
    from bg_atlasapi.view.overlays import Overlays

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_LOG = logging.getLogger(__name__)
_THREADS = 4
_DROP = "/api/drop"
_PATIENCE_S = 30.0  # for the next part of a body
_KEEP = "private, max-age=3600, immutable"  # addresses carry a token of this very server
_BINARY, _JSON = "application/octet-stream", "application/json"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ALWAYS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back.

    Parameters
    ----------
    body, content_type
        Of the answer.
    status
        Of HTTP.
    cache
        ``Cache-Control``.
    zip_level
        Of gzip, 0 for none.
    headers
        Further ones.
    """

    body: bytes
    content_type: str = _JSON
    status: int = 200
    cache: str = "no-store"
    zip_level: int = 0
    headers: tuple[tuple[bytes, bytes], ...] = field(default=())


def refused(why: Refusal) -> Answer:
    """Return the answer to what is refused."""
    return Answer(scene.as_json({"error": why.sentence}), status=why.status)


class ViewerApp:
    """Answers the page's questions about one atlas.

    Parameters
    ----------
    atlas
        An atlas.
    port
        Where it listens; decides which hosts are its own.
    overlays
        Points and values to show, and what becomes of files dropped on the page.
    """

    def __init__(self, atlas: Any, port: int, overlays: Overlays) -> None:
        self.gallery = Gallery(atlas)
        self.hosts = local_hosts(port)
        self.overlays = overlays
        self.token = secrets.token_hex(4)
        self._atlas = atlas
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="viewer")
        self._regions: asyncio.Future[bytes] | None = None
        self._routes: list[tuple[re.Pattern[str], Callable[..., Answer]]] = [
            (re.compile(r"/api/labels/([0-2])/(\d{1,6})", re.ASCII), self._labels),
            (re.compile(r"/api/sides/([0-2])/(\d{1,6})", re.ASCII), self._sides),
            (re.compile(r"/api/image/(\d{1,3})/([0-2])/(\d{1,6})", re.ASCII), self._image),
            (re.compile(r"/api/mesh/(\d{1,6})", re.ASCII), self._mesh),
            (re.compile(r"/api/atlas\.json", re.ASCII), self._describe),
            (re.compile(r"/api/points", re.ASCII), self._points),
            (re.compile(r"/api/values", re.ASCII), self._values),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; websockets and the like are closed."""
        if scope["type"] != "http":
            return
        answer = await self._answer(scope, receive)
        await self._send(scope, send, answer)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        path, method = scope["path"], scope["method"]
        is_page = path in page_files()
        why = refusal(method, scope["headers"], self.hosts, writes=path == _DROP, is_page=is_page)
        if why is not None:
            return refused(why)
        if is_page:
            return _page(scope, path)
        try:
            return await self._routed(scope, receive)
        except InvalidInputError as error:
            return refused(Refusal(422, str(error)))
        except AtlasError as error:
            _LOG.warning("%s", error)  # names files, so it is for the terminal
            return refused(Refusal(500, "A file of the atlas cannot be read; see the terminal."))
        except Exception:  # noqa: BLE001 - what it says may name files
            _LOG.exception("the viewer could not answer")
            return refused(Refusal(500, "That went wrong; see the terminal."))

    async def _routed(self, scope: Scope, receive: Receive) -> Answer:
        path = scope["path"]
        if path == _DROP:
            return await self._drop(scope, receive)
        if path == "/api/regions.json":
            return Answer(await self._measured(), cache=_KEEP, zip_level=6)
        for pattern, handler in self._routes:
            if found := pattern.fullmatch(path):
                answer: Answer = await self._threaded(handler, *map(int, found.groups()))
                return answer
        return refused(Refusal(404, "There is nothing here."))

    async def _threaded(self, function: Callable[..., Any], *arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, function, *arguments)

    def _describe(self) -> Answer:
        told = scene.describe(self._atlas, self.gallery.references, self.token)
        told["overlays"] = self.overlays.told()
        return Answer(scene.as_json(told), zip_level=1)

    def _within(self, axis: int, index: int) -> bool:
        return index < self.gallery.shape[axis]

    def _labels(self, axis: int, index: int) -> Answer:
        if not self._within(axis, index):
            return refused(Refusal(404, "There is no such plane."))
        return Answer(self.gallery.labels(axis, index), _BINARY, cache=_KEEP, zip_level=1)

    def _sides(self, axis: int, index: int) -> Answer:
        if self.gallery.subject.hemispheres is None or not self._within(axis, index):
            return refused(Refusal(404, "There is no such plane."))
        return Answer(self.gallery.sides(axis, index), _BINARY, cache=_KEEP, zip_level=1)

    def _image(self, number: int, axis: int, index: int) -> Answer:
        if number >= len(self.gallery.references) or not self._within(axis, index):
            return refused(Refusal(404, "There is no such plane."))
        # Not zipped: grey values shrink by half at most, which takes longer than sending them.
        return Answer(self.gallery.grey(number, axis, index), _BINARY, cache=_KEEP)

    def _mesh(self, code: int) -> Answer:
        terminology, meshes = self.gallery.subject.terminology, self._atlas._model.meshes
        if not 0 < code <= len(terminology) or not meshes.has(int(terminology.ids[code])):
            return refused(Refusal(404, "This structure has no mesh."))
        mesh = meshes.read(int(terminology.ids[code]))
        return Answer(mesh_bytes(mesh), _BINARY, cache=_KEEP)

    def _points(self) -> Answer:
        return Answer(self.overlays.points(), _BINARY)

    def _values(self) -> Answer:
        return Answer(scene.as_json(self.overlays.values()), zip_level=1)

    async def _measured(self) -> bytes:
        """Return the sizes of regions, worked out once however many ask."""
        if self._regions is None or self._regions.cancelled():
            loop = asyncio.get_running_loop()
            self._regions = loop.run_in_executor(self._pool, self._measure)
        return await asyncio.shield(self._regions)

    def _measure(self) -> bytes:
        self.gallery.prepare()
        return scene.as_json(scene.regions(self._atlas))

    def warm(self, voxel: Sequence[int] | None = None) -> None:
        """Read in the background what the page asks for first, and where it begins."""
        self._pool.submit(self.gallery.warm, voxel)
        self._pool.submit(page_files)

    async def _drop(self, scope: Scope, receive: Receive) -> Answer:
        body = await _body(receive)
        if body is None:
            return refused(Refusal(413, f"More than {MAX_BODY >> 20} MB are not taken."))
        answer: bytes = await self._threaded(
            self.overlays.dropped, body, scope.get("query_string", b"")
        )
        return Answer(answer, _BINARY)

    async def _send(self, scope: Scope, send: Send, answer: Answer) -> None:
        body, headers = answer.body, [*_ALWAYS, *answer.headers]
        accepts = dict(scope["headers"]).get(b"accept-encoding", b"")
        if answer.zip_level and b"gzip" in accepts and len(body) > 1000:
            body = await self._threaded(lambda: gzip.compress(body, answer.zip_level, mtime=0))
            headers.append((b"content-encoding", b"gzip"))
        headers += [
            (b"content-type", answer.content_type.encode()),
            (b"cache-control", answer.cache.encode()),
            (b"vary", b"accept-encoding"),
        ]
        if answer.status == 405:
            headers.append((b"allow", b"POST" if scope["path"] == _DROP else b"GET, HEAD"))
        if answer.status != 304:
            headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        silent = scope["method"] == "HEAD" or answer.status == 304
        await send({"type": "http.response.body", "body": b"" if silent else body})

    def close(self) -> None:
        """Let go of threads and files."""
        self.gallery.close()
        self._pool.shutdown(wait=False, cancel_futures=True)


def _page(scope: Scope, path: str) -> Answer:
    found = page_files()[path]
    headers = dict(scope["headers"])
    extra: tuple[tuple[bytes, bytes], ...] = ((b"etag", found.tag.encode()),)
    if headers.get(b"if-none-match", b"").decode("latin-1") == found.tag:
        return Answer(b"", found.content_type, 304, "no-cache", headers=extra)
    body = found.body
    if b"gzip" in headers.get(b"accept-encoding", b""):
        body, extra = found.zipped, (*extra, (b"content-encoding", b"gzip"))
    return Answer(body, found.content_type, cache="no-cache", headers=extra)


async def _body(receive: Receive) -> bytes | None:
    """Return the body, None if it is longer than allowed, whatever its header said."""
    parts, size, more = [], 0, True
    while more:
        message = await asyncio.wait_for(receive(), _PATIENCE_S)
        if message["type"] != "http.request":
            break
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        more = message.get("more_body", False)
        if size > MAX_BODY:
            return None
    return b"".join(parts)
