"""The server's side of the viewer: what the page asks about one atlas."""

from __future__ import annotations

import asyncio
import secrets
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bg_atlasapi.locks import OnceLock
from bg_atlasapi.view import scene
from bg_atlasapi.view.guard import MAX_BODY, Refusal
from bg_atlasapi.view.local_app import BINARY as _BINARY
from bg_atlasapi.view.local_app import KEEP as _KEEP
from bg_atlasapi.view.local_app import Answer, LocalApp, Receive, Scope, body_of, refused
from bg_atlasapi.view.page_files import page_files
from bg_atlasapi.view.surfaces import mesh_bytes

if TYPE_CHECKING:
    from bg_atlasapi.view.gallery import Gallery
    from bg_atlasapi.view.overlays import Overlays

_DROP = "/api/drop"
_PROMPT_S = 0.0002  # how long a thread keeps the interpreter from one that answers


class _Promptness:
    """Has threads hand the interpreter over sooner, while any viewer begins."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._beginning = 0
        self._usual_s = 0.0

    def begin(self) -> None:
        """One viewer more begins."""
        with self._lock:
            if not self._beginning:
                self._usual_s = sys.getswitchinterval()
                sys.setswitchinterval(_PROMPT_S)
            self._beginning += 1

    def end(self, _reading: object = None) -> None:
        """One of them has begun."""
        with self._lock:
            self._beginning -= 1
            if not self._beginning:
                sys.setswitchinterval(self._usual_s)


_PROMPTNESS = _Promptness()


class ViewerApp(LocalApp):
    """Answers the page's questions about one atlas.

    Parameters
    ----------
    atlas
        An atlas.
    port
        Where it listens.
    overlays
        Points and values to show, and what becomes of files dropped on the page; default none to
        begin with.

    Notes
    -----
    Nothing is read, and numpy not loaded, before the first question: the page itself, which a
    browser asks for first, is answered meanwhile.
    """

    posts = frozenset({_DROP})

    def __init__(self, atlas: Any, port: int, overlays: Overlays | None = None) -> None:
        super().__init__(port)
        self.token = secrets.token_hex(4)
        self._atlas = atlas
        self._once = OnceLock()
        self._gallery: Gallery | None = None
        self._overlays = overlays
        self._regions: asyncio.Future[bytes] | None = None
        self.route(r"/api/labels/([0-2])/(\d{1,6})", self._labels)
        self.route(r"/api/sides/([0-2])/(\d{1,6})", self._sides)
        self.route(r"/api/image/(\d{1,3})/([0-2])/(\d{1,6})", self._image)
        self.route(r"/api/mesh/(\d{1,6})", self._mesh)
        self.route(r"/api/atlas\.json", self._describe)
        self.route(r"/api/points", self._points)
        self.route(r"/api/values", self._values)

    @property
    def gallery(self) -> Gallery:
        """The planes."""
        with self._once:
            if self._gallery is None:
                from bg_atlasapi.view.gallery import Gallery

                self._gallery = Gallery(self._atlas)
            return self._gallery

    @property
    def overlays(self) -> Overlays:
        """Points and values."""
        with self._once:
            if self._overlays is None:
                from bg_atlasapi.view.overlays import Overlays

                self._overlays = Overlays(self.gallery.subject)
            return self._overlays

    def page(self, scope: Scope) -> Answer | None:
        """Return a file of the page."""
        return _page(scope) if scope["path"] in page_files() else None

    async def routed(self, scope: Scope, receive: Receive) -> Answer:
        """Return the answer to an address."""
        if scope["path"] == _DROP:
            return await self._drop(scope, receive)
        if scope["path"] == "/api/regions.json":
            return Answer(await self._measured(), cache=_KEEP, zip_level=6)
        return await super().routed(scope, receive)

    def _describe(self) -> Answer:
        shown = self.gallery
        told = scene.describe(self._atlas, shown.subject, shown.references, self.token)
        overlays = self._overlays  # those from the start; reading files needs no import before
        told["overlays"] = overlays.told() if overlays else {"points": False, "values": False}
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
            self._open.add(self._regions)
        return await asyncio.shield(self._regions)

    def _measure(self) -> bytes:
        """Work the sizes out, and make ready what is quicker from memory.

        A first picture should not wait for either. Of a large atlas the labels come first, because
        slices wait for them, then sizes, and the template, which takes longest, after the answer.
        """
        self.gallery.prepare_labels()
        if self._stopped:
            return b""
        answer = scene.as_json(scene.regions(self._atlas))
        self._pool.submit(self.gallery.prepare_image)
        return answer

    def warm(self, voxel: Sequence[int] | None = None) -> None:
        """Read in the background what the page asks for first, and where it begins."""
        _PROMPTNESS.begin()  # the page is asked for while modules are being loaded
        try:
            reading = self._pool.submit(self.gallery.warm, voxel)
        except BaseException:
            _PROMPTNESS.end()
            raise
        reading.add_done_callback(_PROMPTNESS.end)

    async def _drop(self, scope: Scope, receive: Receive) -> Answer:
        body = await body_of(receive)
        if body is None:
            return refused(Refusal(413, f"More than {MAX_BODY >> 20} MB are not taken."))
        answer: bytes = await self.threaded(
            lambda: self.overlays.dropped(body, scope.get("query_string", b""))
        )
        return Answer(answer, _BINARY)

    def close(self) -> None:
        """Let go of threads and files."""
        with self._once:
            if self._gallery is not None:
                self._gallery.close()
        super().close()


def _page(scope: Scope) -> Answer:
    found = page_files()[scope["path"]]
    headers = dict(scope["headers"])
    extra: tuple[tuple[bytes, bytes], ...] = ((b"etag", found.tag.encode()),)
    if headers.get(b"if-none-match", b"").decode("latin-1") == found.tag:
        return Answer(b"", found.content_type, 304, "no-cache", headers=extra)
    body = found.body
    if b"gzip" in headers.get(b"accept-encoding", b""):
        body, extra = found.zipped, (*extra, (b"content-encoding", b"gzip"))
    return Answer(body, found.content_type, cache="no-cache", headers=extra)
