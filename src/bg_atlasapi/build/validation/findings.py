"""Findings as something that can be printed, filtered and carried on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

from bg_atlasapi.build.validation.atlas_codes import ERROR, NOTE, WARNING
from bg_atlasapi.build.validation.catalogue import SEVERITIES, completed, found, rank
from bg_atlasapi.errors import AtlasError, Finding, InvalidAtlasError

if TYPE_CHECKING:
    import pandas as pd

_PLURAL = {ERROR: "errors", WARNING: "warnings", NOTE: "notes"}
_SHOWN = 3
# Of one code; an atlas whose every voxel is wrong would else fill the memory.
MOST = 2000


class Findings(tuple[Finding, ...]):
    """A tuple of findings, the gravest first; printing it groups them by code.

    Examples
    --------
    >>> from bg_atlasapi import BrainGlobeAtlas
    >>> findings = BrainGlobeAtlas("phantom_mouse_100um").check()
    >>> findings.ok, len(findings.errors)
    (True, 0)
    """

    __slots__ = ()

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> Self:
        """Sort findings, drop repeats, and cut short what is more than ``MOST`` of a code."""
        by_code: dict[str, list[Finding]] = {}
        for one in {(one.code, one.message): one for one in findings}.values():
            by_code.setdefault(one.code, []).append(one)
        kept: list[Finding] = []
        for code, some in by_code.items():
            kept += some[:MOST]
            if len(some) > MOST:
                rest = f"And {len(some) - MOST:,} more of the same."
                kept.append(Finding(code, rest, some[0].severity, "", some[0].mend))
        return cls(sorted(kept, key=rank))

    @property
    def errors(self) -> Findings:
        """What must be mended."""
        return self.select(severity=ERROR)

    @property
    def warnings(self) -> Findings:
        """What is likely not as it was meant."""
        return self.select(severity=WARNING)

    @property
    def notes(self) -> Findings:
        """What is worth knowing."""
        return self.select(severity=NOTE)

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not self.errors

    def select(self, code: str | None = None, severity: str | None = None) -> Findings:
        """Return those of a code, or of a severity."""
        return Findings(
            one for one in self if code in {None, one.code} and severity in {None, one.severity}
        )

    def counts(self) -> dict[str, int]:
        """Return how many there are of each code."""
        counts: dict[str, int] = {}
        for one in self:
            counts[one.code] = counts.get(one.code, 0) + 1
        return counts

    def summary(self) -> str:
        """Return how many there are of each severity, in words."""
        parts = []
        for severity in SEVERITIES:
            number = len(self.select(severity=severity))
            if number:
                parts.append(f"{number} {severity if number == 1 else _PLURAL[severity]}")
        return ", ".join(parts) or "nothing found"

    def to_dicts(self) -> list[dict[str, str]]:
        """Return them as plain values, for JSON."""
        keys = ("code", "severity", "message", "where", "mend")
        return [{key: getattr(one, key) for key in keys} for one in self]

    def to_dataframe(self) -> pd.DataFrame:
        """Return a table, a row each: ``code``, ``severity``, ``message``, ``where``, ``mend``."""
        import pandas as pd

        return pd.DataFrame(
            self.to_dicts(), columns=["code", "severity", "message", "where", "mend"]
        )

    def raise_errors(self, where: object) -> None:
        """Raise ``InvalidAtlasError`` with all errors, if there are any."""
        if not self.ok:
            raise InvalidAtlasError(where, self.errors)

    def text(self, shown: int = _SHOWN) -> str:
        """Return them for people: by code, each with its first few messages.

        Parameters
        ----------
        shown
            How many of each code.
        """
        lines = [f"{self.summary()[0].upper()}{self.summary()[1:]}."]
        for code, count in self.counts().items():
            some = self.select(code=code)
            lines += ["", f"{some[0].severity}: {code}{f' ({count:,})' if count > 1 else ''}"]
            lines += [f"  {one.message}" for one in some[:shown]]
            if count > shown:
                lines.append(f"  and {count - shown:,} more")
            if some[0].mend:
                lines.append(f"  → {some[0].mend}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<Findings: {self.text()}>"


def of_error(error: Exception, where: str = "") -> list[Finding]:
    """Return what an error says as findings; any error, so that a check never ends in one."""
    if isinstance(error, InvalidAtlasError):
        return [completed(one) for one in error.findings]
    if isinstance(error, AtlasError):
        return [found("unreadable", str(error), where)]
    reason = str(error).strip().partition("\n")[0]
    return [found("check-failed", f"{type(error).__name__}: {reason}", where)]
