"""Checks of the template and further references: do the labels fit the image?"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bg_atlasapi.build.validation.catalogue import found
from bg_atlasapi.build.validation.subject import Checked
from bg_atlasapi.errors import AtlasError, Finding
from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

# Share of the template's variance that lies between labels. A move or mirror image that explains
# this much more of what is left unexplained is no accident.
_BETTER = 0.1
_UNRELATED = 0.02
_AXES = ("first", "second", "third")
_STEPS = (1, 2, 4, 8)


def check_template(checked: Checked) -> Iterator[Finding]:
    """Yield what is wrong with the template, and with it and the labels together.

    Of an atlas that says it has none (``"has_template": false``), nothing is.
    """
    if checked.atlas.metadata.get("has_template") is False:
        return
    empty = list(check_not_empty(checked))
    if empty:
        yield from empty
        return
    image = _coarse(checked)
    if not checked.labelled or image.min() == image.max():
        return
    ids, places = np.unique(checked.coarse_labels, return_inverse=True)
    codes = places.reshape(image.shape)
    if len(ids) < 2:
        return
    here = _explained(image, codes, len(ids))
    best, how = max(
        ((_explained(image, moved, len(ids)), how) for moved, how in _moves(checked, codes)),
        default=(0.0, ""),
    )
    if best < _UNRELATED and here < _UNRELATED:
        text = f"The labels explain {here:.1%} of the variance of the template."
        yield found("template-unrelated", text, "template")
    elif best > here + _BETTER * (1 - here):
        text = f"The labels explain {here:.0%} of the variance of the template; {how}, {best:.0%}."
        yield found("template-misaligned", text, "template")


def check_not_empty(checked: Checked) -> Iterator[Finding]:
    """Yield a finding if all voxels of the template have the same value."""
    image = _coarse(checked)
    if image.size and image.min() == image.max() and _is_empty(checked):
        text = f"All voxels of the template are {image.flat[0]:g}."
        yield found("template-empty", text, "template")


def _coarse(checked: Checked) -> npt.NDArray[np.float64]:
    image = checked.coarse_template()
    image[~np.isfinite(image)] = 0.0
    return image


def _is_empty(checked: Checked) -> bool:
    """Say whether all voxels are the same, not only those of the sample."""
    first: Any = None
    for slab in checked.atlas.reference.slabs():
        if not slab.size:
            continue
        if first is None:
            first = slab.reshape(-1)[0]
        if (slab != first).any():
            return False
    return True


def _explained(image: npt.NDArray[np.float64], codes: npt.NDArray[np.intp], count: int) -> float:
    """Return the share of the image's variance that lies between labels."""
    flat, places = image.reshape(-1), codes.reshape(-1)
    sizes = np.bincount(places, minlength=count)
    sums = np.bincount(places, flat, count)
    mean = flat.mean()
    means = sums / np.maximum(sizes, 1)
    between = float((sizes * (means - mean) ** 2)[sizes > 0].sum())
    return between / float(((flat - mean) ** 2).sum())


def _moves(
    checked: Checked, codes: npt.NDArray[np.intp]
) -> Iterator[tuple[npt.NDArray[np.intp], str]]:
    """Yield the labels mirrored, then moved along each axis, and what was done in words.

    Left and right are left out: most brains look the same.
    """
    lateral = checked.space.left_right_axis
    axes = [axis for axis in range(3) if axis != lateral]
    for some in (*((axis,) for axis in axes), tuple(axes)):
        names = " and ".join(_AXES[axis] for axis in some)
        yield np.flip(codes, some), f"mirrored along the {names} axis"
    for axis, step, sign in itertools.product(range(3), _STEPS, (1, -1)):
        if step * 4 > codes.shape[axis]:
            continue
        indices = checked.indices[axis]
        voxels = step * int(indices[1] - indices[0])
        how = f"moved by {sign * voxels} voxels along the {_AXES[axis]} axis"
        yield _moved(codes, axis, sign * step), how


def _moved(codes: npt.NDArray[np.intp], axis: int, step: int) -> npt.NDArray[np.intp]:
    """Return labels moved; what moves in has the label of the volume's edge."""
    indices = np.clip(np.arange(codes.shape[axis]) - step, 0, codes.shape[axis] - 1)
    return codes.take(indices, axis=axis)


def check_references(checked: Checked) -> Iterator[Finding]:
    """Yield further references that cannot be read, or are of another shape."""
    for name, source in checked.atlas.references.items():
        try:
            shape = tuple(source.shape)
        except AtlasError as error:
            yield found("unreadable", str(error), name)
            continue
        if shape != checked.space.shape:
            text = f"The reference {name!r} has the shape {shape}, the atlas {checked.space.shape}."
            yield found("reference-shape", text, name)
