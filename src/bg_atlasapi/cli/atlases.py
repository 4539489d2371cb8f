"""Verbs about which atlases there are: list, info."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from bg_atlasapi.cli.options import (
    atlas_argument,
    json_option,
    note,
    open_atlas,
    print_json,
    version_option,
)
from bg_atlasapi.cli.outcome import Verb

if TYPE_CHECKING:
    from rich.text import Text

_PICTURE_COLUMNS = 48


@click.command("list", cls=Verb)
@click.argument("name", metavar="[NAME]", required=False)
@click.option("-s", "--show", is_flag=True, help="Also print where each installed atlas lies.")
@click.option("--installed", is_flag=True, help="Only atlases on this machine.")
@click.option("--species", metavar="TEXT", help="Part of the Latin name.")
@click.option("--resolution", type=float, metavar="UM", help="Voxel size along any axis, µm.")
@click.option("--fresh", is_flag=True, help="Ask the remotes even if that was done today.")
@json_option
def list_atlases(
    *,
    name: str | None,
    show: bool,
    installed: bool,
    species: str | None,
    resolution: float | None,
    fresh: bool,
    as_json: bool,
) -> None:
    """List atlases: those on this machine, and those that can be installed.

    NAME is part of a name, or a pattern with *. Works without a network, from the last list seen.
    """
    from bg_atlasapi import list_atlases as listing
    from bg_atlasapi.store import description

    found = listing.find_atlases(
        name=name,
        species=species,
        resolution=resolution,
        installed=True if installed else None,
        fresh=fresh,
    )
    if as_json:
        print_json([description.to_row(known) for known in found])
        return
    if not found:
        note("No atlas that is known answers to all of that.")
        return
    from bg_atlasapi.cli import tables

    with tables.unwrapped():
        listing.print_atlases(found, show_local_path=show)


@click.command(cls=Verb)
@atlas_argument
@version_option
@json_option
def info(*, atlas_name: str, version: str | None, as_json: bool) -> None:
    """Describe an atlas, installed or not, without downloading it.

    Metadata, voxel size, licence and citation; what of it is on this machine and where it came
    from; of one that is not, how much would be downloaded.
    """
    from bg_atlasapi import update_atlases

    facts = update_atlases.atlas_info(atlas_name, version=version)
    if facts["path"]:
        facts |= _opened(facts)
    if as_json:
        print_json(facts)
        return
    from bg_atlasapi.cli import tables

    if facts["path"] and tables.shows_pictures():
        tables.show_lines(_picture(facts))
    tables.show(tables.pairs(_lines(facts)))


def _picture(facts: dict[str, Any]) -> Iterator[Text]:
    """Yield a small picture of an installed atlas, for a terminal in colour."""
    from rich.text import Text

    from bg_atlasapi.view import thumbnails

    atlas = open_atlas(facts["name"], facts["version"])
    for one in thumbnails.thumbnails_of(atlas, _PICTURE_COLUMNS, planes=1):
        for line in thumbnails.half_blocks(one.pixels):
            yield Text.assemble("  ", *line)
        yield Text(f"  {one.title}", style="dim")


def _opened(facts: dict[str, Any]) -> dict[str, Any]:
    """Return what opening an installed atlas tells."""
    atlas = open_atlas(facts["name"], facts["version"])
    findings = atlas.structures.terminology.findings
    return {
        "shape": atlas.shape,
        "resolution_um": atlas.resolution,
        "extent_um": atlas.shape_um,
        "orientation": atlas.orientation,
        "structures": len(atlas.structures.terminology),
        "findings": [
            {"code": f.code, "severity": f.severity, "message": f.message} for f in findings
        ],
        "metadata": atlas.metadata,
    }


def _lines(facts: dict[str, Any]) -> list[tuple[str, object]]:
    metadata = facts["metadata"]
    lines: list[tuple[str, object]] = [("name", facts["name"]), ("version", facts["version"])]
    if facts["path"]:
        lines += [
            ("installed versions", ", ".join(facts["installed_versions"])),
            ("folder", facts["path"]),
            ("installed from", facts["origin"]),
            ("installed on", facts["installed"]),
            ("parts", ", ".join(facts["parts"])),
            ("size on disk (bytes)", f"{facts['size_bytes']:,}"),
        ]
    else:
        size = facts.get("download_bytes")
        lines += [
            ("installed", "no"),
            ("origin", facts["origin"]),
            ("to download (bytes)", f"{size:,}" if size is not None else None),
        ]
    lines += [
        ("species", facts["species"]),
        ("orientation", facts.get("orientation") or metadata.get("orientation")),
        ("shape (voxels)", _times(facts.get("shape") or metadata.get("shape"))),
        ("voxel size (µm)", _times(facts["resolution_um"])),
        ("extent (mm)", _times([one / 1000 for one in facts.get("extent_um") or []])),
        ("structures", facts.get("structures")),
        ("licence", metadata.get("license") or metadata.get("licence")),
        ("citation", facts["citation"]),
        ("link", facts["atlas_link"]),
    ]
    lines += [("finding", f"{f['message']} [{f['code']}]") for f in facts.get("findings", ())]
    return [(label, value) for label, value in lines if value is not None and value != ""]


def _times(numbers: Any) -> str | None:
    return " × ".join(f"{one:g}" for one in numbers) if numbers else None
