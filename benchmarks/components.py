"""Measure component stores (V3) beside brainglobe-atlasapi 3, on the real Allen atlases.

Usage: ``python benchmarks/components.py [--rounds N] [--quick]``, with this checkout installed.
Every question is put to each package in a process of its own, in turns; medians, ratios and bars
are printed. ``--quick`` leaves out the atlas of 10 µm size, which takes minutes and 20 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import data
import measure
import peers

OPEN = {
    "ours": "from bg_atlasapi.core import Atlas; atlas = Atlas.from_path(sys.argv[1])\n",
    "3.x": (
        "from pathlib import Path; from brainglobe_atlasapi.core import Atlas\n"
        "atlas = Atlas(Path(sys.argv[1]) / 'manifest.json')\n"
    ),
}
# The peer's open imports numpy.
LOAD = "import numpy\nopened = time.perf_counter()\nfound = atlas.annotation\n"
PLANE = "found = atlas.annotation[:, :, 228]\n"
LAZY_PLANE = "found = atlas.volumes['annotation'][:, :, 228]\n"
MASKS = "for one in atlas.structures_list: found = atlas.get_structure_mask(one['id'])\n"
PLANES_AND_POINTS = """
import numpy as np
volume = atlas.volumes["annotation"]
i, j, k = (length // 2 for length in volume.shape)
found = [volume[i], volume[:, j], volume[:, :, k]]
size = np.asarray(volume.shape) * 10.0
found.append(atlas.lookup(np.random.default_rng(1).uniform(0, size, (10_000, 3))))
"""
BEFORE = "import sys, time, json\nbegan = time.perf_counter()\n"
BETWEEN = "opened = time.perf_counter()\n"
AFTER = """
ended = time.perf_counter()
status = open("/proc/self/status").read()
peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
print(json.dumps({"asked": ended - opened, "since start": ended - began, "peak": peak}))
"""
FLOOR = """
import sys, time, json
import numpy as np
shape = json.loads(sys.argv[1])
found = np.ones(shape, np.uint32)
began = time.perf_counter()
copy = np.empty_like(found)
copy[...] = found
print(json.dumps({"asked": time.perf_counter() - began}))
"""
TEN_UM = """
import json, sys
from pathlib import Path
import numpy as np, tifffile
source, target = map(Path, sys.argv[1:])
target.mkdir(parents=True)
shape = (1320, 800, 1140)
for name in ("annotation", "reference"):
    volume = tifffile.memmap(source / f"{name}.tiff", mode="r")
    rows, columns = ((np.arange(n) * s // n) for n, s in zip(shape[1:], volume.shape[1:]))
    with tifffile.TiffWriter(target / f"{name}.tiff", bigtiff=True) as file:
        planes = (
            np.ascontiguousarray(volume[z * volume.shape[0] // shape[0]][np.ix_(rows, columns)])
            for z in range(shape[0])
        )
        file.write(planes, shape=shape, dtype=volume.dtype, contiguous=True)
metadata = json.loads((source / "metadata.json").read_text())
metadata |= {"resolution": [10.0, 10.0, 10.0], "shape": list(shape)}
(target / "metadata.json").write_text(json.dumps(metadata))
(target / "structures.json").write_bytes((source / "structures.json").read_bytes())
"""
EXPORT = "found = atlas.export(sys.argv[2], format=sys.argv[3])\n"
FIRST_PLANES = """
import sys, json
from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.testing.server import Server
with Server(sys.argv[1]) as server:
    atlas = BrainGlobeAtlas(
        "allen_mouse_25um", sys.argv[2], only="on-demand", remotes=server.url, check_latest=False
    )
    sent = lambda: sum(one.sent for one in server.log("*"))
    answer = {"opened": sent()}
    for name in ("annotation", "template"):
        volume = atlas.volumes[name]
        for axis, length in enumerate(volume.shape):
            before, place = sent(), [slice(None)] * 3
            place[axis] = length // 2
            volume[tuple(place)]
            answer[f"{name} {axis}"] = (sent() - before) / volume.nbytes
print(json.dumps(answer))
"""


class Row(NamedTuple):
    """A line of the answer; ``met`` is None where there is no bar."""

    question: str
    ours: str
    peer: str
    ratio: str
    bar: str
    met: bool | None


def main() -> int:
    """Measure and print; 0 if every bar is met."""
    options = arguments()
    try:
        atlases = data.prepare(options.data, options.cache, package)
        peer = peers.interpreter(peers.V3, options.cache)
    except (data.MissingDataError, peers.PeerUnavailableError) as error:
        print(error, file=sys.stderr)
        return 2
    pythons = {"ours": Path(sys.executable), "3.x": peer}
    fine = atlases.packages / "allen_mouse_25um_v1.2"
    store = exported(fine, options.cache / "v3-25um")
    coarse = next((atlases.store / "brainglobe-atlasapi" / "atlases").glob("*/*"))
    for folder in (store.parents[2], coarse.parents[2]):
        data.warm(folder)
    ask = Asker(pythons, options.rounds, options.cache / "home")
    rows = [
        *against_the_peer(ask, coarse, store),
        size_of_labels(store),
        *remote(ask, store),
        *(() if options.quick else large(ask, fine, options.cache)),
    ]
    widths = [max(len(str(row[column])) for row in rows) for column in range(5)]
    for row in rows:
        cells = (str(cell).ljust(width) for cell, width in zip(row, widths, strict=False))
        print("  ".join(cells), {True: "yes", False: "NO", None: ""}[row.met])
    return 1 if any(row.met is False for row in rows) else 0


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = peers.command_line(__doc__, rounds=5)
    parser.add_argument("--quick", action="store_true", help="without the atlas of 10 µm size")
    return parser.parse_args()


def package(volumes: Path, folder: Path) -> None:
    """Write the 25 µm atlas as a package, as the other benchmarks do."""
    job = json.dumps({"task": "package", "source": str(volumes), "folder": str(folder)})
    subprocess.run([sys.executable, str(measure.TASKS), job], check=True, stdout=subprocess.DEVNULL)


class Asker:
    """Asks each package the same, in turns.

    Parameters
    ----------
    pythons
        Interpreters by package.
    rounds
        How often.
    home
        The home folder of all.
    """

    def __init__(self, pythons: dict[str, Path], rounds: int, home: Path) -> None:
        self._pythons, self.rounds = pythons, rounds
        self.env = peers.surroundings(home) | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        path = os.environ.get("PYTHONPATH")
        self._path = {"PYTHONPATH": path} if path else {}

    def once(self, side: str, code: str, *args: object) -> dict[str, float]:
        """Run code in one package's interpreter; the seconds of the whole process come along."""
        env = {**self.env, **(self._path if side == "ours" else {})}
        began = perf_counter()
        done = subprocess.run(
            [str(self._pythons[side]), "-c", code, *map(str, args)],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = perf_counter() - began
        if done.returncode:
            raise SystemExit(f"{side}: {done.stderr.strip().splitlines()[-1]}")
        answer: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
        return {**answer, "process": seconds}

    def both(
        self, codes: dict[str, str], *args: object, rounds: int = 0
    ) -> dict[str, dict[str, float]]:
        """Return the medians of each value, by package."""
        found: dict[str, list[dict[str, float]]] = {side: [] for side in codes}
        for number in range((rounds or self.rounds) + 1):
            for side, code in codes.items():
                answer = self.once(side, BEFORE + OPEN[side] + BETWEEN + code + AFTER, *args)
                if number:  # the first warms the caches
                    found[side].append(answer)
        return {
            side: {key: statistics.median(one[key] for one in answers) for key in answers[0]}
            for side, answers in found.items()
        }


def compared(
    question: str, found: dict[str, dict[str, float]], value: str, bar: float, also: str = ""
) -> Row:
    """Return a row: our seconds, the peer's, and whether the ratio keeps the bar."""
    ours, theirs = found["ours"][value], found["3.x"][value]
    shown = f"≤ 1/{1 / bar:.0f}" if bar < 1 else "faster"
    text = f"1/{theirs / ours:.1f}"
    return Row(
        question, f"{ours:.3f} s{also}", f"{theirs:.3f} s", text, shown, ours <= bar * theirs
    )


def against_the_peer(ask: Asker, coarse: Path, fine: Path) -> list[Row]:
    """Ask both packages of the same stores."""
    opened = ask.both({"ours": "", "3.x": ""}, coarse)
    loaded = ask.both({"ours": LOAD, "3.x": LOAD}, fine)
    plane = ask.both({"ours": LAZY_PLANE, "3.x": PLANE}, fine)
    masks = ask.both({"ours": MASKS, "3.x": MASKS}, coarse, rounds=1)
    shape = json.dumps([528, 320, 456])
    floor = statistics.median(ask.once("ours", FLOOR, shape)["asked"] for _ in range(ask.rounds))
    peak, theirs = plane["ours"]["peak"], f"{plane['3.x']['peak']:.0f} MB"
    call = loaded["ours"]["asked"], loaded["3.x"]["asked"]
    figures = (
        f"{call[0]:.3f} s (a copy: {floor:.3f} s)",
        f"{call[1]:.3f} s",
        f"1/{call[1] / call[0]:.1f}",
    )
    return [
        compared("open, whole process (100 µm)", opened, "process", 1 / 6),
        compared("all labels of 25 µm, from start to array", loaded, "since start", 1 / 3),
        Row("the call alone", *figures, "", None),
        compared("a sagittal plane of 25 µm, whole process", plane, "process", 1 / 8),
        Row("its peak memory", f"{peak:.0f} MB", theirs, "", "< 150 MB", peak < 150),
        compared("masks of all 840 structures (100 µm)", masks, "asked", 1),
    ]


def size_of_labels(store: Path) -> Row:
    """Add up what the labels take."""
    pattern = "annotation-sets/*/*/annotations_compressed.ome.zarr/**/*"
    sizes = [one.stat().st_size for one in store.parents[2].glob(pattern) if one.is_file()]
    disk = sum(-(-size // 4096) * 4096 for size in sizes)
    text = f"{sum(sizes) / 1e6:.2f} MB ({disk / 1e6:.2f} in blocks of 4 KiB)"
    return Row("labels of 25 µm on the disk", text, "", "", "≤ 3.2 MB", disk <= 3.2e6)


def remote(ask: Asker, store: Path) -> list[Row]:
    """Read planes of an atlas that is not installed, from a local server."""
    with tempfile.TemporaryDirectory() as folder:
        found = ask.once("ours", FIRST_PLANES, store.parents[2], folder)
    rows = [Row("bytes to open it on demand", f"{found['opened'] / 1e3:.0f} kB", "", "", "", None)]
    for name in ("annotation", "template"):
        shares = [found[f"{name} {axis}"] for axis in range(3)]
        text = ", ".join(f"{share:.2%}" for share in shares)
        question = f"planes of the {name} on demand, share of the level's bytes"
        rows.append(Row(question, text, "", "", "≤ 5 %", max(shares) <= 0.05))
    return rows


def large(ask: Asker, fine: Path, cache: Path) -> list[Row]:
    """Convert an atlas of 10 µm size both ways, and ask it."""
    package_ = large_package(fine, cache)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        convert = BEFORE + OPEN["ours"] + BETWEEN + EXPORT + AFTER
        there = ask.once("ours", convert, package_, folder, "components")
        store = next((Path(folder) / "brainglobe-atlasapi" / "atlases").glob("*/*"))
        back = ask.once("ours", convert, store, folder, "packaged")
        asked = ask.both({"ours": PLANES_AND_POINTS}, store)["ours"]
    rows = []
    for way, one in (("package to store", there), ("store to package", back)):
        text = f"{one['process']:.0f} s, {one['peak']:.0f} MB"
        rows.append(Row(f"10 µm size, {way}", text, "", "", "< 2 GB", one["peak"] < 2000))
    text = f"{asked['process']:.2f} s, {asked['peak']:.0f} MB"
    met = asked["process"] <= 3 and asked["peak"] < 400
    question = "10 µm size: a plane across each axis and 10,000 points, whole process"
    return [*rows, Row(question, text, "", "", "≤ 3 s, < 400 MB", met)]


def large_package(fine: Path, cache: Path) -> Path:
    """Return the folder of an atlas of 10 µm size, made from the 25 µm one at the first call."""
    folder = cache / "large" / "allen_mouse_10um_v1.2"
    if not folder.exists():
        subprocess.run([sys.executable, "-c", TEN_UM, str(fine), str(folder)], check=True)
    return folder


def exported(source: Path, target: Path) -> Path:
    """Return the folder of an atlas in the store it was exported to, made anew at each run."""
    import shutil

    from bg_atlasapi.core import Atlas

    shutil.rmtree(target, ignore_errors=True)
    return Atlas.from_path(source).export(target)


if __name__ == "__main__":
    sys.exit(main())
