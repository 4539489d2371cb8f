"""What labels answer, at a depth or among given structures: one number for each distinct answer.

Points go through ``points``; this is for questions that compare answers or add up by them, for many
voxels at a time. How an answer is called in a table is said here too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.model.labels import LabelVolume
from bg_atlasapi.query.points import ELSEWHERE_LABEL, ancestors_at, unlisted_label

if TYPE_CHECKING:
    import numpy.typing as npt

OUTSIDE = 0
ELSEWHERE = -(2**63)  # in a region, but in none of those asked for; no label has this number


class Answers:
    """Labels to answers.

    An answer is the id of a structure, ``OUTSIDE``, ``ELSEWHERE``, or the label itself where the
    terminology lacks it.

    Parameters
    ----------
    labels
        The annotation.
    at
        As in ``points.ancestors_at``; None answers the labels themselves.
    """

    def __init__(self, labels: LabelVolume, at: int | Sequence[object] | None) -> None:
        self.terminology = labels.terminology
        self._unsigned = labels.dtype == np.uint64
        self._table, self._gaps = (None, False)
        if at is not None:
            self._table, self._gaps = ancestors_at(labels.terminology, at)

    def of(self, ids: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
        """Return the answers of labels, ``int64`` of the same shape."""
        raw = ids.astype(np.int64)  # an id past 2**63 wraps, and back in `columns`
        if self._table is None:
            return raw
        codes = self.terminology.index.positions(ids)
        rolled = self._table[codes]
        answers = self.terminology.ids.astype(np.int64)[rolled]
        if not self._gaps:
            return np.where(codes < 0, raw, answers)
        answers = np.where((codes < 0) | (rolled == 0), ELSEWHERE, answers)
        return np.where(ids == 0, OUTSIDE, answers)

    def columns(self, answers: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        """Return the columns id, acronym and name of answers."""
        distinct, place = np.unique(answers, return_inverse=True)
        described = [self._described(answer) for answer in distinct.tolist()]
        ids = np.array([one[0] for one in described], np.uint64 if self._unsigned else np.int64)
        texts = np.array([one[1:] for one in described], object).reshape(-1, 2)
        return {"id": ids[place], "acronym": texts[place, 0], "name": texts[place, 1]}

    def codes(self, answers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return codes of answers, in the order of tables: those without one come last."""
        listed = self.terminology.index.positions(answers).astype(np.int64)
        return np.where(listed < 0, len(self.terminology) + 1, listed)

    def _described(self, answer: int) -> tuple[int, str, str]:
        if answer == ELSEWHERE:
            return OUTSIDE, ELSEWHERE_LABEL, ELSEWHERE_LABEL
        identifier = answer % 2**64 if self._unsigned else answer
        code = self.terminology.code_of_id(identifier)
        if code < 0:
            return identifier, unlisted_label(identifier), unlisted_label(identifier)
        return identifier, self.terminology.acronyms[code], self.terminology.names[code]
