"""What an index means, and what must be read for it: numpy's rules, without the array.

An index becomes, for each axis, a number, a range or an array of numbers. Then the least is read
that holds the answer, and where numbers and ranges do not say it all, numpy itself picks from that.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

    from bg_atlasapi.model.volume import VolumeSource

    Part = int | range | npt.NDArray[np.intp]

# Where indices of several axes go together, reading the box of all their combinations and picking
# from it is quicker than voxel by voxel, up to so many times the voxels asked for.
_WASTE = 8
_BLOCK_BYTES = 32 << 20
_KINDS = "whole numbers, slices, ..., and arrays of whole numbers or booleans"


def parse(key: object, shape: tuple[int, ...]) -> tuple[list[Part], int | None]:
    """Return what an index takes along each axis, and before which of them its ``...`` stood.

    The latter matters even where it stands for no axis: between arrays it decides, in numpy, where
    in the answer their axes go.

    Parameters
    ----------
    key
        What stands between the brackets.
    shape
        Of the volume.

    Raises
    ------
    IndexError
        If it is out of range, too long, or not one of the kinds of index a volume takes.
    """
    parts: list[Part] = []
    dots = None
    for item in _expanded(key, len(shape)):
        if item is Ellipsis:
            dots = len(parts)
            continue
        axis = len(parts)
        if isinstance(item, np.ndarray) and item.dtype == np.bool_:
            _require_fit(item, axis, shape)
            parts += [one.astype(np.intp, copy=False) for one in item.nonzero()]
        else:
            parts.append(_part(item, shape[axis], axis))
    return parts, dots


def _expanded(key: object, axes: int) -> list[Any]:
    """Return the items of an index, an entry or more for each axis; lists become arrays."""
    items = [_as_item(item) for item in (key if isinstance(key, tuple) else (key,))]
    dots = [position for position, item in enumerate(items) if item is Ellipsis]
    if len(dots) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    used = sum(
        item.ndim if isinstance(item, np.ndarray) and item.dtype == np.bool_ else 1
        for item in items
        if item is not Ellipsis
    )
    if used > axes:
        raise IndexError(f"too many indices: the volume has {axes} axes, but {used} were indexed")
    at = dots[0] if dots else len(items)
    return [*items[: at + 1], *[slice(None)] * (axes - used), *items[at + 1 :]]


def _as_item(item: Any) -> Any:
    if item is Ellipsis or isinstance(item, slice):
        return item
    if item is None or isinstance(item, bool | np.bool_):
        what = "None (newaxis)" if item is None else repr(bool(item))
        raise IndexError(f"a volume cannot be indexed with {what}; it takes {_KINDS}")
    if isinstance(item, list | tuple | range) or hasattr(item, "__array__"):
        array = np.asarray(item)
        if array.size == 0 and not hasattr(item, "__array__"):
            array = array.astype(np.intp)  # numpy, too, lets an empty list be one of numbers
        if array.ndim == 0 and array.dtype == np.bool_:
            raise IndexError(f"a volume cannot be indexed with {item!r}; it takes {_KINDS}")
        if array.dtype.kind not in "iub":
            raise IndexError(f"a volume cannot be indexed with {array.dtype}; it takes {_KINDS}")
        return int(array) if array.ndim == 0 else array
    return item


def _require_fit(mask: npt.NDArray[np.bool_], axis: int, shape: tuple[int, ...]) -> None:
    for number, (have, want) in enumerate(zip(mask.shape, shape[axis:], strict=False), axis):
        if have != want:
            raise IndexError(
                f"boolean index did not match the volume along axis {number}; size of axis is "
                f"{want} but size of corresponding boolean axis is {have}"
            )


def _part(item: Any, length: int, axis: int) -> Part:
    if isinstance(item, slice):
        return range(length)[item]
    if isinstance(item, np.ndarray):
        if item.size and not (-length <= item.min() and item.max() < length):
            wrong = item.min() if item.min() < -length else item.max()
            raise _beyond(int(wrong), length, axis)
        array = item.astype(np.intp)
        array[array < 0] += length
        return array
    try:
        number = operator.index(item)
    except TypeError:
        raise IndexError(
            f"a volume cannot be indexed with {type(item).__name__}; it takes {_KINDS}"
        ) from None
    if not -length <= number < length:
        raise _beyond(number, length, axis)
    return number % length


def _beyond(number: int, length: int, axis: int) -> IndexError:
    return IndexError(f"index {number} is out of bounds for axis {axis} with size {length}")


def take(source: VolumeSource, key: object) -> Any:
    """Return what an index picks: a new writable array, or a number, as numpy would.

    Parameters
    ----------
    source
        Where to read.
    key
        What stands between the brackets.

    Raises
    ------
    IndexError
        As numpy would.
    """
    shape = source.shape
    if isinstance(key, np.ndarray) and key.dtype == np.bool_ and key.ndim == len(shape) > 1:
        _require_fit(key, 0, shape)
        return _where(source, key)
    parts, dots = parse(key, shape)
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    if not arrays:
        return _box(source, parts, dots)
    try:
        together = np.broadcast_shapes(*(array.shape for array in arrays))
    except ValueError:
        shapes = " ".join(str(array.shape) for array in arrays)
        message = f"shape mismatch: indexing arrays could not be broadcast together: {shapes}"
        raise IndexError(message) from None
    if not any(isinstance(part, range) for part in parts):
        return _points(source, parts, together)
    lengths = [len(part) for part in parts if isinstance(part, range)]
    wanted = math.prod(together) * math.prod(lengths)
    needed = [_needed(part) for part in parts]
    if math.prod(len(indices) for indices in needed) <= _WASTE * wanted:
        box = outer(source, needed)
        within = [_within(*pair) for pair in zip(parts, needed, strict=True)]
        return box[_with_dots(within, dots)]
    return _scattered(source, parts, dots)


def _with_dots(items: Sequence[Any], dots: int | None) -> tuple[Any, ...]:
    return tuple(items) if dots is None else (*items[:dots], ..., *items[dots:])


def outer(source: VolumeSource, indices: Sequence[npt.NDArray[np.intp]]) -> npt.NDArray[Any]:
    """Return the voxels where sorted indices along each axis meet."""
    # Pages of zeros are not allocated until they are written to.
    out = np.zeros([len(one) for one in indices], source.dtype)
    source.outer(indices, out)
    return out


def _needed(part: Part) -> npt.NDArray[np.intp]:
    """Return the indices that are read along an axis, sorted, each once."""
    if isinstance(part, np.ndarray):
        return np.unique(part)
    if isinstance(part, int):
        return np.array([part], np.intp)
    forward = part if part.step > 0 else part[::-1]
    return np.arange(forward.start, forward.stop, forward.step, dtype=np.intp)


def _within(part: Part, needed: npt.NDArray[np.intp]) -> Any:
    """Return what picks a part from what was read for it."""
    if isinstance(part, int):
        return 0
    if isinstance(part, range):
        return slice(None) if part.step > 0 else slice(None, None, -1)
    return np.searchsorted(needed, part)


def _box(source: VolumeSource, parts: Sequence[Part], dots: int | None) -> Any:
    """Read numbers and ranges, in the order they ask for."""
    needed = [_needed(part) for part in parts]
    out = np.zeros([len(one) for one in needed], source.dtype)
    turned = [isinstance(part, range) and part.step < 0 for part in parts]
    source.outer(needed, out[tuple(slice(None, None, -1 if back else 1) for back in turned)])
    shape = [len(part) for part in parts if isinstance(part, range)]
    # Numbers alone give a number, with "..." an array without axes: numpy's way.
    return out.reshape(shape) if shape or dots is not None else out.reshape(())[()]


def _points(source: VolumeSource, parts: Sequence[Part], shape: tuple[int, ...]) -> Any:
    flat: Any = 0
    for part, length in zip(parts, source.shape, strict=True):
        flat = flat * length + part
    flat = np.broadcast_to(np.asarray(flat, np.int64), shape)
    return source.pick(flat.reshape(-1)).reshape(shape)


def _scattered(source: VolumeSource, parts: Sequence[Part], dots: int | None) -> Any:
    """Read voxel by voxel: numpy picks the voxels' numbers from an array that takes no memory."""
    flat: Any = 0
    slices = [
        slice(part.start, part.stop if part.stop >= 0 else None, part.step)
        if isinstance(part, range)
        else part
        for part in parts
    ]
    key = _with_dots(slices, dots)
    for axis, length in enumerate(source.shape):
        shape = [length if other == axis else 1 for other in range(len(source.shape))]
        numbers = np.arange(length, dtype=np.int64).reshape(shape)
        flat = flat * length + np.broadcast_to(numbers, source.shape)[key]
    return source.pick(flat.reshape(-1)).reshape(flat.shape)


def _where(source: VolumeSource, mask: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """Read the voxels of a mask of the whole volume, part by part along the first axis."""
    first, *rest = source.shape
    chunk = source.chunks[0] if source.chunks else 1
    plane = math.prod(rest) * source.dtype.itemsize
    depth = max(1, _BLOCK_BYTES // max(plane * chunk, 1)) * chunk
    found = [np.empty(0, source.dtype)]
    for start in range(0, first, depth):
        part = mask[start : start + depth]
        needed = [
            np.flatnonzero(part.any(axis=tuple(o for o in range(part.ndim) if o != axis)))
            for axis in range(part.ndim)
        ]
        if all(len(one) for one in needed):
            inside = part[np.ix_(*needed)]
            needed[0] = needed[0] + start
            found.append(outer(source, needed)[inside])
    return np.concatenate(found)
