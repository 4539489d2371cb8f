"""Of how many connected parts regions consist. Voxels are connected where they share a face.

All regions are answered in one pass over the annotation, on runs of equal labels: parts within a
block of planes are found first, then joined across blocks, then across the labels of a subtree.
One region is answered from the runs of its own mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.model.parallel import spans, stream
from bg_atlasapi.model.scan import Planes, Scan
from bg_atlasapi.query.masking import CroppedMask, mask
from bg_atlasapi.query.region_pass import sums_of_runs
from bg_atlasapi.query.regions import UM3_PER_MM3, axis_names
from bg_atlasapi.query.subject import Subject, subject_of
from bg_atlasapi.store.transfer.progress import Report, silent

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    Indices = npt.NDArray[np.intp]
    Pairs = tuple[Indices, Indices]

_KEY = "component counts"
COMPONENTS = "components"
# Voxels of a mask whose runs are found at a time.
_VOXELS = 1 << 19


def components(atlas: Any, structure: Any, hemisphere: str = "both") -> pd.DataFrame:
    """Return the connected parts of a structure with its descendants, the largest first.

    Parameters
    ----------
    atlas
        An atlas.
    structure
        Id, acronym, exact name, ``Structure``, or a list of these.
    hemisphere
        ``"left"``, ``"right"`` or ``"both"``.

    Returns
    -------
    pandas.DataFrame
        A row a part: ``voxels``, ``volume_mm3``; ``start_ap``, ``stop_ap`` …, the half-open range
        of voxels of its bounding box; ``centroid_ap_um`` …. Voxels are connected where they share
        a face.

    Examples
    --------
    >>> from bg_atlasapi import BrainGlobeAtlas, query
    >>> query.components(BrainGlobeAtlas("phantom_mouse_100um"), "TH")["voxels"].tolist()
    [18028]
    """
    import pandas as pd

    subject = subject_of(atlas, every_voxel=True)
    inside = mask(subject, structure, hemisphere, crop=True)
    assert isinstance(inside, CroppedMask)
    voxels, doubled, first, last = _parts_of(inside.array)
    offset, spacing = inside.offset, subject.space.spacing_um
    rows: dict[str, Any] = {
        "voxels": voxels,
        "volume_mm3": voxels * float(np.prod(spacing)) / UM3_PER_MM3,
    }
    names = axis_names(subject.space.orientation)
    for axis, name in enumerate(names):
        rows[f"start_{name}"] = first[axis] + offset[axis]
        rows[f"stop_{name}"] = last[axis] + offset[axis] + 1
    for axis, name in enumerate(names):
        places = doubled[axis] / (2 * voxels) + offset[axis] + 0.5
        rows[f"centroid_{name}_um"] = places * spacing[axis]
    return pd.DataFrame(rows)


def _parts_of(inside: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], ...]:
    """Return voxels, doubled sums of indices, lowest and highest index of the parts of a mask.

    The largest part comes first; of equally large ones, the one that begins first.
    """
    _, rows, columns = inside.shape
    plane = max(rows * columns, 1)
    blocks = spans(len(inside), max(1, _VOXELS // plane))
    found = list(stream(lambda block: _runs_of(inside[block], block.start * plane), blocks))
    starts = np.concatenate([np.empty(0, np.intp), *(runs.starts for runs in found)])
    ends = np.concatenate([np.empty(0, np.intp), *(runs.ends for runs in found)])
    everyone = np.arange(len(starts))
    runs = _Runs(starts, ends, np.ones(len(starts), inside.dtype), everyone)
    _, parts = _joined(len(starts), _above(runs, rows, columns))
    order = np.argsort(parts, kind="stable")
    groups = np.flatnonzero(np.diff(parts[order], prepend=-1))
    row, third = np.divmod(starts[order], columns)
    low = np.stack([*np.divmod(row, rows), third])
    sums = sums_of_runs(low, (ends - starts)[order], groups)
    ranks = np.lexsort((order[groups], -sums[0]))
    return tuple(one[..., ranks] for one in sums)


def component_counts(subject: Subject, report: Report = silent) -> dict[str, npt.NDArray[np.int64]]:
    """Return how many parts each region has, and the size of its largest; code 0 left out.

    Kept with the labels. ``components`` and ``largest_component_voxels`` of structures with their
    descendants, and of labels with the prefix ``own_``.
    """
    kept: dict[str, npt.NDArray[np.int64]] | None = subject.labels.remembered.get(_KEY)
    if kept is None:
        kept = subject.labels.scan(lambda scan: _count(subject, scan, report))
        subject.labels.remembered[_KEY] = kept
    return kept


@dataclass(frozen=True, slots=True)
class LabelParts:
    """The connected parts of every label, and of what is outside.

    Parameters
    ----------
    codes
        Of each part, shape ``(n,)``: of the label itself, 0 outside.
    voxels
        Of each part.
    first
        Flat index, in C order, of the first voxel of each.
    at_edge
        Whether it reaches the edge of the volume.
    """

    codes: npt.NDArray[np.int64]
    voxels: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    at_edge: npt.NDArray[np.bool_]


def label_parts(subject: Subject, report: Report = silent) -> LabelParts:
    """Return the connected parts of every label, and of what is outside, in no special order."""
    return subject.labels.scan(lambda scan: _parts(scan, outside=True, report=report)[0])


@dataclass(frozen=True, slots=True)
class _Runs:
    """Runs of equal labels, in order; outside left out.

    Parameters
    ----------
    starts, ends
        Flat, within the planes they were found in.
    codes
        Of each run.
    parts
        The part each run belongs to.
    """

    starts: Indices
    ends: Indices
    codes: npt.NDArray[Any]
    parts: Indices

    def within(self, low: int, high: int) -> _Runs:
        """Return the runs between two places, counted from the first of these."""
        some = slice(*np.searchsorted(self.starts, (low, high)))
        return _Runs(
            self.starts[some] - low, self.ends[some] - low, self.codes[some], self.parts[some]
        )


@dataclass(frozen=True, slots=True)
class _Block:
    """The parts within some planes.

    Parameters
    ----------
    codes, voxels, first, at_edge
        Of each part; its first voxel is counted from the start of these planes.
    contacts
        Parts of different labels that touch.
    top, bottom
        Runs of the first plane and of the last.
    """

    codes: npt.NDArray[Any]
    voxels: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    at_edge: npt.NDArray[np.bool_]
    contacts: Pairs
    top: _Runs
    bottom: _Runs


def _overlaps(one: _Runs, other: _Runs, shift: int, chosen: Indices) -> Pairs:
    """Return which of some runs, moved by a shift, overlap which other runs."""
    first = np.searchsorted(other.ends, one.starts[chosen] + shift, side="right")
    stop = np.searchsorted(other.starts, one.ends[chosen] + shift, side="left")
    counts = np.maximum(stop - first, 0)
    ends = np.cumsum(counts)
    within = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - counts, counts)
    return np.repeat(chosen, counts), np.repeat(first, counts) + within


def _joined(count: int, pairs: Pairs) -> tuple[int, Indices]:
    """Return into how many parts pairs join things, and the part of each."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs[0]), np.bool_), pairs), shape=(count, count))
    number, parts = connected_components(graph, directed=False)
    return int(number), parts.astype(np.intp)


def _runs_of(codes: npt.NDArray[Any], first: int = 0, *, outside: bool = False) -> _Runs:
    """Return the runs of some planes, each a part of its own, and counted from a place."""
    change = np.ones(codes.shape, np.bool_)
    np.not_equal(codes[..., 1:], codes[..., :-1], out=change[..., 1:])
    flat = codes.reshape(-1)
    starts = np.flatnonzero(change.reshape(-1))
    ends = np.append(starts[1:], flat.size)[: len(starts)]
    if not outside:
        inside = np.flatnonzero(flat[starts])
        starts, ends = starts[inside], ends[inside]
    return _Runs(starts + first, ends + first, flat[starts], np.arange(len(starts)))


def _above(runs: _Runs, rows: int, columns: int) -> Pairs:
    """Return which runs lie over which, in the next row of a plane or in the next plane."""
    row_follows = np.flatnonzero(runs.starts // columns % rows != rows - 1)
    in_plane = _overlaps(runs, runs, columns, row_follows)
    across = _overlaps(runs, runs, rows * columns, runs.parts)
    return np.concatenate([in_plane[0], across[0]]), np.concatenate([in_plane[1], across[1]])


def _block(planes: Planes, depth: int, *, outside: bool) -> _Block:
    """Return the parts within some planes of a volume of so many; of regions, and of outside."""
    codes = planes.codes
    _, rows, columns = codes.shape
    loose = _runs_of(codes, outside=outside)
    starts, ends = loose.starts, loose.ends
    one, other = _above(loose, rows, columns)
    alike = loose.codes[one] == loose.codes[other]
    number, parts = _joined(len(starts), (one[alike], other[alike]))
    next_to = np.flatnonzero((ends[:-1] == starts[1:]) & (starts[1:] % columns != 0))
    touching = (
        np.concatenate([parts[one[~alike]], parts[next_to]]),
        np.concatenate([parts[other[~alike]], parts[next_to + 1]]),
    )
    runs = _Runs(starts, ends, loose.codes, parts)
    part_codes = np.zeros(number, codes.dtype)
    part_codes[parts] = loose.codes
    voxels = np.bincount(parts, ends - starts, number).astype(np.int64)
    first = np.zeros(number, np.int64)
    first[parts[::-1]] = starts[::-1]  # of several the earliest is written last
    at_edge = np.zeros(number, np.bool_)
    at_edge[parts[_at_edge(planes, starts, ends, depth)]] = True
    plane = rows * columns
    return _Block(
        part_codes,
        voxels,
        first,
        at_edge,
        _once(touching, number),
        runs.within(0, plane),
        runs.within(codes.size - plane, codes.size),
    )


def _once(pairs: Pairs, count: int) -> Pairs:
    """Return each pair once."""
    low, high = np.minimum(*pairs), np.maximum(*pairs)
    keys = np.unique(low * max(count, 1) + high)
    one, other = np.divmod(keys, max(count, 1))
    return one, other


def _at_edge(planes: Planes, starts: Indices, ends: Indices, depth: int) -> Indices:
    """Return which runs reach the edge of a volume of so many planes."""
    _, rows, columns = planes.codes.shape
    plane, row = np.divmod(starts // columns, rows)
    plane += planes.first
    edge = (starts % columns == 0) | (ends % columns == 0)
    edge |= (row == 0) | (row == rows - 1) | (plane == 0) | (plane == depth - 1)
    return np.flatnonzero(edge)


def _parts(scan: Scan, *, outside: bool, report: Report = silent) -> tuple[LabelParts, Pairs]:
    """Return the parts of a volume, and which of different labels touch."""
    depth, rows, columns = scan.shape
    found: list[_Block] = []
    same: list[Pairs] = []
    touching: list[Pairs] = []
    firsts = [np.empty(0, np.int64)]
    before, done, plane = None, 0, 0

    def of_planes(planes: Planes) -> tuple[Planes, _Block]:
        return planes, _block(planes, depth, outside=outside)

    for planes, block in scan.over(of_planes, report=partial(report, COMPONENTS)):
        touching.append((block.contacts[0] + done, block.contacts[1] + done))
        firsts.append(block.first + plane * rows * columns)
        top, bottom = (
            _Runs(runs.starts, runs.ends, runs.codes, runs.parts + done)
            for runs in (block.top, block.bottom)
        )
        if before is not None:
            one, other = _overlaps(before, top, 0, np.arange(len(before.starts)))
            alike = before.codes[one] == top.codes[other]
            one, other = before.parts[one], top.parts[other]
            same.append((one[alike], other[alike]))
            touching.append((one[~alike], other[~alike]))
        before = bottom
        found.append(block)
        done += len(block.codes)
        plane += len(planes.codes)
    number, parts = _joined(done, _together(same)) if done else (0, np.empty(0, np.intp))
    codes, first = np.zeros(number, np.int64), np.zeros(number, np.int64)
    at_edge = np.zeros(number, np.bool_)
    if done:
        codes[parts] = np.concatenate([block.codes for block in found])
        first[parts[::-1]] = np.concatenate(firsts)[::-1]
        at_edge[parts[np.concatenate([block.at_edge for block in found])]] = True
    counted = np.concatenate([np.empty(0, np.int64), *(block.voxels for block in found)])
    sizes = np.bincount(parts, counted, number).astype(np.int64)
    one, other = _together(touching)
    return LabelParts(codes, sizes, first, at_edge), (parts[one], parts[other])


def _count(subject: Subject, scan: Scan, report: Report) -> dict[str, npt.NDArray[np.int64]]:
    parts, contacts = _parts(scan, outside=False, report=report)
    if not len(parts.codes):
        nothing = np.zeros(len(scan.ids) - 1, np.int64)
        names = ("components", "largest_component_voxels")
        return {prefix + name: nothing for prefix in ("", "own_") for name in names}
    return _counts(subject, len(scan.ids), parts.codes, parts.voxels, contacts)


def _together(pairs: list[Pairs]) -> Pairs:
    nothing = np.empty(0, np.intp)
    one = np.concatenate([nothing, *(left for left, _ in pairs)])
    return one, np.concatenate([nothing, *(right for _, right in pairs)])


def _counts(
    subject: Subject,
    count: int,
    codes: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
    contacts: Pairs,
) -> dict[str, npt.NDArray[np.int64]]:
    """Return the counts by code, from the parts of labels and which of them touch."""
    order = np.argsort(codes, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    codes, sizes = codes[order], sizes[order]
    one, other = _once((place[contacts[0]], place[contacts[1]]), len(codes))  # one < other
    own = np.bincount(codes, minlength=count)
    own_largest = np.zeros(count, np.int64)
    np.maximum.at(own_largest, codes, sizes)
    total, largest = own.copy(), own_largest.copy()
    last = subject.terminology.last
    for code in np.flatnonzero(last > np.arange(len(last))).tolist():
        low, high = np.searchsorted(codes, (code, int(last[code]) + 1))
        if low == high:
            continue
        # Pairs are sorted by their smaller part, and parts by code: a subtree's lie together.
        some = slice(*np.searchsorted(one, (low, high)))
        inside = other[some] < high
        pairs = (one[some][inside] - low, other[some][inside] - low)
        total[code], parts = _joined(int(high - low), pairs)
        largest[code] = np.bincount(parts, sizes[low:high]).max()
    return {
        "components": total[1:],
        "largest_component_voxels": largest[1:],
        "own_components": own[1:],
        "own_largest_component_voxels": own_largest[1:],
    }
