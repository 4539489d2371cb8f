"""``BrainGlobeAtlas``: an installed atlas by name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bg_atlasapi import core, descriptors, settings, utils
from bg_atlasapi.store import cache

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.panel import Panel

    from bg_atlasapi.settings import PathLike

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
    """An installed atlas.

    Parameters
    ----------
    atlas_name
        For example ``"allen_mouse_25um"``; without resolution if ``resolution`` is given.
    brainglobe_dir
        Folder of installed atlases. Default: ``BRAINGLOBE_DIR``, the configuration file, then
        ``~/.brainglobe``.
    interm_download_dir
        Folder for downloads under way.
    check_latest
        Kept for 1.x callers. An installed atlas opens without the network either way.
    config_dir
        Folder of the configuration file. Default: ``BRAINGLOBE_CONFIG_DIR``, then
        ``~/.config/brainglobe``.
    fn_update
        Called with completed and total bytes during a download.
    version
        For example ``"1.2"``; default the newest that is installed.
    resolution
        Voxel size, µm: ``BrainGlobeAtlas("allen_mouse", resolution=25)``.

    Raises
    ------
    UnknownAtlasError
        If it is not installed; names close matches and what is.
    IncompleteAtlasError, InvalidAtlasError
        If its folder is damaged.

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
        brainglobe_dir: PathLike | None = None,
        interm_download_dir: PathLike | None = None,
        check_latest: bool = True,  # noqa: FBT001, FBT002 - 1.x signature
        config_dir: PathLike | None = None,
        fn_update: Callable[[int, int], None] | None = None,
        *,
        version: str | None = None,
        resolution: float | None = None,
    ) -> None:
        effective = settings.resolve(brainglobe_dir, interm_download_dir, config_dir)
        self.brainglobe_dir = effective.brainglobe_dir.value
        self.interm_download_dir = effective.interm_download_dir.value
        self.fn_update = fn_update
        found = cache.find(atlas_name, self.brainglobe_dir, version, resolution)
        self.atlas_name = found.name
        super().__init__(found.path)
        if check_latest:
            self.check_latest_version()

    @classmethod
    def from_path(cls, path: PathLike) -> Self:
        """Open an atlas in any folder, whatever its name.

        Parameters
        ----------
        path
            The atlas's folder.
        """
        atlas = super().from_path(path)
        folder = Path(path).resolve()
        named = cache.parse_folder(folder)
        atlas.atlas_name = named.name if named else folder.name
        atlas.brainglobe_dir = atlas.interm_download_dir = folder.parent
        atlas.fn_update = None
        return atlas

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "fn_update": None}  # a callback stays where it was made

    @property
    def local_version(self) -> tuple[int, ...] | None:
        """Version of this atlas's files; None for a folder that has none in its name."""
        named = cache.parse_folder(self.root_dir)
        return named.version if named else None

    @property
    def local_full_name(self) -> str | None:
        """Name of the folder, with version; None if it does not have that form."""
        return self.root_dir.name if cache.parse_folder(self.root_dir) else None

    @property
    def remote_version(self) -> tuple[int, ...] | None:
        """Newest version at the remotes; None, as when offline, since this version asks none."""
        return None

    @property
    def remote_url(self) -> str | None:
        """Where the newest version could be downloaded; None while ``remote_version`` is."""
        if self.remote_version is None:
            return None
        version = _version_str_from_tuple(self.remote_version)
        return self._remote_url_base.format(f"{self.atlas_name}_v{version}.tar.gz")

    def download_extract_file(self) -> None:
        """Download and unpack the newest version.

        Raises
        ------
        RemoteError
            Always, in this version.
        """
        utils.no_remotes(f"download {self.atlas_name}")

    def check_latest_version(self) -> bool | None:
        """Say whether this is the newest version; None, without asking, while that is unknown."""
        if self.remote_version is None:
            return None
        return self.local_version == self.remote_version

    def __repr__(self) -> str:
        name, _, resolution = self.atlas_name.rpartition("_")
        return f"{name.replace('_', ' ')} atlas (res. {resolution})"

    def __str__(self) -> str:
        from rich.console import Console  # noqa: PLC0415 - only where something is displayed

        buffer = StringIO()
        Console(file=buffer, force_jupyter=False).print(self)
        return buffer.getvalue()

    def __rich_console__(self, *_args: object) -> Iterator[Panel]:
        """Describe the atlas to rich: the metadata in a panel."""
        yield utils._rich_atlas_metadata(self.atlas_name, self.metadata)
