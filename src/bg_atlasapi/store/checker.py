"""What readers of an installed atlas ask before they first read a file; see ``formats.checks``."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bg_atlasapi.errors import IncompleteAtlasError
from bg_atlasapi.store import inventory
from bg_atlasapi.store.inventory import Inventory

if TYPE_CHECKING:
    from bg_atlasapi.store.awaited import Awaited
    from bg_atlasapi.store.transfer.progress import Report

    Shown = Callable[[], AbstractContextManager[Report]]


@contextlib.contextmanager
def silently() -> Iterator[Report]:
    """Give a report that reaches nobody."""
    yield lambda *_: None


class Checker:
    """Says whether a file of an atlas still is what was installed, and brings what is awaited.

    Parameters
    ----------
    root_dir
        The atlas's folder (of a component atlas, the folder of its manifest).
    shown
        Gives a report of the progress for as long as files are brought.
    """

    def __init__(self, root_dir: Path, shown: Shown = silently) -> None:
        self._root_dir, self._shown = root_dir, shown

    def __reduce__(self) -> tuple[type[Checker], tuple[Path, Shown]]:
        return (Checker, (self._root_dir, self._shown))

    @cached_property
    def _identity(self) -> tuple[Path, str, str] | None:
        return inventory.identify(self._root_dir)

    @cached_property
    def _inventory(self) -> Inventory | None:
        if self._identity is None:
            return None
        found = inventory.load(*self._identity)
        if found is None and inventory.path_of(*self._identity).exists():
            _warn_of_damage(*self._identity)
        elif found is None:
            _, name, version = self._identity
            found = inventory.read(self._root_dir / inventory.PUBLISHED, name, version)
        return found

    @cached_property
    def _base(self) -> str:
        if self._inventory is None or self._identity is None:
            return ""
        return str(inventory.base_of(self._identity[0], self._inventory)) + os.sep

    @cached_property
    def _awaited(self) -> Awaited | None:
        """Who brings what is awaited; None of an atlas that is here."""
        if self._identity is None:
            return None
        noted = inventory.path_of(*self._identity).with_suffix(inventory.AWAITED)
        if not noted.exists():  # an open loads nothing of what fetches
            return None
        from bg_atlasapi.store.awaited import Awaited

        return Awaited.of(*self._identity)

    def _key(self, path: Path) -> str | None:
        text = str(path)
        if not self._base or not text.startswith(self._base):
            return None
        return text[len(self._base) :].replace(os.sep, "/")

    def __call__(self, path: Path) -> None:
        """Check a file.

        Raises
        ------
        IncompleteAtlasError
            If the inventory lists it and it is missing, cut short, or changed.
        RemoteError
            If it is awaited and cannot be had.
        """
        key = self._key(path)
        if key is None or self._inventory is None:
            return
        if self._awaited is not None and key in self._awaited.keys:
            self._awaited.bring([key], self._shown)
            return
        entry = self._inventory.entries.get(key)
        if entry is not None and (problem := inventory.damage(path, entry)):
            raise IncompleteAtlasError(f"{problem} {self._advice()}")

    def again(self, path: Path) -> None:
        """Check a file that is gone, though it may have been found sound, or brought, before.

        Raises
        ------
        IncompleteAtlasError, RemoteError
            As a call does.
        """
        if self._awaited is not None and (key := self._key(path)) is not None:
            self._awaited.forget(key)
        self(path)

    @property
    def recorded(self) -> bool:
        """Whether it is known which files the atlas has."""
        return self._inventory is not None

    @property
    def on_demand(self) -> bool:
        """Whether files of the atlas come when they are first read."""
        return self._awaited is not None

    def awaits(self, path: Path) -> bool:
        """Say whether a file, or some below a folder, would come when it is read."""
        key = self._key(path)
        return key is not None and self._awaited is not None and self._awaited.awaits(key)

    def bring(self, paths: Iterable[Path]) -> None:
        """Have files here before they are read, those that are awaited: several at a time.

        Raises
        ------
        RemoteError
            If one cannot be had.
        StorageError
            If one cannot be kept.
        """
        if self._awaited is not None:
            keys = [key for path in paths if (key := self._key(path)) is not None]
            self._awaited.bring(keys, self._shown)

    def _advice(self) -> str:
        assert self._inventory is not None
        name = f"{self._inventory.name}@{self._inventory.version}"
        return f"Mend it with: brainglobe verify {name} --repair"


def _warn_of_damage(layer: Path, name: str, version: str) -> None:
    logging.getLogger("bg_atlasapi").warning(
        "%s, the record of what %s %s consists of, is damaged: its files are read unchecked. "
        "To record them anew: brainglobe verify %s@%s",
        *(inventory.path_of(layer, name, version), name, version, name, version),
    )
