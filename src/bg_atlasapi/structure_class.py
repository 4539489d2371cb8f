"""Structures as dictionaries, as in 1.x, with their relatives as attributes.

``atlas.structures["VISp"]`` is a dictionary of what the atlas says of a region, whose mesh loads
when it is first asked for; ``.parent``, ``.children``, ``.descendants`` … lead to its relatives.
The hierarchy itself is the terminology's (``bg_atlasapi.model``); this module only dresses it.
"""

from __future__ import annotations

import functools
import warnings
from collections import UserDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import IncompleteAtlasError, InvalidInputError, UnknownStructureError
from bg_atlasapi.formats.mesh_files import read_obj
from bg_atlasapi.formats.packaged import records_of, terminology_of, tidied
from bg_atlasapi.model.mesh import MeshSource, TriangleMesh
from bg_atlasapi.model.terminology import Terminology
from bg_atlasapi.structure_tree_util import get_structures_tree, tree_of  # noqa: F401 - 1.x

if TYPE_CHECKING:
    import meshio
    from rich.text import Text
    from treelib import Tree


class Structure(UserDict[str, Any]):
    """One region.

    Keys: ``acronym``, ``id``, ``name``, ``structure_id_path``, ``rgb_triplet``, ``mesh_filename``
    and ``mesh`` (a ``meshio.Mesh``, points in µm, read when asked for), each an attribute too.
    """

    _family: StructuresDict | None = None
    _code = 0

    def __getitem__(self, item: str) -> Any:
        if item == "mesh" and self.data.get("mesh") is None:
            self.data["mesh"] = self._read_mesh()
        if item == "mesh_filename" and (meshes := self._published_meshes()):
            return meshes.file(self._published_id())
        return self.data[item]

    def _published_id(self) -> int:
        family, code = self._relatives()
        return int(family.terminology.ids[code])

    def _published_meshes(self) -> MeshSource | None:
        """Return the atlas's meshes, None where a caller put another file name here."""
        meshes = self._family.meshes if self._family is not None else None
        if meshes is None or self.data.get("mesh_filename") != meshes.path(self._published_id()):
            return None
        return meshes

    def _read_surface(self, path: Any) -> TriangleMesh:
        meshes = self._published_meshes()
        return meshes.read(self._published_id()) if meshes else read_obj(Path(path))

    def _read_mesh(self) -> meshio.Mesh | None:
        path = self.data.get("mesh_filename")
        if path is None:
            text = f"No mesh filename for region {self.data['acronym']}"
            warnings.warn(text, UserWarning, stacklevel=3)
            return None
        try:
            surface = self._read_surface(path)
        except IncompleteAtlasError as error:
            raise _mesh_error()(self.data["acronym"], error) from error
        import meshio

        return meshio.Mesh(surface.points, [("triangle", surface.triangles)])

    @property
    def id(self) -> int:
        """Structure id."""
        return self.data["id"]  # type: ignore[no-any-return]

    @property
    def acronym(self) -> str:
        """Short name, unique in a sound terminology."""
        return self.data["acronym"]  # type: ignore[no-any-return]

    @property
    def name(self) -> str:
        """Full name."""
        return self.data["name"]  # type: ignore[no-any-return]

    @property
    def structure_id_path(self) -> list[int]:
        """Ids from the root to this structure, both included."""
        return self.data["structure_id_path"]  # type: ignore[no-any-return]

    @property
    def rgb_triplet(self) -> list[int]:
        """Colour, three values 0…255."""
        return self.data["rgb_triplet"]  # type: ignore[no-any-return]

    @property
    def mesh_filename(self) -> Path | None:
        """File of the mesh."""
        return self["mesh_filename"]  # type: ignore[no-any-return]

    @property
    def mesh(self) -> meshio.Mesh | None:
        """The surface, points in µm."""
        return self["mesh"]

    def _relatives(self) -> tuple[StructuresDict, int]:
        if self._family is None:
            message = (
                f"{self.data.get('acronym')!r} was not taken from an atlas: it has no relatives."
            )
            raise InvalidInputError(message)
        return self._family, self._code

    @property
    def depth(self) -> int:
        """Distance from the root, which has 0."""
        family, code = self._relatives()
        return int(family.terminology.depths[code])

    @property
    def parent(self) -> Structure | None:
        """The structure one level up; None for the root."""
        family, code = self._relatives()
        parent = int(family.terminology.parents[code])
        return family.by_code(parent) if parent else None

    @property
    def children(self) -> list[Structure]:
        """Structures one level down."""
        family, code = self._relatives()
        return family.by_codes(family.terminology.children(code))

    @property
    def ancestors(self) -> list[Structure]:
        """Structures from the root down to the parent."""
        family, code = self._relatives()
        return family.by_codes(family.terminology.ancestors(code))

    @property
    def descendants(self) -> list[Structure]:
        """All structures below, in file order."""
        family, code = self._relatives()
        return family.by_codes(family.terminology.descendants(code))

    @property
    def leaves(self) -> list[Structure]:
        """Structures at or below this one that have no children."""
        family, code = self._relatives()
        return family.by_codes(family.terminology.leaves(code))


@functools.cache
def _mesh_error() -> type[IncompleteAtlasError]:
    """Return the error of an unreadable mesh, which is also meshio's, as 1.x callers expect."""
    from meshio import ReadError

    class MeshError(IncompleteAtlasError, ReadError):  # type: ignore[misc]
        """The mesh of a structure is missing or damaged."""

        def __init__(self, acronym: str, cause: object) -> None:
            super().__init__(f"No valid mesh for region: {acronym}. {cause}")
            self._parts = (acronym, str(cause))

        def __reduce__(self) -> tuple[Any, ...]:
            return (_make_mesh_error, self._parts)

    return MeshError


def _make_mesh_error(acronym: str, cause: str) -> IncompleteAtlasError:
    return _mesh_error()(acronym, cause)


class StructuresDict(UserDict[int, Structure]):
    """All structures of an atlas, found by id, numeric string, acronym or exact name.

    Iterates over ids in file order, as 1.x did.

    Parameters
    ----------
    structures_list
        Objects as in ``structures.json``, each with a ``mesh_filename``.
    terminology
        The hierarchy, if it was read already; the list is then taken as it is.
    meshes
        Where the atlas keeps its meshes; without it they are read from ``mesh_filename``.

    Raises
    ------
    InvalidAtlasError
        If the list has no root or a cycle.
    """

    def __init__(
        self,
        structures_list: Sequence[Mapping[str, Any]],
        *,
        terminology: Terminology | None = None,
        meshes: MeshSource | None = None,
    ) -> None:
        super().__init__()
        self.meshes = meshes
        if terminology is None:
            where = "The list of structures"
            records = records_of(structures_list, where)
            terminology = terminology_of(records, where)
            structures_list = [tidied(*p) for p in zip(structures_list, records, strict=True)]
        self.terminology = terminology
        for code in self.terminology.positions.argsort()[1:].tolist():
            entry = structures_list[int(self.terminology.positions[code])]
            structure = Structure()
            structure.data = {**entry, "mesh": None}
            structure._family, structure._code = self, code
            if (
                self.terminology.findings
            ):  # a path through a structure that is not there leads nowhere
                structure.data["structure_id_path"] = self.terminology.path_ids(code)
            self.data[int(self.terminology.ids[code])] = structure

    @property
    def acronym_to_id_map(self) -> dict[str, int]:
        """Id of each acronym; of a repeated acronym, the first in the file."""
        mapping: dict[str, int] = {}
        for identifier, structure in self.data.items():
            mapping.setdefault(structure.data["acronym"], identifier)
        return mapping

    @property
    def tree(self) -> Tree:
        """The hierarchy as a ``treelib.Tree`` with ids as identifiers."""
        return self._tree

    @functools.cached_property
    def _tree(self) -> Tree:
        return tree_of(self.terminology)

    def __getitem__(self, item: object) -> Structure:
        try:
            return self.by_code(self.terminology.code(item))
        except UnknownStructureError:
            if isinstance(item, int) and item in self.data:  # a caller added it
                return self.data[item]
            raise

    def __contains__(self, item: object) -> bool:
        try:
            return bool(self[item].data)
        except UnknownStructureError:
            return False

    def __iter__(self) -> Iterator[int]:
        return iter(self.data)

    def __repr__(self) -> str:
        from bg_atlasapi.view import trees

        return trees.plain(self.terminology)

    def __rich_console__(self, *_args: object) -> Iterator[Text]:
        """Show the hierarchy to rich: in colours, with names."""
        from bg_atlasapi.view import trees

        for line in trees.coloured(self.terminology):
            line.end = "\n"
            yield line

    def by_code(self, code: int) -> Structure:
        """Return the structure of a code."""
        identifier = int(self.terminology.ids[code])
        try:
            return self.data[identifier]
        except KeyError:  # a caller removed it
            raise UnknownStructureError(identifier) from None

    def by_codes(self, codes: Sequence[int] | Any) -> list[Structure]:
        """Return the structures of several codes."""
        return [self.by_code(code) for code in codes]

    def find(self, text: str, *, regex: bool = False) -> list[Structure]:
        """Search acronyms and names.

        Parameters
        ----------
        text
            Part of an acronym or name, case ignored.
        regex
            Read ``text`` as a regular expression.

        Returns
        -------
        list of Structure
            Best first. If nothing holds the text, the closest acronyms and names.

        Raises
        ------
        InvalidInputError
            If the regular expression is not one.
        """
        return self.by_codes(self.terminology.find(text, regex=regex))
