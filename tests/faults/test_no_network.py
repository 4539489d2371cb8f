"""What is installed works without a socket; the network is asked late, daily, and never fails."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bg_atlasapi import BrainGlobeAtlas, update_atlases
from bg_atlasapi.cli import outcome
from bg_atlasapi.errors import OfflineError, UnknownAtlasError
from bg_atlasapi.list_atlases import available_atlases
from bg_atlasapi.store import index, newer
from bg_atlasapi.testing import tiny_package
from bg_atlasapi.testing.server import Server

NAME = "tiny_mouse_100um"
INDEX = "/last_versions.conf"
SOCKET = 77
# Ends the process at once: an exception could be suppressed on its way.
GUARD = f"""
import os, sys
def watch(event, args):
    if event.startswith("socket.") and event != "socket.gethostname":
        print("A socket:", event, args[1:], file=sys.stderr, flush=True)
        os._exit({SOCKET})
sys.addaudithook(watch)
"""
CLI = "from bg_atlasapi.cli import main; main()"
EVERYTHING = f"""
import numpy as np
from bg_atlasapi import BrainGlobeAtlas, update_atlases, list_atlases
atlas = BrainGlobeAtlas("{NAME}")
assert atlas.annotation.any() and atlas.reference.any()
assert len(atlas.lookup([[500.0, 400, 500]], unit="um")) == 1
assert atlas.structures["CTX"].name == "Cerebral cortex"
assert atlas.mesh_from_structure("CTX").points.size
assert "{NAME}" in list_atlases.get_downloaded_atlases()
assert "{NAME}" in set(list_atlases.available_atlases()["name"])
assert update_atlases.atlas_info("{NAME}")["version"] == "1.0"
assert update_atlases.verify_atlas("{NAME}").sound
assert BrainGlobeAtlas("{NAME}", check_latest=False).local_version == (1, 0)
"""


def publish(remote: Path, *versions: str) -> Path:
    """Write archives and an index that lists the last."""
    remote.mkdir(exist_ok=True)
    for version in versions:
        folder = tiny_package(remote.parent / "unpacked", version=version)
        with tarfile.open(remote / f"{folder.name}.tar.gz", "w:gz") as tar:
            tar.add(folder, folder.name)
    (remote / INDEX[1:]).write_text(f"[atlases]\n{NAME} = {versions[-1]}\n")
    return remote


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Serve a remote."""
    with Server(publish(tmp_path / "remote", "1.0")) as server:
        yield server


@pytest.fixture
def layer(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install an atlas from the server, which has been asked for its index, and return where."""
    monkeypatch.setenv("BRAINGLOBE_DIR", str(tmp_path / "atlases"))
    monkeypatch.setenv("BRAINGLOBE_REMOTES", server.url)
    monkeypatch.setenv("BRAINGLOBE_TIMEOUT", "1")
    update_atlases.install_atlas(NAME)
    server.reset_log()
    monkeypatch.setattr(newer, "_looked_for", set())
    return tmp_path / "atlases"


def guarded(code: str, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process that ends with a code of its own when it opens a socket."""
    return subprocess.run(
        [sys.executable, "-c", GUARD + code, *args],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def make_old(layer: Path, remote: str, seconds: float) -> None:
    """Let the index of a remote be of an earlier time."""
    path = index._path(layer, remote)
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({**stored, "seen": time.time() - seconds}))


def test_the_guard_sees_sockets() -> None:
    """A lookup of a name, a socket, a connection through the library: each ends the process."""
    for code in (
        "import socket; socket.getaddrinfo('localhost', 80)",
        "import socket; socket.socket()",
        (
            "from bg_atlasapi.store.transport.http import SHARED\n"
            "try: SHARED.get('http://127.0.0.1:9/')\nexcept BaseException: pass"
        ),
    ):
        assert guarded(code).returncode == SOCKET


@pytest.mark.parametrize("offline", ["1", "0"])
def test_an_installed_atlas_opens_no_socket(layer: Path, offline: str) -> None:
    """Open, read, look up, list, describe, verify: with the switch, and without it."""
    done = guarded(EVERYTHING, BRAINGLOBE_OFFLINE=offline)
    assert done.returncode == 0, done.stderr
    assert layer.is_dir()


def test_offline_asks_nobody_even_with_an_old_index(layer: Path, server: Server) -> None:
    """An index of last week does; nor is there a look in the background."""
    make_old(layer, server.url, 8 * index.DAY_S)
    code = f"from bg_atlasapi.store import newer\nnewer._DELAY_S = 0.01{EVERYTHING}"
    done = guarded(f"{code}\nimport time; time.sleep(0.5)", BRAINGLOBE_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert not server.log()


@pytest.mark.parametrize(
    "words",
    [
        ["list"],
        ["list", "--fresh"],
        ["list", "--installed", "--json"],
        ["info", NAME],
        ["find", NAME, "cortex"],
        ["verify"],
        ["verify", NAME],
        ["config"],
        ["prune", "--dry-run"],
        ["install", NAME],
        ["--help"],
    ],
    ids=" ".join,
)
def test_verbs_of_the_command_line_offline(layer: Path, words: list[str]) -> None:
    """Work, and open no socket."""
    done = guarded(CLI, *words, BRAINGLOBE_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert layer.is_dir()


def test_facts_of_published_atlases_offline(layer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes with the package describes an atlas that is not here, without a socket."""
    monkeypatch.delenv("BRAINGLOBE_REMOTES")
    done = guarded(CLI, "info", "allen_mouse_25um", BRAINGLOBE_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert "Mus musculus" in done.stdout
    assert layer.is_dir()


def test_looking_points_up_offline(layer: Path, tmp_path: Path) -> None:
    """The verb lookup opens no socket, with the switch or without."""
    (tmp_path / "cells.csv").write_text("x,y,z\n500,400,500\n")
    for offline in "01":
        done = guarded(CLI, "lookup", NAME, str(tmp_path / "cells.csv"), BRAINGLOBE_OFFLINE=offline)
        assert done.returncode == 0, done.stderr
    assert layer.is_dir()


def test_carrying_offline(layer: Path, tmp_path: Path) -> None:
    """A bundle is made and added without a socket."""
    done = guarded(CLI, "bundle", NAME, str(tmp_path / "b.tar.gz"), BRAINGLOBE_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    other = str(tmp_path / "other")
    done = guarded(
        CLI, "add", str(tmp_path / "b.tar.gz"), BRAINGLOBE_OFFLINE="1", BRAINGLOBE_DIR=other
    )
    assert done.returncode == 0, done.stderr
    assert layer.is_dir()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["install", "allen_mouse_25um"], outcome.REMOTE, "BRAINGLOBE_OFFLINE is set. Unset it"),
        (["lookup", "allen_mouse_25um", "-"], outcome.REMOTE, "brainglobe add PATH"),
        (["update", NAME], outcome.REMOTE, "BRAINGLOBE_OFFLINE is set"),
        (["install", "allen_mouse_25u"], outcome.UNKNOWN, "Did you mean allen_mouse_25um"),
        (["info", "alen_mouse_25um"], outcome.UNKNOWN, "Did you mean allen_mouse_25um"),
        (["lookup", "alen_mouse_25um", "-"], outcome.UNKNOWN, "Did you mean allen_mouse_25um"),
        (["add", "https://example.org/x.tar.gz"], outcome.REMOTE, "BRAINGLOBE_OFFLINE is set"),
    ],
    ids=str,
)
def test_what_needs_the_network_says_so(
    layer: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, said: str
) -> None:
    """One line, how to go on, and close matches from the list that comes with the package."""
    monkeypatch.delenv("BRAINGLOBE_REMOTES")
    done = guarded(CLI, *words, BRAINGLOBE_OFFLINE="1")
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.count("brainglobe add PATH") <= 1
    assert layer.is_dir()


def test_offline_errors_in_python(layer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening what is not here raises ``OfflineError``; a name that nobody knows, its own error."""
    monkeypatch.delenv("BRAINGLOBE_REMOTES")
    monkeypatch.setenv("BRAINGLOBE_OFFLINE", "1")
    with pytest.raises(OfflineError, match="allen_mouse_25um cannot be downloaded now"):
        BrainGlobeAtlas("allen_mouse_25um")
    with pytest.raises(UnknownAtlasError, match="Did you mean allen_mouse_25um"):
        BrainGlobeAtlas("allen_mouse_25")
    table = available_atlases().set_index("name")
    assert table.loc["allen_mouse_25um", "latest"]
    assert table.loc[NAME, "local"] == "1.0"
    assert layer.is_dir()


def test_an_index_of_today_is_not_asked_for_again(layer: Path, server: Server) -> None:
    """Listing asks when the index is older than a day, or when told to."""
    available_atlases()
    assert not server.log()
    make_old(layer, server.url, index.DAY_S + 10)
    available_atlases()
    available_atlases()
    assert len(server.log(INDEX)) == 1
    available_atlases(fresh=True)
    assert len(server.log(INDEX)) == 2


# The daily question


def look(layer: Path, remote: str, version: tuple[int, int] = (1, 0)) -> None:
    """Look for a newer version now, as the background does."""
    newer._look([remote], [layer], NAME, version)


def test_a_newer_version_is_logged(
    layer: Path, server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With what to type; nothing is logged if there is none."""
    with caplog.at_level(logging.WARNING, "bg_atlasapi"):
        look(layer, server.url)
        assert not caplog.records
        publish(tmp_path / "remote", "1.0", "1.3")
        make_old(layer, server.url, index.DAY_S + 10)
        look(layer, server.url)
    said = f"{NAME} 1.3 is available (1.0 is installed): brainglobe update {NAME}"
    assert caplog.messages == [said]


def test_asked_once_a_day(layer: Path, server: Server) -> None:
    """However often atlases are opened."""
    make_old(layer, server.url, index.DAY_S + 10)
    for _ in range(3):
        look(layer, server.url)
    assert len(server.log(INDEX)) == 1


def test_a_failure_is_silent_and_not_repeated_all_day(
    layer: Path, server: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is raised or logged, and the next opens of the day do not try again."""
    monkeypatch.setenv("BRAINGLOBE_TIMEOUT", "0.2")
    make_old(layer, server.url, index.DAY_S + 10)
    server.set("*", html=True)
    for _ in range(3):
        look(layer, server.url)
    assert len(server.log(INDEX)) == 1
    assert not caplog.records
    server.clear()
    available_atlases(fresh=True)  # somebody asks: it is there again
    assert len(server.log(INDEX)) == 2
    make_old(layer, server.url, -1)
    assert not index.failed_lately([layer], server.url)


def test_the_look_comes_later_and_once(
    layer: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opening returns first; a second open in the same process starts none."""
    monkeypatch.setattr(newer, "_DELAY_S", 0.3)
    make_old(layer, server.url, index.DAY_S + 10)
    for _ in range(2):
        BrainGlobeAtlas(NAME)
    assert not server.log()
    timers = [one for one in threading.enumerate() if isinstance(one, threading.Timer)]
    assert len(timers) == 1
    assert timers[0].daemon
    timers[0].join(10)
    assert len(server.log(INDEX)) == 1


@pytest.mark.parametrize("why", ["offline", "not asked", "embedded"])
def test_no_look_at_all(
    layer: Path, server: Server, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    """With the network switched off, with ``check_latest=False``, and for the embedded atlas."""
    monkeypatch.setattr(newer, "_DELAY_S", 0.0)
    make_old(layer, server.url, index.DAY_S + 10)
    if why == "offline":
        monkeypatch.setenv("BRAINGLOBE_OFFLINE", "1")
    BrainGlobeAtlas(
        "phantom_mouse_100um" if why == "embedded" else NAME, check_latest=why != "not asked"
    )
    assert not [one for one in threading.enumerate() if isinstance(one, threading.Timer)]
    assert not server.log()


def test_a_short_script_uses_no_network(layer: Path, server: Server) -> None:
    """It ends before the look, and does not wait for it, even with an index of last week."""
    make_old(layer, server.url, 8 * index.DAY_S)
    began = time.monotonic()
    done = guarded(f"from bg_atlasapi import BrainGlobeAtlas\nBrainGlobeAtlas({NAME!r}).annotation")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < newer._DELAY_S + 5
    assert not server.log()


@pytest.mark.parametrize("check_latest", [True, False])
def test_a_custom_atlas_never_asks_about_itself(
    layer: Path, server: Server, tmp_path: Path, check_latest: bool
) -> None:
    """Of an atlas that was built here nobody is asked for a newer one, now or in the background."""
    labels = np.zeros((12, 10, 8), np.uint8)
    labels[2:10, 2:8, 1:7] = 5
    np.save(tmp_path / "labels.npy", labels)
    (tmp_path / "table.tsv").write_text("index\tname\n5\tPart\n")
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\nversion = "1.0"\n[space]\norientation = "asr"\nresolution_um = 100\n'
        '[annotation]\npath = "labels.npy"\n[table]\npath = "table.tsv"\n[meshes]\nbuild = false\n'
    )
    from bg_atlasapi.build import pipeline

    pipeline.build(tmp_path / "mine.toml", pipeline.Wish(layer))
    make_old(layer, server.url, 8 * index.DAY_S)  # an atlas that is published would ask now
    code = f"""
from bg_atlasapi.store import newer
newer._DELAY_S = 0.01
import time
from bg_atlasapi import BrainGlobeAtlas
atlas = BrainGlobeAtlas("mine_100um", check_latest={check_latest})
assert atlas.remote_version is None
assert atlas.remote_url is None
assert atlas.check_latest_version() is None
assert atlas.annotation.any()
time.sleep(0.3)
"""
    done = guarded(code)
    assert done.returncode == 0, done.stderr
    assert server.log() == []
