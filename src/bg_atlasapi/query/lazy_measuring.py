"""Measure images that are dask arrays: nothing is read until the answer is computed.

Each task sums up some planes, in whatever process it runs; the atlas comes by reference and is
opened there once. Partial sums are small and are put together in a tree.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np
from bg_atlasapi.model.parallel import spans
from bg_atlasapi.model.scan import Scan
from bg_atlasapi.query.distributions import Steps
from bg_atlasapi.query.grids import Grid, grid_of
from bg_atlasapi.query.measuring import (
    Question,
    image_span,
    is_small,
    require_same,
    rows_of,
    sums_of,
    table_of,
    together,
    unmasked,
)
from bg_atlasapi.query.pictures import Picture, Planes, check_type, source_in
from bg_atlasapi.query.sharing import SharedAtlas
from bg_atlasapi.query.statistics import Sums, Wanted
from bg_atlasapi.query.subject import Subject, subject_of

if TYPE_CHECKING:
    import numpy.typing as npt

    Partial = tuple[Sums | None, npt.NDArray[Any]]

_FAN_IN = 8


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked, as in ``atlas.measure``.

    Parameters
    ----------
    wanted
        The statistics.
    at, resolution, hemispheres, sketch
        As in ``atlas.measure``.
    """

    wanted: Wanted
    at: Any
    resolution: Any
    hemispheres: bool
    sketch: bool


def measure(atlas: Any, subject: Subject, image: Any, exclude: Any, asked: Asked) -> Any:
    """Return a ``dask.delayed`` object that computes to the table of ``atlas.measure``.

    Parameters
    ----------
    atlas
        Whose regions.
    subject
        What it is asked by.
    image
        A dask array.
    exclude
        An image of the same voxels, dask or not, or None.
    asked
        The rest.
    """
    from dask import delayed

    check_type(image, "image")
    if any(math.isnan(length) for length in image.shape):
        message = (
            f"The image has the shape {image.shape}: how large its chunks are is not known; call "
            "its compute_chunk_sizes() first."
        )
        raise InvalidInputError(message)
    grid = grid_of(subject.space, image.shape, asked.resolution)
    rows_of(subject.terminology, np.empty(0), asked.at)  # refuses a wrong at= before the work
    shared = SharedAtlas.of(atlas)
    slabs = image.rechunk({1: -1, 2: -1})
    blocks = slabs.to_delayed().reshape(-1).tolist()
    masks = _masks(subject, exclude, grid, slabs.chunks)
    steps: Any = None
    if asked.sketch and asked.wanted.quantiles and not is_small(np.dtype(image.dtype)):
        steps = delayed(_steps)([delayed(_finite_range)(block) for block in blocks])
    question = Question(asked.wanted, grid, asked.hemispheres)
    stops = np.cumsum(slabs.chunks[0]).tolist()
    firsts = [0, *stops][: len(blocks)]
    parts = [
        delayed(_part)(shared, block, mask, first, question, steps)
        for block, mask, first in zip(blocks, masks, firsts, strict=True)
    ]
    while len(parts) > 1:
        groups = [parts[one] for one in spans(len(parts), _FAN_IN)]
        parts = [delayed(_joined)(group) for group in groups]
    return delayed(_finished)(shared, parts[0], question, asked.at, steps)


def _masks(subject: Subject, exclude: Any, grid: Grid, chunks: Any) -> list[Any]:
    if exclude is None:
        return [None] * len(chunks[0])
    import dask.array as da
    from dask import delayed

    source, _ = source_in(subject.space, exclude, "exclusion mask")
    require_same(grid, dataclasses.replace(grid, shape=tuple(source.shape)))
    if isinstance(source, da.Array):
        return source.rechunk(chunks).to_delayed().reshape(-1).tolist()  # type: ignore[no-any-return]
    stops = np.cumsum(chunks[0]).tolist()
    parts = zip([0, *stops], stops, strict=False)
    if isinstance(source, np.ndarray):
        return [source[first:stop] for first, stop in parts]
    whole = delayed(source, traverse=False)
    return [delayed(_planes)(whole, first, stop) for first, stop in parts]


def _planes(source: Any, first: int, stop: int) -> Any:
    """Read planes of an image that is not dask's."""
    return np.asarray(source[first:stop, :, :])


def _finite_range(block: Any) -> tuple[float, float]:
    values = np.asarray(block)
    values = values[np.isfinite(values)]
    return (float(values.min()), float(values.max())) if values.size else (math.inf, -math.inf)


def _steps(ranges: Sequence[tuple[float, float]]) -> Steps:
    low, high = min(one for one, _ in ranges), max(one for _, one in ranges)
    return Steps(low, high) if low <= high else Steps(0.0, 0.0)


def _part(
    shared: SharedAtlas, block: Any, mask: Any, first: int, question: Question, steps: Steps | None
) -> Partial:
    """Sum up the planes of one block."""
    subject = subject_of(shared.open(), every_voxel=True)
    question = _with(question, steps)
    block, mask = unmasked(block, mask)
    planes = Planes(np.asarray(block))
    stop = first + planes.shape[0]
    places = question.grid.places
    low, high = first, stop
    if places is not None:
        inside = places[0][first:stop]
        inside = inside[inside >= 0]
        if not len(inside):
            return None, subject.terminology.ids
        low, high = int(inside[0]), int(inside[-1]) + 1
        places = (np.where(places[0] < 0, -1, places[0] - low)[first:stop], *places[1:])
    shape = (planes.shape[0], *question.grid.shape[1:])
    grid = dataclasses.replace(question.grid, shape=shape, places=places)
    picture = Picture(planes, grid)
    left_out = None if mask is None else Picture(Planes(np.asarray(mask)), grid)
    sides = subject.sides(low, high) if question.hemispheres else None
    local = dataclasses.replace(question, grid=grid)

    def fold(scan: Scan) -> Partial:
        labels = scan.some(low, high)
        span = image_span(grid, 0, high - low)
        sums = sums_of(labels, sides, span, picture, left_out, local, len(scan.ids))
        return sums, scan.ids

    return subject.labels.scan(fold)


def _with(question: Question, steps: Steps | None) -> Question:
    return dataclasses.replace(question, wanted=dataclasses.replace(question.wanted, steps=steps))


def _joined(parts: Sequence[Partial]) -> Partial:
    ids = max((ids for _, ids in parts), key=len)
    return together([sums for sums, _ in parts]), ids


def _finished(
    shared: SharedAtlas, partial: Partial, question: Question, at: Any, steps: Steps | None
) -> Any:
    subject = subject_of(shared.open(), every_voxel=True)
    return table_of(subject, *partial, _with(question, steps), at)
