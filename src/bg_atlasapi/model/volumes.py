"""The volumes of an atlas by name, and the whole atlas at another voxel size."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from bg_atlasapi.errors import UnknownVolumeError
from bg_atlasapi.model.hemispheres import SplitHemispheres
from bg_atlasapi.model.labels import LabelVolume
from bg_atlasapi.model.lazy_volume import Volume
from bg_atlasapi.model.levels import as_spacing, derived_level, level_of, same_spacing

if TYPE_CHECKING:
    from bg_atlasapi.model.atlas import Atlas
    from bg_atlasapi.model.volume import VolumeSource

ANNOTATION, TEMPLATE, HEMISPHERES = "annotation", "template", "hemispheres"
_OWN = (ANNOTATION, TEMPLATE, HEMISPHERES)
_ALIASES = {"reference": TEMPLATE}


class Volumes(Mapping[str, Volume]):
    """The volumes of an atlas, each read as it is indexed.

    ``"annotation"``, ``"template"`` (or ``"reference"``), ``"hemispheres"``, and the additional
    references, by their short names or those of their components. They hold what is stored: arrays
    that an atlas handed out and that were edited, or assigned, are not seen here.

    Parameters
    ----------
    atlas
        Whose volumes.
    """

    def __init__(self, atlas: Atlas) -> None:
        self._atlas = atlas
        self._made: dict[str, Volume] = {}

    def __getitem__(self, name: str) -> Volume:
        found = self._name(name)
        if found not in self._made:
            self._made[found] = self._make(found)
        return self._made[found]

    def _name(self, name: object) -> str:
        own = self._atlas.reference_names
        for one in (name, _ALIASES.get(str(name)), own.get(str(name))):
            if isinstance(one, str) and one in list(self):
                return one
        raise UnknownVolumeError(name, list(self))

    def _make(self, name: str) -> Volume:
        atlas = self._atlas
        if name == ANNOTATION:
            source: VolumeSource = atlas.annotation
        elif name == TEMPLATE:
            source = atlas.reference
        elif name == HEMISPHERES:
            source = atlas.hemispheres or SplitHemispheres(atlas.space)
        else:
            source = atlas.references[name]
        labels, space = name in (ANNOTATION, HEMISPHERES), atlas.space
        return Volume(name, source, space.spacing_um, space.orientation, labels)

    def __iter__(self) -> Iterator[str]:
        yield from _OWN
        yield from (name for name in self._atlas.references if name not in _OWN)

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        try:
            self._name(name)
        except UnknownVolumeError:
            return False
        return True

    def __repr__(self) -> str:
        return f"<Volumes: {', '.join(self)}>"


def at_resolution(atlas: Atlas, resolution_um: float | Sequence[float]) -> Atlas:
    """Return an atlas at another voxel size: stored levels, or derived ones; see ``Volume.level``.

    The annotation decides the shape; an image whose stored level has another is derived.

    Raises
    ------
    InvalidInputError
        If the annotation cannot have this voxel size.
    """
    wanted = as_spacing(resolution_um)
    if same_spacing(wanted, atlas.space.spacing_um):
        return atlas
    volumes = Volumes(atlas)
    annotation = level_of(volumes[ANNOTATION], wanted)
    levels = {ANNOTATION: annotation}
    for name in [name for name in volumes if name != ANNOTATION]:
        if name == HEMISPHERES and atlas.hemispheres is None:
            continue
        level = level_of(volumes[name], wanted)
        if level.shape != annotation.shape:
            level = derived_level(volumes[name], wanted)
        levels[name] = level
    first, second, third = annotation.shape
    space = dataclasses.replace(atlas.space, shape=(first, second, third), spacing_um=wanted)
    own = {"resolution": list(wanted), "shape": [first, second, third]}
    return dataclasses.replace(
        atlas,
        metadata={**atlas.metadata, **own},
        space=space,
        reference=levels[TEMPLATE].source,
        labels=LabelVolume(annotation.source, atlas.terminology),
        hemispheres=levels[HEMISPHERES].source if HEMISPHERES in levels else None,
        references={name: levels[name].source for name in atlas.references if name in levels},
    )
