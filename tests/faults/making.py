"""Remotes that hardly compress, and processes to kill, for tests of the store; loaded by path.

A remote has the same bytes at every call. Nothing here installs, checks or serves.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np

import bg_atlasapi
from bg_atlasapi.store import inventories
from bg_atlasapi.testing import TINY_STRUCTURES, write_package

HERE = Path(__file__).parent
NAME = "noise_mouse_100um"
STORE = "brainglobe-atlasapi"
_TABLE = """\
identifier,parent_identifier,annotation_value,name,abbreviation,color_hex_triplet,root_identifier_path
N:1,,1,root,root,#FFFFFF,[N:1]
N:2,N:1,2,Half,half,#BFDAE3,"[N:1, N:2]"
"""


class Workers:
    """A process that starts copies of itself to run code in, and kills them; see ``worker.py``."""

    def __init__(self) -> None:
        source = str(Path(bg_atlasapi.__file__).parents[1])
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(HERE / "worker.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": source, "OPENBLAS_NUM_THREADS": "1"},
        )

    def run(self, *jobs: dict[str, Any]) -> list[dict[str, Any]]:
        """Run jobs at once, and return how each ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(jobs).encode() + b"\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()


def noise(shape, dtype, seed):
    """Return numbers that do not compress."""
    top = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(1, top, shape, dtype, endpoint=True)


def publish_package(remote, version="1.0", side=80, meshes=8):
    """Write an archive to a folder, and the index; return the atlas's files by key, hashed."""
    remote.mkdir(parents=True, exist_ok=True)
    seed = int(version.replace(".", ""))
    shape = (side, side, side)
    ids = [entry["id"] for entry in TINY_STRUCTURES]
    labels = np.random.default_rng(seed).choice(np.array(ids, np.uint32), shape)
    mesh = (np.random.default_rng(seed).random((40, 3)) * 100, [(0, 1, 2), (1, 2, 3)])
    folder = write_package(
        remote / "unpacked",
        name=NAME,
        version=version,
        annotation=labels,
        reference=noise(shape, np.uint16, seed),
        structures=[{**one, "rgb_triplet": [seed, 2, 3]} for one in TINY_STRUCTURES],
        resolution=(100, 100, 100),
        meshes=dict.fromkeys(ids[:meshes], mesh),
    )
    archive = remote / f"{NAME}_v{version}.tar.gz"
    beside = archive.with_name("beside")
    with tarfile.open(beside, "w:gz", compresslevel=1) as tar:
        tar.add(folder, folder.name)
    beside.replace(archive)
    (remote / "last_versions.conf").write_text(f"[atlases]\n{NAME} = {version}\n")
    return hashes(folder)


def publish_components(remote, version="1.0", side=64, chunk=32, meshes=12):
    """Write a component atlas to a store in a folder, and the index; return its files, hashed.

    The terminology is the same in every version. The template is one big chunk, the annotation
    several small ones.
    """
    store, place = remote / STORE, version.replace(".", "_")
    seed = int(version.replace(".", ""))

    def named(kind, name, its=place):
        return {"name": name, "version": its, "location": f"/{kind}/{name}/{its}"}

    template, terms = named("templates", "noise"), named("terminologies", "noise", "1_0")
    labels = {**named("annotation-sets", "noise"), "template": template, "terminology": terms}
    shape = (side, side, side)
    parts = [store / one["location"][1:] for one in (template, labels, terms)]
    _image(parts[0] / "template.ome.zarr", noise(shape, np.uint16, seed), side)
    ones_and_twos = 1 + noise(shape, np.uint32, seed) % 2
    _image(parts[1] / "annotations_compressed.ome.zarr", ones_and_twos, chunk)
    for number in range(meshes):
        mesh = parts[1] / "annotations.precomputed" / "mesh" / str(number)
        mesh.parent.mkdir(parents=True, exist_ok=True)
        mesh.write_bytes(noise((20_000,), np.uint8, [seed, number]).tobytes())
    parts[2].mkdir(parents=True, exist_ok=True)
    (parts[2] / "terminology.csv").write_text(_TABLE)
    manifest = store / "atlases" / NAME / place / "manifest.json"
    stated = {
        "name": "noise",
        "species": "Mus musculus",
        "symmetric": True,
        "resolution": [100.0, 100.0, 100.0],
        "orientation": "asr",
        "version": version,
        "shape": list(shape),
        "citation": "unpublished",
        "atlas_link": "https://example.org",
        "additional_references": [],
        "coordinate_space": named("coordinate-spaces", "noise"),
        "terminology": terms,
        "annotation_set": labels,
        "template": template,
    }
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text(json.dumps(stated))
    (store / "atlases" / "last_versions.conf").write_text(f"[atlases]\n{NAME} = {version}\n")
    found = {k: v for part in parts for k, v in hashes(part, store).items()}
    return {**found, **hashes(manifest.parent, store)}


def add_inventories(remote):
    """Write what makes a remote of ours check by SHA-256."""
    return inventories.write_inventories(remote)


def _image(group, array, chunk):
    ome = {
        "version": "0.5",
        "multiscales": [
            {
                "axes": [{"name": n, "type": "space", "unit": "millimeter"} for n in "zyx"],
                "datasets": [
                    {
                        "path": "s0",
                        "coordinateTransformations": [{"type": "scale", "scale": [0.1] * 3}],
                    }
                ],
            }
        ],
    }
    stated = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}}
    level = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": array.shape,
        "data_type": array.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [chunk] * 3}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
    }
    (group / "s0").mkdir(parents=True, exist_ok=True)
    (group / "zarr.json").write_text(json.dumps(stated))
    (group / "s0" / "zarr.json").write_text(json.dumps(level))
    steps = range(array.shape[0] // chunk)
    for place in np.ndindex(len(steps), len(steps), len(steps)):
        box = tuple(slice(p * chunk, (p + 1) * chunk) for p in place)
        path = group.joinpath("s0", "c", *map(str, place))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(array[box].tobytes())


def hashes(folder, base=None):
    """Return the SHA-256 of every file of a folder by its path, relative to ``base``."""
    return {
        path.relative_to(base or folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }
