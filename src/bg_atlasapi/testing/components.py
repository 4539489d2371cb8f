"""Write small atlases in the V3 component layout, for tests.

``tiny_components`` is the atlas of ``tiny_package`` as a published component store has it: every
folder and every part a real one has, also those only other tools read. Arrays are compressed with
gzip, which needs no library. It is not a way to publish an atlas.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import json
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bg_atlasapi.formats import components, terminology_csv
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.testing import packages

if TYPE_CHECKING:
    from bg_atlasapi.settings import PathLike

STORE = "brainglobe-atlasapi"
_NM_PER_UM = 1000.0
_AXES = [{"name": name, "type": "space", "unit": "millimeter"} for name in "zyx"]
_CHANNEL = {"name": "c", "type": "channel"}
_COLUMNS = (
    *("identifier", "parent_identifier", "annotation_value", "name", "abbreviation"),
    *("color_hex_triplet", "root_identifier_path"),
)


def tiny_components(  # noqa: PLR0913 - all by name, all with a default
    folder: PathLike,
    *,
    name: str = "tiny_mouse_100um",
    version: str = "3.0",
    shape: tuple[int, int, int] = (12, 8, 10),
    resolution: Sequence[float] = (100.0, 100.0, 100.0),
    orientation: str = "asr",
    symmetric: bool = True,
    level: int = 0,
    meshes: bool = True,
    chunk: tuple[int, int, int] = (6, 8, 6),
    **metadata: Any,
) -> Path:
    """Write a component store with the atlas of ``tiny_package``, or add the atlas to a store.

    Each image has two levels, the second with every other voxel. There are the 4-D masks,
    Neuroglancer's copy of the labels and its meshes as well.

    Parameters
    ----------
    folder
        Where the store, ``brainglobe-atlasapi``, is made.
    name, version
        Of the atlas. Its components are called by the name without resolution, so that atlases
        of two resolutions share them.
    shape, resolution, orientation, symmetric, **metadata
        As in ``tiny_package``; metadata go to the manifest. Shape and resolution are those of the
        first level.
    level
        The level that the manifest is of: 1 makes the atlas of half the resolution.
    meshes
        Also write meshes; needs DracoPy.
    chunk
        Voxels of a chunk.

    Returns
    -------
    Path
        The folder of the manifest.
    """
    store = Path(folder) / STORE
    sizes = (float(resolution[0]), float(resolution[1]), float(resolution[2]))
    parts = _Components(store, name.rpartition("_")[0] or name, version)
    annotation = packages._tiny_annotation(shape)
    reference = np.where(annotation > 0, 100, 0) + np.arange(annotation.size).reshape(shape) % 50
    images: dict[Path, npt.NDArray[Any]] = {
        parts.template / components.TEMPLATE: reference.astype(np.uint16),
        parts.nissl / components.TEMPLATE: (300 - reference).astype(np.uint16),
        parts.annotations / components.ANNOTATION: annotation,
        parts.annotations / "annotations.ome.zarr": _masks(annotation),
    }
    if not symmetric:
        sides = packages._bent_hemispheres(CoordinateSpace(shape, sizes, orientation))
        images[parts.annotations / components.HEMISPHERES] = sides
    for group, image in images.items():
        _write_image(group, image, sizes, chunk)
    _write_terminology(parts.terminology / terminology_csv.NAME)
    _write_json(parts.space / components.MANIFEST, parts.space_stated)
    _write_precomputed(parts.annotations / "annotations.precomputed", annotation, sizes)
    if meshes:
        _write_meshes(parts.annotations / components.MESHES, packages._boxes(annotation, sizes))
    coarser = 2**level
    stated = {
        "name": parts.name,
        "location": f"/atlases/{name}/{parts.folder_of_version}",
        "citation": "unpublished, https://example.org",
        "atlas_link": "https://example.org",
        "species": "Mus musculus",
        "symmetric": symmetric,
        "resolution": [size * coarser for size in sizes],
        "orientation": orientation,
        "version": version,
        "shape": [-(-length // coarser) for length in shape],
    }
    path = store / "atlases" / name / parts.folder_of_version / components.MANIFEST
    _write_json(path, {**stated, **parts.stated, **metadata})
    return path.parent


class _Components:
    """Where the components of an atlas lie, and what its manifest says of them."""

    def __init__(self, store: Path, name: str, version: str) -> None:
        self.name, self._version, self._store = name, version, store
        self.folder_of_version = version.replace(".", "_")
        template = self._named("templates", "template")
        terminology = self._named("terminologies", "terminology")
        annotations = self._named("annotation-sets", "annotation")
        nissl = self._named("templates", "nissl-template")
        self.space_stated = {**self._named("coordinate-spaces", "space"), "template": template}
        self.stated: dict[str, Any] = {
            "additional_references": [nissl],
            "coordinate_space": self.space_stated,
            "terminology": terminology,
            "annotation_set": {**annotations, "template": template, "terminology": terminology},
            "template": template,
        }
        self.template, self.nissl = self._folder(template), self._folder(nissl)
        self.terminology, self.annotations = self._folder(terminology), self._folder(annotations)
        self.space = self._folder(self.space_stated)

    def _named(self, kind: str, suffix: str) -> dict[str, Any]:
        name = f"{self.name}-{suffix}"
        location = f"/{kind}/{name}/{self.folder_of_version}"
        return {"name": name, "version": self._version, "location": location}

    def _folder(self, stated: Mapping[str, Any]) -> Path:
        return self._store / str(stated["location"]).strip("/")


def _write_json(path: Path, stated: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(stated, indent=1), encoding="utf-8")


def _masks(annotation: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return a mask of each structure, the first axis as in ``TINY_STRUCTURES``."""
    found = []
    for entry in packages.TINY_STRUCTURES:
        below = [e["id"] for e in packages.TINY_STRUCTURES if entry["id"] in e["structure_id_path"]]
        found.append(np.isin(annotation, below))
    return np.array(found, np.uint8)


def _write_image(
    group: Path, image: npt.NDArray[Any], sizes: Sequence[float], chunk: tuple[int, ...]
) -> None:
    """Write an OME-Zarr 0.5 image of two levels."""
    channels = image.ndim - 3
    halved = (*[slice(None)] * channels, *[slice(None, None, 2)] * 3)
    datasets = []
    for number, level in enumerate((image, image[halved])):
        scale = [1.0] * channels + [size * 2**number / 1000 for size in sizes]
        moves = [{"type": "scale", "scale": scale}]
        datasets.append({"path": f"s{number}", "coordinateTransformations": moves})
        _write_array(group / f"s{number}", level, (*[1] * channels, *chunk))
    axes = [*[_CHANNEL] * channels, *_AXES]
    multiscale = {"axes": axes, "datasets": datasets, "name": "/"}
    ome = {"version": "0.5", "multiscales": [multiscale]}
    stated = {"attributes": {"ome": ome}, "zarr_format": 3, "node_type": "group"}
    _write_json(group / "zarr.json", stated)


def _write_array(folder: Path, array: npt.NDArray[Any], chunk: tuple[int, ...]) -> None:
    """Write a Zarr v3 array; chunks of nothing but zeros are left out."""
    stated = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": array.shape,
        "data_type": array.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "gzip", "configuration": {"level": 6}},
        ],
        "attributes": {},
    }
    _write_json(folder / "zarr.json", stated)
    counts = [-(-n // c) for n, c in zip(array.shape, chunk, strict=True)]
    for place in itertools.product(*map(range, counts)):
        box = tuple(slice(p * c, (p + 1) * c) for p, c in zip(place, chunk, strict=True))
        part = array[box]
        if part.any():
            whole = np.zeros(chunk, array.dtype.newbyteorder("<"))
            whole[tuple(slice(0, n) for n in part.shape)] = part
            path = folder.joinpath("c", *map(str, place))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(gzip.compress(whole.tobytes(), 6, mtime=0))


def _write_terminology(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = [*packages._COLOURS, [204, 204, 204]]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for entry, colour in zip(packages.TINY_STRUCTURES, colours, strict=True):
            way, own = entry["structure_id_path"], entry["id"]
            parent = way[-2] if len(way) > 1 else ""
            spelt = "#{:02X}{:02X}{:02X}".format(*colour)
            writer.writerow([own, parent, own, entry["name"], entry["acronym"], spelt, way])


def _write_precomputed(
    folder: Path, annotation: npt.NDArray[Any], sizes: tuple[float, float, float]
) -> None:
    """Write Neuroglancer's copy of the labels, one raw chunk."""
    size = list(annotation.shape[::-1])
    nm = [one * _NM_PER_UM for one in sizes[::-1]]
    place = {"size": size, "voxel_offset": [0, 0, 0], "resolution": nm}
    scale = {"key": "full", "encoding": "raw", "chunk_sizes": [size], **place}
    stated = {"data_type": "uint32", "mesh": "mesh", "num_channels": 1, "scales": [scale]}
    _write_json(folder / "info", {"@type": "neuroglancer_multiscale_volume", **stated})
    path = folder / "full" / "_".join(f"0-{length}" for length in size)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(annotation.astype("<u4").tobytes())


def _write_meshes(folder: Path, meshes: Mapping[int, packages.Mesh]) -> None:
    """Write each mesh as one Draco fragment, coordinates and all, as the peer does."""
    draco = import_module("DracoPy")
    plain = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    info = {"@type": "neuroglancer_multilod_draco", "vertex_quantization_bits": 16}
    _write_json(folder / "info", {**info, "transform": plain, "lod_scale_multiplier": 1.0})
    for identifier, (points, triangles) in meshes.items():
        xyz = np.asarray(points, np.float64)[:, ::-1] * _NM_PER_UM
        origin, extent = xyz.min(axis=0), float(np.ptp(xyz, axis=0).max())
        fragment = draco.encode(
            xyz.astype(np.float32),
            np.asarray(triangles)[:, ::-1].astype(np.uint32),
            quantization_bits=16,
            quantization_range=extent,
            quantization_origin=origin.tolist(),
        )
        (folder / str(identifier)).write_bytes(fragment)
        head = np.array([extent, extent, extent, *origin], "<f4").tobytes()
        one = np.array([1], "<u4").tobytes()
        middle = np.array([1.0, 0.0, 0.0, 0.0], "<f4").tobytes()  # the level's scale and offset
        end = np.array([0, 0, 0, len(fragment)], "<u4").tobytes()
        (folder / f"{identifier}.index").write_bytes(head + one + middle + one + end)
