"""``brainglobe view`` as a process: what it prints, how it ends, what it says of wrong input."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

PROGRAM = [sys.executable, "-c", "from bg_atlasapi.cli import main; main()", "view"]


def _environment(**changes: str) -> dict[str, str]:
    kept = {
        k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    }
    return {**kept, **changes}


def _ended(*words: str, atlas: str = "phantom_mouse_100um") -> subprocess.CompletedProcess[str]:
    command = [*PROGRAM, atlas, *words]
    return subprocess.run(
        command, capture_output=True, text=True, env=_environment(), timeout=120, check=False
    )


def _begun(*words: str, **changes: str) -> tuple[subprocess.Popen[str], str]:
    """Start the verb; return the process and the address it prints."""
    process = subprocess.Popen(
        [*PROGRAM, "phantom_mouse_100um", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(**changes),
    )
    assert process.stdout is not None
    found = re.search(r"http\S+", process.stdout.readline())
    assert found is not None
    return process, found[0]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
def test_ctrl_c_stops_it() -> None:
    """It answers at the address it prints, says how to see it without a browser, and ends with Ctrl-C, at once and cleanly."""
    process, url = _begun()
    parts = urlsplit(url)
    with urllib.request.urlopen(f"http://{parts.netloc}/api/atlas.json") as answer:
        assert json.loads(answer.read())["name"] == "phantom_mouse"
    keeping = socket.create_connection((parts.hostname, parts.port))  # a browser stays connected
    assert process.stderr is not None
    said = process.stderr.readline()
    assert said == "No browser could be opened here: open the address above in one.\n"
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    keeping.close()
    assert process.returncode == 0
    assert output.splitlines()[-1] == "Stopped."
    assert errors == ""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
@pytest.mark.parametrize("wait_s", [0, 0.02, 0.05, 0.1, 0.2])
def test_ctrl_c_stops_it_from_the_address_on(wait_s: float) -> None:
    """Whoever stops it as soon as the address is there stops it as cleanly, whatever it is doing."""
    process, _ = _begun("--no-browser")
    time.sleep(wait_s)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output.splitlines()[-1], errors) == (0, "Stopped.", "")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to send")
def test_a_browser_is_opened_at_the_view(tmp_path: Path) -> None:
    """The browser of the desktop gets the address, with region and position in it."""
    note = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {note}.part && mv {note}.part {note}\n')
    browser.chmod(0o755)
    words = ("--structure", "VISp", "--structure", "TH", "--position", "7100,3870,4500")
    process, url = _begun(*words, BROWSER=f"{browser} %s")
    try:
        deadline = time.monotonic() + 30
        while not note.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert note.read_text() == url
        assert url.endswith("#p=71,38,45&s=385&m=385,549")
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_neuroglancer_gets_a_link() -> None:
    """The link that is printed names the client and a state that is served to it alone."""
    process, url = _begun("--neuroglancer", "--client", "http://127.0.0.1:9/ng", "--no-browser")
    try:
        client, _, state = url.partition("/#!")
        assert client == "http://127.0.0.1:9/ng"
        asking = urllib.request.Request(state, headers={"Origin": "http://127.0.0.1:9"})
        with urllib.request.urlopen(asking) as answer:
            assert answer.headers["Access-Control-Allow-Origin"] == "http://127.0.0.1:9"
            assert json.loads(answer.read())["layout"] == "4panel"
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_a_port_in_use_is_one_sentence() -> None:
    """A port that another program holds is named, with what to do."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = _ended("--port", str(port), "--no-browser")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"Error: Port {port} is in use by another program; leave it out for any free one.\n"
    )


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("--position", "1,2"), 2, "A position is three numbers of µm"),
        (("--position", "here"), 2, "--position takes three numbers"),
        (("--position", "0,0,99999999"), 2, "lies outside the volume of 13200 × 8000 × 11400 µm"),
        (("--structure", "VISq"), 3, "No structure has the id, acronym or name 'VISq'"),
        (("--points", "none.csv"), 2, "none.csv cannot be read"),
        (("--values", "none.csv"), 2, "none.csv cannot be read"),
        (("--port", "70000"), 2, "A port is a number from 0 to 65535"),
        (("--neuroglancer", "--client", "nowhere"), 2, "A client of Neuroglancer is an address"),
        (("--neuroglancer", "--points", "x.csv"), 2, "are shown by the viewer of this package"),
        (("--client", "http://127.0.0.1:9"), 2, "--client goes with --neuroglancer"),
        (("--column", "total"), 2, "--column goes with --values"),
        (("--unit", "mm"), 2, "--unit and --columns go with --points"),
    ],
)
def test_wrong_input_is_one_sentence(words: tuple[str, ...], code: int, part: str) -> None:
    """What cannot be shown ends the verb before anything listens, with one sentence."""
    done = _ended(*words)
    assert done.returncode == code
    assert done.stdout == ""
    assert part in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_wrong_columns_are_one_sentence(tmp_path: Path) -> None:
    """A table without coordinates, or without regions, says which columns it has."""
    table = tmp_path / "table.csv"
    table.write_text("a,b\n1,x\n")
    done = _ended("--points", str(table))
    assert done.returncode == 2
    assert "Found: a, b." in done.stderr
    done = _ended("--values", str(table))
    assert done.returncode == 2
    assert "no column that names regions" in done.stderr
    assert "it has a, b" in done.stderr
