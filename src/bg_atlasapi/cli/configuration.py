"""Verbs about settings: config."""

from __future__ import annotations

import os
from typing import Any

import click

from bg_atlasapi import config as configuration
from bg_atlasapi import settings
from bg_atlasapi.cli.options import json_option, note, print_json
from bg_atlasapi.cli.outcome import Verb
from bg_atlasapi.errors import InvalidInputError


@click.command(cls=Verb)
@click.option("-s", "--show", is_flag=True, help="Print the configuration file, as 1.x did.")
@click.option("-k", "--key", help="What to change: brainglobe_dir, interm_download_dir, remotes.")
@click.option(
    "-v", "--value", metavar="VALUE", help="Its new value. The parent of a folder must exist."
)
@json_option
def config(*, show: bool, key: str | None, value: str | None, as_json: bool) -> None:
    """Show or change the settings: where atlases are kept, and where they come from.

    Prints each value in force, and whether an environment variable, the configuration file or the
    default says so. With -s or -k, prints the configuration file instead.
    """
    if value is not None and key is None:
        raise click.UsageError("Say which value to change: -k brainglobe_dir.")
    if key is not None and value is not None and not show:
        _change(key.strip(), value.strip())
    effective = _effective()
    if as_json:
        print_json(effective)
        return
    if show or key is not None:
        click.echo(configuration._print_config())  # as 1.x printed it
        return
    for name, found in effective.items():
        values = found["value"] if isinstance(found["value"], list) else [found["value"]]
        click.echo(f"{name} = {', '.join(str(one) for one in values)}  ({found['origin']})")


def _effective() -> dict[str, dict[str, Any]]:
    """Return each setting in force, and where it comes from."""
    found = settings.resolve()
    remotes = settings.remotes()
    answer: dict[str, dict[str, Any]] = {
        name: {"value": str(setting.value), "origin": setting.origin}
        for name in ("brainglobe_dir", "interm_download_dir", "config_path")
        for setting in [getattr(found, name)]
    }
    layers = [str(layer) for layer in found.layers.value]
    answer["layers"] = {"value": layers, "origin": found.layers.origin}
    answer["remotes"] = {"value": list(remotes.value), "origin": remotes.origin}
    for name, variable, value in (
        ("offline", "BRAINGLOBE_OFFLINE", settings.offline()),
        ("locks", "BRAINGLOBE_LOCKS", settings.locks()),
        ("timeout_s", "BRAINGLOBE_TIMEOUT", settings.timeout_s()),
    ):
        origin = f"environment {variable}" if os.environ.get(variable) else "default"
        answer[name] = {"value": value, "origin": origin}
    return answer


def _change(key: str, value: str) -> None:
    known = (*configuration.TEMPLATE_CONF_DICT[settings.SECTION], "remotes")
    if key not in known:
        message = f"{key!r} is not a configuration key; the keys are {', '.join(known)}."
        raise InvalidInputError(message)
    if key == "remotes":
        configuration.write_config_value(key, value)
        return
    # A relative path would mean another folder tomorrow.
    folders = [settings.expanded(folder).absolute() for folder in settings.split_layers(value)]
    if not value or not all(folder.parent.is_dir() for folder in folders):
        raise InvalidInputError(configuration.invalid_folder(value))
    configuration.write_config_value(key, os.pathsep.join(str(folder) for folder in folders))
    winner = getattr(settings.resolve(), key)
    if winner.origin.startswith("environment"):
        note(f"Note: {winner.value} is used all the same, from {winner.origin}.")
