"""Install and update atlases.

Downloading is not part of this version: both functions do what needs no network and raise
``RemoteError`` for the rest.
"""

from __future__ import annotations

from bg_atlasapi import config, utils
from bg_atlasapi.bg_atlas import BrainGlobeAtlas  # noqa: F401 - 1.x found it here
from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.list_atlases import get_downloaded_atlases
from bg_atlasapi.store import cache


def update_atlas(atlas_name: str, force: bool = False) -> None:  # noqa: FBT001, FBT002, ARG001 - 1.x
    """Update an installed atlas to the newest version.

    Parameters
    ----------
    atlas_name
        An installed atlas.
    force
        Install again even if it is the newest.

    Raises
    ------
    UnknownAtlasError
        If it is not installed.
    RemoteError
        Always otherwise, in this version.
    """
    _check_name(atlas_name)
    cache.find(atlas_name, config.get_brainglobe_dir())
    utils.no_remotes(f"update {atlas_name}")


def install_atlas(atlas_name: str) -> None:
    """Install an atlas; one that is installed already is left alone.

    Parameters
    ----------
    atlas_name
        Name with resolution.

    Raises
    ------
    RemoteError
        If it is not installed, in this version.
    """
    _check_name(atlas_name)
    if atlas_name in get_downloaded_atlases():
        from rich import print as rprint  # noqa: PLC0415 - only where something is displayed
        from rich.text import Text  # noqa: PLC0415

        rprint(Text(f"bg_atlasapi: {atlas_name} is already installed", style="magenta2"))
        return
    utils.no_remotes(f"install {atlas_name}")


def _check_name(atlas_name: object) -> None:
    if not isinstance(atlas_name, str):
        message = f"An atlas name is a string, got {atlas_name!r}."
        raise InvalidInputError(message)
