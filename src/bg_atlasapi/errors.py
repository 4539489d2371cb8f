"""The exceptions of the library, in one tree.

::

    AtlasError
    ├─ InvalidInputError(ValueError)          an argument that cannot be understood
    │  ├─ AlreadyThereError(FileExistsError)  something is in the way of what was to be written
    │  ├─ InvalidVolumeError                  values that cannot be labels; carries every finding
    │  └─ InvalidRecipeError                  a recipe of an atlas; carries every finding
    ├─ UnknownAtlasError(ValueError)          close matches; how to list
    ├─ UnknownStructureError(KeyError)        close matches; readable str()
    ├─ UnknownVolumeError(KeyError)           which volumes there are
    ├─ InvalidAtlasError(ValueError)          carries every finding, each with a code
    ├─ IncompleteAtlasError(FileNotFoundError)  what is missing or damaged, how to repair
    ├─ StorageError(OSError)                  disk full, folder not writable
    └─ RemoteError(ConnectionError)
       ├─ OfflineError                        the network is switched off
       ├─ UnreachableError                    no answer: which host, which proxy
       ├─ RefusedError                        an answer, but not a file: its HTTP status
       └─ ChecksumError                       the bytes are not those that were published

What deserves attention and is no error is a warning: ``GroupingWarning``.

Each class also derives from the standard exception that 1.x raised (or let through) in the same
place, so that ``except KeyError`` written years ago and ``except AtlasError`` written today both
work.
This module holds no logic besides the wording of messages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or worth knowing, about an atlas.

    Parameters
    ----------
    code
        Stable identifier, for example ``"duplicate-acronym"``.
    message
        One sentence for people: what, where, expected against found.
    severity
        ``"error"`` when the atlas cannot be used as it is, ``"warning"`` when something is likely
        not as it was meant, ``"note"`` when it is just worth knowing.
    where
        The structure, file, key or line it is about; empty for the whole atlas.
    mend
        What to do about it, one sentence; empty where the message says it.
    """

    code: str
    message: str
    severity: str = "warning"
    where: str = ""
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"


class AtlasError(Exception):
    """Root of everything this library raises on purpose."""


class InvalidInputError(AtlasError, ValueError):
    """An argument cannot be understood: points, units, depths, versions, files of points."""


class AlreadyThereError(InvalidInputError, FileExistsError):
    """Something lies where something new was to be written, and may not be replaced."""


class InvalidVolumeError(InvalidInputError):
    """The values of a volume are not what they should be; every finding is listed.

    Parameters
    ----------
    where
        The file.
    findings
        What is wrong.
    """

    def __init__(self, where: object, findings: Sequence[Finding]) -> None:
        super().__init__(where, findings)
        self.where = where
        self.findings = tuple(findings)

    def __str__(self) -> str:
        return " ".join(f"{one.message} {one.mend}".strip() for one in self.findings)


class InvalidRecipeError(InvalidInputError):
    """A recipe cannot be built as it is; every finding is listed.

    Parameters
    ----------
    where
        The recipe.
    findings
        What is wrong, in the order of the file, and what else was noticed.
    """

    def __init__(self, where: object, findings: Sequence[Finding]) -> None:
        super().__init__(where, findings)
        self.where = where
        self.findings = tuple(findings)

    def __str__(self) -> str:
        errors = [one for one in self.findings if one.severity == "error"]
        lines = "".join(f"\n  - {_placed(finding)}" for finding in errors)
        return f"{self.where} cannot be built, {_counted(len(errors))}:{lines}"


def _counted(number: int) -> str:
    return "1 finding" if number == 1 else f"{number} findings"


def _placed(finding: Finding) -> str:
    """Return a finding with its place and what to do."""
    where = f"{finding.where}: " if finding.where else ""
    mend = f" {finding.mend}" if finding.mend else ""
    return f"{where}{finding.message}{mend} [{finding.code}]"


class UnknownAtlasError(AtlasError, ValueError):
    """No atlas of this name (or version) is installed or known."""


class UnknownStructureError(AtlasError, KeyError):
    """No structure answers to this id, acronym or name.

    The search for close matches runs only when the message is read, because callers that probe
    with ``try/except KeyError`` in a loop would otherwise pay for it every time.

    Parameters
    ----------
    key
        What was asked for.
    suggest
        Called when the message is read; returns close matches, best first.
    """

    def __init__(self, key: object, suggest: Callable[[], Sequence[str]] | None = None) -> None:
        super().__init__(key)
        self.key = key
        self._suggest = suggest

    def __str__(self) -> str:
        text = f"No structure has the id, acronym or name {self.key!r}."
        matches = list(self._suggest()) if self._suggest else []
        if matches:
            text += f" Close matches: {', '.join(matches)}."
        return f"{text} Search with atlas.structures.find(...)."

    def __reduce__(self) -> tuple[object, ...]:
        matches = tuple(self._suggest()) if self._suggest else ()
        return (_rebuild_unknown_structure, (self.key, matches))


def _rebuild_unknown_structure(key: object, matches: Sequence[str]) -> UnknownStructureError:
    return UnknownStructureError(key, lambda: matches)


class UnknownVolumeError(AtlasError, KeyError):
    """The atlas has no volume of this name.

    Parameters
    ----------
    name
        What was asked for.
    known
        The volumes there are.
    """

    def __init__(self, name: object, known: Sequence[str]) -> None:
        super().__init__(name, known)
        self.name, self.known = name, tuple(known)

    def __str__(self) -> str:
        return f"This atlas has no volume {self.name!r}; it has {', '.join(self.known)}."


class InvalidAtlasError(AtlasError, ValueError):
    """The atlas contradicts itself or its format; every finding is listed.

    Parameters
    ----------
    where
        The file or folder that was read.
    findings
        What is wrong, most important first.
    """

    def __init__(self, where: object, findings: Sequence[Finding]) -> None:
        super().__init__(where, findings)
        self.where = where
        self.findings = tuple(findings)

    def __str__(self) -> str:
        if len(self.findings) == 1:
            return f"{self.where} is not a valid atlas: {self.findings[0]}"
        lines = "".join(f"\n  - {finding}" for finding in self.findings)
        return f"{self.where} is not a valid atlas, {len(self.findings)} findings:{lines}"


class IncompleteAtlasError(AtlasError, FileNotFoundError):
    """A file that the atlas needs is missing, cut short, or not what was installed."""


class StorageError(AtlasError, OSError):
    """The disk is full, or a folder cannot be written to."""


class RemoteError(AtlasError, ConnectionError):
    """A remote could not be reached, refused, or answered nonsense."""


class OfflineError(RemoteError):
    """Network use was needed but is switched off (``BRAINGLOBE_OFFLINE``)."""


class UnreachableError(RemoteError):
    """A host did not answer: no network, no such host, a proxy that refuses, silence.

    Parameters
    ----------
    message
        One sentence for people.
    is_unknown_host
        Whether nobody knows the host's address, as without a network.
    """

    def __init__(self, message: str, *, is_unknown_host: bool = False) -> None:
        super().__init__(message)
        self.is_unknown_host = is_unknown_host


class RefusedError(RemoteError):
    """A host answered, but not with what was asked for.

    Parameters
    ----------
    message
        One sentence for people.
    status
        The HTTP status; 404 also stands for a file that a folder lacks.
    retry_after_s
        How long the host asks to wait before the next try, seconds.
    """

    def __init__(
        self, message: str, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s

    @property
    def is_absence(self) -> bool:
        """Whether the answer was that there is no such thing."""
        return self.status in {404, 410}


class ChecksumError(RemoteError):
    """Bytes arrived whole but are not the bytes that were published."""


class GroupingWarning(UserWarning):
    """Groups of an atlas overlap, or were made for another atlas; which, and what becomes of it."""
