"""Write labels in Neuroglancer's precomputed format, with names and colours of the segments.

One scale, chunks of 64³ voxels, raw and gzipped, in one shard: Neuroglancer asks for the ranges of
a shard itself, as it does for the fragments of meshes, so any web server that answers ranges will
do, and needs no ``Content-Encoding``. Axes are X, Y, Z, the reverse of the atlas's, in nm. Sources:
Neuroglancer's description of the precomputed volume, sharded and segment property formats.
"""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi.formats.zarr_writing import write_json
from bg_atlasapi.late import np
from bg_atlasapi.model.parallel import over_blocks
from bg_atlasapi.model.space import CoordinateSpace

if TYPE_CHECKING:
    import numpy.typing as npt

SIDE = 64
PROPERTIES = "segment_properties"
_GZIP_LEVEL = 6
_SHARDING = {
    "@type": "neuroglancer_uint64_sharded_v1",
    "preshift_bits": 0,
    "hash": "identity",
    "minishard_bits": 0,
    "shard_bits": 0,
    "minishard_index_encoding": "gzip",
    "data_encoding": "gzip",
}


class LabelsWriter:
    """Writes ``info`` and the one shard of a label volume.

    Parameters
    ----------
    folder
        Made here.
    space
        Shape and voxel size.
    """

    def __init__(self, folder: Path, space: CoordinateSpace) -> None:
        size = [int(length) for length in reversed(space.shape)]
        resolution = [spacing * 1000.0 for spacing in reversed(space.spacing_um)]
        key = "_".join(str(step) for step in resolution)
        scale = {
            "chunk_sizes": [[SIDE, SIDE, SIDE]],
            "encoding": "raw",
            "key": key,
            "resolution": resolution,
            "sharding": _SHARDING,
            "size": size,
            "voxel_offset": [0, 0, 0],
        }
        info = {
            "@type": "neuroglancer_multiscale_volume",
            "data_type": "uint32",
            "mesh": "mesh",
            "num_channels": 1,
            "scales": [scale],
            "segment_properties": PROPERTIES,
            "type": "segmentation",
        }
        write_json(folder / "info", info)
        (folder / key).mkdir()
        self._shard = folder / key / "0.shard"
        self._grid = [-(-length // SIDE) for length in size]
        # Chunks are stored in the order of their numbers, which is not the order they come in.
        self._spool = self._shard.with_suffix(".part")
        self._file = self._spool.open("wb")
        self._found: list[tuple[int, int, int]] = []
        self._row = self._end = 0

    def put(self, block: npt.NDArray[np.uint32]) -> None:
        """Write the next 64 planes; at the end of the volume what is left."""
        places = list(itertools.product(range(self._grid[1]), range(self._grid[0])))

        def one(part: slice) -> bytes:
            y, x = places[part.start]
            piece = block[:, y * SIDE : (y + 1) * SIDE, x * SIDE : (x + 1) * SIDE]
            # X varies fastest in the format, as the last axis does here.
            return gzipped(piece.astype("<u4").tobytes()) if piece.any() else b""

        for (y, x), data in zip(places, over_blocks(one, len(places), 1), strict=True):
            if data:
                self._file.write(data)
                number = morton((x, y, self._row), self._grid)
                self._found.append((number, self._end, len(data)))
                self._end += len(data)
        self._row += 1

    def close(self) -> None:
        """Put the chunks in order and write the index of the shard."""
        self._file.close()
        found = sorted(self._found)
        numbers = np.array([number for number, _, _ in found], "<u8")
        sizes = np.array([size for _, _, size in found], "<u8")
        # Numbers are differences; a chunk begins where the one before it ends.
        rows = [np.diff(numbers, prepend=np.uint64(0)), np.zeros_like(sizes), sizes]
        index = gzipped(np.array(rows, "<u8").tobytes()) if found else b""
        with self._shard.open("wb") as shard, self._spool.open("rb") as spool:
            shard.write(np.array([self._end, self._end + len(index)], "<u8").tobytes())
            for _, start, size in found:
                spool.seek(start)
                shard.write(spool.read(size))
            shard.write(index)
        self._spool.unlink()


def gzipped(data: bytes) -> bytes:
    """Compress without a time stamp: the same data gives the same bytes."""
    return gzip.compress(data, _GZIP_LEVEL, mtime=0)


def morton(place: Sequence[int], grid: Sequence[int]) -> int:
    """Return the number of a chunk: bits of its place interleaved, as far as each axis has them.

    Parameters
    ----------
    place
        X, Y, Z.
    grid
        Chunks along each.
    """
    number = position = 0
    for bit in range(max(grid).bit_length()):
        for coordinate, count in zip(place, grid, strict=True):
            if (1 << bit) < count:
                number |= (coordinate >> bit & 1) << position
                position += 1
    return number


def write_properties(folder: Path, structures: Sequence[Mapping[str, Any]]) -> None:
    """Write acronym, name and colour of each segment.

    Neuroglancer shows them beside the segments; it takes the colours it draws with from the
    ``segmentColors`` of a layer, which ``segment_colors.json`` holds, ready to paste.

    Parameters
    ----------
    folder
        Of the labels.
    structures
        With ``id``, ``acronym``, ``name``, ``rgb_triplet``.
    """
    shown = [one for one in structures if one["id"] > 0]
    write_json(folder / PROPERTIES / "info", properties_of(shown), indent=None)
    pairs = ((str(one["id"]), hexadecimal(one["rgb_triplet"])) for one in shown)
    pasted = {"segmentColors": dict(pairs)}
    write_json(folder / PROPERTIES / "segment_colors.json", pasted, indent=None)


def properties_of(structures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return acronym, name and colour of each segment, as Neuroglancer reads them.

    Parameters
    ----------
    structures
        With ``id``, above 0, ``acronym``, ``name``, ``rgb_triplet``.
    """
    columns = {
        ("abbreviation", "label"): [one["acronym"] for one in structures],
        ("name", "description"): [one["name"] for one in structures],
        ("color", "string"): [hexadecimal(one["rgb_triplet"]) for one in structures],
    }
    properties = [
        {"id": name, "type": kind, "values": values} for (name, kind), values in columns.items()
    ]
    inline = {"ids": [str(one["id"]) for one in structures], "properties": properties}
    return {"@type": "neuroglancer_segment_properties", "inline": inline}


def hexadecimal(rgb: Sequence[int]) -> str:
    """Return ``"#BFDAE3"``."""
    return "#" + "".join(f"{part:02X}" for part in rgb)
