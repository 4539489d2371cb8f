"""Measure plots: a slice of the 25 µm atlas, and the same values beside brainglobe-heatmap.

Usage: ``python benchmarks/plots.py [--rounds N]``, with this checkout and matplotlib installed.
Each number is of a process of its own, libraries imported before the clock starts; whole processes
are given as well. brainglobe-heatmap draws from meshes of the 100 µm atlas (it opens no other
here), as ours then does from its labels. It gets an environment of its own in the cache, of about
1.2 GB.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import components
import data
import peers

HEATMAP = peers.Peer(
    "heatmap",
    "brainglobe-heatmap",
    ("brainglobe-heatmap>=0.5", "pandas<3.1"),
    "brainglobe_heatmap",
)
VALUES = {"TH": 1.2, "HY": 0.5, "HIP": 3.0, "VISp": 2.2, "CB": 0.1, "SSp": 2.7, "MB": 1.9}
VALUES |= {"RSP": 0.7}
_DEPTH = 6  # of the regions that are many: 59 of them, few of which a slice meets
COLD_BAR_S, TIMES_BAR = 1.0, 10.0
_FLOOR = "floor: an empty figure, a colour bar"

OURS_BEFORE = """
import json, sys, time
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot
import tifffile
from bg_atlasapi import view
from bg_atlasapi.core import Atlas
view.plot
"""
OURS = {
    "a slice with all outlines, png": (
        'atlas.plot("coronal", 7000).figure.savefig(sys.argv[2], dpi=200, format="png")'
    ),
    "a slice with all outlines, svg": (
        'atlas.plot("coronal", 7000).figure.savefig(sys.argv[2], format="svg")'
    ),
    "values": (
        'atlas.plot("coronal", 7000, values=json.loads(sys.argv[3]), labels=False,'
        " image=None, width=9).figure.canvas.draw()"
    ),
    "values of many": (
        'atlas.plot("coronal", 7000, values=json.loads(sys.argv[4]), labels=False,'
        " image=None, width=9).figure.canvas.draw()"
    ),
    "values, twelve slices": (
        'atlas.plot("coronal", range(2000, 11600, 800), values=json.loads(sys.argv[3]),'
        " labels=False, image=None, width=12)[0].figure.canvas.draw()"
    ),
}
# What any figure with a colour bar takes, whoever draws it.
FLOOR = """
import json, time
import matplotlib
matplotlib.use("agg")
from matplotlib import pyplot as plt
from matplotlib.cm import ScalarMappable
began = time.perf_counter()
figure, axes = plt.subplots(figsize=(9, 6))
axes.set_title("nothing")
figure.colorbar(ScalarMappable(), ax=axes)
figure.canvas.draw()
print(json.dumps({"asked": time.perf_counter() - began}))
"""
THEIRS_BEFORE = """
import json, sys, time
import matplotlib
matplotlib.use("agg")
from matplotlib import pyplot as plt
import brainrender
brainrender.settings.OFFSCREEN = True
import brainglobe_heatmap
def heatmap(place, values=3):
    return brainglobe_heatmap.Heatmap(
        json.loads(sys.argv[values]), position=place, orientation="frontal",
        atlas_name="allen_mouse_100um", format="2D", check_latest=False,
    )
began = time.perf_counter()
"""
THEIRS = {
    "values": "heatmap(7000).show().canvas.draw()",
    "values of many": "heatmap(7000, 4).show().canvas.draw()",
    "values, twelve slices": (
        "figure, axes = plt.subplots(3, 4, figsize=(12, 9))\n"
        "for place, one in zip(range(2000, 11600, 800), axes.flat):\n"
        "    heatmap(place).plot_subplot(figure, one)\n"
        "figure.canvas.draw()"
    ),
}
CONFIG = """[default_dirs]
brainglobe_dir = {store}
interm_download_dir = {store}
"""


def ours(task: str) -> str:
    """Return a script that does something with an atlas that it opens."""
    return (
        f"{OURS_BEFORE}\nbegan = time.perf_counter()\natlas = Atlas.from_path(sys.argv[1])\n"
        f"{OURS[task]}\nprint(json.dumps({{'asked': time.perf_counter() - began}}))\n"
    )


def many(atlas: Path) -> dict[str, float]:
    """Return a value for every structure at a depth that has a mesh."""
    structures = json.loads((atlas / "structures.json").read_text())
    return {
        one["acronym"]: float(at)
        for at, one in enumerate(structures)
        if len(one["structure_id_path"]) == _DEPTH + 1
        and (atlas / "meshes" / f"{one['id']}.obj").exists()
    }


def timed(python: Path, script: str, env: dict[str, str], *args: str) -> tuple[float, float]:
    """Return what a script measured of itself, and how long its whole process took, seconds."""
    began = perf_counter()
    command = [str(python), "-c", script, *args]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    whole = perf_counter() - began
    if done.returncode:
        sys.exit(f"{python}: {done.stderr.strip().splitlines()[-1]}")
    return float(json.loads(done.stdout.splitlines()[-1])["asked"]), whole


def main() -> int:
    """Measure, print, and say whether the bars are met."""
    options = peers.command_line(__doc__, rounds=5).parse_args()
    try:
        atlases = data.prepare(options.data, options.cache, components.package)
    except data.MissingDataError as error:
        print(error)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        return _measured(options.rounds, options.cache, atlases, Path(folder))


def _measured(rounds: int, cache: Path, atlases: data.Atlases, folder: Path) -> int:
    out = str(folder / "out.png")
    fine, coarse = (str(atlases.packages / f"allen_mouse_{n}um_v1.2") for n in (25, 100))
    data.warm(Path(fine))
    mine, here = peers.own_python(), Path(sys.executable)
    values = json.dumps(VALUES), json.dumps(many(Path(coarse)))
    runs: dict[str, list[tuple[float, float]]] = {}
    theirs = _peer(cache, atlases.store, folder)
    for _ in range(rounds):
        for task in OURS:
            for name, atlas in (("25", fine), ("100", coarse)):
                found = timed(here, ours(task), mine, atlas, out, *values)
                runs.setdefault(f"{task}, {name} µm", []).append(found)
        runs.setdefault(_FLOOR, []).append(timed(here, FLOOR, mine))
        if theirs is not None:
            python, env = theirs
            for task, script in THEIRS.items():
                end = "\nprint(json.dumps({'asked': time.perf_counter() - began}))"
                found = timed(python, THEIRS_BEFORE + script + end, env, coarse, out, *values)
                runs.setdefault(f"brainglobe-heatmap: {task}", []).append(found)
    medians = {}
    for name, times in runs.items():
        medians[name] = statistics.median(asked for asked, _ in times)
        whole = statistics.median(process for _, process in times)
        print(f"{name:40} {medians[name] * 1000:7.0f} ms, whole process {whole:5.2f} s")
    cold = medians["a slice with all outlines, png, 25 µm"]
    met = cold <= COLD_BAR_S
    print(f"a slice of 25 µm in a cold process: {cold:.2f} s, bar {COLD_BAR_S:g} s")
    if theirs is None:
        print("brainglobe-heatmap could not be installed: not compared.")
        return 0 if met else 1
    ratios = {}
    for task in THEIRS:
        ratios[task] = medians[f"brainglobe-heatmap: {task}"] / medians[f"{task}, 100 µm"]
        print(f"{task}: {ratios[task]:.1f} times as fast as brainglobe-heatmap, bar {TIMES_BAR:g}")
    return 0 if met and min(ratios.values()) >= TIMES_BAR else 1


def _peer(cache: Path, store: Path, folder: Path) -> tuple[Path, dict[str, str]] | None:
    """Return the peer's interpreter, and an environment in which it finds the atlas."""
    try:
        python = peers.interpreter(HEATMAP, cache)
    except peers.PeerUnavailableError as error:
        print(error)
        return None
    env = peers.surroundings(folder / "home")
    config = folder / "home" / "config"
    config.mkdir(parents=True, exist_ok=True)
    (config / "bg_config.conf").write_text(CONFIG.format(store=store))
    return python, env


if __name__ == "__main__":
    sys.exit(main())
