"""The command ``brainglobe``: everyday questions without writing Python.

Each verb calls public functions and shows what they return; none computes anything itself. Exit
codes: 0 done; 2 usage or invalid input; 3 unknown atlas or structure; 4 invalid or incomplete
atlas; 5 a remote; 6 disk full or not writable; 130 interrupted; 1 anything else. With ``--json``,
standard output holds one JSON value and nothing else; messages go to standard error.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper

from bg_atlasapi.cli.group import bg_cli
from bg_atlasapi.late import found_in

__all__ = ["bg_cli", "main"]

# What 1.x also offered here.
__getattr__ = found_in(
    __name__,
    {
        "cli_modify_config": "bg_atlasapi.config",
        "install_atlas": "bg_atlasapi.update_atlases",
        "show_atlases": "bg_atlasapi.list_atlases",
        "update_atlas": "bg_atlasapi.update_atlases",
    },
)


def main() -> None:
    """Run the command line; what the console script ``brainglobe`` calls."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a tick must not end a redirected list (cp1252)
            stream.reconfigure(errors="replace")
    try:
        bg_cli(prog_name="brainglobe")
    except OSError as error:  # --help into a full disk
        sys.exit(f"Error: {error.strerror or error}.")
