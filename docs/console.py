"""Run the shell blocks of a page and put what they print in their place.

``python docs/console.py docs/guides/command-line.md`` renews the page; a test runs the same
function and finds nothing to renew. The commands of a page run one after another in a folder of
their own, with an empty home that the page calls ``/home/ada``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import bg_atlasapi
from bg_atlasapi import bundle_atlas
from bg_atlasapi.testing import tiny_package

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


def renewed(page: str) -> str:
    """Return a page with every line that starts with ``$`` run and its output below it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        (folder / "examples").symlink_to(ROOT / "examples")
        (folder / "home" / "remote").mkdir(parents=True)
        tiny_package(folder / "made")
        made = folder / "made"
        bundle_atlas("tiny_mouse_100um", folder / "home" / "remote", brainglobe_dir=made)

        def block(match: re.Match[str]) -> str:
            commands = [line[2:] for line in match[1].splitlines() if line.startswith("$ ")]
            shown = "\n".join(f"$ {command}\n{_run(command, folder)}" for command in commands)
            return f"```console\n{shown}```"

        return BLOCK.sub(block, page)


def _run(command: str, folder: Path) -> str:
    scripts = Path(sys.executable).parent
    environment = {
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder / "home"),
        "BRAINGLOBE_REMOTES": str(folder / "home" / "remote"),
        "PYTHONUTF8": "1",
    }
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    names = {str(folder / "home"): "/home/ada"}
    names[str(folder)] = "…"
    names[str(Path(bg_atlasapi.__file__).resolve().parent)] = "…/bg_atlasapi"
    text = done.stdout
    for path, name in names.items():
        for spelling in (path, json.dumps(path)[1:-1]):  # JSON escapes what is not ASCII
            text = text.replace(spelling, name)
    lines = [line.rstrip() for line in text.splitlines()]
    return "\n".join(lines).strip("\n") + "\n" if text.strip() else ""


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
