"""Measure the browser viewer: first picture, slice to slice, memory, size of the page.

Usage: ``python benchmarks/viewer.py [--data FOLDER] [--cache FOLDER] [--large] [--rounds N]``, with
this checkout installed, Playwright, and a chromium (or what CHROMIUM names). The phantom and, where
the data are, the 25 µm Allen atlas; ``--large`` also an atlas of 10 µm size, made from that one by
repeating voxels (7 GB in the cache). Every number is of a fresh server process; the browser runs
already, as it does for people. Exit code 1: a bar is not met.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peers

ROOT = Path(__file__).resolve().parent.parent
FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--enable-unsafe-swiftshader",
    "--use-angle=swiftshader",
)
LARGE = (1320, 800, 1140)
SERVE = """
import sys
from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.view.viewer import Wish, start
where = sys.argv[1]
atlas = BrainGlobeAtlas.from_path(where) if "/" in where else BrainGlobeAtlas(where)
viewing = start(atlas, Wish(), lambda url: print(url, flush=True))
viewing.wait()
"""
# Asks for a slice as a key does and waits until it was painted; milliseconds of each.
STEPS = """async ([pane, indices]) => {
  const root = document.querySelector(`[data-pane=${pane}]`);
  const slider = root.querySelector("input");
  const took = [];
  for (const index of indices) {
    const began = performance.now();
    slider.value = String(index);
    slider.dispatchEvent(new Event("input"));
    while (root.dataset.index !== String(index)) await new Promise((go) => setTimeout(go, 0));
    took.push(performance.now() - began);
    await new Promise((go) => setTimeout(go, 60));
  }
  return took;
}"""


@dataclass(frozen=True)
class Bar:
    """One measured number and what it has to be below."""

    what: str
    value: float
    limit: float
    unit: str

    def __str__(self) -> str:
        verdict = "ok" if self.value <= self.limit else "NOT MET"
        return f"{self.what:52} {self.value:9.3f} {self.unit:3} (bar {self.limit:g}) {verdict}"


@contextmanager
def served(where: str) -> Iterator[tuple[subprocess.Popen[str], str, float]]:
    """Run a viewer; give its process, address, and when the command began."""
    began = time.perf_counter()
    if "/" in where:
        command = [sys.executable, "-c", SERVE, where]
    else:
        script = "from bg_atlasapi.cli import main; main()"
        command = [sys.executable, "-c", script, "view", where, "--no-browser"]
    # Bytecode is kept, as pip keeps that of an installed package; the first round compiles it.
    compiled = {"PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "viewer-bytecode")}
    kept = {key: one for key, one in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=kept | compiled)
    try:
        assert process.stdout is not None
        found = re.search(r"http\S+", process.stdout.readline())
        assert found is not None, "the viewer did not start"
        yield process, found[0], began
    finally:
        process.terminate()
        process.wait()


def memory_mb(process: subprocess.Popen[str], name: str) -> float:
    """Return what the process takes (``VmRSS``) or took at most (``VmHWM``)."""
    text = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    return int(text.split(name + ":")[1].split()[0]) / 1024


def settle(process: subprocess.Popen[str]) -> None:
    """Wait until the server prepares nothing more: it uses no processor for some seconds."""
    if sys.platform != "linux":
        time.sleep(60)
        return
    path, before = Path(f"/proc/{process.pid}/stat"), -1
    for _ in range(100):
        used = sum(map(int, path.read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]))
        if before >= 0 and used - before < 5:  # of 100 a second
            return
        before = used
        time.sleep(4)


def first_picture(browser: Any, where: str, rounds: int) -> float:
    """Return seconds from the command to three painted slices, the median of some rounds."""
    took = []
    for _ in range(rounds):
        context = browser.new_context(viewport={"width": 1280, "height": 720})
        page = context.new_page()
        with served(where) as (_process, url, began):
            page.goto(url, wait_until="commit")
            page.wait_for_selector("html[data-picture]", state="attached")
            took.append(time.perf_counter() - began)
        context.close()
    return statistics.median(took)


def stepping(page: Any, shape: list[int]) -> dict[str, float]:
    """Return milliseconds from one slice to the next, and to one far away, the slower pane's."""
    axes = {"coronal": 0, "horizontal": 1, "sagittal": 2}
    near, far = [], []
    for pane, axis in axes.items():
        middle = shape[axis] // 2
        near.append(statistics.median(page.evaluate(STEPS, [pane, [*range(middle, middle + 20)]])))
        jumps = [shape[axis] * part // 100 for part in (20, 71, 33, 64, 27, 58, 41, 76)]
        far.append(statistics.median(page.evaluate(STEPS, [pane, jumps])))
    return {"next slice": max(near), "a slice far away": max(far)}


def measure(
    browser: Any, name: str, where: str, limits: tuple[float, float], rounds: int
) -> list[Bar]:
    """Return the bars of one atlas."""
    picture_s, slice_ms = limits
    bars = []
    if picture_s:
        bars.append(
            Bar(f"{name}: first picture", first_picture(browser, where, rounds), picture_s, "s")
        )
    with served(where) as (process, url, _):
        page = browser.new_context(viewport={"width": 1280, "height": 720}).new_page()
        page.set_default_timeout(600_000)
        page.goto(url)
        page.wait_for_selector("html[data-regions]", state="attached")
        settle(process)
        shape = page.evaluate("fetch('api/atlas.json').then((one) => one.json())")["shape"]
        for what, value in stepping(page, shape).items():
            bars.append(Bar(f"{name}: {what}", value, slice_ms, "ms"))
        hovered = _requests_of_hovering(page)
        bars.append(Bar(f"{name}: requests while hovering", hovered, 0, ""))
        if not picture_s and sys.platform == "linux":
            peak = memory_mb(process, "VmHWM")
            bars.append(Bar(f"{name}: memory of the server, most", peak, 400, "MB"))
        page.context.close()
    return bars


def _requests_of_hovering(page: Any) -> int:
    page.wait_for_timeout(1000)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    box = page.locator("[data-pane=coronal] canvas").bounding_box()
    for step in range(50):
        page.mouse.move(box["x"] + box["width"] * step / 50, box["y"] + box["height"] / 2)
    return len(asked)


def page_mb() -> float:
    """Return how much the whole page is as it travels."""
    from bg_atlasapi.view.page_files import page_files

    sizes = [len(file.zipped) for address, file in page_files().items() if address != "/"]
    return sum(sizes) / 1e6


def allen(data: Path, cache: Path) -> Path:
    """Return the folder of the 25 µm atlas, packaged once, with the meshes of the 100 µm one."""
    import nrrd
    import numpy as np

    from bg_atlasapi.testing import write_package

    done = cache / "allen_mouse_25um_v1.2"
    if not done.exists():
        source = data / "allen_ccf_2017"
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            package = write_package(
                folder,
                name="allen_mouse_25um",
                version="1.2",
                annotation=np.ascontiguousarray(nrrd.read(str(source / "annotation_25.nrrd"))[0]),
                reference=np.ascontiguousarray(
                    nrrd.read(str(source / "average_template_25.nrrd"))[0]
                ),
                structures=json.loads((source / "structures_brainglobe.json").read_bytes()),
                resolution=(25, 25, 25),
            )
            with tarfile.open(data / "allen_mouse_100um_v1.2.tar.gz") as archive:
                archive.extractall(folder, filter="data")
            meshes = Path(folder) / "allen_mouse_100um_v1.2" / "meshes"
            shutil.copytree(meshes, package / "meshes", dirs_exist_ok=True)
            shutil.move(package, done)
    return done


def enlarged(small: Path, cache: Path) -> Path:
    """Return an atlas of 10 µm size: voxels repeated, with noise in the template."""
    import numpy as np
    import tifffile

    done, half = cache / "allen_mouse_10um_v1.2", cache / "half_of_10um"
    if done.exists():
        return done
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir()
    generator = np.random.default_rng(0)
    for name in ("annotation", "reference"):
        volume = tifffile.memmap(small / f"{name}.tiff", mode="r")
        places = [np.arange(n) * m // n for n, m in zip(LARGE, volume.shape, strict=True)]

        def planes(volume: Any = volume, places: Any = places, noisy: bool = name[0] == "r") -> Any:  # noqa: FBT001
            for index in places[0]:
                plane = volume[index][np.ix_(places[1], places[2])]
                noise = generator.integers(0, 6, plane.shape) * (plane > 20) if noisy else 0
                yield (plane + noise).astype(volume.dtype)

        target = half / f"{name}.tiff"
        tifffile.imwrite(target, planes(), shape=LARGE, dtype=volume.dtype, bigtiff=True)
    metadata = json.loads((small / "metadata.json").read_text(encoding="utf-8"))
    metadata |= {"shape": list(LARGE), "resolution": [10.0, 10.0, 10.0]}
    (half / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    shutil.copy(small / "structures.json", half)
    shutil.copytree(small / "meshes", half / "meshes")
    half.rename(done)
    return done


def main() -> int:
    """Measure, print, and say whether all bars are met."""
    from playwright.sync_api import sync_playwright

    parser = peers.command_line(__doc__, rounds=5)
    parser.add_argument("--large", action="store_true", help="also an atlas of 10 µm size")
    asked = parser.parse_args()
    asked.cache.mkdir(parents=True, exist_ok=True)
    jobs = [("phantom", "phantom_mouse_100um", (1.5, 60.0))]
    if (asked.data / "README.md").is_file():
        small = allen(asked.data, asked.cache)
        jobs.append(("25 µm", str(small), (2.5, 60.0)))
        if asked.large:
            jobs.append(("10 µm size", str(enlarged(small, asked.cache)), (0.0, 150.0)))
    else:
        print(f"The real data are not here ({asked.data}): the phantom only.")
    bars = [Bar("page, gzipped", page_mb(), 1.5, "MB")]
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        for name, where, limits in jobs:
            bars += measure(browser, name, where, limits, asked.rounds)
        browser.close()
    print("\n".join(map(str, bars)))
    return int(any(bar.value > bar.limit for bar in bars))


if __name__ == "__main__":
    sys.exit(main())
