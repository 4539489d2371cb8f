"""An opened atlas: its parts, each read when first asked for.

This is what readers (``formats``) make and questions (``query``) take. It knows nothing of names,
versions, folders' places or the 1.x attributes; ``bg_atlasapi.core.Atlas`` puts those on top.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bg_atlasapi.model.labels import LabelVolume
from bg_atlasapi.model.mesh import MeshSource
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.model.terminology import Terminology
from bg_atlasapi.model.volume import VolumeSource


@dataclass(frozen=True)
class Atlas:
    """The parts of one atlas.

    Parameters
    ----------
    metadata
        As published.
    structures
        As published, in file order; what the terminology was made from.
    space
        Shape, voxel size, orientation.
    reference
        The template image.
    labels
        The annotation, with its terminology.
    hemispheres
        1 left, 2 right per voxel; None for a symmetric atlas, where it is computed.
    meshes
        The surfaces.
    references
        Further images, by name.
    reference_names
        Names in ``references`` by the other names they are known under.
    side_meshes
        Surfaces of what is left (1) and right (2) of each structure; empty where there are none.
    """

    metadata: Mapping[str, Any]
    structures: Sequence[Mapping[str, Any]]
    space: CoordinateSpace
    reference: VolumeSource
    labels: LabelVolume
    hemispheres: VolumeSource | None
    meshes: MeshSource
    references: Mapping[str, VolumeSource] = field(default_factory=dict)
    reference_names: Mapping[str, str] = field(default_factory=dict)
    side_meshes: Mapping[int, MeshSource] = field(default_factory=dict)

    @property
    def terminology(self) -> Terminology:
        """The structures."""
        return self.labels.terminology

    @property
    def annotation(self) -> VolumeSource:
        """Structure id of every voxel."""
        return self.labels.source
