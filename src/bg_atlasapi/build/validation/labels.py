"""Checks of the annotation: labels against structures, its size, its islands and holes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bg_atlasapi.build.validation.catalogue import found
from bg_atlasapi.build.validation.subject import Checked
from bg_atlasapi.build.validation.tables import check_structures, some, whole
from bg_atlasapi.errors import Finding
from bg_atlasapi.late import np
from bg_atlasapi.query.connectivity import label_parts

if TYPE_CHECKING:
    import numpy.typing as npt

    from bg_atlasapi.model.volume import VolumeSource

# A part is an island if it is this small, and so little of its label. Parts of ten voxels and more
# are drawn on purpose often enough (the 25 µm Allen annotation has 200 of them in fibre tracts).
ISLAND_VOXELS, ISLAND_SHARE = 10, 0.01
# A hole is large from this share of the labelled voxels on: 0.1 % is a cube of a tenth each side.
LARGE_HOLE = 1e-3
# Longest side of the labels, mm, by species: ten times beyond what is known to either side, so that
# half brains and single structures pass, and a mistaken unit (1000) or voxel size of 1 does not.
EXTENT_MM = {
    "mus musculus": (1.0, 100.0),
    "rattus norvegicus": (2.0, 200.0),
    "homo sapiens": (15.0, 1500.0),
    "callithrix jacchus": (4.0, 400.0),
    "macaca mulatta": (7.0, 700.0),
}
_ANY_EXTENT_MM = (0.02, 2000.0)
_BLOCK = 1 << 22


def check_presence(checked: Checked) -> Iterator[Finding]:
    """Yield labels without a structure, and structures without voxels."""
    own, total, sums = checked.own, checked.total, checked.sums
    listed = len(checked.terminology) + 1
    if not own[1:listed].any():
        yield found("no-labels", "No voxel carries the label of a structure.")
    for code in (np.flatnonzero(own[listed:]) + listed).tolist():
        place = _middle(sums.first[:, code], sums.last[:, code])
        yield _unlisted(int(sums.ids[code]), f"{counted(own[code])}, around voxel {place}")
    if own[1:listed].any():
        for code in (np.flatnonzero(total[1:listed] == 0) + 1).tolist():
            yield _without(checked.called(code))
    outside = int(np.prod(checked.space.shape, dtype=np.int64)) - checked.labelled
    if not outside:
        yield found("no-background", "Every voxel of the annotation carries a label.")


def counted(voxels: int) -> str:
    """Return a number of voxels in words."""
    return f"{voxels:,} voxel{'s' if voxels != 1 else ''}"


def _unlisted(label: int, amount: str) -> Finding:
    text = f"The label {label} ({amount}) is that of no structure."
    return found("label-without-structure", text, f"label {label}")


def _without(called: str) -> Finding:
    return found(
        "structure-without-voxels", f"{called} has no voxels, nor has any below it.", called
    )


def _middle(first: npt.NDArray[np.int64], last: npt.NDArray[np.int64]) -> str:
    return spelt((first + last) // 2)


def spelt(place: npt.NDArray[Any] | Sequence[int]) -> str:
    """Return voxel indices as text."""
    return f"({', '.join(str(int(one)) for one in place)})"


def check_labels_against(
    rows: Sequence[Mapping[str, Any]], labels: npt.NDArray[np.integer] | VolumeSource
) -> tuple[Finding, ...]:
    """Check a table of structures, and which of its structures labels there are; without an atlas.

    Parameters
    ----------
    rows
        With ``id``, ``acronym``, ``name``, ``structure_id_path``, ``rgb_triplet``.
    labels
        An array of ids, or a stored volume of them.

    Returns
    -------
    tuple of Finding
        Of the chapters "Structures" and "Labels", the gravest first.
    """
    from bg_atlasapi.build.validation.findings import Findings

    return Findings.of([*check_structures(rows), *labels_against(rows, count_labels(labels))])


def labels_against(
    rows: Sequence[Mapping[str, Any]], counts: Mapping[int, int]
) -> Iterator[Finding]:
    """Yield labels without a structure, and structures without voxels, of counts of labels."""
    counts = {label: count for label, count in counts.items() if label}
    paths = {whole(row.get("id")): row for row in rows}
    for label in sorted(set(counts) - {one for one in paths if one is not None}):
        yield _unlisted(label, counted(counts[label]))
    alive: set[int | None] = set()
    for label in counts:
        path = paths.get(label, {}).get("structure_id_path") or []
        parts = [part for part in path.split("/") if part] if isinstance(path, str) else path
        alive |= {label, *(whole(part) for part in parts)}
    if not alive & set(paths):
        yield found("no-labels", "No voxel carries the label of a structure.")
        return
    for identifier, row in paths.items():
        if identifier is not None and identifier not in alive:
            yield _without(f"{row.get('acronym')} ({identifier})")


def count_labels(labels: npt.NDArray[np.integer] | VolumeSource) -> dict[int, int]:
    """Return how many voxels carry each label, 0 included; worked out on runs of equal labels."""
    from bg_atlasapi.model.coding import runs

    counts: dict[int, int] = {}
    slabs: Iterable[npt.NDArray[Any]]
    if isinstance(labels, np.ndarray):
        slabs = [labels]
    else:
        mapped = labels.mapped()
        slabs = [mapped] if mapped is not None else labels.slabs()
    for slab in slabs:
        flat = np.asarray(slab).reshape(-1)
        for start in range(0, flat.size, _BLOCK):
            part = flat[start : start + _BLOCK]
            starts, values = runs(part)
            lengths = np.diff(starts, append=len(part))
            kinds, place = np.unique(values, return_inverse=True)
            sizes = np.bincount(place.reshape(-1), lengths, len(kinds))
            for kind, size in zip(kinds.tolist(), sizes.tolist(), strict=True):
                counts[kind] = counts.get(kind, 0) + int(size)
    return counts


def check_size(checked: Checked) -> Iterator[Finding]:
    """Yield a finding if the labels are larger, or smaller, than a brain."""
    if not checked.labelled:
        return
    first, last = checked.box
    sides = (last + 1 - first) * np.array(checked.space.spacing_um) / 1000
    species = str(checked.atlas.metadata.get("species", ""))
    low, high = EXTENT_MM.get(species.strip().lower(), _ANY_EXTENT_MM)
    if not low <= sides.max() <= high:
        shown = " × ".join(f"{side:.3g}" for side in sides)
        text = f"The labels span {shown} mm, at voxels of {shown_um(checked)} µm; "
        text += f"the longest side of a brain of {species or 'any species'} is {low:g} to "
        text += f"{high:g} mm."
        yield found("size-implausible", text)


def shown_um(checked: Checked) -> str:
    """Return the voxel size as text."""
    return " × ".join(f"{size:g}" for size in checked.space.spacing_um)


def check_parts(checked: Checked) -> Iterator[Finding]:
    """Yield tiny islands of labels, and holes that labels enclose."""
    parts = label_parts(checked.subject)
    shape = checked.space.shape
    listed = len(checked.terminology) + 1
    own = checked.own
    label = parts.codes > 0
    tiny = label & (parts.voxels < ISLAND_VOXELS)
    tiny &= parts.voxels <= ISLAND_SHARE * own[np.minimum(parts.codes, len(own) - 1)]
    number = np.bincount(parts.codes[tiny], minlength=len(own))
    example = np.zeros(len(own), np.int64)
    example[parts.codes[tiny]] = parts.first[tiny]
    for code in np.flatnonzero(number[:listed]).tolist():
        place = spelt(np.unravel_index(example[code], shape))
        told = "a tiny part" if number[code] == 1 else f"{number[code]:,} tiny parts"
        text = f"{checked.called(code)} has {told} apart from the others, at voxel {place}."
        yield found("islands", text, checked.called(code))
    holes = np.flatnonzero((parts.codes == 0) & ~parts.at_edge)
    holes = holes[np.argsort(-parts.voxels[holes], kind="stable")]
    large = parts.voxels[holes] > LARGE_HOLE * max(checked.labelled, 1)
    for hole in holes[large]:
        place = spelt(np.unravel_index(parts.first[hole], shape))
        text = f"A part of {counted(parts.voxels[hole])} without a label, from voxel {place}, "
        yield found("large-holes", f"{text}is enclosed by labels.", f"voxel {place}")
    small = holes[~large]
    if len(small):
        places = [spelt(np.unravel_index(one, shape)) for one in parts.first[small[:5]]]
        holes_told = "A hole is" if len(small) == 1 else f"{len(small):,} holes are"
        more = f" and {len(small) - len(places):,} more" if len(small) > len(places) else ""
        text = (
            f"{holes_told} enclosed by labels, {counted(int(parts.voxels[small].sum()))} in all, "
        )
        yield found("holes", f"{text}at {some(places)}{more}.", f"voxel {places[0]}")
