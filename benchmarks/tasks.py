"""What is measured, run by the interpreter of each peer: ``python tasks.py JSON``.

Uses only what every peer has: its own API, numpy, the standard library. The argument says the task
and where its atlas is; the last line of the output is the answer, as JSON. Times are seconds of
``perf_counter`` around the call alone, memory is the peak of this process, in MB.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

SEED = 20171001


def open_atlas(job: dict[str, Any]) -> Any:
    """Open the job's atlas with the job's package, without asking for newer versions."""
    module = importlib.import_module(job["module"])
    return module.BrainGlobeAtlas(job["atlas"], brainglobe_dir=job["folder"], check_latest=False)


def timed(call: Any, *args: Any) -> tuple[float, Any]:
    """Return how long a call took, and its answer."""
    start = perf_counter()
    answer = call(*args)
    return perf_counter() - start, answer


def median(times: list[float]) -> float:
    """Return the middle one."""
    return sorted(times)[len(times) // 2]


def mask(job: dict[str, Any]) -> dict[str, float]:
    """Time the mask of the cerebral cortex: first call, further calls, a copy of its bytes."""
    atlas = open_atlas(job)
    first, answer = timed(atlas.get_structure_mask, "CTX")
    again, copies = [], []
    for _ in range(job["repeats"]):
        again.append(timed(atlas.get_structure_mask, "CTX")[0])
        copies.append(timed(answer.copy)[0])
    return {"first": first, "again": median(again), "copy": median(copies)}


def random_points(atlas: Any, count: int) -> Any:
    """Return points (µm) spread over the volume; the same for every peer."""
    import numpy as np

    return np.random.default_rng(SEED).uniform(0, 1, (count, 3)) * np.array(atlas.shape_um)


def points(job: dict[str, Any]) -> dict[str, float]:
    """Time a lookup of points, each repeat from a fresh atlas object.

    A package that takes them all at once is given them all; one that takes one at a time is given
    ``job["loop"]``, and the time of the loop (not of loading the volume) is scaled.
    """
    import numpy as np
    import pandas as pd  # so that the first lookup does not pay for an import the peer paid before

    assert pd.DataFrame is not None
    atlas = open_atlas(job)
    places = random_points(atlas, job["count"])
    if not hasattr(atlas, "lookup"):
        load, _ = timed(atlas.structure_from_coords, places[0], True)  # noqa: FBT003
        some = places[: job["loop"]]
        loop, _ = timed(lambda: [atlas.structure_from_coords(place, True) for place in some])  # noqa: FBT003
        return {"points": load + loop * job["count"] / job["loop"]}
    tables, arrays, gathers = [], [], []
    annotation = np.array(atlas.annotation)
    i, j, k = (places // np.array(atlas.resolution)).astype(np.int64).T.copy()
    for _ in range(job["repeats"]):
        tables.append(timed(open_atlas(job).lookup, places)[0])
        arrays.append(timed(open_atlas(job).structure_from_coords, places, True)[0])  # noqa: FBT003
        gathers.append(timed(lambda: annotation[i, j, k])[0])
    return {"points": median(tables), "ids": median(arrays), "gather": median(gathers)}


def descendants(job: dict[str, Any]) -> dict[str, float]:
    """Time all descendants of all structures."""
    atlas = open_atlas(job)
    ids = list(atlas.structures.keys())
    total, _ = timed(lambda: [atlas.get_structure_descendants(one) for one in ids])
    return {"descendants": total}


def meshes(job: dict[str, Any]) -> dict[str, float]:
    """Time reading the meshes of the first 100 structures that have one."""
    import meshio  # as in points

    assert meshio.read is not None
    atlas = open_atlas(job)
    listed = [one["id"] for one in atlas.structures_list if Path(one["mesh_filename"]).is_file()]
    chosen = listed[:100]
    if len(chosen) < 100:
        message = f"only {len(chosen)} mesh files are here"
        raise LookupError(message)
    total, _ = timed(lambda: [atlas.mesh_from_structure(one).points for one in chosen])
    return {"meshes": total}


def memory_points(job: dict[str, Any]) -> dict[str, float]:
    """Return the peak memory after a look-up of 1,000 points."""
    atlas = open_atlas(job)
    places = random_points(atlas, 1000)
    if hasattr(atlas, "lookup"):
        atlas.lookup(places)
    else:
        for place in places:
            atlas.structure_from_coords(place, True)  # noqa: FBT003
    return {"peak": peak_mb()}


def memory_slice(job: dict[str, Any]) -> dict[str, float]:
    """Return the peak memory after taking one slice of the annotation."""
    atlas = open_atlas(job)
    volumes = getattr(atlas, "volumes", None)
    volume = atlas.annotation if volumes is None else volumes["annotation"]
    total = int(volume[atlas.shape[0] // 2].sum())
    assert total > 0
    return {"peak": peak_mb()}


def peak_mb() -> float:
    """Return the peak resident memory of this process.

    Not ``ru_maxrss`` where it can be helped: on Linux that starts with what the process was before
    ``exec``, a copy of its parent.
    """
    status = Path("/proc/self/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) / 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def package(job: dict[str, Any]) -> dict[str, float]:
    """Write the 25 µm atlas as a packaged folder, from the published volumes."""
    import nrrd
    import numpy as np

    from bg_atlasapi.testing import write_package

    source = Path(job["source"])
    annotation, reference = (
        np.ascontiguousarray(nrrd.read(str(source / f"{name}_25.nrrd"))[0])
        for name in ("annotation", "average_template")
    )
    write_package(
        job["folder"],
        name="allen_mouse_25um",
        version="1.2",
        annotation=annotation,
        reference=reference,
        structures=json.loads((source / "structures_brainglobe.json").read_bytes()),
        resolution=(25, 25, 25),
    )
    return {}


TASKS = {
    task.__name__: task
    for task in (mask, points, descendants, meshes, memory_points, memory_slice, package)
}

if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    print()
    print(json.dumps(TASKS[asked["task"]](asked)))
