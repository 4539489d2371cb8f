"""Open MINC2 files. Their layout is nibabel's business, and HDF5 h5py's."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.image_frames import Frame, frame_of
from bg_atlasapi.formats.images import StoredImage
from bg_atlasapi.late import np


def need_minc() -> None:
    """Raise ``InvalidInputError`` if MINC2 files cannot be read here."""
    try:
        import_module("nibabel")
        import_module("h5py")
    except ImportError as error:
        message = (
            'MINC2 needs the packages nibabel and h5py: pip install "bg-atlasapi[build]" '
            f"({error})."
        )
        raise InvalidInputError(message) from error


def open_minc(path: Path) -> StoredImage:
    """Open a ``.mnc`` file.

    Raises
    ------
    InvalidInputError
        If it is none, it is damaged, or what reads it is not installed.
    """
    need_minc()
    nib: Any = import_module("nibabel")
    try:
        image = nib.load(path)
        source: Any = _MincValues(image.dataobj, image.get_data_dtype())
        affine = image.affine
    except Exception as error:  # HDF5 and nibabel meet bytes they do not expect in many ways
        message = f"{path} is no MINC2 file, or it is damaged ({error})."
        raise InvalidInputError(message) from error
    where = str(path)
    frame = frame_of(affine, 1e3, where) if len(source.shape) == 3 else Frame()
    return StoredImage.framed(source, frame, path)


class _MincValues:
    """The real values of a MINC file, sliced lazily: each plane may have a scale of its own.

    Parameters
    ----------
    stored
        nibabel's; it works scales out in float64, in which every id of 32 bits is exact.
    dtype
        Of what the file holds.
    """

    chunks = None

    def __init__(self, stored: Any, dtype: np.dtype[Any]) -> None:
        self._stored = stored
        self.shape = tuple(int(length) for length in stored.shape)
        self.dtype = dtype.newbyteorder("=") if dtype.kind == "f" else np.dtype(np.float64)

    def __getitem__(self, key: Any) -> Any:
        try:
            return np.asarray(self._stored[key], self.dtype)
        except (OSError, ValueError, RuntimeError) as error:
            where = "The voxels of the MINC2 file"
            raise InvalidInputError(f"{where} cannot be read; it is damaged ({error}).") from error
