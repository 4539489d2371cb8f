"""An annotation seen through a grouping: the same voxels, answered by other structures.

Nothing is stored again. The codes of the atlas below are worked out once and shared; a table turns
them into those of the groups where a question is asked: of some points, of planes at a time, or of
the whole volume if somebody wants that as an array.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from bg_atlasapi.late import np
from bg_atlasapi.model.coding import BLOCK, CodedVolume, Coding, runs
from bg_atlasapi.model.grouping import Arrangement
from bg_atlasapi.model.hemispheres import SplitHemispheres, StoredHemispheres, sides_of
from bg_atlasapi.model.id_index import UNLISTED
from bg_atlasapi.model.labels import LabelVolume
from bg_atlasapi.model.parallel import over_blocks
from bg_atlasapi.model.scan import Planes, Scan
from bg_atlasapi.model.space import LEFT, RIGHT, CoordinateSpace

if TYPE_CHECKING:
    import numpy.typing as npt

_T = TypeVar("_T")


class Sides:
    """The side of voxels, as the row of a lateralised table: 0 neither, 1 left, 2 right.

    Parameters
    ----------
    space
        Of the annotation.
    stored
        The hemispheres of an asymmetric atlas; None works them out.
    """

    def __init__(self, space: CoordinateSpace, stored: StoredHemispheres | None) -> None:
        self._space, self._stored = space, stored
        self._each = stored or StoredHemispheres(SplitHemispheres(space))

    def at(self, flat: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """Return the rows of voxels at flat indices."""
        return _row(self._each.at(flat))

    def planes(self, first: int, stop: int) -> npt.NDArray[np.int32]:
        """Return the rows of planes, to be broadcast to their shape."""
        return _row(sides_of(self._space, self._stored, first, stop))

    def outer(self, indices: Sequence[npt.NDArray[np.intp]]) -> npt.NDArray[np.int32]:
        """Return the rows where indices along each axis meet."""
        grid = np.ravel_multi_index(np.ix_(*indices), self._space.shape)
        return self.at(grid.reshape(-1)).reshape(grid.shape)


def _row(sides: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    return np.where((sides == LEFT) | (sides == RIGHT), sides, 0).astype(np.int32)


class Translation:
    """From codes of the atlas below, its unlisted labels included, to codes of the groups.

    Parameters
    ----------
    arrangement
        The groups, laid over the terminology below.
    ids
        Id of every code below; those past the terminology are labels it lacks.
    """

    def __init__(self, arrangement: Arrangement, ids: npt.NDArray[np.integer]) -> None:
        tables, terminology = arrangement.tables, arrangement.terminology
        strange = ids[tables.shape[1] :]
        known = terminology.index.positions(strange)
        unlisted = strange[known == UNLISTED]
        self.coding = Coding(terminology, unlisted if len(unlisted) else np.empty(0, np.int64))
        known[known == UNLISTED] = len(terminology) + 1 + np.arange(len(unlisted))
        extra = np.broadcast_to(known, (len(tables), len(strange)))
        self._count = len(ids)
        self._table = np.concatenate([tables, extra], axis=1).astype(self.coding.dtype).reshape(-1)

    def codes(
        self, below: npt.NDArray[Any], rows: npt.NDArray[np.int32] | None
    ) -> npt.NDArray[Any]:
        """Return the codes of groups.

        Parameters
        ----------
        below
            Codes of the atlas below, of any shape.
        rows
            Of the table, to be broadcast to that shape; None where it has one.
        """
        if rows is None:
            return np.asarray(self._table.take(below))
        return np.asarray(self._table.take(below + rows * np.int32(self._count)))


class GroupedScan(Scan):
    """All voxels, as codes of groups; see ``Scan``.

    Parameters
    ----------
    below
        The voxels as codes of the atlas below.
    arrangement
        The groups.
    sides
        Of the voxels; None where left and right are not told apart.
    """

    def __init__(self, below: Scan, arrangement: Arrangement, sides: Sides | None) -> None:
        self.shape = below.shape
        self._below, self._sides = below, sides
        self._translation = Translation(arrangement, below.ids)
        self.ids = self._translation.coding.ids

    def over(
        self,
        question: Callable[[Planes], _T],
        *,
        before: bool = False,
        report: Callable[[int, int], object] | None = None,
    ) -> Iterator[_T]:
        """Yield what a question answers to planes, in order; it runs in threads."""

        def translated(planes: Planes) -> _T:
            codes = self._grouped(planes.codes, planes.first)
            halo = None
            if planes.before is not None:
                halo = self._grouped(planes.before[np.newaxis], planes.first - 1)[0]
            return question(Planes(planes.first, codes, halo))

        return self._below.over(translated, before=before, report=report)

    def some(self, first: int, stop: int) -> Planes:
        """Return planes as if the volume began with them; only these are read."""
        return Planes(0, self._grouped(self._below.some(first, stop).codes, first), None)

    def _grouped(self, below: npt.NDArray[Any], first: int) -> npt.NDArray[Any]:
        rows = None if self._sides is None else self._sides.planes(first, first + len(below))
        return self._translation.codes(below, rows)


class GroupedSource:
    """The ids of groups, as a ``VolumeSource`` over the ids of an atlas.

    Parameters
    ----------
    labels
        The annotation seen through the grouping.
    """

    def __init__(self, labels: GroupedLabels) -> None:
        self._labels = labels
        self._below = labels.below.source

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return self._below.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the ids: the type below, or a wider one where ids of groups need it."""
        return self._labels.dtype

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Voxels, along each axis, of what is decoded together."""
        return self._below.chunks

    @property
    def where(self) -> str:
        """What it is made from."""
        return f"groups of {self._below.where}"

    def mapped(self) -> None:
        """Return None: it is not stored."""
        return

    def gather(self, flat: npt.NDArray[np.int64]) -> npt.NDArray[Any] | None:
        """Return the voxels at flat indices; None where reading all is cheaper."""
        ids = self._below.gather(flat)
        return None if ids is None else self._labels.translated(ids, self._labels.rows_at(flat))

    def pick(self, flat: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return the voxels at flat indices."""
        return self._labels.translated(self._below.pick(flat), self._labels.rows_at(flat))

    def outer(self, indices: Sequence[npt.NDArray[np.intp]], out: npt.NDArray[Any]) -> None:
        """Write the voxels where sorted indices along each axis meet."""
        ids = np.zeros(out.shape, self._below.dtype)
        self._below.outer(indices, ids)
        sides = self._labels.sides
        rows = None if sides is None or 0 in out.shape else sides.outer(indices)
        out[...] = self._labels.translated(ids, rows)

    def read(self) -> npt.NDArray[Any]:
        """Return the whole volume, a new array."""
        out = np.empty(self.shape, self.dtype)
        done = 0
        for slab in self._below.slabs():
            self._fill(out[done : done + len(slab)], slab, done)
            done += len(slab)
        return out

    def slabs(self) -> Iterator[npt.NDArray[Any]]:
        """Yield the volume in order, in parts along the first axis."""
        done = 0
        for slab in self._below.slabs():
            out = np.empty(slab.shape, self.dtype)
            self._fill(out, slab, done)
            done += len(slab)
            yield out

    def _fill(self, out: npt.NDArray[Any], ids: npt.NDArray[Any], first: int) -> None:
        sides = self._labels.sides
        plane = max(ids[:1].size, 1)

        def some(part: slice) -> None:
            rows = None if sides is None else sides.planes(first + part.start, first + part.stop)
            out[part] = self._labels.translated(ids[part], rows)

        over_blocks(some, len(ids), max(1, BLOCK // plane))


class GroupedLabels(LabelVolume):
    """An annotation seen through a grouping; see ``LabelVolume``.

    Parameters
    ----------
    below
        The annotation of the atlas that is grouped.
    arrangement
        The groups.
    space, hemispheres
        Of that atlas; only what is lateralised needs them.
    """

    def __init__(
        self,
        below: LabelVolume,
        arrangement: Arrangement,
        space: CoordinateSpace,
        hemispheres: StoredHemispheres | None,
    ) -> None:
        self.below, self.arrangement = below, arrangement
        self.sides = Sides(space, hemispheres) if arrangement.lateralised else None
        self._parts = (below, arrangement, space, hemispheres)
        super().__init__(GroupedSource(self), arrangement.terminology)

    def __reduce__(self) -> tuple[Any, ...]:
        return (GroupedLabels, self._parts)

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Type of the ids."""
        return _holding(self.below.dtype, int(self.terminology.ids.max()))

    @property
    def coded(self) -> CodedVolume:
        """The volume as codes of the groups, an array of its own; ``scan`` does without."""
        with self._once:
            if self._coded is None:
                below = self.below.coded
                translation = Translation(self.arrangement, below.ids)
                codes = np.empty(self.shape, translation.coding.dtype)
                planes = below.codes.reshape(self.shape)

                def some(part: slice) -> None:
                    rows = None if self.sides is None else self.sides.planes(part.start, part.stop)
                    codes[part] = translation.codes(planes[part], rows)

                over_blocks(some, len(codes), max(1, BLOCK // max(codes[:1].size, 1)))
                self._coded = CodedVolume(codes.reshape(-1), translation.coding.ids)
            return self._coded

    @property
    def shared(self) -> CodedVolume:
        """The volume as codes of the atlas below, but with ids of groups: no new array."""
        if self.sides is not None:
            return self.coded
        below = self.below.shared
        codes = self.below.terminology.index.positions(below.ids)
        return CodedVolume(below.codes, self._grouped(below.ids, codes, None)[0])

    def scan(self, question: Callable[[Scan], _T]) -> _T:
        """Ask a question that takes every voxel; see ``LabelVolume.scan``."""
        return self.below.scan(
            lambda scan: question(GroupedScan(scan, self.arrangement, self.sides))
        )

    def rows_at(self, flat: npt.NDArray[np.int64]) -> npt.NDArray[np.int32] | None:
        """Return the sides of voxels at flat indices, None where they do not matter."""
        return None if self.sides is None else self.sides.at(flat)

    def sample(
        self, flat: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.integer], npt.NDArray[np.int32]]:
        """Return ids and codes of voxels; see ``LabelVolume.sample``."""
        ids, codes = self.below.sample(flat)
        return self._grouped(ids, codes, self.rows_at(flat))

    def id_at(self, index: tuple[int, int, int]) -> np.integer:
        """Return the id of one voxel, which must lie inside the volume."""
        label = self.below.id_at(index)
        code = self.below.terminology.code_of_id(int(label))
        if code == UNLISTED:
            return self.dtype.type(label)  # type: ignore[no-any-return]
        row = 0
        if self.sides is not None:
            _, rows, columns = self.shape
            flat = (index[0] * rows + index[1]) * columns + index[2]
            row = int(self.sides.at(np.array([flat]))[0])
        group = self.arrangement.tables[row, code]
        return self._ids_of_type[group]  # type: ignore[no-any-return]

    def translated(
        self, ids: npt.NDArray[Any], rows: npt.NDArray[np.int32] | None
    ) -> npt.NDArray[Any]:
        """Return the ids of groups for ids of the atlas below, of the same shape."""
        flat = ids.reshape(-1)
        starts, some = runs(flat)
        lengths = np.diff(starts, append=len(flat))
        codes = self.below.terminology.index.positions(some)
        if rows is None:
            groups, _ = self._grouped(some, codes, None)
            return np.repeat(groups, lengths).reshape(ids.shape)
        codes = np.repeat(codes, lengths).reshape(ids.shape)
        groups, _ = self._grouped(ids, codes, rows)
        return groups

    def _grouped(
        self,
        ids: npt.NDArray[Any],
        codes: npt.NDArray[np.int32],
        rows: npt.NDArray[np.int32] | None,
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
        """Return ids and codes of groups; labels that nobody lists stay themselves."""
        tables = self.arrangement.tables
        places = codes if rows is None else codes + rows * np.int32(tables.shape[1])
        groups = tables.reshape(-1).take(places, mode="clip")
        strange = codes == UNLISTED
        if not strange.any():
            return self._ids_of_type.take(groups), groups
        groups[strange] = self.terminology.index.positions(ids[strange])
        answer = self._ids_of_type.take(groups, mode="clip")
        np.copyto(answer, ids, where=groups == UNLISTED, casting="unsafe")
        return answer, groups

    @cached_property
    def _ids_of_type(self) -> npt.NDArray[Any]:
        return self.terminology.ids.astype(self.dtype)

    def box(self, bounds: Sequence[slice]) -> tuple[npt.NDArray[Any], npt.NDArray[np.integer]]:
        """Return the codes of a box of voxels, and the id of every code."""
        below, ids = self.below.box(bounds)
        translation = Translation(self.arrangement, ids)
        rows = None
        if self.sides is not None and below.size:
            rows = self.sides.outer([np.arange(bound.start, bound.stop) for bound in bounds])
        return translation.codes(below, rows), translation.coding.ids


def _holding(dtype: np.dtype[Any], largest: int) -> np.dtype[Any]:
    """Return a type of whole numbers that holds all of a type's, and a large one."""
    lowest = int(np.iinfo(dtype).min)
    highest = max(int(np.iinfo(dtype).max), largest)
    kind = "i" if lowest < 0 else "u"
    sizes = itertools.dropwhile(lambda size: size < dtype.itemsize, (1, 2, 4, 8))
    for candidate in (np.dtype(f"{kind}{size}") for size in sizes):
        if np.iinfo(candidate).max >= highest:
            return candidate
    return dtype
