"""Compare the bytes that came with what was published."""

from __future__ import annotations

import hashlib

from bg_atlasapi.errors import ChecksumError
from bg_atlasapi.store.transport import http
from bg_atlasapi.store.transport.sources import Listed


class Checked:
    """Adds up what was read and compares it with what is published."""

    def __init__(self, url: str, expected: Listed) -> None:
        self._url, self._expected = url, expected
        self._read = 0
        self._digests = {"SHA-256": hashlib.sha256()}
        if expected.md5:
            self._digests["MD5"] = hashlib.md5(usedforsecurity=False)

    @property
    def has_hash(self) -> bool:
        """Whether a hash is published."""
        return bool(self._expected.sha256 or self._expected.md5)

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._read += len(data)
        for digest in self._digests.values():
            digest.update(data)

    def result(self) -> tuple[int, str]:
        """Return size and SHA-256 of what was fed.

        Raises
        ------
        ChecksumError
            If it is not what was published.
        """
        got: dict[str, object] = {name: d.hexdigest() for name, d in self._digests.items()}
        got["size"] = self._read
        expected = self._expected
        stated = {"size": expected.size, "SHA-256": expected.sha256, "MD5": expected.md5}
        for name, want in stated.items():
            if want is not None and want != got[name]:
                raise not_as_published(self._url, name, want, got[name])
        return self._read, str(got["SHA-256"])


def not_as_published(url: str, what: str, want: object, got: object) -> ChecksumError:
    """Return the error of bytes that arrived but are not what was published."""
    message = (
        f"{http.without_login(url)} is not what was published: its {what} is {got}, expected "
        f"{want}. Nothing of it was installed, the download was thrown away."
    )
    return ChecksumError(message)
