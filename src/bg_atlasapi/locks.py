"""A lock for what is worked out once and shared by threads.

It survives what plain locks do not: a pickle or copy gets a lock of its own, and so does a forked
child, where the thread that held the lock does not exist. Nothing of this is about other processes.
"""

from __future__ import annotations

import os
import threading


class OnceLock:
    """A re-entrant lock to be used with ``with``."""

    def __init__(self) -> None:
        self._renew()

    def _renew(self) -> None:
        self._lock = threading.RLock()
        self._process = os.getpid()

    def __enter__(self) -> None:
        if os.getpid() != self._process:
            self._renew()
        self._lock.acquire()

    def __exit__(self, *_error: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type[OnceLock], tuple[()]]:
        return (OnceLock, ())
