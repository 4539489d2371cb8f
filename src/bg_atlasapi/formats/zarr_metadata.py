"""What the metadata of a Zarr array and of an OME-Zarr image say.

Zarr v3 (``zarr.json``) and v2 (``.zarray``), OME-Zarr 0.5 and 0.4 (``.zattrs``). This module reads
JSON and decides; chunks are read elsewhere. Sources: the Zarr v2 and v3 core specifications and the
OME-NGFF 0.4 and 0.5 specifications.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bg_atlasapi.errors import Finding, InvalidAtlasError
from bg_atlasapi.formats.checks import Check
from bg_atlasapi.formats.packaged import is_there, read_json_file
from bg_atlasapi.formats.zarr_codecs import Pipeline, UnknownCodec
from bg_atlasapi.late import np

_MM_PER_UNIT = {"meter": 1e3, "centimeter": 10.0, "millimeter": 1.0, "micrometer": 1e-3}
_MM_PER_UNIT |= {"nanometer": 1e-6, "angstrom": 1e-7}
# Of a chunk; no more than this is set aside because a description of a small array says so.
_MOST_BYTES = 1 << 30
_TYPES = {"bool", "float16", "float32", "float64"}
_TYPES |= {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}


@dataclass(frozen=True, slots=True)
class ArrayLayout:
    """How a Zarr array lies in its chunk files.

    Parameters
    ----------
    shape, dtype
        Of the array, in native byte order.
    stored_shape
        Voxels of one file: a chunk, or a shard of several.
    chunk_shape
        Voxels of what is decoded in one piece.
    fill
        Value of the chunks that are not stored.
    prefix, separator
        Of the names of chunk files.
    pipeline
        Decodes one chunk.
    index
        Decodes the index of a shard; None where each chunk is a file of its own.
    index_at_end
        Where in the shard the index is.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    stored_shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]
    fill: Any
    prefix: str
    separator: str
    pipeline: Pipeline
    index: Pipeline | None = None
    index_at_end: bool = True

    @property
    def pipelines(self) -> tuple[Pipeline, ...]:
        """What decodes its files: chunks, and the index of a shard if there is one."""
        return (self.pipeline,) if self.index is None else (self.pipeline, self.index)

    def file_name(self, place: Sequence[int]) -> str:
        """Return the name of a chunk's file relative to the array's folder."""
        name = self.separator.join(str(number) for number in place)
        return f"{self.prefix}{self.separator}{name}" if self.prefix else name


def read_layout(folder: Path, check: Check) -> ArrayLayout:
    """Read the metadata of the array in a folder.

    Raises
    ------
    IncompleteAtlasError
        If it is missing.
    InvalidAtlasError
        If it is no sound metadata, or names a codec that cannot be decoded here.
    """
    path = folder / "zarr.json"
    version_2 = not is_there(path) and is_there(folder / ".zarray")
    if version_2:
        path = folder / ".zarray"
    check(path)
    stated = read_json_file(path)
    try:
        layout = _version_2(stated) if version_2 else _version_3(stated)
        _require_size(layout)
    except UnknownCodec as problem:
        raise InvalidAtlasError(path, [Finding("zarr-codec", str(problem), "error")]) from None
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else f"cannot be understood: {error}"
        text = f"This description of a Zarr array {what}."
        raise InvalidAtlasError(path, [Finding("zarr-metadata", text, "error")]) from error
    return layout


def _require_size(layout: ArrayLayout) -> None:
    """Refuse arrays that no memory holds, and chunks that are many times their array."""
    size = layout.dtype.itemsize
    whole, chunk = math.prod(layout.shape) * size, layout.pipeline.size
    if whole >= 2**63:
        raise ValueError(f"an array of {layout.shape} {layout.dtype} is too large")
    if chunk > max(_MOST_BYTES, 8 * whole):
        raise ValueError(f"chunks of {layout.chunk_shape} are too large for {layout.shape}")


def _version_3(stated: Mapping[str, Any]) -> ArrayLayout:
    if stated.get("node_type") != "array" or stated.get("zarr_format") != 3:
        raise ValueError("it describes no array of Zarr version 3")
    if stated.get("storage_transformers"):
        raise UnknownCodec.named("storage_transformers")
    shape = _lengths(stated["shape"], 0)
    grid = stated["chunk_grid"]
    if grid["name"] != "regular":
        raise ValueError(f"the chunk grid {grid['name']!r} is not known here")
    chunk = _lengths(grid["configuration"]["chunk_shape"], 1, len(shape))
    name = _data_type(stated["data_type"])
    dtype = np.dtype(name)
    encoding = stated.get("chunk_key_encoding", {"name": "default"})
    default = {"default": "/", "v2": "."}[encoding["name"]]
    separator = (encoding.get("configuration") or {}).get("separator", default)
    if separator not in ("/", "."):
        raise ValueError(f"{separator!r} separates the parts of its chunks' names")
    inner, pipeline, index, at_end = chunk, None, None, True
    codecs = stated["codecs"]
    if codecs and codecs[0]["name"] == "sharding_indexed":
        if len(codecs) > 1:
            raise UnknownCodec.named(f"{codecs[1]['name']} after sharding_indexed")
        sharding = codecs[0]["configuration"]
        inner = _lengths(sharding["chunk_shape"], 1, len(shape))
        if any(whole % part for whole, part in zip(chunk, inner, strict=True)):
            raise ValueError(f"chunks of {inner} do not divide shards of {chunk}")
        per_shard = [whole // part for whole, part in zip(chunk, inner, strict=True)]
        index = Pipeline.of_version_3(sharding["index_codecs"], (*per_shard, 2), "uint64")
        at_end = {"end": True, "start": False}[sharding.get("index_location", "end")]
        codecs = sharding["codecs"]
    pipeline = Pipeline.of_version_3(codecs, inner, name)
    fill = _fill(stated["fill_value"], dtype)
    prefix = "c" if encoding["name"] == "default" else ""
    return ArrayLayout(shape, dtype, chunk, inner, fill, prefix, separator, pipeline, index, at_end)


def _version_2(stated: Mapping[str, Any]) -> ArrayLayout:
    shape = _lengths(stated["shape"], 0)
    chunk = _lengths(stated["chunks"], 1, len(shape))
    stored = np.dtype(stated["dtype"])
    dtype = stored.newbyteorder("=")
    _data_type(dtype.name)
    pipeline = Pipeline.of_version_2(stated, chunk, stored.str)
    separator = stated.get("dimension_separator", ".")
    if separator not in ("/", "."):
        raise ValueError(f"{separator!r} separates the parts of its chunks' names")
    fill = _fill(stated.get("fill_value"), dtype)
    return ArrayLayout(shape, dtype, chunk, chunk, fill, "", separator, pipeline)


def _lengths(stated: Any, least: int, axes: int | None = None) -> tuple[int, ...]:
    lengths = tuple(stated)
    if not all(type(length) is int and least <= length < 2**63 for length in lengths):
        raise ValueError(f"{stated!r} are no lengths of axes")
    if axes is not None and len(lengths) != axes:
        raise ValueError(f"{stated!r} should have {axes} axes")
    return lengths


def _data_type(stated: Any) -> str:
    if stated not in _TYPES:
        raise ValueError(f"values of type {stated!r} are not known here")
    return str(stated)


def _fill(stated: Any, dtype: np.dtype[Any]) -> Any:
    if isinstance(stated, str) and stated.startswith("0x"):
        return np.array([int(stated, 16)], f"u{dtype.itemsize}").view(dtype)[0]
    if stated is None:
        return dtype.type(0)
    if dtype.kind == "f" and isinstance(stated, str):
        return dtype.type(stated)  # "NaN", "-Infinity"
    if not isinstance(stated, bool | int | float) or (dtype.kind in "iu" and stated % 1):
        raise ValueError(f"{stated!r} is no value of {dtype}")
    return dtype.type(stated)


def levels_of(group: Path, check: Check) -> list[tuple[str, tuple[float, float, float]]]:
    """Return path and voxel size (µm, last three axes) of every level of an OME-Zarr image.

    Parameters
    ----------
    group
        The image's folder.
    check
        Asked before the metadata are read.

    Raises
    ------
    IncompleteAtlasError, InvalidAtlasError
        If there are no metadata.
    """
    path = group / "zarr.json"
    if not is_there(path) and is_there(group / ".zattrs"):
        path = group / ".zattrs"
    check(path)
    stated = read_json_file(path)
    try:
        attributes = stated.get("attributes", stated)
        levels = _levels(attributes.get("ome", attributes)["multiscales"][0])
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        text = f"These are no metadata of an OME-Zarr image ({type(error).__name__}: {error})."
        raise InvalidAtlasError(path, [Finding("ome-zarr", text, "error")]) from error
    return [(name, (a * 1000, b * 1000, c * 1000)) for name, (a, b, c) in levels]


def level_of(group: Path, resolution_um: Sequence[float], check: Check) -> str:
    """Return the path, within an OME-Zarr image, of the level with a voxel size.

    Parameters
    ----------
    group
        The image's folder.
    resolution_um
        Voxel size along each of the last three axes.
    check
        Asked before the metadata are read.

    Raises
    ------
    IncompleteAtlasError, InvalidAtlasError
        If there are no metadata, or no such level.
    """
    levels = levels_of(group, check)
    for name, sizes in levels:
        pairs = zip(sizes, resolution_um, strict=True)
        if all(math.isclose(size, wanted, rel_tol=1e-4) for size, wanted in pairs):
            return name
    have = "; ".join(f"{name}: {', '.join(f'{um:g}' for um in sizes)}" for name, sizes in levels)
    wanted_text = ", ".join(f"{size:g}" for size in resolution_um)
    text = f"No level has voxels of {wanted_text} µm. Levels (µm): {have or 'none'}."
    raise InvalidAtlasError(group, [Finding("ome-zarr-level", text, "error")])


def _levels(image: Mapping[str, Any]) -> list[tuple[str, list[float]]]:
    """Return path and voxel size (mm, last three axes) of every level of an image."""
    units = [
        _MM_PER_UNIT[axis.get("unit") or "millimeter"]
        for axis in (image.get("axes") or [{}] * 3)[-3:]
    ]
    common = _scale(image.get("coordinateTransformations") or [])
    levels = []
    for dataset in image["datasets"]:
        own = _scale(dataset["coordinateTransformations"])
        sizes = [a * b * unit for a, b, unit in zip(own, common, units, strict=True)]
        levels.append((str(dataset["path"]), sizes))
    return levels


def _scale(transformations: Sequence[Mapping[str, Any]]) -> list[float]:
    scale = [1.0, 1.0, 1.0]
    for one in transformations:
        if one["type"] == "scale":
            last = [float(size) for size in one["scale"]][-3:]
            scale = [a * b for a, b in zip(scale, last, strict=True)]
    return scale
