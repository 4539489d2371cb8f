"""Verbs that change which atlases are here: install, update, remove, prune, add."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from bg_atlasapi.cli.options import complete_names, json_option, note, print_json
from bg_atlasapi.cli.outcome import Verb

if TYPE_CHECKING:
    from bg_atlasapi.store.cache import InstalledAtlas
    from bg_atlasapi.store.install import Plan


def _name_or_option(function: Callable[..., None]) -> Callable[..., None]:
    """Take the name of an atlas as an argument, or as the option that 1.x had."""
    option = click.option(
        "-a",
        "--atlas_name",
        "name_option",
        metavar="ATLAS",
        help="As in 1.x.",
        shell_complete=complete_names,
    )
    argument = click.argument(
        "atlas_name", metavar="[ATLAS]", required=False, shell_complete=complete_names
    )
    return argument(option(function))


def _one_name(argument: str | None, option: str | None) -> str:
    name = argument or option
    if name is None or (argument and option and argument != option):
        raise click.UsageError("Name one atlas, for example allen_mouse_25um.")
    return name


def _say(atlas: InstalledAtlas, as_json: bool, done: str) -> None:  # noqa: FBT001 - as the option
    if as_json:
        path = str(atlas.path)
        print_json({"name": atlas.name, "version": atlas.version_text, "path": path, "done": done})
    else:
        click.echo(f"{atlas.name} {atlas.version_text} {done}: {atlas.path}")


@click.command(cls=Verb)
@_name_or_option
@click.option("--version", metavar="X.Y", help="Version; default the newest. Also ATLAS@X.Y.")
@click.option("--only", metavar="PARTS", help="For example template,annotation,meshes=CTX+.")
@click.option("--all-components", is_flag=True, help="Everything the remote has of it.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be downloaded.")
@json_option
def install(
    *,
    atlas_name: str | None,
    name_option: str | None,
    version: str | None,
    only: str | None,
    all_components: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Install an atlas; one that is installed already is left alone.

    An interrupted download goes on where it ended. PARTS are template, annotation, hemispheres,
    meshes (meshes=CTX+ for CTX and its descendants), references, masks, precomputed, pyramid; or
    on-demand: what is read comes when it is first read, the terminology now.
    """
    from bg_atlasapi import update_atlases

    name = _one_name(atlas_name, name_option)
    if only is not None and all_components:
        raise click.UsageError("--only and --all-components exclude each other.")
    before = _installed()
    chosen = only is not None or all_components
    if dry_run and (chosen or not before & _meant(name, version)):
        plan = update_atlases.plan_install(
            name, version=version, only=only, all_components=all_components
        )
        _print_plan(plan, as_json=as_json)
        return
    atlas = update_atlases.install_atlas(
        name, version=version, only=only, all_components=all_components
    )
    is_new = (atlas.name, atlas.version) not in before or chosen
    _say(atlas, as_json, "installed" if is_new else "is installed already")
    if not is_new and (missing := _missing_parts(atlas)):
        parts = ",".join(missing)
        note(f"Not all of it is: brainglobe install {atlas.name} --only {parts} brings the rest.")


def _meant(name: str, version: str | None) -> set[tuple[str, tuple[int, int]]]:
    """Return the installed atlases that a name and version may mean."""
    from bg_atlasapi.store import cache

    name, wanted = cache.named(name, (), version)
    return {one for one in _installed() if one[0] == name and wanted in {None, one[1]}}


def _missing_parts(atlas: InstalledAtlas) -> list[str]:
    """Return the usual parts that were not chosen when an atlas was installed."""
    from bg_atlasapi.store import inventory, selection

    known = inventory.load(atlas.layer, atlas.name, atlas.version_text)
    if known is None or not known.parts:
        return []
    have = {*known.parts} | ({"hemispheres"} if "annotation" in known.parts else set())
    return [part for part in selection.USUAL if part not in have]


def _installed() -> set[tuple[str, tuple[int, int]]]:
    from bg_atlasapi import settings
    from bg_atlasapi.store import cache

    return {(one.name, one.version) for one in cache.installed(settings.resolve().layers.value)}


def _print_plan(plan: Plan | None, *, as_json: bool) -> None:
    if plan is None:
        if as_json:
            print_json(None)
        return
    facts = {
        "name": plan.release.name,
        "version": plan.release.version_text,
        "origin": plan.release.url,
        "target": str(plan.target),
        "files": len(plan.files),
        "total_bytes": plan.total_bytes,
        "to_fetch_bytes": plan.to_fetch_bytes,
    }
    if as_json:
        print_json(facts)
        return
    from bg_atlasapi.cli import tables

    labels = {"total_bytes": "size (bytes)", "to_fetch_bytes": "to download (bytes)"}
    rows = [(labels.get(key, key), _number(value)) for key, value in facts.items()]
    tables.show(tables.pairs(rows))


def _number(value: object) -> object:
    if value is None:
        return "not known before the download"
    return f"{value:,}" if isinstance(value, int) else value


@click.command(cls=Verb)
@_name_or_option
@click.option("-f", "--force", is_flag=True, help="Install again even if it is the newest.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be downloaded.")
@json_option
def update(
    *,
    atlas_name: str | None,
    name_option: str | None,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Update an installed atlas to the newest version.

    The old version goes once the new one is whole; a failure leaves it as it was.
    """
    from bg_atlasapi import update_atlases

    name = _one_name(atlas_name, name_option)
    if dry_run:
        plan = update_atlases.plan_update(name, force)
        if plan is None:
            note(f"{name} is the newest version.")
        _print_plan(plan, as_json=as_json)
        return
    done = update_atlases.update_atlas(name, force)
    if done.changed and not done.removed:
        note(f"Note: {done.before.path} could not be removed.")
    words = "installed again" if force else "is the newest version"
    if done.changed:
        words = f"installed in place of {done.before.version_text}"
    _say(done.after, as_json, words)


@click.command(cls=Verb)
@_name_or_option
@click.option("--version", metavar="X.Y", help="Only this version. Also ATLAS@X.Y.")
@json_option
def remove(
    *, atlas_name: str | None, name_option: str | None, version: str | None, as_json: bool
) -> None:
    """Remove an installed atlas: one version, or all of them."""
    from bg_atlasapi import update_atlases

    name = _one_name(atlas_name, name_option)
    removed = update_atlases.remove_atlas(name, version=version)
    if as_json:
        rows = [(one.name, one.version_text, str(one.path)) for one in removed]
        print_json([dict(zip(("name", "version", "path"), row, strict=True)) for row in rows])
        return
    for one in removed:
        click.echo(f"{one.name} {one.version_text} removed: {one.path}")


@click.command(cls=Verb)
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be removed.")
@json_option
def prune(*, dry_run: bool, as_json: bool) -> None:
    """Remove old versions of atlases, and what interrupted downloads left behind."""
    from bg_atlasapi import update_atlases

    gone = update_atlases.prune_atlases(dry_run=dry_run)
    if as_json:
        rows = [{"path": str(p.path), "size_bytes": p.size, "reason": p.reason} for p in gone]
        print_json(rows)
        return
    verb = "would be removed" if dry_run else "removed"
    for one in gone:
        click.echo(f"{one.path} ({one.reason}, {one.size:,} bytes) {verb}")
    total = sum(one.size for one in gone)
    click.echo(f"In all {total:,} bytes {verb}." if gone else "There is nothing to remove.")


@click.command(cls=Verb)
@click.argument("source", metavar="PATH|URL")
@click.option("--name", metavar="ATLAS", help="Which, of several at an address. Also ATLAS@X.Y.")
@json_option
def add(*, source: str, name: str | None, as_json: bool) -> None:
    """Install an atlas from a file, a folder or an address, without any remote.

    PATH or URL is a bundle or archive (.tar.gz), the unpacked folder of an atlas, or the manifest
    of a component atlas. URL may also be that of a folder which somebody publishes, such as
    'brainglobe build' makes.
    """
    from bg_atlasapi import update_atlases

    _say(update_atlases.add_atlas(source, name=name), as_json, "added")
