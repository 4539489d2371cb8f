"""Answers that need little of a 25 µm atlas must not load all of it (308 MB of labels)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_MB = 200

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


@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is read the POSIX way")
@pytest.mark.parametrize("question", [POINTS, SCALAR_POINTS, SLICE], ids=["table", "loop", "slice"])
def test_small_questions_take_little_memory(allen_25um: Path, question: str) -> None:
    """1,000 points, or one slice, of a 25 µm atlas in a process that stays below 200 MB."""
    run = subprocess.run(
        [sys.executable, "-c", OPEN + question + PEAK, str(allen_25um)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < LIMIT_MB
