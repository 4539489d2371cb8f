"""Read what lies in a plane of an atlas: codes of structures, sides, an image; no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np
from bg_atlasapi.model.space import LEFT, RIGHT
from bg_atlasapi.query.subject import Subject
from bg_atlasapi.view.planes import Plane

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]


def codes_in(subject: Subject, plane: Plane) -> npt.NDArray[np.int32]:
    """Return the code of the structure in each pixel of a plane.

    Returns
    -------
    numpy.ndarray
        Shape ``plane.shape``; 0 outside, and one more than there are structures for labels that
        the terminology lacks.
    """
    labels = subject.labels
    if plane.voxel is not None:
        ids = _upright(labels.ids_in(_bounds(plane, subject.space.shape)), plane)
        codes = subject.terminology.codes(ids)
    else:
        flat, inside = _flat(subject.space.shape, _voxels(subject, plane))
        codes = np.zeros(flat.shape, np.int32)
        codes[inside] = subject.terminology.codes(labels.source.pick(flat[inside]))
    unlisted = len(subject.terminology) + 1
    return np.where(codes < 0, np.int32(unlisted), codes).astype(np.int32, copy=False)


def sides_in(subject: Subject, plane: Plane) -> npt.NDArray[np.uint8]:
    """Return the side of each pixel of a plane: 1 left, 2 right; 0 beyond the volume."""
    space = subject.space
    voxels = _voxels(subject, plane)
    if subject.hemispheres is not None:
        flat, inside = _flat(space.shape, voxels)
        sides = np.zeros(flat.shape, np.uint8)
        sides[inside] = subject.hemispheres.at(flat[inside])
        return sides
    along = voxels[space.left_right_axis]
    first, stop = space.left_span
    sides = np.where((along >= first) & (along < stop), LEFT, RIGHT).astype(np.uint8)
    return np.broadcast_to(sides, plane.shape)


def image_in(image: Any, subject: Subject, plane: Plane) -> Array:
    """Return the values of an image in a plane; NaN beyond the volume.

    Parameters
    ----------
    image
        An array or ``Volume`` of the atlas's shape.
    subject, plane
        The atlas and the plane.

    Returns
    -------
    numpy.ndarray
        Shape ``plane.shape``. Of an oblique plane ``float32``, linearly between the voxels.
    """
    shape = subject.space.shape
    if tuple(image.shape) != shape:
        message = (
            f"The image to draw has the shape {tuple(image.shape)}, the atlas {shape}; register "
            "it to the atlas first."
        )
        raise InvalidInputError(message)
    if plane.voxel is not None:
        return _upright(np.asarray(image[_bounds(plane, shape)]), plane)
    return _between(image, shape, np.stack(np.broadcast_arrays(*_places(subject, plane))))


def _bounds(plane: Plane, shape: tuple[int, ...]) -> tuple[slice, ...]:
    assert plane.voxel is not None
    axis, index = plane.voxel
    bounds = [slice(0, length) for length in shape]
    bounds[axis] = slice(index, index + 1)
    return tuple(bounds)


def _upright(box: Array, plane: Plane) -> Array:
    """Return a box of one plane with its rows down and its columns across."""
    assert plane.voxel is not None
    across, down = plane.axes
    picture = box.take(0, plane.voxel[0])
    return np.asarray(picture if down < across else picture.T)


def _places(subject: Subject, plane: Plane) -> list[Array]:
    """Return the centres of pixels along each axis of the atlas, in voxels, to be broadcast."""
    rows, columns = plane.shape
    across = plane.start_um[0] + (np.arange(columns) + 0.5) * plane.pixel_um[0]
    down = (plane.start_um[1] + (np.arange(rows) + 0.5) * plane.pixel_um[1])[:, None]
    return [
        (plane.origin_um[axis] + across * plane.across[axis] + down * plane.down[axis]) / size
        for axis, size in enumerate(subject.space.spacing_um)
    ]


def _voxels(subject: Subject, plane: Plane) -> list[npt.NDArray[np.int64]]:
    return [np.floor(one).astype(np.int64) for one in _places(subject, plane)]


def _flat(
    shape: tuple[int, ...], voxels: list[npt.NDArray[np.int64]]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return flat indices of voxels, and which of them are inside."""
    inside = np.ones(np.broadcast_shapes(*(one.shape for one in voxels)), np.bool_)
    flat = np.zeros(inside.shape, np.int64)
    for one, length in zip(voxels, shape, strict=True):
        inside &= (one >= 0) & (one < length)
        flat = flat * length + one
    return flat, inside


def _between(image: Any, shape: tuple[int, ...], places: Array) -> npt.NDArray[np.float32]:
    """Return values between voxels, each weighed by how near it is."""
    centres = places - 0.5
    low = np.floor(centres).astype(np.int64)
    share = (centres - low).astype(np.float32)
    answer = np.zeros(places.shape[1:], np.float32)
    ends = np.array(shape)[:, None, None]
    for corner in np.ndindex(2, 2, 2):
        step = np.array(corner)[:, None, None]
        index = np.clip(low + step, 0, ends - 1)
        weight = np.where(step == 1, share, 1 - share).prod(axis=0)
        flat = np.ravel_multi_index(tuple(index), shape)
        answer += weight * _picked(image, flat.reshape(-1)).reshape(weight.shape)
    outside = ((places < 0) | (places >= ends)).any(axis=0)
    answer[outside] = np.nan
    return answer


def _picked(image: Any, flat: npt.NDArray[np.int64]) -> Array:
    source = getattr(image, "source", None)
    if source is not None:
        return np.asarray(source.pick(flat))
    return np.asarray(image)[np.unravel_index(flat, image.shape)]
