"""Meshes of groups: the published ones where they are still right, else unions of published ones.

A group that is a structure unchanged has that structure's mesh. Another is the union of the meshes
of the largest structures that it holds entirely, each with all below it. Left and right are cut
from these: at the mid-plane, or along the stored hemispheres of an asymmetric atlas, triangle by
triangle. Surfaces are joined, not fused: walls between members stay.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import weakref
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import IncompleteAtlasError
from bg_atlasapi.formats.mesh_files import obj_text
from bg_atlasapi.late import np
from bg_atlasapi.model.grouped_labels import Sides
from bg_atlasapi.model.grouping import Arrangement
from bg_atlasapi.model.hemispheres import StoredHemispheres
from bg_atlasapi.model.mesh import MeshSource, TriangleMesh
from bg_atlasapi.model.mesh_parts import cut_off, joined, picked
from bg_atlasapi.model.space import LEFT, RIGHT, CoordinateSpace
from bg_atlasapi.model.terminology import Terminology

if TYPE_CHECKING:
    import numpy.typing as npt

_ROOT = 1


class GroupedMeshes:
    """The meshes of groups, a ``MeshSource``.

    Parameters
    ----------
    below
        The meshes of the atlas that is grouped.
    tree
        Its structures.
    arrangement
        The groups, laid over them.
    space, hemispheres
        Of that atlas; only what is lateralised needs them.
    """

    def __init__(
        self,
        below: MeshSource,
        tree: Terminology,
        arrangement: Arrangement,
        space: CoordinateSpace,
        hemispheres: StoredHemispheres | None,
    ) -> None:
        self._below, self._tree, self._arrangement = below, tree, arrangement
        self._space, self._hemispheres = space, hemispheres

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_folder"}

    @cached_property
    def _folder(self) -> Path:
        """Where OBJ files go; made when the first is written."""
        name = f"bg_atlasapi-groups-{os.getpid()}-{secrets.token_hex(8)}"
        folder = Path(tempfile.gettempdir()) / name
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder

    def path(self, identifier: int) -> Path:
        """Return where the mesh of a group lies, or will once ``file`` was asked for it."""
        same = self._unchanged(identifier)
        return self._folder / f"{identifier}.obj" if same is None else self._below.path(same)

    def file(self, identifier: int) -> Path:
        """Return an OBJ file of a group's mesh; one that is not published is written."""
        same = self._published(identifier)
        if same is not None:
            return self._below.file(same)
        target = self._folder / f"{identifier}.obj"
        mesh = None if target.exists() else self._made(identifier)
        if mesh is not None:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            partial = target.with_suffix(f".{secrets.token_hex(4)}.part")
            partial.write_bytes(obj_text(mesh))
            partial.replace(target)
        return target

    def has(self, identifier: int) -> bool:
        """Say whether a group has a mesh, or can be given one."""
        return self._published(identifier) is not None or self._made(identifier) is not None

    def read(self, identifier: int) -> TriangleMesh:
        """Return the mesh of a group.

        Raises
        ------
        IncompleteAtlasError
            If none of its structures has one, or one that is needed is damaged.
        """
        same = self._published(identifier)
        if same is not None:
            return self._below.read(same)
        mesh = self._made(identifier)
        if mesh is None:
            message = f"No structure of the group {identifier} has a mesh."
            raise IncompleteAtlasError(message)
        return mesh

    def _published(self, identifier: int) -> int | None:
        """Return the id of the structure whose published mesh is that of a group, if it has one."""
        same = self._unchanged(identifier)
        return same if same is not None and self._below.has(same) else None

    def _made(self, identifier: int) -> TriangleMesh | None:
        """Return the union of meshes, None if there are none, or none on the group's side."""
        parts = self._parts(identifier)
        if not parts:
            return None
        mesh = joined([self._below.read(part) for part in parts])
        side = self._side(self._arrangement.terminology.code_of_id(identifier))
        mesh = mesh if side is None else self._half(mesh, side)
        return mesh if len(mesh.triangles) else None

    def _wanted(self, identifier: int) -> npt.NDArray[np.bool_]:
        """Return which structures lie in a group or in one below it, by code."""
        tables, groups = self._arrangement.tables, self._arrangement.terminology
        code = groups.code_of_id(identifier)
        if code <= 0:
            return np.zeros(tables.shape[1], bool)
        wanted = ((tables >= code) & (tables <= groups.last[code])).any(axis=0)
        return np.asarray(wanted)

    def _unchanged(self, identifier: int) -> int | None:
        """Return the id of the structure that a group is, voxel for voxel."""
        code = self._arrangement.terminology.code_of_id(identifier)
        if code <= 0 or self._side(code) is not None:
            return None
        wanted = np.flatnonzero(self._wanted(identifier))
        if not len(wanted) or int(self._tree.last[wanted[0]]) != wanted[-1]:
            return None
        whole = len(wanted) == wanted[-1] - wanted[0] + 1
        same = int(self._tree.ids[wanted[0]])
        return same if whole and (code == _ROOT or same == identifier) else None

    def _parts(self, identifier: int) -> list[int]:
        """Return the ids of the largest structures with a mesh that lie in a group entirely."""
        wanted = self._wanted(identifier)
        before = np.concatenate([[0], np.cumsum(wanted)])
        found, code = [], _ROOT
        while code < len(wanted):
            last = int(self._tree.last[code])
            whole = before[last + 1] - before[code] == last + 1 - code
            if whole and self._below.has(int(self._tree.ids[code])):
                found.append(int(self._tree.ids[code]))
                code = last
            code += 1
        return found

    def _side(self, code: int) -> int | None:
        if not self._arrangement.lateralised or code <= _ROOT:
            return None
        groups = (len(self._arrangement.terminology) - 1) // 2  # the left ones come first
        return LEFT if code <= _ROOT + groups else RIGHT

    def _half(self, mesh: TriangleMesh, side: int) -> TriangleMesh:
        space = self._space
        axis = space.left_right_axis
        if self._hemispheres is None:
            first, stop = space.left_span
            border = first or stop
            at_um = border * space.spacing_um[axis]
            return cut_off(mesh, axis, at_um, above=(first > 0) == (side == LEFT))
        middles = mesh.points[mesh.triangles].mean(axis=1) / np.asarray(space.spacing_um)
        voxels = np.clip(np.floor(middles), 0, np.asarray(space.shape) - 1).astype(np.int64)
        flat = np.ravel_multi_index(tuple(voxels.T), space.shape)
        return picked(mesh, Sides(space, self._hemispheres).at(flat) == side)
