"""A viewer's application without a network: requests are put to it as ASGI messages."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.view.app import ViewerApp
from bg_atlasapi.view.overlays import Overlays

PORT = 8123


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Client:
    """Asks an application."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(
        self,
        path: str,
        method: str = "GET",
        headers: Sequence[tuple[bytes, bytes]] | None = None,
        body: Sequence[bytes] = (b"",),
        query: bytes = b"",
    ) -> Reply:
        """Send one request."""
        return asyncio.run(self._ask(path, method, headers, body, query))

    async def _ask(self, path: str, method: str, headers: Any, body: Any, query: bytes) -> Reply:
        if headers is None:
            headers = [(b"host", f"127.0.0.1:{PORT}".encode()), (b"accept-encoding", b"gzip")]
        scope = {
            "type": "http",
            "path": path,
            "raw_path": path.encode("utf-8", "replace"),
            "method": method,
            "headers": headers,
            "query_string": query,
        }
        parts, sent = list(body), []

        async def receive() -> dict[str, Any]:
            if not parts:  # nothing more comes, and nobody goes away
                await asyncio.Event().wait()
            part = parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(parts)}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        start, *rest = sent
        found = dict(start["headers"])
        data = b"".join(one.get("body", b"") for one in rest)
        if found.get(b"content-encoding") == b"gzip" and data:
            data = gzip.decompress(data)
        return Reply(start["status"], found, data)


@pytest.fixture(scope="session")
def phantom() -> BrainGlobeAtlas:
    """Return the atlas that ships with the package."""
    return BrainGlobeAtlas("phantom_mouse_100um", check_latest=False)


@pytest.fixture(scope="session")
def client_of() -> Iterator[Callable[[Any], Client]]:
    """Return a function from an atlas to a client of its viewer."""
    apps: list[ViewerApp] = []

    def make(atlas: Any, **overlays: Any) -> Client:
        apps.append(ViewerApp(atlas, PORT, Overlays(atlas._subject(), **overlays)))
        return Client(apps[-1])

    yield make
    for app in apps:
        app.close()


@pytest.fixture(scope="session")
def client_type() -> type[Client]:
    """Return the class of clients."""
    return Client


@pytest.fixture(scope="session")
def ask(phantom: BrainGlobeAtlas, client_of: Callable[[Any], Client]) -> Client:
    """Return a client of a viewer of the phantom."""
    return client_of(phantom)
