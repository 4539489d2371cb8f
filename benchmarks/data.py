"""The atlases that are measured, made once in the cache. Standard library only."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

MISSING = """\
The benchmarks measure real atlases, and those are not here: {path} is missing.
Pass the folder that holds them with --data PATH (see benchmarks/README.md)."""


class MissingDataError(RuntimeError):
    """The shared data are not here."""


class Atlases(NamedTuple):
    """Where the atlases are.

    Parameters
    ----------
    packages
        Folder of packaged v1 atlases, at 25 and 100 µm.
    store
        Folder that holds the V3 component store, at 100 µm.
    """

    packages: Path
    store: Path


def prepare(data: Path, cache: Path, package: Callable[[Path, Path], None]) -> Atlases:
    """Return the atlases, unpacking and packaging what the cache lacks.

    Parameters
    ----------
    data
        The shared data.
    cache
        Where to keep them.
    package
        Called with the folder of the published volumes and a target, writes the 25 µm atlas there.

    Raises
    ------
    MissingDataError
        If a needed file is missing.
    """
    ccf = data / "allen_ccf_2017"
    archive = data / "allen_mouse_100um_v1.2.tar.gz"
    store = data / "allen_mouse_100um_v3_store.tar.gz"
    for path in (archive, store, ccf / "annotation_25.nrrd", ccf / "average_template_25.nrrd"):
        if not path.is_file():
            raise MissingDataError(MISSING.format(path=path))
    packages = cache / "atlases"
    _once(packages / "allen_mouse_100um_v1.2", lambda folder: _unpack(archive, folder))
    _once(packages / "allen_mouse_25um_v1.2", lambda folder: package(ccf, folder))
    _once(cache / "store" / "brainglobe-atlasapi", lambda folder: _unpack(store, folder))
    return Atlases(packages, cache / "store")


def warm(folder: Path) -> None:
    """Read every file once, so that all peers find them in the page cache."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                while file.read(1 << 22):
                    pass


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")


def _once(target: Path, make: Callable[[Path], None]) -> None:
    """Make a folder beside the target, then rename: what is there is complete."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=target.parent, prefix=".making-"))
    try:
        make(beside)
        (beside / target.name).rename(target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
