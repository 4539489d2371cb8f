"""What can be said of an atlas that does not open, and of its files as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bg_atlasapi.build.validation.catalogue import found
from bg_atlasapi.build.validation.findings import of_error
from bg_atlasapi.build.validation.tables import check_structures
from bg_atlasapi.errors import AtlasError, Finding, IncompleteAtlasError
from bg_atlasapi.formats import packaged
from bg_atlasapi.formats.checks import Check
from bg_atlasapi.formats.registry import MANIFEST
from bg_atlasapi.model.atlas import Atlas

_VOLUMES = (packaged.ANNOTATION, packaged.REFERENCE)


def no_atlas(path: Path) -> list[Finding]:
    """Return a finding if there is nothing at a path that could be an atlas."""
    try:
        if not path.exists():
            return [found("not-an-atlas", f"There is no {path}.", str(path))]
        if path.is_file() and path.name != MANIFEST:
            text = f"{path} is a file; an atlas is a folder, or its manifest.json."
            return [found("not-an-atlas", text, str(path))]
        known = (packaged.METADATA, packaged.STRUCTURES, *_VOLUMES, MANIFEST)
        if path.is_dir() and not any((path / name).exists() for name in known):
            text = f"{path} holds none of {', '.join(known)}."
            return [found("not-an-atlas", text, str(path))]
    except (OSError, ValueError) as error:  # no permission; a NUL in the name
        return [found("not-an-atlas", f"{path} cannot be read: {error}.", str(path))]
    return []


def why_not(folder: Path, error: Exception, check: Check) -> list[Finding]:
    """Return why an atlas does not open, and everything else that can be said of its files."""
    findings = _said(error, str(folder))
    if (folder / MANIFEST).exists():
        findings += _of_components(folder, check)
    else:
        findings += _of_package(folder)
    return findings


def _said(error: Exception, where: str) -> list[Finding]:
    if isinstance(error, IncompleteAtlasError):
        return [found("missing-file", str(error), where)]
    return of_error(error, where)


def _attempt(question: Callable[[], Sequence[Finding]], where: str) -> list[Finding]:
    try:
        return list(question())
    except Exception as error:  # noqa: BLE001 - whatever a damaged file trips is a finding
        return _said(error, where)


def _of_package(folder: Path) -> list[Finding]:
    def metadata() -> list[Finding]:
        packaged.read_metadata(folder)
        return []

    def structures() -> list[Finding]:
        return check_structures(packaged.read_structures(folder))

    def volume(name: str) -> list[Finding]:
        from bg_atlasapi.formats.tiff import TiffVolume

        _ = TiffVolume(folder / name).shape  # reads the header
        return []

    findings: list[Finding] = []
    for name, question in ((packaged.METADATA, metadata), (packaged.STRUCTURES, structures)):
        if (folder / name).exists():
            findings += _attempt(question, name)
    for name in _VOLUMES:
        if (folder / name).exists():
            findings += _attempt(lambda name=name: volume(name), name)  # type: ignore[misc]
    return findings


def _of_components(folder: Path, check: Check) -> list[Finding]:
    def terminology() -> list[Finding]:
        from bg_atlasapi.formats import components, terminology_csv

        manifest = components.read_manifest(folder, check)
        table = manifest.terminology.folder / terminology_csv.NAME
        return check_structures(terminology_csv.read_terminology(table, check))

    return _attempt(terminology, MANIFEST)


def raw_rows(folder: Path) -> Sequence[Mapping[str, Any]] | None:
    """Return the structures of a package as its file holds them; None of other layouts."""
    if not (folder / packaged.STRUCTURES).is_file():
        return None
    try:
        return packaged.read_structures(folder)
    except AtlasError:
        return None


def unlisted_meshes(folder: Path, atlas: Atlas) -> list[Finding]:
    """Return the mesh files of a package that belong to no structure."""
    return list(_unlisted(folder / packaged.MESHES, {int(one) for one in atlas.terminology.ids}))


def _unlisted(folder: Path, ids: set[int]) -> Iterator[Finding]:
    if not folder.is_dir():
        return
    for path in sorted(folder.glob("*.obj")):
        if not (path.stem.isdecimal() and int(path.stem) in ids):
            text = f"No structure has the mesh {path.name}."
            yield found("mesh-unlisted", text, path.name)
