"""The helpers of 1.x: atlas names, JSON, TIFF, the metadata panel, and the doors to the network.

Downloading is not part of this version: the network helpers keep their names and signatures and
raise ``RemoteError`` without opening a socket.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from bg_atlasapi.errors import InvalidInputError, RemoteError
from bg_atlasapi.formats.packaged import read_json_file
from bg_atlasapi.formats.tiff import TiffVolume

if TYPE_CHECKING:
    from configparser import ConfigParser

    import numpy as np
    import numpy.typing as npt
    from rich.panel import Panel

    from bg_atlasapi.settings import PathLike

_ORANGE, _DIM_ORANGE, _GREY, _MOCCASIN = "#f59e42", "#b56510", "#A9A9A9", "#FFE4B5"


def _rich_atlas_metadata(atlas_name: str, metadata: dict[str, Any]) -> Panel:
    """Return the panel that describes an atlas in a terminal."""
    from rich.panel import Panel  # noqa: PLC0415 - only where something is displayed
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

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


def no_remotes(what: str) -> NoReturn:
    """Raise the error of everything that would need the network.

    Raises
    ------
    RemoteError
        Always.
    """
    message = (
        f"Cannot {what}: this version of bg_atlasapi does not download. Put the unpacked atlas "
        "folder (<name>_v<major>.<minor>) into your brainglobe folder; see 'brainglobe config'."
    )
    raise RemoteError(message)


def check_internet_connection(
    url: str = "http://www.google.com/",
    timeout: float = 5,  # noqa: ARG001 - 1.x signature
    raise_error: bool = True,  # noqa: FBT001, FBT002 - 1.x signature
) -> bool:
    """Say whether a remote can be used; in this version none can.

    Parameters
    ----------
    url, timeout
        Kept for 1.x callers; nothing is contacted.
    raise_error
        Raise instead of returning False.

    Raises
    ------
    RemoteError
        Unless ``raise_error`` is false.
    """
    if raise_error:
        no_remotes(f"reach {url}")
    return False


def retrieve_over_http(
    url: str,
    output_file_path: PathLike,  # noqa: ARG001 - 1.x signature
    fn_update: Callable[[int, int], None] | None = None,  # noqa: ARG001 - 1.x signature
) -> None:
    """Download a file.

    Raises
    ------
    RemoteError
        Always, in this version.
    """
    no_remotes(f"download {url}")


def get_download_size(url: str) -> int:
    """Ask a remote for the size of a file, bytes.

    Raises
    ------
    RemoteError
        Always, in this version.
    """
    no_remotes(f"ask for the size of {url}")


def conf_from_url(url: str) -> ConfigParser:
    """Read an INI file from a remote.

    Raises
    ------
    RemoteError
        Always, in this version.
    """
    no_remotes(f"read {url}")


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
