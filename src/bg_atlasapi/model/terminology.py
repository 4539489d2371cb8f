"""The regions of an atlas and their hierarchy, stored in depth-first order.

Walking the tree depth-first and numbering the structures 1…N (0 is outside) makes a structure and
all its descendants one contiguous range of codes ``[code, last[code]]``. Everything hierarchical
becomes arithmetic on that range: a mask is two compares, a roll-up a difference of prefix sums,
"is B inside A" two integer compares. Ids stay what people see; codes are internal.

This module is pure: how files spell a structure is the business of ``formats``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bg_atlasapi.errors import Finding, InvalidInputError, UnknownStructureError
from bg_atlasapi.late import np
from bg_atlasapi.model.id_index import UNLISTED, IdIndex
from bg_atlasapi.model.preorder import Row, arrange

if TYPE_CHECKING:
    import numpy.typing as npt

OUTSIDE_LABEL = "Outside atlas"
StructureKey = object  # int, np.integer, "385", "VISp", "Primary visual area", or a structure


@dataclass(frozen=True, slots=True)
class Record:
    """One structure as a file states it.

    Parameters
    ----------
    id
        Structure id, 1…2**32-1.
    acronym, name
        As published.
    path
        Ids from the root to this structure, both included.
    rgb
        Colour, three values 0…255.
    """

    id: int
    acronym: str
    name: str
    path: tuple[int, ...]
    rgb: tuple[int, int, int]


class Terminology:
    """All structures of an atlas as a struct of arrays, indexed by code.

    Code 0 is outside; codes 1…N are the structures in depth-first order, siblings in file order.

    Parameters
    ----------
    records
        The structures in file order.

    Attributes
    ----------
    ids : numpy.ndarray
        ``uint32`` (``int64`` if an id needs it), shape ``(N + 1,)``, ``ids[0] == 0``.
    parents, last, depths, positions : numpy.ndarray
        ``int32``, shape ``(N + 1,)``.
    acronyms, names : tuple of str
        By code; ``"Outside atlas"`` for code 0.
    findings : tuple of Finding
        What was forgiven while reading.

    Raises
    ------
    InvalidAtlasError
        If there is no structure, no root, or a cycle.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self._order = arrange([Row(r.id, r.acronym, r.path) for r in records])
        self._placed = [records[position] for position in self._order.positions]
        self.acronyms = (OUTSIDE_LABEL, *(r.acronym for r in self._placed))
        self.names = (OUTSIDE_LABEL, *(r.name for r in self._placed))
        self.findings: tuple[Finding, ...] = self._order.findings
        self._at_depth: dict[int, npt.NDArray[np.int32]] = {}

    @cached_property
    def ids(self) -> npt.NDArray[np.integer]:
        """Id of every code."""
        ids = np.array([0, *(r.id for r in self._placed)], dtype=np.int64)
        fits = bool(ids.min() >= 0 and ids.max() <= np.iinfo(np.uint32).max)
        return ids.astype(np.uint32) if fits else ids

    @cached_property
    def parents(self) -> npt.NDArray[np.int32]:
        """Code of the parent, 0 for the root."""
        return np.array([0, *self._order.parents], dtype=np.int32)

    @cached_property
    def last(self) -> npt.NDArray[np.int32]:
        """Last code of the subtree."""
        return np.array([0, *self._order.last], dtype=np.int32)

    @cached_property
    def depths(self) -> npt.NDArray[np.int32]:
        """Distance from the root."""
        return np.array([0, *self._order.depths], dtype=np.int32)

    @cached_property
    def positions(self) -> npt.NDArray[np.int32]:
        """Row in the file, -1 for outside."""
        return np.array([-1, *self._order.positions], dtype=np.int32)

    @cached_property
    def colours(self) -> npt.NDArray[np.uint8]:
        """Red, green, blue of every code, shape ``(N + 1, 3)``."""
        return np.array([(0, 0, 0), *(r.rgb for r in self._placed)], dtype=np.uint8)

    def __len__(self) -> int:
        return len(self._placed)

    @cached_property
    def index(self) -> IdIndex:
        """Hash from ids to codes."""
        return IdIndex(self.ids)

    @cached_property
    def _by_id(self) -> dict[int, int]:
        return {record.id: code for code, record in enumerate(self._placed, start=1)}

    @cached_property
    def _by_acronym(self) -> dict[str, int]:
        return self._first_in_file(self.acronyms)

    @cached_property
    def _by_name(self) -> dict[str, int]:
        return self._first_in_file(self.names)

    def _first_in_file(self, labels: Sequence[str]) -> dict[str, int]:
        codes = sorted(
            range(1, len(self) + 1), key=self.positions.tolist().__getitem__, reverse=True
        )
        return {labels[code]: code for code in codes}

    def code(self, key: StructureKey) -> int:
        """Return the code of a structure.

        Parameters
        ----------
        key
            An id (``int``, any numpy integer, an integral float, or digits in a string), an
            acronym, an exact name, or an object with an ``id``. Where two structures share an
            acronym or a name, the first in the file answers.

        Raises
        ------
        UnknownStructureError
            With close matches.
        """
        code = self._code_of_number(key) if not isinstance(key, str) else self._code_of_text(key)
        if code is None:
            raise UnknownStructureError(key, lambda: self.close_matches(str(key)))
        return code

    def _code_of_number(self, key: object) -> int | None:
        number = getattr(key, "id", key)
        try:
            return self._by_id.get(int(number)) if int(number) == number else None  # type: ignore[call-overload]
        except (TypeError, ValueError, OverflowError):
            return None

    def _code_of_text(self, key: str) -> int | None:
        code = (
            self._by_id.get(int(key))
            if key.isascii() and key.isdecimal() and len(key) < 20
            else None
        )
        return code or self._by_acronym.get(key) or self._by_name.get(key)

    def code_of_id(self, identifier: int) -> int:
        """Return the code of one id: 0 for id 0, -1 for an id that is not listed."""
        return self._by_id.get(identifier, UNLISTED) if identifier else 0

    def codes(self, ids: npt.ArrayLike) -> npt.NDArray[np.int32]:
        """Return the codes of an array of ids: 0 for id 0, -1 for ids that are not listed."""
        array = np.asarray(ids)
        if array.size == 0:
            return np.empty(array.shape, dtype=np.int32)
        if array.dtype.kind not in "iub":
            message = f"Structure ids must be integers, got an array of {array.dtype}."
            raise InvalidInputError(message)
        return self.index.positions(array)

    def codes_of_acronyms(self, acronyms: Iterable[str]) -> npt.NDArray[np.int32]:
        """Return the codes of acronyms; ``"Outside atlas"`` is 0, unknown ones are -1."""
        known = {OUTSIDE_LABEL: 0, **self._by_acronym}
        return np.array([known.get(acronym, -1) for acronym in acronyms], dtype=np.int32)

    def acronyms_of(self, codes: npt.ArrayLike) -> npt.NDArray[np.object_]:
        """Return the acronyms of an array of codes, as an object array of the same shape.

        Parameters
        ----------
        codes
            0 answers "Outside atlas", -1 (an id that is not listed) answers "unlisted".

        Raises
        ------
        InvalidInputError
            If a code is not one.
        """
        places = np.asarray(codes)
        if places.size == 0:
            return np.empty(places.shape, dtype=object)
        if places.min() < UNLISTED or places.max() > len(self):
            message = f"Codes of structures run from -1 to {len(self)}."
            raise InvalidInputError(message)
        table: npt.NDArray[np.object_] = np.array([*self.acronyms, "unlisted"], dtype=object)
        return np.asarray(table[places])

    def children(self, code: int) -> npt.NDArray[np.intp]:
        """Return the codes of the direct children, in order."""
        span = slice(code + 1, int(self.last[code]) + 1)
        return np.asarray(np.flatnonzero(self.parents[span] == code) + code + 1)

    def ancestors(self, code: int) -> list[int]:
        """Return the codes from the root down to the parent."""
        chain: list[int] = []
        while (code := int(self.parents[code])) != 0:
            chain.append(code)
        return chain[::-1]

    def descendants(self, code: int) -> npt.NDArray[np.intp]:
        """Return the codes below a structure, in file order (itself left out)."""
        below = np.arange(code + 1, int(self.last[code]) + 1)
        return below if self._file_is_preorder else below[np.argsort(self.positions[below])]

    def leaves(self, code: int) -> npt.NDArray[np.intp]:
        """Return the codes at or below a structure that have no children."""
        span = np.arange(code, int(self.last[code]) + 1)
        return np.asarray(span[self.last[span] == span])

    def contains(self, outer: int, inner: int) -> bool:
        """Say whether one structure is the other or an ancestor of it."""
        return outer <= inner <= int(self.last[outer])

    def path_ids(self, code: int) -> list[int]:
        """Return the ids from the root to a structure, both included."""
        return [int(self.ids[c]) for c in (*self.ancestors(code), code)]

    @cached_property
    def _file_is_preorder(self) -> bool:
        return bool((np.diff(self.positions) > 0).all())

    def codes_at_depth(self, depth: int) -> npt.NDArray[np.int32]:
        """Return, for every code, its ancestor at a depth, or itself if it lies higher.

        Parameters
        ----------
        depth
            0 is the root. Negative depths count up from the structure: -1 is itself, -2 its parent.

        Returns
        -------
        numpy.ndarray
            ``int32``, shape ``(N + 1,)``.
        """
        depth = min(max(depth, -len(self.ids)), len(self.ids))  # no path is longer
        if depth in self._at_depth:
            return self._at_depth[depth]
        parents, depths = self.parents.tolist(), self.depths.tolist()
        ancestors = list(range(len(parents)))
        for code in range(1, len(parents)):  # a parent comes before its children
            if depth >= 0 and depths[code] > depth:
                ancestors[code] = ancestors[parents[code]]
        answer = np.array(ancestors, dtype=np.int32)
        for _ in range(min(-1 - depth, int(self.depths.max()))):  # no rounds from the root
            answer = np.where(self.parents[answer] > 0, self.parents[answer], answer)
        answer.flags.writeable = False  # kept: the next caller gets the same array
        self._at_depth[depth] = answer
        return answer

    def level(self, code: int, depth: object) -> list[int]:
        """Return the codes at a depth on the paths from the root to a structure's leaves.

        Parameters
        ----------
        code
            The structure.
        depth
            0 is the root. None returns the ancestors, the structure, and its descendants, level by
            level.

        Raises
        ------
        InvalidInputError
            If the depth is not one, or no path reaches it.
        """
        span = np.arange(code, int(self.last[code]) + 1)
        if depth is None:
            return [
                *self.ancestors(code),
                *span[np.argsort(self.depths[span], kind="stable")].tolist(),
            ]
        if isinstance(depth, bool) or not isinstance(depth, int | np.integer) or depth < 0:
            message = f"A hierarchy level is a depth, 0 (the root) or more; got {depth!r}."
            raise InvalidInputError(message)
        if depth <= self.depths[code]:
            return [int(self.codes_at_depth(int(depth))[code])]
        found = span[self.depths[span] == depth]
        if not len(found):
            message = f"{self.acronyms[code]} has no descendants at hierarchy level {depth}."
            raise InvalidInputError(message)
        return found.tolist()  # type: ignore[no-any-return]

    def codes_under(self, codes: Sequence[int]) -> npt.NDArray[np.int32]:
        """Return, for every code, the deepest of the given structures that holds it, else 0."""
        answer = np.zeros(len(self.ids), dtype=np.int32)
        for code in sorted(
            codes
        ):  # a descendant has the larger code, so it overwrites its ancestor
            answer[code : int(self.last[code]) + 1] = code
        return answer

    def find(self, text: object, *, regex: bool = False) -> list[int]:
        """Search acronyms and names.

        Parameters
        ----------
        text
            An id, or part of an acronym or name, case ignored; or a regular expression.
        regex
            Read ``text`` as a regular expression.

        Returns
        -------
        list of int
            Codes: exact hits first, then acronyms that start with the text, then the rest in
            order. If nothing holds the text, the closest acronyms and names (not with ``regex``).

        Raises
        ------
        InvalidInputError
            If the regular expression is not one.
        """
        if not isinstance(text, str):
            message = f"Search for a text, not {text!r}."
            raise InvalidInputError(message)
        try:
            pattern = re.compile(text if regex else re.escape(text), re.IGNORECASE)
        except (re.error, OverflowError, RecursionError) as error:
            message = f"{text!r} is not a regular expression: {error}."
            raise InvalidInputError(message) from error
        hits = [
            code
            for code in range(1, len(self) + 1)
            if pattern.search(self.acronyms[code]) or pattern.search(self.names[code])
        ]
        if (exact := None if regex else self._code_of_text(text)) and exact not in hits:
            hits.append(exact)  # an id
        if hits or regex:
            return sorted(hits, key=lambda code: self._rank(code, text.lower()))
        return self._close_codes(text)

    def _rank(self, code: int, text: str) -> int:
        acronym, name = self.acronyms[code].lower(), self.names[code].lower()
        if text in (acronym, name, str(self.ids[code])):
            return 0
        return 1 if acronym.startswith(text) else 2

    def _close_codes(self, text: str, limit: int = 5) -> list[int]:
        from difflib import get_close_matches

        spellings: dict[str, int] = {}
        for code in range(len(self), 0, -1):
            spellings[self.names[code].lower()] = code
        for code in range(len(self), 0, -1):
            spellings[self.acronyms[code].lower()] = code
        close = get_close_matches(text.lower(), spellings, n=limit)
        return list(dict.fromkeys(spellings[spelling] for spelling in close))

    def close_matches(self, text: str) -> list[str]:
        """Return acronyms whose acronym or name resembles the text, best first."""
        return [f"{self.acronyms[c]} ({self.names[c]})" for c in self._close_codes(text)]
