"""The command as a whole: help, the spelling of 1.x, how verbs end."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from bg_atlasapi import bg_atlas, cli, errors
from bg_atlasapi.cli import group, outcome

ATLAS = "phantom_mouse_100um"


def run(*args: str) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(cli.bg_cli, list(args), catch_exceptions=False)


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help(flag: str) -> None:
    """The help names each verb with its line, and the exit codes."""
    result = run(flag)
    assert result.exit_code == 0
    for verb, entry in group.VERBS.items():
        assert f"  {verb}" in result.stdout
        assert entry.summary in result.stdout
    assert "Exit codes" in result.stdout


@pytest.mark.parametrize("verb", group.VERBS)
def test_help_of_each_verb(verb: str) -> None:
    """Each row of the table leads to a command of that name, whose errors are sentences."""
    command = cli.bg_cli.get_command(click.Context(cli.bg_cli), verb)
    assert isinstance(command, outcome.Verb)
    assert command.name == verb
    assert f"Usage: brainglobe {verb}" in run(verb, "--help").stdout


def test_version() -> None:
    """``--version`` names the distribution."""
    result = run("--version")
    assert (result.exit_code, result.stdout[:23]) == (0, "brainglobe, bg-atlasapi")


def test_slips() -> None:
    """An unknown verb or option is a usage error, with the verb that was meant."""
    result = run("instal")
    assert result.exit_code == outcome.INVALID_INPUT
    assert "Did you mean 'install'?" in result.stderr
    assert "lookup, count, regions" in run("zzz").stderr
    assert run("--zzz").exit_code == outcome.INVALID_INPUT


def test_options_before_the_verb() -> None:
    """1.x took ``brainglobe -s list`` and ``brainglobe -a NAME install``."""
    assert run("-s", "list").stdout == run("list", "-s").stdout
    assert run("-a", ATLAS, "install").exit_code == 0


def test_the_help_imports_no_library() -> None:
    """``brainglobe --help`` and ``config`` start without numpy, pandas or rich."""
    heavy = {"numpy", "pandas", "rich", "tifffile", "meshio", "treelib"}
    code = (
        "import sys; from click.testing import CliRunner; from bg_atlasapi.cli import bg_cli\n"
        "for verb in ('--help', 'config'): CliRunner().invoke(bg_cli, [verb])\n"
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (errors.InvalidInputError("Bad points."), 2, "Error: Bad points."),
        (errors.UnknownAtlasError("No such."), 3, "Error: No such."),
        (errors.UnknownStructureError("XX", lambda: ["YY"]), 3, "'XX'. Close matches: YY."),
        (errors.InvalidAtlasError("here", [errors.Finding("c", "No root.")]), 4, "No root. [c]"),
        (errors.IncompleteAtlasError("Gone."), 4, "Error: Gone."),
        (errors.ChecksumError("Differs."), 5, "Error: Differs."),
        (errors.AtlasError("Other."), 1, "Error: Other."),
        (OSError(28, "No space left on device", "a.csv"), 1, "a.csv: No space left on device."),
        (RuntimeError("What?\nmore"), 1, "Unexpected RuntimeError: What?. Set BRAINGLOBE_DEBUG=1"),
        (MemoryError(), 1, "Unexpected MemoryError. Set"),
        (KeyboardInterrupt(), 130, "Interrupted."),
    ],
)
def test_how_errors_end(
    error: BaseException, code: int, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each kind of error has its exit code and one sentence on standard error, no traceback."""

    def fail(*_args: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(bg_atlas, "BrainGlobeAtlas", fail)
    result = run("info", ATLAS)
    assert result.exit_code == code
    assert text in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert result.stderr.count("\n") == 1


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """``BRAINGLOBE_DEBUG=1`` keeps the sentence and the code, and adds the traceback."""
    monkeypatch.setenv("BRAINGLOBE_DEBUG", "1")
    result = run("info", "nope_25um")
    assert result.exit_code == outcome.UNKNOWN
    assert "Traceback (most recent call last)" in result.stderr
    assert "\nError: There is no atlas 'nope_25um'" in result.stderr


def test_the_next_command_to_type() -> None:
    """An unknown structure leads to ``brainglobe find``, quoted for the shell."""
    error = errors.UnknownStructureError("visual aera")
    assert f"brainglobe find {ATLAS} 'visual aera'" in outcome.sentence(error, ATLAS)


@pytest.mark.filterwarnings("default")
def test_warnings_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning of the library is a line on standard error, without file and line number."""

    def warn(*_args: object, **_options: object) -> None:
        warnings.warn("Mind the gap.", stacklevel=1)
        raise errors.AtlasError("Stop.")

    monkeypatch.setattr(bg_atlas, "BrainGlobeAtlas", warn)
    assert run("info", ATLAS).stderr == "Warning: Mind the gap.\nError: Stop.\n"


@pytest.mark.skipif(os.name == "nt", reason="pipes end differently")
@pytest.mark.parametrize("options", [["--json"], []])
def test_a_closed_pipe(tmp_path: Path, options: list[str]) -> None:
    """``brainglobe … | head`` ends quietly when the reader has gone."""
    points = tmp_path / "points.csv"
    points.write_text("1,2,3\n" * 5000)
    code = "from bg_atlasapi.cli import main; main()"
    command = [sys.executable, "-c", code, "lookup", ATLAS, str(points), *options]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")
