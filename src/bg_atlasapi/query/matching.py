"""Which structure of one terminology is which of another."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bg_atlasapi.late import np
from bg_atlasapi.model.terminology import Terminology

if TYPE_CHECKING:
    import numpy.typing as npt

    Key = Callable[[Terminology, int], object]


def partners(a: Terminology, b: Terminology) -> npt.NDArray[np.int64]:
    """Return the code in ``b`` of each structure of ``a``, shape ``(N + 1,)``, 0 where none is.

    Structures correspond if they have the same id and the same acronym or name; else, if nothing
    else corresponds to them, the same acronym, else the same name, else the same id. So ids that
    were given out anew do not tie strangers together.
    """
    answer = np.zeros(len(a) + 1, np.int64)
    taken: set[int] = set()
    rules: tuple[Key, ...] = (
        lambda tree, code: (int(tree.ids[code]), tree.acronyms[code]),
        lambda tree, code: (int(tree.ids[code]), tree.names[code]),
        lambda tree, code: tree.acronyms[code],
        lambda tree, code: tree.names[code],
        lambda tree, code: int(tree.ids[code]),
    )
    for key in rules:
        free: dict[object, int] = {}
        for code in range(len(b), 0, -1):  # of several the first
            if code not in taken:
                free[key(b, code)] = code
        for code in range(1, len(a) + 1):
            found = None if answer[code] else free.pop(key(a, code), None)
            if found is not None:
                answer[code] = found
                taken.add(found)
    return answer
