"""Write an atlas in another layout: beside its place, then renamed into it; never half.

``FORMATS`` names the writers; a new one is one row. A writer says first which folders it will make,
so that what is in the way is found before the work is done, then makes them in a folder of its own.
What is exported is what lies on disk: arrays that callers edited stay theirs.
"""

from __future__ import annotations

import contextlib
import glob
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from bg_atlasapi.errors import AlreadyThereError, InvalidInputError
from bg_atlasapi.model.atlas import Atlas
from bg_atlasapi.model.mesh import MeshSource
from bg_atlasapi.store import cache, disk, inventory
from bg_atlasapi.store.archive.settling import settle
from bg_atlasapi.store.transfer.progress import Report, Tally, silent

FORMATS = {
    "components": "components_writing:Components",
    "packaged": "packaged_writing:Package",
    "nifti": "tools.nifti:Nifti",
    "nrrd": "tools.nrrd:Nrrd",
    "tiff": "tools.stacks:Stacks",
    "itksnap": "tools.label_files:ItkSnap",
    "slicer": "tools.label_files:Slicer",
    "allen-json": "tools.structure_files:AllenGraph",
    "csv": "tools.structure_files:Table",
    "obj": "tools.surfaces:Obj",
    "ply": "tools.surfaces:Ply",
    "stl": "tools.surfaces:Stl",
    "glb": "tools.glb:Glb",
}
EXPORT = "export"
# A mesh counts as so many voxels' bytes in the progress: about as long.
MESH_SHARE = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")
_VERSION = re.compile(r"\d+\.\d+")
# Below the folder of an export under way; the note says what is being renamed.
_NEW, _OLD, _NOTE = "new", "old", "folders.json"
_ADVICE = "Make room, or choose another folder."


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be written, and where.

    Parameters
    ----------
    atlas
        The atlas, as its files hold it.
    name, version
        With resolution, ``"allen_mouse_25um"``; ``"1.2"``.
    layer
        The folder of atlases it is going to lie in.
    staging
        Where to write, in the same way as below ``layer``.
    tally
        Told of the bytes that were worked through.
    levels_um
        Coarser voxel sizes to store as well, for layouts that hold several.
    """

    atlas: Atlas
    name: str
    version: str
    layer: Path
    staging: Path
    tally: Tally
    levels_um: tuple[tuple[float, float, float], ...] = ()


class Writer(Protocol):
    """What a row of ``FORMATS`` names."""

    def __init__(self, job: Job) -> None: ...

    def folders(self) -> Sequence[str]:
        """Return the folders (or files) to be made, POSIX; with the last the atlas is there.

        Asked for before the work and again after it, when others may have come to need them:
        raises ``AlreadyThereError`` then.
        """

    def write(self) -> None:
        """Make them below ``job.staging``."""

    def placed(self) -> None:
        """Do what is left when they lie in ``job.layer``."""


def export(  # noqa: PLR0913 - what is written, where, and how
    atlas: Atlas,
    name: str,
    version: str,
    path: Path,
    format: str,  # noqa: A002 - as in Atlas.export
    *,
    overwrite: bool = False,
    report: Report = silent,
    levels_um: Sequence[tuple[float, float, float]] = (),
) -> Path:
    """Write an atlas in a layout.

    Parameters
    ----------
    atlas
        What to write.
    name, version
        See ``identity``.
    path
        The folder of atlases it is going to lie in; made if need be.
    format
        One of ``FORMATS``.
    overwrite
        Replace an atlas of the same name and version that is there.
    report
        Told of the progress.
    levels_um
        Coarser voxel sizes to store as well; a component store holds several.

    Returns
    -------
    Path
        What was made: the folder of the new atlas, or the file.

    Raises
    ------
    InvalidInputError
        If the format is unknown, or the layout cannot hold the atlas.
    AlreadyThereError
        If something is in the way.
    IncompleteAtlasError, InvalidAtlasError
        If a file of the atlas is missing or damaged; nothing is left of the export.
    StorageError
        If it cannot be written.
    """
    if format not in FORMATS:
        message = f"There is no format {format!r}. Formats: {', '.join(FORMATS)}."
        raise InvalidInputError(message)
    module, _, kind = FORMATS[format].partition(":")
    with disk.explained(path, f"export {name}", advice=_ADVICE):
        staging = path / disk.unique(f".{name}")
        _clear_abandoned(path, name)
        tally = Tally(report, EXPORT, _work(atlas))
        job = Job(atlas, name, version, path, staging / _NEW, tally, tuple(levels_um))
        writer: Writer = getattr(import_module(f"{__package__}.{module}"), kind)(job)
        folders = writer.folders()
        _refuse_what_is_there(path, folders, overwrite=overwrite)
        try:
            job.staging.mkdir(parents=True)
            writer.write()
            files = [one for one in job.staging.rglob("*") if one.is_file()]
            settle(job.staging, [one.relative_to(job.staging).as_posix() for one in files])
            _refuse_what_is_there(path, writer.folders(), overwrite=overwrite)
            _place(staging, path, folders)
        finally:
            with contextlib.suppress(OSError):
                disk.remove(staging)
        writer.placed()
    return path / folders[-1]


def identity(root_dir: Path, metadata: Mapping[str, Any]) -> tuple[str, str]:
    """Return name (with resolution) and version of an atlas, from its folder or its metadata.

    Raises
    ------
    InvalidInputError
        If neither tells.
    """
    found = cache.identify(root_dir)
    version = str(metadata.get("version", ""))
    if not _VERSION.fullmatch(version):
        version = found.version_text if found else "1.0"
    if found:
        return found.name, version
    name = f"{metadata.get('name', root_dir.name)}_{metadata['resolution'][0]:g}um"
    return checked_name(name), version


def checked_name(name: str) -> str:
    """Return a name that is going to be a folder's.

    Raises
    ------
    InvalidInputError
        If it has characters that no published name has.
    """
    if not can_be_a_name(name):
        text = "letters, digits, '_', '-', '+' and '.'"
        raise InvalidInputError(f"{name!r} cannot be the name of a folder or file; use {text}.")
    return name


def can_be_a_name(text: str) -> bool:
    """Say whether a text has only characters that names of published atlases have."""
    return bool(_NAME.fullmatch(text))


def _work(atlas: Atlas) -> int:
    """Return the bytes to work through; reads the header of every volume, so damage shows."""
    volumes = [atlas.annotation, atlas.reference, *atlas.references.values()]
    volumes += [atlas.hemispheres] if atlas.hemispheres is not None else []
    sizes = [volume.dtype.itemsize * _count(volume.shape) for volume in volumes]
    return sum(sizes) + MESH_SHARE * len(atlas.structures) * (1 + len(atlas.side_meshes))


def _count(shape: Sequence[int]) -> int:
    count = 1
    for length in shape:
        count *= int(length)
    return count


def meshes_of(job: Job, of: MeshSource | None = None) -> Iterator[int]:
    """Yield the ids of the structures that have a mesh, and report each.

    Parameters
    ----------
    job
        What is written.
    of
        Where the meshes are; None for those of whole structures.
    """
    meshes = job.atlas.meshes if of is None else of
    for entry in job.atlas.structures:
        if meshes.has(entry["id"]):
            yield entry["id"]
        job.tally.add(MESH_SHARE)
        job.tally.say()


def forget_replaced(job: Job, layout: str) -> None:
    """Forget the record of an atlas that was installed where the export lies now.

    Parameters
    ----------
    job
        What was written.
    layout
        In which; an atlas of the same name in the other layout keeps its record.
    """
    known = inventory.load(job.layer, job.name, job.version)
    if known is not None and known.layout == layout:
        inventory.forget(job.layer, job.name, job.version)


def _refuse_what_is_there(path: Path, folders: Sequence[str], *, overwrite: bool) -> None:
    for folder in folders:
        _refuse_a_file((path / folder).parent)
    there = [path / folder for folder in folders if _is_there(path / folder)]
    if there and not overwrite:
        message = (
            f"{', '.join(map(str, there))} is there already. Export into another folder, or "
            "replace it with overwrite=True (--overwrite)."
        )
        raise AlreadyThereError(message)


def _refuse_a_file(folder: Path) -> None:
    """Raise if a folder is none, or cannot be made since one above it is none."""
    there = next((one for one in (folder, *folder.parents) if _is_there(one)), folder)
    if _is_there(there) and not there.is_dir():
        raise AlreadyThereError(f"{there} is a file; name a folder to export into.")


def _is_there(path: Path) -> bool:
    """Say whether there is anything, also a link to something that is gone."""
    return path.exists() or path.is_symlink()


def _place(staging: Path, path: Path, folders: Sequence[str]) -> None:
    """Rename folders into place; what is there is moved away first, and back if it fails.

    The last folder goes first and comes last: with it the atlas is there or is not.
    """
    undo: list[tuple[Path, Path]] = []
    note = staging / _NOTE
    note.write_text(json.dumps({one: _stamp(staging / _NEW / one) for one in folders}))

    def move(source: Path, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
        undo.append((target, source))

    try:
        for folder in reversed(folders):
            if _is_there(path / folder):
                move(path / folder, staging / _OLD / folder)
        for folder in folders:
            move(staging / _NEW / folder, path / folder)
            disk.sync_folder((path / folder).parent)
    except BaseException:
        for target, source in reversed(undo):
            with contextlib.suppress(OSError):
                target.rename(source)
        note.unlink(missing_ok=True)
        raise


def _clear_abandoned(path: Path, name: str) -> None:
    """Remove what an export that was killed left behind, also if that was amid its renaming."""
    for one in path.glob(f".{glob.escape(name)}~*") if path.is_dir() else ():
        if disk.maker_is_gone(one.name):
            with contextlib.suppress(OSError):
                _take_back(one, path)
                disk.remove(one)


def _take_back(staging: Path, path: Path) -> None:
    """Undo a renaming that did not come to its last folder.

    What somebody else put there since stays.
    """
    note = staging / _NOTE
    try:
        stamps: dict[str, list[int]] = json.loads(note.read_bytes())
    except (OSError, ValueError):  # it had not begun
        return
    if (staging / _NEW / [*stamps][-1]).exists():
        for folder, stamp in stamps.items():
            new, here, old = staging / _NEW / folder, path / folder, staging / _OLD / folder
            if not new.exists() and here.exists() and _stamp(here) == stamp:
                here.rename(new)
            if old.exists() and not here.exists():
                old.rename(here)
    note.unlink()


def _stamp(path: Path) -> list[int]:
    """Return what a folder or file keeps when it is renamed, and another has not."""
    status = path.stat()
    return [status.st_ino, status.st_mtime_ns]
