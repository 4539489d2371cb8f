"""Hostile requests to the viewer's server: refused, without a leak, and it goes on answering."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from typing import Any

import pytest

import bg_atlasapi
from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.view import guard
from bg_atlasapi.view.guard import local_hosts, refusal
from bg_atlasapi.view.serving import Viewing
from bg_atlasapi.view.viewer import Wish, start

HOSTS = local_hosts(8123)
OWN = (b"host", b"127.0.0.1:8123")


@pytest.mark.parametrize(
    "host",
    [
        b"evil.example",
        b"evil.example:8123",
        b"127.0.0.1",
        b"127.0.0.1:80",
        b"127.0.0.1:8123.evil.example",
        b"127.0.0.1.nip.io:8123",
        b"0.0.0.0:8123",
        b"[::ffff:127.0.0.1]:8123",
        b"localhost:8123 ",
        b"",
        b"\xff\xfe",
    ],
)
def test_other_hosts_are_refused(host: bytes) -> None:
    """A name that only resolves to this machine is not this machine: no DNS rebinding."""
    why = refusal("GET", [(b"host", host)], HOSTS)
    assert why is not None
    assert why.status == 421


def test_a_host_is_needed_exactly_once() -> None:
    """Without a Host, or with two, nothing is answered."""
    for headers in ([], [OWN, OWN], [OWN, (b"host", b"evil.example")]):
        why = refusal("GET", headers, HOSTS)
        assert why is not None
        assert why.status == 421
    for name in (b"127.0.0.1:8123", b"LOCALHOST:8123", b"[::1]:8123"):
        assert refusal("GET", [(b"host", name)], HOSTS) is None


@pytest.mark.parametrize(
    "origin", [b"http://evil.example", b"null", b"http://127.0.0.1:9", b"https://localhost:8123"]
)
def test_other_origins_are_refused(origin: bytes) -> None:
    """A page of another origin may neither read nor drop files; the viewer's own may."""
    for method, writes in (("GET", False), ("POST", True)):
        why = refusal(method, [OWN, (b"origin", origin)], HOSTS, writes=writes)
        assert why is not None
        assert why.status == 403
        own = [OWN, (b"origin", b"http://127.0.0.1:8123"), (b"sec-fetch-site", b"same-origin")]
        assert refusal(method, own, HOSTS, writes=writes) is None


@pytest.mark.parametrize("site", [b"cross-site", b"same-site"])
def test_what_other_sites_embed_is_refused(site: bytes) -> None:
    """Images and scripts that another site points here are refused; a link to the page itself works."""
    headers = [OWN, (b"sec-fetch-site", site)]
    assert refusal("GET", headers, HOSTS) is not None
    assert refusal("GET", headers, HOSTS, is_page=True) is None


@pytest.mark.parametrize(
    "method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "BREW", ""]
)
def test_other_methods_are_refused(ask: Any, method: str) -> None:
    """Only GET and HEAD are answered, and POST where files are dropped."""
    for path in ("/", "/api/atlas.json", "/api/drop"):
        reply = ask(path, method)
        assert reply.status == 405
        assert reply.headers[b"allow"] == (b"POST" if path == "/api/drop" else b"GET, HEAD")
    assert ask("/api/drop").status == 405
    assert ask("/", "POST").status == 405


def test_head_says_how_much_and_sends_nothing(ask: Any) -> None:
    """HEAD gives the headers of GET, and no body."""
    whole, head = ask("/api/mesh/1"), ask("/api/mesh/1", "HEAD")
    assert head.body == b""
    assert head.headers[b"content-length"] == whole.headers[b"content-length"]


def test_too_much_is_refused(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that is too long is refused by its header, and by its length where the header lies or is missing."""
    assert (
        refusal("POST", [OWN, (b"content-length", b"99999999999")], HOSTS, writes=True).status
        == 413
    )
    assert refusal("POST", [OWN, (b"content-length", b"-1")], HOSTS, writes=True).status == 400
    assert refusal("GET", [OWN, (b"content-length", b"1")], HOSTS).status == 413
    monkeypatch.setattr("bg_atlasapi.view.local_app.MAX_BODY", 1000)
    assert ask("/api/drop", "POST", body=[b"x" * 600] * 3).status == 413
    assert guard.MAX_BODY >= 1 << 20


PATHS = [
    "/../../../../etc/passwd",
    "/..%2f..%2fetc/passwd",
    "//etc/passwd",
    "/page/../app.py",
    "/app.py",
    "/built.json",
    "/__init__.py",
    "/index.html/",
    "/index.html\0",
    "/.",
    "/..",
    "/\\..\\..\\windows\\win.ini",
    "/C:/windows/win.ini",
    "/file:///etc/passwd",
    "/api",
    "/api/",
    "/api/labels/0",
    "/api/labels/3/0",
    "/api/labels/0/132",
    "/api/labels/0/-1",
    "/api/labels/0/1e3",
    "/api/labels/0/٣",
    "/api/labels/0/99999999999999999999",
    "/api/labels/0/0/",
    "/api/labels/0/0\n",
    "/api/image/1/0/0",
    "/api/image/template/0/0",
    "/api/mesh/0",
    "/api/mesh/999999",
    "/api/mesh/../../metadata.json",
    "/api/sides/0/0",
    "/api/atlas.json/../atlas.json",
    "/API/ATLAS.JSON",
    "/" + "a" * 60_000,
    "/\udcff",
    "*",
    "",
]


@pytest.mark.parametrize("path", PATHS, ids=range(len(PATHS)))
def test_no_path_leads_out(ask: Any, path: str) -> None:
    """Addresses that are none get one sentence, which repeats nothing of them and names no file."""
    reply = ask(path)
    assert reply.status == 404
    assert len(reply.body) < 100
    assert b"root:" not in reply.body
    assert b"/" not in reply.body


def test_an_error_names_no_file(phantom: BrainGlobeAtlas, client_of: Any, tmp_path: Any) -> None:
    """A mesh that is damaged, or code that fails, is reported without a path; the terminal gets it."""
    ask = client_of(phantom)

    class Broken:
        def has(self, _: int) -> bool:
            return True

        def read(self, _: int) -> None:
            raise bg_atlasapi.errors.IncompleteAtlasError(f"{tmp_path}/1.obj is damaged")

    model = phantom._model
    assert ask.app.gallery.atlas is phantom  # worked out once, of the whole atlas
    ask.app._atlas = type("Other", (), {"_model": type("Model", (), {"meshes": Broken()})})()
    for failing in (None, ZeroDivisionError(str(tmp_path))):
        if failing is not None:
            Broken.read = lambda _self, _id, failing=failing: (_ for _ in ()).throw(failing)
        reply = ask("/api/mesh/1")
        assert reply.status == 500
        assert str(tmp_path).encode() not in reply.body
    assert phantom._model is model


def test_what_a_page_may_do_is_limited(ask: Any) -> None:
    """Every answer, errors too, forbids foreign scripts, frames, sniffing and embedding, and allows no other origin."""
    for path in ("/", "/index.js", "/api/atlas.json", "/nothing"):
        headers = ask(path).headers
        assert b"default-src 'none'" in headers[b"content-security-policy"]
        assert b"frame-ancestors 'none'" in headers[b"content-security-policy"]
        assert b"unsafe-eval" not in headers[b"content-security-policy"]
        assert headers[b"x-content-type-options"] == b"nosniff"
        assert headers[b"cross-origin-resource-policy"] == b"same-origin"
        assert b"access-control-allow-origin" not in headers


@pytest.fixture(scope="module")
def viewing(phantom: BrainGlobeAtlas) -> Iterator[Viewing]:
    """Return a viewer that listens on a port."""
    with start(phantom, Wish()) as viewing:
        yield viewing


def _send(viewing: Viewing, data: bytes) -> bytes:
    port = int(viewing.url.rsplit(":", 1)[1].strip("/"))
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.settimeout(10)
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            parts = []
            while part := connection.recv(1 << 16):
                parts.append(part)
        except OSError:  # it hung up on us, which it may
            return b""
    return b"".join(parts)


def _own(viewing: Viewing) -> bytes:
    return b"Host: " + viewing.url.split("/")[2].encode() + b"\r\n"


def test_garbage_on_the_wire_ends_nothing(viewing: Viewing) -> None:
    """Hundreds of broken, huge and random requests: no path leaks, none is answered with 200, and it goes on."""
    generator = random.Random(5)
    own = _own(viewing)
    wrong = [
        b"",
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n" + own + b"\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\n" + own + b"\r\n",
        b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n" + own + b"\r\n",
        b"GET /%00%ff%fe HTTP/1.1\r\n" + own + b"\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n" + own + b"\r\n",
        b"GET / HTTP/1.1\r\n" + own + b"X: " + b"a" * 200_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + own + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /api/drop HTTP/1.1\r\n" + own + b"Content-Length: 99999999999\r\n\r\nx",
        b"POST /api/drop HTTP/1.1\r\n" + own + b"Content-Length: -4\r\n\r\nx",
        b"POST /api/drop HTTP/1.1\r\n" + own + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"GET / HTTP/1.1\r\n"
        + own
        + b"Upgrade: websocket\r\nConnection: Upgrade\r\nOrigin: http://evil.example\r\n\r\n",
    ]
    wrong += [generator.randbytes(generator.randrange(1, 3000)) for _ in range(200)]
    whole = b"GET /api/mesh/1 HTTP/1.1\r\n" + own + b"Origin: http://evil.example\r\n\r\n"
    for _ in range(200):
        mutated = bytearray(whole)
        for _ in range(generator.randrange(1, 6)):
            mutated[generator.randrange(len(mutated))] = generator.randrange(256)
        wrong.append(bytes(mutated))
    folder = bg_atlasapi.__file__.rpartition("/")[0].encode()
    for data in wrong:
        answer = _send(viewing, data)
        assert folder not in answer
        assert b"root:x:" not in answer
        assert b"Traceback" not in answer
    good = _send(viewing, b"GET / HTTP/1.1\r\n" + own + b"Connection: close\r\n\r\n")
    assert good.startswith(b"HTTP/1.1 200")


def test_answers_do_not_wait_for_acknowledgements(viewing: Viewing) -> None:
    """Connections have Nagle's algorithm off: with it, each answer of two packets took 40 ms more."""
    port = int(viewing.url.rsplit(":", 1)[1].strip("/"))
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n" + _own(viewing) + b"\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        (protocol,) = viewing._server.server_state.connections
        accepted = protocol.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_nobody_else_can_connect(viewing: Viewing) -> None:
    """It listens on the loopback address alone, so no other machine reaches it."""
    listening = viewing._server.servers[0].sockets[0]
    assert listening.getsockname()[0] == "127.0.0.1"
