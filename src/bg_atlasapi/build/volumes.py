"""Read the volumes an atlas is built from, turned to the orientation it shall have.

``peek_volume`` reads the header only, for a recipe to be checked in no time; ``read_volume`` reads
the voxels once, block by block, into an array in the order of the atlas. Labels stay exactly what
they were or are refused; templates become ``uint16`` by a rule that is stated. What formats there
are is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi.build.placing import Placed, Stated, as_triplet, header_findings, placed
from bg_atlasapi.build.validation import catalogue
from bg_atlasapi.build.voxel_values import LabelValues, TemplateValues
from bg_atlasapi.errors import Finding, InvalidInputError
from bg_atlasapi.formats.image_frames import Matrix, Triplet
from bg_atlasapi.formats.images import open_stored
from bg_atlasapi.late import np
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.query.pictures import Turn, check_type, turn_between

if TYPE_CHECKING:
    import numpy.typing as npt

# Where axes lie more aslant, it is a matter of taste which of them is which.
_MOST_DEGREES = 40.0
_BLOCK_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class VolumePeek:
    """What the header of a volume says.

    Parameters
    ----------
    path
        The file.
    shape
        Voxels along each axis, in the order of the file.
    dtype
        Of the values, scaled as the header says.
    spacing_um
        Voxel size along each axis of the file; None where it does not say.
    orientation
        Side of index 0 of each axis of the file; None where it does not say.
    affine
        From voxel indices of the file to the centres of voxels in RAS+, mm; None where not said.
    findings
        What is odd about the header.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    spacing_um: Triplet | None
    orientation: str | None
    affine: Matrix | None
    findings: tuple[Finding, ...]
    tilt_degrees: float = 0.0

    def placed(
        self,
        orientation: str | None,
        spacing_um: Sequence[float] | float | None,
        target: str,
    ) -> Placed:
        """Return where the volume will lie once read; parameters and errors as of ``space``."""
        where = str(self.path)
        stated = Stated(self.shape, self.spacing_um, self.orientation, where)
        found = placed(stated, orientation, spacing_um, target)
        if orientation is None:
            _require_straight(self.tilt_degrees, where)
        return found

    def space(
        self,
        *,
        orientation: str | None = None,
        spacing_um: Sequence[float] | float | None = None,
        target: str = "asr",
    ) -> CoordinateSpace:
        """Return the space the volume will have once read.

        Parameters
        ----------
        orientation, spacing_um, target
            As of ``read_volume``.

        Raises
        ------
        InvalidInputError
            As there, of what the header can tell.
        """
        return self.placed(orientation, spacing_um, target).space


@dataclass(frozen=True, slots=True)
class ReadVolume:
    """A volume, turned.

    Parameters
    ----------
    array
        The values, C order, in the order of ``space``; private to the caller.
    space
        Its shape, voxel size and orientation.
    stated_spacing_um, stated_orientation
        What the file says, in the order of its own axes; None where it says nothing.
    findings
        What is odd about the header, or contradicts it, or was done to the values.
    scaling
        Of a template, factor and offset: stored value = (value in the file - offset) × factor.
    """

    array: npt.NDArray[Any]
    space: CoordinateSpace
    stated_spacing_um: Triplet | None
    stated_orientation: str | None
    findings: tuple[Finding, ...]
    scaling: tuple[float, float] = (1.0, 0.0)


def peek_volume(path: str | Path) -> VolumePeek:
    """Read the header of a volume.

    Parameters
    ----------
    path
        As of ``formats.images.open_image``.

    Raises
    ------
    InvalidInputError
        If there is none, it is of no kind that is known, its header is damaged, or it holds no
        numbers.
    """
    image = open_stored(path)
    source = image.source
    check_type(source, f"file {image.where}")
    shape = tuple(int(length) for length in source.shape)
    return VolumePeek(
        Path(path),
        shape,
        np.dtype(source.dtype),
        image.spacing_um or image.hinted_spacing_um,
        image.orientation,
        image.affine,
        tuple(header_findings(image)),
        image.tilt_degrees,
    )


def read_volume(
    path: str | Path,
    *,
    orientation: str | None = None,
    spacing_um: Sequence[float] | float | None = None,
    target: str = "asr",
    labels: bool = False,
) -> ReadVolume:
    """Read a volume and turn it.

    Parameters
    ----------
    path
        As of ``formats.images.open_image``.
    orientation
        Side of index 0 of each axis of the file; None believes the header.
    spacing_um
        Voxel size along each axis of the file, or of all; None believes the header.
    target
        The orientation to turn it to.
    labels
        Whether it holds labels, which are kept exactly, as the smallest of ``uint8``, ``uint16``
        and ``uint32`` that holds them all; else it is a template: ``uint8`` and ``uint16`` stay,
        whole numbers from 0 to 65535 become ``uint16``, and all else is scaled to 0…65535.

    Raises
    ------
    InvalidInputError
        If it cannot be read; it does not say how its axes lie or how large its voxels are, and
        nobody else does.
    InvalidVolumeError
        If it holds labels that are no ids, or an image whose values lie too far apart; carries a
        finding for each way to be unfit.
    """
    image = open_stored(path, as_triplet(spacing_um, str(path)))
    source, where = image.source, image.where
    check_type(source, f"file {where}")
    spacing = image.spacing_um or image.hinted_spacing_um
    shape = tuple(int(length) for length in source.shape)
    stated = Stated(shape, spacing, image.orientation, where)
    found = placed(stated, orientation, spacing_um, target)
    if orientation is None:
        _require_straight(image.tilt_degrees, where)
    values = (LabelValues if labels else TemplateValues)(source, found.space.shape, where)
    _fill(values, turn_between(found.orientation, found.space.orientation))
    array = values.finished()
    findings = [*header_findings(image), *found.findings, *values.findings]
    if getattr(values.stored, "surplus", False):
        message = f"{where} holds more voxels than its header speaks of; the first were read."
        findings.append(catalogue.found("surplus-voxels", message, where))
    return ReadVolume(
        array, found.space, spacing, image.orientation, tuple(findings), values.scaling
    )


def _require_straight(degrees: float, where: str) -> None:
    if degrees > _MOST_DEGREES:
        message = (
            f"The axes of {where} lie {degrees:.0f}° aslant, so it is unclear which is "
            'which; resample the volume, or state its orientation, such as "ras".'
        )
        raise InvalidInputError(message)


def _fill(values: LabelValues | TemplateValues, turn: Turn | None) -> None:
    """Put every block of a source into the array of values, turned."""
    view = values.array
    if turn is not None:
        steps = tuple(slice(None, None, -1 if flip else 1) for flip in turn.flipped)
        view = view[steps].transpose(np.argsort(turn.axes))
    for axis, start, block in blocks_of(values.stored):
        place = (slice(None),) * axis + (slice(start, start + block.shape[axis]),)
        put_turned(values.taken(block), view[place])


def blocks_of(source: Any) -> Iterator[tuple[int, int, npt.NDArray[Any]]]:
    """Yield an image in blocks: along which axis they follow each other, where each begins, it.

    Parameters
    ----------
    source
        Of three axes; is read in the order in which it is stored.
    """
    if hasattr(source, "blocks"):
        for start, block in source.blocks():
            yield 2, start, block
        return
    shape = source.shape
    last = isinstance(source, np.ndarray) and bool(source.flags.f_contiguous)
    axis = 2 if last else 0
    across = [length for other, length in enumerate(shape) if other != axis]
    depth = max(1, _BLOCK_BYTES // (across[0] * across[1] * np.dtype(source.dtype).itemsize))
    if chunks := getattr(source, "chunks", None):
        depth = max(depth // int(chunks[axis]), 1) * int(chunks[axis])
    for start in range(0, shape[axis], depth):
        part = slice(start, min(start + depth, shape[axis]))
        key = (slice(None), slice(None), part) if last else (part, slice(None), slice(None))
        yield axis, start, np.asarray(source[key])


def put_turned(block: npt.NDArray[Any], place: npt.NDArray[Any]) -> None:
    """Copy a block to where it belongs, whichever way either lies in memory.

    Plane by plane across the axis along which neither runs fastest: both sides of such a plane stay
    in the processor's cache, where all of it at once would not.
    """
    fast = {int(np.argmin(np.abs(one.strides))) for one in (block, place)}
    if len(fast) == 1:
        place[...] = block
        return
    (across,) = {0, 1, 2} - fast
    for number in range(block.shape[across]):
        key = (slice(None),) * across + (number,)
        place[key] = block[key]
