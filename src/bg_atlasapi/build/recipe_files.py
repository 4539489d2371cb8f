"""What the files of a recipe say about themselves, and whether that fits together.

Reads headers and the table of structures, never voxels, so that everything that is wrong with a
recipe is known in no time. ``check`` is what ``brainglobe build`` does before it builds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bg_atlasapi import settings
from bg_atlasapi.build import recipe as recipes
from bg_atlasapi.build import sources
from bg_atlasapi.build.recipe import Recipe, SourceFile, VolumeRecipe
from bg_atlasapi.build.validation import catalogue
from bg_atlasapi.errors import AtlasError, Finding, InvalidRecipeError
from bg_atlasapi.model.space import CoordinateSpace

if TYPE_CHECKING:
    from bg_atlasapi.formats.label_tables import LabelTable

TARGET = "asr"
# What is larger is hashed when it is built: a wrong recipe is to be told in no time.
_HASHED_AT_ONCE = 128 << 20
# What a header that says nothing else may be off by: NIfTI keeps sizes as 32-bit floats.
_NEARLY = 1e-4
_FEWEST = 4  # voxels along an axis of a coarser level
# With these there is nothing to build, whatever a recipe accepts.
_FATAL = {
    *("source-missing", "source-unreadable", "source-changed", "shape-mismatch", "level-size"),
    *("space-unknown", "labels-not-whole", "labels-not-finite", "labels-inexact"),
    *("labels-out-of-range", "template-too-wide", "empty", "no-labels"),
}


@dataclass(frozen=True, slots=True)
class Checked:
    """What is known of a recipe before it is built.

    Parameters
    ----------
    recipe
        As read.
    findings
        Everything that was noticed, with lines of the recipe; those that ``accept`` names as
        warnings.
    space
        Of the atlas; None if it cannot be told.
    structures
        How many the table lists; None if it cannot be read.
    """

    recipe: Recipe
    findings: tuple[Finding, ...]
    space: CoordinateSpace | None
    structures: int | None

    @property
    def full_name(self) -> str:
        """Name with resolution."""
        size = self.space.spacing_um[0] if self.space else 0.0
        return f"{self.recipe.name}_{size:g}um"

    @property
    def not_read(self) -> tuple[str, ...]:
        """What was not looked at, in words: it would take long, or is not here yet."""
        here = [one for one in self.recipe.volumes if one.source.path is not None]
        large = [
            one.key
            for one in self.recipe.sources
            if one.path and one.sha256 and sources.size_of(one.path) > _HASHED_AT_ONCE
        ]
        away = [one.key for one in self.recipe.sources if one.path is None]
        said = [f"voxels of {', '.join(one.name for one in here)}"] if here else []
        said += [f"SHA-256 of {', '.join(large)}"] if large else []
        return (*said, f"{', '.join(away)} (to be downloaded)") if away else tuple(said)

    def raise_errors(self) -> None:
        """Raise if there are errors.

        Raises
        ------
        InvalidRecipeError
            With all findings.
        """
        if any(one.severity == "error" for one in self.findings):
            raise InvalidRecipeError(self.recipe.file, self.findings)


def check(path: str | Path, folder: str | Path | None = None) -> Checked:
    """Check a recipe and the headers of its files.

    Parameters
    ----------
    path
        The recipe.
    folder
        Folder that relative paths start from; default that of the recipe.

    Raises
    ------
    InvalidRecipeError
        If the recipe itself says what it may not; carries every finding, those of its files too.
    """
    recipe, findings = recipes.read_partly(path, folder)
    if not findings:
        assert recipe is not None  # nothing was left out
        return check_files(recipe, list(_of_files(recipe)))
    said: tuple[Finding, ...] = ()
    file = settings.expanded(path).absolute()
    if recipe is not None:
        said = check_files(recipe, list(_of_files(recipe))).findings
    text = file.read_text(encoding="utf-8-sig")
    raise InvalidRecipeError(
        file, recipes.in_order([*recipes.placed(findings, text, file.name), *said])
    )


def check_files(recipe: Recipe, findings: list[Finding] | None = None) -> Checked:
    """Check the headers of the files of a recipe that are on this machine, and its table.

    Parameters
    ----------
    recipe
        As read; after a download, with the paths of what came.
    findings
        What is known already.
    """
    findings = findings or []
    missing = {one.where.split(".")[0] for one in findings if one.where.endswith(".path")}
    spaces: dict[str, CoordinateSpace] = {}
    for volume in recipe.volumes:
        if volume.source.path is not None and volume.source.key not in missing:
            findings += _of_header(volume, spaces)
    findings += _of_spaces(recipe, spaces)
    structures = None
    if recipe.table.source.path is not None and "table" not in missing:
        table, found = table_of(recipe, recipe.table.source.path)
        structures = None if table is None else len(table.rows)
        findings += found
    findings += _of_facts(recipe)
    lines = recipes.placed(findings, recipe.file.read_text(encoding="utf-8-sig"), recipe.file.name)
    told = tuple(accepted(one, recipe) for one in lines)
    return Checked(recipe, told, spaces.get("annotation"), structures)


def accepted(finding: Finding, recipe: Recipe) -> Finding:
    """Return a finding, as a warning if the recipe accepts its code and anything can come of it."""
    acceptable = finding.code in recipe.accept and finding.code not in _FATAL
    if finding.severity == "error" and acceptable:
        return replace(finding, severity="warning")
    return finding


def _of_files(recipe: Recipe) -> Iterator[Finding]:
    for source in recipe.sources:
        missing = list(sources.absent(source))
        yield from missing
        if source.path is None or missing:
            continue
        if source.sha256 is None:
            text = "Without its 'sha256' nobody can tell whether this is the file that was meant."
            yield catalogue.found("source-unhashed", text, source.key, "")
        elif sources.size_of(source.path) <= _HASHED_AT_ONCE:
            yield from sources.differing(source, sources.content_sha256(source.path))


def _of_header(volume: VolumeRecipe, spaces: dict[str, CoordinateSpace]) -> list[Finding]:
    """Return what is wrong with the header of a volume; adds the space it will have."""
    from bg_atlasapi.build.volumes import peek_volume

    path = volume.source.path
    assert path is not None
    code = "source-unreadable"
    try:
        header = peek_volume(path)
        if not (volume.orientation or header.orientation) or not (
            volume.resolution_um or header.spacing_um
        ):
            code = "space-unknown"
        found = header.placed(volume.orientation, volume.resolution_um, TARGET)
    except AtlasError as error:
        return [as_stated(catalogue.found(code, str(error), mend=""), volume.source)]
    spaces[volume.name] = found.space
    return [as_stated(one, volume.source) for one in (*header.findings, *found.findings)]


def as_stated(finding: Finding, source: SourceFile, path: Path | None = None) -> Finding:
    """Return a finding of a file with the name that the recipe gives it: no machine's folders."""
    text = finding.message
    for one in (path, source.path):
        text = text if one is None else text.replace(str(one), source.stated)
    return replace(finding, message=text, where=source.key)


def _alike(sizes: tuple[float, ...], others: tuple[float, ...]) -> bool:
    return all(abs(a - b) <= _NEARLY * b for a, b in zip(sizes, others, strict=True))


def _sizes(sizes: tuple[float, ...]) -> str:
    shown = [f"{size:g}" for size in sizes]
    return shown[0] if len(set(shown)) == 1 else " × ".join(shown)


def _of_spaces(recipe: Recipe, spaces: Mapping[str, CoordinateSpace]) -> Iterator[Finding]:
    """Yield what does not fit the annotation: shapes, voxel sizes, levels."""
    own = spaces.get("annotation")
    if own is None:
        return
    for volume in recipe.volumes[1:]:
        other = spaces.get(volume.name)
        if other is None:
            continue
        if other.shape != own.shape:
            text = f"It has the shape {other.shape}, the annotation {own.shape} (as {TARGET!r})."
            yield catalogue.found("shape-mismatch", text, volume.source.key, "")
        if not _alike(other.spacing_um, own.spacing_um):
            text = f"It has voxels of {_sizes(other.spacing_um)} µm, "
            text += f"the annotation of {_sizes(own.spacing_um)} µm."
            yield catalogue.found("spacing-mismatch", text, volume.source.key)
    yield from _of_levels(recipe, own)


def _of_levels(recipe: Recipe, own: CoordinateSpace) -> Iterator[Finding]:
    """Yield levels that cannot be made, or would overwrite each other."""
    taken = {f"{own.spacing_um[0]:g}"}
    for level in recipe.levels_um:
        factors = [a / b for a, b in zip(level, own.spacing_um, strict=True)]
        if not all(abs(f - round(f)) < _NEARLY and round(f) >= 1 for f in factors) or not any(
            round(f) > 1 for f in factors
        ):
            text = (
                f"A level of {_sizes(level)} µm is no whole multiple of {_sizes(own.spacing_um)}."
            )
            yield catalogue.found("level-size", text, "space.levels_um", "")
        elif f"{level[0]:g}" in taken:
            text = (
                f"The level of {_sizes(level)} µm would be called {recipe.name}_{level[0]:g}um, as "
                "another: atlases are named by their first voxel size."
            )
            yield catalogue.found("level-size", text, "space.levels_um", "")
        yield from _too_coarse(level, own)
        taken.add(f"{level[0]:g}")


def _too_coarse(level: tuple[float, ...], own: CoordinateSpace) -> Iterator[Finding]:
    """Yield a finding for a level that leaves next to nothing of the volume."""
    pairs = zip(own.shape, own.spacing_um, level, strict=True)
    left = [max(round(n * fine / coarse), 1) for n, fine, coarse in pairs]
    if any(few < min(n, _FEWEST) for few, n in zip(left, own.shape, strict=True)):
        text = f"A level of {_sizes(level)} µm keeps {_shown(left)} voxels of {_shown(own.shape)}."
        yield catalogue.found("level-too-coarse", text, "space.levels_um")


def _shown(shape: Iterable[int]) -> str:
    return " × ".join(map(str, shape))


def table_of(
    recipe: Recipe, path: Path, taken: Collection[int] = ()
) -> tuple[LabelTable | None, list[Finding]]:
    """Return the table of structures, None if it cannot be read, and what is odd about it.

    Parameters
    ----------
    recipe
        Says of which kind it is.
    path
        Where it lies.
    taken
        Labels of the volume, which structures that are added must not get.
    """
    from bg_atlasapi.formats.label_tables import read_label_table

    try:
        kind, columns = recipe.table.kind, recipe.table.columns
        table = read_label_table(path, kind=kind, columns=columns, taken=taken)
    except AtlasError as error:
        failed = catalogue.found("source-unreadable", str(error), mend="")
        return None, [as_stated(failed, recipe.table.source, path)]
    return table, [as_stated(one, recipe.table.source, path) for one in table.findings]


def _of_facts(recipe: Recipe) -> Iterator[Finding]:
    for number, code in enumerate(recipe.accept):
        if code not in catalogue.KINDS:
            text = f"There is no finding of the code {code!r}, so nothing is accepted by it."
            yield catalogue.found("unknown-code", text, f"accept[{number}]", "")
    if not recipe.full_citation:
        text = "Without 'citation' or 'doi' nobody who uses the atlas can cite it."
        yield catalogue.found("citation-missing", text, mend="")
    for key, code, why in (
        ("licence", "licence-missing", "nobody may pass the atlas on"),
        ("species", "species-missing", "it cannot be found by species"),
    ):
        if not getattr(recipe, key):
            yield catalogue.found(code, f"Without {key!r} {why}.", mend="")
    if recipe.template is None:
        text = "Without [template] the reference image is 0 everywhere."
        yield catalogue.found("template-missing", text, mend="")
