"""What a plot shows in each pixel: which region, on which side, of which value or colour.

Decides, draws nothing. A picture holds a *key* in each pixel: the code of the structure that is
drawn there times three, plus the side (1 left, 2 right) where values differ between the sides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np
from bg_atlasapi.model.scan import Planes, Scan
from bg_atlasapi.model.space import LEFT, RIGHT
from bg_atlasapi.model.terminology import Terminology
from bg_atlasapi.query.masking import codes_of
from bg_atlasapi.query.painting import pairs_of
from bg_atlasapi.query.subject import Subject
from bg_atlasapi.view.cuts import codes_in, sides_in
from bg_atlasapi.view.planes import Plane, normal_axis, plane_name

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Floats = npt.NDArray[np.float64]

SIDES = 3


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be drawn.

    Parameters
    ----------
    drawn
        For each code, the code that is drawn in its place; 0 draws nothing. One more than there
        are codes: labels that are not listed.
    values
        For each side (neither, left, right), the value of each code, NaN for none; None where
        regions have their own colours.
    sided
        Whether the values of the sides differ.
    chosen
        The structures that were named, codes; empty where all are drawn.
    side
        The hemisphere that is drawn, None both.
    quantity
        What the values are called.
    """

    drawn: npt.NDArray[np.int32]
    values: Floats | None
    sided: bool
    chosen: tuple[int, ...]
    side: int | None
    quantity: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A slice as it is drawn.

    Parameters
    ----------
    plane
        Where it lies.
    keys
        Of each pixel, 0 where nothing is drawn.
    codes
        The structure of each pixel, drawn or not.
    """

    plane: Plane
    keys: Array
    codes: Array


def wanted_of(
    tree: Terminology, values: Any, column: Any, structures: Any, side: int | None
) -> Wanted:
    """Return what is to be drawn.

    Parameters
    ----------
    tree
        The structures of the atlas.
    values
        As ``query.paint`` takes them, or None.
    column
        Of a DataFrame; two, in a tuple, are of left and right.
    structures
        What to draw; None draws what has a value, or everything.
    side
        The hemisphere to draw.

    Raises
    ------
    InvalidInputError, UnknownStructureError
        As in ``query.paint``.
    """
    count = len(tree) + 2
    own = np.arange(count, dtype=np.int32)
    chosen = () if structures is None else tuple(sorted(set(codes_of(tree, structures))))
    if values is None:
        if column is not None:
            raise InvalidInputError("column= names a column of values=, which are missing.")
        drawn = own if structures is None else _under(tree, chosen)
        return Wanted(drawn, None, False, chosen, side, "")  # noqa: FBT003 - a dataclass
    columns = column if isinstance(column, tuple | list) else (column,)
    if len(columns) not in (1, 2):
        raise InvalidInputError(f"column= is one name, or those of left and right: {column!r}.")
    tables = [_numbers(tree, values, one) for one in columns]
    table = np.stack([tables[0][1], tables[0][1], tables[-1][1]])
    listed = tuple(sorted({code for keys, _ in tables for code in keys}))
    drawn = _under(tree, chosen or listed)
    sided = len(columns) == 2
    quantity = str(columns[0]) if not sided else " | ".join(map(str, columns))
    return Wanted(drawn, table, sided, chosen or listed, side, _named(values, column, quantity))


def _under(tree: Terminology, codes: tuple[int, ...]) -> npt.NDArray[np.int32]:
    return np.append(tree.codes_under(codes), np.int32(0))


def _named(values: Any, column: Any, quantity: str) -> str:
    if column is not None:
        return quantity
    name = getattr(values, "name", None)  # of a Series
    if hasattr(values, "columns"):
        name = next((one for one in values.columns if one not in ("id", "acronym", "name")), None)
    return "" if name is None else str(name)


def _numbers(tree: Terminology, values: Any, column: Any) -> tuple[list[int], Floats]:
    """Return the codes that have a value, and the value of every code."""
    listed: dict[int, float] = {}
    for key, value in pairs_of(values, column):
        if _is_nothing(key):
            continue
        listed[tree.code(key)] = _number(key, value)
    table = np.full(len(tree) + 2, np.nan)
    for code in sorted(listed):  # a descendant has the larger code
        table[code : int(tree.last[code]) + 1] = listed[code]
    return list(listed), table


def _is_nothing(key: Any) -> bool:
    """Say whether a row is that of no structure, as the last ones of ``atlas.count`` are."""
    return not isinstance(key, str | bool) and hasattr(key, "__index__") and int(key) <= 0


def _number(key: Any, value: Any) -> float:
    missing = value is None or type(value).__name__ == "NAType"
    try:
        number = math.nan if missing else float(value)
    except (TypeError, ValueError):
        number = math.inf
    if math.isinf(number) or isinstance(value, str | bytes):
        raise InvalidInputError(f"The value of {key!r}, {value!r}, is no finite number.")
    return number


def picture_of(subject: Subject, plane: Plane, wanted: Wanted) -> Picture:
    """Return what is drawn in a plane."""
    codes = codes_in(subject, plane)
    keys = wanted.drawn[codes].astype(np.intp) * SIDES
    if wanted.sided or wanted.side is not None:
        sides = sides_in(subject, plane)
        if wanted.side is not None:
            keys = np.where(sides == wanted.side, keys, 0)
        if wanted.sided:
            known = np.where((sides == LEFT) | (sides == RIGHT), sides, 0)
            keys = np.where(keys > 0, keys + known, 0)
    return Picture(plane, keys, codes)


def value_of(wanted: Wanted, key: int) -> float:
    """Return the value of a key, NaN for none."""
    assert wanted.values is not None
    code, side = divmod(key, SIDES)
    return float(wanted.values[side, code])


def best_position(subject: Subject, plane: Any, wanted: Wanted) -> float | None:
    """Return where an anatomical plane meets most of the structures that were named, µm.

    None if none was named, they have no voxels, or the plane is oblique.
    """
    name = plane_name(plane)
    if name == "oblique" or not wanted.chosen:
        return None
    axis = normal_axis(subject.space, name)
    counts = _counts_along(subject, wanted, axis)
    if not counts.any():
        return None
    return float((int(counts.argmax()) + 0.5) * subject.space.spacing_um[axis])


def _counts_along(subject: Subject, wanted: Wanted, axis: int) -> npt.NDArray[np.int64]:
    """Return how many voxels of the named structures each plane across an axis holds."""
    others = tuple(one for one in range(3) if one != axis)
    under = subject.terminology.codes_under(wanted.chosen) > 0

    def fold(scan: Scan) -> npt.NDArray[np.int64]:
        table = np.zeros(len(scan.ids), np.bool_)
        table[: len(under)] = under
        counts = np.zeros(scan.shape[axis], np.int64)

        def part(planes: Planes) -> tuple[int, int, Array]:
            inside = table[planes.codes]
            if wanted.side is not None:
                inside &= subject.sides(planes.first, planes.stop) == wanted.side
            return planes.first, planes.stop, np.count_nonzero(inside, axis=others)

        for first, stop, found in scan.over(part):
            counts[slice(first, stop) if axis == 0 else slice(None)] += found
        return counts

    return subject.labels.scan(fold)
