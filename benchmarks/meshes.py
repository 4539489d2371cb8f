"""Measure meshes: all of the real 25 µm Allen atlas, and ten beside brainglobe-atlasapi 3.

Usage: ``python benchmarks/meshes.py [--workers N] [--no-peer]``, with this checkout and its extra
``build`` installed. Prints time, memory, quality, the distance to the published meshes, and the
peer's time on the same structures; exit code 1 if a bar is missed.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple, Self

import components
import data
import numpy as np
import numpy.typing as npt
import peers

from bg_atlasapi.build.mesh_quality import quality_of
from bg_atlasapi.build.meshing import Finish, MeshSummary, WrittenMeshes, mesh_structures
from bg_atlasapi.build.meshing.plan import jobs_of, write_codes
from bg_atlasapi.build.meshing.worker import Maker
from bg_atlasapi.formats.checks import no_check
from bg_atlasapi.formats.mesh_files import ObjMeshes
from bg_atlasapi.formats.packaged import open_package
from bg_atlasapi.model.atlas import Atlas
from bg_atlasapi.model.mesh import TriangleMesh

_SAMPLE = 10  # structures, evenly over the tree; the peer takes hours for all
_POINTS, _AROUND = 1000, 24
Array = npt.NDArray[np.float64]
PEER = """
import json, sys, time
from pathlib import Path
import numpy as np, tifffile
from brainglobe_atlasapi.atlas_generation.mesh_utils import create_region_mesh, Region
from brainglobe_atlasapi.structure_tree_util import get_structures_tree
folder, target, names = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
volume = tifffile.imread(folder / "annotation.tiff")
structures = json.loads((folder / "structures.json").read_text())
tree = get_structures_tree(structures)
labels = np.unique(volume).astype(np.int32)
ids = {one["acronym"]: one["id"] for one in structures}
took = {}
for name in names:
    began = time.process_time()
    # What construct_meshes_from_annotation passes on unless told otherwise.
    create_region_mesh((target, tree.get_node(ids[name]), tree, labels, volume, 997, 2, 0, False))
    took[name] = time.process_time() - began
    print(name, took[name], file=sys.stderr, flush=True)
print(json.dumps(took))
"""


class Bar(NamedTuple):
    """A line of the answer."""

    what: str
    found: str
    wanted: str
    met: bool


def main() -> int:
    """Measure and print; 0 if every bar is met."""
    parser = peers.command_line(__doc__)
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--no-peer", action="store_true", help="without the peer's ten structures")
    parser.add_argument("--only-peer", action="store_true", help="nothing but these")
    options = parser.parse_args()
    try:
        atlases = data.prepare(options.data, options.cache, components.package)
    except data.MissingDataError as error:
        print(error, file=sys.stderr)
        return 2
    fine = atlases.packages / "allen_mouse_25um_v1.2"
    data.warm(fine)
    with tempfile.TemporaryDirectory(dir=options.cache) as place:
        made, bars = Path(place) / "ours", []
        if not options.only_peer:
            bars = everything(fine, made, options.workers)
            published = ObjMeshes(atlases.packages / "allen_mouse_100um_v1.2" / "meshes", no_check)
            bars.append(beside_published(open_package(fine), WrittenMeshes(made), published))
        if not options.no_peer:
            bars.append(beside_peer(fine, Path(place), options.cache))
    for bar in bars:
        print(f"{bar.what:44} {bar.found:46} {bar.wanted:14} {'yes' if bar.met else 'NO'}")
    return 1 if not all(bar.met for bar in bars) else 0


def everything(folder: Path, target: Path, workers: int | None) -> list[Bar]:
    """Make all meshes and judge them."""
    atlas = open_package(folder)
    with Memory() as memory:
        began, before = time.perf_counter(), processors()
        summary = mesh_structures(atlas.labels, atlas.space, target, workers=workers)
        seconds, busy = time.perf_counter() - began, processors() - before
    raw = sum(one.raw_triangles for one in summary.meshes)
    share = summary.triangles / raw
    count = len(summary.meshes)
    return [
        Bar(
            f"all {count} meshes",
            f"{seconds:.1f} s ({busy:.0f} s of cores)",
            "<= 90 s",
            seconds <= 90,
        ),
        Bar(
            "peak memory of all processes",
            f"{memory.peak / 1e9:.2f} GB",
            "< 4 GB",
            memory.peak < 4e9,
        ),
        Bar("triangles", f"{summary.triangles:,} of {raw:,}: {share:.3f}", "<= 1/4", share <= 0.25),
        *quality(atlas, summary),
    ]


def processors() -> float:
    """Return the seconds that cores worked for this process and for children that ended."""
    return sum(os.times()[:4])


def quality(atlas: Atlas, summary: MeshSummary) -> list[Bar]:
    """Judge every mesh by itself and against its voxels."""
    meshes, size = WrittenMeshes(summary.folder), float(np.prod(atlas.space.spacing_um))
    sound, worst, near, vertices = 0, 0.0, 0, 0
    codes = atlas.labels.coded.codes.reshape(atlas.labels.shape)
    padded = np.pad(codes, 2)
    for one in summary.meshes:
        mesh = meshes.read(one.identifier)
        found = quality_of(mesh)
        sound += found.watertight and found.manifold and found.outward
        if one.voxels > 1000:
            worst = max(worst, abs(found.volume_um3 / (one.voxels * size) - 1))
        code = atlas.terminology.code_of_id(one.identifier)
        last = int(atlas.terminology.last[code])
        close = beside_surface(mesh.points / atlas.space.spacing_um + 2, padded, code, last)
        near, vertices = near + int(close.sum()), vertices + len(close)
    share, count = near / vertices, len(summary.meshes)
    return [
        Bar("watertight, manifold, outward", f"{sound} of {count}", "all", sound == count),
        Bar("volume against voxels, worst over 1000", f"{worst:.6%}", "<= 1 %", worst <= 0.01),
        Bar("vertices within a voxel of the labels", f"{share:.3%}", ">= 95 %", share >= 0.95),
    ]


def beside_surface(
    points: npt.NDArray[np.float64], codes: npt.NDArray[Any], first: int, last: int
) -> npt.NDArray[np.bool_]:
    """Say which points have voxels inside and voxels outside within the length of a voxel."""
    voxel = np.floor(points).astype(np.intp)
    part = points - voxel
    inside, outside = (np.zeros(len(points), np.bool_) for _ in range(2))
    for step in np.ndindex(3, 3, 3):
        shift = np.array(step) - 1
        gap = np.where(shift < 0, part, np.where(shift > 0, 1 - part, 0))
        close = (gap**2).sum(axis=1) <= 1
        there = codes[tuple((voxel + shift).T)]
        within = (there >= first) & (there <= last)
        inside |= close & within
        outside |= close & ~within
    return np.asarray(inside & outside)


def beside_published(atlas: Atlas, ours: WrittenMeshes, theirs: ObjMeshes) -> Bar:
    """Return how far our surfaces lie from the published ones, both ways."""
    medians = []
    for code in range(1, len(atlas.terminology) + 1):
        identifier = int(atlas.terminology.ids[code])
        if ours.has(identifier) and theirs.has(identifier):
            one, other = (meshes.read(identifier) for meshes in (ours, theirs))
            both = [*apart(spread(one), other), *apart(spread(other), one)]
            medians.append(statistics.median(both))
    found = statistics.median(medians)
    share = sum(one <= 25 for one in medians) / len(medians)
    text = f"{found:.1f} um; {share:.1%} of structures <= 25 um"
    return Bar("distance to the published meshes, median", text, "<= 25 um", found <= 25)


def spread(mesh: TriangleMesh) -> Array:
    """Return points all over a surface, as many to an area everywhere."""
    chance = np.random.default_rng(0)
    corners = mesh.points[mesh.triangles]
    first, second, third = (corners[:, side] for side in range(3))
    areas = np.linalg.norm(np.cross(second - first, third - first), axis=1)
    chosen = corners[chance.choice(len(corners), _POINTS, p=areas / areas.sum())]
    root, part = np.sqrt(chance.random((_POINTS, 1))), chance.random((_POINTS, 1))
    weights = (1 - root, root * (1 - part), root * part)
    return np.asarray(sum(weight * chosen[:, side] for side, weight in enumerate(weights)))


def apart(points: Array, mesh: TriangleMesh) -> list[float]:
    """Return the distances from points to a surface: to the nearest of the triangles around."""
    from scipy.spatial import KDTree

    corners = mesh.points[mesh.triangles]
    tree, count = KDTree(corners.mean(axis=1)), min(_AROUND, len(corners))
    near = corners[tree.query(points, count)[1].reshape(len(points), -1)]
    a, b, c = (near[:, :, side] for side in range(3))
    found = to_triangles(points[:, np.newaxis], a, b, c).min(axis=1)
    distances: list[float] = found.tolist()
    return distances


def to_triangles(point: Array, a: Array, b: Array, c: Array) -> Array:
    """Return distances to triangles: to the plane where its foot is within, else to the sides."""
    normal = np.cross(b - a, c - a)
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-12)
    within = np.ones(normal.shape[:-1], np.bool_)
    sides = np.full(normal.shape[:-1], np.inf)
    for start, end in ((a, b), (b, c), (c, a)):
        along, out = end - start, point - start
        within &= (np.cross(along, out) * normal).sum(axis=-1) >= 0
        part = (out * along).sum(axis=-1) / np.maximum((along**2).sum(axis=-1), 1e-12)
        foot = along * np.clip(part, 0, 1)[..., np.newaxis]
        sides = np.minimum(sides, np.linalg.norm(out - foot, axis=-1))
    return np.where(within, np.abs(((point - a) * normal).sum(axis=-1)), sides)


def beside_peer(folder: Path, place: Path, cache: Path) -> Bar:
    """Return our time on ten structures and the peer's, in seconds of a core.

    Not by the clock: on a busy machine that says who was lucky.
    """
    python = peers.interpreter(peers.V3_MAKING, cache)
    target = place / "theirs"
    target.mkdir()
    names = sample(folder)
    done = subprocess.run(
        [str(python), "-c", PEER, str(folder), str(target), json.dumps(names)],
        env=peers.surroundings(cache / "home"),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    theirs: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    ours = alone(folder, place / "ten", names)
    for name in names:
        ratio = theirs[name] / ours[name]
        print(f"  {name:10} {ours[name]:8.3f} s {theirs[name]:8.2f} s  1/{ratio:.0f}")
    mine, total = sum(ours.values()), sum(theirs.values())
    text = f"{mine:.2f} s, the peer {total:.0f} s: 1/{total / mine:.0f}"
    shutil.rmtree(target)
    return Bar("ten structures, seconds of a core", text, ">= 100 times", total >= 100 * mine)


def sample(folder: Path) -> list[str]:
    """Return acronyms of structures that have voxels, evenly over the tree."""
    atlas = open_package(folder)
    codes = sorted(job.first for job in jobs_of(atlas.labels, atlas.space, None, (0,)))
    step = len(codes) // _SAMPLE
    return [atlas.terminology.acronyms[code] for code in codes[step // 2 :: step][:_SAMPLE]]


def alone(folder: Path, place: Path, names: list[str]) -> dict[str, float]:
    """Return the seconds of a core that each structure takes us, its file written."""
    place.mkdir()
    atlas = open_package(folder)
    jobs = {job.first: job for job in jobs_of(atlas.labels, atlas.space, None, (0,))}
    write_codes(atlas.labels, place)
    spacing_um = atlas.space.spacing_um
    maker = Maker(place, place, spacing_um, Finish(min(spacing_um) / 2), "benchmark")
    took = {}
    maker.make(jobs[atlas.terminology.code("PVH")])  # what is loaded at the first
    for name in names:
        began = time.process_time()
        maker.make(jobs[atlas.terminology.code(name)])
        took[name] = time.process_time() - began
    return took


class Memory:
    """The most memory that this process and its children hold at a time, bytes; Linux only."""

    def __init__(self) -> None:
        self.peak = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.25):
            self.peak = max(self.peak, sum(map(_held, _family())))


def _family() -> list[int]:
    mine = Path("/proc/self/task")
    children = [int(one) for task in mine.glob("*/children") for one in task.read_text().split()]
    return [int(Path("/proc/self").resolve().name), *children]


def _held(process: int) -> int:
    """Return the memory of a process; a page that several share counts once in all."""
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:  # it ended
        return 0
    return 1024 * int(text.split("Pss:")[1].split()[0])


if __name__ == "__main__":
    sys.exit(main())
