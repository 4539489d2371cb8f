"""Which atlases are there, on this machine and at the remotes?

Listing works without a network: an index of today answers, else the remotes are asked, else the
last index seen, else the facts that come with the package.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi import (  # noqa: F401 - 1.x found descriptors and utils here
    config,
    descriptors,
    settings,
    utils,
)
from bg_atlasapi.store import cache

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from bg_atlasapi.settings import PathLike
    from bg_atlasapi.store.description import Known
    from bg_atlasapi.store.lifecycle import Library


def _layers() -> tuple[Path, ...]:
    return settings.resolve(config_dir=config._path(None)).layers.value


def _newest() -> dict[str, cache.InstalledAtlas]:
    return cache.newest(cache.installed(_layers()))


def _library(
    brainglobe_dir: PathLike | Sequence[PathLike] | None = None,
    remotes: str | Sequence[str] | None = None,
) -> Library:
    from bg_atlasapi.store.lifecycle import Library

    return Library(brainglobe_dir, config_dir=config._path(None), remotes=remotes)


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
    return cache.find(atlas_name, _layers()).version_text


def get_all_atlases_lastversions() -> dict[str, str]:
    """Return the newest version of every published atlas, as the remotes list them now.

    Raises
    ------
    RemoteError
        If no remote can be asked.
    """
    remotes = _library().remotes
    found: dict[str, str] = {}
    for listed in remotes.indexes():
        for name, versions in listed.versions.items():
            found.setdefault(name, "{}.{}".format(*max(versions)))
    if not found and remotes.failures:
        raise next(iter(remotes.failures.values()))
    return found


def get_atlases_lastversions() -> dict[str, dict[str, Any]]:
    """Return the atlases on this machine against their newest published versions.

    Raises
    ------
    RemoteError
        If no remote can be asked.
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


def find_atlases(
    *,
    name: str | None = None,
    species: str | None = None,
    resolution: float | None = None,
    installed: bool | None = None,
    brainglobe_dir: PathLike | Sequence[PathLike] | None = None,
    remotes: str | Sequence[str] | None = None,
    fresh: bool = False,
) -> list[Known]:
    """Return known atlases that answer to all that is asked; see ``available_atlases``."""
    from bg_atlasapi.store import description

    def answers(known: Known) -> bool:
        pattern = None if name is None else (name if "*" in name else f"*{name}*")
        return (
            (installed is None or installed == bool(known.installed))
            and (pattern is None or fnmatch.fnmatch(known.name.lower(), pattern.lower()))
            and (species is None or species.lower() in (known.species or "").lower())
            and (resolution is None or _has_size(known, resolution))
        )

    library = _library(brainglobe_dir, remotes)
    return [known for known in description.catalogue(library, fresh=fresh) if answers(known)]


def _has_size(known: Known, resolution: float) -> bool:
    return any(abs(size - resolution) < 1e-3 * resolution for size in known.resolution or ())


def available_atlases(
    brainglobe_dir: PathLike | Sequence[PathLike] | None = None,
    *,
    name: str | None = None,
    species: str | None = None,
    resolution: float | None = None,
    installed: bool | None = None,
    remotes: str | Sequence[str] | None = None,
    fresh: bool = False,
) -> pd.DataFrame:
    """Return the atlases that are known, here and at the remotes, as a table.

    Parameters
    ----------
    brainglobe_dir, remotes
        As in ``BrainGlobeAtlas``.
    name
        Part of the name, or a pattern with ``*``.
    species
        Part of the Latin name.
    resolution
        Voxel size along any axis, µm.
    installed
        Only those that are, or are not, on this machine.
    fresh
        Ask the remotes even if an index of today is at hand.

    Returns
    -------
    pandas.DataFrame
        A row an atlas: ``name``, ``species``, ``resolution`` (µm, a tuple), ``versions`` (newest
        first), ``local`` (the version on this machine), ``latest`` (at the remotes), ``size_bytes``
        (on this machine), ``path``, ``origin``, ``citation``. Missing where not known.
    """
    import pandas as pd

    from bg_atlasapi.store import description

    found = find_atlases(
        name=name,
        species=species,
        resolution=resolution,
        installed=installed,
        brainglobe_dir=brainglobe_dir,
        remotes=remotes,
        fresh=fresh,
    )
    columns = ["name", "species", "resolution", "versions", "local", "latest", "size_bytes"]
    columns += ["path", "origin", "citation"]
    return pd.DataFrame([description.to_row(known) for known in found], columns=columns)


def show_atlases(show_local_path: bool = False) -> None:  # noqa: FBT001, FBT002 - 1.x signature
    """Print the atlases that are known: those on this machine, then the others.

    Parameters
    ----------
    show_local_path
        Also print where each one on this machine lies.
    """
    print_atlases(find_atlases(), show_local_path=show_local_path)


def print_atlases(atlases: Iterable[Known], *, show_local_path: bool = False) -> None:
    """Print a table of atlases, those on this machine first."""
    from rich.console import Console
    from rich.panel import Panel

    console = Console()
    ordered = sorted(atlases, key=lambda known: (not known.installed, known.name))
    console.print(Panel.fit(_table(ordered), title="Brainglobe Atlases"))
    for known in ordered if show_local_path else ():  # below: a path does not fit a column
        if known.local:
            line = f"{known.name}: {known.local.path}"
            console.print(line, soft_wrap=True, highlight=False, markup=False)


def _table(atlases: Iterable[Known]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=True, header_style="bold green", box=None)
    table.add_column("Name", no_wrap=True)
    for title in ("Downloaded", "Updated", "Local version", "Latest version"):
        table.add_column(title, justify="center")
    tick = Text("✔", style="green")
    for known in atlases:
        local = known.local
        latest = "{}.{}".format(*known.latest) if known.latest else "unknown"
        current = local is not None and known.latest is not None and local.version >= known.latest
        table.add_row(
            Text(known.name, style="bold"),  # a name is text, whatever brackets it holds
            tick if local else "",
            tick if current else Text("x" if local and known.latest else "", style="red"),
            local.version_text if local else "",
            latest,
        )
    return table
