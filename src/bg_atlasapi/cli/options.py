"""What several verbs share: arguments, opening the atlas, JSON."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from bg_atlasapi.bg_atlas import BrainGlobeAtlas


def complete_names(
    ctx: click.Context,  # noqa: ARG001 - the signature click has
    param: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[str]:
    """Return the atlas names that begin so: those here, those last listed. Uses no network."""
    from bg_atlasapi import settings
    from bg_atlasapi.store import cache, index

    try:
        layers = settings.resolve().layers.value
        names = {atlas.name for atlas in cache.installed(layers)} | set(index.published())
        for address in settings.remotes().value:
            seen = index.recall(layers, address)
            names |= set(seen.versions) if seen else set()
    except Exception:  # noqa: BLE001 - a shell that completes has no place for errors
        return []
    return sorted(name for name in names if name.startswith(incomplete))


atlas_argument = click.argument("atlas_name", metavar="ATLAS", shell_complete=complete_names)
version_option = click.option(
    "--version",
    "version",
    metavar="X.Y",
    help="Version of the atlas; default the newest installed.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON; messages go to standard error."
)


def open_atlas(name: str, version: str | None) -> BrainGlobeAtlas:
    """Open an installed atlas, without asking whether there is a newer one."""
    from bg_atlasapi.bg_atlas import BrainGlobeAtlas

    return BrainGlobeAtlas(name, check_latest=False, version=version)


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print a value as JSON; paths as text. Without indent it is five times faster."""
    try:
        text = json.dumps(value, indent=indent, allow_nan=False, default=str)
    except ValueError:  # an atlas's metadata may hold a NaN, which JSON lacks
        text = json.dumps(_finite(value), indent=indent, allow_nan=False, default=str)
    click.echo(text)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def note(text: str) -> None:
    """Say something that is not the answer."""
    click.echo(text, err=True)
