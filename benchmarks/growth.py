"""Measure how the cost of questions grows with points and voxels, and draw it for the docs.

Usage: ``python benchmarks/growth.py``, with this checkout installed. It takes some minutes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import components
import data
import peers
import questions

POINTS = """
import pandas
size, rng = np.asarray(atlas.shape_um, np.float32), np.random.default_rng(1)
atlas.count(rng.random((100_000, 3), np.float32) * size)
found = {}
for power in range(4, 9):
    points = rng.random((10**power, 3), np.float32) * size
    times = []
    for _ in range(5 if power < 7 else 1):
        began = time.perf_counter(); atlas.count(points); times.append(time.perf_counter() - began)
    found[10**power] = sorted(times)[len(times) // 2]
print(json.dumps(found))
"""
VOXELS = """
import pandas
from bg_atlasapi import query
def timed(question):
    began = time.perf_counter(); question(); return time.perf_counter() - began
found = {
    "region table": timed(atlas.region_table),
    "mean and std of the template": timed(lambda: atlas.measure(atlas.volumes["template"])),
    "mask of the root, cropped": timed(lambda: atlas.mask("root", crop=True)),
    "count of 100,000 points": timed(
        lambda: atlas.count(np.random.default_rng(1).random((100_000, 3)) * atlas.shape_um)
    ),
}
print(json.dumps({"voxels": int(np.prod(atlas.shape)), **found}))
"""
PLOT = """
import json, sys
import matplotlib
matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "growth"
import matplotlib.pyplot as plt
found = json.load(sys.stdin)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
counts = [int(count) for count in found["points"]]
left.loglog(counts, list(found["points"].values()), "o-", label="count")
left.set(xlabel="points", ylabel="seconds", title="atlas.count, 25 µm Allen atlas")
sizes = [one["voxels"] for one in found["voxels"]]
for name in [name for name in found["voxels"][0] if name != "voxels"]:
    right.loglog(sizes, [one[name] for one in found["voxels"]], "o-", label=name)
right.set(xlabel="voxels (100, 25 and 10 µm)", ylabel="seconds", title="first call, atlas opened")
for axes, xs in ((left, counts), (right, sizes)):
    low = min(line.get_ydata()[0] for line in axes.lines)
    axes.loglog(xs, [low * x / xs[0] for x in xs], ":", color="grey", label="linear")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
figure.savefig(sys.argv[1], metadata={"Date": None})
"""
PICTURE = peers.CHECKOUT / "docs" / "images" / "growth.svg"


def main() -> int:
    """Measure, print, draw."""
    options = questions.arguments()
    atlases = data.prepare(options.data, options.cache, components.package)
    fine = atlases.packages / "allen_mouse_25um_v1.2"
    large = components.large_package(fine, options.cache)
    coarse = atlases.packages / "allen_mouse_100um_v1.2"
    found = {
        "points": ask(POINTS, fine),
        "voxels": [ask(VOXELS, folder) for folder in (coarse, fine, large)],
    }
    print(json.dumps(found, indent=2))
    python = peers.interpreter(questions.NILEARN_PEER, options.cache)
    subprocess.run(
        [str(python), "-c", PLOT, str(PICTURE)], input=json.dumps(found), text=True, check=True
    )
    return 0


def ask(code: str, atlas: Path) -> Any:
    """Run our code on an atlas and return what it prints."""
    command = [sys.executable, "-c", questions.HEAD + questions.OPEN + code, str(atlas)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main())
