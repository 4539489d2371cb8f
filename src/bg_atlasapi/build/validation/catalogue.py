"""Every finding there is: its code, how grave it is, what it means, how to mend it.

A code is stable: scripts may go by it. It always has the same severity, whoever finds it: an atlas
that is checked, a recipe, a table, an archive. ``docs/reference/findings`` is made of the tables in
``atlas_codes`` and ``source_codes``. Layers below, ``formats``, ``model`` and ``store``, make
findings without this table; a test walks their source and compares.
"""

from __future__ import annotations

from dataclasses import dataclass

from bg_atlasapi.build.validation import atlas_codes, source_codes
from bg_atlasapi.build.validation.atlas_codes import ERROR, NOTE, WARNING
from bg_atlasapi.errors import Finding

SEVERITIES = (ERROR, WARNING, NOTE)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a code means.

    Parameters
    ----------
    code
        Stable.
    severity
        ``"error"``: answers would be wrong, or there are none; a build stops. ``"warning"``:
        usable, but something is likely not as it was meant. ``"note"``: worth knowing.
    chapter
        What it is about.
    meaning
        What is wrong, for the reference.
    mend
        What to do about it.
    """

    code: str
    severity: str
    chapter: str
    meaning: str
    mend: str


KINDS = {row[0]: Kind(*row) for row in (*atlas_codes.ROWS, *source_codes.ROWS)}
_ORDER = {code: place for place, code in enumerate(KINDS)}


def found(code: str, message: str, where: str = "", mend: str | None = None) -> Finding:
    """Return a finding of a code that is in the table.

    Parameters
    ----------
    code
        In ``KINDS``.
    message
        What, where, expected against found.
    where
        What it is about.
    mend
        What to do about it; None for what the table says, empty where the message says it.
    """
    kind = KINDS[code]
    return Finding(code, message, kind.severity, where, kind.mend if mend is None else mend)


def completed(finding: Finding) -> Finding:
    """Return a finding, of a reader, as grave as the table says, and with how to mend it."""
    kind = KINDS.get(finding.code)
    if kind is None:
        return finding
    return Finding(
        finding.code, finding.message, kind.severity, finding.where, finding.mend or kind.mend
    )


def rank(finding: Finding) -> tuple[int, int]:
    """Return by what findings are sorted: the gravest first, then as in the table."""
    known = finding.severity in SEVERITIES
    grave = SEVERITIES.index(finding.severity) if known else len(SEVERITIES)
    return grave, _ORDER.get(finding.code, len(_ORDER))
