"""What the viewer's servers share: plain ASGI, with every request checked before it is looked up.

Plain, because a handful of addresses needs no framework: what one would add (routes, static files,
hosts) is what must be strict here, and is a table, a dictionary and ``guard``. starlette would
bring anyio and a second idea of each. uvicorn runs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from bg_atlasapi.errors import AtlasError, InvalidInputError
from bg_atlasapi.view.guard import MAX_BODY, Refusal, local_hosts, refusal
from bg_atlasapi.view.scene import as_json

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

KEEP = "private, max-age=3600, immutable"  # of addresses that carry a token of this very server
BINARY, JSON = "application/octet-stream", "application/json"
_LOG = logging.getLogger(__name__)
_THREADS = 4
_AHEAD = b"x-ahead"  # of requests that nobody waits for yet
_PATIENCE_S = 30.0  # for the next part of a body
_ZIPPED_FROM = 1000  # bytes
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ALWAYS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
_OWN_ONLY = (
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
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
    content_type: str = JSON
    status: int = 200
    cache: str = "no-store"
    zip_level: int = 0
    headers: tuple[tuple[bytes, bytes], ...] = field(default=())


def refused(why: Refusal) -> Answer:
    """Return the answer to what is refused."""
    return Answer(as_json({"error": why.sentence}), status=why.status)


class LocalApp:
    """Answers requests to one port of this machine.

    Parameters
    ----------
    port
        Where it listens; decides which hosts are its own.
    origins
        Pages elsewhere that may read, such as ``"https://neuroglancer-demo.appspot.com"``.
    """

    posts: frozenset[str] = frozenset()  # addresses that take a POST, and nothing else

    def __init__(self, port: int, origins: frozenset[str] = frozenset()) -> None:
        self.hosts = local_hosts(port)
        self.origins = origins
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="viewer")
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._routes: list[tuple[re.Pattern[str], Callable[..., Answer]]] = []
        self._open: set[asyncio.Future[Any]] = set()  # what ends when this is closed
        self._stopped = False

    def route(self, pattern: str, handler: Callable[..., Answer]) -> None:
        """Answer an address; numbers in it are handed on as such."""
        self._routes.append((re.compile(pattern, re.ASCII), handler))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; what is not HTTP is not answered."""
        if scope["type"] != "http":
            return
        answer = await self._answer(scope, receive)
        if answer is not None:
            await self._send(scope, send, answer)

    def page(self, scope: Scope) -> Answer | None:  # noqa: ARG002 - for subclasses
        """Return the answer to an address that a link may lead to, None for others."""
        return None

    async def _answer(self, scope: Scope, receive: Receive) -> Answer | None:
        page, method = self.page(scope), scope["method"]
        writes = scope["path"] in self.posts
        asking = method == "OPTIONS" and self.origins  # a browser that asks whether it may ask
        why = refusal(
            "GET" if asking else method,
            scope["headers"],
            self.hosts,
            origins=self.origins,
            writes=writes,
            is_page=page is not None,
        )
        if why is not None:
            return refused(why)
        if asking:
            return Answer(b"", status=204)
        if page is not None:
            return page
        return await self._while_wanted(scope, receive, writes=writes)

    async def _while_wanted(self, scope: Scope, receive: Receive, *, writes: bool) -> Answer | None:
        """Return the answer, None if who asked goes away first: what was not begun is left out."""
        working = asyncio.ensure_future(self._attempt(scope, receive))
        # While a body is read, nobody else can hear that who sends it goes away.
        going: asyncio.Future[Any] = (
            working.get_loop().create_future() if writes else asyncio.ensure_future(_gone(receive))
        )
        self._open.add(going)
        try:
            if not self._stopped:
                either: set[asyncio.Future[Any]] = {working, going}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if self._stopped:
                return refused(Refusal(503, "The viewer was closed."))
            return working.result() if working.done() else None
        finally:
            self._open.discard(going)
            working.cancel()
            going.cancel()

    async def _attempt(self, scope: Scope, receive: Receive) -> Answer:
        """Return the answer, or one sentence that names no file."""
        try:
            return await self.routed(scope, receive)
        except InvalidInputError as error:
            why = Refusal(422, str(error))
        except TimeoutError:
            why = Refusal(408, "The body took too long to come.")
        except AtlasError as error:
            _LOG.warning("%s", error)  # names files, so it is for the terminal
            why = Refusal(500, "A file of the atlas cannot be read; see the terminal.")
        except Exception:  # noqa: BLE001 - what it says may name files
            _LOG.exception("the viewer could not answer")
            why = Refusal(500, "That went wrong; see the terminal.")
        return refused(why)

    async def routed(self, scope: Scope, receive: Receive) -> Answer:  # noqa: ARG002 - for subclasses
        """Return the answer to an address of the table."""
        ahead = any(name == _AHEAD for name, _ in scope["headers"])
        for pattern, handler in self._routes:
            if found := pattern.fullmatch(scope["path"]):
                numbers = map(int, found.groups())
                answer: Answer = await self.threaded(handler, *numbers, ahead=ahead)
                return answer
        return refused(Refusal(404, "There is nothing here."))

    async def threaded(
        self, function: Callable[..., Any], *arguments: Any, ahead: bool = False
    ) -> Any:
        """Run a function in a thread: it reads files. What nobody waits for yet has one thread."""
        loop = asyncio.get_running_loop()
        pool = self._ahead if ahead else self._pool
        return await loop.run_in_executor(pool, function, *arguments)

    async def _send(self, scope: Scope, send: Send, answer: Answer) -> None:
        sent = dict(scope["headers"])
        body, headers = answer.body, [*_ALWAYS, *answer.headers, *self._sharing(sent)]
        zips = answer.zip_level and b"gzip" in sent.get(b"accept-encoding", b"")
        if zips and len(body) > _ZIPPED_FROM:
            body = await self.threaded(lambda: gzip.compress(body, answer.zip_level, mtime=0))
            headers.append((b"content-encoding", b"gzip"))
        headers += [
            (b"content-type", answer.content_type.encode()),
            (b"cache-control", answer.cache.encode()),
            (b"vary", b"accept-encoding, origin"),
        ]
        if answer.status == 405:
            headers.append((b"allow", b"POST" if scope["path"] in self.posts else b"GET, HEAD"))
        if answer.status not in (204, 304):
            headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        silent = scope["method"] == "HEAD" or answer.status in (204, 304)
        await send({"type": "http.response.body", "body": b"" if silent else body})

    def _sharing(self, sent: dict[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
        """Return which other pages may read an answer."""
        origin = sent.get(b"origin", b"")
        if origin.decode("latin-1") not in self.origins:
            return _OWN_ONLY
        return (
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-headers", b"range"),
            (b"access-control-allow-private-network", b"true"),  # this machine, asked from outside
            (b"cross-origin-resource-policy", b"cross-origin"),
        )

    def stop(self) -> None:
        """Answer at once, from whichever thread, what is still waited for: that it was closed."""
        self._stopped = True
        for one in tuple(self._open):
            with contextlib.suppress(RuntimeError):  # its loop has ended
                one.get_loop().call_soon_threadsafe(one.cancel)

    def close(self) -> None:
        """Let go of the threads."""
        for pool in (self._pool, self._ahead):
            pool.shutdown(wait=False, cancel_futures=True)


async def _gone(receive: Receive) -> None:
    """Return when who asked has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def body_of(receive: Receive) -> bytes | None:
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
