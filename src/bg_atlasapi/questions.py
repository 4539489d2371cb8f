"""The everyday questions, as methods of an atlas: each is thin over ``bg_atlasapi.query``.

Rarer ones are functions there that take the atlas first. What 1.x could be asked is in ``core``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from bg_atlasapi.holdings import Holdings
from bg_atlasapi.query import masking as mask_query
from bg_atlasapi.query import nearest as nearest_query
from bg_atlasapi.query import points as point_query
from bg_atlasapi.query import regions as region_query
from bg_atlasapi.query import sources

if TYPE_CHECKING:
    from os import PathLike

    import numpy.typing as npt
    import pandas as pd

    from bg_atlasapi.grouped import GroupedAtlas
    from bg_atlasapi.query.files import Report
    from bg_atlasapi.query.grouping import Grouping


@contextmanager
def _bar(phase: str) -> Iterator[Report]:
    """Give a report that draws a progress bar where somebody looks."""
    from bg_atlasapi import progress_bar

    with progress_bar.shown() as shown:
        yield partial(shown, phase)


class Questions(Holdings):
    """What an atlas answers beyond 1.x."""

    def lookup(
        self,
        points: npt.ArrayLike | PathLike[str],
        unit: str | None = None,
        at: int | Sequence[object] | Grouping | None = None,
        *,
        nearest: bool = False,
        columns: Sequence[str | int] | None = None,
    ) -> pd.DataFrame:
        """Say which structure and hemisphere points lie in.

        Parameters
        ----------
        points
            ``(N, 3)`` or one triplet, in the atlas's axis order, origin at the corner of voxel 0.
            Or a table of pandas; a csv, tsv, parquet, npy or cellfinder xml file; an array or table
            of Dask, which is answered lazily.
        unit
            ``"um"``, ``"mm"`` or ``"voxel"``. Default: µm; of a file, what its format implies
            (cellfinder's XML holds voxels).
        at
            A depth (0 is the root), or a list of structures: answer the ancestor there instead. A
            ``Grouping``: answer the group, as ``atlas.group(at).lookup(points)`` does.
        nearest
            Also say which region is nearest to points outside every region.
        columns
            Of a table or file: names or positions of the coordinates, in the atlas's axis order.
            Default: columns called x, y, z (or ap, dv, lr, or ap, dv, ml), else the only three
            columns of numbers.

        Returns
        -------
        pandas.DataFrame
            A row a point: ``id`` (0 outside), ``acronym``, ``name``, ``hemisphere`` ("left",
            "right", missing beyond the volume), ``inside`` (within the volume). With ``nearest``
            also ``distance_um``, to the nearest labelled voxel (0 in one, NaN for a point that is
            not finite); ``nearest_id`` and ``nearest_acronym``, its answer (of several equally near
            labels the smallest). The index of a table is kept. Of Dask's collections, a
            ``dask.dataframe`` of the same.

        Raises
        ------
        InvalidInputError
            If points are not numbers of shape ``(N, 3)``, a file cannot be read, or the unit is
            unknown.
        UnknownStructureError
            If ``at`` names a structure the atlas lacks.

        Examples
        --------
        >>> from bg_atlasapi import BrainGlobeAtlas
        >>> atlas = BrainGlobeAtlas("phantom_mouse_100um")
        >>> atlas.lookup([7100, 3870, 4500])["acronym"].tolist()
        ['TH']
        """
        asked, within = self._asked_at(at)
        if sources.is_lazy(points):
            from bg_atlasapi.query import lazily

            unit = unit or "um"
            return lazily.lookup(asked, points, unit, within, nearest=nearest, columns=columns)
        numbers: Any
        index = None
        if sources.is_file(points):
            from bg_atlasapi.query import files

            with _bar("lookup") as report:
                numbers, unit = files.points_in(points, unit, columns=columns, report=report)
        else:
            numbers, index = sources.as_numbers(points, columns)
        subject, unit = asked._subject(), unit or "um"
        stored = subject.hemispheres
        table = point_query.lookup(subject.labels, subject.space, numbers, unit, within, stored)
        if nearest:
            table = table.assign(**nearest_query.columns(asked, numbers, unit, within))
        return table if index is None else table.set_axis(index, axis=0)

    def count(
        self,
        points: npt.ArrayLike | PathLike[str],
        unit: str | None = None,
        at: int | Sequence[object] | Grouping | None = None,
        *,
        zeros: bool = False,
        columns: Sequence[str | int] | None = None,
    ) -> pd.DataFrame:
        """Count points by structure: its own, and with all that it consists of.

        Parameters
        ----------
        points, unit, columns
            As in ``lookup``. A file is read some rows at a time, of any length.
        at
            A depth (0 is the root), or a list of structures: these are the rows, and each point
            goes to the deepest of them that holds it. A ``Grouping``: its groups,
            as ``atlas.group(at).count(points)`` does.
        zeros
            Also give structures without a point.

        Returns
        -------
        pandas.DataFrame
            A row a structure, in the order of the hierarchy: ``id``, ``acronym``, ``name``;
            ``own``: points of the row itself; ``total``, ``left``, ``right``: descendants included;
            ``density_per_mm3``: total over the volume, descendants included. Then rows of labels
            that the terminology lacks, of points in none of the given structures ("Elsewhere"), and
            always, last, of points outside every structure ("Outside atlas", id 0). ``own`` adds up
            to the number of points. Of Dask's collections, the same lazily: ``.compute()`` it.

        Raises
        ------
        InvalidInputError, UnknownStructureError
            As in ``lookup``.

        Examples
        --------
        >>> from bg_atlasapi import BrainGlobeAtlas
        >>> atlas = BrainGlobeAtlas("phantom_mouse_100um")
        >>> cells = [[7100, 3870, 4500], [7100, 3870, 6900], [-1, 0, 0]]
        >>> atlas.count(cells, at=["TH", "HY"])[["acronym", "own", "left", "right"]]
                 acronym  own  left  right
        0             TH    2     1      1
        1      Elsewhere    0     0      0
        2  Outside atlas    1     0      0
        """
        asked, within = self._asked_at(at)
        if sources.is_lazy(points):
            from bg_atlasapi.query import lazily

            return lazily.count(asked, points, unit or "um", within, zeros=zeros, columns=columns)
        from bg_atlasapi.query import counting

        subject = asked._subject(every_voxel=True)
        rows = counting.Rows.of(subject.terminology, within)
        if sources.is_file(points):
            from bg_atlasapi.query import files

            with _bar("count") as report:
                tally, _ = files.tally_file(subject, points, unit, columns=columns, report=report)
        else:
            numbers, _ = sources.as_numbers(points, columns)
            tally = counting.tally_of(subject, numbers, unit or "um")
        return counting.table(tally, subject, rows, zeros=zeros)

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
        from bg_atlasapi import progress_bar

        with progress_bar.shown() as report:
            return region_query.region_table(self, components=components, report=report)

    def _asked_at(self, at: Any) -> tuple[Questions, Any]:
        """Return whom to ask, and ``at`` what: a grouping is a question to the atlas it makes."""
        grouping = getattr(at, "grouping", at)  # a grouped atlas stands for its grouping
        if at is None or not hasattr(grouping, "arranged"):
            return self, at
        return self.group(grouping), None

    def group(
        self,
        by: Any = None,
        *,
        depth: int | None = None,
        min_volume_mm3: float | None = None,
        collapse: Any = (),
        prune: Any = (),
        lateralise: bool = False,
        name: str | None = None,
    ) -> GroupedAtlas:
        """Return an atlas over the same voxels whose structures are groups of this one's.

        There is always a root. A voxel whose structure does not stay goes to the nearest one above
        it that does, so nothing is lost: what is in no group is the root's own. ``.coverage()``
        says what that is, and so does the ``repr``, in per cent.

        Parameters
        ----------
        by
            A depth; a list of structures that stay, nested ones too; ``{"name": [structures]}``,
            new structures of these, each with all below it; ``{structure: structure}`` (or a new
            id), whose voxels become the other's while everything else stays; a ``Grouping``, the
            path of one that was saved, or the name of one in the atlas's folder ``groupings``.
        depth
            The depth to which structures stay (0 is the root), the same as a number for ``by``.
        min_volume_mm3
            Structures that are smaller, with all below them, go to their parents.
        collapse
            Structures that stay while those below them go.
        prune
            Structures that become outside, with all below them.
        lateralise
            Make left and right structures of their own, below the root: "VISp-L" and "VISp-R".
            Their ids have a number put in front: of 385 they are 1000000385 and 2000000385 in an
            atlas whose largest id has nine digits (see ``model.grouping.side_ids``).
        name
            Of the grouping; it becomes part of the name of the atlas.

        Returns
        -------
        GroupedAtlas
            An atlas like any other. Meshes of groups are unions of their structures'. What is
            edited here shows there.

        Warns
        -----
        GroupingWarning
            If named groups, or those of a grouping, overlap: the deepest of nested structures
            wins. If a grouping says that it was made for another atlas, of any voxel size.

        Raises
        ------
        InvalidInputError
            If it cannot be understood; a structure is asked into two groups; a grouping names
            structures this atlas lacks.
        UnknownStructureError
            If it names a structure the atlas lacks.

        Examples
        --------
        >>> from bg_atlasapi import BrainGlobeAtlas
        >>> atlas = BrainGlobeAtlas("phantom_mouse_100um")
        >>> coarse = atlas.group({"forebrain": ["CH", "TH"], "rest": ["MB"]}, name="two")
        >>> coarse.structures
        root (997)
        ├── forebrain (10001)
        └── rest (10002)
        <BLANKLINE>
        >>> coarse.lookup([7100, 3870, 4500])["acronym"].tolist()
        ['forebrain']
        """
        from bg_atlasapi.grouped import grouped_atlas
        from bg_atlasapi.query.group_rules import Wish

        wish = Wish(by, depth, min_volume_mm3, collapse, prune, lateralise, name)
        return grouped_atlas(self, wish)

    def measure(  # noqa: PLR0913 - one question, many ways
        self,
        image: Any,
        statistics: Iterable[str] = ("n", "mean", "std"),
        at: int | Sequence[object] | Grouping | None = None,
        *,
        resolution: float | Sequence[float] | None = None,
        exclude: Any = None,
        threshold: float | None = None,
        hemispheres: bool = True,
        sketch: bool = False,
    ) -> pd.DataFrame:
        """Say what an image holds in each region.

        Voxels that are NaN do not count. The standard deviation is that of the population (divided
        by ``n``), percentiles are those of ``numpy.percentile``. Sums of whole numbers are exact;
        with 8 or 16 bits so is everything that follows from them.

        Parameters
        ----------
        image
            Of the atlas's space: an array, a ``Volume``, anything with a shape and a type that can
            be sliced (zarr, h5py), a dask array (the answer is lazy then), or the path of a NIfTI,
            TIFF, npy, OME-Zarr or Zarr file. Axes are in the atlas's order; those of NIfTI are
            turned as its header says.
        statistics
            Of ``"n"``, ``"sum"``, ``"mean"``, ``"std"``, ``"min"``, ``"max"``, ``"median"``,
            ``"area_fraction"``, and percentiles such as ``"p5"`` and ``"p99.5"``.
        at
            A depth (0 is the root), or a list of structures: each voxel then counts for one row,
            that of the ancestor there, as in ``lookup``. Or a ``Grouping``: measure the groups, as
            ``atlas.group(at).measure(image)`` does.
        resolution
            Voxel size of the image, µm, one number or one for each axis. Default: what the file
            says, else what the shape says. Each voxel takes the label at its centre.
        exclude
            An image of the same voxels (or a path): those where it is not 0 are left out.
        threshold
            ``"area_fraction"`` is the part of the voxels that hold more than this.
        hemispheres
            Whether to add columns for left and right.
        sketch
            Take percentiles of 32- and 64-bit numbers from 4,096 even steps between the image's
            least and largest value, in bounded memory; ``frame.attrs["percentile_error"]`` says how
            far off they may be. Default: exact, in twice the memory of the voxels in structures.

        Returns
        -------
        pandas.DataFrame
            A row a structure, in order of the hierarchy; then one for each label that is not
            listed. ``id``, ``acronym``, ``name``; ``volume_mm3`` of the voxels that counted; each
            statistic with descendants (``mean``), of the left and right (``mean_left``,
            ``mean_right``), and of the structure's own voxels (``own_mean``; not with ``at``).

        Raises
        ------
        InvalidInputError
            If the image is not one of real numbers in the atlas's space, or a statistic is unknown.
        UnknownStructureError
            If ``at`` names a structure the atlas lacks.

        Examples
        --------
        >>> from bg_atlasapi import BrainGlobeAtlas
        >>> atlas = BrainGlobeAtlas("phantom_mouse_100um")
        >>> table = atlas.measure(atlas.reference).set_index("acronym")
        >>> round(float(table.loc["TH", "mean"]), 1)
        344.0
        """
        from bg_atlasapi.query import measuring

        asked, within = self._asked_at(at)
        return measuring.measure(
            asked,
            image,
            statistics,
            within,
            resolution=resolution,
            exclude=exclude,
            threshold=threshold,
            hemispheres=hemispheres,
            sketch=sketch,
        )
