"""Turn a table of regions into a volume: each voxel takes the value of its region.

The way back from ``atlas.measure``, or from any table of numbers by structure, to something that
can be looked at. One pass over the annotation, on all cores.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError, UnknownStructureError
from bg_atlasapi.formats import image_writing
from bg_atlasapi.formats.provenance import Provenance, provenance_of
from bg_atlasapi.late import np
from bg_atlasapi.model.scan import Planes, Scan
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.model.terminology import Terminology
from bg_atlasapi.query.grids import grid_of
from bg_atlasapi.query.subject import side_of, subject_of

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]


def paint(
    atlas: Any,
    values: Any,
    *,
    column: str | None = None,
    background: float | None = None,
    dtype: npt.DTypeLike = "float32",
    hemisphere: str = "both",
) -> npt.NDArray[Any]:
    """Return a volume in which each voxel holds the value of its region.

    A voxel takes the value of the deepest listed structure that holds it: a structure that is not
    listed has that of the nearest listed one above it.

    Parameters
    ----------
    atlas
        Whose annotation.
    values
        A mapping or a pandas Series from structures (id, acronym or name) to numbers; or a
        DataFrame whose column ``id`` (else its index) says the structure. Ids of labels that are
        not listed in the atlas paint those; rows of a column ``id`` that is 0, of what lies
        outside, paint nothing.
    column
        Of the DataFrame; may be left out if it has only one besides ``id``, ``acronym``, ``name``.
    background
        What other voxels hold; default NaN, of whole numbers 0.
    dtype
        Of the volume.
    hemisphere
        ``"left"``, ``"right"`` or ``"both"``: what is painted.

    Returns
    -------
    numpy.ndarray
        Of the annotation's shape.

    Raises
    ------
    InvalidInputError
        If something is not a number, does not fit the type, or a structure has two values.
    UnknownStructureError
        If a structure is not known.

    Examples
    --------
    >>> from bg_atlasapi import BrainGlobeAtlas, query
    >>> atlas = BrainGlobeAtlas("phantom_mouse_100um")
    >>> volume = query.paint(atlas, {"TH": 2.5, "HY": 1.0})
    >>> float(volume[71, 38, 45])
    2.5
    """
    kind = _kind(dtype)
    side = side_of(hemisphere)
    subject = subject_of(atlas, every_voxel=True)
    pairs = pairs_of(values, column)
    ground = (0 if kind.kind in "iub" else math.nan) if background is None else background
    rest = _fitting(ground, kind, "background")
    numbers = [(key, _fitting(value, kind, f"value of {key!r}")) for key, value in pairs]

    def fold(scan: Scan) -> Array:
        table = _table(subject.terminology, scan.ids, numbers, rest, kind)
        volume = np.empty(scan.shape, kind)

        def part(planes: Planes) -> None:
            out = volume[planes.first : planes.stop]
            table.take(planes.codes, out=out, mode="clip")
            if side is not None:
                sides = subject.sides(planes.first, planes.stop)
                np.copyto(out, rest, where=sides != side)

        for _ in scan.over(part):
            pass
        return volume

    return subject.labels.scan(fold)


def _kind(dtype: Any) -> np.dtype[Any]:
    try:
        kind: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        kind = np.dtype(object)
    if kind.kind not in "iufb":
        raise InvalidInputError(f"dtype= is a type of real numbers, got {dtype!r}.")
    return kind.newbyteorder("=")


def pairs_of(values: Any, column: str | None) -> Iterable[tuple[Any, Any]]:
    """Return the structures of a table, and their values, as ``paint`` takes them.

    Raises
    ------
    InvalidInputError
        If it is no such table, or has no such column.
    """
    if isinstance(values, Mapping):
        return list(values.items())
    if hasattr(values, "columns"):
        own = [name for name in values.columns if name not in ("id", "acronym", "name")]
        name = own[0] if column is None and len(own) == 1 else column
        if name not in values.columns:
            message = f"column= names the column to paint, one of {own}; got {column!r}."
            raise InvalidInputError(message)
        if "id" in values.columns:
            values = values[values["id"] != 0].set_index("id", drop=False)
        return list(zip(values.index.tolist(), values[name].tolist(), strict=True))
    if hasattr(values, "items"):  # a Series
        return list(values.items())
    message = (
        "What is painted is a mapping, a Series or a DataFrame of structures and numbers, "
        f"got {type(values).__name__}."
    )
    raise InvalidInputError(message)


def _fitting(value: Any, kind: np.dtype[Any], what: str) -> Any:
    """Return a number as one of the volume's type."""
    missing = value is None or type(value).__name__ == "NAType"
    try:
        number = math.nan if missing else value
        real = math.nan if isinstance(number, str | bytes) else float(number)
        with np.errstate(all="ignore"):
            fitted = np.asarray(number).astype(kind)[()]
        fits = not isinstance(number, str | bytes) and (
            math.isfinite(real) <= math.isfinite(fitted)
            if kind.kind == "f"
            else math.isfinite(real) and bool(fitted == number)
        )
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits:
        raise InvalidInputError(f"The {what}, {value!r}, is no number that {kind} holds.")
    return fitted


def _table(
    terminology: Terminology,
    ids: Array,
    numbers: Iterable[tuple[Any, Any]],
    rest: Any,
    kind: np.dtype[Any],
) -> Array:
    """Return the value of every code."""
    table = np.full(len(ids), rest, kind)
    listed: dict[int, Any] = {}
    for key, value in numbers:
        try:
            code = terminology.code(key)
        except UnknownStructureError:
            code = _unlisted(ids, len(terminology) + 1, key)
            if not code:
                raise
        known = listed.setdefault(code, value)
        if known != value and not (np.isnan(known) and np.isnan(value)):
            raise InvalidInputError(f"What is painted has two values of {key!r}: {known}, {value}.")
    for code in sorted(listed):  # a descendant has the larger code
        last = int(terminology.last[code]) if code <= len(terminology) else code
        table[code : last + 1] = listed[code]
    return table


def _unlisted(ids: Array, first: int, key: Any) -> int:
    """Return the code of a label that the terminology lacks, 0 if it is none."""
    if isinstance(key, bool | str) or not isinstance(key, int | np.integer):
        return 0
    found = np.flatnonzero(ids[first:].astype(object) == int(key))
    return first + int(found[0]) if len(found) else 0


def write_image(
    atlas: Any,
    volume: npt.ArrayLike,
    path: str | Path,
    *,
    resolution: float | Sequence[float] | None = None,
    provenance: Provenance | None = None,
) -> None:
    """Write a volume of an atlas's space as an image file, at the place where it lies.

    Parameters
    ----------
    atlas
        In whose space.
    volume
        What ``paint`` or ``heatmap`` returned, or any array of the same space.
    path
        Ends in ``.nii.gz``, ``.nii``, ``.nrrd``, ``.tif``, ``.npy`` or ``.zarr``.
    resolution
        Voxel size, µm; default what the shape says.
    provenance
        Where the numbers come from; default the atlas alone.

    Raises
    ------
    InvalidInputError
        If the volume is not in the atlas's space, or cannot be written.
    """
    space = subject_of(atlas).space
    grid = grid_of(space, np.shape(volume), resolution, "volume")
    own = CoordinateSpace(grid.shape, grid.spacing_um, space.orientation)
    if provenance is None and hasattr(atlas, "metadata"):
        provenance = provenance_of(atlas, "write_image")
    image_writing.write_image(volume, path, own, provenance)
