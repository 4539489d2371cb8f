"""Count and look up on a cluster of processes, one of which is killed midway; see the test.

A script: processes are spawned anew, which need a main module that can be imported.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

CHUNKS, ROWS = 40, 500


def slowly(block: Any) -> Any:
    """Return points after a while, so that there is a midway."""
    time.sleep(0.05)
    return block


def kept(dask_scheduler: Any) -> int:
    """Return how many results the cluster holds."""
    return sum(task.state == "memory" for task in dask_scheduler.tasks.values())


def main() -> None:
    """Print what was found, as JSON."""
    import dask.array as da
    import numpy as np
    from distributed import Client, LocalCluster

    from bg_atlasapi import BrainGlobeAtlas

    atlas = BrainGlobeAtlas("phantom_mouse_100um")
    points = np.random.default_rng(5).random((CHUNKS * ROWS, 3)) * atlas.shape_um
    lazy = da.from_array(points, chunks=(ROWS, 3)).map_blocks(slowly, dtype=float)
    said = {}
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        for name in ("count", "lookup"):
            before = client.run(os.getpid)
            running = client.compute(getattr(atlas, name)(lazy))
            while client.run_on_scheduler(kept) < 4:
                time.sleep(0.02)
            os.kill(next(iter(before.values())), signal.SIGKILL)
            was_running = not running.done()
            found = running.result(timeout=90).astype(str)
            expected = getattr(atlas, name)(points).astype(str)
            after = client.run(os.getpid)
            said[name] = {
                "midway": was_running,
                "same": found.equals(expected),
                "lost": len({*before.values()} - {*after.values()}),
                "processes": len({*before.values()} | {os.getpid()}),
            }
            del running
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main()
