"""The command ``brainglobe``: everyday questions without writing Python.

Each verb calls public functions and shows what they return; none computes anything itself. Exit
codes: 0 done; 2 usage or invalid input; 3 unknown atlas or structure; 4 invalid or incomplete
atlas; 5 a remote; 130 interrupted; 1 anything else. With ``--json``, standard output holds one JSON
value and nothing else; messages go to standard error.
"""

from __future__ import annotations

from bg_atlasapi.cli.group import bg_cli

__all__ = ["bg_cli", "main"]


def main() -> None:
    """Run the command line; what the console script ``brainglobe`` calls."""
    bg_cli(prog_name="brainglobe")
