"""Verbs about settings: config."""

from __future__ import annotations

from pathlib import Path

import click

from bg_atlasapi import config as configuration
from bg_atlasapi import settings
from bg_atlasapi.cli.options import json_option, note, print_json
from bg_atlasapi.cli.outcome import Verb
from bg_atlasapi.errors import InvalidInputError


@click.command(cls=Verb)
@click.option("-s", "--show", is_flag=True, help="Only print; the default without -k and -v.")
@click.option("-k", "--key", help="What to change: brainglobe_dir or interm_download_dir.")
@click.option("-v", "--value", metavar="FOLDER", help="Its new value; the parent must exist.")
@json_option
def config(*, show: bool, key: str | None, value: str | None, as_json: bool) -> None:
    """Show or change where atlases are kept.

    Prints the configuration file. --json prints the values in force, and where each comes from:
    an environment variable, the file, or the default.
    """
    if value is not None and key is None:
        raise click.UsageError("Say which value to change: -k brainglobe_dir.")
    if key is not None and value is not None and not show:
        _change(key.strip(), value.strip())
    if as_json:
        effective = settings.resolve()
        print_json(
            {
                name: {"value": setting.value, "origin": setting.origin}
                for name in ("brainglobe_dir", "interm_download_dir", "config_path")
                for setting in [getattr(effective, name)]
            }
        )
        return
    click.echo(configuration._print_config())


def _change(key: str, value: str) -> None:
    known = configuration.TEMPLATE_CONF_DICT[settings.SECTION]
    if key not in known:
        message = f"{key!r} is not a configuration key; the keys are {', '.join(known)}."
        raise InvalidInputError(message)
    # A relative path would mean another folder tomorrow.
    folder = Path(value).expanduser().absolute()
    if not value or not folder.parent.is_dir():
        raise InvalidInputError(configuration.invalid_folder(value))
    configuration.write_config_value(key, folder)
    winner = getattr(settings.resolve(), key)
    if winner.origin.startswith("environment"):
        note(f"Note: {winner.value} is used all the same, from {winner.origin}.")
