"""Who waits for what: what nobody wants any more is left out, what nobody waits for yet stands back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from bg_atlasapi.view.local_app import Answer, LocalApp

PORT = 8123
_HOST = (b"host", f"127.0.0.1:{PORT}".encode())


class Slow(LocalApp):
    """Answers that wait until they are let go; what was begun is listed."""

    def __init__(self) -> None:
        super().__init__(PORT)
        self.begun: list[int] = []
        self.started = threading.Semaphore(0)
        self.let_go = threading.Event()
        self.route(r"/wait/(\d+)", self._wait)
        self.route(r"/quick/(\d+)", self._quick)

    def _wait(self, number: int) -> Answer:
        self.begun.append(number)
        self.started.release()
        self.let_go.wait()
        return Answer(b"waited")

    def _quick(self, number: int) -> Answer:
        self.begun.append(number)
        return Answer(b"quick")


@pytest.fixture
def slow() -> Iterator[Slow]:
    """Return an application whose threads end with the test."""
    app = Slow()
    yield app
    app.let_go.set()
    app.close()


class Asked:
    """One request under way."""

    def __init__(self, app: Slow, path: str, *, ahead: bool = False) -> None:
        self.sent: list[Any] = []
        self.leaving = asyncio.Event()
        headers = [_HOST, (b"x-ahead", b"1")] if ahead else [_HOST]
        scope = {"type": "http", "path": path, "method": "GET", "headers": headers}
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))
        self._given = False

    async def _receive(self) -> dict[str, Any]:
        if not self._given:
            self._given = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.leaving.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.sent.append(message)


async def _begun(app: Slow, count: int) -> None:
    for _ in range(count):
        await asyncio.to_thread(app.started.acquire)


def test_what_nobody_wants_any_more_is_not_begun(slow: Slow) -> None:
    """A request whose sender leaves before a thread is free is left out, and gets no answer."""

    async def visit() -> None:
        busy = [Asked(slow, f"/wait/{number}") for number in range(4)]
        await _begun(slow, 4)
        left = Asked(slow, "/quick/100")
        kept = Asked(slow, "/quick/101")
        await asyncio.sleep(0)
        left.leaving.set()
        await left.task
        assert left.sent == []
        slow.let_go.set()
        await asyncio.gather(kept.task, *(one.task for one in busy))
        assert kept.sent[0]["status"] == 200

    asyncio.run(visit())
    assert sorted(slow.begun) == [0, 1, 2, 3, 101]


def test_what_is_fetched_ahead_leaves_room(slow: Slow) -> None:
    """However many planes are fetched ahead, one is worked on, and what somebody waits for is answered."""

    async def visit() -> None:
        ahead = [Asked(slow, f"/wait/{number}", ahead=True) for number in range(20)]
        await _begun(slow, 1)
        wanted = Asked(slow, "/quick/100")
        await wanted.task
        assert wanted.sent[1]["body"] == b"quick"
        assert slow.begun == [0, 100]
        slow.let_go.set()
        await asyncio.gather(*(one.task for one in ahead))

    asyncio.run(visit())


def test_closing_answers_what_is_still_waited_for(slow: Slow) -> None:
    """Requests that take long are answered with one sentence when the viewer is closed, and none is left to complain of."""

    async def visit() -> None:
        busy = [Asked(slow, f"/wait/{number}") for number in range(3)]
        await _begun(slow, 3)
        await asyncio.to_thread(slow.stop)
        late = Asked(slow, "/quick/1")
        await asyncio.gather(*(one.task for one in (*busy, late)))
        for one in (*busy, late):
            assert one.sent[0]["status"] == 503
            assert b"The viewer was closed." in one.sent[1]["body"]

    asyncio.run(visit())
