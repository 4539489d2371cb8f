"""The helpers of 1.x: atlas names, JSON, TIFF, the metadata panel, single files from the network.

Installing atlases is ``update_atlases``; these are for callers who used the helpers themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi import settings
from bg_atlasapi.errors import InvalidInputError, RefusedError, RemoteError
from bg_atlasapi.formats.packaged import read_json_file
from bg_atlasapi.formats.tiff import TiffVolume

if TYPE_CHECKING:
    from configparser import ConfigParser

    import numpy as np
    import numpy.typing as npt
    from rich.panel import Panel

    from bg_atlasapi.settings import PathLike
    from bg_atlasapi.store.transport.sources import Source

_ORANGE, _DIM_ORANGE, _GREY, _MOCCASIN = "#f59e42", "#b56510", "#A9A9A9", "#FFE4B5"


def _rich_atlas_metadata(atlas_name: str, metadata: dict[str, Any]) -> Panel:
    """Return the panel that describes an atlas in a terminal."""
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    title = Text(atlas_name.replace("_", " ").capitalize())
    table = Table(box=None, show_lines=False, title=title, title_style=f"bold {_ORANGE}")
    table.add_column(style=f"bold {_MOCCASIN}", justify="right", min_width=8, max_width=40)
    table.add_column(min_width=20, max_width=48)
    name, citation = str(metadata.get("name", atlas_name)), str(metadata.get("citation", "unknown"))
    source, _, link = citation.rpartition(", ")
    rows = {
        "name": Text.assemble(name, " ", (f"(v{metadata.get('version', '?')})", _GREY)),
        "species": Text(str(metadata.get("species", "unknown")), style="italic"),
        "citation": Text.assemble(source, " " if source else "", (link, _GREY if source else "")),
        "link": Text(str(metadata.get("atlas_link", "unknown"))),
        "": Text(""),
        "orientation": Text(str(metadata.get("orientation", "unknown")), style="bold"),
        "symmetric": Text(str(metadata.get("symmetric", "unknown"))),
        "resolution": Text(str(metadata.get("resolution", "unknown"))),
        "shape": Text(str(metadata.get("shape", "unknown"))),
    }
    for key, value in rows.items():
        table.add_row(f"{key}:" if key else "", value)
    return Panel.fit(table, border_style=_DIM_ORANGE)


def atlas_repr_from_name(name: str) -> dict[str, str | None]:
    """Take an atlas name apart.

    Parameters
    ----------
    name
        ``"allen_mouse_25um"`` or ``"allen_mouse_25um_v1.2"``.

    Returns
    -------
    dict
        ``name``, ``major_vers``, ``minor_vers`` (None without a version), ``resolution`` (no unit).
    """
    parts = name.split("_")
    if len(parts) < 2:
        message = f"{name!r} is not an atlas name; they read like 'allen_mouse_25um'."
        raise InvalidInputError(message)
    version = parts.pop() if not parts[-1].endswith("um") else None
    resolution = parts.pop()
    major, minor = version[1:].split(".") if version else (None, None)
    return {
        "name": "_".join(parts),
        "major_vers": major,
        "minor_vers": minor,
        "resolution": resolution[:-2],
    }


def atlas_name_from_repr(
    name: str,
    resolution: float | str,
    major_vers: int | str | None = None,
    minor_vers: int | str | None = None,
) -> str:
    """Put an atlas name together.

    Parameters
    ----------
    name
        Without resolution.
    resolution
        µm.
    major_vers, minor_vers
        None for a name without version.
    """
    if major_vers is None and minor_vers is None:
        return f"{name}_{resolution}um"
    return f"{name}_{resolution}um_v{major_vers}.{minor_vers}"


_PING_OF_1X = "http://www.google.com/"


def check_internet_connection(
    url: str = _PING_OF_1X,
    timeout: float = 5,
    raise_error: bool = True,  # noqa: FBT001, FBT002 - 1.x signature
) -> bool:
    """Say whether a host answers; by default, whether any remote does.

    Parameters
    ----------
    url
        The host. 1.x asked a search engine; that address now stands for the remotes in force.
    timeout
        Seconds.
    raise_error
        Raise instead of returning False.

    Raises
    ------
    RemoteError
        Unless ``raise_error`` is false.
    """
    from bg_atlasapi.store.transport import http

    error: RemoteError | None = None
    for address in _web_remotes() if url == _PING_OF_1X else [url]:
        try:
            http.SHARED.get(address, method="HEAD", timeout_s=timeout).close()
        except RefusedError:  # an answer is an answer
            return True
        except RemoteError as reason:
            error = reason
        else:
            return True
    if raise_error and error is not None:
        raise error
    return error is None


def _web_remotes() -> list[str]:
    from bg_atlasapi.store.transport.addresses import source_of
    from bg_atlasapi.store.transport.web import WebSource

    sources = [source_of(address) for address in settings.remotes().value]
    return [source.base for source in sources if isinstance(source, WebSource)]


def _source_and_key(url: str) -> tuple[Source, str]:
    from bg_atlasapi.store.transport.addresses import file_at

    return file_at(url)


def retrieve_over_http(
    url: str,
    output_file_path: PathLike,
    fn_update: Callable[[int, int], None] | None = None,
) -> None:
    """Download a file, whole or not at all.

    Parameters
    ----------
    url
        Address of the file.
    output_file_path
        Where to.
    fn_update
        Called with completed and total bytes.

    Raises
    ------
    RemoteError
        If it cannot be had. What was downloaded stays beside the target for the next try.
    """
    from bg_atlasapi import progress_bar
    from bg_atlasapi.store import disk
    from bg_atlasapi.store.transfer import incoming, progress
    from bg_atlasapi.store.transport import sources

    source, key = _source_and_key(url)
    target = Path(output_file_path)
    parts, beside = (target.with_name(f".{target.name}.{kind}") for kind in ("pieces", "part"))
    with (
        progress_bar.shown(fn_update) as report,
        disk.explained(target.parent, f"download {url}"),
        incoming.incoming(source, sources.Listed(key), parts) as file,
    ):
        with beside.open("wb") as out:
            while block := file.read(sources.BLOCK):
                out.write(block)
                report(progress.DOWNLOAD, file.done, file.total)
        file.finish()
        beside.replace(target)
        file.discard()


def get_download_size(url: str) -> int:
    """Ask a remote for the size of a file, bytes.

    Raises
    ------
    RemoteError
        If it does not say.
    """
    source, key = _source_and_key(url)
    size = source.size(key)
    if size is None:
        message = f"The host of {url} does not say how large the file is."
        raise RefusedError(message)
    return size


def conf_from_url(url: str) -> ConfigParser:
    """Read an INI file from a remote.

    Raises
    ------
    RemoteError
        If it cannot be had, or is not INI.
    """
    import configparser

    source, key = _source_and_key(url)
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(source.read(key).decode("utf-8-sig"))
    except (configparser.Error, UnicodeDecodeError) as error:
        message = f"{url} is not INI: {str(error).splitlines()[0]}"
        raise RefusedError(message) from error
    return parser


def read_json(path: PathLike) -> Any:
    """Read a JSON file.

    Raises
    ------
    IncompleteAtlasError
        If it cannot be read.
    InvalidAtlasError
        If it is not JSON.
    """
    return read_json_file(Path(path))


def read_tiff(path: PathLike) -> npt.NDArray[np.generic]:
    """Read a TIFF stack.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    numpy.ndarray
        Writable and private to the caller. Of an uncompressed stack, parts load when touched.

    Raises
    ------
    IncompleteAtlasError
        If the file is missing, truncated, or not a TIFF.
    """
    return TiffVolume(Path(path)).read()
