"""One way to ask web servers: reused connections, proxies, certificates, waits, clear errors.

urllib3 does the talking, because it notices a body that ends early. Retries are not its business
here: who reads a body knows where to go on, so ``Patience`` says only how long to wait.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bg_atlasapi import settings
from bg_atlasapi.errors import OfflineError, RefusedError, RemoteError, UnreachableError
from bg_atlasapi.store.transport.connections import (
    named_certificates,
    new_pool,
    proxy_of,
    split_login,
    without_login,
)
from bg_atlasapi.store.transport.failures import (
    BUSY,
    WITHOUT_NETWORK,
    broken_off,
    host_of,
    raise_explained,
    refuse,
    watched_redirects,
)

if TYPE_CHECKING:
    from urllib3 import PoolManager

__all__ = [
    "SHARED",
    "WITHOUT_NETWORK",
    "Http",
    "Patience",
    "broken_off",
    "host_of",
    "raise_explained",
    "refuse",
    "refuse_if_offline",
    "split_login",
    "without_login",
]

_LONGEST_WAIT_S = 60.0


@dataclass(slots=True)
class Patience:
    """How often to try again, and how long to wait before.

    A try that brought bytes counts as a success, so a long download may break many times. Tries
    that end in a time-out, or for want of the host's address, count double: nobody should wait a
    minute for a host that is not there.
    """

    tries_left: int = 4
    wait_s: float = 0.4
    began: float = field(default_factory=time.monotonic)

    def renew(self) -> None:
        """Start counting anew: there was progress."""
        self.tries_left, self.wait_s, self.began = 4, 0.4, time.monotonic()

    def spend(self, error: RemoteError, sleep: Callable[[float], object] = time.sleep) -> None:
        """Wait before the next try, or give up.

        Raises
        ------
        RemoteError
            The one given, if it is not worth another try or none is left.
        """
        hopeless = isinstance(error, RefusedError) and error.status not in BUSY
        timed_out = time.monotonic() - self.began >= settings.timeout_s()
        unknown = isinstance(error, UnreachableError) and error.is_unknown_host
        self.tries_left -= 2 if timed_out or unknown else 1
        asked = (error.retry_after_s if isinstance(error, RefusedError) else None) or 0.0
        hopeless = hopeless or isinstance(error, OfflineError) or asked > _LONGEST_WAIT_S
        if hopeless or self.tries_left <= 0:
            raise error
        wait = self.wait_s * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, not a secret
        sleep(max(wait, asked))
        self.wait_s = min(self.wait_s * 2, 20.0)
        self.began = time.monotonic()


class Http:
    """Connections to web servers, to be shared by threads; made anew in a forked process."""

    def __init__(self) -> None:
        self._pools: dict[tuple[str, ...], PoolManager] = {}
        self._lock = threading.Lock()
        self._process = os.getpid()

    def get(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        method: str = "GET",
        timeout_s: float | None = None,
    ) -> Any:
        """Ask for a file; the body is read from the answer by the caller, who releases it.

        A login in the address is said to its host, and to no other that it redirects to.

        Raises
        ------
        OfflineError
            If the network is switched off; no socket was opened.
        UnreachableError
            If there was no answer.
        RefusedError
            If the answer was not 200 or 206.
        """
        refuse_if_offline(without_login(url))
        import urllib3

        url, login = split_login(url)
        fields = {"Accept-Encoding": "identity", "User-Agent": "bg-atlasapi", **login}
        fields |= headers or {}
        seconds = timeout_s or settings.timeout_s()
        pool = self._pool(url)
        try:
            response = pool.urlopen(
                method,
                url,
                headers=fields,
                preload_content=False,
                retries=watched_redirects(url),
                timeout=urllib3.Timeout(connect=seconds, read=seconds),
            )
        except RefusedError:
            raise
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise_explained(error, url)
        if response.status not in {200, 206}:
            refuse(response, url)
        return response

    def _pool(self, url: str) -> PoolManager:
        """Return the connections for an address: straight, or through the proxy it needs."""
        proxy = proxy_of(url)
        key = (proxy, *named_certificates())
        with self._lock:
            if self._process != os.getpid():
                self._pools, self._process = {}, os.getpid()
            if key not in self._pools:
                self._pools[key] = new_pool(proxy)
            return self._pools[key]


def refuse_if_offline(what: str) -> None:
    """Stop before the network is used, if it is switched off.

    Raises
    ------
    OfflineError
        If ``BRAINGLOBE_OFFLINE`` is set.
    """
    if settings.offline():
        message = (
            f"BRAINGLOBE_OFFLINE is set, so {what} is not asked. Unset it to use the network. "
            f"{WITHOUT_NETWORK}"
        )
        raise OfflineError(message)


SHARED = Http()
