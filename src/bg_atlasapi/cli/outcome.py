"""How a verb ends: the exit code and the one sentence that goes with it."""

from __future__ import annotations

import errno
import os
import shlex
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import click

from bg_atlasapi.errors import (
    AtlasError,
    IncompleteAtlasError,
    InvalidAtlasError,
    InvalidInputError,
    RemoteError,
    StorageError,
    UnknownAtlasError,
    UnknownStructureError,
)

INVALID_INPUT, UNKNOWN, INVALID_ATLAS, REMOTE, STORAGE = 2, 3, 4, 5, 6
OTHER, INTERRUPTED = 1, 130
_CODES: tuple[tuple[type[AtlasError], int], ...] = (
    (InvalidInputError, INVALID_INPUT),
    (UnknownAtlasError, UNKNOWN),
    (UnknownStructureError, UNKNOWN),
    (InvalidAtlasError, INVALID_ATLAS),
    (IncompleteAtlasError, INVALID_ATLAS),
    (RemoteError, REMOTE),
    (StorageError, STORAGE),
)


class Verb(click.Command):
    """A command whose errors are a sentence and an exit code, however it is invoked."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb."""
        with _explained(ctx):
            answer = super().invoke(ctx)
            sys.stdout.flush()  # a closed pipe shows here, not while the interpreter shuts down
            return answer


class NotFoundError(click.ClickException):
    """Nothing answers to what was searched for."""

    exit_code = UNKNOWN


@contextmanager
def _explained(ctx: click.Context) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except KeyboardInterrupt as error:
        click.echo("Interrupted.", err=True)
        _show_notes(error)
        raise click.exceptions.Exit(INTERRUPTED) from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            raise  # click ends quietly, which is what a closed pipe asks for
        if os.environ.get("BRAINGLOBE_DEBUG"):
            traceback.print_exc()
        click.echo(f"Error: {sentence(error, ctx.params.get('atlas_name'))}", err=True)
        _show_notes(error)
        raise click.exceptions.Exit(exit_code(error)) from None


def _show_notes(error: BaseException) -> None:
    """Say what else is worth knowing: where what was done is kept."""
    for one in getattr(error, "__notes__", ()):
        click.echo(one, err=True)


def exit_code(error: BaseException) -> int:
    """Return the exit code of an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), OTHER)


def sentence(error: Exception, atlas_name: str | None = None) -> str:
    """Return what to tell people about an error.

    Parameters
    ----------
    error
        Anything a verb let through.
    atlas_name
        The atlas in question, for the command to type next.
    """
    if isinstance(error, UnknownStructureError) and atlas_name:
        command = shlex.join(["brainglobe", "find", atlas_name, str(error.key)])
        return str(error).replace("atlas.structures.find(...)", command)
    if isinstance(error, AtlasError):
        return str(error)
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or error}."
    reason = str(error).strip().partition("\n")[0].rstrip(".")
    name = type(error).__name__
    return (
        f"Unexpected {name}{f': {reason}' if reason else ''}. "
        "Set BRAINGLOBE_DEBUG=1 to see the traceback."
    )


def _show_warning(
    message: Warning | str,
    category: type[Warning],  # noqa: ARG001 - the signature that warnings.showwarning has
    filename: str,  # noqa: ARG001
    lineno: int,  # noqa: ARG001
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    click.echo(f"Warning: {message}", err=True)
