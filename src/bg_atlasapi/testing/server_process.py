"""The process behind ``server.Server`` and ``server.Proxy``: it listens, answers and counts.

Started as ``python -m bg_atlasapi.testing.server_process SETTINGS``, with settings in JSON. It
listens on a free port of 127.0.0.1, prints that port, and ends when its standard input does, so
that it cannot outlive whoever started it. Not for use by itself, and not for any real network.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import signal
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from bg_atlasapi.testing import server_s3 as s3
from bg_atlasapi.testing.server_faults import Entry, Fault, FaultTable, Log
from bg_atlasapi.testing.server_files import (
    LOGIN_PAGE,
    Site,
    UnsatisfiableError,
    compressed,
    file_reply,
    folder_reply,
    locate,
)
from bg_atlasapi.testing.server_wire import (
    BadRequestError,
    Incoming,
    Reply,
    fall_silent,
    origin_form,
    read_request,
    reset,
    send_body,
    send_head,
)

CONTROL = "/__control__/"
_BODILESS = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_HOP_BY_HOP = {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"),
    *("te", "trailer", "transfer-encoding", "upgrade"),
}
_BLOCK = 1 << 18


@dataclass(frozen=True)
class Forwarding:
    """What a proxy does: see ``server.Proxy`` for each part."""

    refuse: int | None = None
    upstream: str | None = None


class Listener(socketserver.ThreadingTCPServer):
    """A socket on a free local port, a thread for each connection, and what they share."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, handler: Callable[..., socketserver.BaseRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.log = Log()
        self.faults = FaultTable()
        self.connections = itertools.count(1)


class Handler(socketserver.StreamRequestHandler):
    """One connection: reads request after request, and keeps the private path for control."""

    disable_nagle_algorithm = True
    server: Listener

    def handle(self) -> None:
        """Answer requests until either side has had enough."""
        connection = next(self.server.connections)
        with contextlib.suppress(ConnectionError):
            while self._handle_one(connection):
                pass

    def _handle_one(self, connection: int) -> bool:
        try:
            request = read_request(self.rfile)
        except BadRequestError:
            send_head(self.connection, Reply(400, {"Content-Length": "0", "Connection": "close"}))
            return False
        if request is None:
            return False
        if request.target.startswith(CONTROL):
            return self._control(request)
        name, query = self.logged_name(request), request.query
        entry = self.server.log.begin(request.method, name, query, request.headers, connection)
        return self.answer(request, entry)

    def logged_name(self, request: Incoming) -> str:
        """Return what the log calls the path of a request."""
        return request.path

    def answer(self, request: Incoming, entry: Entry) -> bool:
        """Answer one request; return whether the connection is kept."""
        raise NotImplementedError

    def _control(self, request: Incoming) -> bool:
        verb = request.path.removeprefix(CONTROL)
        answer: Any = None
        if verb == "set":
            asked = json.loads(request.body)
            faults = [Fault(**fault) for fault in asked["faults"]]
            self.server.faults.add(asked["pattern"], faults)
        elif verb == "clear":
            self.server.faults.clear()
        elif verb == "log":
            answer = self.server.log.snapshot()
        elif verb == "reset_log":
            self.server.log.clear()
        else:
            send_head(self.connection, Reply(404, {"Content-Length": "0"}))
            return True
        body = json.dumps(answer).encode()
        head = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        send_head(self.connection, Reply(200, head))
        self.connection.sendall(body)
        return True


class FileHandler(Handler):
    """Serves a folder, well or badly."""

    def __init__(self, site: Site, bucket: s3.Bucket, *connection: Any) -> None:
        self.site, self.bucket = site, bucket
        super().__init__(*connection)

    def answer(self, request: Incoming, entry: Entry) -> bool:
        """Answer for a file, folder or listing, with whatever fault is in force."""
        fault = self.server.faults.take(request.method, request.path, request.query)
        if self.site.latency or fault.delay:  # sleep(0) takes 0.1 ms, a third of an answer
            time.sleep(self.site.latency + fault.delay)
        if fault.hang_connect:
            fall_silent(self.connection)
            return False
        reply, keep = self._dressed(self._reply(request, fault), request, fault)
        entry.status = reply.status
        limit, rate = fault.limit, fault.slow or self.site.rate
        if request.method == "HEAD":
            send_head(self.connection, reply)
            return keep
        more = limit is None and rate is None and reply.length > 0
        send_head(self.connection, reply, more=more)
        send_body(self.connection, reply, entry, rate=rate, chunked=fault.chunked, limit=limit)
        if fault.stall_after is not None:
            fall_silent(self.connection)
        if fault.reset_after is not None:
            reset(self.connection, self.rfile)
        return keep

    def _instead(self, request: Incoming, fault: Fault) -> Reply | None:
        """Return what a fault answers instead of what was asked for."""
        if fault.redirect_to is not None:
            return Reply(fault.status or HTTPStatus.FOUND, {"Location": fault.redirect_to})
        if fault.status is not None:
            reply = self._error(fault.status, request)
            if fault.retry_after is None:
                return reply
            return replace(reply, headers={**reply.headers, "Retry-After": str(fault.retry_after)})
        if fault.html:
            return Reply(200, {"Content-Type": "text/html; charset=utf-8"}, (LOGIN_PAGE,))
        return None

    def _reply(self, request: Incoming, fault: Fault) -> Reply:
        """Return what to answer, before lengths and the like."""
        instead = self._instead(request, fault)
        if instead is not None:
            return instead
        if request.method not in {"GET", "HEAD"}:
            reply = self._error(405, request)
            return replace(reply, headers={**reply.headers, "Allow": "GET, HEAD"})
        try:
            reply = self._resource(request, fault)
        except UnsatisfiableError as error:
            reply = self._error(416, request)
            span = {"Content-Range": f"bytes */{error}"}
            return replace(reply, headers={**reply.headers, **span})
        return compressed(reply) if fault.gzip_encoding and reply.body else reply

    def _resource(self, request: Incoming, fault: Fault) -> Reply:
        if self.site.s3_bucket is not None:
            key = s3.key_of(self.site.s3_bucket, request.path)
            if not key:
                return self.bucket.list_reply(request.query)
            path = s3.locate_key(self.site.root, key)
        else:
            path = locate(self.site.root, request.path)
        if path is not None and path.is_dir() and self.site.listing:
            return folder_reply(path, request.path)
        if path is None or not path.is_file():
            return self._error(404, request)
        return file_reply(self.site, path, request, fault)

    def _error(self, status: int, request: Incoming) -> Reply:
        if status in _BODILESS:
            return Reply(status)
        if self.site.s3_bucket is not None:
            return s3.error_reply(status, s3.key_of(self.site.s3_bucket, request.path))
        page = f"<!DOCTYPE html>\n<html><title>{status}</title><h1>{status}</h1></html>\n"
        return Reply(status, {"Content-Type": "text/html; charset=utf-8"}, (page.encode(),))

    def _dressed(self, reply: Reply, request: Incoming, fault: Fault) -> tuple[Reply, bool]:
        """Return the answer with every header it gets, and whether the connection is kept."""
        broken = fault.no_length or fault.length_delta or fault.limit is not None
        keep = request.keep_alive and not (broken and request.method != "HEAD")
        is_s3 = self.site.s3_bucket is not None
        headers: dict[str, str | None] = {
            "Server": "AmazonS3" if is_s3 else "bg_atlasapi-testing",
            "Date": formatdate(usegmt=True),
            **reply.headers,
        }
        if is_s3:
            headers["x-amz-request-id"] = "0000000000000000"
        if fault.chunked:
            headers["Transfer-Encoding"] = "chunked"
        elif not fault.no_length and reply.status not in _BODILESS:
            headers["Content-Length"] = str(reply.length + fault.length_delta)
        # A server that breaks off in the middle has announced nothing.
        if not request.keep_alive or fault.no_length:
            headers["Connection"] = "close"
        headers |= fault.header
        sent = {name: value for name, value in headers.items() if value is not None}
        return replace(reply, headers=sent), keep


class ProxyHandler(Handler):
    """Forwards plain HTTP within this machine, or refuses to."""

    def __init__(self, rule: Forwarding, *connection: Any) -> None:
        self.rule = rule
        super().__init__(*connection)

    def logged_name(self, request: Incoming) -> str:
        """Return the whole URL, without the query."""
        return unquote(request.target.partition("?")[0])

    def answer(self, request: Incoming, entry: Entry) -> bool:
        """Pass a request in absolute form on, and what comes back."""
        target = urlsplit(self.rule.upstream or request.target)
        if self.rule.refuse is not None:
            return self._fail(self.rule.refuse, entry)
        if request.method == "CONNECT":
            return self._fail(501, entry)
        if "://" not in request.target:
            return self._fail(400, entry)
        if target.scheme != "http" or target.hostname not in _LOOPBACK:
            return self._fail(502, entry)
        upstream = http.client.HTTPConnection(target.hostname, target.port or 80)
        with contextlib.closing(upstream):
            try:
                response = _forwarded(upstream, request)
            except OSError:
                return self._fail(502, entry)
            return self._pass_on(response, request, entry)

    def _fail(self, status: int, entry: Entry) -> bool:
        entry.status = status
        headers = {"Content-Length": "0"}
        if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            headers["Proxy-Authenticate"] = 'Basic realm="testing"'
        send_head(self.connection, Reply(status, headers))
        return True

    def _pass_on(self, response: http.client.HTTPResponse, request: Incoming, entry: Entry) -> bool:
        kept = [pair for pair in response.getheaders() if pair[0].lower() not in _HOP_BY_HOP]
        entry.status = response.status
        headers = {**dict(kept), "Via": "1.1 testing"}
        bodiless = request.method == "HEAD" or response.status in _BODILESS
        keep = request.keep_alive and (bodiless or response.length is not None)
        if not keep:
            headers["Connection"] = "close"
        send_head(self.connection, Reply(response.status, headers))
        try:
            while data := response.read(_BLOCK):
                with entry.lock:
                    self.connection.sendall(data)
                    entry.sent += len(data)
        except (http.client.HTTPException, OSError):
            return False
        return keep and not response.length  # what is missing shows as a connection that ends


def _forwarded(upstream: http.client.HTTPConnection, request: Incoming) -> http.client.HTTPResponse:
    upstream.putrequest(
        request.method, origin_form(request.target), skip_host=True, skip_accept_encoding=True
    )
    for name, value in request.headers.items():
        if name not in _HOP_BY_HOP:
            upstream.putheader(name, value)
    upstream.putheader("Connection", "close")
    upstream.endheaders(request.body or None)
    return upstream.getresponse()


def listener_for(settings: dict[str, Any]) -> Listener:
    """Return a listener that serves a folder if settings have a ``root``, else a proxy."""
    if "root" not in settings:
        return Listener(partial(ProxyHandler, Forwarding(**settings)))
    root = Path(settings.pop("root")).resolve()
    site = Site(root=root, **settings)
    return Listener(partial(FileHandler, site, s3.Bucket(site)))


def main() -> None:
    """Serve until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests; their end is ours
    listener = listener_for(json.loads(sys.argv[1]))
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    print(listener.server_address[1], flush=True)  # noqa: T201 - how the parent learns the address
    sys.stdin.buffer.read()
    os._exit(0)  # whatever threads still hang


if __name__ == "__main__":
    main()
