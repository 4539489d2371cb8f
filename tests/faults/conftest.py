"""Processes that can be killed, and remotes worth downloading from."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def _every_worker():
    """Return the processes started so far; they end with the session."""
    made = []
    yield made
    for one in made:
        one.close()


@pytest.fixture
def new_workers(making, _every_worker):
    """Return a function that gives a process to run jobs in, another one at each call."""
    if sys.platform == "win32":
        pytest.skip("jobs are copies of a process, which Windows cannot make")
    idle = list(_every_worker)

    def take():
        if idle:
            return idle.pop()
        _every_worker.append(making.Workers())
        return _every_worker[-1]

    return take


@pytest.fixture(scope="session")
def making() -> ModuleType:
    """Return the module that makes remotes."""
    spec = importlib.util.spec_from_file_location("bg_atlasapi_test_making", HERE / "making.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
