"""The files of a recipe: found, downloaded, and compared with their SHA-256.

A download is continued where an earlier try ended, see ``store.transfer``. What a file holds is not
looked at here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from bg_atlasapi.build.recipe import Recipe, SourceFile
from bg_atlasapi.build.validation import catalogue
from bg_atlasapi.errors import Finding, InvalidInputError, InvalidRecipeError
from bg_atlasapi.store.inventory import sha256_of
from bg_atlasapi.store.transfer import files
from bg_atlasapi.store.transfer.progress import Report, silent
from bg_atlasapi.store.transport.addresses import file_at
from bg_atlasapi.store.transport.sources import Listed

_HASHING = "check sources"


def bring(recipe: Recipe, folder: Path, report: Report = silent) -> dict[str, tuple[Path, str]]:
    """Return path and SHA-256 of every file of a recipe, by key; downloads what is not here.

    Parameters
    ----------
    recipe
        What is needed.
    folder
        Keeps downloads.
    report
        Told of the bytes.

    Raises
    ------
    InvalidRecipeError
        With every file that is not there, or is another than the recipe says.
    RemoteError
        If one cannot be downloaded; what came stays for the next try.
    """
    found: dict[str, tuple[Path, str]] = {}
    findings: list[Finding] = []
    sizes = [size_of(one.path) for one in recipe.sources if one.path is not None]
    total, done = sum(sizes), 0
    for source in recipe.sources:
        if source.path is None:
            path = downloaded(source, folder, report)
            found[source.key] = (path, source.sha256 or "")
            continue
        missing = list(absent(source))
        findings += missing
        if not missing:
            report(_HASHING, done, total)
            digest = content_sha256(source.path)
            done += size_of(source.path)
            found[source.key] = (source.path, digest)
            findings += differing(source, digest)
    report(_HASHING, total, total)
    if findings:
        raise InvalidRecipeError(recipe.file, findings)
    return found


def absent(source: SourceFile) -> Iterator[Finding]:
    """Yield a finding if a file of this machine is not there, or an address names none."""
    if source.path is None:
        try:
            file_at(source.url or "")
        except InvalidInputError as error:
            yield catalogue.found("wrong-value", str(error), f"{source.key}.url", "")
    elif not is_there(source.path):
        text = f"There is no file {source.path}."
        mend = "Paths start from the folder of the recipe; name another with --sources."
        if "://" in source.stated:
            mend = "State an address as 'url', with its 'sha256', in place of 'path'."
        yield catalogue.found("source-missing", text, f"{source.key}.path", mend)
    elif source.path.exists() and not (source.path.is_file() or source.path.is_dir()):
        text = f"{source.stated} is neither a file nor a folder: a pipe or a device never ends."
        yield catalogue.found("source-unreadable", text, f"{source.key}.path", "")


def is_there(path: Path) -> bool:
    """Say whether there is a file, a folder (Zarr, a series), or files that a pattern matches."""
    try:
        return path.exists() or ("*" in path.name and any(path.parent.glob(path.name)))
    except OSError:  # no file can be called so: the name is too long
        return False


def differing(source: SourceFile, digest: str) -> Iterator[Finding]:
    """Yield a finding if a file is not the one that the recipe names."""
    if source.sha256 and source.sha256 != digest:
        text = f"{source.stated} is another file: its SHA-256 is {digest}."
        yield catalogue.found("source-changed", text, f"{source.key}.sha256")


def downloaded(source: SourceFile, folder: Path, report: Report) -> Path:
    """Return where a file lies once it was downloaded, under its own name."""
    place, key = file_at(source.url or "")
    target = folder / (source.sha256 or "")[:16] / key
    if target.is_file() and source.sha256 == sha256_of(target):  # of an earlier try
        return target
    wanted = files.Wanted(Listed(key, sha256=source.sha256), target)
    files.bring(place, [wanted], folder / "parts", report)
    return target


def size_of(path: Path) -> int:
    """Return the bytes of what a path names."""
    return sum(one.stat().st_size for one in _files_of(path) if one.exists())


def content_sha256(path: Path) -> str:
    """Return the SHA-256 of a file; of a folder or a series, of its files' names and hashes."""
    if path.is_file():
        return sha256_of(path)
    whole = hashlib.sha256()
    for one in _files_of(path):
        name = one.relative_to(path if path.is_dir() else path.parent).as_posix()
        whole.update(f"{name}\0{sha256_of(one)}\n".encode())
    return whole.hexdigest()


def _files_of(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(one for one in path.rglob("*") if one.is_file())
    return [path] if "*" not in path.name else sorted(path.parent.glob(path.name))
