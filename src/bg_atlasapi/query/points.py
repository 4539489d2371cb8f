"""Which structure is each point in?

Points are divided by the voxel size, floored, checked against the edges and gathered, block by
block, so that temporaries stay in the processor's cache and memory does not grow with the number of
points. Outside is an answer: negative, beyond the edge, NaN, infinite and background points all
come back as id 0, "Outside atlas".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np
from bg_atlasapi.model.hemispheres import StoredHemispheres
from bg_atlasapi.model.id_index import UNLISTED
from bg_atlasapi.model.labels import LabelVolume
from bg_atlasapi.model.parallel import over_blocks
from bg_atlasapi.model.space import LEFT, RIGHT, CoordinateSpace, as_points
from bg_atlasapi.model.terminology import Terminology
from bg_atlasapi.query.categories import by_row, sides, used_rows

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

# 64 k points and their temporaries stay in a core's L2 cache; measured best of 16 k to 256 k.
BLOCK = 1 << 16
ELSEWHERE_LABEL = "Elsewhere"
_ELSEWHERE = UNLISTED - 1  # the code of what is in none of the structures that were given


@dataclass(frozen=True, slots=True)
class Located:
    """Where points are; all arrays of shape ``(n,)``.

    Parameters
    ----------
    ids
        Label under each point, 0 outside; the annotation's type.
    codes
        ``int32``: code of the structure, 0 outside, -1 for a label the terminology lacks.
    inside
        Within the volume (background included).
    hemispheres
        ``uint8``: 1 left, 2 right, 0 beyond the volume.
    """

    ids: npt.NDArray[np.integer]
    codes: npt.NDArray[np.int32]
    inside: npt.NDArray[np.bool_]
    hemispheres: npt.NDArray[np.uint8]


def locate(
    labels: LabelVolume,
    space: CoordinateSpace,
    points: npt.ArrayLike,
    unit: str = "um",
    hemispheres: StoredHemispheres | None = None,
) -> Located:
    """Find the label and hemisphere of points.

    Parameters
    ----------
    labels
        The annotation.
    space
        Its voxel size and orientation.
    points
        ``(N, 3)`` numbers in the atlas's axis order, origin at the corner of voxel 0.
    unit
        ``"um"``, ``"mm"`` or ``"voxel"``.
    hemispheres
        Of an asymmetric atlas; None computes them.

    Raises
    ------
    InvalidInputError
        If points are not numbers of shape ``(N, 3)`` or the unit is unknown.
    """
    array, _ = as_points(points)
    scale = space.voxel_scale(unit)
    count = len(array)
    answer = Located(
        ids=np.empty(count, labels.dtype),
        codes=np.empty(count, np.int32),
        inside=np.empty(count, np.bool_),
        hemispheres=np.empty(count, np.uint8),
    )

    def block(part: slice) -> None:
        flat, inside, left = _voxels(array[part], scale, space)
        ids, codes = labels.sample(flat)
        answer.inside[part] = inside
        np.multiply(ids, inside, out=answer.ids[part], casting="unsafe")
        np.multiply(codes, inside, out=answer.codes[part])
        _sides(flat, inside, left, hemispheres, answer.hemispheres[part])

    if count and 0 not in labels.shape:
        over_blocks(block, count, BLOCK)
    else:
        for array_of_answer in (answer.ids, answer.codes, answer.inside, answer.hemispheres):
            array_of_answer[...] = 0
    return answer


def voxel_of(
    point: Sequence[float], scale: Sequence[float], shape: Sequence[int]
) -> tuple[int, int, int] | None:
    """Return the voxel of one point, None outside; the scalar twin of ``locate``, 50 times faster.

    Parameters
    ----------
    point
        Three numbers.
    scale
        Size of a voxel in the unit of the point.
    shape
        Voxels along each axis.
    """
    (a, b, c), (p, q, r), (i, j, k) = point, scale, shape
    try:
        a, b, c = a / p, b / q, c / r
    except OverflowError:  # a whole number past 1e308
        return None
    if 0 <= a < i and 0 <= b < j and 0 <= c < k:  # a NaN compares false
        return (int(a), int(b), int(c))
    return None


def _voxels(
    points: npt.NDArray[np.floating | np.integer],
    scale: tuple[float, Sequence[float]],
    space: CoordinateSpace,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return each point's flat voxel index (0 where outside), whether it is inside, and left."""
    flat = np.zeros(len(points))
    inside = np.ones(len(points), np.bool_)
    left = inside
    first_left, end_left = space.left_span
    factor, sizes = scale
    with np.errstate(over="ignore", invalid="ignore"):  # far outside is outside
        for axis, (size, length) in enumerate(zip(sizes, space.shape, strict=True)):
            column = points[:, axis]
            if factor != 1:
                column = np.multiply(column, factor, dtype=np.float64)
            voxel = np.floor(np.divide(column, size, dtype=np.float64))
            inside &= (voxel >= 0) & (voxel < length)  # a NaN compares false
            if axis == space.left_right_axis:
                left = (voxel >= first_left) & (voxel < end_left)
            flat *= length
            flat += voxel
    flat[~inside] = 0
    return flat.astype(np.int64), inside, left


def ancestors_at(
    terminology: Terminology, at: int | Sequence[object]
) -> tuple[npt.NDArray[np.int32], bool]:
    """Return the table code → code that answers ``at=``, and whether it leaves gaps.

    Parameters
    ----------
    terminology
        The structures.
    at
        A depth (0 is the root; negative counts up from the structure itself), or structures: each
        code maps to the deepest of them that holds it, to 0 where none does.

    Raises
    ------
    InvalidInputError
        If it is neither.
    UnknownStructureError
        If one of the structures is not known.
    """
    if isinstance(at, bool):
        message = f"at= takes a depth or a list of structures, got {at!r}."
        raise InvalidInputError(message)
    if isinstance(at, int | np.integer):
        return terminology.codes_at_depth(int(at)), False
    if isinstance(at, str) or hasattr(at, "id"):
        at = [at]
    try:
        keys = list(at)
    except TypeError:
        message = f"at= takes a depth or a list of structures, got {at!r}."
        raise InvalidInputError(message) from None
    return terminology.codes_under([terminology.code(key) for key in keys]), True


def check_depth(depth: object) -> int:
    """Return a depth as an integer.

    Raises
    ------
    InvalidInputError
        If it is not one.
    """
    if isinstance(depth, bool) or not isinstance(depth, int | np.integer):
        message = f"A depth in the hierarchy is a whole number, 0 for the root; got {depth!r}."
        raise InvalidInputError(message)
    return int(depth)


def ancestor(terminology: Terminology, label: Any, depth: int | None) -> tuple[int, Any]:
    """Return code and id that one label answers at a depth; the scalar twin of ``roll_up``."""
    code = terminology.code_of_id(int(label))
    if depth is None or code <= 0:
        return code, label
    code = int(terminology.codes_at_depth(depth)[code])
    return code, int(terminology.ids[code])


def acronym(terminology: Terminology, code: int, label: Any, outside: str) -> str:
    """Return the acronym of one code; the scalar twin of ``acronyms``."""
    if code <= 0:
        return outside if code == 0 else unlisted_label(int(label))
    return terminology.acronyms[code]


def hemispheres_of(
    space: CoordinateSpace,
    points: npt.ArrayLike,
    unit: str,
    stored: StoredHemispheres | None,
) -> npt.NDArray[np.uint8]:
    """Return the hemisphere of points, ``uint8``: 1 left, 2 right, 0 beyond the volume.

    Parameters
    ----------
    space, points, unit
        As in ``locate``.
    stored
        Of an asymmetric atlas; None computes it.
    """
    array, _ = as_points(points)
    scale = space.voxel_scale(unit)
    answer = np.zeros(len(array), np.uint8)

    def block(part: slice) -> None:
        flat, inside, left = _voxels(array[part], scale, space)
        _sides(flat, inside, left, stored, answer[part])

    over_blocks(block, len(array), BLOCK)
    return answer


def _sides(
    flat: npt.NDArray[np.int64],
    inside: npt.NDArray[np.bool_],
    left: npt.NDArray[np.bool_],
    stored: StoredHemispheres | None,
    out: npt.NDArray[np.uint8],
) -> None:
    if stored is None:
        side: npt.NDArray[Any] = np.where(left, LEFT, RIGHT)
    else:
        side = stored.at(flat)
    np.multiply(side, inside, out=out, casting="unsafe")


def roll_up(located: Located, terminology: Terminology, at: int | Sequence[object]) -> Located:
    """Replace each point's structure by its ancestor at a depth or among given structures.

    Labels that the terminology lacks have no ancestors: at a depth they stay themselves, among
    given structures they are elsewhere.
    """
    codes = located.codes.copy()
    ids = _roll_up(located.ids, codes, terminology, at)
    np.maximum(codes, UNLISTED, out=codes)
    codes[(ids == 0) & (located.ids != 0)] = 0
    return replace(located, ids=ids, codes=codes)


def _roll_up(
    labels: npt.NDArray[np.integer],
    codes: npt.NDArray[np.int32],
    terminology: Terminology,
    at: int | Sequence[object],
) -> npt.NDArray[np.integer]:
    """Do so in blocks, in place of the codes; what is elsewhere gets the code ``_ELSEWHERE``."""
    table, gaps = ancestors_at(terminology, at)
    table = np.append(table, UNLISTED)  # at place -1
    if gaps:
        table[1:][table[1:] <= 0] = _ELSEWHERE
    count = len(codes)

    def raise_codes(part: slice) -> int:
        codes[part] = table[codes[part]]
        known = codes[part][codes[part] > 0]
        return int(terminology.ids[known].max(initial=0))

    largest = max(over_blocks(raise_codes, count, BLOCK), default=0)
    wide = np.uint64 if labels.dtype == np.uint64 else np.int64
    fits = labels.dtype if largest <= np.iinfo(labels.dtype).max else np.dtype(wide)
    ids = np.empty(count, fits)

    def raise_ids(part: slice) -> None:
        ids[part] = terminology.ids[np.maximum(codes[part], 0)]
        np.copyto(ids[part], labels[part], where=codes[part] == UNLISTED, casting="unsafe")

    over_blocks(raise_ids, count, BLOCK)
    return ids


def lookup(
    labels: LabelVolume,
    space: CoordinateSpace,
    points: npt.ArrayLike,
    unit: str = "um",
    at: int | Sequence[object] | None = None,
    hemispheres: StoredHemispheres | None = None,
) -> pd.DataFrame:
    """Answer points as a table, a row a point.

    Parameters
    ----------
    labels, space, points, unit, hemispheres
        As in ``locate``.
    at
        As in ``ancestors_at``; None answers the labels themselves.

    Returns
    -------
    pandas.DataFrame
        ``id``; ``acronym``, ``name`` (categorical, in the order of the hierarchy); ``hemisphere``
        ("left", "right", missing beyond the volume); ``inside`` (within the volume).
    """
    import pandas as pd

    located = locate(labels, space, points, unit, hemispheres)
    named = answers(located.ids, located.codes, labels.terminology, at)
    where = {"hemisphere": sides(located.hemispheres), "inside": located.inside}
    return pd.DataFrame({**named, **where}, copy=False)


def answers(
    ids: npt.NDArray[np.integer],
    codes: npt.NDArray[np.int32],
    terminology: Terminology,
    at: int | Sequence[object] | None,
) -> dict[str, Any]:
    """Return the columns ``id``, ``acronym`` and ``name`` of labels, as in ``lookup``.

    Parameters
    ----------
    ids, codes
        The labels, shape ``(n,)``, and their codes as in ``Located``; the codes are used up.
    terminology
        The structures.
    at
        As in ``lookup``.
    """
    if at is not None:
        ids = _roll_up(ids, codes, terminology, at)
    rows, extra = _label_rows(ids, codes, terminology)
    used = used_rows(rows, len(terminology) + 1 + len(extra))
    return {
        "id": ids,
        "acronym": by_row(rows, used, (*terminology.acronyms, *extra)),
        "name": by_row(rows, used, (*terminology.names, *extra)),
    }


def acronyms(located: Located, terminology: Terminology, outside: str) -> npt.NDArray[np.object_]:
    """Return the acronym of each point: ``outside`` for code 0, "unlisted <id>" for code -1."""
    rows, extra = _label_rows(located.ids, located.codes.copy(), terminology)
    texts = np.array([outside, *terminology.acronyms[1:], *extra], dtype=object)
    return texts[rows]


def unlisted_label(identifier: int) -> str:
    """Return how a label that the terminology lacks is called."""
    return f"unlisted {identifier}"


def _label_rows(
    labels: npt.NDArray[np.integer], codes: npt.NDArray[np.int32], terminology: Terminology
) -> tuple[npt.NDArray[np.int32], list[str]]:
    """Return which label each point gets: a code, or the place of one of the extra labels after.

    They take the place of the codes: with millions of points, every copy counts.
    """
    rows, extra = codes, []
    first = len(terminology) + 1
    if (strange := rows == UNLISTED).any():
        ids, place = np.unique(labels[strange], return_inverse=True)
        rows[strange] = first + place
        extra = [unlisted_label(int(identifier)) for identifier in ids]
    if (elsewhere := rows == _ELSEWHERE).any():
        rows[elsewhere] = first + len(extra)
        extra.append(ELSEWHERE_LABEL)
    return rows, extra
