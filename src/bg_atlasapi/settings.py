"""Where things are and what is allowed: argument > environment > configuration file > default.

Everything is resolved when it is asked for, never at import, so that a test, a job script or a
notebook may set an environment variable at any time. Reading settings never writes a file and
never makes a folder. The configuration file is the one that 1.x wrote: INI, section
``[default_dirs]``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from bg_atlasapi.errors import InvalidInputError

CONFIG_FILENAME = "bg_config.conf"
SECTION = "default_dirs"
PathLike = str | os.PathLike[str]
# The published V3 component store, then the repository of packaged archives; source of the
# addresses: ``descriptors`` of brainglobe-atlasapi 3.0.2 and of bg-atlasapi 1.0.3.
DEFAULT_REMOTES = (
    "s3://brainglobe/atlas",
    "https://gin.g-node.org/brainglobe/atlases/raw/master",
)
_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Setting(Generic[_T]):
    """A value and where it came from.

    Parameters
    ----------
    value
        The effective value.
    origin
        ``"argument"``, ``"environment NAME"``, ``"file PATH"`` or ``"default"``.
    """

    value: _T
    origin: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The effective settings of one call.

    Parameters
    ----------
    layers
        Folders that hold installed atlases. All are read, in this order; new atlases go to the
        first that can be written to.
    interm_download_dir
        Folder for downloads that are under way.
    config_path
        The configuration file that was, or would be, read.
    """

    layers: Setting[tuple[Path, ...]]
    interm_download_dir: Setting[Path]
    config_path: Setting[Path]

    @property
    def brainglobe_dir(self) -> Setting[Path]:
        """The first layer, the user's own."""
        return Setting(self.layers.value[0], self.layers.origin)


def expanded(path: PathLike) -> Path:
    """Return a path with ``~`` replaced.

    Raises
    ------
    InvalidInputError
        If it names an account that is not there, or is no path at all.
    """
    try:
        return Path(path).expanduser()
    except (RuntimeError, TypeError) as error:
        message = f"{path!r} is not a usable path: {str(error).rstrip('.')}."
        raise InvalidInputError(message) from error


def home() -> Path:
    """Return the home folder.

    Raises
    ------
    InvalidInputError
        If the machine does not say where it is.
    """
    try:
        return Path.home()
    except RuntimeError:
        message = "This account has no home folder; set BRAINGLOBE_DIR to a folder for atlases."
        raise InvalidInputError(message) from None


def default_brainglobe_dir() -> Path:
    """Return the folder used when nothing else is said, ``~/.brainglobe`` (as in 1.x)."""
    return home() / ".brainglobe"


def config_location(config_dir: PathLike | None = None) -> Setting[Path]:
    """Return the path of the configuration file.

    Parameters
    ----------
    config_dir
        A folder that holds ``bg_config.conf``, or the file itself. Default: the folder
        ``BRAINGLOBE_CONFIG_DIR``, else ``~/.config/brainglobe``.
    """
    if config_dir is not None:
        path = expanded(config_dir)
        is_file = path.is_file() or (path.suffix == ".conf" and not path.is_dir())
        return Setting(path if is_file else path / CONFIG_FILENAME, "argument")
    if from_environment := os.environ.get("BRAINGLOBE_CONFIG_DIR"):
        folder = expanded(from_environment)
        return Setting(folder / CONFIG_FILENAME, "environment BRAINGLOBE_CONFIG_DIR")
    return Setting(home() / ".config" / "brainglobe" / CONFIG_FILENAME, "default")


def read_config_file(path: Path) -> dict[str, str]:
    """Return the ``[default_dirs]`` entries of a configuration file, empty if there is none.

    Raises
    ------
    InvalidInputError
        If the file exists but is not INI.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):  # nearly always
        return {}
    except (OSError, ValueError) as error:
        message = f"The configuration file {path} cannot be read: {error}"
        raise InvalidInputError(message) from error
    import configparser

    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        message = f"The configuration file {path} is not INI: {str(error).splitlines()[0]}"
        raise InvalidInputError(message) from error
    return dict(parser[SECTION]) if parser.has_section(SECTION) else {}


def resolve(
    brainglobe_dir: PathLike | Sequence[PathLike] | None = None,
    interm_download_dir: PathLike | None = None,
    config_dir: PathLike | None = None,
) -> Settings:
    """Return the settings that hold now.

    Parameters
    ----------
    brainglobe_dir
        A folder, or several as a sequence. In the environment and the configuration file, several
        are separated as in ``PATH`` (":", on Windows ";").
    interm_download_dir, config_dir
        What the caller said; ``None`` leaves it to the environment, file and defaults.
    """
    location = config_location(config_dir)
    entries = read_config_file(location.value)

    def pick(key: str, variable: str | None) -> Setting[str] | None:
        if variable and os.environ.get(variable):
            return Setting(os.environ[variable], f"environment {variable}")
        if entries.get(key):
            return Setting(entries[key], f"file {location.value}")
        return None

    # The defaults are looked up last: an account without a home folder needs none of them.
    if brainglobe_dir is not None:
        layers = Setting(_layers(brainglobe_dir), "argument")
    elif said := pick("brainglobe_dir", "BRAINGLOBE_DIR"):
        layers = Setting(split_layers(said.value), said.origin)
    else:
        layers = Setting((default_brainglobe_dir(),), "default")
    downloads = Setting(layers.value[0], layers.origin)
    if interm_download_dir is not None:
        downloads = Setting(expanded(interm_download_dir), "argument")
    elif said := pick("interm_download_dir", None):
        downloads = Setting(expanded(said.value), said.origin)
    return Settings(layers, downloads, location)


def _layers(said: PathLike | Sequence[PathLike]) -> tuple[Path, ...]:
    one = isinstance(said, str | os.PathLike) or not isinstance(said, Sequence)
    folders: Iterable[PathLike] = [said] if one else said  # type: ignore[assignment,list-item]
    found = tuple(expanded(folder) for folder in folders)
    if not found:
        message = "brainglobe_dir names no folder."
        raise InvalidInputError(message)
    return found


def split_layers(text: str) -> tuple[Path, ...]:
    """Read a list of folders spelt as in ``PATH``."""
    parts = [part for part in text.split(os.pathsep) if part.strip()]
    return _layers(parts or [text])


def remotes(
    said: str | Sequence[str] | None = None, config_dir: PathLike | None = None
) -> Setting[tuple[str, ...]]:
    """Return the places to install from, first choice first.

    Parameters
    ----------
    said
        One address, or several. Default: ``BRAINGLOBE_REMOTES`` (comma-separated), ``remotes`` in
        the configuration file, the published ones.
    config_dir
        As in ``resolve``.
    """
    if said is not None:
        return Setting(_addresses([said] if isinstance(said, str) else said), "argument")
    if from_environment := os.environ.get("BRAINGLOBE_REMOTES"):
        return Setting(_addresses([from_environment]), "environment BRAINGLOBE_REMOTES")
    location = config_location(config_dir).value
    if from_file := read_config_file(location).get("remotes"):
        return Setting(_addresses([from_file]), f"file {location}")
    return Setting(DEFAULT_REMOTES, "default")


def _addresses(said: Sequence[object]) -> tuple[str, ...]:
    parts = [part.strip() for text in said for part in os.fspath(text).split(",")]  # type: ignore[call-overload]
    return tuple(part for part in parts if part)


def offline() -> bool:
    """Say whether the network is switched off: ``BRAINGLOBE_OFFLINE=1``."""
    return _flag("BRAINGLOBE_OFFLINE", default=False)


def locks() -> bool:
    """Say whether processes may wait for each other: not with ``BRAINGLOBE_LOCKS=0``."""
    return _flag("BRAINGLOBE_LOCKS", default=True)


def _flag(variable: str, *, default: bool) -> bool:
    said = os.environ.get(variable)
    if said is None:
        return default
    if said.strip().lower() not in _TRUE | _FALSE:
        message = f"{variable} must be 1 or 0, got {said!r}."
        raise InvalidInputError(message)
    return said.strip().lower() in _TRUE


def timeout_s() -> float:
    """Return how long to wait for a connection or for the next bytes: ``BRAINGLOBE_TIMEOUT``, s."""
    said = os.environ.get("BRAINGLOBE_TIMEOUT") or "15"
    try:
        seconds = float(said)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86_400:
        message = f"BRAINGLOBE_TIMEOUT must be a number of seconds, got {said!r}."
        raise InvalidInputError(message)
    return seconds


def cache_bytes() -> int:
    """Return how much of decoded volumes to keep in memory: ``BRAINGLOBE_CACHE_BYTES``, 64 MiB.

    One limit for the whole process; 0 keeps nothing.
    """
    said = os.environ.get("BRAINGLOBE_CACHE_BYTES")
    if not said:
        return 64 << 20
    try:
        count = int(said)
    except ValueError:
        count = -1
    if count < 0:
        message = f"BRAINGLOBE_CACHE_BYTES must be a number of bytes, got {said!r}."
        raise InvalidInputError(message)
    return count
