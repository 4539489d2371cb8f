"""A local web server for tests, which serves a folder, misbehaves when told, and counts bytes.

>>> import tempfile, urllib.request
>>> from pathlib import Path
>>> from bg_atlasapi.testing.server import Server
>>> with tempfile.TemporaryDirectory() as folder:
...     _ = Path(folder, "a.bin").write_bytes(b"0123456789")
...     with Server(Path(folder)) as server:
...         server.set("/a.bin", flip_byte=0)
...         with urllib.request.urlopen(f"{server.url}/a.bin") as response:
...             body = response.read()
...         body[1:], server.sent("/a.bin"), [request.status for request in server.log()]
(b'123456789', 10, [200])

It runs in a process of its own, so that it neither slows nor is slowed by what is tested, and ends
with the process that started it. It listens on 127.0.0.1 only. It is no server for anything else:
plain HTTP, nothing checked, everything under one folder readable.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import bg_atlasapi
from bg_atlasapi.testing.server_faults import Fault, Request, matches

__all__ = ["Fault", "Proxy", "Request", "Server"]

_CONTROL = "/__control__/"
_PATIENCE_S = 10.0


class _Child:
    """A process that listens, the end of it, and its log."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._settings = dict(settings)
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def __enter__(self) -> Self:
        """Start the process; it answers when this returns."""
        source = str(Path(bg_atlasapi.__file__).parents[1])
        search = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
        process = subprocess.Popen(  # noqa: S603 - runs this Python
            # -P: a test's working folder may hold files that look like modules
            [
                *(sys.executable, "-P", "-m", "bg_atlasapi.testing.server_process"),
                json.dumps(self._settings),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(search)},
        )
        self._process = process
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            self.__exit__(None, None, None)
            raise RuntimeError(f"the test server ended as it started, code {process.returncode}")
        self._port = int(line)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process and every connection it has."""
        if self._process is None:
            return
        process, self._process, self._port = self._process, None, 0
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``, without a slash at its end."""
        if not self._port:
            raise RuntimeError("the test server is not running: use it in a with statement")
        return f"http://127.0.0.1:{self._port}"

    def log(self, pattern: str = "*") -> list[Request]:
        """Return the requests whose path matches, in the order they came.

        Counts are up to date: every byte that a client of this server has read is in them.
        """
        requests = [Request(**entry) for entry in self._control("log")]
        return [one for one in requests if matches(pattern, one.path, one.query)]

    def sent(self, pattern: str = "*") -> int:
        """Return the bytes of body sent for paths that match."""
        return sum(request.sent for request in self.log(pattern))

    def reset_log(self) -> None:
        """Forget the requests until now."""
        self._control("reset_log")

    def _control(self, verb: str, said: object = None) -> Any:
        """Ask the process over HTTP; ``http.client`` heeds no proxy of the environment."""
        host = self.url.removeprefix("http://")
        connection = http.client.HTTPConnection(host, timeout=_PATIENCE_S)
        try:
            connection.request("POST", _CONTROL + verb, json.dumps(said))
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise RuntimeError(f"the test server refused {verb}: {response.status}")
        return json.loads(body)


class Server(_Child):
    """Serves a folder like a static host or like S3; use it in a ``with`` statement.

    It knows GET and HEAD, keep-alive, strong ETags (MD5 of the content), ``Last-Modified``, single
    ranges (206, 416), ``If-Range``, ``If-None-Match``, ``If-Modified-Since`` and ``If-Match``.

    Parameters
    ----------
    root
        The folder. Nothing outside it is served. Changed files are served as they are now.
    s3_bucket
        Be like S3 with a bucket of this name, which is ``root``: keys at ``/<name>/<key>`` and
        at ``/<key>``, ListObjectsV2 at ``/<name>`` and ``/``, errors in XML.
    ranges
        If false, ``Range`` is ignored and not offered.
    etags
        If false, there are none.
    listing
        Answer for folders with an index page like that of Python's ``http.server``, else 404.
    rate
        Bytes per second for each connection; None is no limit.
    latency
        Seconds before each answer.
    page_size
        Entries on a page of an S3 listing, at most.
    """

    def __init__(  # noqa: PLR0913 - all by name
        self,
        root: Path,
        *,
        s3_bucket: str | None = None,
        ranges: bool = True,
        etags: bool = True,
        listing: bool = False,
        rate: float | None = None,
        latency: float = 0.0,
        page_size: int = 1000,
    ) -> None:
        super().__init__(
            {
                "root": str(Path(root).resolve()),
                "s3_bucket": s3_bucket,
                "ranges": ranges,
                "etags": etags,
                "listing": listing,
                "rate": rate,
                "latency": latency,
                "page_size": page_size,
            }
        )

    def set(self, path_pattern: str, *faults: Fault, **fault: Any) -> None:
        """Misbehave from now on, for requests that match.

        Of several calls whose pattern matches, the newest decides that is not used up.

        Parameters
        ----------
        path_pattern
            As in ``fnmatch``, for the decoded path from its first slash; ``*`` matches slashes
            too. With an equals sign in it, for path and query.
        *faults
            What to do, one after the other, each for its ``times`` requests. ``Fault(times=3)``
            is three requests that go well.
        **fault
            One more, by the fields of ``Fault``.

        Raises
        ------
        TypeError, ValueError
            For a fault that does not exist, or cannot be.
        """
        every = [*faults, Fault(**fault)] if fault or not faults else faults
        said = {"pattern": path_pattern, "faults": [asdict(one) for one in every]}
        self._control("set", said)

    def clear(self) -> None:
        """Behave well from now on. Connections that hang go on hanging."""
        self._control("clear")


class Proxy(_Child):
    """Forwards plain HTTP (absolute form) within this machine; use it in a ``with`` statement.

    What it logs has whole URLs as paths: ``proxy.sent("http://*/a.bin")``.

    Parameters
    ----------
    refuse
        Answer every request with this status, such as 403 or 407, instead of forwarding it.
    upstream
        URL of a local server that stands for every host; None forwards to the host that is asked
        for, if it is this machine, and else answers 502.
    """

    def __init__(self, *, refuse: int | None = None, upstream: str | None = None) -> None:
        super().__init__({"refuse": refuse, "upstream": upstream})
