"""HTTP/1.1 on a socket, for the test servers: read a request, send an answer, break off.

Written by hand instead of on ``http.server``, because every byte, and the way a connection ends,
must be under the control of a test; and because requests are answered several times as fast.
What to answer is decided elsewhere (``server_files``, ``server_s3``).
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from io import BufferedIOBase
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bg_atlasapi.testing.server_faults import Entry

_BLOCK = 1 << 20  # bytes handed to the kernel at once
_PACED_BLOCK = 1 << 16  # at most, when there is a rate to keep
_PACE_S = 0.02  # a paced block takes about this long
_MAX_LINE = 1 << 16
_MORE = getattr(socket, "MSG_MORE", 0)  # Linux: wait for the body to fill the packet
_DRAIN_S = 2.0


class BadRequestError(Exception):
    """What came is not HTTP."""


@dataclass(frozen=True)
class Incoming:
    """A request as read. Header names are in lower case; path is decoded, query is as sent."""

    method: str
    target: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    keep_alive: bool


@dataclass(frozen=True)
class FileSlice:
    """Bytes of a file, sent without being read here."""

    path: Path
    start: int
    count: int

    def __len__(self) -> int:
        return self.count

    def read(self) -> bytes:
        """Return the bytes."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            return file.read(self.count)


@dataclass(frozen=True)
class Reply:
    """An answer: what it says is in ``headers``, and ``body`` are its parts in order."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: tuple[bytes | FileSlice, ...] = ()

    @property
    def length(self) -> int:
        """Bytes of body."""
        return sum(len(part) for part in self.body)

    def read(self) -> bytes:
        """Return the body."""
        return b"".join(part if isinstance(part, bytes) else part.read() for part in self.body)


def read_request(stream: BufferedIOBase) -> Incoming | None:
    """Read a request with its body; None if the client is done.

    Raises
    ------
    BadRequestError
        If it cannot be understood.
    """
    line = stream.readline(_MAX_LINE)
    if not line:
        return None
    try:
        method, target, version = line.decode("latin-1").split()
        headers = dict(_read_headers(stream))
        length = int(headers.get("content-length", 0))
        path, _, query = origin_form(target).partition("?")
    except ValueError as error:
        raise BadRequestError(str(error)) from None
    said = headers.get("connection", "").lower()
    return Incoming(
        method=method,
        target=target,
        path=unquote(path),
        query=query,
        headers=headers,
        body=stream.read(length),
        keep_alive=said != "close" if version == "HTTP/1.1" else said == "keep-alive",
    )


def origin_form(target: str) -> str:
    """Return path and query of a target, which may be a whole URL (to a proxy)."""
    if "://" not in target.partition("?")[0]:
        return target
    parts = urlsplit(target)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _read_headers(stream: BufferedIOBase) -> Iterator[tuple[str, str]]:
    while (line := stream.readline(_MAX_LINE)) not in {b"\r\n", b"\n", b""}:
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            raise ValueError("a header without a colon")
        yield name.strip().lower(), value.strip()


def send_head(sock: socket.socket, reply: Reply, *, more: bool = False) -> None:
    """Send status line and headers; ``more`` tells that a body follows at once."""
    known = reply.status in HTTPStatus._value2member_map_
    lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase if known else 'Unknown'}"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1", "replace"), _MORE if more else 0)


def send_body(
    sock: socket.socket,
    reply: Reply,
    entry: Entry,
    *,
    rate: float | None = None,
    chunked: bool = False,
    limit: int | None = None,
) -> None:
    """Send a body, counting its bytes in ``entry`` as they go.

    Parameters
    ----------
    sock, reply, entry
        Where to, what, and where it is counted.
    rate
        Bytes per second; None is as fast as it goes.
    chunked
        Frame it in chunks.
    limit
        Stop after so many bytes, in the middle of a chunk if need be.
    """
    block = max(1, min(_PACED_BLOCK, int(rate * _PACE_S))) if rate else _BLOCK
    begin = time.monotonic()
    for part in reply.body:
        with _opened(sock, part) as send:
            for start in range(0, len(part), block):
                count = min(block, len(part) - start)
                allowed = count if limit is None else min(count, limit - entry.sent)
                if rate:
                    due = begin + (entry.sent + allowed) / rate
                    time.sleep(max(0.0, due - time.monotonic()))
                if chunked:
                    sock.sendall(b"%x\r\n" % count)
                _send_block(send, start, allowed, entry)
                if limit is not None and entry.sent >= limit:
                    return
                if chunked:
                    sock.sendall(b"\r\n")
    if chunked:
        sock.sendall(b"0\r\n\r\n")


def _send_block(send: Callable[[int, int], int], start: int, count: int, entry: Entry) -> None:
    end = start + count
    while start < end:
        with entry.lock:
            sent = send(start, end - start)
            entry.sent += sent
        if not sent:
            raise ConnectionAbortedError("the file became shorter while it was sent")
        start += sent


@contextlib.contextmanager
def _opened(sock: socket.socket, part: bytes | FileSlice) -> Iterator[Callable[[int, int], int]]:
    """Yield ``send(offset in part, bytes at most) -> bytes sent``."""
    if isinstance(part, bytes):
        view = memoryview(part)
        yield lambda start, count: sock.send(view[start : start + count])
        return
    with part.path.open("rb", buffering=0) as file:

        def copy(start: int, count: int) -> int:
            file.seek(part.start + start)
            return sock.send(file.read(min(count, _BLOCK)))

        def splice(start: int, count: int) -> int:
            return os.sendfile(sock.fileno(), file.fileno(), part.start + start, count)

        yield splice if hasattr(os, "sendfile") else copy


def fall_silent(sock: socket.socket) -> None:
    """Say nothing more, with the socket open, until the client goes away."""
    while sock.recv(_BLOCK):
        pass


def reset(sock: socket.socket, stream: BufferedIOBase) -> None:
    """End a connection with RST, once the client's machine has what was sent.

    Parameters
    ----------
    sock
        The connection. A reset throws away what still waits to be sent.
    stream
        The file made of it: the socket stays open for as long as that is.
    """
    deadline = time.monotonic() + _DRAIN_S
    while _unsent(sock) and time.monotonic() < deadline:
        time.sleep(0.002)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.close()
    sock.close()


def _unsent(sock: socket.socket) -> int:
    """Return the number of bytes that the other side has not acknowledged; 0 if unknown."""
    try:
        import fcntl
        import termios

        answer = fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4))
    except (ImportError, OSError):
        time.sleep(0.05)
        return 0
    return int.from_bytes(answer, "little")
