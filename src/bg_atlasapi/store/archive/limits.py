"""What an archive may hold, and the two ways in which reading one ends early.

Nothing here reads a byte; see ``archive`` for unpacking.
"""

from __future__ import annotations

from dataclasses import dataclass

from bg_atlasapi.errors import Finding


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an archive may expand to before it is refused.

    They stop archives made to fill a disk, not large atlases: the defaults leave every atlas that
    is published today at least an order of magnitude of room.

    Parameters
    ----------
    members
        Files and folders. A packaged atlas has one per structure, a chunked one up to a hundred
        thousand. Each costs about 0.6 kB of memory while unpacking.
    total_bytes
        Of everything, unpacked.
    grace_bytes, ratio
        At most ``grace_bytes + ratio * (archive bytes read so far)`` may have come out at any
        moment. gzip reaches 1,032 bytes out of one (xz and bzip2 far more), and real volumes come
        near: the Allen labels at 25 µm pack 73:1, magnified twice 200:1, four times 750:1, a plane
        of equal voxels 1,000:1. So a ratio alone cannot tell; the two together let 20 GB of labels
        at 750:1 pass and stop gzip's worst at 16 GiB, however long it would go on.
    path_bytes
        Of one path, in UTF-8, without the top folder; leaves room for the folder it is put in,
        which macOS needs (1,024 in all).
    depth
        Folders and the file in one path.
    header_bytes
        Of one extended header (a long name, a pax record): it is held in memory.
    """

    members: int = 500_000
    total_bytes: int = 2 << 40
    grace_bytes: int = 8 << 30
    ratio: int = 500
    path_bytes: int = 512
    depth: int = 32
    header_bytes: int = 1 << 20


DEFAULT_LIMITS = Limits()


class Refused(Exception):  # noqa: N818 - a signal between functions, never leaves the package
    """The archive is hostile, malformed or no archive.

    Parameters
    ----------
    code, message
        Of the finding that ``unpack`` reports.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.finding = Finding(code, message, "error")


class CutShort(Exception):  # noqa: N818 - a signal between functions, never leaves the package
    """The archive ends before its end; the message says what was expected."""
