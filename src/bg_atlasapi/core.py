"""The atlas object of 1.x, on top of the model.

``Atlas`` keeps every attribute and method of bg-atlasapi 1.0.3 and what 3.x added, and answers them
from preorder codes and mapped files. It holds no algorithm of its own: those are in
``bg_atlasapi.model`` and ``bg_atlasapi.query``; what it keeps is in ``bg_atlasapi.holdings``, and
what it can be asked beyond 1.x in ``bg_atlasapi.questions``; how it shows itself in
``bg_atlasapi.looks``.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

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
from bg_atlasapi.lazy import Keeper, kept
from bg_atlasapi.looks import Looks
from bg_atlasapi.model.labels import ArraySource
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

    from bg_atlasapi.build.validation import Findings
    from bg_atlasapi.model.atlas import Atlas as AtlasModel
    from bg_atlasapi.settings import PathLike
    from bg_atlasapi.view.serving import Viewing

_OUTDATED = "This atlas seems to be outdated as no additional_references list is found in metadata!"
_ONE_VOXEL = (1, 1, 1)
_SIDES = (OUTSIDE_LABEL, "left", "right", OUTSIDE_LABEL)


def _copied(published: Mapping[str, Any]) -> dict[str, Any]:
    # Lists are what callers edit. Not deepcopy: it recurses into what hostile files nest.
    return {key: list(v) if isinstance(v, list) else v for key, v in published.items()}


def has_level(path: PathLike, resolution: float, *, derived: bool) -> bool:
    """Say whether the atlas in a folder stores a level of a voxel size (µm), or can derive it."""
    volume = Atlas.from_path(path).volumes["annotation"]
    try:
        level = volume.level(resolution)
    except InvalidInputError:
        return False
    return derived or not level.derived


class Atlas(Looks):
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
        self.metadata: dict[str, Any] = _copied(self._model.metadata)
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

    @classmethod
    def from_arrays(  # noqa: PLR0913 - what an atlas consists of
        cls,
        annotation: npt.ArrayLike,
        structures: Any,
        *,
        resolution: float | Sequence[float],
        reference: npt.ArrayLike | None = None,
        orientation: str = "asr",
        hemispheres: npt.ArrayLike | None = None,
        references: Mapping[str, npt.ArrayLike] | None = None,
        name: str = "custom",
        version: str = "1.0",
        accept: Collection[str] = (),
        **metadata: Any,
    ) -> Self:
        """Make an atlas of arrays, in memory, without meshes; everything can be asked of it.

        Parameters
        ----------
        annotation
            Structure id of every voxel, 0 outside: whole numbers, three axes. Arrays of numpy, and
            those that files are mapped to, are not copied; leave them as they are while the atlas
            is in use. Dask and Zarr arrays are computed, of a masked array what is masked is 0.
        structures
            Dictionaries with ``id`` and, as far as known, ``acronym``, ``name``, ``rgb_triplet``
            and ``structure_id_path`` or the id of a ``parent``; a table of pandas with such
            columns; or names, or dictionaries, by id. Without a hierarchy, all hang on a root.
        resolution
            Voxel size, µm: one number, or one for each axis.
        reference
            The template; default an image of 0.
        orientation
            Side of index 0 of each axis; ``"asr"`` is anterior, superior, right.
        hemispheres
            1 left, 2 right per voxel; default computed: the atlas is symmetric.
        references
            Further images by name.
        name, version
            Of the atlas, without resolution.
        accept
            Codes of findings that do not stop it, such as ``"label-without-structure"``.
        **metadata
            What else is known, as in ``metadata.json``: species, citation, atlas_link, …

        Raises
        ------
        InvalidAtlasError
            With everything that would stop a build of the same from files: arrays of other kinds
            or shapes, ids that are no ids, or come twice, parents that are not listed, labels
            without a structure, hemispheres that contradict the orientation, …
        TypeError
            For an image under another keyword than these.

        Examples
        --------
        >>> import numpy as np
        >>> from bg_atlasapi import BrainGlobeAtlas
        >>> labels = np.zeros((4, 4, 4), np.uint8)
        >>> labels[1:3, :2], labels[1:3, 2:] = 5, 7
        >>> atlas = BrainGlobeAtlas.from_arrays(labels, {5: "top", 7: "bottom"}, resolution=100)
        >>> atlas.structure_from_coords((1, 0, 0), as_acronym=True)
        '5'
        >>> int(atlas.mask(7).sum())
        16
        """
        from bg_atlasapi.build import array_checks, arrays

        arrays.refuse_images(metadata)
        parts = arrays.Parts(
            annotation=annotation,
            structures=structures,
            spacing_um=arrays.spacing_of(resolution),
            orientation=orientation,
            reference=reference,
            hemispheres=hemispheres,
            references={} if references is None else references,
            metadata={"name": name, "version": version, "custom": True, **metadata},
        )
        model = array_checks.checked_atlas(parts, accept)
        atlas = cls.__new__(cls)
        Keeper.__init__(atlas)  # there is no folder to open
        atlas._level_um = None
        atlas._model = model
        atlas.root_dir = Path(f"{name} (in memory)")
        atlas.metadata = _copied(atlas._model.metadata)
        atlas._set_up_in_memory()
        return atlas

    def _set_up_in_memory(self) -> None:
        """Set what an atlas in memory has besides; subclasses have more."""

    @kept
    def structures_list(self) -> list[dict[str, Any]]:
        """The structures as published, each with its ``mesh_filename``."""
        meshes = self._model.meshes
        return [
            _copied(entry) | {"mesh_filename": meshes.path(entry["id"])}
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

    def export(
        self,
        path: PathLike,
        format: str = "components",  # noqa: A002 - what people call it
        *,
        overwrite: bool = False,
        fn_update: Callable[[int, int], object] | None = None,
    ) -> Path:
        """Write the atlas in another layout, or for other tools, whole or not at all.

        What lies on disk is written, not arrays that were edited or assigned.

        Parameters
        ----------
        path
            A folder of atlases, as ``brainglobe_dir`` is one; made if need be.
        format
            ``"components"``: the store of brainglobe-atlasapi 3, in
            ``path/brainglobe-atlasapi``. ``"packaged"``: the folder that 1.x and 2.x open,
            ``path/<name>_v<version>``. For other tools, ``path/<name>_v<version>_…``:
            ``"nifti"``, ``"nrrd"``, ``"tiff"``, ``"itksnap"``, ``"slicer"``, ``"allen-json"``,
            ``"csv"``, ``"obj"``, ``"ply"``, ``"stl"``, ``"glb"``; the guide "Files for other
            tools" says what each holds.
        overwrite
            Replace what an earlier export of the same atlas and version left there.
        fn_update
            Called with how much is done, and how much there is to do.

        Returns
        -------
        Path
            What was made, a folder or file. ``from_path`` opens the first two formats.

        Raises
        ------
        InvalidInputError
            If the format is unknown, cannot hold this atlas, or needs a package that is missing.
        AlreadyThereError
            If something is in the way.
        IncompleteAtlasError, InvalidAtlasError
            If a file of this atlas is missing or damaged.
        StorageError
            If the disk is full, or the folder cannot be written to.

        Examples
        --------
        >>> import tempfile
        >>> from bg_atlasapi import BrainGlobeAtlas
        >>> folder = tempfile.TemporaryDirectory()
        >>> atlas = BrainGlobeAtlas("phantom_mouse_100um")
        >>> atlas.export(folder.name, format="components").name
        '1_0'
        >>> BrainGlobeAtlas("phantom_mouse_100um", brainglobe_dir=folder.name).shape == atlas.shape
        True
        >>> folder.cleanup()
        """
        from bg_atlasapi import progress_bar
        from bg_atlasapi.formats import exporting

        name, version = self._identity()
        with progress_bar.shown() as shown:

            def report(phase: str, done: int, total: int) -> None:
                shown(phase, done, total)
                if fn_update is not None:
                    fn_update(done, total)

            return exporting.export(
                self._model,
                name,
                version,
                expanded(path).absolute(),
                format,
                overwrite=overwrite,
                report=report,
            )

    def check(self, *, meshes: bool = True) -> Findings:
        """Check everything about the atlas: structures, labels, sides, template, meshes, metadata.

        Arrays that were edited or assigned are checked as they are now.

        Parameters
        ----------
        meshes
            Whether to read the meshes too, which takes longest.

        Returns
        -------
        Findings
            A tuple of ``Finding``, the gravest first: ``.ok``, ``.errors``, ``.warnings``,
            ``.notes``, ``.select(code)``, ``.to_dataframe()``; printing it groups them.

        Examples
        --------
        >>> from bg_atlasapi import BrainGlobeAtlas
        >>> findings = BrainGlobeAtlas("phantom_mouse_100um").check(meshes=False)
        >>> findings.ok, findings.select("licence-missing")[0].message
        (True, 'The metadata do not say under which licence it may be used.')
        """
        from bg_atlasapi import progress_bar
        from bg_atlasapi.build import validation

        model = self._now()
        # A file says more than what was made of it, if there is one and this is what it holds.
        derived = self._level_um is not None or getattr(self, "base", None) is not None
        as_stored = not derived and folder_of(Path(self.root_dir)).is_dir()
        with progress_bar.shown() as report:
            if as_stored:
                return validation.check_opened(self.root_dir, model, meshes=meshes, report=report)
            return validation.check_atlas(model, meshes=meshes, report=report)

    def _now(self) -> AtlasModel:
        """Return the parts of the atlas with arrays that were edited or assigned."""
        labels = self._labels(every_voxel=True)
        return dataclasses.replace(
            self._model,
            metadata=self.metadata,
            labels=labels,
            space=self._space(labels.shape),
            reference=self._source_now("reference"),
            hemispheres=self._source_now("hemispheres"),
        )

    def _source_now(self, name: str) -> Any:
        if name in self.__dict__ or self._edited(name):
            return ArraySource(np.ascontiguousarray(getattr(self, name)))
        return getattr(self._model, name)

    def view(  # noqa: PLR0913 - what can be shown, each by name
        self,
        structures: Any = (),
        *,
        position: Sequence[float] | None = None,
        points: PathLike | None = None,
        unit: str | None = None,
        values: PathLike | None = None,
        column: str | None = None,
        port: int = 0,
        browser: bool = True,
        wait: bool | None = None,
    ) -> Viewing:
        """Look at the atlas in the browser: slices, surfaces, regions; see ``view.viewer``.

        The page is served by this process to this machine only; nothing is fetched from elsewhere.

        Parameters
        ----------
        structures
            A structure, or a list: the first is selected, all are shown in 3-D.
        position
            Where the slices meet, µm; default in the middle.
        points, unit
            A file of points, to show and count by region; see ``lookup``.
        values, column
            A csv or tsv file with a column that names regions, and which column colours them.
        port
            Default: any that is free.
        browser
            Whether to open the browser.
        wait
            Whether to return only when the viewer is closed (Ctrl-C). Default: in a script, whose
            end would end the viewer; not where somebody types (IPython, Jupyter, ``python -i``).

        Returns
        -------
        Viewing
            Its ``url``, and ``close()``; a context manager.

        Raises
        ------
        InvalidInputError
            If the position lies outside, a file cannot be read, or the port is in use.
        UnknownStructureError
            If the atlas lacks a structure.

        Examples
        --------
        >>> from bg_atlasapi import BrainGlobeAtlas
        >>> atlas = BrainGlobeAtlas("phantom_mouse_100um")
        >>> with atlas.view("VISp", browser=False, wait=False) as viewing:
        ...     viewing.url
        'http://127.0.0.1:.../#s=385&m=385'
        """
        from bg_atlasapi.view.serving import Opening
        from bg_atlasapi.view.viewer import Wish, is_typed, start

        several = isinstance(structures, list | tuple)
        wish = Wish(
            position_um=position,
            structures=structures if several else (structures,),
            points=points,
            values=values,
            unit=unit,
            column=column,
            port=port,
        )
        viewing = start(self, wish, Opening()) if browser else start(self, wish)
        if wait if wait is not None else not is_typed():
            viewing.wait()
        return viewing

    def _identity(self) -> tuple[str, str]:
        """Return the name (with resolution) and version under which it is exported."""
        from bg_atlasapi.formats import exporting

        return exporting.identity(self.root_dir, self._model.metadata)
