"""Which structures of an atlas make up which group, worked out on preorder codes.

A group claims structures with everything below them; of nested claims the deepest wins. Every way
to group (a depth, a list, named groups, a mapping, a volume) is such a set of claims. This module
is pure: how a grouping is asked for and where it is kept is the business of ``query`` and
``formats``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.late import np
from bg_atlasapi.model.terminology import Record, Terminology

if TYPE_CHECKING:
    import numpy.typing as npt

    Table = npt.NDArray[np.int32]

SIDES = ("L", "R")
_SIDE_NAMES = {"L": "left", "R": "right"}
_LARGEST = 2**32 - 1
_END = 2**63
_SHOWN = 10
_DEEPEST = 1000  # a hundred times what makes sense; each group keeps its way to the root


@dataclass(frozen=True, slots=True)
class Group:
    """One structure of a grouped atlas.

    Parameters
    ----------
    id
        Positive, unique in the grouping.
    acronym, name
        Short and long name.
    rgb
        Colour, three values 0…255.
    parent
        Id of the group it lies below; None for the root, of which there is one.
    members
        Ids of the structures it claims, each with all that is below it. Of nested claims the
        deepest wins; what nobody claims is the root's.
    """

    id: int
    acronym: str
    name: str
    rgb: tuple[int, int, int]
    parent: int | None
    members: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Overlap:
    """A structure that two groups claim.

    Parameters
    ----------
    structure
        Id of the structure, which lies below one that another group claims.
    group
        Id of the group that gets it: its claim is the deeper one.
    within
        Id of the group that claims a structure above it.
    """

    structure: int
    group: int
    within: int


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Groups laid over a terminology.

    Parameters
    ----------
    terminology
        Of the groups; lateralised, each group stands in it twice, below the root.
    tables
        Code of a structure → code of its group, ``int32``, shape ``(1, N + 1)``; lateralised
        ``(3, N + 1)``: of voxels on neither side, left, right.
    overlaps
        Structures that several groups claim.
    acronyms
        Of the groups, by id, without sides.
    """

    terminology: Terminology
    tables: Table
    overlaps: tuple[Overlap, ...]
    acronyms: Mapping[int, str]

    @property
    def lateralised(self) -> bool:
        """Whether left and right are structures of their own."""
        return len(self.tables) > 1


@dataclass(frozen=True)
class GroupSet:
    """Groups, and what they were made for.

    Parameters
    ----------
    name
        Of the grouping.
    groups
        One of them is the root.
    outside
        Ids of structures that are left out, each with all that is below it.
    lateralised
        Whether left and right become structures of their own.
    atlas, version
        Of the atlas it was made for; empty where nobody said.

    Raises
    ------
    InvalidInputError
        If the groups contradict each other; says all that is wrong.
    """

    name: str
    groups: tuple[Group, ...]
    outside: tuple[int, ...] = ()
    lateralised: bool = False
    atlas: str = ""
    version: str = ""

    def __post_init__(self) -> None:
        problems = problems_of(self.groups, self.outside)
        if problems:
            raise InvalidInputError(" ".join(problems))

    def arranged(self, base: Terminology) -> Arrangement:
        """Lay the groups over the structures of an atlas; see ``arrange``."""
        try:
            return arrange(self.groups, self.outside, base, lateralised=self.lateralised)
        except InvalidInputError as error:
            made = f" It was made for {self.atlas} {self.version}.".replace(" .", ".")
            message = f"{error}{made if self.atlas else ''}"
            raise InvalidInputError(message) from None


def problems_of(groups: Sequence[Group], outside: Sequence[int]) -> list[str]:
    """Return what contradicts itself in a grouping, a sentence each."""
    problems = [*_twice("id", (group.id for group in groups))]
    ids = {group.id for group in groups}
    roots = [group.acronym for group in groups if group.parent is None]
    if len(roots) != 1:
        problems.append(f"A grouping has one root, a group without parent; this has {len(roots)}.")
    for group in groups:
        if not 0 < group.id < _END:
            problems.append(f"Group {group.acronym!r} has the id {group.id}; ids are 1 or more.")
        if group.parent is not None and group.parent not in ids:
            problems.append(
                f"Group {group.acronym!r} lies below {group.parent}, which is no group."
            )
    problems += _cycles(groups)
    owner: dict[int, str] = dict.fromkeys(outside, "what is outside")
    for group in groups:
        for member in dict.fromkeys(group.members):
            if member in owner:
                both = f"{owner[member]} and {group.acronym!r}"
                problems.append(f"Structure {member} is claimed by {both}.")
            owner.setdefault(member, repr(group.acronym))
    return problems


def _twice(what: str, values: Iterable[object]) -> list[str]:
    counts = Counter(values)
    return [f"Two groups have the {what} {one!r}." for one, count in counts.items() if count > 1]


def _cycles(groups: Sequence[Group]) -> list[str]:
    """Return what is wrong with who lies below whom: in a circle, or without end."""
    parents = {group.id: group.parent for group in groups}
    depths: dict[int | None, int] = {None: 0}
    for group in groups:
        way: dict[int | None, None] = {}
        at: int | None = group.id
        while at not in depths and at not in way:
            way[at] = None
            at = parents.get(at) if at is not None else None
        if at in way:
            return [f"Group {group.acronym!r} lies below itself."]
        for one in reversed(way):
            depths[one] = depths[at] + 1
            at = one
        if depths[group.id] > _DEEPEST:
            return [f"Group {group.acronym!r} lies below more than {_DEEPEST} others."]
    return []


def arrange(
    groups: Sequence[Group], outside: Sequence[int], base: Terminology, *, lateralised: bool
) -> Arrangement:
    """Lay groups over a terminology.

    Parameters
    ----------
    groups, outside
        Free of ``problems_of``; ``outside`` are ids of structures that are left out, with all that
        is below them.
    base
        The structures that are grouped.
    lateralised
        Whether left and right become structures of their own.

    Raises
    ------
    InvalidInputError
        If a group claims structures that the terminology lacks; names them.
    """
    plain = _terminology(groups)
    owners = _owners(groups, outside, base, plain)
    claims, overlaps = _claimed(owners, base, plain)
    group_of_claim = np.full(len(base) + 1, 1, np.int32)  # what nobody claims is the root's
    for code, group in owners.items():
        group_of_claim[code] = group
    table = group_of_claim[claims]
    table[0] = 0
    acronyms = {group.id: group.acronym for group in groups}
    if not lateralised:
        return Arrangement(plain, table[np.newaxis], overlaps, acronyms)
    both = _terminology(_both_sides(groups, base))
    left = np.arange(len(plain) + 1, dtype=np.int32)
    left[1:] += 1
    right = left.copy()
    right[1:] += len(plain)
    neither = np.minimum(left, 1)
    tables = np.stack([neither, left, right])[:, table]
    return Arrangement(both, tables, overlaps, acronyms)


def _owners(
    groups: Sequence[Group], outside: Sequence[int], base: Terminology, plain: Terminology
) -> dict[int, int]:
    """Return the group's code by the code of each structure that is claimed; 0 is outside."""
    claimed = {member: plain.code_of_id(group.id) for group in groups for member in group.members}
    claimed |= dict.fromkeys(outside, 0)
    unknown = [one for one in claimed if base.code_of_id(one) <= 0]
    if unknown:
        shown = ", ".join(map(str, unknown[:_SHOWN]))
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        message = f"The grouping names structures that this atlas lacks, ids {shown}{more}."
        raise InvalidInputError(message)
    return {base.code_of_id(member): group for member, group in claimed.items()}


def _claimed(
    owners: Mapping[int, int], base: Terminology, plain: Terminology
) -> tuple[Table, tuple[Overlap, ...]]:
    """Return which claim holds each structure, and what is claimed twice."""
    claims = np.zeros(len(base) + 1, np.int32)
    overlaps = []
    for code in sorted(owners):  # a descendant has the larger code, so it overwrites its ancestor
        above, group = int(claims[code]), owners[code]
        within = owners.get(above, 0)
        claims[code : int(base.last[code]) + 1] = code
        # What is left of a structure when others were taken out of it is no claim of a group.
        is_itself = int(plain.ids[within]) == int(base.ids[above])
        if within and group and not is_itself and not plain.contains(within, group):
            ids = (base.ids[code], plain.ids[group], plain.ids[within])
            overlaps.append(Overlap(*(int(one) for one in ids)))
    return claims, tuple(overlaps)


def _terminology(groups: Sequence[Group]) -> Terminology:
    by_id = {group.id: group for group in groups}
    paths: dict[int, tuple[int, ...]] = {}
    for group in groups:
        way = [group]
        while way[-1].parent is not None and way[-1].id not in paths:
            way.append(by_id[way[-1].parent])
        for one in reversed(way):
            if one.id not in paths:
                above = () if one.parent is None else paths[one.parent]
                paths[one.id] = (*above, one.id)
    return Terminology([Record(g.id, g.acronym, g.name, paths[g.id], g.rgb) for g in groups])


def _both_sides(groups: Sequence[Group], base: Terminology) -> list[Group]:
    """Return the root, and below it all groups for the left, then all for the right.

    In the order of the hierarchy: codes of the sides then follow from those of the groups.
    """
    plain = _terminology(groups)
    root = next(group for group in groups if group.parent is None)
    ids = side_ids([group.id for group in groups], base.ids.tolist())
    answer = [Group(root.id, root.acronym, root.name, root.rgb, None)]
    by_id = {group.id: group for group in groups}
    for side in SIDES:
        for code in range(1, len(plain) + 1):
            group = by_id[int(plain.ids[code])]
            parent = root.id if group.parent is None else ids[side, group.parent]
            acronym, name = f"{group.acronym}-{side}", f"{group.name}, {_SIDE_NAMES[side]}"
            answer.append(Group(ids[side, group.id], acronym, name, group.rgb, parent))
    return answer


def side_ids(ids: Sequence[int], taken: Sequence[int]) -> dict[tuple[str, int], int]:
    """Return the ids of the left and right of groups, by side ("L", "R") and id.

    The left of 385 is 1000000385, its right 2000000385: what is put in front is the smallest power
    of ten that is larger than all ids. Where that passes 2**32 the sides are numbered with the
    smallest numbers that are free.

    Parameters
    ----------
    ids
        Of the groups.
    taken
        Ids of the atlas, which are not given away.
    """
    largest = max([*ids, *taken])
    step = 10 ** len(str(largest))
    if 2 * step + max(ids) <= (_LARGEST if largest <= _LARGEST else _END - 1):
        return {(side, one): (n + 1) * step + one for n, side in enumerate(SIDES) for one in ids}
    free = free_ids(len(ids) * 2, {*ids, *taken})
    return dict(zip(((side, one) for side in SIDES for one in ids), free, strict=True))


def free_ids(count: int, taken: set[int]) -> list[int]:
    """Return ids for new groups that no structure has.

    They follow on from 10000, 100000 … if none in a row there is taken; else they are the smallest
    free ones.
    """
    for start in (10**power for power in range(4, 10)):
        row = range(start + 1, start + 1 + count)
        if row[-1:] and row[-1] <= _LARGEST and taken.isdisjoint(row):
            return list(row)
    found: list[int] = []
    candidate = 0
    while len(found) < count:
        candidate += 1
        if candidate not in taken:
            found.append(candidate)
    return found
