"""Remotes in both layouts, made of the small atlases of ``bg_atlasapi.testing``, and a layer."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bg_atlasapi.testing import tiny_components, tiny_package
from bg_atlasapi.testing.server import Server


def pack(folder: Path, target: Path) -> Path:
    """Write the archive of a package's folder, as a remote has it."""
    with (
        gzip.GzipFile(target, "wb", 6, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            member = tarfile.TarInfo(path.relative_to(folder.parent).as_posix())
            member.size = path.stat().st_size
            tar.addfile(member, io.BytesIO(path.read_bytes()))
    return target


def offer(remote: Path, *names_and_versions: str, where: str = "") -> None:
    """Write ``last_versions.conf``: ``offer(remote, "tiny_mouse_100um = 1.0")``."""
    (remote / where).mkdir(parents=True, exist_ok=True)
    text = "\n".join(["[atlases]", *names_and_versions, ""])
    (remote / where / "last_versions.conf").write_text(text)


@pytest.fixture(name="pack")
def _pack() -> Callable[[Path, Path], Path]:
    """Return the maker of archives."""
    return pack


@pytest.fixture(name="offer")
def _offer() -> Callable[..., None]:
    """Return the writer of indexes."""
    return offer


@pytest.fixture
def layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that atlases are installed in; it is not there yet."""
    folder = tmp_path / "layer"
    monkeypatch.setenv("BRAINGLOBE_DIR", str(folder))
    return folder


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return the folder of a small package, not installed."""
    return tiny_package(tmp_path / "made", symmetric=False)


@pytest.fixture
def packages(tmp_path: Path, package: Path) -> Path:
    """Return a remote with two versions of a package; its index names the newer."""
    remote = tmp_path / "packages"
    remote.mkdir()
    newer = tiny_package(tmp_path / "made", version="1.1", symmetric=False, citation="newer")
    for folder in (package, newer):
        pack(folder, remote / f"{folder.name}.tar.gz")
    offer(remote, "tiny_mouse_100um = 1.1")
    return remote


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a component store with an index: two atlases that share their components."""
    tiny_components(tmp_path / "remote", symmetric=False)
    tiny_components(tmp_path / "remote", name="tiny_mouse_200um", level=1, symmetric=False)
    folder = tmp_path / "remote" / "brainglobe-atlasapi"
    offer(folder, "tiny_mouse_100um = 3.0", "tiny_mouse_200um = 3.0", where="atlases")
    return folder


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Return a function that serves a folder until the test ends."""
    servers: list[Server] = []

    def start(root: Path, **options: object) -> Server:
        server = Server(root, **options)
        servers.append(server)
        return server.__enter__()

    yield start
    for server in servers:
        server.__exit__(None, None, None)


def contents(folder: Path) -> dict[str, str]:
    """Return the hash of every file in a folder, by its path; this library's own files left out."""
    return {
        key: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".bg_atlasapi" not in (key := path.relative_to(folder).as_posix())
    }


@pytest.fixture(name="contents")
def _contents() -> Callable[[Path], dict[str, str]]:
    """Return the function that hashes a folder."""
    return contents
