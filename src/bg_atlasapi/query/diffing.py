"""What changed between two versions of an atlas, or two atlases in one space.

Structures are compared one by one, voxels by how many carry which label in both: nothing is kept
but those counts (``joint_counts``), whatever the size of the annotations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.model.terminology import Terminology
from bg_atlasapi.query.joint_counts import JointCounts, joint_counts
from bg_atlasapi.query.matching import partners
from bg_atlasapi.query.points import unlisted_label
from bg_atlasapi.query.subject import Subject, subject_of
from bg_atlasapi.query.voxel_counts import voxels_by_code

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    Whole = npt.NDArray[np.int64]

SAME, ADDED, REMOVED, CHANGED = "same", "added", "removed", "changed"
_SHOWN = 5


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Difference:
    """What changed from an atlas ``a`` to an atlas ``b``.

    Parameters
    ----------
    a, b
        Names of the two, with version.
    same_grid
        Whether their voxels are the same. Else voxels were compared on the finer grid, the label of
        the coarser being that at their centres.
    voxels, voxels_moved
        Voxels of that grid that have a label in either, and those whose label became another's.
    structures
        A row a structure of either: ``id``, ``acronym``, ``name`` (in ``b``, of removed ones in
        ``a``); ``status`` ("same", "changed", "added", "removed"); ``changed`` (which of id,
        acronym, name, parent, colour, voxels, its own or those with
        descendants; the last only on the same grid); ``id_a``,
        ``acronym_a``, ``name_a``, ``id_b`` … (missing where there is none); ``voxels_a``,
        ``voxels_b``, ``mm3_a``, ``mm3_b`` with descendants and ``own_…`` without, each on its own
        grid; ``volume_change_percent``; ``dice`` of both with descendants (NaN without voxels).
    moved
        A row for each pair of labels that voxels went between: ``id_a``, ``acronym_a``, ``id_b``,
        ``acronym_b`` (0 is outside), ``voxels``, ``mm3``, ``fraction`` of all voxels of ``id_a``;
        most first.
    migration
        A row a structure of ``a``: ``id``, ``acronym``, ``name``; ``new_id``, ``new_acronym``,
        where its results belong in ``b``; ``fraction`` of its voxels, with descendants, that lie
        there; ``note``, how that was found.
    """

    a: str
    b: str
    same_grid: bool
    voxels: int
    voxels_moved: int
    structures: pd.DataFrame
    moved: pd.DataFrame
    migration: pd.DataFrame

    def counts(self) -> dict[str, int]:
        """Return how many structures are the same, changed, added, removed."""
        statuses = self.structures["status"].value_counts()
        return {one: int(statuses.get(one, 0)) for one in (SAME, CHANGED, ADDED, REMOVED)}

    def summary(self) -> str:
        """Return what changed, in a few lines."""
        counts = ", ".join(f"{count} {status}" for status, count in self.counts().items())
        what: dict[str, int] = {}
        for text in self.structures.loc[self.structures["status"] == CHANGED, "changed"]:
            for one in text.split(", "):
                what[one] = what.get(one, 0) + 1
        share = self.voxels_moved / self.voxels * 100 if self.voxels else 0.0
        lines = [f"{self.a} → {self.b}", f"Structures: {counts}"]
        if what:
            lines.append(f"Changed: {', '.join(f'{key} of {n}' for key, n in what.items())}")
        lines.append(f"Voxels that changed their label: {self.voxels_moved} ({share:.3g} %)")
        if not self.same_grid:
            lines.append("The voxel sizes differ: compared at the centres of the finer voxels.")
        rows = self.moved.head(_SHOWN)[["acronym_a", "acronym_b", "voxels"]]
        lines += [f"  {one} → {other}: {count}" for one, other, count in rows.to_numpy()]
        if len(self.moved) > _SHOWN:
            lines.append(f"  and {len(self.moved) - _SHOWN} more pairs of labels")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Difference {self.summary()}>"


def diff(a: Any, b: Any) -> Difference:
    """Compare two versions of an atlas, or two atlases in one space.

    Parameters
    ----------
    a, b
        Atlases with the same grid, or with another voxel size of the same space: orientation and
        extent are the same, to within a voxel.

    Returns
    -------
    Difference
        Tables of structures, of voxels that moved, and for migrating old results; ``summary()`` for
        people. Structures correspond if they have the same id and the same acronym or name; else
        the same acronym, else the same name, else the same id.

    Raises
    ------
    InvalidInputError
        If they are not atlases, or not in one space; says both spaces.

    Examples
    --------
    >>> from bg_atlasapi import BrainGlobeAtlas, query
    >>> atlas = BrainGlobeAtlas("phantom_mouse_100um")
    >>> print(query.diff(atlas, atlas.group(prune=["CTX"], name="no cortex")).summary())
    phantom_mouse_100um 1.0 → phantom_mouse_100um 1.0 (no cortex)
    Structures: 26 same, 3 changed, 0 added, 45 removed
    Changed: voxels of 3
    Voxels that changed their label: 178220 (48.8 %)
      PIR → Outside atlas: 25784
      CA1 → Outside atlas: 19960
      RHP → Outside atlas: 14760
      SSp → Outside atlas: 14064
      VIS → Outside atlas: 13062
      and 29 more pairs of labels
    """
    one, other = subject_of(a, every_voxel=True), subject_of(b, every_voxel=True)
    joint = joint_counts(one, other)
    work = _Comparison(one, other, joint)
    import pandas as pd  # after what can fail, it takes longest

    moved = work.moved()
    labelled = (joint.codes_a != 0) | (joint.codes_b != 0)
    return Difference(
        a=_named(a),
        b=_named(b),
        same_grid=joint.same_grid,
        voxels=int(joint.voxels[labelled].sum()),
        voxels_moved=int(moved["voxels"].sum()),
        structures=pd.DataFrame(work.structures()),
        moved=pd.DataFrame(moved),
        migration=pd.DataFrame(work.migration()),
    )


def _named(atlas: Any) -> str:
    metadata = getattr(atlas, "metadata", {})
    name = getattr(atlas, "atlas_name", None) or metadata.get("name", type(atlas).__name__)
    grouping = getattr(atlas, "grouping", None)
    text = f"{name} {metadata.get('version', '')}".strip()
    return f"{text} ({grouping.name})" if grouping is not None else text


class _Comparison:
    """Two atlases and the counts of their labels; columns of the tables."""

    def __init__(self, a: Subject, b: Subject, joint: JointCounts) -> None:
        self._a, self._b, self._joint = a, b, joint
        self._trees = a.terminology, b.terminology
        self._partner = partners(*self._trees)
        self._owned = self._own()
        pairs = zip(self._trees, self._owned, strict=True)
        self._sizes = [_subtree_sums(tree, own) for tree, own in pairs]
        self._common, self._dice = self._overlaps()
        self._away = self._gone_away()
        self._left = set(joint.codes_a[self._away].tolist())
        self._entered = set(joint.codes_b[self._away].tolist())

    def _own(self) -> tuple[Whole, Whole]:
        """Return the voxels of each label, on the grid of comparison."""
        joint, (tree_a, tree_b) = self._joint, self._trees
        count_a = max(len(joint.ids_a), len(tree_a) + 1)
        count_b = max(len(joint.ids_b), len(tree_b) + 1)
        return (
            np.bincount(joint.codes_a, joint.voxels, count_a).astype(np.int64),
            np.bincount(joint.codes_b, joint.voxels, count_b).astype(np.int64),
        )

    def _inside(self, code: int) -> Whole:
        """Return the voxels that a structure of ``a`` shares with each of ``b``, descendants in."""
        joint, (tree_a, tree_b) = self._joint, self._trees
        rows = slice(*np.searchsorted(joint.codes_a, [code, int(tree_a.last[code]) + 1]))
        count = max(len(joint.ids_b), len(tree_b) + 1)
        own = np.bincount(joint.codes_b[rows], joint.voxels[rows], count).astype(np.int64)
        return _subtree_sums(tree_b, own)

    def _overlaps(self) -> tuple[Whole, npt.NDArray[np.float64]]:
        """Return shared voxels and Dice of each structure of ``a`` and its partner."""
        tree_a = self._trees[0]
        common = np.zeros(len(tree_a) + 1, np.int64)
        dice = np.full(len(tree_a) + 1, np.nan)
        for code in range(1, len(tree_a) + 1):
            partner = int(self._partner[code])
            if partner:
                common[code] = self._inside(code)[partner]
                both = self._sizes[0][code] + self._sizes[1][partner]
                dice[code] = 2 * common[code] / both if both else np.nan
        return common, dice

    def _gone_away(self) -> npt.NDArray[np.bool_]:
        """Say which pairs of labels are not a label and its partner."""
        joint, (tree_a, tree_b) = self._joint, self._trees
        lists = len(tree_a), len(tree_b)
        expected = np.full(len(joint.ids_a), -1, np.int64)
        expected[0] = 0
        expected[1 : lists[0] + 1] = np.where(self._partner[1:] > 0, self._partner[1:], -1)
        strange = {int(one): place for place, one in enumerate(joint.ids_b) if place > lists[1]}
        for place in range(lists[0] + 1, len(joint.ids_a)):  # a label that neither lists
            expected[place] = strange.get(int(joint.ids_a[place]), -1)
        return np.asarray(expected[joint.codes_a] != joint.codes_b)

    def moved(self) -> dict[str, Any]:
        """Return the columns of pairs of labels that voxels went between."""
        joint, (tree_a, tree_b) = self._joint, self._trees
        order = np.flatnonzero(self._away)
        order = order[np.argsort(-joint.voxels[order], kind="stable")]
        codes_a, codes_b, voxels = (
            array[order] for array in (joint.codes_a, joint.codes_b, joint.voxels)
        )
        of_a = np.bincount(joint.codes_a, joint.voxels, len(joint.ids_a))
        return {
            "id_a": joint.ids_a[codes_a],
            "acronym_a": _acronyms(tree_a, joint.ids_a, codes_a),
            "id_b": joint.ids_b[codes_b],
            "acronym_b": _acronyms(tree_b, joint.ids_b, codes_b),
            "voxels": voxels,
            "mm3": voxels * joint.voxel_mm3,
            "fraction": voxels / of_a[codes_a],
        }

    def structures(self) -> dict[str, Any]:
        """Return the columns of structures: those of ``b`` in order, then removed ones."""
        tree_a, tree_b = self._trees
        back = np.zeros(len(tree_b) + 1, np.int64)
        matched = np.flatnonzero(self._partner)
        back[self._partner[matched]] = matched
        removed = [code for code in range(1, len(tree_a) + 1) if not self._partner[code]]
        rows = [*((int(back[code]), code) for code in range(1, len(tree_b) + 1))]
        rows += [(code, 0) for code in removed]
        a, b = (np.array([row[side] for row in rows], np.int64) for side in (0, 1))
        changes = [self._changes(*row) for row in rows]
        labels = self._labels(a, b)
        volumes = self._volumes(a, b)
        change = np.full(len(rows), np.nan)
        sized = (a > 0) & (b > 0) & (volumes["mm3_a"] > 0)
        before, after = volumes["mm3_a"][sized], volumes["mm3_b"][sized]
        change[sized] = (after / before - 1) * 100
        status = [_status(*row, text) for row, text in zip(rows, changes, strict=True)]
        return {
            **{key: labels[key] for key in ("id", "acronym", "name")},
            "status": status,
            "changed": changes,
            **{key: column for key, column in labels.items() if key.endswith(("_a", "_b"))},
            **volumes,
            "volume_change_percent": change,
            "dice": np.where(b > 0, self._dice[a], np.nan),
        }

    def _changes(self, a: int, b: int) -> str:
        tree_a, tree_b = self._trees
        if not (a and b):
            return ""
        parent = int(self._partner[tree_a.parents[a]]) if tree_a.parents[a] else 0
        found = {
            "id": int(tree_a.ids[a]) != int(tree_b.ids[b]),
            "acronym": tree_a.acronyms[a] != tree_b.acronyms[b],
            "name": tree_a.names[a] != tree_b.names[b],
            "parent": parent != int(tree_b.parents[b]),
            "colour": tree_a.colours[a].tolist() != tree_b.colours[b].tolist(),
            "voxels": self._joint.same_grid
            and (bool(self._dice[a] < 1) or a in self._left or b in self._entered),
        }
        return ", ".join(key for key, differs in found.items() if differs)

    def _labels(self, a: Whole, b: Whole) -> dict[str, Any]:
        import pandas as pd

        tree_a, tree_b = self._trees
        columns: dict[str, Any] = {}
        for side, tree, codes in (("a", tree_a, a), ("b", tree_b, b)):
            ids = pd.array(tree.ids[codes].astype(np.int64), dtype="Int64")
            ids[codes == 0] = pd.NA
            columns[f"id_{side}"] = ids
            columns[f"acronym_{side}"] = [tree.acronyms[c] if c else None for c in codes.tolist()]
            columns[f"name_{side}"] = [tree.names[c] if c else None for c in codes.tolist()]
        present = b > 0
        first = np.where(present, tree_b.ids[b].astype(np.int64), tree_a.ids[a].astype(np.int64))
        columns["id"] = first
        for key in ("acronym", "name"):
            pairs = zip(columns[f"{key}_a"], columns[f"{key}_b"], strict=True)
            columns[key] = [one if other is None else other for one, other in pairs]
        return columns

    def _volumes(self, a: Whole, b: Whole) -> dict[str, Any]:
        columns: dict[str, Any] = {}
        sides = (("a", self._a, a, self._owned[0]), ("b", self._b, b, self._owned[1]))
        for side, subject, codes, counted in sides:
            tree = subject.terminology
            voxel_mm3 = math.prod(subject.space.spacing_um) / 1e9
            own = counted if self._joint.same_grid else voxels_by_code(subject.labels)[1]
            own = own[: len(tree) + 1]
            total = _subtree_sums(tree, own)
            for prefix, counts in (("", total), ("own_", own)):
                some = np.where(codes > 0, counts[codes], 0)
                columns[f"{prefix}voxels_{side}"] = some
                columns[f"{prefix}mm3_{side}"] = some * voxel_mm3
        keys = [
            f"{prefix}{kind}_{side}"
            for prefix in ("", "own_")
            for kind in ("voxels", "mm3")
            for side in "ab"
        ]
        return {key: columns[key] for key in keys}

    def migration(self) -> dict[str, Any]:
        """Return the columns of where results of each structure of ``a`` belong in ``b``."""
        tree_a, tree_b = self._trees
        codes = np.arange(1, len(tree_a) + 1)
        found = [self._successor(code) for code in codes.tolist()]
        new = np.array([row[0] for row in found], np.int64)
        size = self._sizes[0][codes].astype(np.float64)
        shared = np.array([row[1] for row in found], np.float64)
        fraction = np.full(len(codes), np.nan)
        np.divide(shared, size, out=fraction, where=size > 0)
        return {
            "id": tree_a.ids[codes],
            "acronym": list(tree_a.acronyms[1:]),
            "name": list(tree_a.names[1:]),
            "new_id": tree_b.ids[new],
            "new_acronym": [tree_b.acronyms[code] for code in new.tolist()],
            "fraction": fraction,
            "note": [row[2] for row in found],
        }

    def _successor(self, code: int) -> tuple[int, int, str]:
        """Return code in ``b``, shared voxels, and how it was found."""
        tree_a, tree_b = self._trees
        partner = int(self._partner[code])
        if partner:
            kept = int(tree_a.ids[code]) == int(tree_b.ids[partner])
            return partner, int(self._common[code]), "kept" if kept else "renumbered"
        shared = self._inside(code)
        both = self._sizes[0][code] + self._sizes[1]
        dice = np.divide(2.0 * shared, both, out=np.zeros(len(both)), where=both > 0)
        listed = dice[: len(tree_b) + 1]
        listed[0] = 0
        if listed.max() > 0:
            best = int(np.flatnonzero(listed == listed.max())[-1])  # of several the deepest
            return best, int(shared[best]), "removed: the structure it overlaps best"
        above = next((one for one in tree_a.ancestors(code)[::-1] if self._partner[one]), 0)
        successor = int(self._partner[above]) if above else 0
        if self._sizes[0][code]:
            return 0, int(shared[0]), "removed: its voxels are outside"
        note = "removed, without voxels: its ancestor" if successor else "removed, without voxels"
        return successor, 0, note


def _status(a: int, b: int, changes: str) -> str:
    if not a:
        return ADDED
    return REMOVED if not b else CHANGED if changes else SAME


def _subtree_sums(tree: Terminology, own: Whole) -> Whole:
    """Return sums over structures with all below them; what is not listed stays itself."""
    before = np.concatenate([[0], np.cumsum(own)])
    total = own.copy()
    total[: len(tree) + 1] = before[tree.last + 1] - before[np.arange(len(tree) + 1)]
    return total


def _acronyms(tree: Terminology, ids: npt.NDArray[Any], codes: Whole) -> list[str]:
    extra = [unlisted_label(int(one)) for one in ids[len(tree) + 1 :]]
    texts = [*tree.acronyms, *extra]
    return [texts[code] for code in codes.tolist()]
