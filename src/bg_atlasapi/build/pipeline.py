"""Build an atlas from a recipe: check, read, mesh, validate, package, report.

Every stage is whole or not there, so a build that was killed goes on where it was, and ends with
the same bytes: nothing that is written depends on when, where or in how many tries it was made.
Each stage's work is done elsewhere; here is their order, and what stops them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from bg_atlasapi.build import archiving, gathering, outputs, recipe_files, sources, work_folder
from bg_atlasapi.build.recipe import Recipe
from bg_atlasapi.build.recipe_files import Checked, accepted
from bg_atlasapi.build.stages import Stages, fingerprint, mark_of
from bg_atlasapi.build.validation import catalogue
from bg_atlasapi.build.validation.atlas_codes import METADATA
from bg_atlasapi.errors import Finding, InvalidAtlasError, InvalidInputError
from bg_atlasapi.formats import exporting
from bg_atlasapi.model.atlas import Atlas
from bg_atlasapi.model.hemispheres import SplitHemispheres
from bg_atlasapi.model.levels import same_spacing
from bg_atlasapi.model.space import LEFT, RIGHT
from bg_atlasapi.model.volumes import at_resolution
from bg_atlasapi.store import disk, inventories
from bg_atlasapi.store.inventory import COMPONENT_STORE
from bg_atlasapi.store.transfer.progress import Report, silent

FORMATS = ("components", "packaged")
# Goes up when the same recipe would give other bytes.
_BUILDING = 1
_WRITING = "writing"
_MADE = ("root-added", "ids-made")


@dataclass(frozen=True, slots=True)
class Wish:
    """What to build, and where.

    Parameters
    ----------
    target
        Folder for what is built: a folder of atlases, and what a web server publishes.
    formats
        Of ``FORMATS``.
    meshes
        Whether to make meshes; None as the recipe says.
    overwrite
        Replace what is there, whatever it was built from.
    workers
        Processes that make meshes; None for one a core.
    """

    target: Path
    formats: tuple[str, ...] = FORMATS
    meshes: bool | None = None
    overwrite: bool = False
    workers: int | None = None


@dataclass(frozen=True)
class Built:
    """What was built.

    Parameters
    ----------
    name, version
        Name with resolution; version.
    paths
        What was written, by what it is: ``"components"``, ``"packaged"``, ``"archive"``,
        ``"report"``, …
    findings
        What was noticed; none of them stops a build.
    resumed
        Stages that an earlier try had done.
    is_new
        False if everything was there already.
    """

    name: str
    version: str
    paths: Mapping[str, Path]
    findings: tuple[Finding, ...] = ()
    resumed: tuple[str, ...] = ()
    is_new: bool = True


@dataclass
class _Run:
    """A build under way."""

    checked: Checked
    wish: Wish
    stages: Stages
    report: Report
    files: gathering.Files
    inputs: dict[str, Any]
    findings: list[Finding] = field(default_factory=list)

    @property
    def recipe(self) -> Recipe:
        return self.checked.recipe


def build(
    path: str | Path,
    wish: Wish,
    *,
    folder: str | Path | None = None,
    report: Report = silent,
) -> Built:
    """Build an atlas.

    Parameters
    ----------
    path
        The recipe.
    wish
        What of it, and where.
    folder
        Folder that relative paths of the recipe start from; default that of the recipe.
    report
        Told of the progress.

    Raises
    ------
    InvalidRecipeError
        If the recipe, or the files it names, cannot be used; before anything heavy.
    InvalidAtlasError
        If what the files hold is no sound atlas; carries every finding. Nothing is written.
    AlreadyThereError
        If something else lies where the atlas was to be written.
    RemoteError
        If a file cannot be downloaded.
    StorageError
        If the disk is full, or the folder cannot be written to.
    """
    checked = recipe_files.check(path, folder)
    checked.raise_errors()
    recipe, target = checked.recipe, wish.target
    label = f"{recipe.name}_v{recipe.version}"
    if target.exists() and not target.is_dir():
        raise InvalidInputError(f"Atlases are built in a folder, and {target} is none.")
    advice = "Choose another folder with -o."
    explained = partial(disk.explained, target, f"build {label}", advice=advice)
    # Inside, too, so that it is the error people see that says where what was done is kept.
    with explained(), work_folder.opened(target, recipe, mark_of(_WRITING)) as work, explained():
        _clear_up(target)
        files = sources.bring(recipe, work / work_folder.DOWNLOADS, report)
        checked = _localised(checked, files)
        checked.raise_errors()
        inputs = _inputs(checked, wish, files)
        return _unless_there(_Run(checked, wish, Stages(work), report, files, inputs))


def _clear_up(target: Path) -> None:
    """Remove files that a killed build was writing; folders are taken back by the next export."""
    conf = target / COMPONENT_STORE / "atlases"
    for folder in (target, conf, outputs.archives_in(target), target / outputs.REPORTS):
        for left in folder.glob(".*~*"):
            if left.is_file() and disk.maker_is_gone(left.name):
                left.unlink(missing_ok=True)


def _localised(checked: Checked, files: gathering.Files) -> Checked:
    """Check what was downloaded, too."""
    recipe = checked.recipe
    if all(one.path is not None for one in recipe.sources):
        return checked

    def here(one: Any) -> Any:
        path = files[one.source.key][0]
        return replace(one, source=replace(one.source, path=path))

    local = replace(
        recipe,
        annotation=here(recipe.annotation),
        table=here(recipe.table),
        template=recipe.template and here(recipe.template),
        hemispheres=recipe.hemispheres and here(recipe.hemispheres),
        references=tuple(here(one) for one in recipe.references),
    )
    found = recipe_files.check_files(local)
    known = {(one.code, one.message) for one in found.findings}
    before = [one for one in checked.findings if (one.code, one.message) not in known]
    return replace(found, findings=(*before, *found.findings))


def _inputs(checked: Checked, wish: Wish, files: gathering.Files) -> dict[str, Any]:
    """Return everything that decides what is built, and nothing of where and when."""
    recipe = checked.recipe
    stated = asdict(recipe)
    del stated["file"], stated["findings"]
    for one in (stated, *stated["references"]):
        for part in (one, *(value for value in one.values() if isinstance(value, dict))):
            part.pop("source", None)
    meshes = recipe.meshes.build if wish.meshes is None else wish.meshes
    return {
        "building": _BUILDING,
        "recipe": stated,
        "sources": {key: digest for key, (_, digest) in files.items()},
        "meshes": meshes,
        "formats": sorted(wish.formats),
    }


def _unless_there(run: _Run) -> Built:
    """Build, unless the same was built here before."""
    record = outputs.record_of(run.checked, run.wish.target)
    mark = fingerprint(run.inputs)
    known = outputs.read_record(record)
    paths = outputs.outputs(run.checked, run.wish.formats, run.wish.target)
    there = known.get("fingerprint") == mark and all(one.exists() for one in paths.values())
    if there and not run.wish.overwrite:
        findings = tuple(Finding(**one) for one in known["findings"])
        name = run.checked.full_name
        return Built(name, run.recipe.version, paths, findings, is_new=False)
    ours = run.stages.has_begun(_WRITING) or _built_from_this(known, run)
    if not (run.wish.overwrite or ours):
        outputs.refuse_what_is_there(paths.values())
    return _built(run, record, mark, paths)


def _built_from_this(known: Mapping[str, Any], run: _Run) -> bool:
    """Say whether what a record is of was built from the same, if in another layout."""
    before = {**known.get("built_from", {}), "formats": run.inputs["formats"]}
    return fingerprint(before) == fingerprint(run.inputs)


def _built(run: _Run, record: Path, mark: str, paths: Mapping[str, Path]) -> Built:
    try:
        gathered = gathering.gather(run.recipe, run.files, run.stages, run.report)
    except InvalidAtlasError as error:
        run.findings += [*run.checked.findings, *error.findings]
        _stop_at_errors(run)
        raise
    run.findings += [*run.checked.findings, *gathered.findings]
    _stop_at_errors(run)
    atlas = _with_meshes(run, gathered.atlas)
    known = {_told_as(one) for one in run.findings}  # of recipe and labels, before there was one
    run.findings += [one for one in _validate(run, atlas) if _told_as(one) not in known]
    _stop_at_errors(run)
    run.stages.begin(_WRITING)
    name, version = run.checked.full_name, run.recipe.version
    findings = _without_repeats(run.findings)
    for form in run.wish.formats:
        _write(run, atlas, form)
    if "packaged" in run.wish.formats:
        inventories.index_packages(outputs.archives_in(run.wish.target))
    _write_report(run, atlas, paths["report"], findings)
    stated = {
        "name": name,
        "version": version,
        "fingerprint": mark,
        "built_from": run.inputs,
        "findings": [asdict(one) for one in findings],
    }
    disk.write_text(record, json.dumps(stated, indent=1, sort_keys=True) + "\n")
    return Built(name, version, paths, findings, tuple(run.stages.resumed))


def _stop_at_errors(run: _Run) -> None:
    """Raise if an error was found that the recipe does not accept."""
    run.findings = [accepted(one, run.recipe) for one in run.findings]
    errors = [one for one in run.findings if one.severity == "error"]
    if errors:
        raise InvalidAtlasError(run.recipe.file, _without_repeats(errors))


def _told_as(finding: Finding) -> tuple[str, str]:
    """Return what two findings share that say the same of the same place, whatever their words."""
    kind = catalogue.KINDS.get(finding.code)
    whole = kind is not None and kind.chapter == METADATA  # there is one of each in an atlas
    return finding.code, "" if whole else finding.where


def _without_repeats(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Leave out what was told before: of the recipe with its line, of what was read without.

    A table is read again once the labels are known, and may get other ids then; what was made of
    them counts.
    """
    told: dict[tuple[str, str, str], Finding] = {}
    for one in findings:
        place = one.where.rpartition(", ")[2]
        key = (one.code, "" if one.code in _MADE else one.message, place)
        first = told.get(key, one)
        told[key] = replace(one, where=first.where)
    return tuple(told.values())


def _with_meshes(run: _Run, atlas: Atlas) -> Atlas:
    """Return the atlas with the meshes that are asked for, made now if need be."""
    if not run.inputs["meshes"]:
        return atlas
    from bg_atlasapi.build.meshing import WrittenMeshes, mesh_structures

    recipe = run.recipe
    sides = (LEFT, RIGHT) if recipe.meshes.hemispheres else ()

    def make(folder: Path) -> None:
        mesh_structures(
            atlas.labels,
            atlas.space,
            folder,
            tolerance_um=recipe.meshes.tolerance_um,
            smooth=recipe.meshes.smooth,
            hemispheres=(atlas.hemispheres or SplitHemispheres(atlas.space)) if sides else None,
            report=run.report,
            workers=run.wish.workers,
        )

    inputs = [run.inputs["recipe"], run.inputs["sources"]]
    folder = run.stages.run("meshes", inputs, make, keep=True)
    halves = {side: WrittenMeshes(folder, side) for side in sides}
    return replace(atlas, meshes=WrittenMeshes(folder), side_meshes=halves)


def _validate(run: _Run, atlas: Atlas) -> list[Finding]:
    """Return what is wrong with the atlas."""
    from bg_atlasapi.build.validation import check_atlas

    def make(folder: Path) -> None:
        found = check_atlas(atlas, meshes=run.inputs["meshes"], report=run.report)
        text = json.dumps([asdict(one) for one in found])
        (folder / "findings.json").write_text(text)

    folder = run.stages.run("validation", run.inputs, make)
    return [Finding(**one) for one in json.loads((folder / "findings.json").read_bytes())]


def _write(run: _Run, atlas: Atlas, form: str) -> None:
    """Write an atlas in a layout, and its coarser levels."""
    recipe, target = run.recipe, run.wish.target

    inputs = [run.inputs, str(target)]
    run.stages.run(f"written-{form}", inputs, partial(_export, run, atlas, form))
    if form == "packaged":
        for one in outputs.packages(recipe, atlas.space.spacing_um, target):
            run.stages.run(f"archive-{one.name}", inputs, partial(_pack, run, one))


def _pack(run: _Run, package: Path, _folder: Path) -> None:
    """Write an archive into the target, as ``_export``."""
    archiving.archive(package, outputs.archives_in(run.wish.target), run.report)


def _export(run: _Run, atlas: Atlas, form: str, _folder: Path) -> None:
    """Write into the target; the stage's own folder only says that it was done."""
    recipe, target = run.recipe, run.wish.target
    name, version, levels = run.checked.full_name, recipe.version, recipe.levels_um
    if form == "components":
        exporting.export(
            atlas, name, version, target, form, overwrite=True, report=run.report, levels_um=levels
        )
        return
    for size in (atlas.space.spacing_um, *levels):
        level = atlas if same_spacing(size, atlas.space.spacing_um) else at_resolution(atlas, size)
        at = f"{recipe.name}_{size[0]:g}um"
        exporting.export(level, at, version, target, form, overwrite=True, report=run.report)


def _write_report(run: _Run, atlas: Atlas, path: Path, findings: Sequence[Finding]) -> None:
    """Write the page that shows what was built, whole or not at all."""
    from bg_atlasapi.build.report import write_report

    stated = {one.key: one.stated for one in run.recipe.sources}
    told = {
        "recipe": run.recipe.file.name,
        "fingerprint": fingerprint(run.inputs),
        "sources": {stated[key]: digest for key, (_, digest) in run.files.items()},
    }
    beside = run.stages.folder / "report.html"
    write_report(
        atlas,
        beside,
        findings,
        provenance=told,
        folder=path.parent / path.stem,
        meshes=run.inputs["meshes"],
        report=run.report,
    )
    path.parent.mkdir(exist_ok=True)
    beside.replace(path)
