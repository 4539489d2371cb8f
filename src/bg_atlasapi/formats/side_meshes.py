"""Meshes of one hemisphere, of atlases that were built with such; no meshes of whole structures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bg_atlasapi.errors import IncompleteAtlasError, InvalidInputError
from bg_atlasapi.model.mesh import MeshSource
from bg_atlasapi.model.space import LEFT, RIGHT

if TYPE_CHECKING:
    import meshio

_SIDES = {"left": LEFT, "right": RIGHT}


def read_side(
    stored: Mapping[int, MeshSource], identifier: int, called: str, hemisphere: str
) -> meshio.Mesh:
    """Return the mesh of what lies of a structure in a hemisphere, points in µm.

    Parameters
    ----------
    stored
        Meshes by hemisphere, 1 left and 2 right.
    identifier, called
        The structure, and what people call it.
    hemisphere
        ``"left"`` or ``"right"``.

    Raises
    ------
    InvalidInputError
        For another hemisphere.
    IncompleteAtlasError
        If there is no such mesh, or it is damaged.
    """
    if hemisphere not in _SIDES:
        message = f"The hemisphere must be 'left', 'right' or 'both', got {hemisphere!r}."
        raise InvalidInputError(message)
    meshes = stored.get(_SIDES[hemisphere])
    if meshes is None:
        message = (
            "This atlas holds no meshes of hemispheres. A recipe makes them with "
            "hemispheres = true under [meshes]."
        )
        raise IncompleteAtlasError(message)
    if not meshes.has(identifier):
        message = f"There is no mesh of what is {hemisphere} of {called}: no voxels lie there."
        raise IncompleteAtlasError(message)
    import meshio

    surface = meshes.read(identifier)
    return meshio.Mesh(surface.points, [("triangle", surface.triangles)])
