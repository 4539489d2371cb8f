"""A small recipe with everything in it, and folders to build it in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

Write = Callable[..., Path]
SHAPE = (40, 32, 36)
TABLE = """\
id,acronym,name,parent,r,g,b
1,root,root,,255,255,255
10,A,Part a,1,200,10,10
20,B,Part b,10,10,200,10
30,C,Part c,1,10,10,200
"""


def drawn() -> npt.NDArray[np.uint16]:
    """Return labels of two nested boxes and a third beside them, mirror-symmetric."""
    labels = np.zeros(SHAPE, np.uint16)
    labels[6:34, 6:26, 4:32] = 30
    labels[8:24, 8:24, 6:30] = 10
    labels[12:20, 12:20, 10:26] = 20
    return labels


def image() -> npt.NDArray[np.uint16]:
    """Return a template that is brighter where the labels are."""
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 40, SHAPE).astype(np.uint16)
    return (drawn() * 20 + noise).astype(np.uint16)


@pytest.fixture
def recipe(tmp_path: Path) -> Write:
    """Return a function that writes sources and a recipe, with lines of it replaced or added."""

    def write(**changes: str) -> Path:
        folder = tmp_path / "recipe"
        folder.mkdir(exist_ok=True)
        if not (folder / "labels.npy").exists():
            np.save(folder / "labels.npy", drawn())
            np.save(folder / "template.npy", image())
            np.save(folder / "other.npy", image()[::-1].astype(np.float32))
            (folder / "table.csv").write_text(TABLE)
        parts = {
            "head": 'name = "boxes"\nversion = "1.0"\nspecies = "Mus musculus"\n'
            'citation = "Somebody 2024"\nlicence = "CC0-1.0"',
            "space": '[space]\norientation = "asr"\nresolution_um = 100',
            "annotation": f'[annotation]\npath = "labels.npy"\nsha256 = "{sha(folder, "labels")}"',
            "template": '[template]\npath = "template.npy"',
            "table": '[table]\npath = "table.csv"\nkind = "csv"\n'
            'columns = { id = "id", acronym = "acronym", name = "name", parent = "parent" }',
            "meshes": "[meshes]\nbuild = false",
            **changes,
        }
        path = folder / "boxes.toml"
        path.write_text("\n\n".join(parts.values()) + "\n")
        return path

    return write


def sha(folder: Path, name: str) -> str:
    """Return the hash of a source."""
    return hashlib.sha256((folder / f"{name}.npy").read_bytes()).hexdigest()


def contents(folder: Path) -> dict[str, str]:
    """Return the hash of every file below a folder, by its place in it."""
    return {
        one.relative_to(folder).as_posix(): hashlib.sha256(one.read_bytes()).hexdigest()
        for one in sorted(folder.rglob("*"))
        if one.is_file()
    }
