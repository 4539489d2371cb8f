"""Is there a newer version? Asked at most daily, off the critical path, and never failing an open.

``latest`` answers from an index not older than a day, else asks. ``look_later`` does so in the
background, a while after an atlas was opened: a script that ends before uses no network at all.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from pathlib import Path

from bg_atlasapi import settings

_DELAY_S = 3.0
_looked_for: set[tuple[str, tuple[int, int]]] = set()


def latest(
    addresses: Sequence[str], layers: Sequence[Path], name: str, *, fresh: bool = False
) -> tuple[int, int] | None:
    """Return the newest version of an atlas at the first remote that has it.

    Parameters
    ----------
    addresses, layers
        Of the remotes, and of the folders of atlases.
    name
        Of the atlas.
    fresh
        Ask even if an index of today is at hand.

    Returns
    -------
    tuple of int or None
        None if no remote has it, or none can be asked and none was seen before.
    """
    from bg_atlasapi.errors import RemoteError
    from bg_atlasapi.store import index, remotes

    for address in addresses:
        seen = index.recall(layers, address)
        if seen is None or seen.age_s > index.DAY_S or fresh:
            asked = remotes.Remotes([address], layers)
            with contextlib.suppress(RemoteError):
                seen = next(iter(asked.indexes()), seen)
            if asked.failures:
                index.note_failure(layers, address)
        if seen is not None and seen.versions.get(name):
            return max(seen.versions[name])
    return None


def look_later(
    addresses: Sequence[str], layers: Sequence[Path], name: str, version: tuple[int, int]
) -> None:
    """Say in the log if a newer version appears; once for an atlas in a process."""
    if settings.offline() or (name, version) in _looked_for:
        return
    _looked_for.add((name, version))
    timer = threading.Timer(_DELAY_S, _look, (tuple(addresses), tuple(layers), name, version))
    timer.daemon = True
    with contextlib.suppress(RuntimeError):  # no more threads: do without
        timer.start()


def _look(
    addresses: Sequence[str], layers: Sequence[Path], name: str, version: tuple[int, int]
) -> None:
    with contextlib.suppress(Exception):  # nobody asked, so nobody is told of failures
        from bg_atlasapi.store import index

        asked = [one for one in addresses if not index.failed_lately(layers, one)]
        found = latest(asked, layers, name)
        if found is not None and found > version:
            import logging

            logging.getLogger("bg_atlasapi").warning(
                "%s %d.%d is available (%d.%d is installed): brainglobe update %s",
                name,
                *found,
                *version,
                name,
            )
