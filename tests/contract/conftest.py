"""bg-atlasapi 1.0.3, in an environment of its own, and what both sides answer.

Both distributions are imported as ``bg_atlasapi``, so each side runs in its own process. The peer's
environment is made beforehand, ``python benchmarks/peers.py FOLDER``, and named by
``$BG_ATLASAPI_PEERS``; without it these tests skip, because tests reach nothing outside the machine.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import bg_atlasapi
from bg_atlasapi.testing import tiny_package

HERE = Path(__file__).resolve().parent
Answers = dict[str, Any]
CHECKOUT = HERE.parents[1]
REAL = CHECKOUT.parent / "shared" / "data" / "allen_mouse_100um_v1.2.tar.gz"


def load(path: Path) -> ModuleType:
    """Return the module in a file that is not in a package."""
    spec = importlib.util.spec_from_file_location(f"_contract_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def peer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Return the interpreter of 1.0.3 and the environment to run it in, or skip."""
    folder = os.environ.get("BG_ATLASAPI_PEERS")
    if not folder:
        pytest.skip("BG_ATLASAPI_PEERS does not name the folder made by benchmarks/peers.py")
    peers = load(CHECKOUT / "benchmarks" / "peers.py")
    python = peers.installed(peers.V1, Path(folder))
    if python is None:
        pytest.skip(
            f"bg-atlasapi 1.0.3 is not in {folder}; run python benchmarks/peers.py {folder}"
        )
    assert peers.version(peers.V1, python) == "1.0.3"
    return python, peers.surroundings(tmp_path_factory.mktemp("peer_home"))


@pytest.fixture(scope="session")
def peer_named(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], tuple[Path, dict[str, str]]]:
    """Return a function: ``"V1"`` or ``"V3"`` → interpreter and environment; it may skip."""

    @functools.cache
    def named(kind: str) -> tuple[Path, dict[str, str]]:
        folder = os.environ.get("BG_ATLASAPI_PEERS")
        if not folder:
            pytest.skip("BG_ATLASAPI_PEERS does not name the folder made by benchmarks/peers.py")
        peers = load(CHECKOUT / "benchmarks" / "peers.py")
        python = peers.installed(getattr(peers, kind), Path(folder))
        if python is None:
            pytest.skip(f"{getattr(peers, kind).distribution} is not in {folder}")
        env = peers.surroundings(tmp_path_factory.mktemp("peer_home"))
        if kind == "V1":  # its first use writes a configuration file
            first_use = "from bg_atlasapi.config import read_config; read_config()"
            subprocess.run([str(python), "-c", first_use], check=True, env=env)
        return python, env

    return named


@pytest.fixture(scope="session")
def real_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the packaged Allen 100 µm atlas, or skip."""
    if not REAL.is_file():
        pytest.skip(f"the real atlas data are not here: no {REAL}")
    folder = tmp_path_factory.mktemp("real_package")
    with tarfile.open(REAL) as archive:
        archive.extractall(folder, filter="data")
    return folder / REAL.name.removesuffix(".tar.gz")


@pytest.fixture(scope="session")
def atlas_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of atlases: two tiny ones, and the real 100 µm one where the data are."""
    folder = tmp_path_factory.mktemp("contract_atlases")
    tiny_package(folder)
    tiny_package(
        folder,
        name="tiny_odd_50um",
        version="1.3",
        shape=(9, 8, 7),
        resolution=(50.0, 25.0, 12.5),
    )
    tiny_package(folder, name="tiny_bent_100um", symmetric=False, compression="zlib")
    if REAL.is_file():
        with tarfile.open(REAL) as archive:
            archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="session")
def ask(
    peer: tuple[Path, dict[str, str]],
    atlas_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], tuple[Answers, Answers]]:
    """Return a function: name of an atlas → answers of 1.0.3, ours; each asked once a session."""
    out = tmp_path_factory.mktemp("answers")
    python, env = peer
    ours = env | {"PYTHONPATH": str(Path(bg_atlasapi.__file__).resolve().parents[1])}
    # Both sides then find the configuration file that 1.0.3 writes at its first use.
    first_use = "from bg_atlasapi.config import read_config; read_config()"
    subprocess.run([str(python), "-c", first_use], check=True, env=env)
    sides = {"peer": (str(python), env), "ours": (sys.executable, ours)}

    @functools.cache
    def answers(name: str) -> tuple[Answers, Answers]:
        if not list(atlas_folder.glob(f"{name}_v*")):
            pytest.skip(f"the real atlas data are not here: no {REAL}")
        running = {}
        for side, (interpreter, surroundings) in sides.items():
            command = [interpreter, str(HERE / "peer_answers.py"), str(atlas_folder), name]
            command.append(str(out / f"{name}.{side}.json"))
            running[side] = subprocess.Popen(
                command, env=surroundings, stderr=subprocess.PIPE, text=True
            )
        for side, process in running.items():
            _, stderr = process.communicate()
            assert process.returncode == 0, f"{side}: {stderr}"
        theirs, our = (_read(out / f"{name}.{side}.json") for side in sides)
        return theirs, our

    return answers


def _read(path: Path) -> Answers:
    found: Answers = json.loads(path.read_text(encoding="utf-8"))
    return found | {"hemispheres": np.load(path.with_suffix(".npy"))}


@pytest.fixture(scope="session")
def peer_names(
    peer: tuple[Path, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """Return the public names of 1.0.3: module → name → origin and description."""
    python, env = peer
    out = tmp_path_factory.mktemp("names") / "names.json"
    subprocess.run([str(python), str(HERE / "peer_names.py"), str(out)], check=True, env=env)
    names: dict[str, dict[str, Any]] = json.loads(out.read_text(encoding="utf-8"))
    return names


@pytest.fixture(scope="session")
def describe() -> Callable[[object], dict[str, Any]]:
    """Return the function that described the peer's names, to describe ours."""
    function: Callable[[object], dict[str, Any]] = load(HERE / "peer_names.py").describe
    return function
