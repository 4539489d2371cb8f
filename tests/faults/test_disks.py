"""Disks that are full, folders that cannot be written to, homes that are not there.

Small file systems are made for it, which takes root on Linux; elsewhere those tests are skipped.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bg_atlasapi import update_atlases
from bg_atlasapi.cli import outcome
from bg_atlasapi.errors import AtlasError, StorageError
from bg_atlasapi.list_atlases import available_atlases
from bg_atlasapi.store import disk
from bg_atlasapi.testing import tiny_package
from bg_atlasapi.testing.server import Server

NAME, SECOND = "tiny_mouse_100um", "tiny_mouse_50um"
NOBODY = 65534
MB = 1 << 20
CLI = "from bg_atlasapi.cli import main; main()"
FIGURES = re.compile(
    r"the disk of (\S+) is full \((?:more than )?([\d,]+) bytes needed, ([\d,]+) bytes free\)"
)

Mount = Callable[[str, int], Path]


def run(*command: str) -> bool:
    """Run a command of the system; say whether it worked."""
    done = subprocess.run(command, capture_output=True, check=False, timeout=30)
    return done.returncode == 0


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Return a function that makes a small file system of its own, gone after the test."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root may make file systems")
    made: list[Path] = []

    def make(name: str, size: int) -> Path:
        place = tmp_path / name
        place.mkdir()
        if not run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)):
            pytest.skip("this machine lets nobody make file systems")
        made.append(place)
        return place

    yield make
    for place in made:
        run("umount", "-l", str(place))


def resize(place: Path, size: int) -> None:
    """Give a file system more room."""
    assert run("mount", "-o", f"remount,size={size}", str(place))


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish two atlases of 3 MB that do not compress."""
    remote = tmp_path_factory.mktemp("remote")
    for name in (NAME, SECOND):
        folder = tiny_package(tmp_path_factory.mktemp("unpacked"), name=name)
        with (folder / "nissl.tiff").open("ab") as file:
            file.write(np.random.default_rng(1).bytes(3 * MB))
        with tarfile.open(remote / f"{folder.name}.tar.gz", "w:gz", compresslevel=1) as tar:
            tar.add(folder, folder.name)
    (remote / "last_versions.conf").write_text(f"[atlases]\n{NAME} = 1.0\n{SECOND} = 1.0\n")
    return remote


@pytest.fixture
def server(remote: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serve them."""
    with Server(remote) as server:
        monkeypatch.setenv("BRAINGLOBE_REMOTES", server.url)
        yield server


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of every file and folder."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        status = path.lstat()
        found[str(path)] = (status.st_size if path.is_file() else 0, status.st_mtime_ns)
    return found


def is_whole(layer: Path, name: str = NAME) -> bool:
    """Say whether an atlas is there and every byte is what was installed."""
    return update_atlases.verify_atlas(name, brainglobe_dir=layer).sound


def nothing_half(layer: Path) -> None:
    """Check that neither an atlas nor a half of one is there."""
    assert not list(layer.glob("*_v*"))
    assert not list(layer.glob(".bg_atlasapi/staging/*"))
    assert not list(layer.rglob(".*~*"))


def figures(error: BaseException) -> tuple[str, int, int]:
    """Read the place, the bytes needed and the bytes free off a message."""
    found = FIGURES.search(str(error))
    assert found, str(error)
    return found[1], int(found[2].replace(",", "")), int(found[3].replace(",", ""))


@pytest.mark.parametrize("size", [20 * 4096, 2 * MB, 5 * MB])
def test_the_disk_of_the_atlases_is_full(mount: Mount, server: Server, size: int) -> None:
    """Figures, nothing half, what came stays; with more room the same call goes on from there."""
    layer = mount("small", size)
    with pytest.raises(StorageError) as caught:
        update_atlases.install_atlas(NAME, brainglobe_dir=layer)
    place, needed, free = figures(caught.value)
    assert place.startswith(str(layer))
    assert needed >= free
    assert "What was downloaded stays for the next try." in str(caught.value)
    assert "BRAINGLOBE_DIR" in str(caught.value)
    nothing_half(layer)
    kept = disk.size_of(layer / ".bg_atlasapi" / "downloads")
    assert kept > 0
    resize(layer, 64 * MB)
    server.reset_log()
    update_atlases.install_atlas(NAME, brainglobe_dir=layer)
    assert is_whole(layer)
    assert server.sent("*.tar.gz") < 3 * MB - kept + 100_000
    assert disk.size_of(layer / ".bg_atlasapi" / "downloads") == 0


def test_not_a_byte_is_free(mount: Mount, server: Server) -> None:
    """The same, and listing works."""
    layer = mount("small", MB)
    with (layer / "other").open("wb", buffering=0) as file:
        for step in (4096, 1):
            while True:
                try:
                    file.write(bytes(step))
                except OSError:
                    break
    with pytest.raises(StorageError) as caught:
        update_atlases.install_atlas(NAME, brainglobe_dir=layer)
    assert figures(caught.value)[2] == 0
    nothing_half(layer)
    assert NAME in set(available_atlases(layer)["name"])
    (layer / "other").unlink()
    resize(layer, 64 * MB)
    update_atlases.install_atlas(NAME, brainglobe_dir=layer)
    assert is_whole(layer)
    assert server.log()


def test_the_disk_of_the_downloads_is_full(
    mount: Mount, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a folder for downloads on another, small disk: that one is named, and used again."""
    downloads, layer = mount("downloads", MB), tmp_path / "atlases"
    config = tmp_path / "config"
    config.mkdir()
    (config / "bg_config.conf").write_text(
        f"[default_dirs]\nbrainglobe_dir = {layer}\ninterm_download_dir = {downloads}\n"
    )
    monkeypatch.setenv("BRAINGLOBE_CONFIG_DIR", str(config))
    with pytest.raises(StorageError) as caught:
        update_atlases.install_atlas(NAME)
    assert figures(caught.value)[0].startswith(str(downloads))
    assert "interm_download_dir" in str(caught.value)
    nothing_half(layer)
    kept = disk.size_of(downloads)
    assert kept > 0
    resize(downloads, 64 * MB)
    server.reset_log()
    update_atlases.install_atlas(NAME)
    assert is_whole(layer)
    assert server.sent("*.tar.gz") < 3 * MB - kept + 100_000
    assert disk.size_of(downloads) == 0  # and across file systems


def test_the_disk_of_the_atlases_is_full_while_unpacking(
    mount: Mount, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Downloads have room elsewhere, the atlas has not: nothing half, and nothing comes twice."""
    layer, downloads = mount("small", MB), tmp_path / "downloads"
    config = tmp_path / "config"
    config.mkdir()
    (config / "bg_config.conf").write_text(
        f"[default_dirs]\nbrainglobe_dir = {layer}\ninterm_download_dir = {downloads}\n"
    )
    monkeypatch.setenv("BRAINGLOBE_CONFIG_DIR", str(config))
    with pytest.raises(StorageError) as caught:
        update_atlases.install_atlas(NAME)
    place, needed, free = figures(caught.value)
    assert place == str(layer)
    assert needed >= free > 0
    nothing_half(layer)
    resize(layer, 64 * MB)
    server.reset_log()
    update_atlases.install_atlas(NAME)
    assert is_whole(layer)
    assert server.sent("*.tar.gz") < 3 * MB


def test_an_update_that_does_not_fit(mount: Mount, server: Server, tmp_path: Path) -> None:
    """Leaves the old version as it was."""
    layer = mount("small", 8 * MB)
    update_atlases.install_atlas(NAME, brainglobe_dir=layer)
    newer = tmp_path / "newer"
    newer.mkdir()
    folder = tiny_package(tmp_path / "unpacked", version="1.1")
    with (folder / "nissl.tiff").open("ab") as file:
        file.write(np.random.default_rng(2).bytes(6 * MB))
    with tarfile.open(newer / f"{folder.name}.tar.gz", "w:gz", compresslevel=1) as tar:
        tar.add(folder, folder.name)
    with pytest.raises(StorageError) as caught:
        update_atlases.update_atlas(NAME, brainglobe_dir=layer, remotes=str(newer))
    figures(caught.value)
    assert [path.name for path in layer.glob("*_v*")] == [f"{NAME}_v1.0"]
    assert is_whole(layer)
    resize(layer, 64 * MB)
    done = update_atlases.update_atlas(NAME, brainglobe_dir=layer, remotes=str(newer))
    assert (done.after.version, done.removed) == ((1, 1), True)
    assert is_whole(layer)
    assert server.log()


def test_adding_and_bundling_on_a_full_disk(
    mount: Mount, remote: Path, server: Server, tmp_path: Path
) -> None:
    """Figures, and neither half an atlas nor half a bundle."""
    small = mount("small", MB)
    with pytest.raises(StorageError) as caught:
        update_atlases.add_atlas(remote / f"{NAME}_v1.0.tar.gz", brainglobe_dir=small)
    figures(caught.value)
    nothing_half(small)
    layer = tmp_path / "atlases"
    update_atlases.install_atlas(NAME, brainglobe_dir=layer)
    with pytest.raises(StorageError) as caught:
        update_atlases.bundle_atlas(NAME, small / "x.tar.gz", brainglobe_dir=layer)
    figures(caught.value)
    assert not list(small.glob("*.gz*"))
    assert server.log()


def test_downloads_on_another_file_system(
    mount: Mount, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is renamed across; nothing is left there."""
    config = tmp_path / "config"
    config.mkdir()
    downloads = mount("downloads", 64 * MB)
    (config / "bg_config.conf").write_text(f"[default_dirs]\ninterm_download_dir = {downloads}\n")
    monkeypatch.setenv("BRAINGLOBE_CONFIG_DIR", str(config))
    for _ in range(2):
        update_atlases.install_atlas(NAME)
        assert update_atlases.verify_atlas(NAME).sound
        update_atlases.remove_atlas(NAME)
    assert disk.size_of(downloads) == 0
    assert server.log()


# Read-only


@pytest.fixture
def read_only(mount: Mount, server: Server) -> Path:
    """Return a layer with an atlas, mounted read-only."""
    layer = mount("shared", 64 * MB)
    update_atlases.install_atlas(NAME, brainglobe_dir=layer)
    assert run("mount", "-o", "remount,ro", str(layer))
    server.reset_log()
    return layer


def brainglobe(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", CLI, *words],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_using_a_read_only_cache(read_only: Path, tmp_path: Path) -> None:
    """List, describe, look up, read, verify: all work, and nothing is written."""
    before = contents(read_only)
    (tmp_path / "cells.csv").write_text("x,y,z\n500,400,500\n")
    for words in (
        ["list"],
        ["info", NAME],
        ["find", NAME, "cortex"],
        ["lookup", NAME, str(tmp_path / "cells.csv")],
        ["verify", NAME],
        ["verify", NAME, "--repair"],
        ["install", NAME],
        ["update", NAME],
        ["bundle", NAME, str(tmp_path / "bundle.tar.gz")],
        ["prune"],
    ):
        done = brainglobe(*words, BRAINGLOBE_DIR=str(read_only))
        assert done.returncode == 0, (words, done.stderr)
        assert done.stderr == ""
    assert contents(read_only) == before


@pytest.mark.parametrize(
    "words",
    [["install", SECOND], ["update", "-f", NAME], ["remove", NAME], ["add", "{archive}"]],
    ids=" ".join,
)
def test_writing_to_a_read_only_cache(read_only: Path, remote: Path, words: list[str]) -> None:
    """Code 6, one line that names the folder and says where else; nothing is written."""
    before = contents(read_only)
    words = [word.format(archive=remote / f"{SECOND}_v1.0.tar.gz") for word in words]
    done = brainglobe(*words, BRAINGLOBE_DIR=str(read_only))
    assert done.returncode == outcome.STORAGE, done.stderr
    assert done.stderr.count("\n") == 1
    assert f"{read_only} " in done.stderr
    assert "BRAINGLOBE_DIR" in done.stderr
    assert "~" not in done.stderr
    assert contents(read_only) == before


def test_layers_read_only_and_own(read_only: Path, tmp_path: Path) -> None:
    """New atlases go to the own one; those of the other are used from there."""
    own = tmp_path / "own"
    before = contents(read_only)
    layers = [read_only, own]
    done = update_atlases.install_atlas(SECOND, brainglobe_dir=layers)
    assert done.layer == own
    assert update_atlases.install_atlas(NAME, brainglobe_dir=layers).layer == read_only
    assert is_whole(own, SECOND)
    again = update_atlases.update_atlas(NAME, True, brainglobe_dir=layers)
    assert again.after.layer == own
    assert contents(read_only) == before


def test_an_account_that_may_not_write(server: Server) -> None:
    """Permissions, not a mount: the same answers, for reading and for writing."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    layer = Path("/var/tmp") / f"bg_atlasapi-test-{os.getpid()}"  # others may enter it
    try:
        update_atlases.install_atlas(NAME, brainglobe_dir=layer)
        for path in [layer, *layer.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        before = contents(layer)
        code = f"""
import json, os, sys
import bg_atlasapi
from bg_atlasapi import BrainGlobeAtlas, update_atlases, list_atlases
from bg_atlasapi.cli import outcome
from bg_atlasapi.store import description, index, remotes, install, verification
import numpy, pandas, tifffile, meshio, urllib3
os.setuid({NOBODY})
said = []
def tried(work):
    try:
        work()
        said.append([0, ""])
    except Exception as error:
        said.append([outcome.exit_code(error), str(error)])
tried(lambda: BrainGlobeAtlas({NAME!r}).annotation.sum())
tried(lambda: BrainGlobeAtlas({NAME!r}).lookup([[500.0, 400, 500]], unit="um"))
tried(lambda: list_atlases.available_atlases())
tried(lambda: update_atlases.verify_atlas({NAME!r}))
tried(lambda: update_atlases.install_atlas({SECOND!r}))
tried(lambda: update_atlases.remove_atlas({NAME!r}))
print(json.dumps(said))
"""
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "BRAINGLOBE_DIR": str(layer), "HOME": "/nonexistent"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if "PermissionError" in done.stderr or "ModuleNotFoundError" in done.stderr:
            pytest.skip("another account cannot read the package here")
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert [code for code, _ in said] == [0, 0, 0, 0, outcome.STORAGE, outcome.STORAGE], said
        for _, text in said[4:]:
            assert str(layer) in text
        assert contents(layer) == before
    finally:
        shutil.rmtree(layer, ignore_errors=True)
    assert server.log()


# Homes


def test_a_home_that_is_not_there_is_made(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only when something is installed: looking makes nothing."""
    monkeypatch.setenv("HOME", str(tmp_path / "new" / "home"))
    available_atlases(remotes=[])
    assert not (tmp_path / "new").exists()
    update_atlases.install_atlas(NAME)
    assert is_whole(tmp_path / "new" / "home" / ".brainglobe")
    assert server.log()


def test_a_home_that_is_a_file(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As /dev/null is for service accounts: reading works, installing says where else."""
    home = tmp_path / "file"
    home.write_text("")
    monkeypatch.setenv("HOME", str(home))
    assert "phantom_mouse_100um" in set(available_atlases()["name"])
    with pytest.raises(StorageError, match="cannot be written to. Choose another folder"):
        update_atlases.install_atlas(NAME)
    monkeypatch.setenv("BRAINGLOBE_DIR", str(home))
    with pytest.raises(StorageError, match="cannot be written to. Choose another folder"):
        update_atlases.install_atlas(NAME)
    assert not server.sent("*.tar.gz")


def test_a_read_only_home(mount: Mount, server: Server) -> None:
    """Code 6 with where else, and BRAINGLOBE_DIR is that."""
    home = mount("home", MB)
    assert run("mount", "-o", "remount,ro", str(home))
    done = brainglobe("install", NAME, HOME=str(home))
    assert done.returncode == outcome.STORAGE
    assert str(home / ".brainglobe") in done.stderr
    assert "BRAINGLOBE_DIR" in done.stderr
    for words in (["list"], ["info", "phantom_mouse_100um"], ["config"]):
        assert brainglobe(*words, HOME=str(home)).returncode == 0
    layer = mount("layer", 64 * MB)
    assert brainglobe("install", NAME, HOME=str(home), BRAINGLOBE_DIR=str(layer)).returncode == 0
    assert server.log()


def test_no_home_at_all(server: Server, tmp_path: Path) -> None:
    """HOME unset, and an account that the system does not know: BRAINGLOBE_DIR is enough."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    code = f"""
import os, sys
import bg_atlasapi, bg_atlasapi.cli, bg_atlasapi.settings
os.environ.pop("HOME")
import pwd
def nobody(*_): raise KeyError
pwd.getpwuid = nobody
{CLI}
"""
    said = {}
    for name, env in {"none": {}, "dir": {"BRAINGLOBE_DIR": str(tmp_path / "atlases")}}.items():
        said[name] = subprocess.run(
            [sys.executable, "-c", code, "install", NAME],
            env={**os.environ, **env, "BRAINGLOBE_CONFIG_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert said["dir"].returncode == 0, said["dir"].stderr
    assert said["none"].returncode == outcome.INVALID_INPUT, said["none"].stderr
    assert "no home folder; set BRAINGLOBE_DIR" in said["none"].stderr
    assert server.log()


# Words


def test_words_of_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both figures, with what is known."""
    monkeypatch.setattr(disk, "free_bytes", lambda _: 1000)
    text = str(disk.full_disk(tmp_path, "do it", 5000, "All stays."))
    assert (
        f"Cannot do it: the disk of {tmp_path} is full (5,000 bytes needed, 1,000 bytes free)."
        in text
    )
    assert " All stays. Choose another folder with BRAINGLOBE_DIR" in text
    text = str(disk.full_disk(tmp_path, "do it", 0))
    assert "(more than 1,000 bytes needed, 1,000 bytes free)" in text


@pytest.mark.parametrize("number", ["ENOSPC", "EDQUOT", "EACCES", "EROFS", "EPERM"])
def test_errors_of_the_system_become_ours(tmp_path: Path, number: str) -> None:
    """A full disk or quota, and a folder that is closed, are storage errors with code 6."""
    import errno

    value = getattr(errno, number)
    with pytest.raises(AtlasError) as caught, disk.explained(tmp_path, "write it"):
        raise OSError(value, os.strerror(value), str(tmp_path / "x~y"))
    assert isinstance(caught.value, StorageError)
    assert outcome.exit_code(caught.value) == outcome.STORAGE
    assert str(tmp_path) in str(caught.value)
    assert "x~y" not in str(caught.value)


def test_modes_of_what_is_installed(server: Server, tmp_path: Path) -> None:
    """A strict umask of the account is kept to, and a lax one gives others nothing to write."""
    code = f"""
import os
os.umask(0)
from bg_atlasapi import update_atlases
update_atlases.install_atlas({NAME!r}, brainglobe_dir={str(tmp_path / "atlases")!r})
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    for path in (tmp_path / "atlases" / f"{NAME}_v1.0").rglob("*"):
        assert not path.stat().st_mode & stat.S_IWOTH, path
    assert server.log()
