"""Write atlases in the packaged v1 layout, for tests.

``write_package`` writes exactly what it is given, in the types it is given, so that a test can also
write what no generator would: a label that no structure has, a hemisphere 3, a wrong shape.
``tiny_package`` is one small, sound atlas made with it. Neither is a way to publish an atlas.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bg_atlasapi.formats import packaged
from bg_atlasapi.model.space import CoordinateSpace

if TYPE_CHECKING:
    from bg_atlasapi.settings import PathLike

Mesh = tuple[npt.ArrayLike, npt.ArrayLike]

TINY_STRUCTURES: tuple[dict[str, Any], ...] = (
    {"acronym": "root", "id": 997, "name": "root", "structure_id_path": [997]},
    {
        "acronym": "grey",
        "id": 8,
        "name": "Basic cell groups and regions",
        "structure_id_path": [997, 8],
    },
    {"acronym": "CH", "id": 567, "name": "Cerebrum", "structure_id_path": [997, 8, 567]},
    {
        "acronym": "CTX",
        "id": 688,
        "name": "Cerebral cortex",
        "structure_id_path": [997, 8, 567, 688],
    },
    {  # past 2**24: a float32 on the way would change it
        "acronym": "BS",
        "id": 614454277,
        "name": "Brain stem, with a comma",
        "structure_id_path": [997, 8, 614454277],
    },
    {
        "acronym": "fiber tracts",
        "id": 1009,
        "name": "fiber tracts",
        "structure_id_path": [997, 1009],
    },
)
_COLOURS = ([255, 255, 255], [191, 218, 227], [176, 240, 255], [176, 255, 184], [255, 112, 128])
_TRIANGLES_OF_BOX = (
    *((0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1)),
    *((2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3)),
)


def write_package(  # noqa: PLR0913 - all by name, one for each thing a package holds
    folder: PathLike,
    *,
    name: str,
    version: str = "1.0",
    annotation: npt.ArrayLike,
    reference: npt.ArrayLike,
    structures: Sequence[Mapping[str, Any]],
    resolution: Sequence[float],
    orientation: str = "asr",
    symmetric: bool = True,
    hemispheres: npt.ArrayLike | None = None,
    additional_references: Mapping[str, npt.ArrayLike] | None = None,
    meshes: Mapping[int, Mesh] | None = None,
    compression: str | None = None,
    **metadata: Any,
) -> Path:
    """Write an atlas in the packaged v1 layout.

    Parameters
    ----------
    folder
        Where the atlas's own folder, ``<name>_v<version>``, is made.
    name
        With resolution, for example ``"tiny_mouse_100um"``.
    version
        Major and minor.
    annotation, reference
        Volumes of one shape. Generators write ``uint32`` and ``uint16``; here what is given is
        written.
    structures
        Entries of ``structures.json``: ``acronym``, ``id``, ``name``, ``structure_id_path``,
        ``rgb_triplet``.
    resolution
        Voxel size along each axis, µm.
    orientation
        Side of index 0 of each axis.
    symmetric
        What the metadata says.
    hemispheres
        1 left, 2 right per voxel (``uint8``); written only if given.
    additional_references
        Volumes by name.
    meshes
        Points (µm) and triangles (zero-based) by structure id.
    compression
        A name that ``tifffile`` knows, such as ``"zlib"``; None writes plain stacks, which can be
        memory-mapped, as generators do.
    **metadata
        Further entries of ``metadata.json``; they replace those made from the arguments.

    Returns
    -------
    Path
        The atlas's folder.
    """
    target = Path(folder) / f"{name}_v{version}"
    (target / packaged.MESHES).mkdir(parents=True, exist_ok=True)
    extra = dict(additional_references or {})
    volumes = {packaged.ANNOTATION: annotation, packaged.REFERENCE: reference}
    volumes |= {f"{extra_name}.tiff": volume for extra_name, volume in extra.items()}
    if hemispheres is not None:
        volumes[packaged.HEMISPHERES] = hemispheres
    for filename, volume in volumes.items():
        _write_tiff(target / filename, volume, compression)
    for identifier, mesh in (meshes or {}).items():
        _write_obj(target / packaged.MESHES / f"{identifier}.obj", mesh)
    _write_structures(target, structures)
    stated: dict[str, Any] = {
        "name": name.rpartition("_")[0] or name,
        "citation": "unpublished, https://example.org",
        "atlas_link": "https://example.org",
        "species": "Mus musculus",
        "symmetric": symmetric,
        "resolution": [float(size) for size in resolution],
        "orientation": orientation,
        "version": version,
        "shape": list(np.shape(annotation)),
        "additional_references": list(extra),
    }
    (target / packaged.METADATA).write_text(json.dumps(stated | metadata), encoding="utf-8")
    return target


def _write_tiff(path: Path, volume: npt.ArrayLike, compression: str | None) -> None:
    import tifffile

    tifffile.imwrite(path, np.asarray(volume), compression=compression, photometric="minisblack")


def _write_obj(path: Path, mesh: Mesh) -> None:
    points, triangles = (np.asarray(part) for part in mesh)
    lines = ["v {!r} {!r} {!r}\n".format(*point) for point in points.astype(float).tolist()]
    lines += ["f {} {} {}\n".format(*face) for face in (triangles.astype(int) + 1).tolist()]
    path.write_text("".join(lines), encoding="ascii")


def _write_structures(folder: Path, structures: Sequence[Mapping[str, Any]]) -> None:
    entries = [dict(entry) for entry in structures]
    (folder / packaged.STRUCTURES).write_text(json.dumps(entries), encoding="utf-8")
    with (folder / "structures.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["acronym", "id", "name", "structure_id_path", "parent_structure_id"])
        for entry in entries:
            path = list(entry["structure_id_path"])
            spelt = "".join(f"/{part}" for part in path) + "/"
            parent = path[-2] if len(path) > 1 else ""
            writer.writerow([entry["acronym"], entry["id"], entry["name"], spelt, parent])


def tiny_package(  # noqa: PLR0913 - all by name, all with a default
    folder: PathLike,
    *,
    name: str = "tiny_mouse_100um",
    version: str = "1.0",
    shape: tuple[int, int, int] = (12, 8, 10),
    resolution: Sequence[float] = (100.0, 100.0, 100.0),
    orientation: str = "asr",
    symmetric: bool = True,
    compression: str | None = None,
    **metadata: Any,
) -> Path:
    """Write a small atlas, the same at every call, that is sound but has every awkward thing.

    Six structures: ``grey`` has no voxels of its own, ``CH`` has both voxels and a child, ``BS`` an
    id past 2**24, ``fiber tracts`` a blank in its acronym. Around the brain lies one plane of
    background. There is one additional reference, ``"nissl"``. Each mesh is the box around the
    structure.

    Parameters
    ----------
    folder
        Where the atlas's own folder is made.
    name, version, resolution, orientation, compression, **metadata
        As in ``write_package``.
    shape
        Voxels along each axis, at least 6 each.
    symmetric
        If false, hemispheres are stored, and their border steps aside by one plane half-way.

    Returns
    -------
    Path
        The atlas's folder.
    """
    annotation = _tiny_annotation(shape)
    reference = np.where(annotation > 0, 100, 0) + np.arange(annotation.size).reshape(shape) % 50
    colours = [*_COLOURS, [204, 204, 204]]
    structures = [
        {**entry, "rgb_triplet": colour}
        for entry, colour in zip(TINY_STRUCTURES, colours, strict=True)
    ]
    sizes = (float(resolution[0]), float(resolution[1]), float(resolution[2]))
    space = CoordinateSpace(shape, sizes, orientation)
    return write_package(
        folder,
        name=name,
        version=version,
        annotation=annotation,
        reference=reference.astype(np.uint16),
        structures=structures,
        resolution=sizes,
        orientation=orientation,
        symmetric=symmetric,
        hemispheres=None if symmetric else _bent_hemispheres(space),
        additional_references={"nissl": (300 - reference).astype(np.uint16)},
        meshes=_boxes(annotation, sizes),
        compression=compression,
        **metadata,
    )


def _tiny_annotation(shape: tuple[int, int, int]) -> npt.NDArray[np.uint32]:
    """Return root around cortex, cerebrum, brain stem (front to back), and tracts at the bottom."""
    ids = {entry["acronym"]: entry["id"] for entry in TINY_STRUCTURES}
    labels = np.zeros(shape, np.uint32)
    labels[1:-1, 1:-1, 1:-1] = ids["root"]
    inner = labels[2:-2, 2:-2, 2:-2]
    third = max(len(inner) // 3, 1)
    inner[:] = ids["BS"]
    inner[:third] = ids["CTX"]
    inner[third : 2 * third] = ids["CH"]
    inner[:, -1] = ids["fiber tracts"]
    return labels


def _bent_hemispheres(space: CoordinateSpace) -> npt.NDArray[np.uint8]:
    sides = space.hemispheres()
    axis = space.left_right_axis
    half = sides.shape[(axis + 1) % 3] // 2
    rear = np.moveaxis(sides, [axis, (axis + 1) % 3], [1, 0])[half:]
    rear[:, 1:] = rear[:, :-1].copy()
    return sides


def _boxes(
    annotation: npt.NDArray[np.uint32], sizes: tuple[float, float, float]
) -> dict[int, Mesh]:
    """Return the box around every structure and its descendants, µm."""
    boxes: dict[int, Mesh] = {}
    for entry in TINY_STRUCTURES:
        below = [one["id"] for one in TINY_STRUCTURES if entry["id"] in one["structure_id_path"]]
        voxels = np.argwhere(np.isin(annotation, below))
        if len(voxels):
            low, high = voxels.min(axis=0) * sizes, (voxels.max(axis=0) + 1) * sizes
            corners = np.array(np.meshgrid(*zip(low, high, strict=True), indexing="ij"))
            boxes[entry["id"]] = (corners.reshape(3, -1).T, np.array(_TRIANGLES_OF_BOX))
    return boxes
