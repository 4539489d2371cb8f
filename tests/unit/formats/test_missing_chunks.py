"""Chunks that are gone: an error that names them wherever that can be known, never zeros."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.core import Atlas
from bg_atlasapi.errors import IncompleteAtlasError
from bg_atlasapi.formats.surface import BrainSurface
from bg_atlasapi.model.mesh import TriangleMesh

ANNOTATION = "annotations_compressed.ome.zarr"


class Ball:
    """The mesh of a ball, perhaps hollow, a ``MeshSource``; another structure has none."""

    def __init__(self, radius: float = 400.0, hole: float = 0.0) -> None:
        up, around = np.meshgrid(np.linspace(0, np.pi, 51), np.linspace(0, 2 * np.pi, 101)[:-1])
        turns = np.stack([np.sin(up) * np.cos(around), np.sin(up) * np.sin(around), np.cos(up)])
        numbers = np.arange(up.size).reshape(up.shape)
        a, b = numbers[:, :-1].ravel(), np.roll(numbers, -1, 0)[:, :-1].ravel()
        faces = np.concatenate([np.stack([a, b, a + 1], 1), np.stack([b, b + 1, a + 1], 1)])
        spheres = [500 + size * turns.reshape(3, -1).T for size in (radius, hole) if size]
        triangles = np.concatenate([faces + n * up.size for n in range(len(spheres))])
        self._mesh = TriangleMesh(np.concatenate(spheres), triangles)
        self.reads = 0

    def read(self, identifier: int) -> TriangleMesh:
        """Return it, for structure 1."""
        self.reads += 1
        if identifier != 1:
            raise IncompleteAtlasError("no mesh")
        return self._mesh


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """Return a store that the embedded atlas was exported into."""
    BrainGlobeAtlas("phantom_mouse_100um").export(tmp_path / "out")
    return tmp_path / "out"


def chunks(store: Path, image: str) -> list[Path]:
    """List the chunk files of an image."""
    return sorted(path for path in store.rglob("s0/c/*/*/*") if image in path.parts)


def manifest_folder(store: Path) -> Path:
    """Return the folder of the store's one atlas."""
    return next(iter((store / "brainglobe-atlasapi" / "atlases").glob("*/*")))


@pytest.mark.parametrize("image", [ANNOTATION, "template.ome.zarr"])
def test_an_export_knows_its_chunks(exported: Path, image: str) -> None:
    """Its own inventory, beside the manifest, is what a copied store is held against."""
    found = chunks(exported, image)
    assert len(found) > 1
    name = "annotation" if image == ANNOTATION else "reference"
    for gone in found[::2]:
        gone.unlink()
    with pytest.raises(IncompleteAtlasError, match=r"s0/c/0/0/0 is missing"):
        getattr(Atlas.from_path(manifest_folder(exported)), name)


def test_a_chunk_that_vanishes_under_an_open_atlas(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was sound when it was first read; the next read misses it."""
    monkeypatch.setenv("BRAINGLOBE_CACHE_BYTES", "0")
    volume = Atlas.from_path(manifest_folder(exported)).volumes["annotation"]
    assert volume[66].any()
    for gone in chunks(exported, ANNOTATION):
        gone.unlink()
    with pytest.raises(IncompleteAtlasError, match="is missing"):
        volume[66]


def test_half_the_chunks_of_an_export_cut_or_flipped(exported: Path) -> None:
    """Sizes and hashes are compared with the inventory before a chunk is read."""
    cut, flipped = chunks(exported, ANNOTATION)[:2]
    data = flipped.read_bytes()
    flipped.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(IncompleteAtlasError, match="is not what was installed"):
        Atlas.from_path(manifest_folder(exported)).annotation  # noqa: B018
    flipped.write_bytes(data)
    cut.write_bytes(cut.read_bytes()[:-1])
    with pytest.raises(IncompleteAtlasError, match="bytes"):
        Atlas.from_path(manifest_folder(exported)).annotation  # noqa: B018


@pytest.mark.parametrize("name", ["annotation", "template"])
def test_without_any_record_the_surface_tells(exported: Path, name: str) -> None:
    """A chunk with much of the brain in it is missed, though nothing lists it."""
    (manifest_folder(exported) / "inventory.json").unlink()
    whole = Atlas.from_path(manifest_folder(exported))
    labels, sides = whole.annotation != 0, whole.volumes[name].chunks
    assert sides
    silent = 0
    for gone in chunks(exported, ANNOTATION if name == "annotation" else "template.ome.zarr"):
        data = gone.read_bytes()
        gone.unlink()
        place = zip(gone.parts[-3:], sides, strict=True)
        box = tuple(slice(int(number) * side, (int(number) + 1) * side) for number, side in place)
        share = np.count_nonzero(labels[box]) / np.count_nonzero(labels)
        if share > 0.01:
            with pytest.raises(IncompleteAtlasError, match=f"{gone} is missing"):
                Atlas.from_path(manifest_folder(exported)).volumes[name][...]
        else:
            silent += share
        gone.write_bytes(data)
    assert silent < 0.05


def test_chunks_that_were_never_stored_are_empty(exported: Path) -> None:
    """With or without a record, what the format leaves out reads as the fill value."""
    first = Atlas.from_path(manifest_folder(exported)).annotation
    (manifest_folder(exported) / "inventory.json").unlink()
    assert np.array_equal(Atlas.from_path(manifest_folder(exported)).annotation, first)


BOXES = [
    ((300, 50, 300), (700, 400, 700), True),  # the surface runs through it
    ((450, 450, 450), (550, 550, 550), True),  # it is deep inside
    ((0, 0, 0), (200, 200, 200), False),  # a corner
    ((0, 0, 0), (1000, 95, 1000), False),  # beside
    ((0, 0, 0), (1000, 105, 1000), False),  # grazed
    ((1000, 1000, 1000), (2000, 2000, 2000), False),
]


@pytest.mark.parametrize(("low", "high", "expected"), BOXES)
def test_a_ball(low: Any, high: Any, expected: bool) -> None:
    """Within the ball or cut by its surface; not beyond, and not where it is only grazed."""
    surface = BrainSurface(Ball(), [1, 2])
    assert surface.fills(low, high) is expected
    assert pickle.loads(pickle.dumps(surface)).fills(low, high) is expected


def test_a_hollow_ball() -> None:
    """Of a hole in what has labels nothing is missed, though there is surface all around it."""
    surface = BrainSurface(Ball(hole=300.0), [1])
    assert not surface.fills((400, 400, 400), (600, 600, 600))
    assert not surface.fills((300, 500, 450), (400, 600, 550))
    assert surface.fills((120, 480, 480), (180, 520, 520))  # between its sides


def test_without_a_mesh_nothing_is_known() -> None:
    """An atlas whose root has none; the mesh is read once, and only when a chunk is absent."""
    assert not BrainSurface(Ball(), [2]).fills((0, 0, 0), (1000, 1000, 1000))
    ball = Ball()
    surface = BrainSurface(ball, [1])
    assert ball.reads == 0
    for _ in range(3):
        surface.fills((0, 0, 0), (1, 1, 1))
    assert ball.reads == 1


def test_a_description_of_other_chunks_is_found_out(exported: Path) -> None:
    """Smaller chunks than are stored: what lies where no file is would read as empty."""
    (manifest_folder(exported) / "inventory.json").unlink()
    for path in exported.rglob(f"{ANNOTATION}/s0/zarr.json"):
        stated = json.loads(path.read_text())
        stated["chunk_grid"]["configuration"]["chunk_shape"] = [8, 8, 8]
        path.write_text(json.dumps(stated))
    volume = Atlas.from_path(manifest_folder(exported)).volumes["annotation"]
    with pytest.raises(IncompleteAtlasError, match="is damaged"):
        volume[:8, 72:, :8]
