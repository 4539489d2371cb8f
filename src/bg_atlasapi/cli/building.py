"""The verb that builds an atlas from labels: build."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bg_atlasapi import settings
from bg_atlasapi.cli.options import json_option, note, print_json
from bg_atlasapi.cli.outcome import Verb
from bg_atlasapi.errors import InvalidAtlasError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bg_atlasapi.build.pipeline import Built
    from bg_atlasapi.build.recipe_files import Checked
    from bg_atlasapi.errors import Finding

_BOTH = "both"
_FACTS = ("species", "citation", "doi", "licence", "link", "packager")
_SHOWN = 3
_HELP = """Build an atlas from a recipe, or write a recipe for labels and a table.

RECIPE is a TOML file; 'brainglobe build --schema' prints what may stand in it. It is checked first,
headers of its files included, and everything that is wrong is said at once. What is built lies in
FOLDER: a folder of atlases for BRAINGLOBE_DIR, and what any web server can publish, for others to
install with 'brainglobe add URL'. A build that was stopped goes on where it was.

\b
Examples:
  brainglobe build --from labels.nii.gz --table labels.tsv --name my_mouse
  brainglobe build my_mouse.toml --dry-run
  brainglobe build my_mouse.toml -o atlases
"""


def _number_or_three(
    ctx: click.Context,  # noqa: ARG001 - the signature click has
    param: click.Parameter,  # noqa: ARG001
    value: str | None,
) -> tuple[float, ...] | None:
    if value is None:
        return None
    try:
        sizes = tuple(float(part) for part in value.split(","))
    except ValueError:
        sizes = ()
    if len(sizes) not in {1, 3} or not all(0 < size < float("inf") for size in sizes):
        raise click.BadParameter("name one voxel size in µm, or three with commas between.")
    return sizes if len(sizes) == 3 else sizes * 3


def _new_recipe_options(function: Any) -> Any:
    options = [
        click.option("--from", "labels", type=Path, metavar="FILE", help="Labels: write a recipe."),
        click.option("--table", type=Path, metavar="FILE", help="What the labels stand for."),
        click.option("--name", metavar="NAME", help="Of the atlas, without resolution."),
        click.option("--version", default="1.0", show_default=True, metavar="X.Y"),
        click.option("--template", type=Path, metavar="FILE", help="The reference image."),
        click.option("--hemispheres", type=Path, metavar="FILE", help="1 left, 2 right."),
        click.option(
            "--reference",
            "references",
            multiple=True,
            metavar="NAME=FILE",
            help="A further image; may be given several times.",
        ),
        click.option("--orientation", metavar="ASR", help="Of all volumes, not the headers'."),
        click.option(
            "--resolution",
            metavar="UM",
            callback=_number_or_three,
            help="Voxel size of all volumes, µm, not the headers'.",
        ),
        *(click.option(f"--{key}", metavar="TEXT", help="For the recipe.") for key in _FACTS),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@click.command(cls=Verb, help=_HELP)
@click.argument("recipe", required=False, type=Path, metavar="[RECIPE]")
@click.option(
    "-o",
    "--output",
    type=Path,
    metavar="FOLDER",
    help="Where to build; default here. With --from, the recipe to write.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["components", "packaged", _BOTH]),
    default=_BOTH,
    show_default=True,
    help="For brainglobe-atlasapi 3, for 1.x and 2.x, or for all.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Only check, and say what would be built.")
@click.option("--sources", type=Path, metavar="FOLDER", help="Where the recipe's paths start.")
@click.option("--meshes/--no-meshes", default=None, help="Default: as the recipe says.")
@click.option("--workers", type=click.IntRange(1), help="Processes for meshes; default all cores.")
@click.option("-f", "--overwrite", is_flag=True, help="Replace what is there.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of recipes.")
@_new_recipe_options
@json_option
def build(  # noqa: PLR0913 - what the verb can be told
    *,
    recipe: Path | None,
    output: Path | None,
    form: str,
    dry_run: bool,
    sources: Path | None,
    meshes: bool | None,
    workers: int | None,
    overwrite: bool,
    schema: bool,
    as_json: bool,
    labels: Path | None,
    **draft: Any,
) -> None:
    """Build; ``_HELP`` explains it to users."""
    if schema:
        from bg_atlasapi.build.recipe_schema import json_schema

        print_json(json_schema())
        return
    if (recipe is None) == (labels is None):
        raise click.UsageError("Name a recipe to build, or labels to write one for: --from FILE.")
    if labels is not None:
        _write_recipe(labels, output, draft, overwrite=overwrite, as_json=as_json)
        return
    _refuse_draft(draft)
    assert recipe is not None
    from bg_atlasapi.build.pipeline import FORMATS, Wish

    formats = FORMATS if form == _BOTH else (form,)
    target = (Path.cwd() if output is None else settings.expanded(output)).absolute()
    wish = Wish(target, formats, meshes, overwrite=overwrite, workers=workers)
    if dry_run:
        _plan(recipe, sources, wish, as_json=as_json)
        return
    _build(recipe, sources, wish, as_json=as_json)


def _refuse_draft(draft: dict[str, Any]) -> None:
    """Refuse options that only a new recipe has a place for."""
    said = [key for key, value in draft.items() if value and (key, value) != ("version", "1.0")]
    if said:
        option = said[0].removesuffix("s") if said[0] == "references" else said[0]
        message = f"--{option} goes with --from; of a recipe, change the file."
        raise click.UsageError(message)


def _write_recipe(
    labels: Path, output: Path | None, draft: dict[str, Any], *, overwrite: bool, as_json: bool
) -> None:
    from bg_atlasapi.build.recipe_files import check
    from bg_atlasapi.build.recipe_writing import Draft, write_recipe

    name, table = draft["name"], draft["table"]
    if not name or table is None:
        raise click.UsageError("A new recipe needs --name and --table.")
    references = dict(_named_file(one) for one in draft["references"])
    said = Draft(
        name=name,
        labels=labels,
        table=table,
        version=draft["version"],
        template=draft["template"],
        hemispheres=draft["hemispheres"],
        references=references,
        facts={key: draft[key] for key in _FACTS if draft[key]},
        orientation=draft["orientation"],
        resolution_um=draft["resolution"],
    )
    path = write_recipe(said, output or Path(f"{name}.toml"), overwrite=overwrite)
    checked = check(path)
    if as_json:
        print_json({"recipe": str(path), "findings": _dicts(checked.findings)})
        return
    click.echo(f"Recipe written: {path}")
    _show_findings(checked.findings)
    note(f"Complete it, then build it: brainglobe build {path.name}")


def _named_file(text: str) -> tuple[str, Path]:
    name, _, path = text.partition("=")
    if not name or not path:
        raise click.UsageError(f"--reference takes NAME=FILE, got {text!r}.")
    return name, Path(path)


def _plan(recipe: Path, sources: Path | None, wish: Any, *, as_json: bool) -> None:
    from bg_atlasapi.build import recipe_files

    checked = recipe_files.check(recipe, sources)
    checked.raise_errors()
    facts = _facts_of(checked, wish)
    if as_json:
        print_json({**facts, "findings": _dicts(checked.findings)})
        return
    from bg_atlasapi.cli import tables

    _show_findings(checked.findings)
    rows = [(key.replace("_", " "), _shown(value)) for key, value in facts.items() if value != []]
    tables.show(tables.pairs(rows))


def _facts_of(checked: Checked, wish: Any) -> dict[str, Any]:
    recipe, space = checked.recipe, checked.space
    meshes = recipe.meshes.build if wish.meshes is None else wish.meshes
    return {
        "name": checked.full_name if space else recipe.name,
        "version": recipe.version,
        "shape": list(space.shape) if space else None,
        "resolution_um": list(space.spacing_um) if space else None,
        "orientation": space.orientation if space else None,
        "structures": checked.structures,
        "references": [one.name for one in recipe.references],
        "hemispheres": "symmetric" if recipe.hemispheres is None else "stored",
        "levels_um": [list(one) for one in recipe.levels_um],
        "meshes": meshes,
        "formats": list(wish.formats),
        "target": str(wish.target),
        "not_read": list(checked.not_read),
    }


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        if value and isinstance(value[0], list):
            return ", ".join(str(_shown(one)) for one in value)
        sizes = bool(value) and not isinstance(value[0], str)
        return " × ".join(f"{one:g}" for one in value) if sizes else ", ".join(value)
    return "after the download" if value is None else value


def _build(recipe: Path, sources: Path | None, wish: Any, *, as_json: bool) -> None:
    from bg_atlasapi import progress_bar
    from bg_atlasapi.build import pipeline

    try:
        with progress_bar.shown() as report:
            built = pipeline.build(recipe, wish, folder=sources, report=report)
    except InvalidAtlasError as error:
        for code, mend in {one.code: one.mend for one in error.findings if one.mend}.items():
            note(f"To mend [{code}]: {mend}")
        raise
    if as_json:
        print_json(_dict(built))
        return
    _show_findings(built.findings)
    said = "built" if built.is_new else "was built already"
    click.echo(f"{built.name} {built.version} {said}:")
    for what, path in built.paths.items():
        click.echo(f"  {what}: {path}")


def _dict(built: Built) -> dict[str, Any]:
    return {
        "name": built.name,
        "version": built.version,
        "is_new": built.is_new,
        "paths": {key: str(path) for key, path in built.paths.items()},
        "resumed": list(built.resumed),
        "findings": _dicts(built.findings),
    }


def _dicts(findings: Sequence[Finding]) -> list[dict[str, str]]:
    keys = ("code", "severity", "message", "where", "mend")
    return [{key: getattr(one, key) for key in keys} for one in findings]


def _show_findings(findings: Sequence[Finding]) -> None:
    """Say what was noticed, on standard error: it is not the answer."""
    from bg_atlasapi.build.validation import KINDS
    from bg_atlasapi.build.validation.atlas_codes import METADATA

    told: dict[str, list[Finding]] = {}
    for one in findings:
        kind = KINDS.get(one.code)
        if one.severity != "note" or (kind is not None and kind.chapter == METADATA):
            told.setdefault(one.code, []).append(one)
    for code, some in told.items():
        for one in some[:_SHOWN]:
            where = f"{one.where}: " if one.where and one.where not in one.message else ""
            mend = f" {one.mend}" if one.mend else ""
            note(f"{one.severity.capitalize()}: {where}{one.message}{mend} [{code}]")
        if len(some) > _SHOWN:
            note(f"And {len(some) - _SHOWN:,} more [{code}]; --json lists all.")
