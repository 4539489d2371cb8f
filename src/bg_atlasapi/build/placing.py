"""Where a volume lies: what its header says, what people say, and what to do if they disagree.

Pure: nothing is read here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bg_atlasapi.build.validation import catalogue
from bg_atlasapi.errors import Finding, InvalidInputError
from bg_atlasapi.formats.image_frames import Triplet
from bg_atlasapi.formats.images import STRAIGHT_DEGREES, StoredImage
from bg_atlasapi.late import np
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.query.pictures import turn_between

# Headers hold float32, and people write 39.06 for 39.0625.
_SAME_SIZE = 1e-3
# A length that no brain reaches; a sperm whale's has 0.2 m, and a head in a scanner 0.3 m.
_LONG_UM = 4e5
_AXES = {"p": 0, "a": 0, "s": 1, "i": 1, "l": 2, "r": 2}


@dataclass(frozen=True, slots=True)
class Stated:
    """What a header says.

    Parameters
    ----------
    shape
        Voxels along each axis of the file.
    spacing_um, orientation
        Along these axes; None where it does not say.
    where
        The file.
    """

    shape: tuple[int, ...]
    spacing_um: Triplet | None
    orientation: str | None
    where: str


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a volume lies.

    Parameters
    ----------
    orientation
        Side of index 0 of each axis of the file.
    space
        Of the volume once it is turned.
    findings
        Contradictions.
    """

    orientation: str
    space: CoordinateSpace
    findings: tuple[Finding, ...]


def header_findings(image: StoredImage) -> Iterator[Finding]:
    """Yield what is odd about the header of an image."""
    where = image.where
    yield from image.remarks
    if image.tilt_degrees > STRAIGHT_DEGREES:
        message = (
            f"The axes of {where} lie {image.tilt_degrees:.1f}° aslant; its voxels are kept, and "
            "each axis is taken for the nearest direction."
        )
        yield catalogue.found("oblique-axes", message, where)
    shape, spacing = image.source.shape, image.spacing_um or image.hinted_spacing_um
    if spacing is None or len(shape) != 3:
        return
    longest = max(size * length for size, length in zip(spacing, shape, strict=True))
    if longest > _LONG_UM:
        message = (
            f"{where} says voxels of {_sizes(spacing)} µm, which makes a volume of "
            f"{longest / 1e4:.0f} cm: no brain is that long."
        )
        yield catalogue.found("spacing-unlikely", message, where)


def placed(
    stated: Stated,
    orientation: str | None,
    spacing_um: Sequence[float] | float | None,
    target: str,
) -> Placed:
    """Return where a volume lies.

    Parameters
    ----------
    stated
        What its header says.
    orientation, spacing_um
        What people say of the axes of the file; it counts. None believes the header.
    target
        The orientation to turn it to.

    Raises
    ------
    InvalidInputError
        If it is no volume, nobody says how it lies, or what is said cannot be.
    """
    where = stated.where
    _require_volume(stated)
    for letters, what in ((orientation, "orientation"), (target, "target orientation")):
        if letters is not None and not is_orientation(letters):
            message = f'The {what} must be three letters such as "asr", got {letters!r}.'
            raise InvalidInputError(message)
    wanted = orientation or stated.orientation
    sizes = as_triplet(spacing_um, where) or stated.spacing_um
    if wanted is None:
        message = (
            f"{where} does not say how its axes lie; state its orientation: the side of index 0 of "
            'each axis, such as "asr" (anterior, superior, right).'
        )
        if sizes is None:
            message += " Nor does it say how large its voxels are; state the voxel size in µm."
        raise InvalidInputError(message)
    if sizes is None:
        message = f"{where} does not say how large its voxels are; state the voxel size in µm."
        raise InvalidInputError(message)
    wanted, target = wanted.lower(), target.lower()
    turn = turn_between(wanted, target)
    shape: Any = stated.shape if turn is None else turn.apply(stated.shape)
    spacing: Any = sizes if turn is None else turn.apply(sizes)
    space = CoordinateSpace(tuple(shape), tuple(spacing), target)
    return Placed(wanted, space, tuple(_contradictions(stated, wanted, sizes)))


def _contradictions(stated: Stated, orientation: str, sizes: Triplet) -> Iterator[Finding]:
    where = stated.where
    if stated.orientation not in {None, orientation}:
        message = (
            f"The header of {where} says that index 0 lies {stated.orientation!r}; "
            f"{orientation!r} is used, as stated."
        )
        yield catalogue.found("orientation-contradiction", message, where)
    if stated.spacing_um is not None and not _alike(stated.spacing_um, sizes):
        message = (
            f"The header of {where} says voxels of {_sizes(stated.spacing_um)} µm; "
            f"{_sizes(sizes)} µm are used, as stated."
        )
        yield catalogue.found("spacing-contradiction", message, where)


def _require_volume(stated: Stated) -> None:
    if len(stated.shape) != 3 or min(stated.shape) < 1:
        shape = " × ".join(map(str, stated.shape))
        message = f"{stated.where} holds {shape} values; a volume of an atlas has three axes."
        raise InvalidInputError(message)


def as_triplet(sizes: Sequence[float] | float | None, where: str) -> Triplet | None:
    """Return one voxel size, or three, as three.

    Raises
    ------
    InvalidInputError
        If they are no positive lengths.
    """
    if sizes is None:
        return None
    try:
        numbers = np.asarray(sizes, np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    numbers = np.repeat(numbers, 3) if numbers.ndim == 0 else numbers
    if numbers.shape != (3,) or not (np.isfinite(numbers) & (numbers > 0)).all():
        message = f"The voxel size of {where} must be one or three positive µm, got {sizes!r}."
        raise InvalidInputError(message)
    first, second, third = numbers.tolist()
    return first, second, third


def is_orientation(letters: object) -> bool:
    """Say whether this names a side of each of the three axes."""
    if not isinstance(letters, str):
        return False
    return sorted(_AXES.get(letter, 3) for letter in letters.lower()) == [0, 1, 2]


def _alike(sizes: Sequence[float], others: Sequence[float]) -> bool:
    return all(abs(a - b) <= _SAME_SIZE * b for a, b in zip(sizes, others, strict=True))


def _sizes(sizes: Sequence[float]) -> str:
    return " × ".join(f"{size:g}" for size in sizes)
