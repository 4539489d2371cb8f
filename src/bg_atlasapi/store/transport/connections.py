"""How to connect: straight or through a proxy, and which certificates to trust.

All of it is said by the environment: ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY``, ``NO_PROXY``,
``SSL_CERT_FILE``, ``SSL_CERT_DIR``, ``REQUESTS_CA_BUNDLE``, ``CURL_CA_BUNDLE``.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from bg_atlasapi.errors import InvalidInputError

if TYPE_CHECKING:
    from urllib3 import PoolManager

_CONNECTIONS = 16
_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


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


def new_pool(proxy: str) -> PoolManager:
    """Return connections through a proxy, or straight if it is empty.

    Raises
    ------
    InvalidInputError
        If the proxy or the certificates that the environment names cannot be used.
    """
    import urllib3

    options: dict[str, Any] = {"maxsize": _CONNECTIONS, "ssl_context": _certificates()}
    if not proxy:
        return urllib3.PoolManager(**options)
    login = urlsplit(proxy)
    headers = None
    if login.username:
        credentials = f"{unquote(login.username)}:{unquote(login.password or '')}"
        headers = urllib3.make_headers(proxy_basic_auth=credentials)
    try:
        if proxy.startswith("socks"):
            return _socks_pool(proxy, options)
        return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)
    except InvalidInputError:
        raise
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise InvalidInputError(_unusable(proxy, str(error))) from error


def _socks_pool(proxy: str, options: dict[str, Any]) -> PoolManager:
    from importlib.util import find_spec

    if find_spec("socks") is None:
        raise InvalidInputError(_unusable(proxy, "it needs the package PySocks"))
    from urllib3.contrib.socks import SOCKSProxyManager

    return SOCKSProxyManager(proxy, **options)


def _unusable(proxy: str, reason: str) -> str:
    return without_login(
        f"The proxy {proxy} that the environment names cannot be used: {reason}. Correct or unset "
        "HTTP_PROXY, HTTPS_PROXY and ALL_PROXY, or name the host in NO_PROXY."
    )


def named_certificates() -> tuple[str, ...]:
    """Return what the environment says of certificates; other words need other connections."""
    return tuple(os.environ.get(name, "") for name in _CERTIFICATES)


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
        reason = error.strerror or str(error) or type(error).__name__
        message = f"The certificates in {named or 'SSL_CERT_FILE'} cannot be read: {reason}."
        raise InvalidInputError(message) from error
    if not context.cert_store_stats()["x509_ca"] and "SSL_CERT_DIR" not in os.environ:
        try:
            import certifi

            context.load_verify_locations(certifi.where())
        except ImportError:
            pass
    return context


def split_login(url: str) -> tuple[str, dict[str, str]]:
    """Take the login out of an address, and return the headers that say it to the host.

    >>> split_login("http://ada:p%40ss@host/x")
    ('http://host/x', {'Authorization': 'Basic YWRhOnBAc3M='})
    """
    import base64

    scheme, mark, rest = url.partition("://")
    place = re.split(r"[/?#]", rest, maxsplit=1)[0]
    login, at, host = place.rpartition("@")
    if not mark or not at:
        return url, {}
    name, _, password = login.partition(":")
    said = f"{unquote(name)}:{unquote(password)}".encode("utf-8", "replace")
    headers = {"Authorization": f"Basic {base64.b64encode(said).decode()}"} if login else {}
    return f"{scheme}://{host}{rest[len(place) :]}", headers


def without_login(text: str) -> str:
    """Return an address, or a text with addresses, without the names and passwords in them."""
    return re.sub(r"//[^/\s]*@", "//", text)
