"""What does an image hold in each region?

The annotation and the image are read once, some planes at a time, on all cores; what is summed up
belongs to codes, and rolling up over the hierarchy puts codes together. See ``runs`` for how the
voxels are summed, ``statistics`` for what can be asked, ``grids`` for images of another voxel size.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np
from bg_atlasapi.model.scan import Planes as LabelPlanes
from bg_atlasapi.model.scan import Scan
from bg_atlasapi.model.terminology import Terminology
from bg_atlasapi.query.accumulators import Members
from bg_atlasapi.query.distributions import Steps
from bg_atlasapi.query.grids import Grid
from bg_atlasapi.query.pictures import Picture, picture_of
from bg_atlasapi.query.points import ancestors_at, unlisted_label
from bg_atlasapi.query.runs import MOST_VOXELS, SIDES, boxes_of, runs_of
from bg_atlasapi.query.statistics import Sums, Wanted, wanted_of
from bg_atlasapi.query.subject import Subject, subject_of
from bg_atlasapi.store.transfer.progress import Report, silent

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    Array = npt.NDArray[Any]

MEASURE = "measure"
_LEFT, _RIGHT = 1, 2  # places of the sides among the slots of a code


@dataclass(frozen=True, slots=True)
class Question:
    """What is measured.

    Parameters
    ----------
    wanted
        The statistics.
    grid
        Where the voxels of the image lie.
    hemispheres
        Whether sides are told apart.
    """

    wanted: Wanted
    grid: Grid
    hemispheres: bool


def measure(  # noqa: PLR0913 - one question, many ways
    atlas: Any,
    image: Any,
    statistics: Iterable[str] = ("n", "mean", "std"),
    at: int | Sequence[object] | None = None,
    *,
    resolution: float | Sequence[float] | None = None,
    exclude: Any = None,
    threshold: float | None = None,
    hemispheres: bool = True,
    sketch: bool = False,
    report: Report = silent,
) -> pd.DataFrame:
    """Say what an image holds in each region; see ``atlas.measure``.

    Parameters
    ----------
    atlas
        Whose regions.
    image, statistics, at, resolution, exclude, threshold, hemispheres, sketch
        As in ``atlas.measure``.
    report
        Told of the bytes of the image that were read.
    """
    wanted = wanted_of(statistics, threshold)
    subject = subject_of(atlas, every_voxel=True)
    if is_dask(image):
        from bg_atlasapi.query import lazy_measuring

        asked = lazy_measuring.Asked(wanted, at, resolution, hemispheres, sketch)
        lazy: pd.DataFrame = lazy_measuring.measure(atlas, subject, image, exclude, asked)
        return lazy
    image, exclude = unmasked(image, exclude)
    picture = picture_of(subject.space, image, resolution)
    left_out = None
    if exclude is not None:
        left_out = picture_of(subject.space, exclude, picture.grid.spacing_um, "exclusion mask")
        require_same(picture.grid, left_out.grid)
    rows_of(subject.terminology, np.empty(0), at)  # refuses a wrong at= before the work
    if sketch and wanted.quantiles and not is_small(picture.planes.dtype):
        wanted = dataclasses.replace(wanted, steps=_steps(picture))
    question = Question(wanted, picture.grid, bool(hemispheres))
    sums, ids = _gather(subject, picture, left_out, question, report)
    return table_of(subject, sums, ids, question, at)


def is_dask(image: Any) -> bool:
    """Say whether an image is a dask array."""
    return type(image).__module__.partition(".")[0] == "dask"


def is_small(dtype: np.dtype[Any]) -> bool:
    """Say whether values are whole numbers of at most 16 bits, which need no sketch."""
    return dtype.kind in "biu" and dtype.itemsize <= 2


def require_same(image: Grid, mask: Grid) -> None:
    """Refuse an exclusion mask of another shape than the image."""
    if image.shape != mask.shape:
        message = (
            f"The exclusion mask has the shape {mask.shape}, the image {image.shape}; "
            "they must have the same voxels."
        )
        raise InvalidInputError(message)


def unmasked(image: Any, exclude: Any) -> tuple[Any, Any]:
    """Leave out the voxels that numpy's masked arrays mask."""
    if not isinstance(image, np.ma.MaskedArray):
        return image, exclude
    hidden = np.ma.getmaskarray(image)
    if exclude is not None:
        if np.shape(exclude) != hidden.shape:
            message = (
                f"The exclusion mask has the shape {np.shape(exclude)}, the image {hidden.shape}."
            )
            raise InvalidInputError(message)
        hidden = hidden | (np.asarray(exclude) != 0)
    return image.data, hidden


def _steps(picture: Picture) -> Steps:
    """Return even steps over the finite values of an image, by reading it."""
    low, high = math.inf, -math.inf
    planes, depth = picture.planes, max(1, MOST_VOXELS // max(math.prod(picture.grid.shape[1:]), 1))
    for first in range(0, planes.shape[0], depth):
        values = planes(first, min(first + depth, planes.shape[0]))
        values = values[np.isfinite(values)]
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    return Steps(low, high) if low <= high else Steps(0.0, 0.0)


def _gather(
    subject: Subject, picture: Picture, left_out: Picture | None, question: Question, report: Report
) -> tuple[Sums | None, Array]:
    """Sum up an image by slot; None where it holds no structure."""
    total = math.prod(picture.grid.shape) * picture.planes.dtype.itemsize

    def fold(scan: Scan) -> tuple[Sums | None, Array]:
        count = len(scan.ids)

        def part(planes: LabelPlanes) -> tuple[Sums | None, int]:
            sides = subject.sides(planes.first, planes.stop) if question.hemispheres else None
            span = image_span(question.grid, planes.first, planes.stop)
            found = sums_of(planes, sides, span, picture, left_out, question, count)
            return found, span[1]

        sums: Sums | None = None
        for found, stop in scan.over(part):
            sums = together([sums, found])
            report(MEASURE, total * stop // max(picture.grid.shape[0], 1), total)
        return sums, scan.ids

    return subject.labels.scan(fold)


def image_span(grid: Grid, first: int, stop: int) -> tuple[int, int]:
    """Return the planes of an image that lie in planes of the atlas."""
    if grid.places is None:
        return first, stop
    places = grid.places[0]
    inside = places[places >= 0]
    low, high = np.searchsorted(inside, [first, stop])
    return int(low), int(high)


def sums_of(
    planes: LabelPlanes,
    sides: Array | None,
    span: tuple[int, int],
    picture: Picture,
    left_out: Picture | None,
    question: Question,
    count: int,
) -> Sums | None:
    """Sum up the planes of an image that lie in some planes of an annotation.

    Parameters
    ----------
    planes
        Of the annotation.
    sides
        Of these, to be broadcast; None does not tell sides apart.
    span
        Planes of the image, the last one not included.
    picture, left_out
        The image, and what is left out.
    question
        What is asked.
    count
        How many codes there are.
    """
    sums: Sums | None = None
    depth = max(1, MOST_VOXELS // max(math.prod(question.grid.shape[1:]), 1))
    for start in range(*span, depth):
        end = min(start + depth, span[1])
        codes, part_sides = _labels_at(planes, sides, start, end, question.grid)
        hidden = None if left_out is None else left_out.planes(start, end) != 0
        for place, box, values in boxes_of(codes, picture.planes(start, end)):
            kept = _cleaned(box, values, None if hidden is None else hidden[place])
            box_sides = None if part_sides is None else _cut(part_sides, place)
            runs = runs_of(*kept, box_sides, count)
            found = Sums.of(runs, question.wanted)
            sums = found if sums is None else sums.plus(found)
    return sums


def _labels_at(
    planes: LabelPlanes, sides: Array | None, start: int, stop: int, grid: Grid
) -> tuple[Array, Array | None]:
    """Return codes and sides at the centres of the voxels of planes of an image."""
    if grid.places is None:
        span = slice(start - planes.first, stop - planes.first)
        return planes.codes[span], sides if sides is None or len(sides) == 1 else sides[span]
    at = (grid.places[0][start:stop] - planes.first, grid.places[1], grid.places[2])
    codes = planes.codes[at[0]]
    for axis in (1, 2):
        codes = codes.take(at[axis], axis=axis, mode="clip")
        beyond = at[axis] < 0
        if beyond.any():
            codes[(slice(None),) * axis + (beyond,)] = 0
    if sides is not None:
        for axis in range(3):
            if sides.shape[axis] > 1:
                sides = sides.take(at[axis], axis=axis, mode="clip")
    return codes, sides


def _cut(sides: Array, place: tuple[slice, ...]) -> Array:
    """Return a part of what is to be broadcast."""
    pairs = zip(sides.shape, place, strict=True)
    return sides[tuple(one if length > 1 else slice(None) for length, one in pairs)]


def _cleaned(codes: Array, values: Array, hidden: Array | None) -> tuple[Array, Array]:
    """Put voxels that do not count outside: NaN, and what is left out."""
    if values.dtype.kind == "f":
        missing = np.isnan(values)
        if missing.any():
            values = np.where(missing, values.dtype.type(0), values)
            hidden = missing if hidden is None else hidden | missing
    if hidden is None or not hidden.any():
        return codes, values
    return np.where(hidden, codes.dtype.type(0), codes), values


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of an answer.

    Parameters
    ----------
    codes
        That each row is called after.
    members, rows
        Pairs: which codes belong to which row; sorted by row, then by code.
    """

    codes: npt.NDArray[np.intp]
    members: npt.NDArray[np.intp]
    rows: npt.NDArray[np.intp]

    def slots(self, sides: Sequence[int]) -> Members:
        """Return which slots make up each row."""
        slots = (self.members[:, None] * SIDES + np.asarray(sides)).reshape(-1)
        return Members(slots, np.repeat(self.rows, len(sides)), len(self.codes))


def rows_of(terminology: Terminology, ids: Array, at: Any) -> Rows:
    """Return the rows: every structure with its descendants, or what ``at=`` says.

    Labels that the terminology lacks have rows of their own, at the end; not with a list of
    structures, in which they are not.

    Parameters
    ----------
    terminology
        The structures.
    ids
        Of all codes, those past the terminology included.
    at
        As in ``atlas.measure``.
    """
    count = len(terminology) + 1
    extra = np.arange(count, max(len(ids), count))
    if at is None:
        first = np.arange(1, count)
        lengths = terminology.last[1:] - first + 1
        rows = np.repeat(np.arange(len(first)), lengths)
        members = np.arange(lengths.sum()) - np.repeat(
            np.cumsum(lengths) - lengths - first, lengths
        )
        gaps = False
        codes = first
    else:
        table, gaps = ancestors_at(terminology, at)
        codes, rows = np.unique(table[1:], return_inverse=True)
        members = np.argsort(rows, kind="stable") + 1
        rows = np.sort(rows)
        if len(codes) and codes[0] == 0:
            inside = rows > 0
            codes, members, rows = codes[1:], members[inside], rows[inside] - 1
    if not gaps:
        rows = np.concatenate([rows, len(codes) + np.arange(len(extra))])
        codes, members = np.concatenate([codes, extra]), np.concatenate([members, extra])
    return Rows(codes.astype(np.intp), members.astype(np.intp), rows.astype(np.intp))


def table_of(
    subject: Subject, sums: Sums | None, ids: Array, question: Question, at: Any
) -> pd.DataFrame:
    """Return what was summed up as a table."""
    import pandas as pd

    terminology = subject.terminology
    rows = rows_of(terminology, ids, at)
    listed = rows.codes < len(terminology) + 1
    names = [
        (terminology.acronyms[code], terminology.names[code])
        if inside
        else (unlisted_label(int(ids[code])),) * 2
        for code, inside in zip(rows.codes.tolist(), listed.tolist(), strict=True)
    ]
    sums = nothing(question, len(ids)) if sums is None else sums
    all_ids = ids if len(ids) >= len(terminology) + 1 else terminology.ids
    columns: dict[str, Any] = {
        "id": all_ids[rows.codes],
        "acronym": [acronym for acronym, _ in names],
        "name": [name for _, name in names],
    }
    for prefix, suffix, members in _views(rows, question, own=at is None):
        found = sums.columns(question.wanted, members)
        if not prefix and not suffix:
            columns["volume_mm3"] = found["n"] * question.grid.voxel_mm3
        for name in question.wanted.names:
            columns[f"{prefix}{name}{suffix}"] = found[name]
    frame = pd.DataFrame(columns)
    if question.wanted.steps is not None:
        frame.attrs["percentile_error"] = question.wanted.steps.error
    return frame


def _views(rows: Rows, question: Question, *, own: bool) -> list[tuple[str, str, Members]]:
    """Return prefix and suffix of columns, and the slots that they are taken from."""
    views = [("", "", rows.slots(range(SIDES)))]
    if question.hemispheres:
        views += [("", "_left", rows.slots([_LEFT])), ("", "_right", rows.slots([_RIGHT]))]
    if own:
        alone = Rows(rows.codes, rows.codes, np.arange(len(rows.codes)))
        views.append(("own_", "", alone.slots(range(SIDES))))
    return views


def nothing(question: Question, count: int, dtype: Any = np.uint8) -> Sums:
    """Return the sums of an image in which no voxel counts."""
    codes = np.zeros((1, 1, 1), np.uint16)
    return Sums.of(runs_of(codes, np.zeros((1, 1, 1), dtype), None, count), question.wanted)


def together(parts: Sequence[Sums | None]) -> Sums | None:
    """Return what was gathered in several parts."""
    there = [one for one in parts if one is not None]
    return reduce(lambda one, other: one.plus(other), there) if there else None
