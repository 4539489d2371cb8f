"""``GroupedAtlas``: an atlas seen through a grouping, made by ``atlas.group(...)``."""

from __future__ import annotations

import dataclasses
import math
import re
import warnings
from typing import TYPE_CHECKING, Any, NoReturn

from bg_atlasapi.core import Atlas
from bg_atlasapi.errors import GroupingWarning, InvalidInputError
from bg_atlasapi.formats.grouped_meshes import GroupedMeshes
from bg_atlasapi.lazy import Keeper, kept
from bg_atlasapi.model.grouped_labels import GroupedLabels
from bg_atlasapi.model.labels import ArraySource, LabelVolume
from bg_atlasapi.query.coverage import Coverage, coverage_of, percent
from bg_atlasapi.query.group_packing import PackedGrouping, packed, unpacked
from bg_atlasapi.query.group_rules import Source, Wish, grouping_of, is_remapping

if TYPE_CHECKING:
    from bg_atlasapi.model.atlas import Atlas as AtlasModel
    from bg_atlasapi.model.grouping import Arrangement
    from bg_atlasapi.model.hemispheres import StoredHemispheres
    from bg_atlasapi.model.terminology import Terminology
    from bg_atlasapi.model.volume import VolumeSource
    from bg_atlasapi.query.grouping import Grouping
    from bg_atlasapi.settings import PathLike

_SHOWN = 5
_NO_NAME = re.compile(r"[^A-Za-z0-9.+-]+")  # what no folder of an atlas has in its name
_VOXEL_SIZE = re.compile(r"_[\d.]+um$")  # at the end of the name of a published atlas
# What a store says of its components is not true of groups.
_OF_COMPONENTS = ("location", "terminology", "annotation_set")
_COUNTED_AT_ONCE = 256 << 20  # voxels: a second; of larger ones the repr says how to ask


def grouped_atlas(base: Any, wish: Wish) -> GroupedAtlas:
    """Group an atlas as wished, warn of what overlaps or is of another atlas; see ``group``."""
    name = getattr(base, "atlas_name", None) or base.metadata.get("name", "")
    source = Source(str(name), str(base.metadata.get("version", "")), base.root_dir)
    grouping = grouping_of(base._subject(every_voxel=wish.min_volume_mm3 is not None), wish, source)
    atlas = GroupedAtlas(base, grouping)
    if _stem(grouping.atlas) not in ("", _stem(source.name)):
        warnings.warn(_stranger_text(grouping, source), GroupingWarning, stacklevel=3)
    overlaps = atlas._arrangement.overlaps
    if overlaps and not is_remapping(wish.by):  # who maps each structure says what is to be
        warnings.warn(_overlap_text(base, atlas._arrangement), GroupingWarning, stacklevel=3)
    return atlas


def _stem(name: str) -> str:
    """Return the name of an atlas of any voxel size."""
    return _VOXEL_SIZE.sub("", name)


def _stranger_text(grouping: Grouping, source: Source) -> str:
    return (
        f"The grouping {grouping.name!r} was made for {grouping.atlas}, this atlas is "
        f"{source.name}: the same ids may be other structures here."
    )


def _overlap_text(base: Atlas, arrangement: Arrangement) -> str:
    tree, acronyms = base._terminology, arrangement.acronyms
    shown = [
        f"{tree.acronyms[tree.code_of_id(one.structure)]} is in {acronyms[one.group]!r}, and below "
        f"a structure of {acronyms[one.within]!r}"
        for one in arrangement.overlaps[:_SHOWN]
    ]
    more = len(arrangement.overlaps) - len(shown)
    rest = f"; and {more} more, see .coverage().overlaps" if more else ""
    return f"Groups overlap: {'; '.join(shown)}{rest}. The deeper claim wins."


class GroupedAtlas(Atlas):
    """An atlas whose structures are groups of another's, over the same voxels.

    Made by ``atlas.group(...)``; everything an atlas can be asked works, grouping it again
    included. It reads no file of its own: voxels, images, hemispheres and meshes are those of
    ``base``, edits of its arrays included. Copies and pickles carry the base (by reference, as it
    pickles itself) and the grouping.

    Parameters
    ----------
    base
        The atlas that is grouped.
    grouping
        The groups.

    Attributes
    ----------
    base : Atlas
        The atlas that is grouped.
    """

    def __init__(self, base: Atlas, grouping: Grouping) -> None:
        Keeper.__init__(self)  # there is no folder to open
        self.base = base
        self._packed: PackedGrouping | Grouping = grouping
        self._level_um = base._level_um
        self.root_dir = base.root_dir
        if hasattr(base, "atlas_name"):
            self.atlas_name = base.atlas_name
        arrangement = self._arrangement  # unknown structures are said now
        stated = {key: value for key, value in base.metadata.items() if key not in _OF_COMPONENTS}
        self.metadata = {
            **{key: list(v) if isinstance(v, list) else v for key, v in stated.items()},
            "name": f"{base.metadata.get('name', base.root_dir.name)}-{grouping.name}",
            "grouping": {
                "name": grouping.name,
                "structures": len(arrangement.terminology),
                "lateralised": grouping.lateralised,
                "of": base.metadata.get("grouping", {}).get("name", ""),
            },
        }

    @classmethod
    def from_path(cls, path: PathLike, *, resolution: float | None = None) -> NoReturn:  # noqa: ARG003
        """Refuse: groups are made of an opened atlas."""
        message = (
            f"Open the atlas itself, then group it: Atlas.from_path({str(path)!r}).group(...)."
        )
        raise InvalidInputError(message)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_packed": packed(self.grouping, self.base._terminology)}

    @kept
    def grouping(self) -> Grouping:
        """The groups: ``grouping.save(path)`` keeps them."""
        return unpacked(self._packed, self.base._terminology)

    @kept
    def _arrangement(self) -> Arrangement:
        return self.grouping.arranged(self.base._terminology)

    @property
    def _terminology(self) -> Terminology:
        return self._arrangement.terminology

    @kept
    def _model(self) -> AtlasModel:
        stored = self.base._model
        tree, sides = self._terminology, self._unedited_sides
        arrangement, space = self._arrangement, stored.space
        return dataclasses.replace(
            stored,
            metadata=self.metadata,
            structures=[_entry(tree, code) for code in tree.positions.argsort()[1:].tolist()],
            labels=GroupedLabels(stored.labels, arrangement, space, sides),
            meshes=GroupedMeshes(stored.meshes, stored.terminology, arrangement, space, sides),
            side_meshes={},
        )

    @property
    def _unedited_sides(self) -> StoredHemispheres | None:
        return None if self.base._symmetric else self._unread_hemispheres

    @kept
    def _unread_hemispheres(self) -> StoredHemispheres:
        return self.base._unread_hemispheres

    def _labels(self, *, every_voxel: bool = False) -> LabelVolume:
        own = "annotation" in self.__dict__ or "annotation" in self._kept
        if own and ("annotation" in self.__dict__ or not every_voxel or self._annotation_differs()):
            return super()._labels(every_voxel=every_voxel)
        return self._over(self.base._labels(every_voxel=every_voxel), every_voxel=every_voxel)

    def _over(self, below: LabelVolume, *, every_voxel: bool = False) -> LabelVolume:
        """Return an annotation of the base, edited or not, seen through the groups."""
        kept = self._model.labels
        same = isinstance(kept, GroupedLabels) and below is kept.below
        if same and not self.grouping.lateralised:
            return kept
        sides = self.base._hemispheres_of(below, every_voxel=every_voxel)
        if same and sides is self._unedited_sides:
            return kept
        return GroupedLabels(below, self._arrangement, self.base._space(below.shape), sides)

    def _annotation_differs(self) -> bool:
        below = self.base._labels(every_voxel=True)
        return not self._over(below, every_voxel=True).holds(self._kept["annotation"])

    def _published(self, name: str) -> VolumeSource:
        if name == "annotation":
            return self._over(self.base._labels()).source
        held = self.base.__dict__.get(name, self.base._kept.get(name))
        return self.base._published(name) if held is None else ArraySource(held)

    def _hemispheres_below(self, *, every_voxel: bool) -> StoredHemispheres | None:
        return self.base._stored_hemispheres(every_voxel=every_voxel)

    def _identity(self) -> tuple[str, str]:
        name, version = self.base._identity()
        stem, _, resolution = name.rpartition("_")
        grouping = _NO_NAME.sub("-", self.grouping.name)
        whole = f"{stem}-{grouping}_{resolution}" if stem else f"{name}-{grouping}"
        return whole.removesuffix("-"), version

    def coverage(self) -> Coverage:
        """Say what the groups cover, by counting voxels of the base.

        Returns
        -------
        Coverage
            ``share`` of the voxels with a label that is in a group below the root; ``gaps``, a row
            for each structure of the base with voxels in none; ``overlaps``, a row for each that
            two groups claim.

        Examples
        --------
        >>> from bg_atlasapi import BrainGlobeAtlas
        >>> BrainGlobeAtlas("phantom_mouse_100um").group(["CTX", "TH"]).coverage()
        <Coverage: 53.7 % in groups, 196.2 of 365.5 mm³; 18 structures in none, 0 in several>
        """
        return coverage_of(self.base._subject(every_voxel=True), self._arrangement)

    @kept
    def _share(self) -> float:
        return self.coverage().share

    def __repr__(self) -> str:
        voxels = math.prod(self.base.shape)
        if voxels > _COUNTED_AT_ONCE and "_share" not in self._kept:
            return f"<{self._description}; .coverage() says what they cover>"
        return f"<{self._description}, {percent(self._share)} of the labelled voxels>"

    @property
    def _description(self) -> str:
        base = self.base
        if isinstance(base, GroupedAtlas):
            of = base._description
        else:
            plain = type(base).__repr__ is object.__repr__
            of = f"{base.metadata.get('name', base.root_dir.name)} atlas" if plain else repr(base)
        return f"{of}, grouped as {self.grouping.name!r}: {len(self._terminology) - 1} groups"

    def __str__(self) -> str:
        return repr(self)


def _entry(tree: Terminology, code: int) -> dict[str, Any]:
    """Return a group as ``structures.json`` would list it."""
    return {
        "acronym": tree.acronyms[code],
        "id": int(tree.ids[code]),
        "name": tree.names[code],
        "structure_id_path": tree.path_ids(code),
        "rgb_triplet": tree.colours[code].tolist(),
    }
