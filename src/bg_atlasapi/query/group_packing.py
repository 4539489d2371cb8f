"""A grouping in few bytes, for pickles that go along with the atlas it was made for.

Most groups are structures of that atlas, unchanged: of those a bit each is kept, and they are made
again from its terminology.
"""

from __future__ import annotations

from dataclasses import dataclass

from bg_atlasapi.late import np
from bg_atlasapi.model.grouping import Group
from bg_atlasapi.model.terminology import Terminology
from bg_atlasapi.query.group_rules import structures_as_groups
from bg_atlasapi.query.grouping import Grouping


@dataclass(frozen=True, slots=True)
class PackedGrouping:
    """A grouping without the structures that its atlas knows.

    Parameters
    ----------
    kept
        Bits by code: which structures are groups of their own; they come before the others.
    others
        The rest.
    stated
        Name, outside, lateralised, atlas and version of the grouping.
    """

    kept: bytes
    others: tuple[Group, ...]
    stated: tuple[str, tuple[int, ...], bool, str, str]


def packed(grouping: Grouping, tree: Terminology) -> PackedGrouping | Grouping:
    """Return a grouping packed; itself if that does not give it back."""
    kept = np.zeros(len(tree) + 1, bool)
    for group in grouping.groups:
        code = tree.code_of_id(group.id)
        kept[max(code, 0)] |= code > 0 and group.members == (group.id,)
    stated = (grouping.name, grouping.outside, grouping.lateralised, grouping.atlas)
    others = grouping.groups[int(kept.sum()) :]
    answer = PackedGrouping(np.packbits(kept).tobytes(), others, (*stated, grouping.version))
    return answer if _groups(answer, tree) == grouping.groups else grouping


def unpacked(stored: PackedGrouping | Grouping, tree: Terminology) -> Grouping:
    """Return what was packed."""
    if isinstance(stored, Grouping):
        return stored
    name, outside, lateralised, atlas, version = stored.stated
    return Grouping(name, _groups(stored, tree), outside, lateralised, atlas, version)


def _groups(stored: PackedGrouping, tree: Terminology) -> tuple[Group, ...]:
    bits = np.unpackbits(np.frombuffer(stored.kept, np.uint8), count=len(tree) + 1)
    return (*structures_as_groups(tree, bits.astype(bool)), *stored.others)
