"""Component stores made by hand, and the Zarr arrays in them: a few lines, no library for Zarr."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import DracoPy
import numpy as np
import numpy.typing as npt
import pytest

SHAPE = (5, 4, 6)
TABLE = """\
identifier,parent_identifier,annotation_value,name,abbreviation,color_hex_triplet,root_identifier_path
MBA:997,,10,root,root,#FFFFFF,[MBA:997]
MBA:70001,MBA:997,20,Grey matter,grey,#BFDAE3,"[MBA:997, MBA:70001]"
MBA:8,MBA:70001,30,"Area, visual",VIS,#088C85,"[MBA:997, MBA:70001, MBA:8]"
"""


class Zarr:
    """Writes Zarr arrays and OME-Zarr images.

    Parameters
    ----------
    chunks, version, separator, big, order, codecs, encode
        Of the arrays: ``codecs`` are the metadata of what ``encode`` does to the bytes of a chunk.
    """

    def __init__(
        self,
        chunks: tuple[int, ...] = (2, 3, 4),
        version: int = 3,
        separator: str = "/",
        *,
        big: bool = False,
        order: tuple[int, ...] = (0, 1, 2),
        codecs: Any = (),
        encode: Callable[[bytes], bytes] = bytes,
        keys: str = "default",
    ) -> None:
        self.chunks, self.version, self.separator = chunks, version, separator
        self.big, self.order, self.codecs, self.encode = big, order, codecs, encode
        self.keys = keys

    def metadata(self, array: npt.NDArray[Any]) -> dict[str, Any]:
        """Return what ``zarr.json`` or ``.zarray`` says of an array."""
        if self.version == 2:
            return {
                "zarr_format": 2,
                "shape": array.shape,
                "chunks": self.chunks,
                "dtype": (">" if self.big else "<") + array.dtype.str[1:],
                "compressor": self.codecs[0] if self.codecs else None,
                "filters": None,
                "fill_value": 0,
                "order": "F" if self.order == (2, 1, 0) else "C",
                "dimension_separator": self.separator,
            }
        transpose = {"name": "transpose", "configuration": {"order": self.order}}
        endian = {"endian": "big" if self.big else "little"}
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": array.shape,
            "data_type": array.dtype.name,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": self.chunks}},
            "chunk_key_encoding": {
                "name": self.keys,
                "configuration": {"separator": self.separator},
            },
            "fill_value": 0,
            "codecs": [
                *([transpose] if self.order != (0, 1, 2) else []),
                {"name": "bytes", "configuration": endian},
                *self.codecs,
            ],
        }

    def array(self, folder: Path, array: npt.NDArray[Any]) -> None:
        """Write one array, chunks of nothing but zeros left out."""
        folder.mkdir(parents=True)
        name = ".zarray" if self.version == 2 else "zarr.json"
        (folder / name).write_text(json.dumps(self.metadata(array)))
        counts = [-(-n // c) for n, c in zip(array.shape, self.chunks, strict=True)]
        for place in itertools.product(*map(range, counts)):
            box = tuple(slice(p * c, (p + 1) * c) for p, c in zip(place, self.chunks, strict=True))
            part = array[box]
            if not part.any():
                continue
            chunk = np.zeros(self.chunks, array.dtype)
            chunk[tuple(slice(0, n) for n in part.shape)] = part
            stored = chunk.transpose(self.order).astype(
                array.dtype.newbyteorder(">" if self.big else "<")
            )
            key = self.separator.join(map(str, place))
            if self.version == 3 and self.keys == "default":
                key = f"c{self.separator}{key}"
            (folder / key).parent.mkdir(parents=True, exist_ok=True)
            (folder / key).write_bytes(self.encode(stored.tobytes()))

    def image(self, group: Path, array: npt.NDArray[Any], size_mm: float = 0.1) -> None:
        """Write an image of two levels; the second has half the resolution."""
        levels = {"s0": (array, size_mm), "s1": (array[::2, ::2, ::2], 2 * size_mm)}
        multiscale = {
            "axes": [{"name": n, "type": "space", "unit": "millimeter"} for n in "zyx"],
            "datasets": [
                {
                    "path": name,
                    "coordinateTransformations": [{"type": "scale", "scale": [mm] * 3}],
                }
                for name, (_, mm) in levels.items()
            ],
        }
        group.mkdir(parents=True)
        if self.version == 2:
            (group / ".zgroup").write_text('{"zarr_format": 2}')
            (group / ".zattrs").write_text(json.dumps({"multiscales": [multiscale]}))
        else:
            ome = {"version": "0.5", "multiscales": [multiscale]}
            stated = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}}
            (group / "zarr.json").write_text(json.dumps(stated))
        for name, (level, _) in levels.items():
            self.array(group / name, level)


@pytest.fixture
def labels() -> npt.NDArray[np.uint32]:
    """Return a small annotation: 0, 20, 30 and a whole corner of nothing."""
    array = np.random.default_rng(5).choice([0, 20, 30], SHAPE).astype(np.uint32)
    array[:2, :3, :4] = 0
    return array


@pytest.fixture
def zarr() -> type[Zarr]:
    """Return the writer of Zarr arrays."""
    return Zarr


def reference(kind: str, name: str) -> dict[str, str]:
    """Return what a manifest says of a component."""
    return {"name": name, "version": "3.0", "location": f"/{kind}/{name}/3_0"}


def manifest(**changes: Any) -> dict[str, Any]:
    """Return the manifest of a small atlas, changed."""
    template = reference("templates", "tiny-template")
    terminology = reference("terminologies", "tiny-terminology")
    annotations = reference("annotation-sets", "tiny-annotation")
    stated = {
        "name": "tiny",
        "location": "/atlases/tiny_100um/3_0",
        "citation": "unpublished",
        "atlas_link": "https://example.org",
        "species": "Mus musculus",
        "symmetric": True,
        "resolution": [100.0, 100.0, 100.0],
        "orientation": "asr",
        "version": "3.0",
        "shape": list(SHAPE),
        "additional_references": [reference("templates", "tiny-nissl-template")],
        "coordinate_space": {**reference("coordinate-spaces", "tiny-space"), "template": template},
        "terminology": terminology,
        "annotation_set": {**annotations, "template": template, "terminology": terminology},
        "template": template,
    }
    return {**stated, **changes}


@pytest.fixture
def make_manifest() -> Callable[..., dict[str, Any]]:
    """Return the maker of manifests."""
    return manifest


@pytest.fixture
def write_store(labels: npt.NDArray[np.uint32]) -> Callable[..., Path]:
    """Return a function that writes a store and returns the folder of its one atlas."""

    def write(store: Path, writer: Zarr | None = None, **changes: Any) -> Path:
        writer = writer or Zarr()
        folder = store / "atlases" / "tiny_100um" / "3_0"
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps(manifest(**changes)))
        terms = store / "terminologies" / "tiny-terminology" / "3_0"
        terms.mkdir(parents=True)
        (terms / "terminology.csv").write_text(TABLE)
        image = (labels * 3).astype(np.uint16)
        templates = store / "templates"
        writer.image(templates / "tiny-template" / "3_0" / "template.ome.zarr", image)
        writer.image(templates / "tiny-nissl-template" / "3_0" / "template.ome.zarr", image + 1)
        component = store / "annotation-sets" / "tiny-annotation" / "3_0"
        writer.image(component / "annotations_compressed.ome.zarr", labels)
        sides = np.ones(SHAPE, np.uint8)
        sides[0] = 2
        writer.image(component / "hemispheres.ome.zarr", sides)
        write_meshes(component / "annotations.precomputed" / "mesh")
        return folder

    return write


# Beyond the corner of the labels that is empty: chunks missing under a surface are an error.
POINTS = np.array([[250, 50, 20], [480, 60, 30], [320, 350, 40], [280, 90, 480]], np.float64)
FACES = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])


def write_meshes(folder: Path) -> None:
    """Write a tetrahedron for 10 as the peer does, for 20 as Neuroglancer says, none for 30.

    ``POINTS`` and ``FACES`` are in the atlas's axes, µm.
    """
    folder.mkdir(parents=True)
    info = {"@type": "neuroglancer_multilod_draco", "vertex_quantization_bits": 16}
    plain = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]
    (folder / "info").write_text(json.dumps({**info, "transform": plain}))
    xyz = POINTS[:, ::-1] * 1000
    faces = FACES[:, ::-1].astype(np.uint32)
    origin = xyz.min(axis=0)
    size = float((xyz.max(axis=0) - origin).max())
    fragment = DracoPy.encode(
        xyz.astype(np.float32),
        faces,
        quantization_bits=16,
        quantization_range=size,
        quantization_origin=origin.tolist(),
    )
    (folder / "10").write_bytes(fragment)
    (folder / "10.index").write_bytes(index_of([size] * 3, origin, [(0, 0, 0)], [len(fragment)]))
    # Two fragments in cells side by side along X, vertices in steps of the cell's 65535th.
    cell = math.ceil(size / 2)
    steps = np.array([[0, 0, 0], [65535, 0, 0], [0, 65535, 0], [0, 0, 65535]], np.float32)
    part = DracoPy.encode(
        steps,
        faces,
        quantization_bits=16,
        quantization_range=65535,
        quantization_origin=[0, 0, 0],
    )
    places = [(0, 0, 0), (1, 0, 0)]
    (folder / "20").write_bytes(part + part + b"coarser levels")
    index = index_of([cell] * 3, (1000, 2000, 3000), places, [len(part)] * 2)
    (folder / "20.index").write_bytes(index)


def index_of(cell: Any, origin: Any, places: Any, sizes: Any) -> bytes:
    """Return a ``.index`` file of one level."""
    return b"".join(
        [
            np.array([*cell, *origin], "<f4").tobytes(),
            np.array([1], "<u4").tobytes(),
            np.array([1], "<f4").tobytes(),
            np.zeros(3, "<f4").tobytes(),
            np.array([len(places)], "<u4").tobytes(),
            np.array(places, "<u4").T.tobytes(),
            np.array(sizes, "<u4").tobytes(),
        ]
    )
