"""The part of a small file that has come so far, and which version of the file it is of.

The name of a part tells the version: ``<file>.<version>.part``, where the version is a hash of the
validator that the server gave (ETag, Last-Modified). ``<file>.<version>.json`` beside it holds the
validator itself. So no record can belong to other bytes, whoever is killed when. A part without a
version, ``<file>.part``, can be gone on with only if a hash of the whole will tell what it became.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from bg_atlasapi.store import disk

PART = ".part"
_NOTE = ".json"


class Part:
    """A part that only this process writes to, taken over from an earlier try if there is one.

    Parameters
    ----------
    plain
        ``<file>.part`` in the folder of parts.
    has_hash
        Whether a hash of the whole file is published.
    """

    def __init__(self, plain: Path, *, has_hash: bool) -> None:
        self._plain, self._has_hash = plain, has_hash
        self.validator: str | None = None
        self._shared = plain
        self.path = self._own()
        for left in sorted(self._left(), key=_size, reverse=True):
            self._take(left)

    def _take(self, left: Path) -> None:
        """Take over what an earlier try left; of several, the first that can be used."""
        validator = self._said(left)
        usable = not self.size and (validator is not None or self._has_hash)
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            if not usable:
                left.unlink()
                return
            self._shared = left
            self.path = self._own()
            left.rename(self.path)
            self.validator = validator

    def _left(self) -> Iterator[Path]:
        stem = self._plain.stem
        yield from (one for one in self._plain.parent.glob(f"{stem}*") if one.suffix == PART)

    def _said(self, left: Path) -> str | None:
        """Return the validator of a part, None if it is not known."""
        if left == self._plain:
            return None
        try:
            validator = json.loads(left.with_suffix(_NOTE).read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        fits = isinstance(validator, str) and self._named(validator) == left
        return validator if fits else None

    def _named(self, validator: str) -> Path:
        version = hashlib.sha256(validator.encode("utf-8", "replace")).hexdigest()[:12]
        return self._plain.with_name(f"{self._plain.stem}.{version}{PART}")

    def _own(self) -> Path:
        return self._shared.with_name(disk.unique(self._shared.name))

    @property
    def size(self) -> int:
        """Bytes that are here."""
        return max(_size(self.path), 0)

    def usable_size(self) -> int:
        """Return how many bytes can be gone on with."""
        return self.size if self._has_hash or self.validator is not None else 0

    def is_of(self, validator: str | None) -> bool:
        """Say whether the part is of the version that a reply brings."""
        return self.validator is None or self.validator == validator

    def begin(self, validator: str | None) -> None:
        """Start with an empty part of the version that a reply brings."""
        self.forget()
        self.validator = validator
        self._shared = self._plain
        if validator is not None and not self._has_hash:
            self._shared = self._named(validator)
            # Before any byte: a part whose version is not known is of no use. It is written as it
            # is: half of it does not fit the name.
            self._shared.with_suffix(_NOTE).write_text(json.dumps(validator), "ascii")
        self.path = self._own()
        self.path.touch(exist_ok=False)

    def forget(self) -> None:
        """Throw away what is here."""
        self.path.unlink(missing_ok=True)
        self.validator = None

    def leave(self) -> None:
        """Give what is here the name under which the next try looks for it."""
        with contextlib.suppress(FileNotFoundError):  # it is in its place
            if self.usable_size():
                self.path.replace(self._shared)
            else:
                self.path.unlink()

    def clear(self) -> None:
        """Remove what earlier tries left beside."""
        for left in self._plain.parent.glob(f"{self._plain.stem}*"):
            if left.suffix in {PART, _NOTE}:
                left.unlink(missing_ok=True)


def _size(path: Path) -> int:
    """Return the size of a file, -1 if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1
