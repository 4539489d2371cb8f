"""Measure packaging beside brainglobe-atlasapi 3: from arrays and meshes to an atlas on disk.

Usage: ``python benchmarks/packaging.py [--rounds N]``, with this checkout installed. The published
100 µm Allen atlas, with its 839 meshes, is written as a component store by the peer's
``wrapup_atlas_from_data`` and by this package; then ``brainglobe build`` makes both layouts of the
25 µm atlas from its sources, without meshes, and finds all that is wrong with a broken recipe.
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

LOAD = """
import json, sys, time
from pathlib import Path
import tifffile
folder, target = Path(sys.argv[1]), Path(sys.argv[2])
target.mkdir(parents=True, exist_ok=True)
annotation = tifffile.imread(folder / "annotation.tiff")
reference = tifffile.imread(folder / "reference.tiff")
structures = json.loads((folder / "structures.json").read_text())
meshes = {one["id"]: folder / "meshes" / f"{one['id']}.obj" for one in structures}
meshes = {key: path for key, path in meshes.items() if path.exists()}
"""
PEER = f"""{LOAD}
from brainglobe_atlasapi.atlas_generation.wrapup import wrapup_atlas_from_data
began = time.perf_counter()
wrapup_atlas_from_data(
    atlas_name="allen_mouse", atlas_minor_version=0, citation="unpublished",
    atlas_link="http://www.brain-map.org", species="Mus musculus", resolution=(100, 100, 100),
    orientation="asr", root_id=997, reference_stack=reference, annotation_stack=annotation,
    structures_list=structures, meshes_dict=meshes, working_dir=target,
)
print("SECONDS", time.perf_counter() - began)
"""
OURS = f"""{LOAD}
from bg_atlasapi.build import arrays
from bg_atlasapi.formats import exporting
from bg_atlasapi.formats.checks import no_check
from bg_atlasapi.formats.mesh_files import ObjMeshes
began = time.perf_counter()
atlas = arrays.atlas_of(arrays.Parts(
    annotation, structures, (100.0, 100.0, 100.0), reference=reference,
    meshes=ObjMeshes(folder / "meshes", no_check),
    metadata={{"name": "allen_mouse", "version": "3.0", "species": "Mus musculus"}},
))
exporting.export(atlas, "allen_mouse_100um", "3.0", target, "components")
print("SECONDS", time.perf_counter() - began)
"""
BROKEN = """\
name = "a b"
versoin = "1.0"
[annotation]
path = "allen_ccf_2017/annotation_25.nrrd"
sha256 = "0"
[template]
path = "allen_ccf_2017/average_template_50.nrrd"
[table]
path = "nothing.json"
"""


def main() -> int:
    """Measure and print; 0 if every bar is met."""
    parser = peers.command_line(__doc__, rounds=1)
    options = parser.parse_args()
    try:
        atlases = data.prepare(options.data, options.cache, components.package)
        peer = peers.interpreter(peers.V3_MAKING, options.cache)
    except (data.MissingDataError, peers.PeerUnavailableError) as error:
        print(error, file=sys.stderr)
        return 2
    atlas = atlases.packages / "allen_mouse_100um_v1.2"
    data.warm(atlas)
    times: dict[str, list[float]] = {"ours": [], "3.x": [], "25 µm": [], "broken": []}
    for _ in range(options.rounds):
        times["broken"].append(_broken(options.data))
        times["25 µm"].append(_built(options.data))
        times["ours"].append(_timed(Path(sys.executable), OURS, atlas))
        times["3.x"].append(_timed(peer, PEER, atlas))
        print({key: round(some[-1], 2) for key, some in times.items()}, file=sys.stderr)
    found = {key: statistics.median(some) for key, some in times.items()}
    share = found["3.x"] / found["ours"]
    rows = [
        ("100 µm, arrays and meshes to an atlas", found["ours"], f"1/{share:.0f}", share >= 20),
        ("the same, brainglobe-atlasapi 3.x", found["3.x"], "", None),
        (
            "25 µm, sources to both layouts, no meshes",
            found["25 µm"],
            "≤ 60 s",
            found["25 µm"] <= 60,
        ),
        ("a broken recipe, whole process", found["broken"], "< 2 s", found["broken"] < 2),
    ]
    for question, seconds, bar, met in rows:
        verdict = "" if met is None else "met" if met else "MISSED"
        print(f"{question:<45} {seconds:8.2f} s  {bar:<8} {verdict}")
    return 0 if all(met is not False for *_, met in rows) else 1


def _timed(python: Path, code: str, atlas: Path) -> float:
    """Return the seconds that packaging took in a process of its own, imports left out."""
    with tempfile.TemporaryDirectory() as target:
        done = subprocess.run(
            [str(python), "-c", code, str(atlas), str(Path(target, "out"))],
            capture_output=True,
            text=True,
            check=False,
        )
    lines = [one for one in done.stdout.splitlines() if one.startswith("SECONDS")]
    if not lines:
        message = f"packaging failed: {done.stderr[-2000:]}"
        raise RuntimeError(message)
    return float(lines[-1].split()[1])


def _built(sources: Path) -> float:
    recipe = peers.CHECKOUT / "recipes" / "allen_mouse_25um.toml"
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, "plain.toml")
        lines = recipe.read_text(encoding="utf-8").splitlines()
        plain.write_text("\n".join(one for one in lines if not one.startswith("levels_um")))
        options = ["--no-meshes", "--sources", str(sources), "-o", str(Path(folder, "out"))]
        seconds, done = _command(["build", str(plain), *options, "--json"])
        assert json.loads(done.stdout)["is_new"], done.stderr
        return seconds


def _broken(sources: Path) -> float:
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder, "broken.toml")
        recipe.write_text(BROKEN, encoding="utf-8")
        seconds, done = _command(["build", str(recipe), "--sources", str(sources)])
        assert done.stderr.count("\n  - ") == 7, done.stderr
        return seconds


def _command(words: list[str]) -> tuple[float, subprocess.CompletedProcess[str]]:
    began = perf_counter()
    code = "from bg_atlasapi.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
    )
    return perf_counter() - began, done


if __name__ == "__main__":
    sys.exit(main())
