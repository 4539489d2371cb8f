"""Servers and proxies that misbehave: an atlas comes whole, or an error says what to do. Never half."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bg_atlasapi import update_atlases
from bg_atlasapi.cli import outcome
from bg_atlasapi.errors import (
    AtlasError,
    ChecksumError,
    IncompleteAtlasError,
    InvalidAtlasError,
    InvalidInputError,
    OfflineError,
    RefusedError,
    RemoteError,
    UnknownAtlasError,
    UnreachableError,
)
from bg_atlasapi.list_atlases import available_atlases, find_atlases
from bg_atlasapi.store import index, inventories
from bg_atlasapi.store.transfer import download
from bg_atlasapi.store.transport import http
from bg_atlasapi.testing import tiny_package
from bg_atlasapi.testing.server import Fault, Proxy, Server

NAME = "tiny_mouse_100um"
INDEX, ARCHIVE = "/last_versions.conf", f"/{NAME}_v1.0.tar.gz"
SECRET = "s3cr%40et/x"
BOUND_S = 20.0  # nothing here may take longer; the time-out is half a second

Files = dict[str, str]


def hashes(folder: Path) -> Files:
    """Return the SHA-256 of every file, by key."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def publish(remote: Path, *, seed: int = 0, size: int = 600_000) -> Files:
    """Write an archive that hardly compresses, and an index; return its files."""
    folder = tiny_package(remote.parent / f"unpacked-{remote.name}-{seed}")
    with (folder / "nissl.tiff").open("ab") as file:
        file.write(np.random.default_rng(seed).bytes(size))
    remote.mkdir(exist_ok=True)
    beside = remote / "beside"
    with tarfile.open(beside, "w:gz", compresslevel=1) as tar:
        tar.add(folder, folder.name)
    beside.replace(remote / ARCHIVE[1:])
    (remote / INDEX[1:]).write_text(f"[atlases]\n{NAME} = 1.0\n")
    return hashes(folder)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Files]:
    """Publish one atlas for all tests that do not change it."""
    remote = tmp_path_factory.mktemp("published") / "remote"
    return remote, publish(remote)


@pytest.fixture(scope="module")
def running(published: tuple[Path, Files]) -> Iterator[Server]:
    """Serve it."""
    with Server(published[0]) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    """Return the server, behaving well."""
    running.clear()
    running.reset_log()
    return running


@pytest.fixture
def other(published: tuple[Path, Files]) -> Iterator[Server]:
    """Return another server with the same files."""
    with Server(published[0]) as server:
        yield server


@pytest.fixture
def dead() -> str:
    """Return an address where nobody listens."""
    with contextlib.closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{sock.getsockname()[1]}"


@pytest.fixture(autouse=True)
def layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of atlases; wait half a second where others wait 15, and small pauses."""
    monkeypatch.setenv("BRAINGLOBE_DIR", str(tmp_path / "atlases"))
    monkeypatch.setenv("BRAINGLOBE_TIMEOUT", "0.5")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(http.random, "uniform", lambda _low, _high: 0.05)
    return tmp_path / "atlases"


def within(work: Callable[[], Any], seconds: float = BOUND_S) -> Any:
    """Do something that must not hang, in a thread that may be left behind."""
    got: list[Any] = []

    def run() -> None:
        try:
            got.append((work(), None))
        except BaseException as error:  # noqa: BLE001 - raised again below
            got.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert got, f"this still hangs after {seconds} s"
    if got[0][1] is not None:
        raise got[0][1]
    return got[0][0]


def install(*remotes: str, name: str = NAME, **options: Any) -> Path:
    """Install from these remotes, in bounded time."""
    atlas = within(lambda: update_atlases.install_atlas(name, remotes=remotes, **options))
    return atlas.path


def refused(kind: type[AtlasError], code: int, *remotes: str, **options: Any) -> str:
    """Install in vain; return what the command line says of it, which must read well."""
    with pytest.raises(AtlasError) as caught:
        install(*remotes, **options)
    assert type(caught.value) is kind or issubclass(type(caught.value), kind), repr(caught.value)
    assert outcome.exit_code(caught.value) == code
    said = outcome.sentence(caught.value)
    assert_readable(said)
    nothing_half()
    return said


def assert_readable(said: str) -> None:
    """Check what no message may hold, and that it ends."""
    assert not re.search(r"object at 0x|Traceback|urllib3|Error\(|Errno|HTTPConnection", said), said
    assert SECRET not in said
    assert "s3cr" not in said
    assert "None" not in said
    assert said.rstrip()[-1] in ".?])", said
    assert not said.endswith("..")
    assert ". ." not in said


def nothing_half() -> None:
    """Check that no atlas is there, nor a half of one."""
    layer = Path(os.environ["BRAINGLOBE_DIR"])
    assert not list(layer.glob("*_v*"))
    assert not list(layer.glob(".bg_atlasapi/staging/*"))


# Faults that do not matter, or pass

PASSING = {
    "index busy for a second": (INDEX, Fault(status=429, retry_after=1, times=1)),
    "index fails twice": (INDEX, Fault(status=500, times=2)),
    "index gateway": (INDEX, Fault(status=502, times=1)),
    "index never answers once": (INDEX, Fault(hang_connect=True, times=1)),
    "index stalls once": (INDEX, Fault(stall_after=3, times=1)),
    "index reset once": (INDEX, Fault(reset_after=3, times=1)),
    "index closes early once": (INDEX, Fault(close_after=3, times=1)),
    "index shorter than announced once": (INDEX, Fault(length_delta=9, times=1)),
    "index without length": (INDEX, Fault(no_length=True)),
    "index chunked": (INDEX, Fault(chunked=True)),
    "index compressed unasked": (INDEX, Fault(gzip_encoding=True)),
    "archive busy": (ARCHIVE, Fault(status=503, retry_after=1, times=1)),
    "archive busy till a date": (
        ARCHIVE,
        Fault(status=503, retry_after="Wed, 21 Oct 2015 07:28:00 GMT", times=1),
    ),
    "archive fails twice": (ARCHIVE, Fault(status=500, times=2)),
    "archive never answers once": (ARCHIVE, Fault(hang_connect=True, times=1)),
    "archive stalls once": (ARCHIVE, Fault(stall_after=100_000, times=1)),
    "archive stalls at its end": (ARCHIVE, Fault(stall_after=1 << 30, times=1)),
    "archive reset again and again": (ARCHIVE, Fault(reset_after=100_000)),
    "archive closes early again and again": (ARCHIVE, Fault(close_after=100_000)),
    "archive announces more": (ARCHIVE, Fault(length_delta=5)),
    "archive announces less once": (ARCHIVE, Fault(length_delta=-5, times=1)),
    "archive without length": (ARCHIVE, Fault(no_length=True)),
    "archive without length or ranges": (ARCHIVE, Fault(no_length=True, ignore_range=True)),
    "archive chunked": (ARCHIVE, Fault(chunked=True)),
    "archive chunked without ranges": (ARCHIVE, Fault(chunked=True, ignore_range=True)),
    "chunked, breaks once": (
        ARCHIVE,
        Fault(chunked=True, ignore_range=True, close_after=9, times=1),
    ),
    "archive ignores ranges": (ARCHIVE, Fault(ignore_range=True)),
    "ignores ranges, breaks once": (ARCHIVE, Fault(ignore_range=True, close_after=99_999, times=1)),
    "archive gives the wrong range": (ARCHIVE, Fault(wrong_range=True)),
    "archive damaged at its start": (ARCHIVE, Fault(flip_byte=0, times=1)),
    "archive damaged in its middle": (ARCHIVE, Fault(flip_byte=300_000, times=1)),
    "archive damaged in its checksum": (ARCHIVE, Fault(flip_byte=-6, times=1)),
    "without validators": (
        ARCHIVE,
        Fault(drop_etag=True, header={"Last-Modified": None}, close_after=99_999, times=1),
    ),
    "with a weak validator": (ARCHIVE, Fault(etag='W/"x"', close_after=100_000)),
    "a Content-Range that says nothing": (ARCHIVE, Fault(header={"Content-Range": "bytes */*"})),
    "no Content-Range": (ARCHIVE, Fault(header={"Content-Range": None})),
}


@pytest.mark.parametrize("case", PASSING)
def test_faults_that_pass(server: Server, published: tuple[Path, Files], case: str) -> None:
    """The atlas comes, and every byte of it is what was published."""
    pattern, fault = PASSING[case]
    server.set(pattern, fault)
    assert hashes(install(server.url)) == published[1]


LASTING = {
    "index never answers": (INDEX, Fault(hang_connect=True), "nothing came for 0.5 s"),
    "index stalls": (INDEX, Fault(stall_after=3), "nothing came for 0.5 s"),
    "index resets": (INDEX, Fault(reset_after=3), "connection reset"),
    "index closes early": (INDEX, Fault(close_after=3), "broke off"),
    "index announces more": (INDEX, Fault(length_delta=5), "broke off"),
    "index announces less": (INDEX, Fault(length_delta=-5), "not an index"),
    "index is a page": (
        INDEX,
        Fault(html=True),
        "web page instead of .*open any page in a browser",
    ),
    "index for members": (INDEX, Fault(status=401), r"asks for a login \(HTTP 401\)"),
    "index forbidden": (INDEX, Fault(status=403), r"does not allow it \(HTTP 403\).*name another"),
    "index busy": (INDEX, Fault(status=503), r"is in trouble \(HTTP 503\).*Try again later"),
    "index busy for an hour": (INDEX, Fault(status=503, retry_after=3600), "again in 3,600 s"),
    "index limited": (INDEX, Fault(status=429), "fewer requests.*Try again later"),
    "index loops": (INDEX, Fault(redirect_to=INDEX), "redirects without end"),
    "index teapot": (INDEX, Fault(status=418), r"refuses \(HTTP 418\)"),
    "archive never answers": (ARCHIVE, Fault(hang_connect=True), "nothing came for 0.5 s"),
    "archive stalls at once": (ARCHIVE, Fault(stall_after=0), "nothing came for 0.5 s"),
    "archive resets at once": (ARCHIVE, Fault(reset_after=0), "connection reset"),
    "archive closes at once": (ARCHIVE, Fault(close_after=0), "broke off"),
    "archive announces less": (ARCHIVE, Fault(length_delta=-5), "broke off"),
    "archive is a page": (ARCHIVE, Fault(html=True), "web page instead of"),
    "archive gone": (ARCHIVE, Fault(status=404), r"has no such file \(HTTP 404\)"),
    "archive for ever gone": (ARCHIVE, Fault(status=410), "has no such file any more"),
    "archive for members": (ARCHIVE, Fault(status=401), "asks for a login"),
    "archive forbidden": (ARCHIVE, Fault(status=403), "does not allow it"),
    "archive busy": (ARCHIVE, Fault(status=503), "is in trouble"),
    "archive loops": (ARCHIVE, Fault(redirect_to=ARCHIVE), "redirects without end"),
}


@pytest.mark.parametrize("case", LASTING)
def test_faults_that_last(server: Server, case: str) -> None:
    """A remote error, code 5, that names the host and says what happened; the next try works."""
    pattern, fault, words = LASTING[case]
    server.set(pattern, fault)
    said = refused(RemoteError, outcome.REMOTE, server.url)
    assert re.search(words, said), said
    assert server.url.removeprefix("http://") in said
    server.clear()
    install(server.url)


DAMAGED = {
    "damaged": (Fault(flip_byte=300_000), InvalidAtlasError, "gzip data is damaged"),
    "no archive": (Fault(flip_byte=0), InvalidAtlasError, "not a tar archive"),
    "compressed twice": (Fault(gzip_encoding=True), InvalidAtlasError, "compressed twice"),
    "cut, and nothing tells": (
        Fault(no_length=True, ignore_range=True, close_after=100_000),
        IncompleteAtlasError,
        "cut short.*100,000 bytes.*Fetch it again",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damage_without_a_published_hash(server: Server, case: str) -> None:
    """Seen by the archive itself, fetched a second time, then code 4; nothing of it is kept."""
    fault, kind, words = DAMAGED[case]
    server.set(ARCHIVE, fault)
    said = refused(kind, outcome.INVALID_ATLAS, server.url)
    assert re.search(words, said), said
    assert len(server.log(ARCHIVE)) == 2
    server.clear()
    install(server.url)


@pytest.mark.parametrize("where", ["same", "other"])
def test_redirects_are_followed(
    server: Server, other: Server, published: tuple[Path, Files], where: str
) -> None:
    """To another path, and to another host, for index and archive; also for pieces."""
    target = {"same": "", "other": other.url}[where]
    folder = published[0] / "moved"
    folder.mkdir(exist_ok=True)
    for path in (INDEX, ARCHIVE):
        shutil.copy(published[0] / path[1:], folder)
        server.set(path, redirect_to=f"{target}/moved{path}")
    other.set("/moved/*", close_after=200_000)
    assert hashes(install(server.url)) == published[1]


# Hashes


def test_sha256_beside_the_archive(server: Server, published: tuple[Path, Files]) -> None:
    """A right one is taken; a wrong one is an error after a second try, with both values."""
    beside = published[0] / f"{ARCHIVE[1:]}.sha256"
    try:
        digest = hashlib.sha256((published[0] / ARCHIVE[1:]).read_bytes()).hexdigest()
        beside.write_text(f"{'0' * 64}  {ARCHIVE[1:]}\n")
        said = refused(ChecksumError, outcome.REMOTE, server.url)
        assert f"its SHA-256 is {digest}, expected {'0' * 64}" in said
        assert server.url in said
        beside.write_text(f"{digest} *{ARCHIVE[1:]}\n")
        install(server.url)
    finally:
        beside.unlink()


def test_a_sha256_that_is_none_is_passed_over(
    server: Server, published: tuple[Path, Files]
) -> None:
    """A page, or other text, in place of the hash does not stand in the way."""
    beside = published[0] / f"{ARCHIVE[1:]}.sha256"
    try:
        beside.write_text("not a hash")
        assert hashes(install(server.url)) == published[1]
    finally:
        beside.unlink()


@pytest.mark.parametrize("flip", [0, 300_000, -6])
def test_inventory_of_a_remote(tmp_path: Path, flip: int) -> None:
    """With inventory.json, damage on the way is told as such, and mended by a second try."""
    remote = tmp_path / "remote"
    files = publish(remote)
    inventories.write_inventories(remote)
    with Server(remote) as server:
        server.set(ARCHIVE, flip_byte=flip)
        said = refused(ChecksumError, outcome.REMOTE, server.url)
        assert "is not what was published: its SHA-256" in said
        server.set(ARCHIVE, Fault(flip_byte=flip, times=1), Fault())
        assert hashes(install(server.url)) == files


def test_a_size_that_is_not_the_published_one(tmp_path: Path) -> None:
    """Is told before the file is fetched."""
    remote = tmp_path / "remote"
    publish(remote)
    inventories.write_inventories(remote)
    publish(remote, seed=1, size=900_000)
    with Server(remote, rate=1_000_000) as server:
        said = refused(ChecksumError, outcome.REMOTE, server.url)
        assert "its size is " in said
        assert server.sent(ARCHIVE) < 600_000


def test_md5_that_s3_publishes(
    published: tuple[Path, Files], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tag of S3 is the file's MD5; one that is not is an error with both values."""
    with Server(published[0], s3_bucket="bucket") as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        server.set(f"*{ARCHIVE}", etag="0" * 32)
        said = refused(ChecksumError, outcome.REMOTE, "s3://bucket")
        assert re.search(rf"its MD5 is [0-9a-f]{{32}}, expected {'0' * 32}", said)
        server.set(f"*{ARCHIVE}", etag=f"{'0' * 32}-7")  # stored in parts: no MD5
        assert hashes(install("s3://bucket")) == published[1]


# Files that change


def interrupted(server: Server, *remotes: str) -> None:
    """Break a download off behind its first bytes."""
    server.set(ARCHIVE, Fault(close_after=200_000, times=1), Fault(status=503))
    refused(RefusedError, outcome.REMOTE, *remotes)
    server.clear()
    server.reset_log()


def test_an_interrupted_download_goes_on(server: Server, published: tuple[Path, Files]) -> None:
    """The next try asks only for what is missing, on condition that the file is the same."""
    interrupted(server, server.url)
    assert hashes(install(server.url)) == published[1]
    request = server.log(ARCHIVE)[0]
    assert request.range is not None
    assert request.range.startswith("bytes=200000-")
    assert request.if_range is not None
    assert server.sent(ARCHIVE) == (published[0] / ARCHIVE[1:]).stat().st_size - 200_000


@pytest.mark.parametrize("validators", ["etag", "date", "none"])
def test_a_file_that_changes_between_two_tries(tmp_path: Path, validators: str) -> None:
    """Comes whole and new, never joined of two, whatever the server tells of changes."""
    remote = tmp_path / "remote"
    publish(remote)
    os.utime(remote / ARCHIVE[1:], (1e9, 1e9))
    fault: dict[str, Any] = {}
    if validators == "none":
        fault = {"header": {"Last-Modified": None}}
    with Server(remote, etags=validators == "etag") as server:
        server.set(ARCHIVE, Fault(close_after=200_000, times=1, **fault), Fault(status=503))
        refused(RefusedError, outcome.REMOTE, server.url)
        server.clear()
        server.set(ARCHIVE, **fault)
        files = publish(remote, seed=1)
        assert hashes(install(server.url)) == files


def test_a_file_that_changes_during_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces of the old and of the new are never joined: it starts over."""
    monkeypatch.setattr(download, "PIECE", 1 << 16)
    remote = tmp_path / "remote"
    publish(remote)
    changed: list[Files] = []

    def change(_done: int, _total: int) -> None:
        if not changed:
            changed.append(publish(remote, seed=1))

    # Slow: on a busy machine, too, the new one is there before the old one has come.
    with Server(remote, rate=200_000) as server:
        assert hashes(install(server.url, fn_update=change)) == changed[0]
        assert any(request.if_range for request in server.log(ARCHIVE))


def test_a_file_whose_tag_always_changes(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A farm of servers that do not agree: fetched once more over one connection."""
    monkeypatch.setattr(download, "PIECE", 1 << 16)
    server.set(ARCHIVE, *(Fault(etag=f"tag{n}", times=1) for n in range(200)))
    install(server.url)
    assert server.log(ARCHIVE)[-1].range is None


# Indexes

HOSTILE = (
    "../../x = 1.0\n/etc/x = 1.0\na/b = 1.0\nC:\\x = 1.0\n.hidden = 1.0\na b = 1.0\n-x = 1.0\n"
)
BAD_INDEXES = {
    "empty": b"",
    "binary": np.random.default_rng(1).bytes(500),
    "zeros": bytes(1000),
    "text": b"hello world\nfoo\n",
    "json": b'{"atlases": {}}',
    "another section": b"[other]\na = 1.0\n",
    "latin": b"[atlases]\n\xe9 = 1.0\n",
    "odd versions only": b"[atlases]\na = one\n",
    "hostile names only": f"[atlases]\n{HOSTILE}".encode(),
}


@pytest.mark.parametrize("case", BAD_INDEXES)
def test_an_index_that_is_none(tmp_path: Path, case: str, layer: Path) -> None:
    """A remote error that shows how it begins; nothing is made outside the folder of atlases."""
    (tmp_path / "remote").mkdir()
    (tmp_path / "remote" / INDEX[1:]).write_bytes(BAD_INDEXES[case])
    with Server(tmp_path / "remote") as server:
        said = refused(RefusedError, outcome.REMOTE, server.url)
    assert "is not an index of atlases" in said
    assert {path.name for path in tmp_path.iterdir()} <= {"remote", layer.name}


def test_hostile_names_in_an_index(server: Server, published: tuple[Path, Files]) -> None:
    """Are left out of it; the good one between them works."""
    (published[0] / "odd").mkdir(exist_ok=True)
    shutil.copy(published[0] / ARCHIVE[1:], published[0] / "odd")
    text = f"[atlases]\n{HOSTILE}{NAME} = 1.0\nbad = ../../1.0\n{NAME}2 = 1.0\n"
    (published[0] / "odd" / INDEX[1:]).write_text(text)
    remote = f"{server.url}/odd"
    names = {known.name for known in find_atlases(remotes=remote)}
    assert names == {"phantom_mouse_100um", NAME, f"{NAME}2"}
    for name in ("../../x", "/etc/x", "a/b", "x\ny", ""):
        refused(InvalidInputError, outcome.INVALID_INPUT, remote, name=name)


def test_a_huge_index(
    server: Server, published: tuple[Path, Files], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred thousand names are read; 65 MB are not."""
    monkeypatch.setenv("BRAINGLOBE_TIMEOUT", "15")  # nothing is slow here but a busy machine
    (published[0] / "huge").mkdir(exist_ok=True)
    path = published[0] / "huge" / INDEX[1:]
    path.write_text("[atlases]\n" + "".join(f"a{n} = 1.0\n" for n in range(100_000)))
    with pytest.raises(UnknownAtlasError, match="There is no atlas"):
        install(f"{server.url}/huge")
    with path.open("wb") as file:
        file.truncate(65 << 20)
    said = refused(UnknownAtlasError, outcome.UNKNOWN, f"{server.url}/huge")  # it was seen before
    assert "far too long" in said
    path.unlink()


# Several remotes


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=404),
        Fault(html=True),
        Fault(flip_byte=300_000),
        Fault(hang_connect=True),
        Fault(length_delta=-5),
    ],
    ids=str,
)
def test_the_second_remote_has_it(
    server: Server, other: Server, published: tuple[Path, Files], fault: Fault
) -> None:
    """Whatever is wrong with the archive at the first, it comes from the second."""
    server.set(ARCHIVE, fault)
    assert hashes(install(server.url, other.url)) == published[1]
    assert other.sent(ARCHIVE)


def test_the_first_breaks_in_mid_download(
    server: Server, other: Server, published: tuple[Path, Files]
) -> None:
    """The second gives all of it; the halves of two hosts are not joined."""
    server.set(ARCHIVE, Fault(close_after=200_000, times=1), Fault(status=503))
    assert hashes(install(server.url, other.url)) == published[1]
    assert other.sent(ARCHIVE) == (published[0] / ARCHIVE[1:]).stat().st_size


def test_a_dead_first_remote(server: Server, dead: str, published: tuple[Path, Files]) -> None:
    """Is passed over."""
    assert hashes(install(dead, server.url)) == published[1]


def test_a_first_remote_without_the_atlas(
    server: Server, tmp_path: Path, published: tuple[Path, Files]
) -> None:
    """Is passed over."""
    (tmp_path / "remote").mkdir()
    (tmp_path / "remote" / INDEX[1:]).write_text("[atlases]\nelse_mouse_10um = 1.0\n")
    with Server(tmp_path / "remote") as empty:
        assert hashes(install(empty.url, server.url)) == published[1]


def test_all_remotes_fail(server: Server, other: Server) -> None:
    """The error tells of each."""
    server.set(ARCHIVE, status=503)
    other.set(ARCHIVE, html=True)
    said = refused(RemoteError, outcome.REMOTE, server.url, other.url)
    assert "could not be installed from any remote" in said
    for one in (server, other):
        assert one.url in said


def test_a_known_name_does_not_become_unknown(server: Server, other: Server, dead: str) -> None:
    """A remote that cannot be asked now, and had it when last seen, may have it still."""
    install(server.url)
    update_atlases.remove_atlas(NAME)
    server.set("*", status=503)
    said = refused(RefusedError, outcome.REMOTE, server.url)
    assert f"{NAME} cannot be downloaded now" in said
    said = refused(UnknownAtlasError, outcome.UNKNOWN, server.url, name="tiny_mouse_10um")
    assert f"Did you mean {NAME}" in said
    assert "Not every remote could be asked" in said
    # A remote never seen may have anything: an error of the network, with a hint.
    said = refused(UnreachableError, outcome.REMOTE, dead, other.url, name="tiny_mouse_10um")
    assert f"If the name is not right, did you mean {NAME}?" in said
    assert said.count("To work without the network") == 1


def test_names_and_versions_that_no_remote_has(server: Server) -> None:
    """Code 3, with what is close and what there is."""
    said = refused(UnknownAtlasError, outcome.UNKNOWN, server.url, name="tiny_mouse_10um")
    assert f"Did you mean {NAME}" in said
    said = refused(UnknownAtlasError, outcome.UNKNOWN, server.url, version="9.9")
    assert f"There is no version 9.9 of {NAME}; there are: 1.0." in said


def test_listing_survives_every_remote(server: Server, dead: str) -> None:
    """What is here is listed, whatever the remotes answer, and what was seen before."""
    install(server.url)
    server.set("*", html=True)
    remotes = [server.url, dead, f"{server.url}/none", "gopher://x"]
    table = within(lambda: available_atlases(remotes=remotes, fresh=True))
    row = table.set_index("name").loc[NAME]
    assert (row["local"], row["latest"]) == ("1.0", "1.0")


def test_addresses_that_are_none(server: Server) -> None:
    """Are named, code 2, without a try."""
    for address in ("gopher://x", "http://", "https:///path", "http://127.0.0.1:99999999"):
        said = refused(InvalidInputError, outcome.INVALID_INPUT, address)
        assert address in said
    assert not server.log()


# Proxies


def with_login(url: str) -> str:
    """Write a name and a password into an address."""
    return url.replace("//", f"//me:{SECRET.replace('/', '%2F')}@")


def test_proxies_of_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY, http_proxy and ALL_PROXY are used, also without scheme, and NO_PROXY heeded."""
    with Proxy() as proxy:
        for name, value, used in (
            ("HTTP_PROXY", proxy.url, True),
            ("http_proxy", proxy.url, True),
            ("HTTP_PROXY", proxy.url.removeprefix("http://"), True),
            ("ALL_PROXY", proxy.url, True),
            ("HTTPS_PROXY", proxy.url, False),
        ):
            with monkeypatch.context() as patch:
                patch.setenv(name, value)
                proxy.reset_log()
                install(server.url)
                update_atlases.remove_atlas(NAME)
                assert bool(proxy.log()) == used, name
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        proxy.reset_log()
        for hosts in ("127.0.0.1", "*", "example.org, 127.0.0.1"):
            monkeypatch.setenv("NO_PROXY", hosts)
            install(server.url)
            update_atlases.remove_atlas(NAME)
        assert not proxy.log()


def test_a_login_for_the_proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is sent, decoded, and shown nowhere."""
    with Proxy() as proxy:
        monkeypatch.setenv("HTTP_PROXY", with_login(proxy.url))
        install(server.url)
        sent = proxy.log()[0].headers["proxy-authorization"]
    import base64

    assert base64.b64decode(sent.removeprefix("Basic ")) == b"me:s3cr@et/x"


@pytest.mark.parametrize(
    ("status", "words"), [(403, "does not allow it"), (407, "asks for a login")]
)
def test_a_proxy_that_refuses(
    server: Server, monkeypatch: pytest.MonkeyPatch, status: int, words: str
) -> None:
    """The message names the proxy, without the login, for plain addresses and for tunnels."""
    with Proxy(refuse=status) as proxy:
        monkeypatch.setenv("HTTP_PROXY", with_login(proxy.url))
        monkeypatch.setenv("HTTPS_PROXY", with_login(proxy.url))
        said = refused(RefusedError, outcome.REMOTE, server.url)
        assert re.search(rf"the proxy {proxy.url}.*{words}", said, re.IGNORECASE), said
        said = refused(UnreachableError, outcome.REMOTE, "https://example.org")
        assert f"through the proxy {proxy.url}: the proxy refuses (HTTP {status})" in said
        assert ("NAME:PASSWORD@HOST" in said) == (status == 407)
    assert not server.log()


def test_proxies_that_are_not_there(
    server: Server, dead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused connections, and addresses that are none: the proxy is named, without the login."""
    for name, address in (("HTTP_PROXY", server.url), ("HTTPS_PROXY", "https://example.org")):
        with monkeypatch.context() as patch:
            patch.setenv(name, dead.replace("//", "//me:s3cr@t@"))
            said = refused(UnreachableError, outcome.REMOTE, address)
            assert f"cannot be reached through the proxy {dead}: connection refused." in said
            assert "@" not in said
    for value in ("http://me:s3cret@:::", "gopher://me:s3cret@localhost:1"):
        with monkeypatch.context() as patch:
            patch.setenv("HTTP_PROXY", value)
            said = refused(InvalidInputError, outcome.INVALID_INPUT, server.url)
            assert "that the environment names cannot be used" in said
            assert "NO_PROXY" in said


def test_a_login_in_the_address_of_a_remote(server: Server, layer: Path) -> None:
    """Is in no message and in no record of the atlas."""
    address = server.url.replace("//", "//me:s3cret@")
    install(address)
    records = layer / ".bg_atlasapi" / "inventories"
    assert "s3cret" not in "".join(path.read_text() for path in records.iterdir())
    update_atlases.remove_atlas(NAME)
    for pattern, fault in (
        ("*", Fault(status=401)),
        (INDEX, Fault(html=True)),
        (ARCHIVE, Fault(html=True)),
        (ARCHIVE, Fault(flip_byte=300_000)),
        (ARCHIVE, Fault(stall_after=0)),
        (ARCHIVE, Fault(length_delta=-5)),
    ):
        server.clear()
        server.set(pattern, fault)
        with pytest.raises(AtlasError) as caught:
            install(address)
        assert "s3cret" not in str(caught.value)
        assert "me:" not in str(caught.value)


# Certificates

_HTTPS = """
import http.server, ssl, sys, functools
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
handler.log_message = lambda *_: None
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def secure(
    published: tuple[Path, Files], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """Serve the atlas over HTTPS with a certificate nobody knows; return address and certificate."""
    command = shutil.which("openssl")
    if command is None:
        pytest.skip("needs the command openssl")
    folder = tmp_path_factory.mktemp("certificate")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    made = subprocess.run(
        [
            *(command, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", str(key), "-out", str(certificate), "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        ],
        capture_output=True,
        check=False,
        timeout=60,
    )
    if made.returncode:
        pytest.skip("this openssl makes no certificate")
    process = subprocess.Popen(
        [sys.executable, "-c", _HTTPS, str(published[0]), str(certificate), str(key)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        yield f"https://127.0.0.1:{int(process.stdout.readline())}", certificate
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_certificate_that_is_not_trusted(secure: tuple[str, Path]) -> None:
    """Is refused, with the reason and the variable that names others."""
    said = refused(UnreachableError, outcome.REMOTE, secure[0])
    assert "its certificate is not trusted (self-signed certificate" in said.replace(
        "self s", "self-s"
    )
    assert "SSL_CERT_FILE" in said


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_of_the_environment(
    secure: tuple[str, Path],
    published: tuple[Path, Files],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    """A file named at any time is trusted from then on."""
    monkeypatch.setenv(variable, str(secure[1]))
    assert hashes(install(secure[0])) == published[1]


def test_certificates_that_cannot_be_read(
    secure: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Are named."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    said = refused(InvalidInputError, outcome.INVALID_INPUT, secure[0])
    assert "none.pem" in said


def test_plain_http_where_https_is_asked(server: Server) -> None:
    """A sentence, not the words of a TLS library."""
    said = refused(UnreachableError, outcome.REMOTE, server.url.replace("http:", "https:"))
    assert "no secure connection" in said


# The command line as people see it


def brainglobe(*args: str, **env: str) -> tuple[int, str, str, float]:
    """Run the command in a process of its own; return code, output, messages, seconds."""
    code = "from bg_atlasapi.cli import main; main()"
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr, time.monotonic() - began


def test_what_the_command_line_says(server: Server, dead: str) -> None:
    """Codes 0, 3, 4 and 5; one line each, and no traceback."""
    base = {"BRAINGLOBE_REMOTES": server.url}
    cases: list[tuple[int, str, Fault, dict[str, str]]] = [
        (5, ARCHIVE, Fault(status=404), {}),
        (4, ARCHIVE, Fault(flip_byte=300_000), {}),
        (5, ARCHIVE, Fault(html=True), {}),
        (5, "none", Fault(), {"BRAINGLOBE_REMOTES": dead}),
        (5, "none", Fault(), {"BRAINGLOBE_OFFLINE": "1"}),
        (5, INDEX, Fault(stall_after=2), {}),
        (0, ARCHIVE, Fault(close_after=200_000), {}),
    ]
    for code, pattern, fault, env in cases:
        server.clear()
        server.set(pattern, fault)
        got, out, said, seconds = brainglobe("install", NAME, **{**base, **env})
        assert got == code, said
        assert seconds < BOUND_S
        if code:
            assert out == ""
            assert said.startswith("Error: ")
            assert said.count("\n") == 1
            assert_readable(said.strip())
    server.clear()
    assert brainglobe("install", "tiny_mouse_10um", **base)[0] == outcome.UNKNOWN


def test_the_network_switched_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked, and the message says how to go on."""
    monkeypatch.setenv("BRAINGLOBE_OFFLINE", "1")
    said = refused(OfflineError, outcome.REMOTE, server.url)
    assert "BRAINGLOBE_OFFLINE is set" in said
    assert "brainglobe add PATH" in said
    assert not server.log()


def test_an_index_seen_before_is_kept(server: Server, layer: Path) -> None:
    """For the time when the remote cannot be asked."""
    find_atlases(remotes=server.url)
    seen = index.recall([layer], server.url)
    assert seen is not None
    assert seen.versions[NAME] == ((1, 0),)
