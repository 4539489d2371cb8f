"""A virtual environment for each peer. Standard library only.

The peers share dependencies, and 1.x even the import name, with this project, so each lives in an
environment of its own under a cache folder: ``<cache>/<peer>/bin/python``. The contract tests use
those of 1.0.3 and 3.x; they never make them, because tests do not reach outside the machine. Make
them with ``python benchmarks/peers.py FOLDER``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

CHECKOUT = Path(__file__).resolve().parent.parent


class PeerUnavailableError(RuntimeError):
    """The environment could not be made, most often because there is no package index."""


class Peer(NamedTuple):
    """What to install, and what proves that it was.

    Parameters
    ----------
    name
        Folder of the environment.
    distribution
        Name of the distribution; pip installs it last, so that its presence proves the rest.
    requirements
        What pip is asked for.
    module
        Import name.
    """

    name: str
    distribution: str
    requirements: tuple[str, ...]
    module: str


V1 = Peer("v1", "bg-atlasapi", ("bg-atlasapi==1.0.3",), "bg_atlasapi")
# With pandas 3.1 brainglobe-atlasapi 3.0.2 reads parent ids as uint16 and opens nothing.
V3 = Peer(
    "v3",
    "brainglobe-atlasapi",
    ("brainglobe-atlasapi>=3,<4", "pandas<3.1"),
    "brainglobe_atlasapi",
)
# Packaging atlases needs 50 packages more.
V3_MAKING = Peer(
    "v3-atlasgen",
    "brainglobe-atlasapi",
    ("brainglobe-atlasapi[atlasgen]>=3,<4", "pandas<3.1"),
    "brainglobe_atlasapi",
)
OURS = Peer("ours", "bg-atlasapi", (str(CHECKOUT), "pynrrd>=1.0"), "bg_atlasapi")


def interpreter(peer: Peer, cache: Path) -> Path:
    """Return the peer's Python, making its environment if it is not there yet.

    Raises
    ------
    PeerUnavailableError
        With what pip said.
    """
    python = _python(peer, cache)
    if version(peer, python) is None:
        _run([sys.executable, "-m", "venv", "--clear", str(cache.absolute() / peer.name)], peer)
        _run([str(python), "-m", "pip", "install", "--quiet", *peer.requirements], peer)
    return python


def _python(peer: Peer, cache: Path) -> Path:
    folder = cache.absolute() / peer.name
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def refresh(peer: Peer, python: Path) -> None:
    """Install the checkout again, so that what is measured is what it holds now."""
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall"]
    _run([*pip, str(CHECKOUT)], peer)


def version(peer: Peer, python: Path) -> str | None:
    """Return the version that is installed in an environment, None if there is none."""
    if not python.exists():
        return None
    code = f"import importlib.metadata as m; print(m.version({peer.distribution!r}))"
    run = subprocess.run(
        [str(python), "-c", code], check=False, capture_output=True, text=True, env=own_python()
    )
    return run.stdout.strip() if run.returncode == 0 else None


def installed(peer: Peer, cache: Path) -> Path | None:
    """Return the peer's Python if its environment is there; never makes it."""
    python = _python(peer, cache)
    return python if version(peer, python) is not None else None


def own_python() -> dict[str, str]:
    """Return the environment without what would reach into another interpreter.

    ``PYTHONPATH`` would put our sources before the peer's; ``PYTHONDONTWRITEBYTECODE`` would let it
    compile its modules at every import, which once made it three times slower than it is.
    """
    return {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}


def surroundings(home: Path) -> dict[str, str]:
    """Return an environment in which a peer finds an empty home, and no way out.

    Parameters
    ----------
    home
        Made if it is not there; the peers write their configuration there.
    """
    home.mkdir(parents=True, exist_ok=True)
    nowhere = "http://127.0.0.1:9"  # the discard port: a stray request fails at once
    env = {key: value for key, value in own_python().items() if "BRAINGLOBE" not in key}
    return env | {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "BRAINGLOBE_CONFIG_DIR": str(home / "config"),
        "BRAINGLOBE_DIR": str(home / "atlases"),
        "http_proxy": nowhere,
        "https_proxy": nowhere,
        "HTTP_PROXY": nowhere,
        "HTTPS_PROXY": nowhere,
    }


def command_line(description: str | None, *, rounds: int | None = None) -> argparse.ArgumentParser:
    """Return the options that all benchmarks have.

    Parameters
    ----------
    description
        Docstring of the script; its first line is shown.
    rounds
        How often everything is measured unless said; without it there is no such option.
    """
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    shared = CHECKOUT.parent / "shared" / "data"
    default = Path(tempfile.gettempdir()) / "bg_atlasapi_benchmarks"
    cache = Path(os.environ.get("BG_ATLASAPI_PEERS") or default)
    parser.add_argument("--data", type=Path, default=shared, help="folder of the real atlases")
    parser.add_argument("--cache", type=Path, default=cache, help="environments, and what is made")
    if rounds is not None:
        parser.add_argument("--rounds", type=int, default=rounds, help="medians of how many")
    return parser


def _run(command: list[str], peer: Peer) -> None:
    run = subprocess.run(command, check=False, capture_output=True, text=True, env=own_python())
    if run.returncode != 0:
        last = (run.stderr.strip() or run.stdout.strip() or "no output").splitlines()[-1]
        message = f"cannot make an environment for {peer.distribution}: {last}"
        raise PeerUnavailableError(message)


if __name__ == "__main__":  # python benchmarks/peers.py FOLDER: what the contract tests need
    for one in (V1, V3):
        print(interpreter(one, Path(sys.argv[1])))
