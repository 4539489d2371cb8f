"""A home that nobody has, ``~nobody-of-this-name``, is one clear sentence wherever a path goes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import bg_atlasapi
from bg_atlasapi import cli

HOME = "~nobody-of-this-name/x"
PHANTOM = "phantom_mouse_100um"
RECIPE = 'name = "a"\nversion = "1.0"\nannotation.path = "l.npy"\ntable.path = "t.csv"\n'


@pytest.mark.parametrize(
    "words",
    [
        ["build", f"{HOME}.toml"],
        ["build", "mine.toml", "-o", HOME],
        ["build", "mine.toml", "-n", "--sources", HOME],
        ["build", "--from", f"{HOME}.nii", "--table", "t.csv", "--name", "a"],
        ["build", "--from", "l.npy", "--table", f"{HOME}.csv", "--name", "a"],
        ["build", "--from", "l.npy", "--table", "t.csv", "--name", "a", "-o", f"{HOME}.toml"],
        ["build", "--from", "l.npy", "--table", "t.csv", "--name", "a", "--template", HOME],
        ["validate", HOME],
        ["diff", HOME, PHANTOM],
        ["diff", PHANTOM, HOME],
        ["add", HOME],
        ["measure", PHANTOM, f"{HOME}.npy"],
        ["count", PHANTOM, f"{HOME}.csv"],
        ["lookup", PHANTOM, f"{HOME}.csv"],
        ["config", "-k", "brainglobe_dir", "-v", HOME],
        ["config", "-k", "interm_download_dir", "-v", HOME],
    ],
    ids=" ".join,
)
def test_it_is_a_sentence(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the path and ends with an exit code of its own, never as something unexpected."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("l.npy", ""), ("t.csv", "id,name\n1,a\n"), ("mine.toml", RECIPE)):
        (tmp_path / name).write_text(text)
    result = CliRunner().invoke(cli.bg_cli, words, catch_exceptions=False)
    assert result.exit_code in {2, 3, 4}, result.output
    assert "nobody-of-this-name" in result.output
    assert "Unexpected" not in result.output
    left = sorted(one.name for one in tmp_path.iterdir())
    assert left == ["l.npy", "mine.toml", "t.csv"]


def test_every_home_is_looked_up_in_one_place() -> None:
    """``Path.expanduser`` raises what nobody catches; only settings call it, and catch that."""
    source = Path(bg_atlasapi.__file__).parent
    callers = [
        one.relative_to(source).as_posix()
        for one in source.rglob("*.py")
        if re.search(r"\.expanduser\(\)", one.read_text(encoding="utf-8"))
    ]
    assert callers == ["settings.py"]
