"""From what people ask of ``atlas.group`` to the groups: a depth, a list, names, a mapping, a size.

Nothing here looks at voxels, but for ``min_volume_mm3``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError, UnknownStructureError
from bg_atlasapi.late import np
from bg_atlasapi.model.grouping import Group, free_ids
from bg_atlasapi.model.terminology import Terminology
from bg_atlasapi.query.grouping import Grouping
from bg_atlasapi.query.subject import Subject
from bg_atlasapi.query.voxel_counts import voxels_by_code

if TYPE_CHECKING:
    import numpy.typing as npt

    Kept = npt.NDArray[np.bool_]

FOLDER, EXTENSION = "groupings", ".json"
_ROOT = 1
_NEARLY = 1 - 1e-9  # three voxels of 0.001 mm³ are not quite 0.003 mm³


@dataclass(frozen=True, slots=True)
class Wish:
    """How an atlas is to be grouped; see ``atlas.group``."""

    by: Any = None
    depth: int | None = None
    min_volume_mm3: float | None = None
    collapse: Any = ()
    prune: Any = ()
    lateralise: bool = False
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """The atlas that is grouped, for people, and where groupings that came with it lie."""

    name: str
    version: str
    folder: Path


def grouping_of(subject: Subject, wish: Wish, source: Source) -> Grouping:
    """Work out the groups.

    Parameters
    ----------
    subject
        The atlas that is grouped.
    wish
        How.
    source
        Its name, version and folder.

    Raises
    ------
    InvalidInputError
        If the wish contradicts itself, a structure is asked into two groups, or a grouping cannot
        be read.
    UnknownStructureError
        If it names a structure the atlas lacks.
    """
    _check(wish)
    stored = stored_grouping(wish.by, source)
    if stored is not None:
        _refuse_with(wish, "a grouping", ("depth", "min_volume_mm3", "collapse", "prune"))
        lateralised = stored.lateralised or wish.lateralise
        return dataclasses.replace(stored, name=wish.name or stored.name, lateralised=lateralised)
    tree = subject.terminology
    pruned = _codes(tree, wish.prune, "prune")
    if _ROOT in pruned:
        message = f"To leave out {tree.acronyms[_ROOT]!r}, the root, would leave nothing."
        raise InvalidInputError(message)
    outside = np.zeros(len(tree) + 1, bool)
    for code in pruned:
        outside[code : int(tree.last[code]) + 1] = True
    if isinstance(wish.by, Mapping) and not hasattr(wish.by, "id"):  # a structure is one, too
        _refuse_with(wish, "a mapping", ("depth", "min_volume_mm3", "collapse"))
        default, groups = _of_mapping(tree, wish.by, outside)
    else:
        default, kept = _kept(subject, wish, outside)
        groups = structures_as_groups(tree, kept)
    return Grouping(
        name=wish.name or default,
        groups=tuple(groups),
        outside=tuple(int(tree.ids[code]) for code in pruned),
        lateralised=wish.lateralise,
        atlas=source.name,
        version=source.version,
    )


def _check(wish: Wish) -> None:
    how = ("by", "depth", "min_volume_mm3", "collapse", "prune", "lateralise")
    if not any(_is_given(getattr(wish, one)) for one in how):
        message = (
            "Say how to group: a depth, a list of structures, {name: [structures]}, "
            "{structure: structure}, min_volume_mm3=, collapse=, prune= or lateralise=True."
        )
        raise InvalidInputError(message)
    if not isinstance(wish.lateralise, bool):
        raise InvalidInputError(f"lateralise must be True or False, got {wish.lateralise!r}.")
    if wish.name is not None and not isinstance(wish.name, str):
        raise InvalidInputError(f"The name of a grouping is a text, got {wish.name!r}.")
    if wish.by is not None and wish.depth is not None:
        raise InvalidInputError("Group by a depth or by structures, not by both; groups chain.")


def _is_given(value: Any) -> bool:
    return not (value is None or value is False or (isinstance(value, tuple) and not value))


def _refuse_with(wish: Wish, what: str, options: Sequence[str]) -> None:
    given = [one for one in options if _is_given(getattr(wish, one))]
    if given:
        text = f"{given[0]}= does not go with {what}"
        raise InvalidInputError(f"{text}; group what was grouped: atlas.group(...).group(...).")


def stored_grouping(by: Any, source: Source) -> Grouping | None:
    """Return the grouping that was given, lies in a file, or came with the atlas; else None."""
    by = getattr(by, "grouping", by)  # a grouped atlas stands for its grouping
    if isinstance(by, Grouping):
        return by
    if isinstance(by, Path):
        return Grouping.load(by)
    if not isinstance(by, str):
        return None
    if by.endswith(EXTENSION) or Path(by).name != by:
        return Grouping.load(by)
    shipped = source.folder / FOLDER / f"{by}{EXTENSION}"
    try:
        known = sorted(one.stem for one in shipped.parent.glob(f"*{EXTENSION}"))
    except OSError:
        known = []
    if by in known:
        return Grouping.load(shipped)
    has = f"it has {', '.join(known)}" if known else "it has none"
    message = (
        f"No grouping {by!r} came with this atlas; {has}. A file is named with {EXTENSION}; "
        f"one structure is given as a list, [{by!r}]."
    )
    raise InvalidInputError(message)


def _codes(tree: Terminology, structures: Any, option: str) -> list[int]:
    """Return the codes of structures, each once, without those that lie below another."""
    if structures is None:
        structures = ()
    single = isinstance(structures, str | int | np.integer) or hasattr(structures, "id")
    if isinstance(structures, bool) or not (single or isinstance(structures, Iterable)):
        raise InvalidInputError(f"{option}= takes structures, got {structures!r}.")
    if single:
        structures = [structures]
    codes: list[int] = []
    for code in sorted({tree.code(one) for one in structures}):
        if not codes or not tree.contains(codes[-1], code):
            codes.append(code)
    return codes


def _kept(subject: Subject, wish: Wish, outside: Kept) -> tuple[str, Kept]:
    """Return which structures stay; the voxels of the others go to the nearest above that does."""
    tree, default = subject.terminology, "lateralised"
    kept = np.ones(len(tree) + 1, bool)
    depth = wish.by if isinstance(wish.by, int | np.integer) else wish.depth
    if depth is not None:
        kept = tree.depths <= _depth(depth)
        default = f"depth-{depth}"
    elif wish.by is not None:
        kept[:] = False
        kept[_listed(tree, wish.by)] = True
        default = "selection"
    collapsed = _codes(tree, wish.collapse, "collapse")
    for code in collapsed:
        kept[code : int(tree.last[code]) + 1] = False
        kept[code] = True
    if wish.min_volume_mm3 is not None:
        kept &= _large(subject, wish.min_volume_mm3, outside)
    kept &= ~outside
    kept[0], kept[_ROOT] = False, True
    if default == "lateralised" and not wish.lateralise:
        default = "merged" if wish.min_volume_mm3 is not None else "collapsed"
        default = default if collapsed or wish.min_volume_mm3 is not None else "pruned"
    return default, kept


def _depth(depth: object) -> int:
    if isinstance(depth, bool) or not isinstance(depth, int | np.integer) or depth < 0:
        message = f"A depth in the hierarchy is a whole number, 0 for the root; got {depth!r}."
        raise InvalidInputError(message)
    return int(depth)


def _listed(tree: Terminology, by: Any) -> list[int]:
    if hasattr(by, "id"):
        by = [by]
    if isinstance(by, bytes) or not isinstance(by, Iterable):
        message = (
            "Group by a depth, a list of structures, a mapping, a grouping or the path of one; "
            f"got {by!r}."
        )
        raise InvalidInputError(message)
    codes = [tree.code(one) for one in by]
    if not codes:
        raise InvalidInputError("The list of structures to group by is empty.")
    return codes


def _large(subject: Subject, least_mm3: object, outside: Kept) -> Kept:
    """Return which structures, with all below them, are at least so large."""
    number = isinstance(least_mm3, int | float | np.integer | np.floating)
    if not number or isinstance(least_mm3, bool) or not 0 < least_mm3 < math.inf:  # type: ignore[operator]
        message = f"min_volume_mm3 must be a positive number, got {least_mm3!r}."
        raise InvalidInputError(message)
    tree = subject.terminology
    _, counts = voxels_by_code(subject.labels)
    own = np.where(outside, 0, counts[: len(tree) + 1])
    before = np.concatenate([[0], np.cumsum(own)])
    total = before[tree.last + 1] - before[np.arange(len(tree) + 1)]
    voxel_um3 = math.prod(subject.space.spacing_um)
    return np.asarray(total * voxel_um3 >= float(least_mm3) * 1e9 * _NEARLY)  # type: ignore[arg-type]


def structures_as_groups(tree: Terminology, kept: Kept) -> list[Group]:
    """Return structures as groups of themselves, below the nearest above them that stays."""
    nearest = tree.codes_under(np.flatnonzero(kept).tolist())
    groups = []
    for code in np.flatnonzero(kept).tolist():
        identifier = int(tree.ids[code])
        if identifier <= 0 and code != _ROOT:  # 0 labels what is outside, whoever claims it
            continue
        above = int(nearest[tree.parents[code]])
        groups.append(
            Group(
                id=identifier,
                acronym=tree.acronyms[code],
                name=tree.names[code],
                rgb=_colour(tree, code),
                parent=int(tree.ids[above]) if above else None,
                members=(identifier,),
            )
        )
    return groups


def _of_mapping(tree: Terminology, by: Mapping[Any, Any], outside: Kept) -> tuple[str, list[Group]]:
    if not by:
        raise InvalidInputError("The mapping to group by is empty.")
    several = [_is_several(value) for value in by.values()]
    if all(several):
        return "groups", _named(tree, by, outside)
    if any(several):
        message = (
            "A mapping gives either lists of structures by name, or a structure by structure, "
            "not both at once."
        )
        raise InvalidInputError(message)
    return "mapping", _remapped(tree, by, outside)


def is_remapping(by: object) -> bool:
    """Say whether structures are mapped one by one, rather than listed under names."""
    return isinstance(by, Mapping) and not any(_is_several(value) for value in by.values())


def _is_several(value: object) -> bool:
    single = isinstance(value, str | bytes | Mapping) or hasattr(value, "id")
    return isinstance(value, Iterable) and not single


def _named(tree: Terminology, by: Mapping[Any, Any], outside: Kept) -> list[Group]:
    """Return the root and a group a name, each of the structures listed for it."""
    owner: dict[int, str] = {}
    ids = free_ids(len(by), set(tree.ids.tolist()))
    root = int(tree.ids[_ROOT])
    groups = structures_as_groups(tree, np.arange(len(tree) + 1) == _ROOT)
    for (name, structures), identifier in zip(by.items(), ids, strict=True):
        if not isinstance(name, str) or not name:
            raise InvalidInputError(f"The name of a group is a text, got {name!r}.")
        if name == groups[0].acronym:
            raise InvalidInputError(f"{name!r} is the root, above all groups; choose another name.")
        codes = list(dict.fromkeys(tree.code(one) for one in structures))
        if not codes:
            raise InvalidInputError(f"The group {name!r} lists no structures.")
        for code in codes:
            if owner.setdefault(code, name) != name:
                both = f"{owner[code]!r} and {name!r}"
                raise InvalidInputError(f"{tree.acronyms[code]} is asked into both {both}.")
        members = tuple(int(tree.ids[code]) for code in codes if not outside[code])
        groups.append(Group(identifier, name, name, _colour(tree, codes[0]), root, members))
    if _ROOT in owner:  # somebody claims all of it
        groups[0] = dataclasses.replace(groups[0], members=())
    return groups


def _colour(tree: Terminology, code: int) -> tuple[int, int, int]:
    red, green, blue = tree.colours[code].tolist()
    return (red, green, blue)


def _remapped(tree: Terminology, by: Mapping[Any, Any], outside: Kept) -> list[Group]:
    """Return the structures, some of whose voxels are another's or a new one's."""
    try:
        targets = {tree.code(key): _target(tree, value) for key, value in by.items()}
    except UnknownStructureError as error:
        hint = f"A new group is given a list: {{{error.key!r}: [...]}}."
        if any(isinstance(value, str) for value in by.values()) and error.key in by:
            raise InvalidInputError(f"{error} {hint}") from None
        raise
    holder = tree.codes_under(list(targets))
    kept = (holder == 0) & ~outside
    kept[0], kept[_ROOT] = False, True
    onto = [target for target in targets.values() if target > 0 and tree.code_of_id(target) > 0]
    for code in (tree.code_of_id(target) for target in onto):
        if outside[code]:
            message = f"{tree.acronyms[code]} is left out and is to get voxels: both cannot be."
            raise InvalidInputError(message)
        kept[code] = True
    claims: dict[int, list[int]] = {}
    for code in np.flatnonzero(kept & (holder == 0)).tolist():
        claims[int(tree.ids[code])] = [code]
    for code, target in targets.items():
        if not outside[code]:
            claims.setdefault(target, []).append(code)
    groups = [
        dataclasses.replace(one, members=_ids(tree, claims.get(one.id, ())))
        for one in structures_as_groups(tree, kept)
    ]
    known = {one.id for one in groups}
    new = [one for one in dict.fromkeys(targets.values()) if one and one not in known]
    return groups + [_new_group(tree, kept, one, claims[one]) for one in new if one in claims]


def _target(tree: Terminology, value: Any) -> int:
    """Return the id that voxels get: that of a structure, or a new one."""
    is_number = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if is_number and tree.code_of_id(int(value)) <= 0:
        if not 0 < value < 2**63:
            message = f"{value!r} is no id for voxels to get; leave structures out with prune=."
            raise InvalidInputError(message)
        return int(value)
    return int(tree.ids[tree.code(value)])


def _new_group(tree: Terminology, kept: Kept, identifier: int, codes: Sequence[int]) -> Group:
    """Return a group with a new id: one structure renumbered, or several merged."""
    shared = tree.ancestors(codes[0])
    for code in codes[1:]:
        shared = [one for one in shared if tree.contains(one, code)]
    parent = next((one for one in reversed(shared) if kept[one]), _ROOT)
    acronyms = [tree.acronyms[code] for code in codes]
    alone = len(codes) == 1
    return Group(
        id=identifier,
        acronym=acronyms[0] if alone else str(identifier),
        name=tree.names[codes[0]] if alone else " + ".join(acronyms),
        rgb=_colour(tree, codes[0]),
        parent=int(tree.ids[parent]),
        members=_ids(tree, codes),
    )


def _ids(tree: Terminology, codes: Iterable[int]) -> tuple[int, ...]:
    return tuple(int(tree.ids[code]) for code in codes)
