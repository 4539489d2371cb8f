"""Small PNG pictures from arrays, with nothing but the standard library.

For reports and orientation pictures. Not for reading, nor for anything but 8 bits a channel.
"""

from __future__ import annotations

import base64
import struct
import zlib
from typing import TYPE_CHECKING

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KINDS = {1: 0, 3: 2, 4: 6}  # channels: what the format calls grey, colour, colour with opacity
_PALETTE = 3
_COLOURS = 256


def png_bytes(rgb: npt.NDArray[np.uint8], level: int = 6) -> bytes:
    """Return a picture as the bytes of a PNG file, the same for the same picture.

    Parameters
    ----------
    rgb
        ``uint8``, shape ``(height, width)`` for grey, ``(height, width, 3)`` for colour,
        ``(height, width, 4)`` for colour with opacity.
    level
        Effort of compression, 0…9.

    Raises
    ------
    InvalidInputError
        If it is of another shape or type, or empty.
    """
    pixels = np.asarray(rgb)
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or not pixels.size:
        message = f"A picture is uint8 (height, width, 1|3|4), got {pixels.dtype} {pixels.shape}."
        raise InvalidInputError(message)
    height, width, channels = pixels.shape
    if channels not in _KINDS:
        message = f"A picture has 1, 3 or 4 channels, got {channels}."
        raise InvalidInputError(message)
    few = _few_colours(pixels)
    if few is not None:
        palette, places = few
        header = struct.pack(">IIBBBBB", width, height, 8, _PALETTE, 0, 0, 0)
        chunks = [(b"IHDR", header), (b"PLTE", palette[:, :3].tobytes())]
        if channels == 4:
            chunks.append((b"tRNS", palette[:, 3].tobytes()))
        rows = _unfiltered(places.reshape(height, width))
    else:
        header = struct.pack(">IIBBBBB", width, height, 8, _KINDS[channels], 0, 0, 0)
        chunks = [(b"IHDR", header)]
        rows = _filtered(pixels)
    chunks += [(b"IDAT", zlib.compress(rows, level)), (b"IEND", b"")]
    return _SIGNATURE + b"".join(_chunk(name, data) for name, data in chunks)


def data_url(png: bytes) -> str:
    """Return a picture as an address that a page can hold in itself."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _chunk(name: bytes, data: bytes) -> bytes:
    check = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)


def _few_colours(
    pixels: npt.NDArray[np.uint8],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]] | None:
    """Return the colours and each pixel's, where a palette holds them all: a third of the size."""
    channels = pixels.shape[2]
    if channels == 1:
        return None
    keys = np.zeros(pixels.shape[:2], np.uint32)
    for channel in range(channels):
        keys = (keys << np.uint32(8)) | pixels[..., channel]
    colours, places = np.unique(keys, return_inverse=True)
    if len(colours) > _COLOURS:
        return None
    shifts = np.arange(channels - 1, -1, -1, dtype=np.uint32) * 8
    palette = (colours[:, np.newaxis] >> shifts).astype(np.uint8)
    return palette, places.astype(np.uint8)


def _unfiltered(rows: npt.NDArray[np.uint8]) -> bytes:
    return np.insert(rows, 0, 0, axis=1).tobytes()


def _filtered(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return rows as differences from the row above, which photographs compress better by."""
    height, width, channels = pixels.shape
    rows = np.ascontiguousarray(pixels).reshape(height, width * channels)
    out = np.full((height, 1 + width * channels), 2, np.uint8)
    out[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=out[1:, 1:])
    return out.tobytes()
