"""Verbs about atlases as a whole: list, info, install, update."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bg_atlasapi.cli.options import (
    atlas_argument,
    json_option,
    open_atlas,
    print_json,
    version_option,
)
from bg_atlasapi.cli.outcome import Verb

if TYPE_CHECKING:
    from collections.abc import Callable

    from bg_atlasapi.bg_atlas import BrainGlobeAtlas


@click.command("list", cls=Verb)
@click.option("-s", "--show", is_flag=True, help="Also print where each atlas lies.")
@json_option
def list_atlases(*, show: bool, as_json: bool) -> None:
    """List the atlases that are installed.

    The table shows the newest version of each; --json gives every version.
    """
    from bg_atlasapi import config, list_atlases  # noqa: PLC0415 - numpy, only once it is used
    from bg_atlasapi.store import cache  # noqa: PLC0415 - as above

    if as_json:
        here = cache.installed(config.get_brainglobe_dir())
        print_json([list_atlases.describe(atlas) for atlas in here])
        return
    from bg_atlasapi.cli import tables  # noqa: PLC0415 - rich

    with tables.unwrapped():
        list_atlases.show_atlases(show_local_path=show)


@click.command(cls=Verb)
@atlas_argument
@version_option
@json_option
def info(*, atlas_name: str, version: str | None, as_json: bool) -> None:
    """Describe an installed atlas: metadata, geometry, folder, size on disk, findings."""
    atlas = open_atlas(atlas_name, version)
    facts = _facts(atlas)
    if as_json:
        print_json(facts)
        return
    from bg_atlasapi.cli import tables  # noqa: PLC0415 - rich

    rows = [
        ("folder", facts["path"]),
        ("installed versions", ", ".join(facts["installed_versions"]) or facts["version"]),
        ("shape (voxels)", " × ".join(str(count) for count in facts["shape"])),
        ("voxel size (µm)", " × ".join(f"{size:g}" for size in facts["resolution_um"])),
        ("extent (mm)", " × ".join(f"{size / 1000:g}" for size in facts["extent_um"])),
        ("structures", facts["structures"]),
        ("size on disk (bytes)", f"{facts['size_bytes']:,}"),
        *(("finding", f"{f['message']} [{f['code']}]") for f in facts["findings"]),
    ]
    tables.show(atlas, tables.pairs(rows))


def _facts(atlas: BrainGlobeAtlas) -> dict[str, Any]:
    from bg_atlasapi.store import cache  # noqa: PLC0415 - as open_atlas

    here = cache.installed(atlas.brainglobe_dir)
    findings = atlas.structures.terminology.findings
    return {
        "name": atlas.atlas_name,
        "version": str(atlas.metadata.get("version", "")),
        "installed_versions": [a.version_text for a in here if a.name == atlas.atlas_name],
        "path": atlas.root_dir,
        "shape": atlas.shape,
        "resolution_um": atlas.resolution,
        "extent_um": atlas.shape_um,
        "orientation": atlas.orientation,
        "structures": len(atlas.structures.terminology),
        "size_bytes": sum(f.stat().st_size for f in atlas.root_dir.rglob("*") if f.is_file()),
        "findings": [
            {"code": f.code, "severity": f.severity, "message": f.message} for f in findings
        ],
        "metadata": atlas.metadata,
    }


def _name_or_option(function: Callable[..., None]) -> Callable[..., None]:
    """Take the name of an atlas as an argument, or as the option that 1.x had."""
    option = click.option("-a", "--atlas_name", "name_option", metavar="ATLAS", help="As in 1.x.")
    return click.argument("atlas_name", metavar="[ATLAS]", required=False)(option(function))


def _one_name(argument: str | None, option: str | None) -> str:
    name = argument or option
    if name is None or (argument and option and argument != option):
        raise click.UsageError("Name one atlas, for example allen_mouse_25um.")
    return name


@click.command(cls=Verb)
@_name_or_option
def install(*, atlas_name: str | None, name_option: str | None) -> None:
    """Install an atlas; one that is installed already is left alone."""
    from bg_atlasapi import update_atlases  # noqa: PLC0415 - numpy, only once it is used

    update_atlases.install_atlas(_one_name(atlas_name, name_option))


@click.command(cls=Verb)
@_name_or_option
@click.option("-f", "--force", is_flag=True, help="Install again even if it is the newest.")
def update(*, atlas_name: str | None, name_option: str | None, force: bool) -> None:
    """Update an installed atlas to the newest version."""
    from bg_atlasapi import update_atlases  # noqa: PLC0415 - as above

    update_atlases.update_atlas(_one_name(atlas_name, name_option), force)
