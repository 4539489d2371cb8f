"""What the page is told about an atlas before it draws anything: one JSON document, by code.

Structures come as columns in preorder, so that the page can ask "is B inside A" as two compares,
as everything else here does. What takes a pass over the voxels (volumes) is in ``regions``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.query.regions import region_sizes
from bg_atlasapi.query.subject import Subject, subject_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

TEMPLATE = "template"


def reference_names(atlas: Any) -> list[str]:
    """Return the images of an atlas that can be shown, the template first."""
    hidden = ("annotation", "hemispheres", TEMPLATE)
    return [TEMPLATE, *(name for name in atlas.volumes if name not in hidden)]


def describe(atlas: Any, subject: Subject, references: Sequence[str], token: str) -> dict[str, Any]:
    """Return what the page needs to know of an atlas.

    Parameters
    ----------
    atlas
        An atlas.
    subject
        What is shown of it: as it was when the viewer began, whatever is assigned since.
    references
        Names of its images, in the order of their numbers.
    token
        Goes into the addresses of what a browser may keep.

    Returns
    -------
    dict
        For JSON. ``structures`` holds columns by code, code 0 being outside.
    """
    space, metadata = subject.space, atlas.metadata
    left_from, left_to = space.left_span
    return {
        "name": str(metadata.get("name", "")),
        "title": title_of(metadata, space.spacing_um),
        "species": str(metadata.get("species", "")),
        "citation": str(metadata.get("citation", "")),
        "version": str(metadata.get("version", "")),
        "token": token,
        "shape": list(space.shape),
        "spacing_um": [float(size) for size in space.spacing_um],
        "orientation": space.orientation,
        "left_span": [left_from, left_to],
        "sides_stored": subject.hemispheres is not None,
        "references": list(references),
        "structures": _columns(atlas, subject),
    }


def title_of(metadata: Any, spacing_um: Sequence[float]) -> str:
    """Return what stands above a view: the name, and the voxel size."""
    name = str(metadata.get("name", "atlas"))
    sizes = {f"{size:g}" for size in spacing_um}
    text = " × ".join(f"{size:g}" for size in spacing_um) if len(sizes) > 1 else sizes.pop()
    return f"{name} · {text} µm"


def _columns(atlas: Any, subject: Subject) -> dict[str, Any]:
    terminology = subject.terminology
    meshes = atlas._model.meshes
    return {
        "id": terminology.ids.tolist(),
        "acronym": list(terminology.acronyms),
        "name": list(terminology.names),
        "parent": terminology.parents.tolist(),
        "last": terminology.last.tolist(),
        "rgb": terminology.colours.reshape(-1).tolist(),
        "mesh": [0, *(int(_has_mesh(meshes, int(one))) for one in terminology.ids[1:])],
    }


def _has_mesh(meshes: Any, identifier: int) -> bool:
    try:
        return bool(meshes.has(identifier))
    except OSError:  # installed and gone: asking for it says so
        return True


def regions(atlas: Any) -> dict[str, Any]:
    """Return how large every structure is, and a point inside it, by code.

    Returns
    -------
    dict
        For JSON: ``volume_mm3``, ``left_mm3``, ``right_mm3`` and ``own_mm3``, numbers; and
        ``inside_um``, a triplet in the atlas's axis order, or null for what has no voxels.
    """
    sizes = region_sizes(atlas)
    count = len(subject_of(atlas).terminology) + 1
    return {
        "volume_mm3": _rounded(sizes.volume_mm3[:count]),
        "left_mm3": _rounded(sizes.left_mm3[:count]),
        "right_mm3": _rounded(sizes.right_mm3[:count]),
        "own_mm3": _rounded(sizes.own_mm3[:count]),
        "inside_um": [None, *map(_place, sizes.interior_um[1:count].tolist())],
    }


def _rounded(column: npt.NDArray[np.float64]) -> list[float]:
    return [0.0, *(float(f"{value:.6g}") for value in column[1:].tolist())]


def _place(row: list[float]) -> list[float] | None:
    return None if any(value != value for value in row) else row  # noqa: PLR0124 - NaN


def as_json(value: Any) -> bytes:
    """Return JSON that every browser reads: NaN and infinities are an error here, not there."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode()
