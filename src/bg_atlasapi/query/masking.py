"""The voxels of structures, as arrays: one, several, by hemisphere, cropped, or all in turn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np
from bg_atlasapi.model.coding import BLOCK
from bg_atlasapi.model.parallel import over_blocks
from bg_atlasapi.model.ranges import fill_ranges, ranges_of
from bg_atlasapi.model.scan import Planes, Scan
from bg_atlasapi.model.terminology import Terminology
from bg_atlasapi.query.region_pass import RegionSums, region_sums
from bg_atlasapi.query.subject import Subject, side_of, subject_of

if TYPE_CHECKING:
    import numpy.typing as npt

_VALUES = ("binary", "id")
# Up to here comparing each range is quicker than looking codes up in a table.
_FEW = 4


class CroppedMask(NamedTuple):
    """A mask cut down to the bounding box of what is in it.

    Parameters
    ----------
    array
        The box; of a structure without voxels, of shape ``(0, 0, 0)``.
    offset
        Index of the box's first voxel in the volume.
    """

    array: npt.NDArray[Any]
    offset: tuple[int, int, int]


class StructureMask(NamedTuple):
    """The mask of one structure.

    Parameters
    ----------
    id, acronym
        Of the structure.
    array
        Its mask, of the whole volume or cropped.
    offset
        Index of the array's first voxel in the volume.
    """

    id: int
    acronym: str
    array: npt.NDArray[Any]
    offset: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Values:
    """What is written where.

    Parameters
    ----------
    table
        Value of every code of the terminology, 0 for those left out; and a last 0 for labels that
        it lacks, whose codes are larger.
    codes
        The codes that are written.
    ranges
        The same as ranges, where comparing these is quicker than looking codes up; else None.
    side
        1 left, 2 right, None for both.
    """

    table: npt.NDArray[Any]
    codes: npt.NDArray[np.intp]
    ranges: Sequence[tuple[int, int]] | None
    side: int | None

    @classmethod
    def of(cls, table: npt.NDArray[Any], side: int | None) -> _Values:
        """Return what a table of the terminology's codes writes."""
        codes = np.flatnonzero(table)
        ranges = ranges_of(codes)
        alike = (table[codes] == table.max()).all() and len(ranges) <= _FEW
        return cls(np.append(table, table.dtype.type(0)), codes, ranges if alike else None, side)

    def write(self, codes: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
        """Write values where codes have one, into zeros of the same shape."""
        if self.ranges is None:
            self.table.take(codes, out=out, mode="clip")
        else:
            fill_ranges(codes, self.ranges, self.table.max(), out)

    def keep_side(self, sides: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
        """Clear what is not on the side that is asked for."""
        np.copyto(out, 0, where=sides != self.side)


def mask(
    atlas: Any,
    structures: Any,
    hemisphere: str = "both",
    values: str = "binary",
    *,
    crop: bool = False,
) -> npt.NDArray[Any] | CroppedMask:
    """Return the voxels of structures and all their descendants, in one pass.

    Parameters
    ----------
    atlas
        An atlas.
    structures
        A structure, or a list of them: id, acronym, exact name or ``Structure``. Or a mapping from
        labels to structures, which makes a label map of merged groups: whole numbers are the labels
        themselves, names are numbered from 1 in their order; not a mixture of both.
    hemisphere
        ``"left"``, ``"right"`` or ``"both"``.
    values
        ``"binary"``: 1 inside. ``"id"``: the id of the listed structure; where one lies in another,
        the deeper one's. A mapping says its values itself.
    crop
        Return only the bounding box of what is asked for.

    Returns
    -------
    numpy.ndarray or CroppedMask
        0 outside; ``uint8`` where the values fit. With ``crop``, the array and its offset.

    Raises
    ------
    UnknownStructureError
        If the atlas lacks a structure.
    InvalidInputError
        If there is no structure, the hemisphere or the values are none of these, or a structure is
        in two groups.

    Examples
    --------
    >>> from bg_atlasapi import BrainGlobeAtlas
    >>> atlas = BrainGlobeAtlas("phantom_mouse_100um")
    >>> array, offset = atlas.mask(["VISp", "CA1"], hemisphere="left", crop=True)
    >>> array.shape, offset, int(array.sum())
    ((44, 50, 37), (62, 7, 59), 13799)
    """
    subject = subject_of(atlas, every_voxel=True)
    wanted = _Values.of(_table(subject.terminology, structures, values), side_of(hemisphere))
    if crop:
        return _cropped(subject, region_sums(subject), wanted)
    return subject.labels.scan(lambda scan: _whole(subject, scan, wanted))


def masks(
    atlas: Any,
    structures: Sequence[Any] | None = None,
    hemisphere: str = "both",
    values: str = "binary",
    *,
    crop: bool = False,
) -> Iterator[StructureMask]:
    """Yield the masks of structures one after the other, without allocating each.

    Parameters
    ----------
    atlas
        An atlas.
    structures
        Which ones; default all, in the order of the hierarchy.
    hemisphere, values
        As in ``mask``; every array is of the type that holds the largest value of all.
    crop
        Yield only bounding boxes, each a new array. Else every array is the same one, of the whole
        volume, which holds the mask until the next is asked for: copy what is to be kept.

    Yields
    ------
    StructureMask
        Id, acronym, array, offset.

    Examples
    --------
    >>> from bg_atlasapi import BrainGlobeAtlas, query
    >>> atlas = BrainGlobeAtlas("phantom_mouse_100um")
    >>> for id, acronym, array, offset in query.masks(atlas, ["CA1", "CA3"], crop=True):
    ...     print(acronym, array.shape, offset)
    CA1 (35, 39, 78) (62, 18, 18)
    CA3 (29, 27, 70) (63, 23, 22)
    """
    subject = subject_of(atlas, every_voxel=True)
    terminology, side = subject.terminology, side_of(hemisphere)
    if structures is None:
        codes: Sequence[int] = range(1, len(terminology) + 1)
    else:
        codes = codes_of(terminology, structures)
    _check_values(values)
    largest = max(int(terminology.ids[code]) for code in codes) if values == "id" else 1
    kind = np.min_scalar_type(largest)
    tables = (_table(terminology, [int(terminology.ids[code])], values) for code in codes)
    wanted = (_Values.of(table.astype(kind), side) for table in tables)
    return _each(subject, codes, wanted, crop=crop)


def _each(
    subject: Subject, codes: Iterable[int], wanted: Iterable[_Values], *, crop: bool
) -> Iterator[StructureMask]:
    terminology, sums = subject.terminology, region_sums(subject)
    whole: npt.NDArray[Any] | None = None
    for code, values in zip(codes, wanted, strict=True):
        names = int(terminology.ids[code]), terminology.acronyms[code]
        if crop:
            yield StructureMask(*names, *_cropped(subject, sums, values))
            continue
        if whole is None:
            whole = np.zeros(subject.labels.shape, values.table.dtype)
        box = _box(sums, values)
        part = whole[box]
        _fill(subject, box, values, part)
        yield StructureMask(*names, whole, (0, 0, 0))
        part[...] = 0


def codes_of(terminology: Terminology, structures: Any) -> list[int]:
    """Return the codes of one structure, or of a list of them.

    Raises
    ------
    UnknownStructureError
        If one is not known.
    InvalidInputError
        If there is none.
    """
    single = isinstance(structures, str) or hasattr(structures, "id")
    try:
        keys = [structures] if single else list(structures)
    except TypeError:
        keys = [structures]
    if not keys:
        raise InvalidInputError("There must be at least one structure; the list is empty.")
    return [terminology.code(key) for key in keys]


def _check_values(values: str) -> None:
    if values not in _VALUES:
        message = f"A mask holds {' or '.join(map(repr, _VALUES))} values, not {values!r}."
        raise InvalidInputError(message)


def _table(terminology: Terminology, structures: Any, values: str) -> npt.NDArray[Any]:
    """Return the value of every code; parents are written before their descendants."""
    _check_values(values)
    if isinstance(structures, Mapping) and not hasattr(structures, "id"):  # a structure is a dict
        labelled = _groups(terminology, structures)
    else:
        codes = codes_of(terminology, structures)
        ids = terminology.ids
        labelled = {code: int(ids[code]) if values == "id" else 1 for code in codes}
    largest = max(labelled.values())
    table = np.zeros(len(terminology) + 1, np.min_scalar_type(largest))
    for code in sorted(labelled):
        table[code : int(terminology.last[code]) + 1] = labelled[code]
    return table


def _groups(terminology: Terminology, groups: Mapping[Any, Any]) -> dict[int, int]:
    """Return the label of each structure that is in a group."""
    numbers = [isinstance(key, int | np.integer) and not isinstance(key, bool) for key in groups]
    whole = all(numbers)
    if any(numbers) and not whole:
        message = f"Labels are all whole numbers or all names, not a mixture: {list(groups)!r}."
        raise InvalidInputError(message)
    labelled: dict[int, int] = {}
    owner: dict[int, Any] = {}
    for number, (key, structures) in enumerate(groups.items(), start=1):
        label = int(key) if whole else number
        if not 0 < label <= np.iinfo(np.uint32).max:
            raise InvalidInputError(f"A label is a whole number from 1 to 2**32 - 1, not {key!r}.")
        for code in codes_of(terminology, structures):
            if code in owner and owner[code] != key:
                acronym = terminology.acronyms[code]
                message = f"{acronym} is in two groups, {owner[code]!r} and {key!r}."
                raise InvalidInputError(message)
            owner[code], labelled[code] = key, label
    if not labelled:
        raise InvalidInputError("There must be at least one group; the mapping is empty.")
    return labelled


def _whole(subject: Subject, scan: Scan, values: _Values) -> npt.NDArray[Any]:
    out = np.zeros(scan.shape, values.table.dtype)

    def block(planes: Planes) -> None:
        part = out[planes.first : planes.stop]
        values.write(planes.codes, part)
        if values.side is not None:
            values.keep_side(subject.sides(planes.first, planes.stop), part)

    for _ in scan.over(block):
        pass
    return out


def _box(sums: RegionSums, values: _Values) -> tuple[slice, slice, slice]:
    """Return the bounding box of codes, of both sides."""
    codes = values.codes
    low, high = sums.first[:, codes].min(axis=1), sums.last[:, codes].max(axis=1)
    if (high < 0).any():
        return (slice(0, 0), slice(0, 0), slice(0, 0))
    first, second, third = map(slice, low.tolist(), (high + 1).tolist())
    return first, second, third


def _fill(
    subject: Subject, box: tuple[slice, slice, slice], values: _Values, out: npt.NDArray[Any]
) -> None:
    """Write what is in a box of voxels, some planes at a time, on all cores."""
    start = box[0].start

    def block(part: slice) -> None:
        planes, some = slice(start + part.start, start + part.stop), out[part]
        codes, _ = subject.labels.box((planes, *box[1:]))
        values.write(codes, some)
        if values.side is not None:
            sides = subject.sides(planes.start, planes.stop)
            for axis in (1, 2):  # of length 1 where the side does not depend on the axis
                if sides.shape[axis] > 1:
                    sides = sides[(slice(None),) * axis + (box[axis],)]
            values.keep_side(sides, some)

    if out.size:
        over_blocks(block, len(out), max(1, BLOCK // out[0].size))


def _cropped(subject: Subject, sums: RegionSums, values: _Values) -> CroppedMask:
    box = _box(sums, values)
    array = np.zeros([part.stop - part.start for part in box], values.table.dtype)
    _fill(subject, box, values, array)
    starts = [part.start for part in box]
    if values.side is not None:  # the other side may have been what made the box so large
        inner = _bounds(array)
        array = np.ascontiguousarray(array[inner])
        starts = [outer.start + part.start for outer, part in zip(box, inner, strict=True)]
    first, second, third = starts
    return CroppedMask(array, (first, second, third))


def _bounds(array: npt.NDArray[Any]) -> tuple[slice, slice, slice]:
    """Return the bounding box of what is not 0."""
    found = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        places = np.flatnonzero(array.any(axis=others))
        found.append(slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0))
    first, second, third = found
    return first, second, third
