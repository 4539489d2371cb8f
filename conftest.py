"""Every test runs with a home of its own and without the network."""

from __future__ import annotations

import os
import socket

import pytest

_LOCAL = {"127.0.0.1", "::1", "localhost"}


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the home folder to an empty one and clear what the environment says of atlases."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    for name in [one for one in os.environ if one.startswith(("BRAINGLOBE_", "AWS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MPLBACKEND", "agg")  # plots open no window
    monkeypatch.delenv("COLUMNS", raising=False)  # tables are as wide as they need to be
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    # Offers nothing; without it, an unknown name would ask the world.
    remote = tmp_path_factory.mktemp("remote")
    (remote / "last_versions.conf").write_text("[atlases]\n")
    monkeypatch.setenv("BRAINGLOBE_REMOTES", str(remote))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections that would leave this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and address[0] not in _LOCAL:
            message = f"a test tried to reach {address}"
            raise AssertionError(message)
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)
