"""The hidden folder in which a build works: kept as long as it helps to go on, else removed.

A build that ends early, killed, out of disk or interrupted, leaves what it had done, so that the
next goes on there; the error says where. A recipe that is refused leaves nothing but downloads.
What lies in the folder is the business of ``stages`` and ``sources``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from bg_atlasapi.build.recipe import Recipe
from bg_atlasapi.errors import AlreadyThereError, InvalidAtlasError, InvalidRecipeError
from bg_atlasapi.store import disk, process_lock

DOWNLOADS, LOCK = "sources", "lock"
_PREFIX, _RECIPE = ".building-", "recipe"
_REFUSED = (InvalidRecipeError, InvalidAtlasError, AlreadyThereError)


@contextlib.contextmanager
def opened(target: Path, recipe: Recipe, begun: str) -> Iterator[Path]:
    """Hold the folder of a build while the block runs, and remove it at the end.

    Parameters
    ----------
    target
        Where is being built; made if need be.
    recipe
        What is being built.
    begun
        Name of a file that says that something beyond the folder was begun: then it stays, however
        the build ends, for the next to know whose that is.
    """
    made = not target.exists()
    target.mkdir(parents=True, exist_ok=True)
    work = target / f"{_PREFIX}{recipe.name}_v{recipe.version}"
    try:
        with process_lock.waiting(work / LOCK):
            work.mkdir(exist_ok=True)
            (work / _RECIPE).write_text(str(recipe.file), encoding="utf-8")
            yield work
    except BaseException as error:
        if isinstance(error, _REFUSED) and not (work / begun).exists():
            _forget(work)
        if not any(one.is_file() for one in work.rglob("*") if one.name not in {LOCK, _RECIPE}):
            disk.remove(work)
        if work.exists():
            note = f"What was done is kept in {work}: run again to go on, or remove it."
            error.add_note(note)
        elif made:
            with contextlib.suppress(OSError):  # something else came in
                target.rmdir()
        raise
    disk.remove(work)
    _remove_stale(target, recipe)


def _forget(work: Path) -> None:
    """Remove all but downloads, which the next try needs whatever else is mended."""
    for one in work.iterdir():
        if one.name not in {DOWNLOADS, _RECIPE}:
            disk.remove(one)


def _remove_stale(target: Path, recipe: Recipe) -> None:
    """Remove what earlier builds of the same recipe left, when it had another name or version."""
    for work in target.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            of = (work / _RECIPE).read_text(encoding="utf-8")
            if of == str(recipe.file) and not process_lock.held(work / LOCK):
                disk.remove(work)
