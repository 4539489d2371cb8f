"""Who may ask what: hosts, origins, methods and sizes, decided before anything is looked up.

A page on the internet can make a browser send requests to this machine. It cannot read the answers
without being allowed to, unless its own host name resolves to 127.0.0.1 (DNS rebinding); so the
``Host`` header must name this machine, and an ``Origin`` must be the viewer's own page.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MAX_BODY = 64 << 20
_READING = ("GET", "HEAD")
_LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered.

    Parameters
    ----------
    status
        Of HTTP.
    sentence
        For people; says nothing of what was sent.
    """

    status: int
    sentence: str


def local_hosts(port: int) -> frozenset[str]:
    """Return the ``Host`` headers that mean this server."""
    return frozenset(f"{name}:{port}" for name in _LOCAL_NAMES)


def refusal(
    method: str,
    headers: Iterable[tuple[bytes, bytes]],
    hosts: frozenset[str],
    *,
    origins: frozenset[str] = frozenset(),
    writes: bool = False,
    is_page: bool = False,
) -> Refusal | None:
    """Say why a request is refused, None if it is not.

    Parameters
    ----------
    method
        Of HTTP.
    headers
        Names in lower case.
    hosts
        What ``Host`` may be.
    origins
        Pages elsewhere that may ask.
    writes
        Whether the address takes a POST, and nothing else.
    is_page
        Whether a link on another page may lead here.
    """
    named: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        named.setdefault(name, []).append(value)
    host = [value.decode("latin-1").lower() for value in named.get(b"host", [])]
    if len(host) != 1 or host[0] not in hosts:
        return Refusal(421, "This server answers to localhost only.")
    allowed = {f"http://{name}" for name in hosts} | origins
    sent = [value.decode("latin-1") for value in named.get(b"origin", [])]
    if any(one not in allowed for one in sent):
        return Refusal(403, "Pages of other origins may not ask.")
    site = named.get(b"sec-fetch-site", [b"none"])[0]
    if site not in (b"same-origin", b"none") and not sent and not is_page:
        return Refusal(403, "Pages of other origins may not ask.")
    if (method != "POST") if writes else (method not in _READING):
        return Refusal(405, "This method is not answered here.")
    return _size_refusal(named.get(b"content-length", []), writes=writes)


def _size_refusal(lengths: list[bytes], *, writes: bool) -> Refusal | None:
    if not lengths:
        return None
    if len(lengths) > 1 or not lengths[0].isdigit() or len(lengths[0]) > 15:
        return Refusal(400, "The length of the body is not a number.")
    if not writes and int(lengths[0]):
        return Refusal(413, "This address takes no body.")
    if int(lengths[0]) > MAX_BODY:
        return Refusal(413, f"More than {MAX_BODY >> 20} MB are not taken.")
    return None
