"""The configuration file, through the functions of 1.x.

The file is INI with the section ``[default_dirs]``, in ``$BRAINGLOBE_CONFIG_DIR`` or
``~/.config/brainglobe``. Reading never creates it. Which value wins (argument, environment, file,
default) is decided in ``bg_atlasapi.settings``.
"""

from __future__ import annotations

import configparser
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bg_atlasapi import settings
from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.settings import CONFIG_FILENAME, SECTION, PathLike

__all__ = [
    "CONFIG_DEFAULT_DIR",
    "CONFIG_DIR",
    "CONFIG_FILENAME",
    "CONFIG_PATH",
    "DEFAULT_PATH",
    "TEMPLATE_CONF_DICT",
    "cli_modify_config",
    "get_brainglobe_dir",
    "read_config",
    "write_config_value",
    "write_default_config",
]

CONFIG_DEFAULT_DIR: Path
CONFIG_DIR: Path
CONFIG_PATH: Path
DEFAULT_PATH: Path
TEMPLATE_CONF_DICT: dict[str, dict[str, Path]]


def __getattr__(name: str) -> Any:
    """Work out the constants of 1.x when asked, so that the environment may change at any time."""
    if name == "CONFIG_DEFAULT_DIR":
        return settings.home() / ".config" / "brainglobe"
    if name == "CONFIG_PATH":
        return settings.config_location().value
    if name == "CONFIG_DIR":
        return settings.config_location().value.parent
    if name == "DEFAULT_PATH":
        return settings.default_brainglobe_dir()
    if name == "TEMPLATE_CONF_DICT":
        default = settings.default_brainglobe_dir()
        return {SECTION: {"brainglobe_dir": default, "interm_download_dir": default}}
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def _path(path: PathLike | None) -> Path:
    # Through the module, so that a caller who assigned config.CONFIG_PATH is heard.
    return Path(sys.modules[__name__].CONFIG_PATH if path is None else path)


def write_default_config(
    path: PathLike | None = None, template: Mapping[str, Mapping[str, object]] | None = None
) -> None:
    """Write a configuration file.

    Parameters
    ----------
    path
        Default: the one in force.
    template
        Section → key → value. Default: ``TEMPLATE_CONF_DICT``.
    """
    if template is None:
        template = sys.modules[__name__].TEMPLATE_CONF_DICT
    parser = configparser.ConfigParser(interpolation=None)
    for section, entries in template.items():
        parser[section] = {key: str(value) for key, value in entries.items()}
    _write(parser, _path(path))


def _write(parser: configparser.ConfigParser, path: Path) -> None:
    """Write beside the target, then rename: another process sees the old file or the new one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                parser.write(file)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        message = (
            f"The configuration file {path} cannot be written: {error.strerror or error}. "
            "Set BRAINGLOBE_CONFIG_DIR to a folder you may write to."
        )
        raise InvalidInputError(message) from error


def read_config(path: PathLike | None = None) -> configparser.ConfigParser:
    """Read the configuration; what the file does not say has its default.

    Parameters
    ----------
    path
        The file, or the folder that holds it. Default: the one in force.

    Raises
    ------
    InvalidInputError
        If the file is not INI.
    """
    location = settings.config_location(_path(path)).value
    parser = configparser.ConfigParser(interpolation=None)
    entries = settings.read_config_file(location)
    defaults = sys.modules[__name__].TEMPLATE_CONF_DICT[SECTION]
    parser[SECTION] = {key: str(value) for key, value in {**defaults, **entries}.items()}
    return parser


def write_config_value(key: str, val: object, path: PathLike | None = None) -> None:
    """Change one value; a key that the configuration does not have changes nothing.

    Parameters
    ----------
    key
        ``"brainglobe_dir"``, ``"interm_download_dir"`` or ``"remotes"``.
    val
        The new value.
    path
        Default: the file in force.
    """
    parser = read_config(path)
    if key in parser[SECTION] or key == "remotes":
        parser[SECTION][key] = str(val)
        _write(parser, settings.config_location(_path(path)).value)


def get_brainglobe_dir() -> Path:
    """Return the folder of installed atlases that holds now, whichever way it was set."""
    return settings.resolve(config_dir=_path(None)).brainglobe_dir.value


def cli_modify_config(
    key: str | int = 0,
    value: str | int = 0,
    show: bool = False,  # noqa: FBT001, FBT002 - 1.x signature
) -> None:
    """Change a value and print the configuration, as ``brainglobe config`` of 1.x did.

    Parameters
    ----------
    key, value
        What to set; the parent of a folder must exist.
    show
        Only print.
    """
    import click

    if not show:
        if str(key).endswith("dir"):
            parent_exists = Path(str(value)).parent.exists()
            click.echo(parent_exists)
            if not parent_exists:
                click.echo(invalid_folder(str(value)))
                return
        write_config_value(str(key), value)
    click.echo(_print_config())


def invalid_folder(value: str) -> str:
    """Return the sentence for a folder that cannot be used."""
    return (
        f"{value} is not a valid path. Path must be a valid path string, and its parent must exist!"
    )


def _print_config() -> str:
    """Return the configuration as text."""
    parser = read_config()
    lines = []
    for section, entries in parser.items():
        lines.append(f"[{section}]\n")
        lines.extend(f"\t{key}: {value}\n" for key, value in entries.items())
    return "".join(lines)
