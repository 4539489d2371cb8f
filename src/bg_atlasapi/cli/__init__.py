"""The command ``brainglobe``: everyday questions without writing Python.

Each verb calls public functions and shows what they return; none computes anything itself. Exit
codes: 0 done; 2 usage or invalid input; 3 unknown atlas or structure; 4 invalid or incomplete
atlas; 5 a remote; 6 disk full or not writable; 130 interrupted; 1 anything else. With ``--json``,
standard output holds one JSON value and nothing else; messages go to standard error.
"""

from __future__ import annotations

import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Any

from bg_atlasapi.cli.group import bg_cli

__all__ = ["bg_cli", "main"]


_NAMES_OF_1X = {
    "cli_modify_config": "config",
    "install_atlas": "update_atlases",
    "show_atlases": "list_atlases",
    "update_atlas": "update_atlases",
}


def __getattr__(name: str) -> Any:
    """Find what 1.x also offered here, without importing it for every command."""
    if name not in _NAMES_OF_1X:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"bg_atlasapi.{_NAMES_OF_1X[name]}"), name)


def main() -> None:
    """Run the command line; what the console script ``brainglobe`` calls."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a tick must not end a redirected list (cp1252)
            stream.reconfigure(errors="replace")
    try:
        bg_cli(prog_name="brainglobe")
    except OSError as error:  # --help into a full disk
        sys.exit(f"Error: {error.strerror or error}.")
