"""Put into words what goes wrong between this machine and a server: which host, why, what next.

``refuse`` is for answers that are not a file, ``raise_explained`` for exchanges without an answer.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urljoin, urlsplit

from bg_atlasapi import settings
from bg_atlasapi.errors import InvalidInputError, RefusedError, UnreachableError
from bg_atlasapi.store.transport.connections import proxy_of, without_login
from bg_atlasapi.store.transport.numbers import whole_number

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, Retry

BUSY = {408, 425, 429, 500, 502, 503, 504}
_REASONS = {
    401: "asks for a login",
    403: "does not allow it",
    404: "has no such file",
    410: "has no such file any more",
    429: "asks for fewer requests",
}
# Ends messages of hosts that cannot be used; where several are joined, it is said once.
WITHOUT_NETWORK = (
    "To work without the network, install from a folder or bundle: brainglobe add PATH."
)
_LONGEST = 300  # characters of a server's words in a message
_PROXY_LOGIN = "Write name and password into its address: http://NAME:PASSWORD@HOST:PORT."


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
    wait_s = _seconds(response.headers.get("Retry-After"))
    proxy = _through(url)
    if status == 407:
        message = (
            f"The proxy {proxy.rpartition(' ')[2]} asks for a login (HTTP 407). {_PROXY_LOGIN}"
        )
        raise RefusedError(message, status)
    reason = _REASONS.get(status, "is in trouble" if status >= 500 else "refuses")
    detail = f" It says: {said!r}." if said and status not in {404, 410} else ""
    advice = f" {_advice(status, wait_s)}" if _advice(status, wait_s) else ""
    shown = without_login(url)
    message = f"{host_of(url)}{proxy} {reason} (HTTP {status}): {shown}.{detail}{advice}"
    raise RefusedError(message, status, wait_s)


def _advice(status: int, wait_s: float | None) -> str:
    """Say what to do about an answer that is not a file."""
    if status in BUSY:
        later = f"in {wait_s:,.0f} s" if wait_s else "later"
        return f"Try again {later}."
    if status in {401, 403}:
        return "Ask whoever runs it, or name another remote in BRAINGLOBE_REMOTES."
    return ""


def host_of(url: str) -> str:
    """Return the host, and port, of an address."""
    return urlsplit(url).netloc.rpartition("@")[2] or without_login(url)


def _through(url: str) -> str:
    """Return words for the proxy on the way to an address, none if there is none."""
    proxy = proxy_of(url)
    return f" through the proxy {without_login(proxy)}" if proxy else ""


def _start_of(response: BaseHTTPResponse) -> str:
    import urllib3

    try:
        return response.read(400, decode_content=False).decode("utf-8", "replace")
    except (urllib3.exceptions.HTTPError, OSError):
        return ""


def _seconds(text: str | None) -> float | None:
    """Read ``Retry-After``: seconds, or the date until which to wait."""
    from email.utils import parsedate_to_datetime

    number = whole_number(text)
    if number is not None or not text:
        return None if number is None else float(number)
    try:
        return max(parsedate_to_datetime(text[:100]).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, OverflowError, OSError):
        return None


def printable(text: str) -> str:
    r"""Return a text with what would steer a terminal written out, and not too long.

    >>> printable("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown)


def watched_redirects(url: str) -> Retry:
    """Return urllib3's settings for one request: redirects are followed, nothing is tried again."""
    import urllib3

    class Watched(urllib3.Retry):
        """Refuses a redirect to what is not a web address, and says where it leads."""

        def increment(self, *given: Any, **named: Any) -> Retry:  # type: ignore[override]
            response = given[2] if len(given) > 2 else named.get("response")
            location = response.get_redirect_location() if response is not None else None
            if response is not None and location:
                asked = given[1] if len(given) > 1 else named.get("url")
                _check_redirect(url, urljoin(asked or url, location), response)
            return super().increment(*given, **named)

    retries = Watched(total=None, connect=0, read=0, status=0, other=0, redirect=8)
    retries.raise_on_status = False
    return retries


def _check_redirect(url: str, to: str, response: BaseHTTPResponse) -> None:
    """Stop at a redirect that leads to no web server."""
    parts = urlsplit(to)
    if parts.scheme in {"http", "https"} and parts.hostname:
        return
    message = (
        f"{host_of(url)} redirects {without_login(url)} to {printable(without_login(to))}, which "
        "is not an address of the web (http, https)."
    )
    response.close()
    raise RefusedError(message, response.status)


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
    if isinstance(cause, urllib3.exceptions.ResponseError) and "redirect" in str(cause):
        message = f"{host_of(url)} redirects without end: {without_login(url)}."
        raise RefusedError(message, 310) from error
    if isinstance(cause, urllib3.exceptions.LocationValueError):
        reason = printable(without_login(str(cause))).rstrip(".")
        message = f"{without_login(url)!r} is not an address: {reason}."
        raise InvalidInputError(message) from error
    happened = printable(_what_happened(cause))
    if _was_connected(cause):
        raise broken_off(url, happened) from error
    message = f"{host_of(url)} cannot be reached{_through(url)}: {happened}. {WITHOUT_NETWORK}"
    unknown = any(isinstance(one, urllib3.exceptions.NameResolutionError) for one in _chain(cause))
    raise UnreachableError(message, is_unknown_host=unknown) from error


def broken_off(url: str, happened: str = "the connection broke off") -> UnreachableError:
    """Return the error of a host that answered and did not give the whole file."""
    message = (
        f"{host_of(url)}{_through(url)} did not deliver {without_login(url)}: {happened}. "
        "Try again; a download goes on where it ended."
    )
    return UnreachableError(message)


def _was_connected(cause: BaseException) -> bool:
    import urllib3

    never = (
        urllib3.exceptions.ConnectTimeoutError,
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.ProxyError,
        urllib3.exceptions.SSLError,
    )
    return not isinstance(cause, never)


def _what_happened(cause: BaseException) -> str:
    """Put into words what a library said in its own, without a full stop."""
    import http.client
    import ssl

    import urllib3

    kinds: tuple[tuple[type[Exception], str], ...] = (
        (urllib3.exceptions.NameResolutionError, "no such host, or no network"),
        (urllib3.exceptions.ReadTimeoutError, f"nothing came for {settings.timeout_s():g} s"),
        (http.client.IncompleteRead, "the connection broke off"),
        (http.client.RemoteDisconnected, "it hung up without an answer"),
    )
    chain = list(_chain(cause))
    for one in chain:
        for kind, words in kinds:
            if isinstance(one, kind):
                return words
    for one in chain:
        if isinstance(one, ssl.SSLError):
            return _certificate_words(one)
        if isinstance(one, OSError) and one.strerror:
            return one.strerror.rstrip(".").lower()
        tunnel = re.search(r"Tunnel connection failed: (\d+)", str(one))
        if tunnel:
            words = f"the proxy refuses (HTTP {tunnel[1]})"
            return f"{words}. {_PROXY_LOGIN.rstrip('.')}" if tunnel[1] == "407" else words
    if isinstance(cause, urllib3.exceptions.ConnectTimeoutError):
        return f"it did not answer within {settings.timeout_s():g} s"
    said = [one.args[0] for one in chain if len(one.args) == 1 and isinstance(one.args[0], str)]
    text = re.sub(r"<[^<>]*object at 0x[0-9a-f]+>:? ?", "", said[-1] if said else str(cause))
    return without_login(text.rstrip(".")) or type(cause).__name__


def _chain(cause: BaseException) -> Iterator[BaseException]:
    """Give an error, and those that it is about."""
    seen: set[int] = set()
    waiting: list[object] = [cause]
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        about = [getattr(one, "original_error", None), *one.args]
        waiting += [*about, one.__cause__, one.__context__]


def _certificate_words(error: OSError) -> str:
    reason = getattr(error, "verify_message", "") or error.strerror or str(error)
    reason = re.sub(r"\[[^\]]*\] ?| ?\(_ssl[^)]*\)", "", reason).strip().rstrip(".")
    if not getattr(error, "verify_message", ""):
        return f"no secure connection ({reason})"
    return (
        f"its certificate is not trusted ({reason}). If your network has certificates of its own, "
        "name their file in SSL_CERT_FILE"
    )
