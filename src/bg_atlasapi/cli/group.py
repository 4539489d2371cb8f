"""The table of verbs and the command that finds them. A new verb is one row here.

Modules of verbs are imported when their verb runs, so that ``brainglobe --help`` stays immediate.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click


@dataclass(frozen=True, slots=True)
class Entry:
    """One verb.

    Parameters
    ----------
    section
        Heading it stands under in the help.
    target
        ``module:attribute`` of the command, below ``bg_atlasapi.cli``.
    summary
        One line for the help.
    """

    section: str
    target: str
    summary: str


_ASK, _ATLASES = "Ask an atlas", "Atlases on this machine"
_CARRY, _SETTINGS = "Without a network", "Settings"
_CONVERT, _MAKE = "Other layouts", "Make atlases"
VERBS = {
    "lookup": Entry(_ASK, "points:lookup", "Say which region and hemisphere points lie in."),
    "count": Entry(_ASK, "counting:count", "Count points by region."),
    "regions": Entry(_ASK, "regions:regions", "Say how large regions are, and where they lie."),
    "mask": Entry(_ASK, "masking:mask", "Write the voxels of regions as an image."),
    "measure": Entry(_ASK, "measuring:measure", "Say what an image holds in each region."),
    "diff": Entry(_ASK, "diffing:diff", "Say what changed between two versions or atlases."),
    "plot": Entry(_ASK, "plotting:plot", "Draw slices, with regions or values, into a file."),
    "tree": Entry(_ASK, "structures:tree", "Print the hierarchy of regions."),
    "find": Entry(_ASK, "structures:find", "Search the regions of an atlas by acronym or name."),
    "view": Entry(_ASK, "viewing:view", "Look at an atlas in the browser."),
    "info": Entry(_ASK, "atlases:info", "Describe an atlas, installed or not."),
    "list": Entry(_ATLASES, "atlases:list_atlases", "List atlases, here and at the remotes."),
    "install": Entry(_ATLASES, "installing:install", "Install an atlas."),
    "update": Entry(_ATLASES, "installing:update", "Update an installed atlas."),
    "remove": Entry(_ATLASES, "installing:remove", "Remove an installed atlas."),
    "prune": Entry(_ATLASES, "installing:prune", "Remove old versions and leftovers."),
    "verify": Entry(_ATLASES, "keeping:verify", "Check, and repair, an installed atlas."),
    "bundle": Entry(_CARRY, "keeping:bundle", "Write an installed atlas as one file."),
    "add": Entry(_CARRY, "installing:add", "Install from a file, folder or address."),
    "inventory": Entry(_CARRY, "keeping:inventory", "Prepare a folder to be served."),
    "build": Entry(_MAKE, "building:build", "Build an atlas from labels, by a recipe."),
    "validate": Entry(_MAKE, "validating:validate", "Check an atlas, installed or in a folder."),
    "export": Entry(_CONVERT, "exporting:export", "Write an atlas in another layout."),
    "config": Entry(_SETTINGS, "configuration:config", "Show or change the settings."),
}
# In 1.x the verb was an argument like any other, so options could stand before it.
_OPTIONS_BEFORE_VERB = {
    *("-s", "--show", "-a", "--atlas_name", "-f", "--force"),
    *("-k", "--key", "-v", "--value"),
}

_EPILOG = """\b
Examples:
  brainglobe list --species rattus
  brainglobe install allen_mouse_25um
  brainglobe lookup phantom_mouse_100um cells.csv
  brainglobe lookup phantom_mouse_100um cells.csv --at 5 -o regions.csv
  brainglobe find phantom_mouse_100um "visual area"
  brainglobe config -k brainglobe_dir -v /data/atlases

\b
Exit codes:
  0  done
  2  usage or invalid input      4  invalid or incomplete atlas
  3  unknown atlas or structure  5  a remote could not be used
  1  anything else; BRAINGLOBE_DEBUG=1 shows the traceback
  6  disk full, or a folder that cannot be written to

\b
Complete verbs and names in the shell (bash; zsh and fish alike):
  eval "$(_BRAINGLOBE_COMPLETE=bash_source brainglobe)"
"""


class VerbGroup(click.Group):
    """A group that imports a verb when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the verbs, in the order of the help."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a verb."""
        if cmd_name not in VERBS:
            return None
        module, _, attribute = VERBS[cmd_name].target.partition(":")
        command: click.Command = getattr(import_module(f"{__package__}.{module}"), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, or say which one may have been meant."""
        if args[0] not in VERBS and not args[0].startswith("-"):
            from difflib import get_close_matches

            close = get_close_matches(args[0], VERBS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else f" Verbs: {', '.join(VERBS)}."
            raise click.UsageError(f"There is no verb {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Move the verb to the front, where 1.x allowed options before it."""
        place = next((at for at, word in enumerate(args) if word in VERBS), 0)
        if place and args[0] in _OPTIONS_BEFORE_VERB:
            args = [args[place], *args[:place], *args[place + 1 :]]
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the verbs by section, without importing any."""
        for section in dict.fromkeys(entry.section for entry in VERBS.values()):
            rows = [(verb, entry.summary) for verb, entry in VERBS.items()]
            with formatter.section(section):
                formatter.write_dl([row for row in rows if VERBS[row[0]].section == section])


def _print_version(ctx: click.Context, _option: click.Parameter, asked: Any) -> None:
    if not asked or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        number = version("bg-atlasapi")
    except PackageNotFoundError:
        number = "(not installed, run from its source)"
    click.echo(f"brainglobe, bg-atlasapi {number}")
    ctx.exit()


@click.group(
    "brainglobe",
    cls=VerbGroup,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version and exit.",
)
def bg_cli() -> None:
    """Ask brain atlases from the command line.

    'brainglobe VERB --help' explains a verb.
    """
