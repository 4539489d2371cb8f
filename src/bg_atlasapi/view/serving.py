"""Run the viewer's server: a free port on localhost, a browser, and an end with Ctrl-C."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from bg_atlasapi.errors import InvalidInputError, StorageError

if TYPE_CHECKING:
    import uvicorn

    from bg_atlasapi.view.local_app import LocalApp

LOCAL = "127.0.0.1"
_START_S, _STOP_S = 20.0, 5.0
_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


def listen(port: int = 0) -> socket.socket:
    """Return a socket that listens on this machine only.

    Parameters
    ----------
    port
        0 for any that is free.

    Raises
    ------
    InvalidInputError
        If the port is in use, or is none.
    """
    if not 0 <= port <= 65535:
        raise InvalidInputError(f"A port is a number from 0 to 65535, got {port}.")
    # asyncio switches Nagle's algorithm off only where the protocol is named; with it, every answer
    # of two packets waits 40 ms for the browser's delayed acknowledgement.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if os.name != "nt":  # there it would let two servers share a port
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((LOCAL, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            message = f"Port {port} is in use by another program; leave it out for any free one."
        else:
            reason = error.strerror or error
            message = f"Port {port} cannot be used ({reason}); leave it out for any free one."
        raise InvalidInputError(message) from error
    return listening


def address_of(listening: socket.socket, fragment: str = "") -> str:
    """Return the address of a page, with where the view begins."""
    own = f"http://{LOCAL}:{listening.getsockname()[1]}/"
    return f"{own}#{fragment}" if fragment else own


class Opening:
    """A browser that is being opened, which may take seconds, in a thread."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._opened = False

    def __call__(self, url: str) -> None:
        """Open an address."""

        def open_it() -> None:
            self._opened = open_browser(url)

        self._thread = threading.Thread(target=open_it, name="browser", daemon=True)
        self._thread.start()

    def done(self) -> bool:
        """Wait for it; say whether there seems to be a browser."""
        if self._thread is not None:
            self._thread.join()
        return self._opened


class Viewing:
    """A viewer that is running.

    Parameters
    ----------
    app
        What answers.
    listening
        Where.
    fragment
        Of the address: where the view begins.
    url
        What shows it, if that is another page.

    Attributes
    ----------
    url : str
        Open this in a browser.
    """

    def __init__(
        self, app: LocalApp, listening: socket.socket, fragment: str = "", url: str | None = None
    ) -> None:
        self.app = app
        self.url = url or address_of(listening, fragment)
        self._server = _server(app)
        self._thread = threading.Thread(
            target=self._server.run, args=([listening],), name="viewer", daemon=True
        )
        try:
            self._thread.start()
            self._until_started()
        except BaseException:  # Ctrl-C too: nobody would have what closes it
            self.close()
            listening.close()
            raise

    def _until_started(self) -> None:
        deadline = time.monotonic() + _START_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise StorageError("The viewer's server did not start.")
            time.sleep(0.002)

    def wait(self) -> None:
        """Return when the viewer was closed; Ctrl-C closes it."""
        try:
            while self._thread.is_alive():
                self._thread.join(0.2)
        except KeyboardInterrupt:
            self.close()

    def close(self) -> None:
        """Stop answering."""
        self._server.should_exit = True
        self.app.stop()  # else the server waits for what takes long, and complains of it
        with contextlib.suppress(RuntimeError):  # interrupted before it began
            self._thread.join(_STOP_S)
        self.app.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "running" if self._thread.is_alive() else "closed"
        return f"<Viewing {self.url}, {state}>"


def _server(app: Any) -> uvicorn.Server:
    import uvicorn

    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        ws="none",
        loop="asyncio",
        http="h11",
        limit_concurrency=256,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def open_browser(url: str) -> bool:
    """Open an address in the browser of this desktop; say whether there seems to be one.

    A browser in the terminal is none: it would take the terminal and show nothing.
    """
    import webbrowser

    elsewhere = sys.platform in ("win32", "darwin")
    if not elsewhere and not any(os.environ.get(name) for name in (*_DISPLAYS, "BROWSER")):
        return False
    try:
        return webbrowser.open(url)
    except (webbrowser.Error, OSError):
        return False
