"""Answers that need little of a 25 µm atlas must not load all of it (308 MB of labels)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_MB = 200
LAZY_LIMIT_MB = 100

OPEN = """
import sys
from pathlib import Path
from bg_atlasapi import BrainGlobeAtlas
folder = Path(sys.argv[1])
atlas = BrainGlobeAtlas("allen_mouse_25um", brainglobe_dir=folder.parent, check_latest=False)
"""

POINTS = """
import numpy as np
points = np.random.default_rng(1).uniform(0, atlas.shape_um, (1000, 3))
assert (atlas.lookup(points)["id"] > 0).sum() > 200
"""

SCALAR_POINTS = """
import numpy as np
points = np.random.default_rng(1).uniform(0, atlas.shape_um, (1000, 3))
assert sum(bool(atlas.structure_from_coords(point, microns=True)) for point in points) > 200
"""

SLICE = """
import numpy as np
plane = atlas.annotation[264]
assert plane.shape == (320, 456) and len(np.unique(plane)) > 100
"""

LAZY = """
volume = atlas.volumes["annotation"]
for axis, middle in enumerate((264, 160, 228)):
    key = [slice(None)] * 3
    key[axis] = middle
    assert len(set(volume[tuple(key)].ravel().tolist())) > 100
import numpy as np
voxels = np.random.default_rng(1).integers(0, volume.shape, (10_000, 3))
assert (volume[tuple(voxels.T)] > 0).sum() > 2000
assert volume.level(100)[66].shape == (80, 114)
"""

# The peak of this process alone: on Linux ru_maxrss starts with what the parent used before exec.
PEAK = """
def peak_mb():
    try:
        for line in open("/proc/self/status"):
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    except OSError:
        import resource
        unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
print(peak_mb())
"""


def peak_mb(folder: Path, question: str) -> float:
    """Return the peak memory of a process that opens the atlas and asks a question."""
    run = subprocess.run(
        [sys.executable, "-c", OPEN + question + PEAK, str(folder)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return float(run.stdout)


@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is read the POSIX way")
def test_lazy_volumes_take_less(allen_25um: Path) -> None:
    """A plane across each axis, 10,000 points and a coarser level below 100 MB: nothing is mapped."""
    assert peak_mb(allen_25um, LAZY) < LAZY_LIMIT_MB


@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is read the POSIX way")
@pytest.mark.parametrize("question", [POINTS, SCALAR_POINTS, SLICE], ids=["table", "loop", "slice"])
def test_small_questions_take_little_memory(allen_25um: Path, question: str) -> None:
    """1,000 points, or one slice, of a 25 µm atlas in a process that stays below 200 MB."""
    assert peak_mb(allen_25um, question) < LIMIT_MB
