"""Questions of Dask, on a cluster of processes."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.query.sharing import SharedAtlas

SCRIPT = Path(__file__).with_name("cluster_with_a_death.py")


def test_a_worker_that_dies_midway_changes_nothing() -> None:
    """One of two processes is killed while points are counted, and looked up: the same answers."""
    pytest.importorskip("distributed")
    done = subprocess.run(
        [sys.executable, "-P", str(SCRIPT)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "60s"},
    )
    assert done.returncode == 0, done.stderr
    right = {"midway": True, "same": True, "lost": 1, "processes": 3}
    assert json.loads(done.stdout) == {"count": right, "lookup": right}


def test_an_atlas_travels_as_a_reference() -> None:
    """What goes with each task is smaller than 10 kB, whatever was read of the atlas before."""
    atlas = BrainGlobeAtlas("phantom_mouse_100um")
    atlas.count([[7100, 3870, 4500]])
    assert atlas.annotation.any()
    assert atlas.hemispheres.any()
    shared = SharedAtlas.of(atlas)
    assert len(pickle.dumps(shared)) < 10_000
    assert pickle.loads(pickle.dumps(shared)).open() is shared.open()
