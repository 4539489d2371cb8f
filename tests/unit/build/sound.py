"""A small atlas without a fault, in which tests then put one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bg_atlasapi.testing import write_package
from bg_atlasapi.testing.packages import TINY_STRUCTURES

SHAPE, SIZE = (30, 20, 24), 100.0
FACES = np.array(
    [
        *((0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1)),
        *((2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3)),
    ]
)


def annotation() -> np.ndarray:
    """Return root around cortex, cerebrum and brain stem, front to back, tracts at the bottom."""
    ids = {entry["acronym"]: entry["id"] for entry in TINY_STRUCTURES}
    labels = np.zeros(SHAPE, np.uint32)
    labels[2:-3, 2:-2, 2:-2] = ids["root"]
    inner = labels[4:-5, 4:-4, 4:-4]
    inner[:] = ids["BS"]
    inner[:8] = ids["CTX"]
    inner[8:13] = ids["CH"]
    inner[:, -3:] = ids["fiber tracts"]
    return labels


def box(low, high) -> tuple[np.ndarray, np.ndarray]:
    """Return the surface of a box, µm."""
    corners = np.array(np.meshgrid(*zip(low, high, strict=True), indexing="ij"), float)
    return corners.reshape(3, -1).T, FACES.copy()


def parts() -> dict[str, Any]:
    """Return what ``write_package`` takes for the sound atlas; every part is a copy."""
    labels = annotation()
    shades = {0: 0, 997: 40, 688: 200, 567: 150, 614454277: 90, 1009: 250}
    template = np.zeros(SHAPE, np.uint16)
    for label, shade in shades.items():
        template[labels == label] = shade
    template += (np.arange(template.size).reshape(SHAPE) % 7).astype(np.uint16)
    meshes = {}
    for entry in TINY_STRUCTURES:
        below = [one["id"] for one in TINY_STRUCTURES if entry["id"] in one["structure_id_path"]]
        voxels = np.argwhere(np.isin(labels, below))
        meshes[entry["id"]] = box(voxels.min(axis=0) * SIZE, (voxels.max(axis=0) + 1) * SIZE)
    structures = [
        {**entry, "rgb_triplet": [10 * number, 200, 30], "acronym": entry["acronym"]}
        for number, entry in enumerate(TINY_STRUCTURES)
    ]
    return {
        "name": "sound_mouse_100um",
        "annotation": labels,
        "reference": template,
        "structures": [
            {**one, "structure_id_path": [*one["structure_id_path"]]} for one in structures
        ],
        "resolution": (SIZE, SIZE, SIZE),
        "meshes": meshes,
        "license": "CC-BY-4.0",
    }


def write(folder: Path, made: dict[str, Any]) -> Path:
    """Write the atlas."""
    return write_package(folder, **made)
