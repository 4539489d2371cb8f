"""The everyday questions, as methods of an atlas: each is thin over ``bg_atlasapi.query``.

Rarer ones are functions there that take the atlas first. What 1.x could be asked is in ``core``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bg_atlasapi.holdings import Holdings
from bg_atlasapi.query import masking as mask_query
from bg_atlasapi.query import nearest as nearest_query
from bg_atlasapi.query import points as point_query
from bg_atlasapi.query import regions as region_query

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd


class Questions(Holdings):
    """What an atlas answers beyond 1.x."""

    def lookup(
        self,
        points: npt.ArrayLike,
        unit: str = "um",
        at: int | Sequence[object] | None = None,
        *,
        nearest: bool = False,
    ) -> pd.DataFrame:
        """Say which structure and hemisphere points lie in.

        Parameters
        ----------
        points
            ``(N, 3)`` or one triplet, in the atlas's axis order, origin at the corner of voxel 0.
        unit
            ``"um"``, ``"mm"`` or ``"voxel"``.
        at
            A depth (0 is the root), or a list of structures: answer the ancestor there instead.
        nearest
            Also say which region is nearest to points outside every region.

        Returns
        -------
        pandas.DataFrame
            A row a point: ``id`` (0 outside), ``acronym``, ``name``, ``hemisphere`` ("left",
            "right", missing beyond the volume), ``inside`` (within the volume). With ``nearest``
            also ``distance_um``, to the nearest labelled voxel (0 in one, NaN for a point that is
            not finite); ``nearest_id`` and ``nearest_acronym``, its answer (of several equally near
            labels the smallest).

        Raises
        ------
        InvalidInputError
            If points are not numbers of shape ``(N, 3)``, or the unit is unknown.
        UnknownStructureError
            If ``at`` names a structure the atlas lacks.

        Examples
        --------
        >>> from bg_atlasapi import BrainGlobeAtlas
        >>> atlas = BrainGlobeAtlas("phantom_mouse_100um")
        >>> atlas.lookup([7100, 3870, 4500])["acronym"].tolist()
        ['TH']
        """
        subject = self._subject()
        stored = subject.hemispheres
        table = point_query.lookup(subject.labels, subject.space, points, unit, at, stored)
        return table.assign(**nearest_query.columns(self, points, unit, at)) if nearest else table

    def mask(
        self,
        structures: Any,
        hemisphere: str = "both",
        values: str = "binary",
        *,
        crop: bool = False,
    ) -> npt.NDArray[Any] | mask_query.CroppedMask:
        """Return the voxels of structures and their descendants; see ``query.mask``.

        Parameters
        ----------
        structures
            A structure or a list of them, or a mapping from labels to them.
        hemisphere
            ``"left"``, ``"right"`` or ``"both"``.
        values
            ``"binary"`` or ``"id"``.
        crop
            Return only the bounding box, with its offset.
        """
        return mask_query.mask(self, structures, hemisphere, values, crop=crop)

    def region_table(self, *, components: bool = False) -> pd.DataFrame:
        """Return how large every region is, and where it lies; see ``query.region_table``.

        Parameters
        ----------
        components
            Also say of how many connected parts each region consists.
        """
        return region_query.region_table(self, components=components)
