from __future__ import annotations

import gzip
import hashlib
import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote, unquote_plus, urlencode

import pytest

import bg_atlasapi
from bg_atlasapi.testing.server import Fault, Proxy, Server

DATA = bytes(range(256)) * 1024  # 256 KiB, of which no two neighbours are equal
SMALL = b"0123456789"
ETAG = f'"{hashlib.md5(SMALL).hexdigest()}"'


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the place of what is served."""
    return tmp_path_factory.mktemp("served").resolve() / "root"


@pytest.fixture(scope="module")
def processes(folder: Path) -> Iterator[tuple[Server, Server]]:
    """Return a plain server and one like S3 with small pages, started once: each takes 0.2 s."""
    with Server(folder) as plain, Server(folder, s3_bucket="atlases", page_size=2) as s3:
        yield plain, s3


@pytest.fixture
def root(folder: Path) -> Path:
    """Return a folder with files, a subfolder, an awkward name, and a file outside it."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "small.bin").write_bytes(SMALL)
    (folder / "data.bin").write_bytes(DATA)
    (folder / "empty").write_bytes(b"")
    (folder / "sub" / "a b+ü%#.txt").write_bytes(b"awkward")
    (folder / "sub" / "deep" / "x.gz").write_bytes(b"deep")
    (folder.parent / "secret").write_bytes(b"secret")
    return folder


@pytest.fixture
def server(root: Path, processes: tuple[Server, Server]) -> Server:  # noqa: ARG001 - fills the folder
    """Return a server of that folder that behaves and remembers nothing."""
    return _fresh(processes[0])


@pytest.fixture
def bucket(root: Path, processes: tuple[Server, Server]) -> Server:  # noqa: ARG001 - as above
    """Return a server of that folder that is like S3."""
    return _fresh(processes[1])


def _fresh(server: Server) -> Server:
    server.clear()
    server.reset_log()
    return server


@contextmanager
def _connected(
    server: Server | Proxy, timeout: float = 10.0
) -> Iterator[http.client.HTTPConnection]:
    host = server.url.removeprefix("http://")
    with closing(http.client.HTTPConnection(host, timeout=timeout)) as connection:
        yield connection


def _ask(connection, path, method="GET", **headers) -> Answer:
    spelt = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, headers=spelt)
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read())


def _get(server: Server | Proxy, path: str, method: str = "GET", **headers: str) -> Answer:
    with _connected(server) as connection:
        return _ask(connection, path, method, **headers)


def _raw(server: Server | Proxy, path: str, timeout: float = 10.0) -> tuple[bytes, bytes, str]:
    """Return head, body and how it ended: ``"closed"``, ``"reset"`` or ``"silent"``."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    with closing(socket.create_connection((host, int(port)), timeout=timeout)) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        got, end = b"", "closed"
        try:
            while more := sock.recv(1 << 16):
                got += more
        except ConnectionResetError:
            end = "reset"
        except TimeoutError:
            end = "silent"
    head, _, body = got.partition(b"\r\n\r\n")
    return head, body, end


# What it does when it behaves


def test_file_with_its_headers(server: Server, root: Path) -> None:
    """A file comes whole, with the headers by which clients resume and revalidate."""
    answer = _get(server, "/small.bin")
    assert (answer.status, answer.body) == (200, SMALL)
    assert answer.headers["Content-Length"] == "10"
    assert answer.headers["ETag"] == ETAG
    assert answer.headers["Accept-Ranges"] == "bytes"
    modified = formatdate(int((root / "small.bin").stat().st_mtime), usegmt=True)
    assert answer.headers["Last-Modified"] == modified
    assert answer.headers["Content-Type"] == "application/octet-stream"


def test_head_says_the_same_without_a_body(server: Server) -> None:
    """HEAD has the headers of GET and counts no bytes."""
    head, whole = _get(server, "/data.bin", "HEAD"), _get(server, "/data.bin")
    assert head.body == b""
    assert whole.body == DATA
    assert {**head.headers, "Date": ""} == {**whole.headers, "Date": ""}
    assert [request.sent for request in server.log()] == [0, len(DATA)]


def test_connection_is_kept(server: Server) -> None:
    """Several requests, errors and empty files among them, go through one connection."""
    with _connected(server) as connection:
        for path in ("/small.bin", "/missing", "/empty", "/data.bin", "/sub"):
            _ask(connection, path)
        _ask(connection, "/data.bin", "HEAD")
    assert len(server.log()) == 6
    assert len({request.connection for request in server.log()}) == 1


def test_connection_ends_when_asked(server: Server) -> None:
    """``Connection: close`` is honoured."""
    with _connected(server) as connection:
        connection.request("GET", "/small.bin", headers={"Connection": "close"})
        response = connection.getresponse()
        assert response.headers["Connection"] == "close"
        assert response.read() == SMALL


def test_changed_file_has_another_etag(server: Server, root: Path) -> None:
    """Content is served as it is now, under its own ETag."""
    _get(server, "/small.bin")
    (root / "small.bin").write_bytes(b"other")
    answer = _get(server, "/small.bin")
    assert answer.body == b"other"
    assert answer.headers["ETag"] == f'"{hashlib.md5(b"other").hexdigest()}"'


@pytest.mark.parametrize(
    ("asked", "body", "content_range"),
    [
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-99", SMALL, "bytes 0-9/10"),
        ("bytes=8-99", b"89", "bytes 8-9/10"),
    ],
)
def test_single_range(server: Server, asked: str, body: bytes, content_range: str) -> None:
    """Each form of a single range gives 206 with those bytes."""
    answer = _get(server, "/small.bin", Range=asked)
    assert (answer.status, answer.body) == (206, body)
    assert answer.headers["Content-Range"] == content_range
    assert answer.headers["Content-Length"] == str(len(body))
    assert [(one.range, one.sent) for one in server.log()] == [(asked, len(body))]


@pytest.mark.parametrize("asked", ["bytes=1-2,4-5", "bytes=5-2", "bytes=-", "items=0-1", "bytes"])
def test_range_that_counts_as_none(server: Server, asked: str) -> None:
    """Several ranges and nonsense are answered with the whole file."""
    answer = _get(server, "/small.bin", Range=asked)
    assert (answer.status, answer.body) == (200, SMALL)


@pytest.mark.parametrize(
    ("path", "asked", "size"),
    [("/small.bin", "bytes=10-", 10), ("/small.bin", "bytes=-0", 10), ("/empty", "bytes=0-", 0)],
)
def test_range_outside_the_file(server: Server, path: str, asked: str, size: int) -> None:
    """A range without a byte in the file gives 416 with the size."""
    answer = _get(server, path, Range=asked)
    assert answer.status == 416
    assert answer.headers["Content-Range"] == f"bytes */{size}"


def test_if_range(server: Server) -> None:
    """A range holds for the state that If-Range names, by ETag or date, and else all comes."""
    modified = _get(server, "/small.bin").headers["Last-Modified"]
    wanted = {"Range": "bytes=2-4"}
    statuses = [
        _get(server, "/small.bin", **wanted, If_Range=state).status
        for state in (ETAG, modified, '"other"', "Thu, 01 Jan 1970 00:00:00 GMT", f"W/{ETAG}")
    ]
    assert statuses == [206, 206, 200, 200, 200]
    assert server.log()[1].if_range == ETAG


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("If_None_Match", ETAG, 304),
        ("If_None_Match", f'"x", W/{ETAG}', 304),
        ("If_None_Match", "*", 304),
        ("If_None_Match", '"x"', 200),
        ("If_Modified_Since", "Thu, 01 Jan 1970 00:00:00 GMT", 200),
        ("If_Modified_Since", "Thu, 31 Dec 2099 23:59:59 GMT", 304),
        ("If_Modified_Since", "yesterday", 200),
        ("If_Match", ETAG, 200),
        ("If_Match", '"x"', 412),
    ],
)
def test_conditions(server: Server, header: str, value: str, status: int) -> None:
    """Conditions on ETag and date decide between the file and none."""
    answer = _get(server, "/small.bin", **{header: value})
    assert answer.status == status
    assert answer.body == (SMALL if status == 200 else b"")
    assert answer.headers["ETag"] == ETAG


def test_host_without_ranges_and_etags(root: Path) -> None:
    """A plain host can be had: it offers no ranges, ignores them, and has no ETags."""
    with Server(root, ranges=False, etags=False) as server:
        answer = _get(server, "/small.bin", Range="bytes=2-4", If_None_Match=ETAG)
    assert (answer.status, answer.body) == (200, SMALL)
    assert "ETag" not in answer.headers
    assert "Accept-Ranges" not in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/../secret",
            "/%2e%2e/secret",
            "/sub/../../secret",
            "//../secret",
            "/link",
            "/links/secret",
        ),
        *("/..%2fsecret", "/missing", "/sub", "/sub/", "/", "/small.bin/", "/a%00b", "/%ff"),
    ],
)
def test_nothing_outside_the_folder(server: Server, root: Path, path: str) -> None:
    """Dots, links and impossible names lead nowhere; folders have no page unless wanted."""
    (root / "link").symlink_to(root.parent / "secret")
    (root / "links").symlink_to(root.parent)
    assert _get(server, path).status == 404


def test_encoded_name(server: Server) -> None:
    """A name with blanks, signs and umlauts is reached by its encoded path, and logged decoded."""
    path = "/sub/a b+ü%#.txt"
    assert _get(server, quote(path)).body == b"awkward"
    assert [request.path for request in server.log()] == [path]


def test_only_reading(server: Server) -> None:
    """Other methods are refused, and what they sent is read away."""
    with _connected(server) as connection:
        connection.request("PUT", "/new", body=b"GET / HTTP/1.1\r\n\r\n")
        response = connection.getresponse()
        response.read()
        assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")
        assert _ask(connection, "/small.bin").body == SMALL


def test_nonsense_is_a_bad_request(server: Server) -> None:
    """What is not HTTP gets 400 and the end of the connection."""
    head, _, end = _raw(server, "/a b c")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert end == "closed"


def test_folder_pages(root: Path) -> None:
    """Folders have an index page from whose links everything is reached."""
    with Server(root, listing=True) as server:
        moved = _get(server, "/sub")
        assert (moved.status, moved.headers["Location"]) == (301, "/sub/")
        page = _get(server, "/sub/").body.decode()
        links = re.findall(r'<li><a href="([^"]+)">', page)
        assert links == [quote("a b+ü%#.txt"), "deep/"]
        assert "Directory listing for /sub/" in page
        assert _get(server, "/sub/" + links[0]).body == b"awkward"
        assert _get(server, "/").status == 200


def test_many_connections_at_once(server: Server) -> None:
    """Many clients are served together, and every byte of theirs is counted."""
    with ThreadPoolExecutor(32) as pool:
        bodies = list(pool.map(lambda _: _get(server, "/data.bin").body, range(64)))
    assert set(bodies) == {DATA}
    assert server.sent() == 64 * len(DATA)


def test_counts_are_there_as_soon_as_the_bytes(server: Server) -> None:
    """Whoever has the last byte finds it in the log, at every try."""
    for number in range(1, 51):
        _get(server, "/small.bin")
        assert server.sent("/small*") == number * len(SMALL)


def test_log(server: Server) -> None:
    """The log tells method, path, query, headers and status in order, by pattern, until reset."""
    _get(server, "/small.bin?a=1", "HEAD", User_Agent="me")
    _get(server, "/missing")
    first, second = server.log()
    assert (first.method, first.path, first.query, first.status) == (
        "HEAD",
        "/small.bin",
        "a=1",
        200,
    )
    assert first.headers["user-agent"] == "me"
    assert first.range is None
    assert (second.path, second.status) == ("/missing", 404)
    assert second.time_s >= first.time_s >= 0
    assert server.log("*.bin") == server.log("*?a=1") == [first]
    server.reset_log()
    assert server.log() == []


# Rates


def test_rate_and_latency(root: Path) -> None:
    """A connection gets no more bytes per second than it should, after the wait it should have."""
    with Server(root, rate=1_000_000, latency=0.1) as server:
        begin = time.monotonic()
        assert _get(server, "/data.bin").body == DATA
        assert 0.3 < time.monotonic() - begin < 3
        server.set("*", slow=1e9, delay=0.1)
        begin = time.monotonic()
        _get(server, "/data.bin")
        assert time.monotonic() - begin > 0.2


# Faults


@pytest.mark.parametrize("status", [403, 404, 429, 500, 503])
def test_status(server: Server, status: int) -> None:
    """An error status comes instead of the file, with how long to wait, on a kept connection."""
    server.set("/small.bin", status=status, retry_after=7)
    with _connected(server) as connection:
        answer = _ask(connection, "/small.bin")
        assert (answer.status, answer.headers["Retry-After"]) == (status, "7")
        assert SMALL not in answer.body
        assert _ask(connection, "/data.bin").status == 200


def test_first_requests_only(server: Server) -> None:
    """A fault that strikes twice is over at the third request."""
    server.set("*.bin", status=503, times=2)
    assert [_get(server, "/small.bin").status for _ in range(3)] == [503, 503, 200]


def test_faults_in_turn(server: Server) -> None:
    """Several faults strike one after the other; an empty one is a request that goes well."""
    server.set("*", Fault(times=1), Fault(status=500, times=1), Fault(html=True, times=1))
    bodies = [_get(server, "/small.bin") for _ in range(4)]
    assert [body.status for body in bodies] == [200, 500, 200, 200]
    assert [body.body == SMALL for body in bodies] == [True, False, False, True]


def test_newest_rule_decides(server: Server) -> None:
    """A later rule goes before earlier ones until it is used up; clear ends all."""
    server.set("*", status=500)
    server.set("/small*", status=404, times=1)
    assert [_get(server, "/small.bin").status for _ in range(2)] == [404, 500]
    assert _get(server, "/data.bin").status == 500
    server.clear()
    assert _get(server, "/data.bin").status == 200


def test_fault_of_one_method(server: Server) -> None:
    """A host that refuses HEAD can be had."""
    server.set("*", status=403, method="HEAD")
    assert _get(server, "/small.bin", "HEAD").status == 403
    assert _get(server, "/small.bin").status == 200


def test_fault_by_query(server: Server) -> None:
    """A pattern with an equals sign looks at the query too."""
    server.set("*[?]token=*", status=500)
    assert _get(server, "/small.bin?token=1").status == 500
    assert _get(server, "/small.bin").status == 200


def test_stall(server: Server) -> None:
    """After N bytes nothing more comes and the socket stays open."""
    server.set("/data.bin", stall_after=100_000)
    head, body, end = _raw(server, "/data.bin", timeout=0.5)
    assert f"Content-Length: {len(DATA)}".encode() in head
    assert (body, end) == (DATA[:100_000], "silent")
    assert server.sent() == 100_000


def test_stall_before_the_first_byte(server: Server) -> None:
    """The head alone can come."""
    server.set("/data.bin", stall_after=0)
    head, body, end = _raw(server, "/data.bin", timeout=0.5)
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert (body, end) == (b"", "silent")


@pytest.mark.parametrize("count", [0, 1, 70_000, 1 << 30])
def test_reset(server: Server, count: int) -> None:
    """After N bytes, all of which arrive, the connection is reset, not closed."""
    server.set("/data.bin", reset_after=count)
    _, body, end = _raw(server, "/data.bin")
    assert (body, end) == (DATA[:count], "reset")
    assert server.sent() == len(body)


def test_close(server: Server) -> None:
    """After N bytes the connection is closed in order, though more was announced."""
    server.set("/data.bin", close_after=70_000)
    head, body, end = _raw(server, "/data.bin")
    assert f"Content-Length: {len(DATA)}".encode() in head
    assert (body, end) == (DATA[:70_000], "closed")
    with pytest.raises(http.client.IncompleteRead):
        _get(server, "/data.bin")


@pytest.mark.parametrize("delta", [-3, 5])
def test_false_length(server: Server, delta: int) -> None:
    """The announced length is false, the body is the true one, and then the connection ends."""
    server.set("/small.bin", length_delta=delta)
    head, body, end = _raw(server, "/small.bin")
    assert f"Content-Length: {len(SMALL) + delta}".encode() in head
    assert (body, end) == (SMALL, "closed")


def test_no_length(server: Server) -> None:
    """Neither a length nor chunks: only the end of the connection tells."""
    server.set("/data.bin", no_length=True)
    answer = _get(server, "/data.bin")
    assert answer.body == DATA
    assert answer.headers["Connection"] == "close"
    assert not {"Content-Length", "Transfer-Encoding"} & set(answer.headers)


def test_chunked(server: Server) -> None:
    """Chunks carry the whole body, and the connection is kept; framing is not counted."""
    server.set("*", chunked=True)
    with _connected(server) as connection:
        for path, body in (("/data.bin", DATA), ("/empty", b""), ("/small.bin", SMALL)):
            answer = _ask(connection, path)
            assert (answer.headers["Transfer-Encoding"], answer.body) == ("chunked", body)
            assert "Content-Length" not in answer.headers
    assert server.sent() == len(DATA) + len(SMALL)


def test_chunks_that_break_off(server: Server) -> None:
    """A chunked body can end without its last chunk."""
    server.set("/data.bin", chunked=True, close_after=1000)
    _, body, end = _raw(server, "/data.bin")
    assert body == f"{len(DATA):x}\r\n".encode() + DATA[:1000]
    assert end == "closed"


def test_range_ignored(server: Server) -> None:
    """A host that offers ranges can ignore one."""
    server.set("/small.bin", ignore_range=True)
    answer = _get(server, "/small.bin", Range="bytes=3-")
    assert (answer.status, answer.body) == (200, SMALL)
    assert answer.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize(
    ("asked", "given", "body"),
    [("bytes=3-5", "bytes 2-4/10", b"234"), ("bytes=0-1", "bytes 1-2/10", b"12")],
)
def test_wrong_range(server: Server, asked: str, given: str, body: bytes) -> None:
    """206 comes with other bytes than asked, and says which."""
    server.set("/small.bin", wrong_range=True)
    answer = _get(server, "/small.bin", Range=asked)
    assert (answer.status, answer.body) == (206, body)
    assert answer.headers["Content-Range"] == given


def test_html(server: Server) -> None:
    """A login page comes as if it were the file, even for a range."""
    server.set("*", html=True)
    answer = _get(server, "/small.bin", Range="bytes=3-")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert b"log in" in answer.body
    assert "ETag" not in answer.headers


def test_redirects(server: Server) -> None:
    """Another place is named with the status wished; its own path makes a loop."""
    server.set("/a", redirect_to=f"{server.url}/small.bin", status=308)
    server.set("/loop", redirect_to="/loop")
    first, loop = _get(server, "/a"), _get(server, "/loop")
    assert (first.status, first.headers["Location"]) == (308, f"{server.url}/small.bin")
    assert (loop.status, loop.headers["Location"]) == (302, "/loop")


@pytest.mark.parametrize(("place", "byte"), [(0, 0), (100_000, 100_000), (-1, len(DATA) - 1)])
def test_flipped_byte(server: Server, place: int, byte: int) -> None:
    """One byte of the file is false, under the ETag of the sound one, in ranges that hold it."""
    sound = _get(server, "/data.bin").headers["ETag"]
    server.set("/data.bin", flip_byte=place)
    answer = _get(server, "/data.bin")
    assert [
        at for at, pair in enumerate(zip(answer.body, DATA, strict=True)) if len({*pair}) > 1
    ] == [byte]
    assert answer.headers["ETag"] == sound
    assert _get(server, "/data.bin", Range=f"bytes={byte}-{byte}").body == bytes(
        [DATA[byte] ^ 0xFF]
    )
    assert _get(server, "/data.bin", Range="bytes=5-50").body == DATA[5:51]


def test_etag_override(server: Server) -> None:
    """A made-up ETag is sent and compared with, so that a file seems to have changed."""
    server.set("/small.bin", etag="abc-3")
    answer = _get(server, "/small.bin", Range="bytes=3-", If_Range=ETAG)
    assert (answer.status, answer.headers["ETag"]) == (200, '"abc-3"')
    assert _get(server, "/small.bin", If_None_Match='"abc-3"').status == 304


def test_etag_dropped(server: Server) -> None:
    """A file can be without an ETag."""
    server.set("/small.bin", drop_etag=True)
    assert "ETag" not in _get(server, "/small.bin").headers


def test_headers_added_and_taken(server: Server) -> None:
    """Headers can be added, replaced and taken away."""
    server.set(
        "/small.bin", header={"X-New": "1", "Content-Type": "text/odd", "Last-Modified": None}
    )
    headers = _get(server, "/small.bin").headers
    assert (headers["X-New"], headers["Content-Type"]) == ("1", "text/odd")
    assert "Last-Modified" not in headers


def test_slow(server: Server) -> None:
    """One file trickles; even one smaller than a packet takes its time."""
    server.set("/small.bin", slow=50)
    begin = time.monotonic()
    assert _get(server, "/small.bin").body == SMALL
    assert 0.19 < time.monotonic() - begin < 3


def test_hang(server: Server) -> None:
    """The request is taken and never answered; the log has it without a status."""
    server.set("/small.bin", hang_connect=True)
    assert _raw(server, "/small.bin", timeout=0.3) == (b"", b"", "silent")
    assert [(one.path, one.status, one.sent) for one in server.log()] == [("/small.bin", 0, 0)]


def test_gzip_encoding(server: Server) -> None:
    """The body comes compressed, with its compressed length, though nobody asked."""
    server.set("/data.bin", gzip_encoding=True)
    answer = _get(server, "/data.bin")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert gzip.decompress(answer.body) == DATA
    assert server.sent() == len(answer.body)


def test_faults_together(server: Server) -> None:
    """Fields of one fault act together."""
    server.set("/data.bin", ignore_range=True, flip_byte=1, close_after=10, header={"X": "y"})
    head, body, _ = _raw(server, "/data.bin")
    assert body == bytes([0, 1 ^ 0xFF, *range(2, 10)])
    assert b"X: y" in head


@pytest.mark.parametrize(
    "fault",
    [
        {"stall_after": 1, "close_after": 1},
        {"retry_after": 3},
        {"chunked": True, "no_length": True},
    ],
)
def test_impossible_faults(server: Server, fault: dict[str, int]) -> None:
    """A fault that could not be done is refused, rather than silently not done."""
    with pytest.raises(ValueError, match="give one|goes with"):
        server.set("*", **fault)


def test_unknown_fault(server: Server) -> None:
    """A misspelt fault is an error in the test, not a server that behaves."""
    with pytest.raises(TypeError, match="stall_at"):
        server.set("*", stall_at=3)


# S3


def _listing(server: Server, path: str = "/atlases", **parameters: str) -> dict[str, object]:
    """Return the page of a listing: single fields as text, keys and prefixes as lists."""
    spelt = {name.replace("_", "-"): value for name, value in parameters.items()}
    answer = _get(server, f"{path}?{urlencode({'list-type': '2', **spelt})}")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/xml"
    tree = ET.fromstring(answer.body)
    space = "{http://s3.amazonaws.com/doc/2006-03-01/}"
    page: dict[str, object] = {child.tag.removeprefix(space): child.text for child in tree}
    page["keys"] = [one.findtext(f"{space}Key") for one in tree.iter(f"{space}Contents")]
    page["sizes"] = [one.findtext(f"{space}Size") for one in tree.iter(f"{space}Contents")]
    page["etags"] = [one.findtext(f"{space}ETag") for one in tree.iter(f"{space}Contents")]
    page["prefixes"] = [
        one.findtext(f"{space}Prefix") for one in tree.iter(f"{space}CommonPrefixes")
    ]
    return page


ALL_KEYS = ["data.bin", "empty", "small.bin", "sub/a b+ü%#.txt", "sub/deep/x.gz"]


@pytest.mark.parametrize("path", ["/atlases", "/atlases/", "/"])
def test_pages_of_a_bucket(bucket: Server, path: str) -> None:
    """Following the tokens gives every key once, in order, as many to a page as may be."""
    keys, more = [], {}
    while True:
        page = _listing(bucket, path, **more)
        keys.append(page["keys"])
        assert page["KeyCount"] == str(len(keys[-1]))
        if page["IsTruncated"] == "false":
            break
        more = {"continuation_token": str(page["NextContinuationToken"])}
    assert keys == [ALL_KEYS[:2], ALL_KEYS[2:4], ALL_KEYS[4:]]
    assert "NextContinuationToken" not in page
    assert page["Name"] == "atlases"


def test_entries_of_a_bucket(bucket: Server) -> None:
    """A key comes with its size and the ETag in quotes that a request for it has."""
    page = _listing(bucket, prefix="small")
    assert (page["keys"], page["sizes"], page["etags"]) == (["small.bin"], ["10"], [ETAG])
    assert _get(bucket, "/atlases/small.bin").headers["ETag"] == ETAG


def test_delimiter(bucket: Server) -> None:
    """What lies beyond a delimiter is one prefix, which counts as an entry and comes once."""
    first = _listing(bucket, delimiter="/", start_after="empty")
    assert (first["keys"], first["prefixes"], first["KeyCount"]) == (["small.bin"], ["sub/"], "2")
    assert first["IsTruncated"] == "false"
    page = _listing(bucket, delimiter="/", max_keys="1", start_after="small.bin")
    assert (page["keys"], page["prefixes"], page["IsTruncated"]) == ([], ["sub/"], "false")
    inside = _listing(bucket, delimiter="/", prefix="sub/")
    assert (inside["keys"], inside["prefixes"]) == (["sub/a b+ü%#.txt"], ["sub/deep/"])


def test_page_that_ends_with_a_prefix(bucket: Server, root: Path) -> None:
    """The page after a prefix holds nothing of that prefix."""
    (root / "z").write_bytes(b"")
    first = _listing(bucket, delimiter="/", start_after="empty")
    assert first["IsTruncated"] == "true"
    token = str(first["NextContinuationToken"])
    second = _listing(bucket, delimiter="/", start_after="empty", continuation_token=token)
    assert (second["keys"], second["prefixes"], second["IsTruncated"]) == (["z"], [], "false")


def test_limits_of_a_page(bucket: Server) -> None:
    """max-keys makes pages smaller, never larger; none at all is a page without entries."""
    assert _listing(bucket, max_keys="1")["keys"] == ALL_KEYS[:1]
    assert _listing(bucket, max_keys="50")["keys"] == ALL_KEYS[:2]
    nothing = _listing(bucket, max_keys="0")
    assert (nothing["keys"], nothing["IsTruncated"]) == ([], "false")


@pytest.mark.parametrize("prefix", ["missing", "missing/x", "../", "/sub", "sub//", "small.bin/"])
def test_empty_listing(bucket: Server, prefix: str) -> None:
    """A prefix that no key has gives an empty page, never a look outside."""
    page = _listing(bucket, prefix=prefix)
    assert (page["keys"], page["KeyCount"], page["IsTruncated"]) == ([], "0", "false")


def test_encoding_type(bucket: Server) -> None:
    """Keys come URL-encoded if asked for, as S3 does it: a blank is a plus, a slash stays."""
    page = _listing(bucket, prefix="sub/a b", encoding_type="url")
    assert page["keys"] == ["sub/a+b%2B%C3%BC%25%23.txt"]
    assert page["Prefix"] == "sub/a+b"
    assert unquote_plus(page["keys"][0]) == ALL_KEYS[3]
    assert _get(bucket, "/atlases/" + quote(ALL_KEYS[3])).body == b"awkward"


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("list-type=2&max-keys=x", 400, "InvalidArgument"),
        ("list-type=2&max-keys=-1", 400, "InvalidArgument"),
        ("list-type=2&continuation-token=%21", 400, "InvalidArgument"),
        ("location", 501, "NotImplemented"),
    ],
)
def test_bad_listing(bucket: Server, query: str, status: int, code: str) -> None:
    """What S3 would refuse, and what is not spoken here, is an XML error."""
    answer = _get(bucket, f"/?{query}")
    assert answer.status == status
    assert ET.fromstring(answer.body).findtext("Code") == code


@pytest.mark.parametrize("path", ["/atlases/sub/deep/x.gz", "/sub/deep/x.gz"])
def test_keys_of_a_bucket(bucket: Server, path: str) -> None:
    """A key is reached path-style and as on a host of its own."""
    answer = _get(bucket, path, Range="bytes=1-")
    assert (answer.status, answer.body) == (206, b"eep")
    assert answer.headers["Server"] == "AmazonS3"
    assert answer.headers["Content-Type"] == "binary/octet-stream"


@pytest.mark.parametrize(
    "key", ["missing<&>", "sub", "sub/", "sub//deep/x.gz", "./empty", "../secret"]
)
def test_missing_key(bucket: Server, key: str) -> None:
    """A missing key is S3's XML error; folders and other spellings of a key are no keys."""
    answer = _get(bucket, "/atlases/" + quote(key))
    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/xml")
    error = ET.fromstring(answer.body)
    assert error.tag == "Error"
    assert (error.findtext("Code"), error.findtext("Key")) == ("NoSuchKey", key)


def test_faults_of_a_bucket(bucket: Server) -> None:
    """Faults speak S3's XML: a private bucket says 403 for what is missing, a busy one SlowDown."""
    bucket.set("/atlases/*", status=403)
    bucket.set("*list-type=2*", status=503, times=1)
    assert ET.fromstring(_get(bucket, "/?list-type=2").body).findtext("Code") == "SlowDown"
    assert ET.fromstring(_get(bucket, "/atlases/x").body).findtext("Code") == "AccessDenied"
    assert _get(bucket, "/small.bin", Range="bytes=99-").status == 416


def test_links_in_a_bucket(bucket: Server, root: Path) -> None:
    """A link that leads outside is not listed."""
    (root / "link-in").symlink_to(root / "small.bin")
    (root / "link-out").symlink_to(root.parent / "secret")
    page = _listing(bucket, prefix="link")
    assert (page["keys"], page["etags"]) == (["link-in"], [ETAG])


# The proxy


def test_proxy_forwards(server: Server) -> None:
    """A request in absolute form reaches the server with its headers, and is counted by both."""
    with Proxy() as proxy, _connected(proxy) as connection:
        answer = _ask(connection, f"{server.url}/small.bin?a=1", Range="bytes=3-")
        assert (answer.status, answer.body) == (206, SMALL[3:])
        assert answer.headers["ETag"] == ETAG
        assert _ask(connection, f"{server.url}/missing").status == 404
        assert _ask(connection, f"{server.url}/data.bin", "HEAD").body == b""
        assert _ask(connection, f"{server.url}/data.bin").body == DATA
        assert proxy.sent("http://*.bin") == len(SMALL[3:]) + len(DATA)
        assert proxy.log()[0].path == f"{server.url}/small.bin"
        assert len({request.connection for request in proxy.log()}) == 1
    first = server.log()[0]
    assert (first.path, first.query, first.range) == ("/small.bin", "a=1", "bytes=3-")


@pytest.mark.parametrize("refusal", [403, 407])
def test_proxy_refuses(server: Server, refusal: int) -> None:
    """A proxy that refuses says so, counts, and lets nothing through."""
    with Proxy(refuse=refusal) as proxy:
        answer = _get(proxy, f"{server.url}/small.bin")
        assert answer.status == refusal
        assert ("Proxy-Authenticate" in answer.headers) == (refusal == 407)
        assert [request.status for request in proxy.log()] == [refusal]
    assert server.log() == []


def test_proxy_keeps_to_this_machine(server: Server) -> None:
    """Other hosts, tunnels, dead servers and requests that are meant for no proxy are errors."""
    with Proxy() as proxy:
        assert _get(proxy, "http://example.org/small.bin").status == 502
        assert _get(proxy, "https://127.0.0.1/small.bin").status == 502
        assert _get(proxy, "http://127.0.0.1:9/small.bin").status == 502
        assert _get(proxy, "127.0.0.1:443", "CONNECT").status == 501
        assert _get(proxy, "/small.bin").status == 400
    assert server.log() == []


def test_proxy_for_every_host(server: Server) -> None:
    """One local server can stand for every host."""
    with Proxy(upstream=server.url) as proxy:
        assert _get(proxy, "http://atlases.example.org/small.bin").body == SMALL
    assert server.log()[0].headers["host"] == "atlases.example.org"


@pytest.mark.parametrize("fault", [{"close_after": 1000}, {"chunked": True}, {"no_length": True}])
def test_proxy_passes_ends_on(server: Server, fault: dict[str, int]) -> None:
    """What breaks off behind the proxy breaks off in front of it; what has no length comes whole."""
    server.set("/data.bin", **fault)
    with Proxy() as proxy:
        _, body, end = _raw(proxy, f"{server.url}/data.bin")
    assert body == DATA[: fault.get("close_after")]
    assert end == "closed"


# The process


def _refused(url: str) -> bool:
    host, _, port = url.removeprefix("http://").partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return True
    return False


def test_ends_with_the_block(root: Path) -> None:
    """After the block nothing listens, whatever still hangs, and there is no address."""
    with Server(root) as server:
        url = server.url
        server.set("*", hang_connect=True)
        hanging = threading.Thread(target=_raw, args=(server, "/small.bin"))
        hanging.start()
        while not server.log():
            time.sleep(0.01)
    hanging.join(5)
    assert not hanging.is_alive()
    assert _refused(url)
    with pytest.raises(RuntimeError, match="with statement"):
        server.log()


def test_dies_with_its_parent(root: Path) -> None:
    """When the process that runs the tests is killed, its server is soon gone."""
    code = (
        "import sys, time; from pathlib import Path; from bg_atlasapi.testing.server import Server\n"
        "with Server(Path(sys.argv[1])) as server: print(server.url, flush=True); time.sleep(60)"
    )
    source = str(Path(bg_atlasapi.__file__).parents[1])
    command = [sys.executable, "-c", code, str(root)]
    environment = {**os.environ, "PYTHONPATH": source}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        url = parent.stdout.readline().strip()
        assert not _refused(url)
        parent.kill()
    deadline = time.monotonic() + 5
    while not _refused(url) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert _refused(url)


def test_start_that_fails(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends at once is an error that says so, and leaves nothing behind."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="ended as it started, code 1"), Server(root):
        pass


def test_working_folder_does_not_matter(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that look like modules, where the tests run, are not imported; the root may be relative."""
    (root.parent / "socket.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(root.parent)
    with Server(Path("root")) as server:
        assert _get(server, "/small.bin").body == SMALL
