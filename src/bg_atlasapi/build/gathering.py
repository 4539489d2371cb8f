"""Read the files of a recipe into arrays on disk, and put the atlas together from them.

Each volume is read and turned once, into an ``.npy`` file that is mapped from then on, so that a
build needs little memory and goes on where it was killed. What comes of the atlas is the business
of ``pipeline``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi.build import arrays, recipe_files
from bg_atlasapi.build.recipe import Recipe, VolumeRecipe
from bg_atlasapi.build.stages import Stages
from bg_atlasapi.build.validation import catalogue
from bg_atlasapi.errors import (
    AtlasError,
    Finding,
    InvalidAtlasError,
    InvalidVolumeError,
    StorageError,
)
from bg_atlasapi.late import np
from bg_atlasapi.model.atlas import Atlas
from bg_atlasapi.model.coding import coding_of
from bg_atlasapi.model.labels import ArraySource
from bg_atlasapi.model.terminology import Terminology
from bg_atlasapi.store.transfer.progress import Report

if TYPE_CHECKING:
    import numpy.typing as npt

# Goes up when the same files would be read differently.
_READING = 1
_READ = "read volumes"
_LABELS = ("annotation", "hemispheres")
_GREY = [128, 128, 128]
_UNLISTED = "label-without-structure"
Files = Mapping[str, tuple[Path, str]]


@dataclass(frozen=True)
class Gathered:
    """What the files of a recipe hold.

    Parameters
    ----------
    atlas
        Put together, without meshes.
    findings
        What was odd about files, table and labels.
    """

    atlas: Atlas
    findings: tuple[Finding, ...]


def gather(recipe: Recipe, files: Files, stages: Stages, report: Report) -> Gathered:
    """Read all files of a recipe.

    Parameters
    ----------
    recipe
        What to read.
    files
        Path and SHA-256 of each, by key.
    stages
        Keep what was read.
    report
        Told of the progress.

    Raises
    ------
    InvalidAtlasError
        If a volume or the table cannot be used; carries every finding of all of them.
    """
    from bg_atlasapi.build.validation.labels import count_labels

    findings: list[Finding] = []
    volumes: dict[str, npt.NDArray[Any]] = {}
    spacing = (0.0, 0.0, 0.0)
    for number, volume in enumerate(recipe.volumes):
        report(_READ, number, len(recipe.volumes))
        path, digest = files[volume.source.key]
        try:
            folder = _read(volume, path, digest, stages)
        except StorageError:  # nothing that a file is to blame for
            raise
        except AtlasError as error:
            findings += [recipe_files.as_stated(one, volume.source, path) for one in _why(error)]
            continue
        facts = json.loads((folder / "facts.json").read_bytes())
        volumes[volume.name] = np.load(folder / "values.npy", mmap_mode="r")
        told = [Finding(**one) for one in facts["findings"]]
        findings += [recipe_files.as_stated(one, volume.source, path) for one in told]
        if volume is recipe.annotation:
            spacing = tuple(facts["spacing_um"])
    report(_READ, len(recipe.volumes), len(recipe.volumes))
    annotation = volumes.get("annotation")
    counts = {} if annotation is None else count_labels(annotation)
    table, found = recipe_files.table_of(recipe, files["table"][0], counts)
    findings += found
    if table is None or annotation is None:
        raise InvalidAtlasError(recipe.file, findings)
    entries = [dict(one) for one in table.rows]
    labels, entries, found = _settled(recipe, annotation, entries, files, stages)
    if len(volumes) < len(recipe.volumes):
        raise InvalidAtlasError(recipe.file, [*findings, *found])
    further = {one.name: volumes[one.name] for one in recipe.references}
    parts = arrays.Parts(
        annotation=labels,
        structures=entries,
        spacing_um=spacing,
        orientation=recipe_files.TARGET,
        reference=volumes.get("template"),
        hemispheres=volumes.get("hemispheres"),
        references=further,
        metadata=metadata_of(recipe),
    )
    return Gathered(arrays.atlas_of(parts), (*findings, *found))


def _why(error: AtlasError) -> tuple[Finding, ...]:
    """Return why a volume could not be read."""
    if isinstance(error, InvalidVolumeError):
        return error.findings
    return (catalogue.found("source-unreadable", str(error)),)


def metadata_of(recipe: Recipe) -> dict[str, Any]:
    """Return what a recipe says of its atlas, under the keys that published atlases have."""
    stated: dict[str, Any] = {
        "name": recipe.name,
        "citation": recipe.full_citation or "unpublished",
        "atlas_link": recipe.link,
        "species": recipe.species,
        "version": recipe.version,
        "license": recipe.licence,
        "atlas_packager": recipe.packager,
    }
    return {**stated, "custom": True} if recipe.custom else stated


def _read(volume: VolumeRecipe, path: Path, digest: str, stages: Stages) -> Path:
    """Return the folder with the voxels of a volume, as the atlas will have them."""
    labels = volume.name in _LABELS
    inputs = [_READING, digest, volume.orientation, volume.resolution_um, labels]

    def make(folder: Path) -> None:
        from bg_atlasapi.build.volumes import read_volume

        read = read_volume(
            path,
            orientation=volume.orientation,
            spacing_um=volume.resolution_um,
            target=recipe_files.TARGET,
            labels=labels,
        )
        np.save(folder / "values.npy", read.array)
        facts = {
            "spacing_um": read.space.spacing_um,
            "findings": [asdict(one) for one in read.findings],
        }
        (folder / "facts.json").write_text(json.dumps(facts))

    return stages.run(f"volume-{volume.name}", inputs, make)


def _settled(
    recipe: Recipe,
    labels: npt.NDArray[Any],
    entries: list[dict[str, Any]],
    files: Files,
    stages: Stages,
) -> tuple[npt.NDArray[Any], list[dict[str, Any]], list[Finding]]:
    """Return labels and structures once it is settled what becomes of labels without one."""
    from bg_atlasapi.build.validation import check_labels_against

    findings = list(check_labels_against(entries, labels))
    if recipe.unlisted == "refuse" or not any(one.code == _UNLISTED for one in findings):
        return labels, entries, findings
    known = Terminology(_records(entries))
    unlisted = coding_of(ArraySource(labels), known).unlisted
    mended = []
    for one in findings:
        warning = replace(one, severity="warning", mend=_DONE[recipe.unlisted])
        mended.append(warning if one.code == _UNLISTED else one)
    if recipe.unlisted == "add":
        return labels, [*entries, *(_added(int(one), known) for one in unlisted)], mended
    inputs = [_READING, files["annotation"][1], files["table"][1], unlisted.tolist()]
    inputs += [recipe.annotation.orientation]

    def make(folder: Path) -> None:
        whole = np.array(labels)
        for plane in whole:
            plane[np.isin(plane, unlisted)] = 0
        np.save(folder / "values.npy", whole)

    folder = stages.run("labels", inputs, make)
    return np.load(folder / "values.npy", mmap_mode="r"), entries, mended


_DONE = {
    "add": "A structure was added for it, as the recipe says.",
    "zero": "It was made 0, outside, as the recipe says.",
}


def _records(entries: list[dict[str, Any]]) -> Any:
    from bg_atlasapi.formats.packaged import records_of

    return records_of(entries, "The table of structures", "the table")


def _added(label: int, known: Terminology) -> dict[str, Any]:
    """Return a structure for a label that the table lacks."""
    root = int(known.ids[1])
    return {
        "acronym": f"unlisted-{label}",
        "id": label,
        "name": f"Label {label}, which the table lacks",
        "structure_id_path": [root, label],
        "rgb_triplet": _GREY,
    }
