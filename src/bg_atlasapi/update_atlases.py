"""Install, update, verify, remove, carry: what can be done with atlases as a whole.

The functions of 1.x and their companions. Each is a thin door to ``bg_atlasapi.store``; progress is
shown in a terminal, and nothing is printed otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi import progress_bar
from bg_atlasapi.bg_atlas import BrainGlobeAtlas  # noqa: F401 - 1.x found it here
from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.list_atlases import get_downloaded_atlases  # noqa: F401 - as above

if TYPE_CHECKING:
    from bg_atlasapi.settings import PathLike
    from bg_atlasapi.store.cache import InstalledAtlas
    from bg_atlasapi.store.install import Plan
    from bg_atlasapi.store.lifecycle import Library, Update
    from bg_atlasapi.store.pruning import Pruned
    from bg_atlasapi.store.verification import Verification

    Folders = PathLike | Sequence[PathLike] | None
    Addresses = str | Sequence[str] | None
    FnUpdate = Callable[[int, int], object] | None


def _library(brainglobe_dir: Folders, remotes: Addresses = None) -> Library:
    from bg_atlasapi.store.lifecycle import Library

    return Library(brainglobe_dir, remotes=remotes)


def install_atlas(
    atlas_name: str,
    *,
    version: str | None = None,
    only: str | Iterable[str] | None = None,
    all_components: bool = False,
    brainglobe_dir: Folders = None,
    remotes: Addresses = None,
    fn_update: FnUpdate = None,
) -> InstalledAtlas:
    """Install an atlas; one that is installed already is left alone.

    Parameters
    ----------
    atlas_name
        Name with resolution; ``"allen_mouse_25um@1.2"`` asks for a version.
    version
        Like ``"1.2"``; default the newest.
    only
        Parts to install: ``"template,annotation,meshes=CTX+"``. Parts are template, annotation,
        hemispheres, meshes, references, masks, precomputed, pyramid; ``meshes=CTX+`` are the meshes
        of CTX and its descendants. ``"on-demand"`` brings what is needed to open it, the rest comes
        when it is first read. Of a packaged atlas, annotation and template always come, and
        meshes are all or none.
    all_components
        Everything the remote has, also what only other tools use.
    brainglobe_dir, remotes
        As in ``BrainGlobeAtlas``.
    fn_update
        Called with completed and total bytes.

    Returns
    -------
    InstalledAtlas
        Its name, version and path.

    Raises
    ------
    UnknownAtlasError
        If no remote has it: close matches, or which versions there are.
    RemoteError
        If it cannot be downloaded. What was downloaded stays for the next try.
    InvalidAtlasError, IncompleteAtlasError
        If what came is not the atlas.
    StorageError
        If it cannot be kept.
    """
    from bg_atlasapi.store import lifecycle, selection

    _check_name(atlas_name)
    chosen = only is not None or all_components
    parts = selection.parse(only, everything=all_components) if chosen else None
    library = _library(brainglobe_dir, remotes)
    with progress_bar.shown(fn_update) as report:
        return lifecycle.install_atlas(library, atlas_name, version, parts, report)


def plan_install(
    atlas_name: str,
    *,
    version: str | None = None,
    only: str | Iterable[str] | None = None,
    all_components: bool = False,
    brainglobe_dir: Folders = None,
    remotes: Addresses = None,
) -> Plan:
    """Say what ``install_atlas`` would download, without downloading it.

    Parameters
    ----------
    atlas_name, version, only, all_components, brainglobe_dir, remotes
        As in ``install_atlas``.

    Returns
    -------
    Plan
        Origin, target, files, bytes in all and bytes that are not here yet.

    Raises
    ------
    UnknownAtlasError, RemoteError, StorageError
        As in ``install_atlas``.
    """
    from bg_atlasapi.store import lifecycle, selection

    _check_name(atlas_name)
    parts = selection.parse(only, everything=all_components)
    return lifecycle.plan(_library(brainglobe_dir, remotes), atlas_name, version, parts)


def update_atlas(
    atlas_name: str,
    force: bool = False,  # noqa: FBT002, FBT001 - 1.x
    *,
    brainglobe_dir: Folders = None,
    remotes: Addresses = None,
    fn_update: FnUpdate = None,
) -> Update:
    """Bring an installed atlas to the newest version.

    The old version is removed once the new one is whole; any failure leaves it as it was.

    Parameters
    ----------
    atlas_name
        An installed atlas.
    force
        Install again even if it is the newest.
    brainglobe_dir, remotes, fn_update
        As in ``install_atlas``.

    Returns
    -------
    Update
        What was installed before, and what is now.

    Raises
    ------
    UnknownAtlasError
        If it is not installed, or no remote has it.
    RemoteError, InvalidAtlasError, IncompleteAtlasError, StorageError
        As in ``install_atlas``.
    """
    from bg_atlasapi.store import lifecycle

    _check_name(atlas_name)
    library = _library(brainglobe_dir, remotes)
    with progress_bar.shown(fn_update) as report:
        return lifecycle.update_atlas(library, atlas_name, report, force=force)


def plan_update(
    atlas_name: str,
    force: bool = False,  # noqa: FBT001, FBT002 - as update_atlas
    *,
    brainglobe_dir: Folders = None,
    remotes: Addresses = None,
) -> Plan | None:
    """Say what ``update_atlas`` would download, None if the atlas is the newest version.

    Parameters
    ----------
    atlas_name, force, brainglobe_dir, remotes
        As in ``update_atlas``.

    Raises
    ------
    UnknownAtlasError, RemoteError, StorageError
        As in ``update_atlas``.
    """
    from bg_atlasapi.store import lifecycle

    _check_name(atlas_name)
    return lifecycle.plan_update(_library(brainglobe_dir, remotes), atlas_name, force=force)


def remove_atlas(
    atlas_name: str, *, version: str | None = None, brainglobe_dir: Folders = None
) -> list[InstalledAtlas]:
    """Remove an installed atlas: one version if one is named, else all.

    Parameters
    ----------
    atlas_name, version
        ``"allen_mouse_25um"``, ``"allen_mouse_25um@1.2"``.
    brainglobe_dir
        As in ``install_atlas``.

    Returns
    -------
    list of InstalledAtlas
        What was removed.

    Raises
    ------
    UnknownAtlasError
        If it is not installed.
    StorageError
        If this account may not remove it.
    """
    from bg_atlasapi.store import lifecycle

    return lifecycle.remove_atlas(_library(brainglobe_dir), atlas_name, version)


def prune_atlases(*, dry_run: bool = False, brainglobe_dir: Folders = None) -> list[Pruned]:
    """Remove old versions of installed atlases, and what interrupted downloads left.

    Parameters
    ----------
    dry_run
        Only say what would be removed.
    brainglobe_dir
        As in ``install_atlas``.

    Returns
    -------
    list of Pruned
        Path, bytes and reason of each thing.

    Raises
    ------
    StorageError
        If this account may not remove something.
    """
    from bg_atlasapi.store import pruning

    return pruning.prune(_library(brainglobe_dir), dry_run=dry_run)


def verify_atlas(
    atlas_name: str,
    *,
    version: str | None = None,
    repair: bool = False,
    brainglobe_dir: Folders = None,
    remotes: Addresses = None,
) -> Verification:
    """Hash every file of an installed atlas and compare with what was installed.

    An atlas that was put there by hand is read instead, and recorded if it is sound.

    Parameters
    ----------
    atlas_name, version, brainglobe_dir, remotes
        As in ``install_atlas``.
    repair
        Fetch what is damaged, and only that.

    Returns
    -------
    Verification
        ``sound``, ``damaged`` (key and problem of each file), ``repaired``, ``adopted``.

    Raises
    ------
    UnknownAtlasError
        If it is not installed.
    RemoteError
        If a repair cannot be downloaded.
    StorageError
        If a repair cannot be written.
    """
    from bg_atlasapi.store import verification

    library = _library(brainglobe_dir, remotes)
    with progress_bar.shown() as report:
        return verification.verify_atlas(library, atlas_name, version, report, repair=repair)


def bundle_atlas(
    atlas_name: str,
    path: PathLike | None = None,
    *,
    version: str | None = None,
    brainglobe_dir: Folders = None,
) -> Path:
    """Write an installed atlas as one file, to be carried to another machine.

    Parameters
    ----------
    atlas_name, version, brainglobe_dir
        As in ``install_atlas``.
    path
        The file, or a folder for it; default ``<name>_v<version>.tar.gz`` in the current folder.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UnknownAtlasError
        If it is not installed.
    IncompleteAtlasError
        If it is damaged.
    StorageError
        If the file cannot be written.
    """
    from bg_atlasapi.store import bundles

    target = None if path is None else Path(path)
    with progress_bar.shown() as report:
        return bundles.bundle_atlas(_library(brainglobe_dir), atlas_name, target, version, report)


def add_atlas(
    source: PathLike, *, name: str | None = None, brainglobe_dir: Folders = None
) -> InstalledAtlas:
    """Install an atlas from a file, a folder or an address, without any remote.

    Parameters
    ----------
    source
        A bundle or archive (path or URL), an unpacked package, a component atlas, or the address
        of a published folder of atlases.
    name
        Which of the atlases that are published at an address.
    brainglobe_dir
        As in ``install_atlas``.

    Returns
    -------
    InstalledAtlas
        Its name, version and path.

    Raises
    ------
    InvalidInputError
        If there is nothing there.
    InvalidAtlasError, IncompleteAtlasError
        If it is not an atlas, or not a whole one.
    RemoteError, StorageError
        As in ``install_atlas``.
    """
    from bg_atlasapi.store import bundles

    with progress_bar.shown() as report:
        return bundles.add_atlas(_library(brainglobe_dir), str(source), report, name)


def atlas_info(
    atlas_name: str,
    *,
    version: str | None = None,
    brainglobe_dir: Folders = None,
    remotes: Addresses = None,
) -> dict[str, Any]:
    """Describe an atlas, installed or not, without downloading it.

    Parameters
    ----------
    atlas_name, version, brainglobe_dir, remotes
        As in ``install_atlas``.

    Returns
    -------
    dict
        ``name``, ``version``, ``installed_versions``, ``path``, ``origin``, ``size_bytes``,
        ``metadata``, and what else is known; None for what is not.

    Raises
    ------
    UnknownAtlasError
        If it is neither installed nor known.
    RemoteError
        If it is not installed and no remote can be asked.
    """
    from bg_atlasapi.store import description

    return description.describe(_library(brainglobe_dir, remotes), atlas_name, version)


def _check_name(atlas_name: object) -> None:
    if not isinstance(atlas_name, str):
        message = f"An atlas name is a string, got {atlas_name!r}."
        raise InvalidInputError(message)
