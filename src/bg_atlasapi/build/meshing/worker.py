"""A process that makes meshes: jobs come in, facts go out, a line each.

A process of its own, and not a fork or a thread: half of the work holds the interpreter's lock, and
a plain command starts on every system without importing the caller's script. It ends when its input
does, so that it never outlives who started it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO

from bg_atlasapi.build.meshing.one import Finish, Made, mesh_of
from bg_atlasapi.build.meshing.plan import Job, MappedVolume
from bg_atlasapi.build.meshing.surface_files import MeshFacts, write_surface
from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt


class Maker:
    """Makes the meshes of one volume.

    Parameters
    ----------
    volume
        Folder of the codes.
    target
        Folder of the meshes.
    spacing_um
        Voxel size along each axis, µm.
    finish
        How they are smoothed and simplified.
    key
        Digest of all of it.
    """

    def __init__(
        self,
        volume: Path,
        target: Path,
        spacing_um: tuple[float, float, float],
        finish: Finish,
        key: str,
    ) -> None:
        self._volume, self._target = MappedVolume(volume), target
        self._spacing_um, self._finish, self._key = spacing_um, finish, key

    @classmethod
    def ordered(cls, order: Mapping[str, Any]) -> Self:
        """Return one for what holds for all jobs, in the form that goes to a worker."""
        return cls(
            Path(order["volume"]),
            Path(order["target"]),
            tuple(order["spacing_um"]),
            Finish(**order["finish"]),
            order["key"],
        )

    def make(self, job: Job) -> MeshFacts:
        """Make one mesh and write it."""
        made = mesh_of(
            lambda start, stop: self._volume.within(job, start, stop),
            job.shape,
            self._spacing_um,
            self._finish,
            job.low,
        )
        facts = _facts(job, made)
        write_surface(self._target, made.mesh, facts, self._key)
        return facts


def _facts(job: Job, made: Made) -> MeshFacts:
    points, triangles = made.mesh.points, made.mesh.triangles
    return MeshFacts(
        job.identifier,
        job.side,
        made.voxels,
        round(made.volume_um3, 3),
        made.raw_triangles,
        len(triangles),
        *_closed(np.ascontiguousarray(triangles.T), len(points)),
    )


def _closed(triangles: npt.NDArray[np.int64], count: int) -> tuple[bool, bool]:
    """Say whether every edge is gone along once either way for each triangle, and only once."""
    keys = []
    for side in range(3):
        start, end = triangles[side - 1], triangles[side]
        down = start > end
        edge = np.minimum(start, end) * count + np.maximum(start, end)
        keys.append(2 * edge + down)
    sorted_keys = np.sort(np.concatenate(keys))
    last = np.append(sorted_keys[1:] >> 1 != sorted_keys[:-1] >> 1, True)
    balance = np.cumsum(1 - 2 * (sorted_keys & 1))
    once = bool((sorted_keys[1:] != sorted_keys[:-1]).all())
    return not balance[last[: len(balance)]].any(), once


def _answers(stream: TextIO) -> Iterator[dict[str, Any]]:
    order = json.loads(stream.readline())
    maker = Maker.ordered(order)
    for line in stream:
        try:
            job = json.loads(line)
            job["low"], job["high"] = tuple(job["low"]), tuple(job["high"])
            yield asdict(maker.make(Job(**job)))
        except OSError as error:
            yield {"errno": error.errno, "error": error.strerror, "file": str(error.filename or "")}


def main() -> None:
    """Do what standard input says until it ends."""
    for answer in _answers(sys.stdin):
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
