"""Meshes of structures, made from labels.

Steps, each a module: the faces of voxels (``cuberille``), closed and manifold (``sheets``,
``pinches``); smoothed (``smoothing``); simplified (``merging``); one structure (``one``); all of
them (``plan``, ``crew``, ``worker``, ``structures``), kept in files (``surface_files``).
"""

from bg_atlasapi.build.meshing.one import Finish, Made, mesh_of
from bg_atlasapi.build.meshing.structures import MeshSummary, mesh_structures
from bg_atlasapi.build.meshing.surface_files import MeshFacts
from bg_atlasapi.build.meshing.written import WrittenMeshes

__all__ = [
    "Finish",
    "Made",
    "MeshFacts",
    "MeshSummary",
    "WrittenMeshes",
    "mesh_of",
    "mesh_structures",
]
