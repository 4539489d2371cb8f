"""Mesh all structures of an annotation, on all cores, and go on where the last run ended."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bg_atlasapi.build.meshing.crew import made_by_crew
from bg_atlasapi.build.meshing.one import Finish
from bg_atlasapi.build.meshing.plan import Job, jobs_of, write_codes, write_sides
from bg_atlasapi.build.meshing.surface_files import MeshFacts, facts_in, name_of
from bg_atlasapi.build.meshing.worker import Maker
from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np
from bg_atlasapi.model.hemispheres import StoredHemispheres
from bg_atlasapi.model.labels import ArraySource, LabelVolume
from bg_atlasapi.model.parallel import workers as processors
from bg_atlasapi.model.space import LEFT, RIGHT, CoordinateSpace
from bg_atlasapi.model.volume import VolumeSource
from bg_atlasapi.store import disk
from bg_atlasapi.store.transfer.progress import Report, silent

MESHING = "mesh"
# Changes with whatever changes the meshes of the same labels and settings.
_METHOD = 2
_KEPT, _ADVICE = "What is done is kept: run again.", "Choose another folder."
_PLACE = ".meshing"
_FEW = 1 << 22  # voxels of all boxes: starting processes takes longer than this


@dataclass(frozen=True, slots=True)
class MeshSummary:
    """What was made.

    Parameters
    ----------
    folder
        Where the meshes lie.
    meshes
        Facts of each, by id and side.
    kept
        How many were there already.
    tolerance_um
        To which they were simplified, µm.
    """

    folder: Path
    meshes: tuple[MeshFacts, ...]
    kept: int
    tolerance_um: float

    @property
    def triangles(self) -> int:
        """How many there are in all."""
        return sum(one.triangles for one in self.meshes)


def mesh_structures(  # noqa: PLR0913 - keywords
    labels: LabelVolume,
    space: CoordinateSpace,
    target: Path,
    *,
    tolerance_um: float | None = None,
    smooth: bool | int = True,
    hemispheres: VolumeSource | None = None,
    report: Report = silent,
    workers: int | None = None,
) -> MeshSummary:
    """Make a mesh of every structure that has voxels, itself or below it.

    Each is the surface of the union of the structure's voxels and of all below it: closed,
    manifold, facing outwards, in µm from the corner of voxel 0, columns in the atlas's axis order.
    The same labels and settings give the same bytes, whatever ``workers`` is.

    Parameters
    ----------
    labels
        The annotation.
    space
        Its space.
    target
        Folder; made if need be. Meshes that are there, whole, and of the same labels and settings
        are kept, others are made again; meshes of structures without voxels are removed.
    tolerance_um
        How far a vertex may lie from the planes of the smoothed surface that it stands for, µm;
        half the shortest side of a voxel unless said. 0 keeps every vertex.
    smooth
        Whether to smooth, or how many times (1).
    hemispheres
        1 left, 2 right per voxel: each structure gets a mesh of either side besides.
    report
        Told how many voxels of boxes are done.
    workers
        How many processes; one a core unless said. 1 works in this one.

    Returns
    -------
    MeshSummary
        Facts of every mesh.

    Raises
    ------
    InvalidInputError
        For a negative tolerance, fewer than one worker, or hemispheres of another shape.
    StorageError
        If the folder cannot be written to.
    """
    finish = _finish(space, tolerance_um, smooth)
    if workers is not None and workers < 1:
        raise InvalidInputError(f"Meshes need at least 1 worker, got {workers}.")
    stored = None if hemispheres is None else _stored(hemispheres, space)
    sides = (0,) if stored is None else (0, LEFT, RIGHT)
    target = Path(target)
    with disk.explained(target, "make meshes", kept=_KEPT, advice=_ADVICE):
        target.mkdir(parents=True, exist_ok=True)
        _clear(target)
        jobs = jobs_of(labels, space, stored, sides)
        place = target / disk.unique(_PLACE)
        try:
            place.mkdir()
            digests = [write_codes(labels, place)]
            if stored is not None:
                digests.append(write_sides(space, stored, place))
            order = _order(place, target, space, finish, digests)
            facts, kept = _made(jobs, target, order, report, workers)
        finally:
            disk.remove(place)
    return MeshSummary(target, facts, kept, finish.tolerance_um)


def _clear(target: Path) -> None:
    """Remove what a run that was killed left behind."""
    for left in [*target.glob(f"{_PLACE}~*"), *target.glob(".*.ply~*")]:
        if disk.maker_is_gone(left.name):
            disk.remove(left)


def _stored(hemispheres: VolumeSource, space: CoordinateSpace) -> StoredHemispheres:
    """Return sides that fit the labels; an array will do."""
    if not hasattr(hemispheres, "slabs"):
        hemispheres = ArraySource(np.asarray(hemispheres))
    if tuple(hemispheres.shape) != space.shape:
        message = f"The shape of hemispheres= is {hemispheres.shape}, "
        raise InvalidInputError(f"{message}that of the labels {space.shape}.")
    return StoredHemispheres(hemispheres)


def _finish(space: CoordinateSpace, tolerance_um: float | None, smooth: int) -> Finish:
    tolerance = min(space.spacing_um) / 2 if tolerance_um is None else float(tolerance_um)
    if not 0 <= tolerance < float("inf"):
        message = f"The tolerance of meshes is 0 µm or more, got {tolerance_um!r}."
        raise InvalidInputError(message)
    if smooth < 0:
        raise InvalidInputError(f"Meshes are smoothed 0 times or more, got {smooth!r}.")
    return Finish(tolerance, int(smooth))


def _order(
    volume: Path, target: Path, space: CoordinateSpace, finish: Finish, digests: Sequence[str]
) -> dict[str, Any]:
    """Return what holds for all jobs, in the form that goes to a worker."""
    settled = {"spacing_um": list(space.spacing_um), "finish": asdict(finish)}
    stated = json.dumps([_METHOD, settled, *digests], sort_keys=True)
    key = hashlib.sha256(stated.encode()).hexdigest()[:32]
    return {
        "volume": str(volume.absolute()),
        "target": str(target.absolute()),
        "key": key,
        **settled,
    }


def _made(
    jobs: Sequence[Job],
    target: Path,
    order: dict[str, Any],
    report: Report,
    workers: int | None,
) -> tuple[tuple[MeshFacts, ...], int]:
    """Make what is not there; return the facts of all, and how many were there."""
    there = {
        (job.identifier, job.side): facts
        for job in jobs
        if (facts := facts_in(target / name_of(job.identifier, job.side), order["key"]))
    }
    weights = {(job.identifier, job.side): job.weight for job in jobs}
    missing = [job for job in jobs if (job.identifier, job.side) not in there]
    kept, total = len(there), sum(weights.values())
    done = sum(weights[one] for one in there)
    report(MESHING, done, total)
    for facts in _making(missing, order, workers):
        there[facts.identifier, facts.side] = facts
        done += weights[facts.identifier, facts.side]
        report(MESHING, done, total)
    names = {name_of(*one) for one in there}
    for stray in target.glob("*.ply"):
        if stray.name not in names:
            stray.unlink(missing_ok=True)
    return tuple(there[one] for one in sorted(there)), kept


def _making(jobs: Sequence[Job], order: dict[str, Any], workers: int | None) -> Iterator[MeshFacts]:
    few = workers is None and sum(job.weight for job in jobs) < _FEW
    count = 1 if few else workers or processors()
    if count > 1 and len(jobs) > 1:
        yield from made_by_crew(jobs, order, count)
        return
    maker = Maker.ordered(order)
    for job in jobs:
        yield maker.make(job)
