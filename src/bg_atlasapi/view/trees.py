"""The hierarchy of structures as lines of text, plain or in colour, however deep it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.model.terminology import Terminology

if TYPE_CHECKING:
    from rich.text import Text

_BRANCH, _LAST, _PASSES, _BLANK = "├── ", "└── ", "│   ", "    "
# Nobody follows more branches with the eye; a line would be as long as the tree is deep.
_MOST_LEVELS = 40


def lines_of(
    tree: Terminology,
    code: int = 1,
    depth: int | None = None,
    key: Callable[[int], Any] | None = None,
) -> Iterator[tuple[str, int]]:
    """Yield a line a structure: the branches before it, and its code.

    Parameters
    ----------
    tree
        The structures.
    code
        Where to begin.
    depth
        How many levels below that; None for all.
    key
        By what to sort siblings; None keeps the order of the atlas.

    Raises
    ------
    InvalidInputError
        If the depth is none.
    """
    if depth is not None and depth < 0:
        raise InvalidInputError(f"A depth is a whole number, 0 or more, not {depth!r}.")
    last = tree.last.tolist()
    # What is still to come: a code, its level, and which levels above it go on.
    waiting: list[tuple[int, int, tuple[bool, ...]]] = [(code, 0, ())]
    while waiting:
        one, level, more = waiting.pop()
        yield _branches(more), one
        if depth is not None and level >= depth:
            continue
        children: list[int] = []
        child = one + 1
        while child <= last[one]:  # a subtree is one range: behind it begins the next
            children.append(child)
            child = last[child] + 1
        if key is not None:
            children.sort(key=key)
        shown = more[-_MOST_LEVELS:] if level > _MOST_LEVELS else more
        waiting += [
            (child, level + 1, (*shown, at > 0)) for at, child in enumerate(reversed(children))
        ]


def _branches(more: tuple[bool, ...]) -> str:
    if not more:
        return ""
    cut = "… " if len(more) > _MOST_LEVELS else ""
    before = "".join(_PASSES if one else _BLANK for one in more[-_MOST_LEVELS:-1])
    return cut + before + (_BRANCH if more[-1] else _LAST)


def plain(tree: Terminology) -> str:
    """Return the whole hierarchy as 1.x printed it: acronyms and ids, siblings by their text."""
    ids = tree.ids.tolist()

    def tag(code: int) -> str:
        return f"{tree.acronyms[code]} ({ids[code]})"

    return "".join(f"{branches}{tag(code)}\n" for branches, code in lines_of(tree, key=tag))


def coloured(tree: Terminology, code: int = 1, depth: int | None = None) -> Iterator[Text]:
    """Yield the lines for rich: a dot of the structure's colour, acronym, name."""
    from rich.text import Text

    colours = tree.colours.tolist()
    for branches, one in lines_of(tree, code, depth):
        red, green, blue = colours[one]
        line = Text(branches, style="dim", no_wrap=True, overflow="ellipsis", end="")
        line.append("● ", style=f"rgb({red},{green},{blue})")
        line.append(tree.acronyms[one], style="bold not dim")
        line.append(f"  {tree.names[one]}", style="not dim")
        hidden = int(tree.last[one]) - one
        if depth is not None and hidden and int(tree.depths[one] - tree.depths[code]) == depth:
            line.append(f"  +{hidden}", style="dim italic")
        yield line


def nested(tree: Terminology, code: int = 1, depth: int | None = None) -> list[dict[str, Any]]:
    """Return the lines as rows for JSON, in order, each with its depth and parent."""
    ids = tree.ids.tolist()
    return [
        {
            "id": ids[one],
            "acronym": tree.acronyms[one],
            "name": tree.names[one],
            "depth": int(tree.depths[one]),
            "parent": ids[int(tree.parents[one])] or None,
            "rgb_triplet": tree.colours[one].tolist(),
        }
        for _, one in lines_of(tree, code, depth)
    ]
