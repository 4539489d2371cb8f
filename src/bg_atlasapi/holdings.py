"""What an atlas holds: metadata, space and arrays, each worked out when first read.

1.x handed out plain arrays and dictionaries, which callers edit and assign; questions are answered
from what they hold then. What is asked of them is in ``core``.
"""

from __future__ import annotations

import functools
import warnings
from collections import UserDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import IncompleteAtlasError, InvalidInputError
from bg_atlasapi.formats import packaged
from bg_atlasapi.formats.checks import Check
from bg_atlasapi.formats.registry import open_atlas
from bg_atlasapi.late import np
from bg_atlasapi.lazy import Keeper, kept
from bg_atlasapi.model.hemispheres import StoredHemispheres
from bg_atlasapi.model.labels import ArraySource, LabelVolume, same_values
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.model.terminology import Terminology
from bg_atlasapi.query.subject import Subject
from bg_atlasapi.store.checker import Checker
from bg_atlasapi.utils import read_tiff

if TYPE_CHECKING:
    import numpy.typing as npt
    from brainglobe_space import AnatomicalSpace

    from bg_atlasapi.model.atlas import Atlas as AtlasModel
    from bg_atlasapi.model.volume import VolumeSource
    from bg_atlasapi.model.volumes import Volumes
    from bg_atlasapi.settings import PathLike
    from bg_atlasapi.store.transfer.progress import Report

_VOLUMES = ("annotation", "hemispheres", "reference")


@functools.lru_cache
def _described_space(
    shape: tuple[int, ...], resolution: tuple[float, ...], orientation: str
) -> CoordinateSpace:
    stated = {
        "shape": [_plain(length) for length in shape],
        "resolution": [_plain(size) for size in resolution],
        "orientation": orientation,
    }
    if findings := packaged.metadata_findings(stated):
        raise InvalidInputError("; ".join(finding.message for finding in findings))
    return packaged.space_of(stated)


def _plain(number: Any) -> Any:
    """Return numpy's numbers, which callers put into metadata, as Python's."""
    return number.item() if hasattr(number, "item") else number


def _shown() -> AbstractContextManager[Report]:
    """Give the progress bar of what comes on demand."""
    from bg_atlasapi import progress_bar

    return progress_bar.shown()


def _as_labels(annotation: Any) -> npt.NDArray[np.integer]:
    array = np.asarray(annotation)
    if array.ndim != 3 or array.dtype.kind not in "iu":
        message = (
            "The annotation must be a 3-D array of whole numbers, "
            f"it was assigned {array.dtype} of shape {array.shape}."
        )
        raise InvalidInputError(message)
    return array


class Holdings(Keeper):
    """Metadata, space and arrays of an opened atlas, as 1.x offered them.

    Attributes
    ----------
    root_dir
        The atlas's folder.
    metadata
        As published; callers may edit it.
    """

    root_dir: Path
    metadata: dict[str, Any]
    _level_um: float | None = None

    def __getstate__(self) -> dict[str, Any]:
        edited = {name: self._kept[name] for name in _VOLUMES if self._edited(name)}
        return {**self.__dict__, "_kept": {}, **edited}

    @kept
    def _model(self) -> AtlasModel:
        stored = open_atlas(self.root_dir, self._check)
        if self._level_um is None:
            return stored
        from bg_atlasapi.model.volumes import at_resolution

        return at_resolution(stored, self._level_um)

    @kept
    def volumes(self) -> Volumes:
        """The volumes by name, read as they are indexed, as they are stored: edits do not show."""
        from bg_atlasapi.model.volumes import Volumes

        return Volumes(self._model)

    @kept
    def _check(self) -> Check:
        """What is asked about each file before it is first read; see ``formats.checks``."""
        return Checker(self.root_dir, _shown)

    @property
    def _terminology(self) -> Terminology:
        return self._model.terminology

    @property
    def resolution(self) -> tuple[float, ...]:
        """Voxel size along each axis, µm."""
        return tuple(self.metadata["resolution"])

    @resolution.setter
    def resolution(self, value: Sequence[float]) -> None:
        self._kept.pop("space", None)
        self.metadata["resolution"] = list(value)

    @property
    def orientation(self) -> str:
        """Side of index 0 of each axis, for example ``"asr"``: anterior, superior, right."""
        return self.metadata["orientation"]  # type: ignore[no-any-return]

    @orientation.setter
    def orientation(self, value: str) -> None:
        self._kept.pop("space", None)
        self.metadata["orientation"] = value

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return tuple(self.metadata["shape"])

    @shape.setter
    def shape(self, value: Sequence[int]) -> None:
        self._kept.pop("space", None)
        self.metadata["shape"] = list(value)

    @property
    def shape_um(self) -> tuple[float, ...]:
        """Extent along each axis, µm."""
        return tuple(s * r for s, r in zip(self.shape, self.resolution, strict=True))

    @kept
    def space(self) -> AnatomicalSpace:
        """The space as a brainglobe-space ``AnatomicalSpace``."""
        from brainglobe_space import AnatomicalSpace

        return AnatomicalSpace(self.orientation, shape=self.shape, resolution=self.resolution)

    @kept
    def additional_references(self) -> AdditionalRefDict:
        """Further reference images by name, each read when asked for."""
        names = self.metadata.get("additional_references") or []
        found = AdditionalRefDict(names, data_path=self.root_dir)
        found._sources = self._model.references
        found._names = self._model.reference_names
        return found

    @kept
    def reference(self) -> npt.NDArray[Any]:
        """The reference image (template), writable, shape ``self.shape``."""
        return self._published("reference").read()

    @property
    def template(self) -> npt.NDArray[Any]:
        """The reference image, under the name 3.x gives it."""
        return self.reference

    @template.setter
    def template(self, value: npt.NDArray[Any]) -> None:
        self.reference = value

    @kept
    def annotation(self) -> npt.NDArray[Any]:
        """Structure id of every voxel, writable, shape ``self.shape``."""
        return self._published("annotation").read()

    @kept
    def hemispheres(self) -> npt.NDArray[Any]:
        """Hemisphere of every voxel: 1 left, 2 right."""
        return self._published("hemispheres").read()

    @property
    def _symmetric(self) -> bool:
        if "symmetric" in self.metadata:
            return bool(self.metadata["symmetric"])
        return self._model.hemispheres is None

    def _published(self, name: str) -> VolumeSource:
        if name == "hemispheres" and self._symmetric:
            try:
                return ArraySource(self._space(self.shape).hemispheres())
            except ValueError as error:
                message = f"No volume can have the shape {self.shape}: {error}."
                raise InvalidInputError(message) from error
        stored = getattr(self._model, name)
        if stored is None:
            message = f"{self.root_dir} called itself symmetric and holds no {name}."
            raise IncompleteAtlasError(message)
        return stored  # type: ignore[no-any-return]

    def _space(self, shape: Sequence[int]) -> CoordinateSpace:
        """Return the space as the (editable) metadata describes it now, for a volume's shape."""
        return _described_space(tuple(shape), tuple(self.resolution), self.orientation)

    def _edited(self, name: str) -> bool:
        """Say whether a volume that was handed out no longer equals the published one."""
        return name in self._kept and not same_values(self._kept[name], self._published(name))

    def _labels(self, *, every_voxel: bool = False) -> LabelVolume:
        """Return the annotation to answer from: the published one, or the caller's edited array.

        Points are read straight from an array that was handed out. A question of every voxel wants
        codes, so it first compares the array with the file and keeps the file's codes if it can.
        """
        if "annotation" in self.__dict__:
            return LabelVolume(ArraySource(_as_labels(self.annotation)), self._terminology)
        if "annotation" in self._kept and (not every_voxel or self._annotation_differs()):
            return LabelVolume(ArraySource(self.annotation), self._terminology)
        return self._model.labels

    def _annotation_differs(self) -> bool:
        if self._model.annotation.mapped() is None:  # decoding to compare takes longer
            return not self._model.labels.holds(self._kept["annotation"])
        return self._edited("annotation")

    @kept
    def _unread_hemispheres(self) -> StoredHemispheres:
        return StoredHemispheres(self._published("hemispheres"))

    def _stored_hemispheres(self, *, every_voxel: bool = False) -> StoredHemispheres | None:
        """Return the hemispheres if they are stored or were handed out, None if computed.

        As with ``_labels``, a question of every voxel first compares what was handed out: if it is
        what lies below, so are the answers that are kept for that.
        """
        own = "hemispheres" in self._kept and (not every_voxel or self._edited("hemispheres"))
        if own or "hemispheres" in self.__dict__:
            return StoredHemispheres(ArraySource(np.ascontiguousarray(self.hemispheres)))
        return self._hemispheres_below(every_voxel=every_voxel)

    def _hemispheres_below(self, *, every_voxel: bool) -> StoredHemispheres | None:  # noqa: ARG002
        return None if self._symmetric else self._unread_hemispheres

    def _hemispheres_of(
        self, labels: LabelVolume, *, every_voxel: bool = False
    ) -> StoredHemispheres | None:
        """Return the stored hemispheres of an annotation's voxels, None if computed."""
        stored = self._stored_hemispheres(every_voxel=every_voxel)
        if stored is None or stored.shape == labels.shape:
            return stored
        if self._symmetric:  # the caller's own annotation, of another voxel size
            return None
        message = f"The hemispheres have the shape {stored.shape}, the annotation {labels.shape}."
        raise InvalidInputError(message)

    def _subject(self, *, every_voxel: bool = False) -> Subject:
        """Return what questions are answered from; see ``query.subject``."""
        labels = self._labels(every_voxel=every_voxel)
        hemispheres = self._hemispheres_of(labels, every_voxel=every_voxel)
        return Subject(labels, self._space(labels.shape), hemispheres)


class AdditionalRefDict(UserDict[str, Any]):
    """Further reference images, each read when first asked for.

    Parameters
    ----------
    references_list
        Names of the images.
    data_path
        Folder that holds ``<name>.tiff``.
    """

    def __init__(
        self,
        references_list: Iterable[str],
        data_path: PathLike,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        self.data_path = Path(data_path)
        self.references_list = references_list
        self._sources: Mapping[str, VolumeSource] = {}
        self._names: Mapping[str, str] = {}
        super().__init__(*args, **kwargs)

    def __getitem__(self, ref_name: str) -> Any:
        ref_name = self._names.get(ref_name, ref_name)  # by the component's name
        if ref_name not in self.data:
            if ref_name not in self.references_list:
                text = f"No reference named {ref_name} (available: {self.references_list})"
                warnings.warn(text, stacklevel=2)
                return None
            if ref_name in self._sources:
                self.data[ref_name] = self._sources[ref_name].read()
            else:
                self.data[ref_name] = read_tiff(self.data_path / f"{ref_name}.tiff")
        return self.data[ref_name]
