"""The atlas object of 1.x, on top of the model.

``Atlas`` keeps every attribute and method of bg-atlasapi 1.0.3 and what 3.x added, and answers them
from preorder codes and mapped files. It holds no algorithm of its own: those are in
``bg_atlasapi.model`` and ``bg_atlasapi.query``; what it keeps is in ``bg_atlasapi.holdings``, what
it can be asked beyond 1.x in ``bg_atlasapi.questions``, how it shows itself in
``bg_atlasapi.looks``, where it comes from and goes to in ``bg_atlasapi.building``.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bg_atlasapi.building import Building, copied
from bg_atlasapi.descriptors import (  # noqa: F401 - 1.x found them here
    ANNOTATION_FILENAME,
    HEMISPHERES_FILENAME,
    MESHES_DIRNAME,
    METADATA_FILENAME,
    REFERENCE_FILENAME,
    STRUCTURES_FILENAME,
)
from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.registry import folder_of
from bg_atlasapi.holdings import AdditionalRefDict  # noqa: F401 - as above
from bg_atlasapi.late import np
from bg_atlasapi.lazy import kept
from bg_atlasapi.model.space import LEFT, RIGHT, as_points, as_triplet
from bg_atlasapi.model.terminology import OUTSIDE_LABEL
from bg_atlasapi.query import points as point_query
from bg_atlasapi.settings import expanded
from bg_atlasapi.structure_class import Structure, StructuresDict
from bg_atlasapi.utils import read_json, read_tiff  # noqa: F401 - as above

if TYPE_CHECKING:
    import meshio
    import numpy.typing as npt
    import pandas as pd
    from treelib import Tree

    from bg_atlasapi.settings import PathLike

_OUTDATED = "This atlas seems to be outdated as no additional_references list is found in metadata!"
_ONE_VOXEL = (1, 1, 1)
_SIDES = (OUTSIDE_LABEL, "left", "right", OUTSIDE_LABEL)


def has_level(path: PathLike, resolution: float, *, derived: bool) -> bool:
    """Say whether the atlas in a folder stores a level of a voxel size (µm), or can derive it."""
    volume = Atlas.from_path(path).volumes["annotation"]
    try:
        level = volume.level(resolution)
    except InvalidInputError:
        return False
    return derived or not level.derived


class Atlas(Building):
    """An atlas on this machine, of any BrainGlobe generation.

    Arrays it hands out are writable and private to the instance; volumes load as they are touched.
    Copies and pickles carry the folder's path, what was assigned, and volumes that were edited;
    the rest is read again where they are opened.

    Parameters
    ----------
    path
        Folder with ``metadata.json``, ``structures.json``, TIFF volumes and ``meshes``; or a
        ``manifest.json`` of the V3 component store, or its folder.
    resolution
        Voxel size, µm: a stored level, or one that is derived from it. Default: the atlas's own.

    Raises
    ------
    IncompleteAtlasError
        If a required file is missing.
    InvalidAtlasError
        If the files contradict their format or each other.
    """

    left_hemisphere_value = LEFT
    right_hemisphere_value = RIGHT

    def __init__(self, path: PathLike, *, resolution: float | None = None) -> None:
        super().__init__()
        self._level_um = resolution
        self.root_dir = folder_of(expanded(path).absolute())
        self.metadata: dict[str, Any] = copied(self._model.metadata)
        if "additional_references" not in self.metadata:
            warnings.warn(_OUTDATED, stacklevel=2)

    @classmethod
    def from_path(cls, path: PathLike, *, resolution: float | None = None) -> Self:
        """Open an atlas in any folder, whatever its name.

        Parameters
        ----------
        path
            The atlas's folder, or its ``manifest.json``.
        resolution
            Voxel size, µm; default the atlas's own.
        """
        atlas = cls.__new__(cls)
        Atlas.__init__(atlas, path, resolution=resolution)
        return atlas

    @kept
    def structures_list(self) -> list[dict[str, Any]]:
        """The structures as published, each with its ``mesh_filename``."""
        meshes = self._model.meshes
        return [
            copied(entry) | {"mesh_filename": meshes.path(entry["id"])}
            for entry in self._model.structures
        ]

    @kept
    def structures(self) -> StructuresDict:
        """The structures by id, acronym or name."""
        return StructuresDict(
            self.structures_list, terminology=self._terminology, meshes=self._model.meshes
        )

    @kept
    def hierarchy(self) -> Tree:
        """The hierarchy as a ``treelib.Tree``; nodes are ids."""
        return self.structures.tree

    @kept
    def lookup_df(self) -> pd.DataFrame:
        """Acronym, id and name of each structure, a row each, in file order."""
        import pandas as pd

        rows = self.structures_list
        return pd.DataFrame({key: [row[key] for row in rows] for key in ("acronym", "id", "name")})

    def hemisphere_from_coords(
        self,
        coords: npt.ArrayLike,
        microns: bool = False,  # noqa: FBT001, FBT002 - 1.x signature
        as_string: bool = False,  # noqa: FBT001, FBT002 - 1.x signature
    ) -> Any:
        """Return the hemisphere of points.

        Parameters
        ----------
        coords
            One triplet, or ``(N, 3)``. Voxels, unless ``microns``.
        microns
            Read ``coords`` as µm.
        as_string
            Answer ``"left"`` or ``"right"``.

        Returns
        -------
        int, str or numpy.ndarray
            1 left, 2 right, 0 (``"Outside atlas"``) beyond the volume; an array for an array.
        """
        stored = self._stored_hemispheres()
        space = self._space(self.shape if stored is None else stored.shape)
        point = as_triplet(coords)
        if point is None:
            unit = "um" if microns else "voxel"
            sides = point_query.hemispheres_of(space, coords, unit, stored)
            names = np.array(_SIDES, dtype=object)
            return names.take(sides, mode="clip") if as_string else sides
        scale = space.spacing_um if microns else _ONE_VOXEL
        voxel = point_query.voxel_of(point, scale, space.shape)
        if voxel is None:
            side = np.uint8(0)
        elif stored is None:
            side = np.uint8(space.hemisphere_of(voxel))
        else:
            side = stored.at(np.array([np.ravel_multi_index(voxel, space.shape)]))[0]
        return _SIDES[min(int(side), 3)] if as_string else side

    def structure_from_coords(
        self,
        coords: npt.ArrayLike,
        microns: bool = False,  # noqa: FBT001, FBT002 - 1.x signature
        as_acronym: bool = False,  # noqa: FBT001, FBT002 - 1.x signature
        hierarchy_lev: int | None = None,
        key_error_string: str = OUTSIDE_LABEL,
    ) -> Any:
        """Return the structure of points.

        Parameters
        ----------
        coords
            One triplet, or ``(N, 3)``. Voxels, unless ``microns``.
        microns
            Read ``coords`` as µm.
        as_acronym
            Answer acronyms instead of ids.
        hierarchy_lev
            Answer the ancestor at this depth (0 is the root); a structure that lies higher answers
            itself.
        key_error_string
            The acronym of points outside every structure.

        Returns
        -------
        int, str or numpy.ndarray
            0, or ``key_error_string``, outside; an array for an array. A label that the terminology
            lacks answers its id, or ``"unlisted <id>"``.
        """
        if hierarchy_lev is not None:
            point_query.check_depth(hierarchy_lev)
        labels = self._labels()
        point = as_triplet(coords)
        if point is not None:
            scale = self._space(labels.shape).spacing_um if microns else _ONE_VOXEL
            voxel = point_query.voxel_of(point, scale, labels.shape)
            label = labels.dtype.type(0) if voxel is None else labels.id_at(voxel)
            if hierarchy_lev is None and not as_acronym:
                return label
            code, label = point_query.ancestor(self._terminology, label, hierarchy_lev)
            if not as_acronym:
                return label
            return point_query.acronym(self._terminology, code, label, key_error_string)
        unit = "um" if microns else "voxel"
        found = point_query.locate(labels, self._space(labels.shape), coords, unit)
        if hierarchy_lev is not None:
            found = point_query.roll_up(found, self._terminology, hierarchy_lev)
        if as_acronym:
            return point_query.acronyms(found, self._terminology, key_error_string)
        return found.ids

    def _idx_from_coords(self, coords: npt.ArrayLike, microns: bool) -> tuple[Any, ...]:  # noqa: FBT001
        """Return voxel indices: three integers, or three arrays for ``(N, 3)`` coordinates."""
        points, single = as_points(coords)
        scale = np.array(self.resolution) if microns else 1
        voxels = np.floor(points / scale)
        if not (np.abs(voxels) < 2**62).all():
            message = f"Coordinates must be finite to name a voxel, got {coords!r}."
            raise InvalidInputError(message)
        columns = voxels.astype(np.int64).T
        return tuple(int(column[0]) for column in columns) if single else tuple(columns)

    def mirror_point_across_hemispheres(
        self, points: npt.ArrayLike, *, microns: bool = True
    ) -> npt.NDArray[np.float64]:
        """Return points mirrored across the mid-plane, as new points of the same shape.

        Parameters
        ----------
        points
            One triplet, or ``(N, 3)``; µm, or continuous voxel coordinates.
        microns
            Whether they are µm.
        """
        array, single = as_points(points)
        axis = self._space(self.shape).left_right_axis
        mirrored = array.astype(np.float64)
        extent = self.shape_um[axis] if microns else self.shape[axis]
        mirrored[:, axis] = extent - mirrored[:, axis]
        return mirrored[0] if single else mirrored

    def _get_from_structure(self, structure: Any, key: str) -> Any:
        """Return an entry of a structure, or a list of them for a list or tuple of structures."""
        if isinstance(structure, list | tuple):
            return [self._get_from_structure(one, key) for one in structure]
        return self.structures[structure][key]

    def mesh_from_structure(self, structure: Any, *, hemisphere: str = "both") -> meshio.Mesh | Any:
        """Return the mesh of a structure, points in µm; a list for a list.

        Parameters
        ----------
        structure
            Id, acronym or exact name, or a list of them.
        hemisphere
            ``"left"`` or ``"right"``: what lies there, of an atlas that was built with such meshes.

        Raises
        ------
        IncompleteAtlasError
            If there is no such mesh.
        """
        if hemisphere == "both":
            return self._get_from_structure(structure, "mesh")
        if isinstance(structure, list | tuple):
            return [self.mesh_from_structure(one, hemisphere=hemisphere) for one in structure]
        from bg_atlasapi.formats.side_meshes import read_side

        one = self.structures[structure]
        return read_side(self._model.side_meshes, one.id, one.acronym, hemisphere)

    def meshfile_from_structure(self, structure: Any) -> Path | Any:
        """Return the path of the mesh of a structure; a list for a list."""
        return self._get_from_structure(structure, "mesh_filename")

    @property
    def _root(self) -> Structure:
        return self.structures.by_code(1)

    def root_mesh(self) -> meshio.Mesh:
        """Return the mesh of the root, the whole brain."""
        return self._root["mesh"]

    def root_meshfile(self) -> Path:
        """Return the path of the mesh of the root."""
        return self._root["mesh_filename"]  # type: ignore[no-any-return]

    def get_structure_ancestors(self, structure: Any) -> list[str]:
        """Return the acronyms of a structure's ancestors, root first.

        Parameters
        ----------
        structure
            Id, acronym or exact name.
        """
        terminology = self._terminology
        codes = terminology.ancestors(terminology.code(structure))
        return [terminology.acronyms[code] for code in codes]

    def get_structure_descendants(self, structure: Any) -> list[str]:
        """Return the acronyms of all structures below a structure, in file order.

        Parameters
        ----------
        structure
            Id, acronym or exact name.
        """
        terminology = self._terminology
        codes = terminology.descendants(terminology.code(structure))
        return [terminology.acronyms[code] for code in codes]

    def get_structures_at_hierarchy_level(
        self,
        structure: Any,
        hierarchy_level: int | None = None,
        as_acronym: bool = False,  # noqa: FBT001, FBT002 - 1.x signature
    ) -> list[int] | list[str]:
        """Return the structures at a depth on the paths from the root to a structure's leaves.

        Parameters
        ----------
        structure
            Id, acronym or exact name.
        hierarchy_level
            Depth, 0 is the root. None returns the structure's ancestors, itself, and all its
            descendants level by level.
        as_acronym
            Return acronyms instead of ids.

        Returns
        -------
        list
            In the order of the hierarchy (depth-first; level by level for None).

        Raises
        ------
        InvalidInputError
            If the level is not a depth, or nothing lies there.
        """
        codes = self._terminology.level(self._terminology.code(structure), hierarchy_level)
        if as_acronym:
            return [self._terminology.acronyms[code] for code in codes]
        return [int(self._terminology.ids[code]) for code in codes]

    def get_structure_mask(self, structure: Any, *, values: str = "id") -> npt.NDArray[Any]:
        """Return the volume of a structure and all its descendants.

        Parameters
        ----------
        structure
            Id, acronym or exact name.
        values
            ``"id"``: the mask holds the structure's id, in the annotation's type (a wider one
            where the id does not fit), as in 1.x; ``"binary"``: 1, ``uint8``, as in 3.x.

        Returns
        -------
        numpy.ndarray
            Shape of the annotation, 0 elsewhere.
        """
        if values not in ("id", "binary"):
            message = f"values must be 'id' or 'binary', got {values!r}."
            raise InvalidInputError(message)
        labels = self._labels(every_voxel=True)
        code = self._terminology.code(structure)
        # The ids come from the dictionaries, which callers may edit, not from the terminology.
        last = int(self._terminology.last[code])
        ids = [self.structures.by_code(one).data["id"] for one in range(code, last + 1)]
        inside = [one for one in ids if one != 0]  # 0 labels what is outside, whoever claims it
        if values == "binary":
            return labels.mask(inside, 1, np.uint8)
        # A parent's id may be too large for a volume that holds only its leaves.
        dtype = np.promote_types(labels.dtype, np.min_scalar_type(ids[0]))
        return labels.mask(inside, ids[0], dtype)
