"""Measure installing the real archive from a local server, beside bg-atlasapi 1.0.3 and curl.

Usage: ``python benchmarks/install.py [--rounds N]``, with this checkout installed. Every round
installs the same archive with each contender, whole process each, in turns; medians and ratios are
printed. The floor is a copy of the archive and of what it unpacks to.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import peers

from bg_atlasapi.testing.server import Server

NAME, VERSION = "allen_mouse_100um", "1.2"
ARCHIVE = f"{NAME}_v{VERSION}.tar.gz"
PEER_CODE = """
import sys
from bg_atlasapi import descriptors, utils
from bg_atlasapi.bg_atlas import BrainGlobeAtlas
utils.check_internet_connection = lambda *a, **k: True  # it would ask a search engine
BrainGlobeAtlas._remote_url_base = sys.argv[1] + "/{}"
BrainGlobeAtlas(sys.argv[2], brainglobe_dir=sys.argv[3], interm_download_dir=sys.argv[3],
                check_latest=False)
"""
OUR_CODE = """
import sys
from bg_atlasapi import install_atlas
install_atlas(sys.argv[2], brainglobe_dir=sys.argv[3], remotes=sys.argv[1])
"""


def main() -> int:
    """Measure and print; 0 if both bars are met."""
    options = peers.command_line(__doc__, rounds=5).parse_args()
    peer = peers.interpreter(peers.V1, options.cache)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "remote"
        root.mkdir()
        shutil.copy(options.data / ARCHIVE, root)
        (root / "last_versions.conf").write_text(f"[atlases]\n{NAME} = {VERSION}\n")
        with Server(root) as server:
            times = measure(server.url, peer, Path(folder), options.rounds)
    return report(times)


def measure(url: str, peer: Path, folder: Path, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of every contender, in turns."""
    target = folder / "target"
    home = peers.surroundings(folder / "home")
    home = {key: value for key, value in home.items() if "proxy" not in key.lower()}
    ours = [sys.executable, "-c", OUR_CODE, url, NAME, str(target)]
    theirs = [str(peer), "-c", PEER_CODE, url, NAME, str(target)]
    pipe = f"curl -sf {url}/{ARCHIVE} | tar xzf - -C {target}"
    contenders: dict[str, Callable[[], object]] = {
        "ours": lambda: run(ours, home),
        "bg-atlasapi 1.0.3": lambda: run(theirs, home),
        "curl | tar": lambda: run(["bash", "-o", "pipefail", "-c", pipe], home),
    }
    times: dict[str, list[float]] = {name: [] for name in (*contenders, "floor")}
    for number in range(rounds + 1):  # the first is for the caches
        for name, call in contenders.items():
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            seconds = timed(call)
            if not list(target.glob(f"{NAME}_v*/annotation.tiff")):
                sys.exit(f"{name} installed nothing")
            if number:
                times[name].append(seconds)
        if number:
            times["floor"].append(timed(lambda: copy(folder / "remote" / ARCHIVE, target, folder)))
    return times


def copy(archive: Path, tree: Path, folder: Path) -> None:
    """Copy the bytes that come and the bytes that go."""
    shutil.copyfile(archive, folder / "copy")
    shutil.copytree(tree, folder / "copies")
    shutil.rmtree(folder / "copies")


def run(command: list[str], env: dict[str, str]) -> None:
    """Run a contender."""
    done = subprocess.run(command, check=False, env=env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)


def timed(call: Callable[[], object]) -> float:
    """Return the seconds a call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def report(times: dict[str, list[float]]) -> int:
    """Print medians and ratios; 0 if both bars are met."""
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, seconds in medians.items():
        ratio = seconds / medians["ours"]
        print(f"{name:20s} {seconds:6.2f} s   {ratio:5.2f} × ours   {min(times[name]):.2f} at best")
    fast = medians["bg-atlasapi 1.0.3"] >= 3 * medians["ours"]
    even = medians["curl | tar"] >= 0.9 * medians["ours"]
    print(f"at least 3 × 1.0.3: {fast}; at least 90 % of curl | tar: {even}")
    return 0 if fast and even else 1


if __name__ == "__main__":
    raise SystemExit(main())
