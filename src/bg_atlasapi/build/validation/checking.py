"""Run the checks, each on its own, so that one that cannot be made does not hide the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bg_atlasapi.build.validation import opening
from bg_atlasapi.build.validation.catalogue import completed, found
from bg_atlasapi.build.validation.findings import Findings, of_error
from bg_atlasapi.build.validation.labels import check_parts, check_presence, check_size
from bg_atlasapi.build.validation.meshes import check_meshes
from bg_atlasapi.build.validation.metadata import check_metadata
from bg_atlasapi.build.validation.sides import check_sides
from bg_atlasapi.build.validation.subject import Checked
from bg_atlasapi.build.validation.tables import check_structures
from bg_atlasapi.build.validation.template import check_references, check_template
from bg_atlasapi.errors import AtlasError, Finding, InvalidAtlasError
from bg_atlasapi.formats.checks import Check, no_check
from bg_atlasapi.formats.registry import folder_of, open_atlas
from bg_atlasapi.model.atlas import Atlas
from bg_atlasapi.model.volume import VolumeSource
from bg_atlasapi.store.transfer.progress import Report, silent

Question = Callable[[], Iterable[Finding]]
_BY_LABELS = ("template", "meshes")  # compared with the annotation


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of checking a path.

    Parameters
    ----------
    findings
        Everything that was found.
    atlas
        The atlas; None if it cannot be opened.
    """

    findings: Findings
    atlas: Atlas | None


def check_atlas(
    atlas: Atlas,
    *,
    meshes: bool = True,
    rows: Sequence[Mapping[str, Any]] | None = None,
    folder: Path | None = None,
    report: Report = silent,
) -> Findings:
    """Check everything about an atlas.

    Parameters
    ----------
    atlas
        Its parts.
    meshes
        Whether to read the meshes too, which takes longest.
    rows
        The structures as a file holds them, before anything was forgiven; default as the atlas
        holds them.
    folder
        Where it lies, to compare names.
    report
        Told of what is being checked.

    Returns
    -------
    Findings
        A tuple, the gravest first; never an error for what is wrong with the atlas.
    """
    checked = Checked(atlas)
    template = None if atlas.metadata.get("has_template") is False else atlas.reference
    stages: list[tuple[str, Question]] = [
        ("structures", lambda: _structures(atlas, rows)),
        ("metadata", lambda: check_metadata(atlas.metadata, atlas.space.spacing_um, folder)),
        ("annotation", lambda: _require_shape("hemispheres", atlas.hemispheres, atlas)),
        ("annotation", lambda: check_presence(checked)),
        ("annotation", lambda: check_size(checked)),
        ("annotation", lambda: check_sides(checked)),
        ("annotation", lambda: check_parts(checked)),
        ("template", lambda: _require_shape("template", template, atlas)),
        ("template", lambda: check_template(checked)),
        ("references", lambda: check_references(checked)),
    ]
    if meshes:
        stages.append(("meshes", lambda: check_meshes(checked, report)))
    findings: list[Finding] = []
    broken: set[str] = set()
    for done, (where, question) in enumerate(stages):
        report("check", done, len(stages))
        if where in broken or (where in _BY_LABELS and "annotation" in broken):
            continue
        some, failed = _answer(where, question)
        findings += some
        if failed:
            broken.add(where)
    report("check", len(stages), len(stages))
    return Findings.of(findings)


def _require_shape(name: str, volume: VolumeSource | None, atlas: Atlas) -> list[Finding]:
    """Raise if a volume, which people may have assigned, does not cover the annotation."""
    if volume is not None and tuple(volume.shape) != atlas.space.shape:
        text = f"The {name} has the shape {tuple(volume.shape)}, the atlas {atlas.space.shape}."
        raise InvalidAtlasError(name, [found("shape-mismatch", text, name)])
    return []


def _answer(where: str, question: Question) -> tuple[list[Finding], bool]:
    """Return what a check finds, and whether it could not be made."""
    findings: list[Finding] = []
    try:
        findings.extend(question())  # what was found before a failure stays
    except Exception as error:  # noqa: BLE001 - whatever a damaged file trips is a finding
        return [*findings, *of_error(error, where)], True
    return findings, False


def _structures(atlas: Atlas, rows: Sequence[Mapping[str, Any]] | None) -> list[Finding]:
    findings = check_structures(atlas.structures if rows is None else rows)
    known = {one.code for one in findings}
    forgiven = [completed(one) for one in atlas.terminology.findings]
    return findings + [one for one in forgiven if one.code not in known]


def check_path(
    path: Path, *, meshes: bool = True, check: Check = no_check, report: Report = silent
) -> Verdict:
    """Check an atlas in a folder, however broken it is.

    Parameters
    ----------
    path
        A package folder, or a ``manifest.json`` or its folder.
    meshes
        Whether to read the meshes too.
    check
        Asked about each file before it is first read.
    report
        Told of what is being checked.

    Returns
    -------
    Verdict
        The findings, and the atlas if it can be opened.
    """
    folder = folder_of(path)
    strange = opening.no_atlas(path)
    if strange:
        return Verdict(Findings.of(strange), None)
    try:
        atlas = open_atlas(path, check)
    except Exception as error:  # noqa: BLE001 - whatever a damaged file trips is a finding
        return Verdict(Findings.of(opening.why_not(folder, error, check)), None)
    rows, unlisted = opening.raw_rows(folder), opening.unlisted_meshes(folder, atlas)
    findings = check_atlas(atlas, meshes=meshes, rows=rows, folder=folder, report=report)
    return Verdict(Findings.of([*findings, *(unlisted if meshes else [])]), atlas)


def check_opened(
    path: Path, atlas: Atlas, *, meshes: bool = True, report: Report = silent
) -> Findings:
    """Check an atlas that was opened from a folder; see ``check_path``."""
    folder = folder_of(path)
    try:
        rows, unlisted = opening.raw_rows(folder), opening.unlisted_meshes(folder, atlas)
    except AtlasError as error:  # gone since it was opened
        return Findings.of([found("missing-file", str(error), str(folder))])
    findings = check_atlas(atlas, meshes=meshes, rows=rows, folder=folder, report=report)
    return Findings.of([*findings, *(unlisted if meshes else [])])
