"""Where an atlas comes from and goes to: made of arrays, checked, written in another form.

Thin over ``bg_atlasapi.build`` and ``bg_atlasapi.formats``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bg_atlasapi.formats.registry import folder_of
from bg_atlasapi.late import np
from bg_atlasapi.lazy import Keeper
from bg_atlasapi.looks import Looks
from bg_atlasapi.model.labels import ArraySource
from bg_atlasapi.settings import expanded

if TYPE_CHECKING:
    import numpy.typing as npt

    from bg_atlasapi.build.validation import Findings
    from bg_atlasapi.model.atlas import Atlas as AtlasModel
    from bg_atlasapi.settings import PathLike


def copied(published: Mapping[str, Any]) -> dict[str, Any]:
    """Return published entries as callers may edit them."""
    # Lists are what callers edit. Not deepcopy: it recurses into what hostile files nest.
    return {key: list(v) if isinstance(v, list) else v for key, v in published.items()}


class Building(Looks):
    """How an atlas is made, checked and written."""

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
        InvalidInputError
            If a code in ``accept`` is none.
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
        atlas.metadata = copied(atlas._model.metadata)
        atlas._set_up_in_memory()
        return atlas

    def _set_up_in_memory(self) -> None:
        """Set what an atlas in memory has besides; subclasses have more."""

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

    def _identity(self) -> tuple[str, str]:
        """Return the name (with resolution) and version under which it is exported."""
        from bg_atlasapi.formats import exporting

        return exporting.identity(self.root_dir, self._model.metadata)
