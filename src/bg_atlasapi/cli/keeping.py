"""Verbs for people who keep atlases: verify, bundle, inventory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bg_atlasapi.cli.options import (
    atlas_argument,
    complete_names,
    json_option,
    print_json,
    version_option,
)
from bg_atlasapi.cli.outcome import INVALID_ATLAS, Verb

if TYPE_CHECKING:
    from bg_atlasapi.store.verification import Verification


@click.command(cls=Verb)
@click.argument("atlas_name", metavar="[ATLAS]", required=False, shell_complete=complete_names)
@version_option
@click.option("--repair", is_flag=True, help="Fetch what is damaged, and only that.")
@json_option
def verify(*, atlas_name: str | None, version: str | None, repair: bool, as_json: bool) -> None:
    """Hash every file of an installed atlas; without ATLAS, of all of them.

    Names each file that is missing, cut short or changed, and exits with 4 if one stays so. An
    atlas that was put here by hand is read instead, and recorded if it is sound.
    """
    found = _verify_all(repair=repair) if atlas_name is None else []
    if atlas_name is not None:
        from bg_atlasapi import update_atlases

        found = [update_atlases.verify_atlas(atlas_name, version=version, repair=repair)]
    if as_json:
        rows = [_row(one) for one in found]
        print_json(rows if atlas_name is None else rows[0])
    else:
        for one in found:
            _show(one)
    if not all(one.sound for one in found):
        raise click.exceptions.Exit(INVALID_ATLAS)


def _verify_all(*, repair: bool) -> list[Verification]:
    from bg_atlasapi import progress_bar
    from bg_atlasapi.store import verification
    from bg_atlasapi.store.lifecycle import Library

    library = Library()
    with progress_bar.shown() as report:
        return [
            verification.verify(library, atlas, report, repair=repair)
            for atlas in library.installed()
        ]


def _row(found: Verification) -> dict[str, Any]:
    return {
        "name": found.atlas.name,
        "version": found.atlas.version_text,
        "path": str(found.atlas.path),
        "sound": found.sound,
        "files": found.files,
        "size_bytes": found.size,
        "damaged": [{"key": one.key, "problem": one.problem} for one in found.damaged],
        "repaired": list(found.repaired),
        "adopted": found.adopted,
    }


def _show(found: Verification) -> None:
    atlas = f"{found.atlas.name} {found.atlas.version_text}"
    for one in found.damaged:
        is_repaired = one.key in found.repaired
        click.echo(f"repaired: {one.key}" if is_repaired else f"damaged: {one.problem}")
    if not found.sound:
        count = len(found.damaged) - len(found.repaired)
        click.echo(f"{atlas}: {count} {'files' if count > 1 else 'file'} damaged. {_advice(found)}")
        return
    added = " It had no record, and has one now." if found.adopted else ""
    click.echo(f"{atlas}: {found.files} files, {found.size:,} bytes, all sound.{added}")


def _advice(found: Verification) -> str:
    """Return the command that mends an atlas."""
    name = f"{found.atlas.name}@{found.atlas.version_text}"
    if found.repairable and not found.repaired:
        return f"Mend with: brainglobe verify {name} --repair"
    return f"Install it again: brainglobe update -f {found.atlas.name}"


@click.command(cls=Verb)
@atlas_argument
@click.argument("path", metavar="[FILE]", required=False)
@version_option
@json_option
def bundle(*, atlas_name: str, path: str | None, version: str | None, as_json: bool) -> None:
    """Write an installed atlas as one file, for a machine without a network.

    FILE may be a folder; default ATLAS_vX.Y.tar.gz here. There: brainglobe add FILE.
    """
    from bg_atlasapi import update_atlases

    written = update_atlases.bundle_atlas(atlas_name, path, version=version)
    size = written.stat().st_size
    if as_json:
        print_json({"path": str(written), "size_bytes": size})
    else:
        click.echo(
            f"{written}: {size:,} bytes. On the other machine: brainglobe add {written.name}"
        )


@click.command(cls=Verb)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@json_option
def inventory(*, folder: Path, as_json: bool) -> None:
    """Make a folder of atlases one that any web server can serve.

    Writes inventory.json, with the SHA-256 of every file, and last_versions.conf if there is none.
    FOLDER holds archives (.tar.gz) or a component store.
    """
    from bg_atlasapi import progress_bar
    from bg_atlasapi.store import inventories

    with progress_bar.shown() as report:
        written = inventories.write_inventories(folder.absolute(), report)
    if as_json:
        print_json([str(path) for path in written])
    else:
        for path in written:
            click.echo(f"{path} written")
