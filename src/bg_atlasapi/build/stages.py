"""Stages of a build, each whole or not there, so that a build that was killed goes on.

A stage makes a folder of its own under a hidden name, which is renamed when it is whole; beside it
lies what it was made from. A later run takes it if it would make it from the same. What a stage
does is not known here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bg_atlasapi.store import disk


class Stages:
    """The stages of one build, in a folder.

    Parameters
    ----------
    folder
        Of the build; made if need be.

    Attributes
    ----------
    resumed : list of str
        Stages that an earlier run had made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.resumed: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)

    def run(
        self, name: str, inputs: Any, make: Callable[[Path], object], *, keep: bool = False
    ) -> Path:
        """Return the folder of a stage, made now if it is not there.

        Parameters
        ----------
        name
            Of the stage.
        inputs
            Everything that decides what it makes, as plain values.
        make
            Called with the folder to make it in.
        keep
            Leave what an earlier run left unfinished: the stage goes on with it itself.
        """
        mark, target = self._mark(name), self.folder / name
        text = fingerprint(inputs)
        if mark.exists() and mark.read_text() == text and target.is_dir():
            self.resumed.append(name)
            return target
        mark.unlink(missing_ok=True)
        beside = self.folder / f".{name}"
        disk.remove(target)
        if not keep:
            disk.remove(beside)
        beside.mkdir(exist_ok=True)
        make(beside)
        beside.rename(target)
        disk.write_text(mark, text)
        return target

    def begin(self, name: str) -> None:
        """Note that something beyond this folder begins."""
        disk.write_text(self._mark(name), "")

    def has_begun(self, name: str) -> bool:
        """Say whether that was noted, by an earlier run perhaps."""
        return self._mark(name).exists()

    def _mark(self, name: str) -> Path:
        return self.folder / mark_of(name)


def mark_of(name: str) -> str:
    """Return the name of the file that says that a stage was done, or that something began."""
    return f"{name}.made-from"


def fingerprint(inputs: Any) -> str:
    """Return a hash of plain values."""
    text = json.dumps(inputs, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
