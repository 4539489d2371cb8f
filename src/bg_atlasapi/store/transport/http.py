"""One way to ask web servers: reused connections, proxies, certificates, waits, clear errors.

urllib3 does the talking, because it notices a body that ends early. Retries are not its business
here: who reads a body knows where to go on, so ``Patience`` says only how long to wait.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from bg_atlasapi import settings
from bg_atlasapi.errors import (
    InvalidInputError,
    OfflineError,
    RefusedError,
    RemoteError,
    UnreachableError,
)

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

_BUSY = {408, 425, 429, 500, 502, 503, 504}
_REASONS = {
    401: "asks for a login",
    403: "does not allow it",
    404: "has no such file",
    407: "asks the proxy for a login",
    410: "has no such file any more",
    429: "asks for fewer requests",
}
_OFFLINE_HINT = (
    "To work without the network, install from a folder or bundle (brainglobe add PATH); "
    "BRAINGLOBE_OFFLINE=1 stops asking."
)
_CONNECTIONS = 16


@dataclass(slots=True)
class Patience:
    """How often to try again, and how long to wait before.

    A try that brought bytes counts as a success, so a long download may break many times.
    """

    tries_left: int = 4
    wait_s: float = 0.4

    def renew(self) -> None:
        """Start counting anew: there was progress."""
        self.tries_left, self.wait_s = 4, 0.4

    def spend(self, error: RemoteError, sleep: Callable[[float], object] = time.sleep) -> None:
        """Wait before the next try, or give up.

        Raises
        ------
        RemoteError
            The one given, if it is not worth another try or none is left.
        """
        hopeless = isinstance(error, RefusedError) and error.status not in _BUSY
        self.tries_left -= 1
        if hopeless or isinstance(error, OfflineError) or self.tries_left <= 0:
            raise error
        wait = self.wait_s * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, not a secret
        asked = error.retry_after_s if isinstance(error, RefusedError) else None
        sleep(max(wait, min(asked or 0.0, 60.0)))
        self.wait_s = min(self.wait_s * 2, 20.0)


class Http:
    """Connections to web servers, to be shared by threads; made anew in a forked process."""

    def __init__(self) -> None:
        self._pools: dict[str, PoolManager] = {}
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

        Raises
        ------
        OfflineError
            If the network is switched off; no socket was opened.
        UnreachableError
            If there was no answer.
        RefusedError
            If the answer was not 200 or 206.
        """
        refuse_if_offline(url)
        import urllib3

        fields = {"Accept-Encoding": "identity", "User-Agent": "bg-atlasapi", **(headers or {})}
        retries = urllib3.Retry(total=None, connect=0, read=0, status=0, other=0, redirect=8)
        retries.raise_on_status = False
        seconds = timeout_s or settings.timeout_s()
        try:
            response = self._pool(url).urlopen(
                method,
                url,
                headers=fields,
                preload_content=False,
                retries=retries,
                timeout=urllib3.Timeout(connect=seconds, read=seconds),
            )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise_explained(error, url)
        if response.status not in {200, 206}:
            refuse(response, url)
        return response

    def _pool(self, url: str) -> PoolManager:
        """Return the connections for an address: straight, or through the proxy it needs."""
        proxy = proxy_of(url)
        with self._lock:
            if self._process != os.getpid():
                self._pools, self._process = {}, os.getpid()
            if proxy not in self._pools:
                self._pools[proxy] = _new_pool(proxy)
            return self._pools[proxy]


def refuse_if_offline(what: str) -> None:
    """Stop before the network is used, if it is switched off.

    Raises
    ------
    OfflineError
        If ``BRAINGLOBE_OFFLINE`` is set.
    """
    if settings.offline():
        message = (
            f"BRAINGLOBE_OFFLINE is set, so {what} is not asked. Unset it to use the network, or "
            "install from a folder or bundle: brainglobe add PATH."
        )
        raise OfflineError(message)


def proxy_of(url: str) -> str:
    """Return the proxy that the environment names for an address, empty for none.

    ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, in either case, and what macOS
    and Windows have set.
    """
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    if not proxy or not parts.hostname or proxy_bypass(parts.netloc):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _new_pool(proxy: str) -> PoolManager:
    import urllib3

    options: dict[str, Any] = {"maxsize": _CONNECTIONS, "ssl_context": _certificates()}
    if not proxy:
        return urllib3.PoolManager(**options)
    login = urlsplit(proxy)
    headers = None
    if login.username:
        credentials = f"{login.username}:{login.password or ''}"
        headers = urllib3.make_headers(proxy_basic_auth=credentials)
    try:
        return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        message = f"The proxy {without_login(proxy)!r} of the environment cannot be used: {error}"
        raise InvalidInputError(message) from error


def _certificates() -> Any:
    """Return the certificates to trust: the named bundle, else the system's, else certifi's."""
    import ssl

    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    try:
        if named:
            if os.path.isdir(named):  # noqa: PTH112 - a string of the environment
                return ssl.create_default_context(capath=named)
            return ssl.create_default_context(cafile=named)
        context = ssl.create_default_context()  # reads SSL_CERT_FILE and SSL_CERT_DIR
    except (OSError, ssl.SSLError) as error:
        message = f"The certificates in {named or 'SSL_CERT_FILE'} cannot be read: {error}"
        raise InvalidInputError(message) from error
    if not context.cert_store_stats()["x509_ca"] and "SSL_CERT_DIR" not in os.environ:
        try:
            import certifi

            context.load_verify_locations(certifi.where())
        except ImportError:
            pass
    return context


def refuse(response: BaseHTTPResponse, url: str) -> NoReturn:
    """Raise the error of an answer that is not a file.

    Raises
    ------
    RefusedError
        Always; it carries the status, and how long the server asks to wait.
    """
    status = response.status
    said = " ".join(re.sub(r"<[^>]*>", " ", _start_of(response)).split())[:160]
    response.drain_conn() if status < 400 else response.close()
    reason = _REASONS.get(status, "failed" if status >= 500 else "refused")
    detail = f" It said: {said!r}." if said and status not in {404, 410} else ""
    message = f"{urlsplit(url).netloc} {reason} (HTTP {status}) for {without_login(url)}.{detail}"
    raise RefusedError(message, status, _seconds(response.headers.get("Retry-After")))


def _start_of(response: BaseHTTPResponse) -> str:
    import urllib3

    try:
        return response.read(400, decode_content=False).decode("utf-8", "replace")
    except (urllib3.exceptions.HTTPError, OSError):
        return ""


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.strip().isdigit() else None


def raise_explained(error: Exception, url: str) -> NoReturn:
    """Raise the error of an exchange that broke off.

    Raises
    ------
    UnreachableError
        Says which host, through which proxy, and what the system said.
    """
    import urllib3

    cause: BaseException = error
    if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason is not None:
        cause = error.reason
    host = urlsplit(url).netloc.rpartition("@")[2] or url
    proxy = proxy_of(url)
    through = f" through the proxy {without_login(proxy)}" if proxy else ""
    if isinstance(cause, urllib3.exceptions.ResponseError) and "redirect" in str(cause):
        message = f"{host} redirects without end for {without_login(url)}."
        raise RefusedError(message, 310) from error
    if isinstance(cause, urllib3.exceptions.LocationValueError):
        message = f"{without_login(url)!r} is not an address: {cause}"
        raise InvalidInputError(message) from error
    message = f"{host} cannot be reached{through}: {_what_happened(cause)} {_OFFLINE_HINT}"
    raise UnreachableError(message) from error


def _what_happened(cause: BaseException) -> str:
    """Put into words what a library said in its own."""
    import urllib3

    kinds: tuple[tuple[type[Exception], str], ...] = (
        (urllib3.exceptions.NameResolutionError, "no such host, or no network."),
        (urllib3.exceptions.ConnectTimeoutError, "it did not answer in time."),
        (urllib3.exceptions.ReadTimeoutError, "it stopped sending."),
        (urllib3.exceptions.IncompleteRead, "the connection broke off."),
    )
    for kind, words in kinds:
        if isinstance(cause, kind):
            return words
    seen: set[int] = set()
    inner: BaseException | None = cause
    while inner is not None and id(inner) not in seen:
        seen.add(id(inner))
        if isinstance(inner, OSError) and inner.strerror:
            return f"{inner.strerror}."
        inner = inner.__cause__ or inner.__context__ or getattr(inner, "original_error", None)
    text = re.sub(r"<[^<>]*object at 0x[0-9a-f]+>:? ?", "", str(cause))
    return f"{text.rstrip('.') or type(cause).__name__}."


def without_login(url: str) -> str:
    """Return an address without the name and password it may hold."""
    return re.sub(r"//[^/@]*@", "//", url)


SHARED = Http()
