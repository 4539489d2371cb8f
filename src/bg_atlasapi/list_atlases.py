"""Which atlases are there?

In this version the answer is what is on this machine; ``show_atlases`` says so. Functions that ask
a remote for its list raise ``RemoteError``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi import config, descriptors, utils
from bg_atlasapi.store import cache

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from bg_atlasapi.settings import PathLike


def _newest() -> dict[str, cache.InstalledAtlas]:
    return cache.newest(cache.installed(config.get_brainglobe_dir()))


def get_downloaded_atlases() -> list[str]:
    """Return the names of the atlases on this machine, the embedded one included."""
    return sorted(_newest())


def get_local_atlas_version(atlas_name: str) -> str:
    """Return the newest version of an atlas on this machine, like ``"1.2"``.

    Raises
    ------
    UnknownAtlasError
        If it is not here.
    """
    return cache.find(atlas_name, config.get_brainglobe_dir()).version_text


def get_all_atlases_lastversions() -> dict[str, str]:
    """Return the newest version of every published atlas.

    Raises
    ------
    RemoteError
        Always, in this version.
    """
    parser = utils.conf_from_url(descriptors.remote_url_base.format("last_versions.conf"))
    return dict(parser["atlases"])


def get_atlases_lastversions() -> dict[str, dict[str, Any]]:
    """Return the atlases on this machine against their newest published versions.

    Raises
    ------
    RemoteError
        Always, in this version.
    """
    published = get_all_atlases_lastversions()
    return {
        name: {
            "downloaded": True,
            "local": name,
            "version": atlas.version_text,
            "latest_version": published[name],
            "updated": published[name] == atlas.version_text,
        }
        for name, atlas in _newest().items()
        if name in published
    }


def available_atlases(brainglobe_dir: PathLike | None = None) -> pd.DataFrame:
    """Return the atlases on this machine as a table, a row for each version.

    Parameters
    ----------
    brainglobe_dir
        Folder of installed atlases; default the one in force.

    Returns
    -------
    pandas.DataFrame
        ``name``, ``version``, ``species``, ``resolution`` (µm, a tuple), ``path``. Species and
        resolution are missing where the atlas's metadata cannot be read.
    """
    import pandas as pd  # noqa: PLC0415 - 400 ms

    folder = config.get_brainglobe_dir() if brainglobe_dir is None else Path(brainglobe_dir)
    rows = [describe(atlas) for atlas in cache.installed(folder)]
    return pd.DataFrame(rows, columns=["name", "version", "species", "resolution", "path"])


def describe(atlas: cache.InstalledAtlas) -> dict[str, Any]:
    """Return one row of ``available_atlases``."""
    try:
        metadata = json.loads((atlas.path / descriptors.METADATA_FILENAME).read_bytes())
        species, resolution = metadata.get("species"), tuple(metadata["resolution"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        species = resolution = None  # a damaged atlas is still listed, so that it can be found
    return {
        "name": atlas.name,
        "version": atlas.version_text,
        "species": species,
        "resolution": resolution,
        "path": atlas.path,
    }


def show_atlases(show_local_path: bool = False) -> None:  # noqa: FBT001, FBT002 - 1.x signature
    """Print the atlases on this machine.

    Parameters
    ----------
    show_local_path
        Also print where each one lies.
    """
    from rich.console import Console  # noqa: PLC0415 - only where something is displayed
    from rich.panel import Panel  # noqa: PLC0415

    console = Console()
    here = _newest()
    console.print(Panel.fit(_table(here.values()), title="Brainglobe Atlases"))
    if show_local_path:  # below: a path does not fit a column
        for atlas in here.values():
            line = f"{atlas.name}: {atlas.path}"
            console.print(line, soft_wrap=True, highlight=False, markup=False)


def _table(atlases: Iterable[cache.InstalledAtlas]) -> Table:
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415

    table = Table(show_header=True, header_style="bold green", box=None)
    table.add_column("Name", no_wrap=True)
    table.add_column("Downloaded", justify="center")
    table.add_column("Local version", justify="center")
    table.add_column("Latest version", justify="center")
    for atlas in atlases:
        name = Text(atlas.name, style="bold")  # a name is text, whatever brackets it holds
        table.add_row(name, Text("✔", style="green"), atlas.version_text, "not checked")
    return table
