"""What the documentation shows of the command line."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import bg_atlasapi

DOCS = Path(__file__).parents[3] / "docs"


def console_is_ours() -> bool:
    """Say whether the command on the path runs the package under test."""
    command = shutil.which("brainglobe", path=str(Path(sys.executable).parent))
    if command is None:
        return False
    code = "import bg_atlasapi; print(bg_atlasapi.__file__)"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() == str(bg_atlasapi.__file__)


PAGES = [page for page in sorted(DOCS.rglob("*.md")) if "```console" in page.read_text("utf-8")]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
@pytest.mark.skipif(not console_is_ours(), reason="the package is not installed here")
def test_shell_blocks_show_what_the_commands_print(path: Path) -> None:
    """Each command of the page is run; its output is the page's, to the letter."""
    spec = importlib.util.spec_from_file_location("docs_console", DOCS / "console.py")
    assert spec is not None
    assert spec.loader is not None
    console = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(console)
    page = path.read_text(encoding="utf-8")
    assert console.renewed(page) == page
