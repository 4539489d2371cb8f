"""Transfers and servers at their worst: other file systems, two versions, nonsense, logins."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bg_atlasapi.errors import ChecksumError, InvalidInputError, RefusedError, RemoteError
from bg_atlasapi.store import index
from bg_atlasapi.store.transfer import download, files
from bg_atlasapi.store.transfer.checked import Checked
from bg_atlasapi.store.transfer.incoming import incoming
from bg_atlasapi.store.transfer.pieces import State
from bg_atlasapi.store.transfer.progress import silent
from bg_atlasapi.store.transport import listing, numbers
from bg_atlasapi.store.transport.addresses import file_at, source_of
from bg_atlasapi.store.transport.sources import Listed
from bg_atlasapi.testing.server import Fault, Server

SMALL = bytes(range(256)) * 4000
OTHER = SMALL[::-1]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait long, nor go through a proxy."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr("time.sleep", lambda _seconds, wait=time.sleep: wait(0.001))


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Server]:
    """Serve a small file."""
    folder = tmp_path / "remote"
    folder.mkdir()
    (folder / "a.bin").write_bytes(SMALL)
    with Server(folder) as server:
        yield server


Answer = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def answering() -> Iterator[Callable[[Answer], str]]:
    """Return a function that starts a server which answers as it is told, and gives its URL."""
    servers = []

    def start(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                answer(self)

            def log_message(self, *_words: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def say(request: Any, body: bytes, status: int = 200, **headers: str) -> None:
    """Answer a request."""
    request.send_response(status)
    for name, value in {"Content_Length": str(len(body)), **headers}.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(body)


def bring(url: str, tmp_path: Path, **published: Any) -> bytes:
    """Bring ``a.bin`` and return what is in its place."""
    target = tmp_path / "layer" / "a.bin"
    wanted = files.Wanted(Listed("a.bin", **published), target)
    files.bring(source_of(url), [wanted], tmp_path / "parts", silent)
    return target.read_bytes()


def take(url: str, tmp_path: Path) -> None:
    """Bring ``a.bin`` in pieces, of which nothing is known."""
    with incoming(source_of(url), Listed("a.bin"), tmp_path / "p") as file:
        file.finish()


def left_in(folder: Path) -> list[str]:
    """Return the names of the files in a folder."""
    return sorted(one.name for one in folder.rglob("*") if one.is_file())


@pytest.mark.parametrize("large", [False, True])
def test_parts_on_another_file_system(
    remote: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    """Files are copied beside their target and renamed there; nothing is left over."""
    plain = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if (tmp_path / "parts" in self.parents) != (tmp_path / "parts" in Path(target).parents):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return plain(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    if large:
        monkeypatch.setattr(files, "_LARGE", 1000)
    assert bring(remote.url, tmp_path, size=len(SMALL)) == SMALL
    assert left_in(tmp_path / "parts") == []
    assert left_in(tmp_path / "layer") == ["a.bin"]


@pytest.mark.parametrize("etags", [True, False])
@pytest.mark.parametrize("sized", [True, False])
def test_a_part_without_a_hash_is_gone_on_with(
    remote: Server, tmp_path: Path, *, etags: bool, sized: bool
) -> None:
    """Where the server gives an ETag, or a date, a later process fetches only the rest."""
    faults = {"drop_etag": not etags}
    remote.set("/a.bin", Fault(reset_after=900_000, times=1, **faults), Fault(status=404, times=1))
    size = {"size": len(SMALL)} if sized else {}
    with pytest.raises(RemoteError):
        bring(remote.url, tmp_path, **size)
    before = remote.sent("/a.bin")
    remote.set("/a.bin", **faults)
    assert bring(remote.url, tmp_path, **size) == SMALL
    assert remote.sent("/a.bin") <= len(SMALL) * 1.05 + 1000, before
    assert remote.log("/a.bin")[-1].if_range
    assert left_in(tmp_path / "parts") == []


@pytest.mark.parametrize("published", [True, False])
def test_two_versions_are_never_joined(remote: Server, tmp_path: Path, *, published: bool) -> None:
    """A file that changes between two tries, or between processes, comes anew."""
    stated = {"sha256": hashlib.sha256(OTHER).hexdigest()} if published else {}
    remote.set("/a.bin", Fault(reset_after=900_000, times=1), Fault(status=404, times=1))
    with pytest.raises(RemoteError):
        bring(remote.url, tmp_path, **stated)
    (Path(tmp_path) / "remote" / "a.bin").write_bytes(OTHER)
    assert bring(remote.url, tmp_path, **stated) == OTHER


def test_a_server_that_ignores_if_range(tmp_path: Path, answering: Callable[[Answer], str]) -> None:
    """Its part has another ETag than the one that is here, so all is fetched again."""
    asked = []

    def answer(request: Any) -> None:
        start = int((request.headers.get("Range") or "bytes=0-")[6:].rstrip("-"))
        asked.append(start)
        if len(asked) == 1:
            say(request, SMALL[:5000], Content_Length=str(len(SMALL)), ETag='"1"')
            request.close_connection = True
        elif start:
            there = f"bytes {start}-{len(OTHER) - 1}/{len(OTHER)}"
            say(request, OTHER[start:], 206, Content_Range=there, ETag='"2"')
        else:
            say(request, OTHER, ETag='"2"')

    assert bring(answering(answer), tmp_path) == OTHER
    assert asked == [0, 5000, 0]


def test_without_a_validator_all_comes_again(
    tmp_path: Path, answering: Callable[[Answer], str]
) -> None:
    """Nothing tells whether the rest is of the same file; and there is an end to the tries."""

    def answer(request: Any) -> None:
        assert "Range" not in request.headers
        say(request, SMALL[:5000], Content_Length=str(len(SMALL)))
        request.close_connection = True

    with pytest.raises(RemoteError, match="broke off"):
        bring(answering(answer), tmp_path)
    assert left_in(tmp_path / "parts") == []


def test_a_whole_part_of_unknown_size(remote: Server, tmp_path: Path) -> None:
    """The server answers 416 to a request for what follows the end: begin again."""
    parts = tmp_path / "parts"
    parts.mkdir()
    stated = Listed("a.bin", sha256=hashlib.sha256(SMALL).hexdigest())
    name = hashlib.sha256(f"{remote.url}/a.bin {stated}".encode()).hexdigest()[:24]
    (parts / f"{name}.part").write_bytes(SMALL)
    assert bring(remote.url, tmp_path, sha256=stated.sha256) == SMALL


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize("field", ["Content-Range", "Content-Length"])
def test_impossible_sizes(
    tmp_path: Path, answering: Callable[[Answer], str], field: str, *, small: bool
) -> None:
    """A file of 10**17 bytes is refused at once, in words."""

    def answer(request: Any) -> None:
        if field == "Content-Range":
            say(request, b"x", 206, Content_Range=f"bytes 0-0/{10**17}")
        else:
            say(request, b"x", Content_Length=str(10**17))
            request.close_connection = True

    url = answering(answer)
    with pytest.raises(RefusedError, match="impossible size"):
        bring(url, tmp_path) if small else take(url, tmp_path)


@pytest.mark.parametrize("small", [True, False])
def test_parts_that_do_not_say_which(
    tmp_path: Path, answering: Callable[[Answer], str], *, small: bool
) -> None:
    """206 without Content-Range, whatever is asked, is an error in words."""
    url = answering(lambda request: say(request, b"x" * 100, 206))
    with pytest.raises(RefusedError, match="a part of .* not asked"):
        bring(url, tmp_path) if small else take(url, tmp_path)
    with pytest.raises(RefusedError, match="a part of .* not asked"):
        source_of(url).read("a.bin")


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": "abc"},
        {"piece": 1.5},
        {"piece": 0},
        {"piece": True},
        {"size": 10**14, "piece": 1},
        {"size": 1 << 44, "piece": 1},
        {"size": -1},
        {"url": 3},
        {"validator": []},
        {"ranges": "yes"},
        {"other": 1},
    ],
)
def test_a_record_with_nonsense(remote: Server, tmp_path: Path, wrong: dict[str, Any]) -> None:
    """What was written by something else is not gone on with."""
    folder = tmp_path / "p"
    url = f"{remote.url}/a.bin"
    sound = State(url, None, len(SMALL), True, download.PIECE, None, None)
    sound.save(folder)
    assert State.load(folder) == sound
    stored = {**json.loads((folder / "state.json").read_bytes()), **wrong}
    (folder / "state.json").write_text(json.dumps(stored))
    (folder / "0").write_bytes(b"wrong")
    with incoming(source_of(remote.url), Listed("a.bin"), folder) as file:
        assert file.finish() == (len(SMALL), hashlib.sha256(SMALL).hexdigest())


def s3_page(token: int, *, entries: str = "") -> bytes:
    """Return a page of an S3 listing that is not the last."""
    return (
        "<ListBucketResult><IsTruncated>true</IsTruncated><CommonPrefixes><Prefix>a/</Prefix>"
        f"</CommonPrefixes>{entries}<NextContinuationToken>{token}</NextContinuationToken>"
        "</ListBucketResult>"
    ).encode()


@pytest.mark.parametrize("empty", [True, False])
def test_a_listing_without_end(
    answering: Callable[[Answer], str], monkeypatch: pytest.MonkeyPatch, *, empty: bool
) -> None:
    """Ever new tokens lead to an error, soon if the pages are empty."""
    monkeypatch.setattr(listing, "_MAX_PAGES", 150)
    counter = itertools.count()

    def answer(request: Any) -> None:
        number = next(counter)
        entry = f"<Contents><Key>a/{number}</Key><Size>²</Size></Contents>"
        say(request, s3_page(number, entries="" if empty else entry))

    with pytest.raises(RefusedError, match="without end"):
        list(source_of(answering(answer)).files(""))
    assert next(counter) == (101 if empty else 151)


def test_folders_without_end(
    answering: Callable[[Answer], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of fifty folders each, all the way down, are given up on."""
    monkeypatch.setattr(listing, "_MAX_PAGES", 200)
    page = "".join(f'<a href="{n}/">x</a>' for n in range(50)) + '<a href="http://[::1">x</a>'

    def answer(request: Any) -> None:
        say(request, page.encode() if request.path.count("/") < 5 else b"nothing")

    with pytest.raises(RefusedError, match="without end"):
        list(source_of(answering(answer)).files("top/"))


@pytest.mark.parametrize("text", ["²", "9" * 19, "9" * 5000, "", "-1", "1.5", "1_0", "٣", None])
def test_no_numbers(text: str | None) -> None:
    """Only ASCII digits are a number, and not too many of them."""
    assert numbers.whole_number(text) is None


def test_a_wait_of_many_digits(remote: Server) -> None:
    """It counts as none: the next try comes as if nothing had been said."""
    remote.set("/a.bin", status=503, retry_after="9" * 400, times=1)
    assert source_of(remote.url).read("a.bin") == SMALL


@pytest.mark.parametrize(
    "garbage", [b"\x1b[31mBOO\x07 \x00\r\n\r\n", b"HTTP/1.1 \x1b]0;t\x07 x\r\n\r\n"]
)
def test_control_bytes_do_not_reach_the_terminal(
    answering: Callable[[Answer], str], garbage: bytes
) -> None:
    """What a garbage server says is shown with its control bytes written out."""

    def answer(request: Any) -> None:
        request.wfile.write(garbage)
        request.close_connection = True

    with pytest.raises(RemoteError) as raised:
        source_of(answering(answer)).read("a.bin")
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("place", ["ftp://ada:pw@example.org/x", "file:///etc/passwd", "data:,x"])
def test_a_redirect_to_no_web_address(remote: Server, place: str) -> None:
    """The message says that it was a redirect, and where to, without a login."""
    remote.set("/a.bin", redirect_to=place)
    with pytest.raises(RefusedError) as raised:
        source_of(remote.url).read("a.bin")
    said = str(raised.value)
    assert "redirects" in said
    assert place.replace("ada:pw@", "") in said


@pytest.mark.parametrize("address", ["http://[::1", "s3://[x", "http://h:99999999/x", "a\0b"])
def test_addresses_that_are_none(address: str) -> None:
    """They are an argument that cannot be understood."""
    for read in (source_of, file_at):
        with pytest.raises(InvalidInputError, match="not an address"):
            read(address)


def test_hashes_in_any_case_and_empty_ones() -> None:
    """Upper case is the same hash; an empty text is none."""
    right = hashlib.sha256(b"x").hexdigest()
    for stated in (right, right.upper(), f" {right}\n"):
        checked = Checked("u", Listed("k", 1, stated))
        checked.feed(b"x")
        assert checked.result() == (1, right)
    none = Checked("u", Listed("k", 1, "", ""))
    none.feed(b"x")
    assert none.result() == (1, right)
    assert not none.has_hash
    wrong = Checked("u", Listed("k", 1, right[::-1].upper()))
    wrong.feed(b"x")
    with pytest.raises(ChecksumError):
        wrong.result()


def test_a_login_is_sent_to_its_host_only(remote: Server, tmp_path: Path) -> None:
    """As HTTP basic auth; to no other host, in no path, no message, and no file that is kept."""
    with Server(tmp_path / "remote") as elsewhere:
        remote.set("/b.bin", redirect_to=f"{elsewhere.url}/a.bin")
        remote.set("/c.bin", redirect_to="/a.bin")
        source = source_of(remote.url.replace("//", "//ada:p%40w%C3%A9@"))
        for name in ("a.bin", "b.bin", "c.bin"):
            assert source.read(name) == SMALL
        assert all("authorization" not in one.headers for one in elsewhere.log())
        assert elsewhere.log()
    said = {one.headers.get("authorization") for one in remote.log()}
    assert said == {"Basic YWRhOnBAd8Op"}
    assert all(one.headers["host"] in remote.url for one in remote.log())
    with pytest.raises(RefusedError) as raised:
        source.read("none.bin")
    assert "ada" not in str(raised.value)
    with incoming(source, Listed("a.bin"), tmp_path / "p") as file:
        file.finish()
        assert b"ada" not in (tmp_path / "p" / "state.json").read_bytes()


def test_a_listing_behind_a_login(tmp_path: Path) -> None:
    """Links on the pages of folders have no login; they are followed all the same."""
    (tmp_path / "r" / "in").mkdir(parents=True)
    (tmp_path / "r" / "in" / "a.bin").write_bytes(b"x")
    with Server(tmp_path / "r", listing=True) as server:
        source = source_of(server.url.replace("//", "//ada:pw@"))
        assert [one.key for one in source.files("")] == ["in/a.bin"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"seen": "nan"},
        {"seen": float("nan")},
        {"seen": float("inf")},
        {"seen": 1e12},
        {"seen": -1},
        {"seen": 10**400},
        {"versions": {"a": ["x"]}},
        {"versions": {"a": [[1, 2]]}},
        {"layout": "other"},
        {"remote": 3},
    ],
)
def test_a_remembered_index_with_nonsense(tmp_path: Path, wrong: dict[str, Any]) -> None:
    """It counts as not seen."""
    sound = index.Index("http://h", "packages", {"a": ((1, 2),)}, time.time())
    index.remember(tmp_path, sound)
    assert index.recall([tmp_path], "http://h") == sound
    (path,) = tmp_path.rglob("*.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **wrong}))
    assert index.recall([tmp_path], "http://h") is None


def test_names_of_a_remembered_index(tmp_path: Path) -> None:
    """A name that leads elsewhere is left out."""
    versions = {"a": ((1, 2),), "../x": ((1, 0),)}
    index.remember(tmp_path, index.Index("http://h", "packages", versions, time.time()))
    found = index.recall([tmp_path], "http://h")
    assert found is not None
    assert dict(found.versions) == {"a": ((1, 2),)}
