"""The words for what goes wrong on the network, patience, proxies; no server is needed."""

from __future__ import annotations

import http.client
import io
import re
import ssl
import time
from email.utils import formatdate

import pytest
import urllib3
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from bg_atlasapi.errors import (
    InvalidInputError,
    OfflineError,
    RefusedError,
    RemoteError,
    UnreachableError,
)
from bg_atlasapi.store import remotes
from bg_atlasapi.store.transport import connections, failures
from bg_atlasapi.store.transport.http import SHARED, Patience, refuse_if_offline

URL = "https://me:s3cret@example.org:8443/a/b.tar.gz"
CONNECTION = HTTPConnection("example.org")
POOL = HTTPConnectionPool("example.org")


def untrusted() -> ssl.SSLCertVerificationError:
    """Return what Python raises for a certificate that is not trusted."""
    text = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: bad (_ssl.c:1006)"
    error = ssl.SSLCertVerificationError(1, text)
    error.verify_message = "unable to get local issuer certificate"
    return error


def raised_from(error: Exception, cause: BaseException) -> Exception:
    """Return an error with a cause."""
    error.__cause__ = cause
    return error


CAUSES = {
    "no such host, or no network": urllib3.exceptions.NameResolutionError(
        "example.org", CONNECTION, OSError(-2, "Name or service not known")
    ),
    "connection refused": raised_from(
        urllib3.exceptions.NewConnectionError(CONNECTION, "Failed: [Errno 111]"),
        ConnectionRefusedError(111, "Connection refused"),
    ),
    "it did not answer within 7 s": urllib3.exceptions.ConnectTimeoutError(
        CONNECTION, "Connection to example.org timed out. (connect timeout=7)"
    ),
    "nothing came for 7 s": urllib3.exceptions.ReadTimeoutError(POOL, "/a", "Read timed out."),
    "the connection broke off": urllib3.exceptions.ProtocolError(
        "Connection broken: IncompleteRead(3 bytes read, 30 more expected)",
        urllib3.exceptions.IncompleteRead(3, 30),
    ),
    "it hung up without an answer": urllib3.exceptions.ProtocolError(
        "Connection aborted.", http.client.RemoteDisconnected("Remote end closed connection")
    ),
    "connection reset by peer": urllib3.exceptions.ProtocolError(
        "Connection aborted.", ConnectionResetError(104, "Connection reset by peer")
    ),
    "the proxy refuses (HTTP 403)": urllib3.exceptions.ProxyError(
        "Unable to connect to proxy", OSError("Tunnel connection failed: 403 Forbidden")
    ),
    "its certificate is not trusted (unable to get local issuer certificate). If your network has "
    "certificates of its own, name their file in SSL_CERT_FILE": urllib3.exceptions.SSLError(
        untrusted()
    ),
    "no secure connection (wrong version number)": urllib3.exceptions.SSLError(
        ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)")
    ),
    "network is unreachable": raised_from(
        urllib3.exceptions.NewConnectionError(CONNECTION, "Failed"),
        OSError(101, "Network is unreachable"),
    ),
}


@pytest.mark.parametrize("words", CAUSES)
def test_what_happened_in_words(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind of failure has its own; none shows how the library is built."""
    monkeypatch.setenv("BRAINGLOBE_TIMEOUT", "7")
    assert failures._what_happened(CAUSES[words]) == words
    wrapped = urllib3.exceptions.MaxRetryError(POOL, "/a", CAUSES[words])
    with pytest.raises(UnreachableError) as caught:
        failures.raise_explained(wrapped, URL)
    said = str(caught.value)
    assert f": {words}. " in said
    assert said.startswith("example.org:8443 ")
    assert "s3cret" not in said
    assert not re.search(r"object at 0x|MaxRetry|urllib3", said)
    assert said.endswith(".")
    assert caught.value.__cause__ is wrapped


def test_words_of_things_never_heard_of() -> None:
    """Whatever it is, there are words, without addresses in memory or logins."""
    for error, words in (
        (
            urllib3.exceptions.HTTPError("<pool object at 0x7f00>: http://a:b@c/ is odd."),
            "http://c/ is odd",
        ),
        (urllib3.exceptions.HTTPError(), "HTTPError"),
        (OSError(), "OSError"),
        (http.client.BadStatusLine("junk"), "junk"),
    ):
        assert failures._what_happened(error) == words


def test_a_chain_of_errors_that_is_a_circle() -> None:
    """Does not keep anybody busy."""
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert failures._what_happened(first) == "second"


def test_never_connected_or_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two read differently, and each says what to do."""
    said = {}
    for words in ("connection refused", "connection reset by peer"):
        with pytest.raises(UnreachableError) as caught:
            failures.raise_explained(CAUSES[words], URL)
        said[words] = str(caught.value)
    assert said["connection refused"] == (
        "example.org:8443 cannot be reached: connection refused. To work without the network, "
        "install from a folder or bundle: brainglobe add PATH."
    )
    assert said["connection reset by peer"] == (
        "example.org:8443 did not deliver https://example.org:8443/a/b.tar.gz: connection reset by "
        "peer. Try again; a download goes on where it ended."
    )
    monkeypatch.setenv("HTTPS_PROXY", "http://you:hidden@proxy:3128")
    with pytest.raises(UnreachableError) as caught:
        failures.raise_explained(CAUSES["connection refused"], URL)
    assert "example.org:8443 cannot be reached through the proxy http://proxy:3128: " in str(
        caught.value
    )


def answer(status: int, body: bytes = b"", **headers: str) -> urllib3.HTTPResponse:
    """Return an answer of a server."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return urllib3.HTTPResponse(
        io.BytesIO(body), named, status, preload_content=False, request_method="GET"
    )


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "asks for a login (HTTP 401): https://example.org:8443/a/b.tar.gz. Ask whoever"),
        (403, "does not allow it (HTTP 403)"),
        (404, "has no such file (HTTP 404): https://example.org:8443/a/b.tar.gz."),
        (429, "asks for fewer requests (HTTP 429)"),
        (500, "is in trouble (HTTP 500): https://example.org:8443/a/b.tar.gz. Try again later."),
        (418, "refuses (HTTP 418)"),
        (304, "refuses (HTTP 304)"),
    ],
)
def test_refusals_in_words(status: int, words: str) -> None:
    """Host, what, status, address, what to do; the status is also a number."""
    with pytest.raises(RefusedError) as caught:
        failures.refuse(answer(status), URL)
    assert caught.value.status == status
    assert str(caught.value).startswith(f"example.org:8443 {words}")
    assert "s3cret" not in str(caught.value)


def test_what_a_server_says_is_passed_on() -> None:
    """As plain text, the start of it, and not for files that are not there."""
    page = b"<html><h1>Maintenance</h1>\n <p>until noon" + b" x" * 500
    with pytest.raises(
        RefusedError, match=r"It says: 'Maintenance until noon x.{1,170}\. Try again"
    ) as caught:
        failures.refuse(answer(503, page), URL)
    assert len(str(caught.value)) < 400
    with pytest.raises(RefusedError) as caught:
        failures.refuse(answer(404, page), URL)
    assert "Maintenance" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("in 100 s", 100.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("soon", None),
        ("-3", None),
        ("", None),
    ],
)
def test_retry_after(said: str, seconds: float | None) -> None:
    """Seconds or a date; nonsense is no wish."""
    if said == "in 100 s":
        said = formatdate(time.time() + 100, usegmt=True)
    with pytest.raises(RefusedError) as caught:
        failures.refuse(answer(503, Retry_After=said), URL)
    found = caught.value.retry_after_s
    assert found == (None if seconds is None else pytest.approx(seconds, abs=3))


def test_a_proxy_that_asks_for_a_login(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is about the proxy, not about the host behind it."""
    monkeypatch.setenv("HTTPS_PROXY", "http://you:hidden@proxy:3128")
    with pytest.raises(RefusedError) as caught:
        failures.refuse(answer(407), URL)
    assert str(caught.value) == (
        "The proxy http://proxy:3128 asks for a login (HTTP 407). Write name and password into its "
        "address: http://NAME:PASSWORD@HOST:PORT."
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://a:b@c/d", "http://c/d"),
        ("http://a:b@x@c/d@e", "http://c/d@e"),
        ("http://c/d@e", "http://c/d@e"),
        ("see http://a@c and http://b:x@d:1/", "see http://c and http://d:1/"),
        ("s3://bucket/key", "s3://bucket/key"),
    ],
)
def test_logins_are_left_out(text: str, shown: str) -> None:
    """Of every address in a text, also where a password holds an at sign."""
    assert connections.without_login(text) == shown


# Patience


def spent(error: RemoteError, patience: Patience | None = None) -> list[float]:
    """Return the waits until patience ends."""
    waits: list[float] = []
    patience = patience or Patience()
    for _ in range(100):
        try:
            patience.spend(error, waits.append)
        except RemoteError:
            return waits
    raise AssertionError


def test_patience_ends() -> None:
    """Three waits, each longer; none for what would not change."""
    waits = spent(UnreachableError("x"))
    assert len(waits) == 3
    assert 0 < waits[0] < 1 < sum(waits) < 6
    assert len(spent(RefusedError("x", 503))) == 3
    for error in (
        RefusedError("x", 404),
        RefusedError("x", 403),
        RefusedError("x"),
        OfflineError("x"),
    ):
        assert spent(error) == []


def test_a_server_may_ask_to_wait() -> None:
    """For a minute at most; one that asks for longer is given up at once."""
    assert min(spent(RefusedError("x", 429, 30.0))) >= 30.0
    assert spent(RefusedError("x", 503, 3600.0)) == []


def test_progress_renews_patience() -> None:
    """A download that gets on may break any number of times."""
    patience = Patience()
    for _ in range(50):
        patience.spend(UnreachableError("x"), lambda _: None)
        patience.renew()


def test_time_outs_use_up_patience_twice_as_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that is not there costs two time-outs, not four."""
    monkeypatch.setenv("BRAINGLOBE_TIMEOUT", "0.01")
    patience = Patience()
    time.sleep(0.02)
    patience.spend(UnreachableError("x"), lambda _: None)
    time.sleep(0.02)
    with pytest.raises(UnreachableError):
        patience.spend(UnreachableError("x"), lambda _: None)


# Connections


def test_which_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """By scheme, else for all; not for hosts that are excepted."""
    monkeypatch.setenv("ALL_PROXY", "http://all:1")
    monkeypatch.setenv("HTTPS_PROXY", "secure:2")
    monkeypatch.setenv("NO_PROXY", "near.org, .inner.org")
    assert connections.proxy_of("http://far.org/") == "http://all:1"
    assert connections.proxy_of("https://far.org/") == "http://secure:2"
    for host in ("near.org", "a.inner.org", "near.org:8080"):
        assert connections.proxy_of(f"https://{host}/x") == ""
    monkeypatch.setenv("NO_PROXY", "*")
    assert connections.proxy_of("http://far.org/") == ""


@pytest.mark.parametrize(
    "proxy", ["http://a:s3cret@:::", "ftp://a:s3cret@b", "http://a:s3cret@b:x"]
)
def test_proxies_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """Are told at once, by name, without the login, and with the variables to look at."""
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(InvalidInputError, match="cannot be used: .*HTTP_PROXY.*NO_PROXY") as caught:
        SHARED.get("http://127.0.0.1:9/")
    assert "s3cret" not in str(caught.value)


def test_socks_needs_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(InvalidInputError, match="PySocks"):
        connections.new_pool("socks5://me:s3cret@127.0.0.1:1")


def test_offline_is_said_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the login of the address; a value that is neither yes nor no is an error."""
    monkeypatch.setenv("BRAINGLOBE_OFFLINE", "1")
    with pytest.raises(
        OfflineError, match="BRAINGLOBE_OFFLINE is set, so https://example.org"
    ) as caught:
        SHARED.get(URL)
    assert "s3cret" not in str(caught.value)
    assert str(caught.value).endswith("brainglobe add PATH.")
    monkeypatch.setenv("BRAINGLOBE_OFFLINE", "maybe")
    with pytest.raises(InvalidInputError, match="BRAINGLOBE_OFFLINE must be 1 or 0"):
        refuse_if_offline("x")


def test_advice_is_given_once() -> None:
    """The messages of several remotes become one text."""
    advice = failures.WITHOUT_NETWORK
    errors = [UnreachableError(f"{host} is away. {advice}") for host in "ab"]
    assert remotes.together(errors) == f"a is away. b is away. {advice}"
    assert (
        remotes.together([RefusedError("c refuses."), errors[0]])
        == f"c refuses. a is away. {advice}"
    )
    assert remotes.together([OfflineError("x"), OfflineError("y")]).startswith(
        "BRAINGLOBE_OFFLINE is set."
    )
    assert remotes.together([RefusedError("c refuses.")]) == "c refuses."
