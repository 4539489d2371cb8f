"""``BrainGlobeAtlas``: an atlas by name, installed on first use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from io import StringIO
from typing import TYPE_CHECKING, Any, Self

from bg_atlasapi import core, descriptors, settings, utils
from bg_atlasapi.errors import RemoteError, UnknownAtlasError
from bg_atlasapi.store import cache, newer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.panel import Panel

    from bg_atlasapi.settings import PathLike
    from bg_atlasapi.store.lifecycle import Library

COMPRESSED_FILENAME = "atlas.tar.gz"


def __getattr__(name: str) -> Any:
    """Find the module that 1.x also offered here, 15 ms that an open need not pay."""
    if name == "config":
        return import_module("bg_atlasapi.config")
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def _version_tuple_from_str(version_str: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version_str.split("."))


def _version_str_from_tuple(version_tuple: tuple[int, ...]) -> str:
    return f"{version_tuple[0]}.{version_tuple[1]}"


class BrainGlobeAtlas(core.Atlas):
    """An atlas by name; one that is not installed is installed first.

    Parameters
    ----------
    atlas_name
        For example ``"allen_mouse_25um"`` or ``"allen_mouse_25um@1.2"``; without resolution if
        ``resolution`` is given.
    brainglobe_dir
        Folder of installed atlases, or several: all are read, the first that can be written to
        gets new ones. Default: ``BRAINGLOBE_DIR``, the configuration file, then ``~/.brainglobe``.
    interm_download_dir
        Folder for downloads under way.
    check_latest
        Look for a newer version, at most daily and in the background; the log tells. An installed
        atlas opens without the network either way.
    config_dir
        Folder of the configuration file. Default: ``BRAINGLOBE_CONFIG_DIR``, then
        ``~/.config/brainglobe``.
    fn_update
        Called with completed and total bytes during a download. What it raises cancels it; what
        was downloaded stays for the next time.
    version
        For example ``"1.2"``; default the newest that is installed.
    resolution
        Voxel size, µm: ``BrainGlobeAtlas("allen_mouse", resolution=25)``. Where no such atlas is
        installed or published, a finer one that is installed answers: from a level that it stores,
        or one that is derived by a whole factor (see ``Volume.level``).
    remotes
        Where to install from: addresses or folders. Default: ``BRAINGLOBE_REMOTES``, the
        configuration file, the published ones.
    only
        What to install of it, as in ``install_atlas``. ``"on-demand"`` brings what is needed to
        open it; chunks of volumes, and meshes, come when they are first read, are compared with
        what is published, and stay.

    Raises
    ------
    UnknownAtlasError
        If it is neither installed nor at a remote; names close matches.
    RemoteError
        If it is not installed and cannot be downloaded; ``OfflineError`` if the network is
        switched off.
    StorageError
        If it cannot be kept: disk full, folder not writable.
    IncompleteAtlasError, InvalidAtlasError
        If its files are damaged.

    Examples
    --------
    >>> from bg_atlasapi import BrainGlobeAtlas
    >>> atlas = BrainGlobeAtlas("phantom_mouse_100um")
    >>> atlas.structures["VISp"].name
    'Primary visual area'
    """

    atlas_name: str = None  # type: ignore[assignment] # as in 1.x, until __init__ sets it
    _remote_url_base = descriptors.remote_url_base

    def __init__(  # noqa: PLR0913 - 1.x signature
        self,
        atlas_name: str,
        brainglobe_dir: PathLike | Sequence[PathLike] | None = None,
        interm_download_dir: PathLike | None = None,
        check_latest: bool = True,  # noqa: FBT001, FBT002 - 1.x signature
        config_dir: PathLike | None = None,
        fn_update: Callable[[int, int], None] | None = None,
        *,
        version: str | None = None,
        resolution: float | None = None,
        remotes: str | Sequence[str] | None = None,
        only: str | Iterable[str] | None = None,
    ) -> None:
        effective = settings.resolve(brainglobe_dir, interm_download_dir, config_dir)
        self._layers = effective.layers.value
        self._config_dir = config_dir
        self._remotes, self._only = remotes, only
        self.brainglobe_dir = effective.brainglobe_dir.value
        self.interm_download_dir = effective.interm_download_dir.value
        self.fn_update = fn_update
        level = None
        try:
            found = cache.find(atlas_name, self._layers, version, resolution)
            if only is not None:
                found = self._install(found.name, found.version_text, None)
        except UnknownAtlasError:
            finer = cache.finer(atlas_name, self._layers, version, resolution)
            found, level = self._install_or_derive(atlas_name, version, resolution, finer)
        self.atlas_name = found.name
        super().__init__(found.path, resolution=level)
        if check_latest and found.layer != cache.EMBEDDED and not self._is_custom:
            newer.look_later(self._addresses, self._layers, found.name, found.version)

    @property
    def _is_custom(self) -> bool:
        """Whether nobody publishes this atlas, so that nobody is asked for a newer one."""
        return bool(self.metadata.get("custom"))

    @property
    def _addresses(self) -> tuple[str, ...]:
        if self._is_custom and self._remotes is None:
            return ()
        return settings.remotes(self._remotes, self._config_dir).value

    def _library(self) -> Library:
        from bg_atlasapi.store.lifecycle import Library

        downloads, config_dir = self.interm_download_dir, self._config_dir
        return Library(self._layers, downloads, config_dir, self._remotes)

    def _install(
        self, atlas_name: str, version: str | None, resolution: float | None
    ) -> cache.InstalledAtlas:
        """Install what is opened for the first time."""
        from bg_atlasapi import progress_bar
        from bg_atlasapi.store import lifecycle, selection

        library = self._library()
        parts = None if self._only is None else selection.parse(self._only)
        name, wanted = library.named(atlas_name, version, resolution)
        text = None if wanted is None else f"{wanted[0]}.{wanted[1]}"
        try:
            with progress_bar.shown(self.fn_update) as report:
                return lifecycle.install_atlas(library, name, text, parts, report)
        except UnknownAtlasError:
            empty = cache.empty_folder(name, wanted, self._layers)
            if empty is None:
                raise
            return empty  # opening it says what is missing

    def _install_or_derive(
        self,
        atlas_name: str,
        version: str | None,
        resolution: float | None,
        finer: Sequence[cache.InstalledAtlas],
    ) -> tuple[cache.InstalledAtlas, float | None]:
        """Return what to open, and at which voxel size if that is not its own.

        A level that is stored here is what would be installed. What is published goes before what
        can be derived; without the network the latter is better than nothing.
        """
        for atlas in finer:
            if resolution is not None and core.has_level(atlas.path, resolution, derived=False):
                return atlas, resolution
        try:
            return self._install(atlas_name, version, resolution), None
        except (UnknownAtlasError, RemoteError):
            for atlas in finer:
                if resolution is not None and core.has_level(atlas.path, resolution, derived=True):
                    return atlas, resolution
            raise

    @classmethod
    def from_path(cls, path: PathLike, *, resolution: float | None = None) -> Self:
        """Open an atlas in any folder, whatever its name.

        Parameters
        ----------
        path
            The atlas's folder.
        resolution
            Voxel size, µm: a stored level, or one that is derived. Default: the atlas's own.
        """
        atlas = super().from_path(path, resolution=resolution)
        folder = atlas.root_dir.resolve()
        named = cache.identify(folder)
        atlas.atlas_name = named.name if named else folder.name
        atlas.brainglobe_dir = atlas.interm_download_dir = named.layer if named else folder.parent
        atlas._layers, atlas._config_dir, atlas._remotes = (atlas.brainglobe_dir,), None, None
        atlas._only = None
        atlas.fn_update = None
        return atlas

    def _set_up_in_memory(self) -> None:
        effective = settings.resolve()
        self.atlas_name, _ = self._identity()
        self.brainglobe_dir = effective.brainglobe_dir.value
        self.interm_download_dir = effective.interm_download_dir.value
        self._layers, self._config_dir, self._remotes = effective.layers.value, None, None
        self._only = None
        self.fn_update = None

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "fn_update": None}  # a callback stays where it was made

    @property
    def local_version(self) -> tuple[int, ...] | None:
        """Version of this atlas's files; None for a folder that has none in its name."""
        named = cache.identify(self.root_dir)
        return named.version if named else None

    @property
    def local_full_name(self) -> str | None:
        """Name of the folder, with version; None if it does not have that form."""
        named = cache.identify(self.root_dir)
        if named is None:
            return None
        return self.root_dir.relative_to(named.layer).as_posix()

    @property
    def remote_version(self) -> tuple[int, ...] | None:
        """Newest version at the remotes, asked at most daily; None if nobody can be asked."""
        return newer.latest(self._addresses, self._layers, self.atlas_name)

    @property
    def remote_url(self) -> str | None:
        """Where the newest version can be downloaded; None if no remote can be asked or has it."""
        from bg_atlasapi.store import lifecycle

        if not self._addresses:
            return None
        try:
            return lifecycle.newest_release(self._library(), self.atlas_name).url
        except (RemoteError, UnknownAtlasError):
            return None

    def download_extract_file(self) -> None:
        """Download and install the newest version, even if it is here already.

        Raises
        ------
        RemoteError
            If it cannot be downloaded.
        """
        from bg_atlasapi import progress_bar
        from bg_atlasapi.store import lifecycle, selection

        with progress_bar.shown(self.fn_update) as report:
            parts = selection.Parts()
            lifecycle.fetch(self._library(), self.atlas_name, None, parts, report, again=True)

    def check_latest_version(self) -> bool | None:
        """Say whether this is the newest version; None while that cannot be found out.

        The log tells how to update.
        """
        remote, local = self.remote_version, self.local_version
        if remote is None or local is None:
            return None
        if remote > local:
            import logging

            logging.getLogger("bg_atlasapi").warning(
                "%s version %s is not the latest available (%s). To update: brainglobe update %s",
                self.atlas_name,
                _version_str_from_tuple(local),
                _version_str_from_tuple(remote),
                self.atlas_name,
            )
        return remote <= local

    def __repr__(self) -> str:
        name, _, resolution = self.atlas_name.rpartition("_")
        if self._level_um is not None:
            resolution = f"{self._level_um:g}um, from {resolution}"
        return f"{name.replace('_', ' ')} atlas (res. {resolution})"

    def __str__(self) -> str:
        from rich.console import Console

        buffer = StringIO()
        Console(file=buffer, force_jupyter=False).print(self)
        return buffer.getvalue()

    def __rich_console__(self, *_args: object) -> Iterator[Panel]:
        """Describe the atlas to rich: the metadata in a panel."""
        yield utils._rich_atlas_metadata(self.atlas_name, self.metadata)
