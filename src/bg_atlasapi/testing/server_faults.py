"""What a test server is told to do wrong, and what it remembers of the requests it had.

Shared by the process that runs the tests (``server``) and the one that serves
(``server_process``). Nothing here opens a socket or a file.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

LOG_PATIENCE_S = 0.3  # how long a look at the log waits for sends that are just under way


def matches(pattern: str, path: str, query: str = "") -> bool:
    """Return whether a request is meant by a pattern.

    Parameters
    ----------
    pattern
        As in ``fnmatch``, case-sensitive; ``*`` matches slashes too. With an equals sign in it,
        it is compared with path and query, otherwise with the path alone.
    path
        URL-decoded, from the first slash.
    query
        As sent, without the question mark.

    >>> matches("*.tiff", "/a/b.tiff"), matches("*prefix=a*", "/", "list-type=2&prefix=a")
    (True, True)
    """
    return fnmatchcase(f"{path}?{query}" if "=" in pattern else path, pattern)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One way to misbehave; several fields together misbehave together. No field: behave well.

    Parameters
    ----------
    status
        Answer with this status and an error body.
    retry_after
        ``Retry-After`` beside ``status``: seconds or an HTTP date.
    stall_after, reset_after, close_after
        Send that many bytes of the body (all of it, if it has fewer), then: fall silent with the
        socket open, reset the connection, or close it as if all were said. At most one of them.
        Not for ``HEAD``, which has no body.
    length_delta
        Added to the true ``Content-Length``. The true body follows, then the connection closes.
    no_length
        Neither length nor chunks: the end of the connection is the end of the body.
    chunked
        Chunked transfer encoding instead of a length.
    ignore_range
        200 with everything whatever range was asked.
    wrong_range
        206, honestly declared, with bytes one place beside those that were asked.
    html
        200 with a page that asks to log in, as a captive portal does.
    redirect_to
        ``Location``, with 302 unless ``status`` says otherwise. Its own path makes a loop.
    flip_byte
        Place in the file (negative: from its end) of one byte that is sent with all bits changed.
        The ETag stays that of the sound file.
    etag
        ETag to send and to compare with; quotes are added if it has none.
    drop_etag
        No ETag.
    header
        Headers to add or replace; None takes one away.
    slow
        Bytes per second, instead of the server's ``rate``.
    delay
        Seconds before the answer, beside the server's ``latency``.
    hang_connect
        Take the connection and the request, and never answer.
    gzip_encoding
        ``Content-Encoding: gzip``, though nobody asked.
    method
        Only requests with this method.
    times
        Only the first so many requests that match; None is all of them.
    """

    status: int | None = None
    retry_after: float | str | None = None
    stall_after: int | None = None
    reset_after: int | None = None
    close_after: int | None = None
    length_delta: int = 0
    no_length: bool = False
    chunked: bool = False
    ignore_range: bool = False
    wrong_range: bool = False
    html: bool = False
    redirect_to: str | None = None
    flip_byte: int | None = None
    etag: str | None = None
    drop_etag: bool = False
    header: dict[str, str | None] = field(default_factory=dict)
    slow: float | None = None
    delay: float = 0.0
    hang_connect: bool = False
    gzip_encoding: bool = False
    method: str | None = None
    times: int | None = None

    def __post_init__(self) -> None:
        """Refuse what could not be done, so that no test passes because nothing went wrong."""
        ends = (self.stall_after, self.reset_after, self.close_after)
        if sum(end is not None for end in ends) > 1:
            raise ValueError("give one of stall_after, reset_after and close_after")
        if self.retry_after is not None and self.status is None:
            raise ValueError("retry_after goes with a status")
        if self.no_length and self.chunked:
            raise ValueError("give one of no_length and chunked")

    @property
    def limit(self) -> int | None:
        """Bytes of body after which this fault strikes; None is never."""
        ends = (self.stall_after, self.reset_after, self.close_after)
        return next((end for end in ends if end is not None), None)


@dataclass(frozen=True)
class Request:
    """One request that a test server had, and what it gave.

    Parameters
    ----------
    method
        ``"GET"``, …
    path
        URL-decoded, without the query. Of a proxy, the whole URL without the query.
    query
        As sent, without the question mark.
    headers
        Of the request, names in lower case.
    status
        Of the answer; 0 if there was none.
    sent
        Bytes of body handed to the network, as on the wire (compressed, if they were), without
        the framing of chunks.
    connection
        A number for each connection: equal numbers tell that one was kept and used again.
    time_s
        When it came, in seconds since the server started.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    status: int
    sent: int
    connection: int
    time_s: float

    @property
    def range(self) -> str | None:
        """The ``Range`` header, if there was one."""
        return self.headers.get("range")

    @property
    def if_range(self) -> str | None:
        """The ``If-Range`` header, if there was one."""
        return self.headers.get("if-range")


class FaultTable:
    """The faults in force. The newest rule that matches and is not used up decides."""

    def __init__(self) -> None:
        self._rules: list[tuple[str, list[Fault]]] = []
        self._lock = threading.Lock()

    def add(self, pattern: str, faults: Sequence[Fault]) -> None:
        """Add a rule: faults that requests get one after the other, each ``times`` times."""
        with self._lock:
            self._rules.insert(0, (pattern, list(faults)))

    def clear(self) -> None:
        """Behave well from now on."""
        with self._lock:
            self._rules.clear()

    def take(self, method: str, path: str, query: str) -> Fault:
        """Return what to do wrong for a request, and count that it was done."""
        with self._lock:
            for pattern, faults in self._rules:
                if not matches(pattern, path, query):
                    continue
                for place, fault in enumerate(faults):
                    if fault.times == 0 or fault.method not in {None, method}:
                        continue
                    if fault.times is not None:
                        faults[place] = replace(fault, times=fault.times - 1)
                    return fault
        return Fault()


@dataclass
class Entry:
    """A request under way; whoever sends its body holds ``lock`` from sending until counting."""

    request: Request
    status: int = 0
    sent: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Log:
    """Requests in the order they came. Safe to use from several threads."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._lock = threading.Lock()
        self._start = time.monotonic()

    def begin(
        self, method: str, path: str, query: str, headers: Mapping[str, str], connection: int
    ) -> Entry:
        """Remember a request from the moment it is read."""
        since = time.monotonic() - self._start
        entry = Entry(Request(method, path, query, headers, 0, 0, connection, since))
        with self._lock:
            self._entries.append(entry)
        return entry

    def clear(self) -> None:
        """Forget all requests."""
        with self._lock:
            self._entries.clear()

    def snapshot(self) -> list[dict[str, Any]]:
        """Return what every request got until now, as JSON can hold it.

        A client may have the last byte before the thread that sent it has counted it. So this
        waits for sends under way, but not for long: one may be stuck on a client that reads no
        more, and then its count is right already.
        """
        with self._lock:
            entries = list(self._entries)
        deadline = time.monotonic() + LOG_PATIENCE_S
        done = []
        for entry in entries:
            if entry.lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
                entry.lock.release()
            done.append(asdict(replace(entry.request, status=entry.status, sent=entry.sent)))
        return done
