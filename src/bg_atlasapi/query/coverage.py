"""What a grouping covers: which voxels are in a group, which in none and why, which in several."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bg_atlasapi.late import np
from bg_atlasapi.model.grouping import Arrangement
from bg_atlasapi.query.points import unlisted_label
from bg_atlasapi.query.subject import Subject
from bg_atlasapi.query.voxel_counts import voxels_by_code

if TYPE_CHECKING:
    import pandas as pd

NO_GROUP, LEFT_OUT, UNLISTED = "in no group", "left out", "unlisted label"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Coverage:
    """How much of an atlas is in groups.

    Parameters
    ----------
    voxels
        With a label, in the atlas that was grouped.
    covered
        Of them, in a group below the root.
    voxel_mm3
        Volume of a voxel.
    gaps
        A row for each structure of that atlas with voxels in no group: ``id``, ``acronym``,
        ``name``, ``voxels``, ``mm3`` (its own, without descendants), ``reason`` ("in no group":
        they are the root's; "left out": they are outside; "unlisted label": no structure has that
        id, they stay as they are). Most voxels first.
    overlaps
        A row for each structure that two groups claim: ``id``, ``acronym``, ``name``, ``group``
        (acronym of the one that gets it), ``within`` (of the one that claims a structure above),
        ``voxels``, ``mm3`` (with descendants).
    """

    voxels: int
    covered: int
    voxel_mm3: float
    gaps: pd.DataFrame
    overlaps: pd.DataFrame

    @property
    def share(self) -> float:
        """Covered voxels by voxels with a label; NaN of an empty annotation."""
        return self.covered / self.voxels if self.voxels else math.nan

    @property
    def mm3(self) -> float:
        """Volume of what has a label."""
        return self.voxels * self.voxel_mm3

    @property
    def covered_mm3(self) -> float:
        """Volume of what is in a group."""
        return self.covered * self.voxel_mm3

    def __repr__(self) -> str:
        share = "nothing has a label" if not self.voxels else f"{percent(self.share)} in groups"
        volumes = f"{self.covered_mm3:.4g} of {self.mm3:.4g} mm³"
        gaps, twice = len(self.gaps), len(self.overlaps)
        return f"<Coverage: {share}, {volumes}; {gaps} structures in none, {twice} in several>"


def percent(share: float) -> str:
    """Return a share for people; what is not quite all does not read as 100 %."""
    text = f"{share * 100:.1f} %"
    if share < 1 and text == "100.0 %":
        return "more than 99.9 %"
    return "less than 0.1 %" if share > 0 and text == "0.0 %" else text


def coverage_of(subject: Subject, arrangement: Arrangement) -> Coverage:
    """Count what groups cover.

    Parameters
    ----------
    subject
        The atlas that is grouped.
    arrangement
        The groups, laid over its structures.
    """
    import pandas as pd

    tree = subject.terminology
    ids, counts = voxels_by_code(subject.labels)
    count = len(tree) + 1
    group = arrangement.terminology.index.positions(ids).astype(np.int64)
    # Lateralised, the first two codes are the root and its left; what is right goes with what is
    # left.
    first = 2 if arrangement.lateralised else 1
    group[:count] = arrangement.tables[min(1, len(arrangement.tables) - 1)]
    known = group[:count]
    reasons = np.full(len(ids), UNLISTED, object)
    reasons[:count] = np.where(known == 0, LEFT_OUT, NO_GROUP)
    gap = (counts > 0) & (group <= first)
    gap[0] = False
    voxel_mm3 = math.prod(subject.space.spacing_um) / 1e9
    extra = [unlisted_label(int(one)) for one in ids[count:]]
    gaps = pd.DataFrame(
        {
            "id": ids,
            "acronym": [*tree.acronyms, *extra],
            "name": [*tree.names, *extra],
            "voxels": counts,
            "mm3": counts * voxel_mm3,
            "reason": reasons,
        }
    )[gap]
    voxels = int(counts[1:].sum())
    return Coverage(
        voxels=voxels,
        covered=voxels - int(counts[gap].sum()),
        voxel_mm3=voxel_mm3,
        gaps=gaps.sort_values("voxels", ascending=False, kind="stable").reset_index(drop=True),
        overlaps=_overlaps(subject, arrangement, counts, voxel_mm3),
    )


def _overlaps(
    subject: Subject, arrangement: Arrangement, counts: np.ndarray, voxel_mm3: float
) -> pd.DataFrame:
    import pandas as pd

    tree, plain = subject.terminology, arrangement.acronyms
    rows = []
    for overlap in arrangement.overlaps:
        code = tree.code_of_id(overlap.structure)
        voxels = int(counts[code : int(tree.last[code]) + 1].sum())
        labels = (overlap.structure, tree.acronyms[code], tree.names[code])
        rows.append((*labels, plain[overlap.group], plain[overlap.within], voxels))
    columns = ["id", "acronym", "name", "group", "within", "voxels"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(mm3=frame["voxels"].astype(np.float64) * voxel_mm3)
