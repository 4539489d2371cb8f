"""Open NIfTI-1 and NIfTI-2 files. The header is nibabel's business, the voxels are read here."""

from __future__ import annotations

import contextlib
import gzip
import logging
import struct
import zlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from bg_atlasapi.errors import Finding, InvalidInputError
from bg_atlasapi.formats.image_frames import Frame, frame_of, letters_of, plain_spacing, unit_of
from bg_atlasapi.formats.image_sources import Scaled
from bg_atlasapi.formats.images import StoredImage
from bg_atlasapi.formats.tools.volume_files import need_nibabel
from bg_atlasapi.formats.voxel_files import DEFLATED, PLAIN, VoxelFile, VoxelLayout
from bg_atlasapi.late import np

_SQUEEZED_AFTER = 3
_NIFTI1_LENGTH, _NIFTI1_OFFSET_AT = 348, 108
_NIFTI2_LENGTH, _NIFTI2_OFFSET_AT = 540, 168
_FARTHEST = 64 << 20  # bytes of a header's extensions: a thousand times what anybody writes


def open_nifti(path: Path) -> StoredImage:
    """Open a ``.nii`` or ``.nii.gz`` file.

    Raises
    ------
    InvalidInputError
        If it is none, it is damaged, or nibabel is not installed.
    """
    need_nibabel()
    nib: Any = import_module("nibabel")
    _require_near(path)
    try:
        with _silent(nib.imageglobals.logger):  # it would print what it repairs
            image = nib.load(path)
        header, affine, stored = image.header, image.affine, image.dataobj
        shape = tuple(int(length) for length in stored.shape)
        # The image's own header says no more where the voxels begin, nor their scale.
        dtype, offset = stored.dtype, int(stored.offset)
        slope, intercept = float(stored.slope), float(stored.inter)
        frame = _frame(header, affine, shape, str(path))
    except InvalidInputError:
        raise
    except Exception as error:  # nibabel meets bytes it does not expect in many ways
        message = f"{path} is no NIfTI file, or it is damaged ({error})."
        raise InvalidInputError(message) from error
    while len(shape) > _SQUEEZED_AFTER and shape[-1] == 1:  # a series of one
        shape = shape[:-1]
    packing = DEFLATED if path.name.lower().endswith(".gz") else PLAIN
    layout = VoxelLayout(shape, dtype, 0, packing, skip=offset)
    source: Any = VoxelFile([path], layout)
    if (slope, intercept) != (1, 0):
        source = Scaled(source, slope, intercept)
    return StoredImage.framed(source, frame, path)


@contextlib.contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    """Let a logger say nothing; without its handlers, logging itself would print warnings."""
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _require_near(path: Path) -> None:
    """Refuse a header whose voxels begin far behind it: nibabel reads what lies between.

    Of a few hundred kilobytes that unpack to a gigabyte, that would be the gigabyte.
    """
    opened: Any = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opened(path, "rb") as file:
            head = file.read(_NIFTI2_LENGTH)
    except (OSError, EOFError, zlib.error) as error:
        message = f"{path} is no NIfTI file, or it is damaged ({error})."
        raise InvalidInputError(message) from error
    for order in "<>":
        if head[:4] == struct.pack(f"{order}i", _NIFTI1_LENGTH) and len(head) >= _NIFTI1_LENGTH:
            (offset,) = struct.unpack_from(f"{order}f", head, _NIFTI1_OFFSET_AT)
        elif head[:4] == struct.pack(f"{order}i", _NIFTI2_LENGTH) and len(head) >= _NIFTI2_LENGTH:
            (offset,) = struct.unpack_from(f"{order}q", head, _NIFTI2_OFFSET_AT)
        else:
            continue
        if not 0 <= offset <= _FARTHEST:
            message = f"{path} is damaged: its header says that voxels begin at byte {offset:,.0f}."
            raise InvalidInputError(message)


def _frame(header: Any, affine: Any, shape: tuple[int, ...], where: str) -> Frame:
    sizes = [abs(float(size)) for size in header["pixdim"][1:4]]
    known = header["sform_code"] > 0 or header["qform_code"] > 0
    if known and affine is not None:
        with np.errstate(over="ignore", invalid="ignore"):
            sizes = np.sqrt((np.asarray(affine)[:3, :3] ** 2).sum(axis=0)).tolist()
        if plain_spacing(sizes) is None:
            raise InvalidInputError(f"The header of {where} says no voxel size: {sizes}.")
    unit = header.get_xyzt_units()[0]
    spatial = (*shape, 1, 1, 1)[:3]
    factor, remarks = unit_of(None if unit == "unknown" else unit, sizes, spatial, where)
    if not known:
        return Frame(plain_spacing([size * factor for size in sizes]), remarks=remarks)
    return frame_of(affine, factor, where, (*remarks, *_disagreement(header, where)))


def _disagreement(header: Any, where: str) -> tuple[Finding, ...]:
    """Say that the two matrices a header may hold put the axes differently."""
    if not (header["sform_code"] > 0 and header["qform_code"] > 0):
        return ()
    try:
        quaternion = header.get_qform()[:3, :3]
    except Exception:  # noqa: BLE001 - damage in the one that does not count
        return ()
    matrix = header.get_sform()[:3, :3]
    both = (matrix, quaternion)
    if not all(np.isfinite(one).all() and np.linalg.matrix_rank(one) == 3 for one in both):
        return ()
    (counts, _), (other, _) = letters_of(matrix), letters_of(quaternion)
    if counts == other:
        return ()
    message = (
        f"The sform of {where} says that index 0 lies {counts!r}, its qform says {other!r}; the "
        "sform counts."
    )
    mend = "State the orientation, and look at the orientation picture."
    return (Finding("sform-qform", message, "warning", where, mend),)
