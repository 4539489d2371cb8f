"""Kill -9 while meshes are made: what is there is whole, the rest is made, the bytes are the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bg_atlasapi.build.meshing import mesh_structures
from bg_atlasapi.model.labels import ArraySource, LabelVolume
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.model.terminology import Record, Terminology

SHAPE = (48, 48, 48)
COUNT = 27

MAKE = """
import sys
sys.path.insert(0, sys.argv[1])
from test_killed_meshing import meshed
meshed(sys.argv[2], workers=int(sys.argv[3]))
"""


def atlas() -> tuple[LabelVolume, CoordinateSpace]:
    """Return 27 rough blocks under a root."""
    ids = np.zeros(SHAPE, np.uint32)
    for place in range(COUNT):
        x, y, z = (16 * one for one in np.unravel_index(place, (3, 3, 3)))
        ids[x + 1 : x + 15, y + 1 : y + 15, z + 1 : z + 15] = place + 2
    ids[np.random.default_rng(5).random(SHAPE) < 0.1] = 0
    rows = [Record(1, "root", "root", (1,), (0, 0, 0))]
    rows += [Record(one, f"s{one}", f"s{one}", (1, one), (0, 0, 0)) for one in range(2, COUNT + 2)]
    return LabelVolume(ArraySource(ids), Terminology(rows)), CoordinateSpace(SHAPE, (25, 25, 25))


def meshed(target: str | Path, workers: int = 1):
    """Make all meshes."""
    return mesh_structures(*atlas(), Path(target), workers=workers)


def started(target: Path, workers: int) -> subprocess.Popen[str]:
    """Return a process that makes them, of a group of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", MAKE, str(Path(__file__).parent), str(target), str(workers)],
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def files(folder: Path) -> dict[str, bytes]:
    """Return the meshes of a folder."""
    return {one.name: one.read_bytes() for one in folder.glob("*.ply")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    """Return what an undisturbed run makes."""
    folder = tmp_path_factory.mktemp("whole")
    meshed(folder)
    return files(folder)


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is of POSIX")
@pytest.mark.parametrize(("workers", "wanted"), [(1, 1), (1, 9), (2, 1), (2, 5), (2, 14)])
def test_a_killed_run_is_gone_on_with_and_ends_in_the_same_bytes(tmp_path, whole, workers, wanted):
    """Killed after so many meshes: each that is there is whole and kept, nothing else remains."""
    process = started(tmp_path, workers)
    while len(files(tmp_path)) < wanted and process.poll() is None:
        time.sleep(0.002)
    process.kill()
    process.wait()
    _wait_for_the_end_of(process.pid)  # workers end when their input does
    there = files(tmp_path)
    assert len(there) >= wanted
    assert all(data == whole[name] for name, data in there.items())
    summary = meshed(tmp_path)
    assert summary.kept == len(there)
    assert files(tmp_path) == whole
    assert {one.name for one in tmp_path.iterdir()} == set(whole)


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is of POSIX")
def test_workers_do_not_outlive_who_started_them(tmp_path):
    """The maker is killed and cannot tell them: they end all the same."""
    process = started(tmp_path, 2)
    while not files(tmp_path) and process.poll() is None:
        time.sleep(0.002)
    process.kill()
    process.wait()
    _wait_for_the_end_of(process.pid)
    assert not _group_lives(process.pid)


def _wait_for_the_end_of(group: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and _group_lives(group):
        time.sleep(0.05)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is of POSIX")
def test_a_worker_that_is_killed_is_an_error_that_says_what_to_do(tmp_path, whole, monkeypatch):
    """As the system does when memory runs out; the next run goes on."""
    from bg_atlasapi.build.meshing import crew
    from bg_atlasapi.errors import AtlasError

    started_ones: list[subprocess.Popen[str]] = []
    popen = subprocess.Popen

    def remembered(*args, **kwargs):
        started_ones.append(popen(*args, **kwargs))
        return started_ones[-1]

    def report(_phase, done, _total):
        if done:
            started_ones[0].send_signal(signal.SIGKILL)

    monkeypatch.setattr(crew.subprocess, "Popen", remembered)
    with pytest.raises(AtlasError, match="fewer workers"):
        mesh_structures(*atlas(), tmp_path, workers=2, report=report)
    monkeypatch.undo()
    assert all(one.poll() is not None for one in started_ones)
    assert meshed(tmp_path).kept >= 1
    assert files(tmp_path) == whole
