"""The packaged layout of BrainGlobe 1.x and 2.x: a folder of TIFFs, JSON and OBJ meshes.

``metadata.json``, ``structures.json``, ``reference.tiff``, ``annotation.tiff``,
``hemispheres.tiff`` (only of asymmetric atlases), ``<additional reference>.tiff``,
``meshes/<id>.obj``. Opening reads the two JSON files; volumes and meshes are read when asked for.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bg_atlasapi.errors import Finding, IncompleteAtlasError, InvalidAtlasError
from bg_atlasapi.formats.checks import Check, CheckedOnce, no_check
from bg_atlasapi.formats.mesh_files import ObjMeshes
from bg_atlasapi.formats.tiff import Layout, TiffVolume
from bg_atlasapi.model.atlas import Atlas
from bg_atlasapi.model.labels import LabelVolume
from bg_atlasapi.model.space import LEFT, RIGHT, CoordinateSpace
from bg_atlasapi.model.terminology import Record, Terminology

METADATA = "metadata.json"
STRUCTURES = "structures.json"
REFERENCE = "reference.tiff"
ANNOTATION = "annotation.tiff"
HEMISPHERES = "hemispheres.tiff"
MESHES = "meshes"
# Beside it, not in it: other tools take every file in there for that of a structure.
SIDE_MESHES = {LEFT: "meshes_left", RIGHT: "meshes_right"}
_WHITE = (255, 255, 255)


def open_package(folder: Path, check: Check = no_check) -> Atlas:
    """Open an atlas folder.

    Parameters
    ----------
    folder
        Of a package.
    check
        Asked about each file before it is first read.

    Raises
    ------
    IncompleteAtlasError
        If the folder or one of its required files is missing.
    InvalidAtlasError
        If a file contradicts its format; carries every finding.
    """
    require_files(folder, check)
    check = CheckedOnce(check)
    check(folder / METADATA)
    metadata = read_metadata(folder)
    check(folder / STRUCTURES)
    entries = read_structures(folder)
    records = records_of(entries, folder / STRUCTURES)
    space = space_of(metadata)
    annotation = _PackageTiff(folder / ANNOTATION, space.shape, "iu", check)
    symmetric = metadata.get("symmetric", not (folder / HEMISPHERES).exists())
    return Atlas(
        metadata=metadata,
        structures=[tidied(*pair) for pair in zip(entries, records, strict=True)],
        space=space,
        reference=_PackageTiff(folder / REFERENCE, space.shape, "iuf", check),
        labels=LabelVolume(annotation, terminology_of(records, folder / STRUCTURES)),
        hemispheres=(
            None if symmetric else _PackageTiff(folder / HEMISPHERES, space.shape, "iu", check)
        ),
        meshes=ObjMeshes(folder / MESHES, check),
        references={
            name: TiffVolume(folder / f"{name}.tiff", check)
            for name in metadata.get("additional_references") or []
        },
        side_meshes={
            side: ObjMeshes(folder / name, check)
            for side, name in SIDE_MESHES.items()
            if is_there(folder / name)
        },
    )


class _PackageTiff(TiffVolume):
    """A TIFF of a package, checked against the metadata when its header is first read."""

    def __init__(self, path: Path, shape: tuple[int, ...], kinds: str, check: Check) -> None:
        super().__init__(path, check)
        self._stated_shape, self._kinds = shape, kinds

    def _read_layout(self) -> Layout:
        layout = super()._read_layout()
        findings = []
        if _solid(layout.shape) == _solid(self._stated_shape):  # some writers drop axes of length 1
            layout = dataclasses.replace(layout, shape=self._stated_shape)
        else:
            text = f"{METADATA} says the shape is {self._stated_shape}, "
            text += f"{self.path.name} has {layout.shape}."
            findings.append(Finding("shape-mismatch", text, "error"))
        if layout.dtype.kind not in self._kinds:
            expected = "numbers" if "f" in self._kinds else "whole numbers"
            text = f"{self.path.name} must hold {expected}, not {layout.dtype}."
            findings.append(Finding("volume-type", text, "error"))
        if findings:
            raise InvalidAtlasError(self.path.parent, findings)
        return layout


def _solid(shape: Sequence[int]) -> list[int]:
    return [length for length in shape if length != 1]


def require_files(folder: Path, check: Check = no_check) -> None:
    """Check that the files every package has are there.

    Raises
    ------
    IncompleteAtlasError
        Names all that are missing; of an installed atlas, ``check`` says how to mend it.
    """
    needed = (METADATA, STRUCTURES, REFERENCE, ANNOTATION)
    try:
        if not folder.is_dir():
            message = f"There is no atlas folder {folder}."
            raise IncompleteAtlasError(message)
        missing = [name for name in needed if not (folder / name).is_file()]
    except PermissionError as error:
        message = f"The atlas folder {folder} cannot be read: {error.strerror}."
        raise IncompleteAtlasError(message) from error
    for name in missing:
        check(folder / name)
    if missing:
        message = (
            f"The atlas folder {folder} is incomplete: {', '.join(missing)} missing. "
            "Replace the folder with a whole copy of the atlas."
        )
        raise IncompleteAtlasError(message)


def is_there(path: Path) -> bool:
    """Say whether a file or folder exists.

    Raises
    ------
    IncompleteAtlasError
        If this account may not know.
    """
    try:
        return path.exists()
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}."
        raise IncompleteAtlasError(message) from error


def read_json_file(path: Path) -> Any:
    """Read a JSON file of an atlas.

    Raises
    ------
    IncompleteAtlasError
        If it cannot be read.
    InvalidAtlasError
        If it is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror or error}."
        raise IncompleteAtlasError(message) from error
    except (ValueError, RecursionError) as error:
        text = f"{path.name} is not JSON: {error}."
        raise InvalidAtlasError(path.parent, [Finding("not-json", text, "error")]) from error


def read_metadata(folder: Path) -> dict[str, Any]:
    """Read and check ``metadata.json``.

    Raises
    ------
    InvalidAtlasError
        With every key that is missing or malformed.
    """
    metadata = read_json_file(folder / METADATA)
    if not isinstance(metadata, dict):
        text = f"{METADATA} must hold an object, not {type(metadata).__name__}."
        raise InvalidAtlasError(folder, [Finding("metadata-type", text, "error")])
    findings = metadata_findings(metadata)
    if not isinstance(metadata.get("symmetric", True), bool):
        text = f"{METADATA}: 'symmetric' must be true or false, got {metadata['symmetric']!r}."
        findings.append(Finding("metadata-value", text, "error"))
    references = metadata.get("additional_references") or []
    if not isinstance(references, list) or not all(isinstance(name, str) for name in references):
        text = f"{METADATA}: 'additional_references' must list names, got {references!r}."
        findings.append(Finding("metadata-value", text, "error"))
    if findings:
        raise InvalidAtlasError(folder, findings)
    return {**metadata, "shape": [int(length) for length in metadata["shape"]]}


def metadata_findings(metadata: Mapping[str, Any], source: str = METADATA) -> list[Finding]:
    """Return what is wrong with the metadata that describes the space; ``source`` names them."""
    checks = {
        "shape": (_is_shape, "three positive whole numbers"),
        "resolution": (_is_resolution, "three positive voxel sizes in µm"),
        "orientation": (_is_orientation, 'three letters such as "asr", one of each axis'),
    }
    findings = []
    for key, (valid, expected) in checks.items():
        if key not in metadata:
            findings.append(Finding("metadata-missing", f"{source} lacks {key!r}.", "error"))
        elif not valid(metadata[key]):
            text = f"{source}: {key!r} must be {expected}, got {metadata[key]!r}."
            findings.append(Finding("metadata-value", text, "error"))
    return findings


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) or float(value).is_integer()


def _is_shape(value: Any) -> bool:
    return _is_resolution(value) and all(_is_whole(item) for item in value)


def _is_resolution(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(_is_number(item) and 0 < item <= sys.float_info.max for item in value)
    )


def _is_orientation(value: Any) -> bool:
    axes = {"p": 0, "a": 0, "s": 1, "i": 1, "l": 2, "r": 2}
    return isinstance(value, str) and sorted(axes.get(c, 3) for c in value.lower()) == [0, 1, 2]


def space_of(metadata: Mapping[str, Any]) -> CoordinateSpace:
    """Return the coordinate space that valid metadata describes."""
    first, second, third = (int(item) for item in metadata["shape"])
    sizes = tuple(float(item) for item in metadata["resolution"])
    return CoordinateSpace(
        (first, second, third), (sizes[0], sizes[1], sizes[2]), metadata["orientation"].lower()
    )


def read_structures(folder: Path) -> list[dict[str, Any]]:
    """Read ``structures.json`` as the list of objects it must be.

    Raises
    ------
    InvalidAtlasError
        If it is anything else.
    """
    entries = read_json_file(folder / STRUCTURES)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        text = f"{STRUCTURES} must hold a list of objects, one for each structure."
        raise InvalidAtlasError(folder, [Finding("structures-type", text, "error")])
    return entries


class _Unreadable(Exception):  # noqa: N818 - never leaves this module
    """An entry cannot be used; says why."""


def records_of(
    entries: Sequence[Mapping[str, Any]], where: object, source: str = STRUCTURES
) -> list[Record]:
    """Read the entries of ``structures.json``, or of what ``source`` names.

    Raises
    ------
    InvalidAtlasError
        With every entry that cannot be used.
    """
    records, findings = [], []
    for position, entry in enumerate(entries):
        try:
            records.append(_record(entry))
        except _Unreadable as problem:
            text = f"Entry {position} of {source}: {problem}."
            findings.append(Finding("structure-entry", text, "error"))
    if findings:
        raise InvalidAtlasError(where, findings)
    return records


def terminology_of(records: Sequence[Record], where: object) -> Terminology:
    """Make a terminology, saying where the records came from if it cannot be made.

    Raises
    ------
    InvalidAtlasError
        If there is no root, or a cycle.
    """
    try:
        return Terminology(records)
    except InvalidAtlasError as error:
        raise InvalidAtlasError(where, error.findings) from None


def tidied(entry: Mapping[str, Any], record: Record) -> dict[str, Any]:
    """Return an entry as it was understood: what was forgiven is mended."""
    return {
        **entry,
        "id": record.id,
        "acronym": record.acronym,
        "name": record.name,
        "structure_id_path": list(record.path),
        "rgb_triplet": list(record.rgb),
    }


def _record(entry: Mapping[str, Any]) -> Record:
    identifier = _whole(entry.get("id"), "id")
    acronym = entry.get("acronym")
    acronym = str(identifier) if acronym is None else str(acronym)
    name = entry.get("name")
    colour = entry.get("rgb_triplet") or _WHITE
    if not isinstance(colour, list | tuple) or len(colour) != 3:
        raise _Unreadable(f"rgb_triplet must be three numbers, got {colour!r}")
    red, green, blue = (_shade(part) for part in colour)
    return Record(
        id=identifier,
        acronym=acronym,
        name=acronym if name is None else str(name),
        path=_path(entry, identifier),
        rgb=(red, green, blue),
    )


def _shade(part: Any) -> int:
    if type(part) is int and 0 <= part <= 255:  # nearly always
        return part
    if not _is_number(part) or (isinstance(part, float) and math.isnan(part)):
        raise _Unreadable(f"rgb_triplet must be three numbers, got {part!r}")
    return int(min(max(part, 0), 255) + 0.5)


def _path(entry: Mapping[str, Any], identifier: int) -> tuple[int, ...]:
    stated = entry.get("structure_id_path")
    if isinstance(stated, str):  # "/997/8/", as structures.csv spells it
        stated = [part for part in stated.split("/") if part]
    if not isinstance(stated, list | tuple):
        raise _Unreadable(f"structure_id_path must be a list of ids, got {stated!r}")
    path = tuple([_whole(part, "structure_id_path") for part in stated])
    return path if path and path[-1] == identifier else (*path, identifier)


def _whole(value: Any, key: str) -> int:
    if type(value) is int:  # nearly always
        return value
    if isinstance(value, str) and value.strip().isdecimal() and len(value) < 20:
        return int(value)
    if _is_number(value) and _is_whole(value):
        return int(value)
    raise _Unreadable(f"{key} must be a whole number, got {value!r}")
