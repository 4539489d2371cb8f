"""The voxels of structures, as arrays: one, several, by hemisphere, cropped, or all in turn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np
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
        Value of every code of the terminology, 0 for those left out.
    side
        1 left, 2 right, None for both.
    """

    table: npt.NDArray[Any]
    side: int | None

    @property
    def codes(self) -> npt.NDArray[np.intp]:
        """The codes that are written."""
        return np.flatnonzero(self.table)

    def write(self, codes: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
        """Write values where codes have one, into zeros of the same shape."""
        ranges = ranges_of(self.codes)
        values = np.unique(self.table[self.codes])
        if len(values) <= 1 and len(ranges) <= _FEW:
            if len(values):
                fill_ranges(codes, ranges, values[0], out)
        else:  # labels that the terminology lacks have codes past the table
            known = np.minimum(codes, len(self.table))
            np.append(self.table, self.table.dtype.type(0)).take(known, out=out)

    def keep_side(self, sides: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
        """Clear what is not on the side that is asked for."""
        if self.side is not None:
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
        themselves, other keys are numbered from 1 in their order.
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
    wanted = _Values(_table(subject.terminology, structures, values), side_of(hemisphere))
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
        As in ``mask``.
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
    one_by_one = (_table(terminology, [int(terminology.ids[code])], values) for code in codes)
    wanted = ((code, _Values(table, side)) for code, table in zip(codes, one_by_one, strict=True))
    _check_values(values)
    return _each(subject, wanted, crop=crop)


def _each(
    subject: Subject, wanted: Iterable[tuple[int, _Values]], *, crop: bool
) -> Iterator[StructureMask]:
    terminology, sums = subject.terminology, region_sums(subject)
    wholes: dict[Any, npt.NDArray[Any]] = {}
    for code, values in wanted:
        names = int(terminology.ids[code]), terminology.acronyms[code]
        if crop:
            yield StructureMask(*names, *_cropped(subject, sums, values))
            continue
        kind = values.table.dtype
        if kind not in wholes:
            wholes[kind] = np.zeros(subject.labels.shape, kind)
        box = _box(sums, values)
        part = wholes[kind][box]
        _fill(subject, box, values, part)
        yield StructureMask(*names, wholes[kind], (0, 0, 0))
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
    whole = all(isinstance(key, int | np.integer) and not isinstance(key, bool) for key in groups)
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
    if not out.size:
        return
    codes, _ = subject.labels.box(box)
    values.write(codes, out)
    sides = subject.sides(box[0].start, box[0].stop)
    for axis in (1, 2):  # of length 1 where the side does not depend on the axis
        if sides.shape[axis] > 1:
            sides = sides[(slice(None),) * axis + (box[axis],)]
    values.keep_side(sides, out)


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
