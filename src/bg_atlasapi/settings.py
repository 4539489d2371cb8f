"""Where things are and what is allowed: argument > environment > configuration file > default.

Everything is resolved when it is asked for, never at import, so that a test, a job script or a
notebook may set an environment variable at any time. Reading settings never writes a file and
never makes a folder. The configuration file is the one that 1.x wrote: INI, section
``[default_dirs]``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bg_atlasapi.errors import InvalidInputError

CONFIG_FILENAME = "bg_config.conf"
SECTION = "default_dirs"
PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Setting:
    """A value and where it came from.

    Parameters
    ----------
    value
        The effective value.
    origin
        ``"argument"``, ``"environment NAME"``, ``"file PATH"`` or ``"default"``.
    """

    value: Path
    origin: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The effective settings of one call.

    Parameters
    ----------
    brainglobe_dir
        Folder that holds installed atlases.
    interm_download_dir
        Folder for downloads that are under way.
    config_path
        The configuration file that was, or would be, read.
    """

    brainglobe_dir: Setting
    interm_download_dir: Setting
    config_path: Setting


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


def config_location(config_dir: PathLike | None = None) -> Setting:
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
    import configparser  # noqa: PLC0415 - 2 ms

    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        message = f"The configuration file {path} is not INI: {str(error).splitlines()[0]}"
        raise InvalidInputError(message) from error
    return dict(parser[SECTION]) if parser.has_section(SECTION) else {}


def resolve(
    brainglobe_dir: PathLike | None = None,
    interm_download_dir: PathLike | None = None,
    config_dir: PathLike | None = None,
) -> Settings:
    """Return the settings that hold now.

    Parameters
    ----------
    brainglobe_dir, interm_download_dir, config_dir
        What the caller said; ``None`` leaves it to the environment, file and defaults.
    """
    location = config_location(config_dir)
    entries = read_config_file(location.value)

    def pick(key: str, argument: PathLike | None, variable: str | None) -> Setting | None:
        if argument is not None:
            return Setting(expanded(argument), "argument")
        if variable and os.environ.get(variable):
            return Setting(expanded(os.environ[variable]), f"environment {variable}")
        if entries.get(key):
            return Setting(expanded(entries[key]), f"file {location.value}")
        return None

    # The defaults are looked up last: an account without a home folder needs none of them.
    atlases = pick("brainglobe_dir", brainglobe_dir, "BRAINGLOBE_DIR")
    atlases = atlases or Setting(default_brainglobe_dir(), "default")
    downloads = pick("interm_download_dir", interm_download_dir, None) or atlases
    return Settings(atlases, downloads, location)
