"""The verb that checks an atlas: validate."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bg_atlasapi.cli.options import complete_names, json_option, note, print_json, version_option
from bg_atlasapi.cli.outcome import INVALID_ATLAS, Verb

if TYPE_CHECKING:
    from bg_atlasapi.build.validation import Verdict


@click.command(cls=Verb)
@click.argument("atlas_name", metavar="ATLAS|PATH", shell_complete=complete_names)
@version_option
@click.option("--no-meshes", is_flag=True, help="Leave the meshes out, which take longest.")
@click.option(
    "--report",
    "report_path",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write a page with pictures, regions and findings (.html).",
)
@json_option
def validate(
    *,
    atlas_name: str,
    version: str | None,
    no_meshes: bool,
    report_path: Path | None,
    as_json: bool,
) -> None:
    """Check an atlas, installed or in a folder, and say what is wrong and how to mend it.

    Exits with 0 if there is no error, warnings or not; with 4 if there is one. A folder that does
    not even open gives findings, too.

    \b
    Examples:
      brainglobe validate phantom_mouse_100um
      brainglobe validate ./my_mouse_25um_v1.0 --no-meshes
      brainglobe validate phantom_mouse_100um --report phantom.html
    """  # noqa: D301 - the backslash is click's: keep the lines
    from bg_atlasapi import progress_bar
    from bg_atlasapi.build import validation
    from bg_atlasapi.formats.checks import no_check
    from bg_atlasapi.store.checker import Checker

    path = _place(atlas_name, version)
    with progress_bar.shown() as shown:
        checker = Checker(path)
        # Whether files are those that were installed is what verify tells; here they are taken as
        # they are, so that one that was edited is looked at.
        check = checker if checker.on_demand else no_check
        verdict = validation.check_path(path, meshes=not no_meshes, check=check, report=shown)
        written = _report(verdict, path, report_path, meshes=not no_meshes)
    if as_json:
        print_json(_row(verdict, path, written))
    else:
        click.echo(f"{_title(path)}: {verdict.findings.text()}")
        if written:
            click.echo(f"\nReport: {written}")
    if not verdict.findings.ok:
        raise click.exceptions.Exit(INVALID_ATLAS)


def _title(path: Path) -> str:
    """Return what to call an atlas: in the component store, a folder is named after a version."""
    if path.parent.parent.name == "atlases":
        return f"{path.parent.name} {path.name.replace('_', '.')}"
    return path.name or str(path)


def _place(name: str, version: str | None) -> Path:
    """Return the folder of an atlas that is named, or is a path."""
    from bg_atlasapi.errors import UnknownAtlasError
    from bg_atlasapi.settings import expanded
    from bg_atlasapi.store.lifecycle import Library

    path = expanded(name).absolute()
    separators = (os.sep, os.altsep or os.sep)
    if any(one in name for one in separators) or name.startswith(".") or path.exists():
        return path
    library = Library()
    full, wanted = library.named(name, version)
    here = [
        one for one in library.installed() if one.name == full and wanted in {None, one.version}
    ]
    if not here:
        kept = ", ".join(sorted({one.name for one in library.installed()}))
        message = f"{name} is neither installed ({kept}) nor a path. Install it, or name a folder."
        raise UnknownAtlasError(message)
    return here[-1].path


def _report(verdict: Verdict, path: Path, target: Path | None, *, meshes: bool) -> Path | None:
    if target is None:
        return None
    if verdict.atlas is None:
        note("The atlas does not open, so there is no report of it.")
        return None
    from bg_atlasapi.build.report import write_report
    from bg_atlasapi.formats.registry import folder_of

    return write_report(
        verdict.atlas,
        target,
        verdict.findings,
        provenance=_provenance(path),
        folder=folder_of(path),
        meshes=meshes,
    )


def _provenance(path: Path) -> dict[str, Any]:
    from datetime import UTC, datetime

    from bg_atlasapi.errors import AtlasError
    from bg_atlasapi.formats.provenance import data_sha256
    from bg_atlasapi.formats.registry import folder_of

    folder = folder_of(path)
    try:
        digest = data_sha256(folder)
    except AtlasError:  # a damaged one still has a report
        digest = None
    checked = datetime.now(UTC).isoformat(timespec="seconds")
    return {"folder": folder.name, "SHA-256 of the data": digest, "checked": checked}


def _row(verdict: Verdict, path: Path, written: Path | None) -> dict[str, Any]:
    from bg_atlasapi.build.validation.catalogue import SEVERITIES

    metadata = verdict.atlas.metadata if verdict.atlas else {}
    findings = verdict.findings
    return {
        "path": str(path),
        "name": metadata.get("name"),
        "version": metadata.get("version"),
        "ok": findings.ok,
        "counts": {one: len(findings.select(severity=one)) for one in SEVERITIES},
        "findings": findings.to_dicts(),
        **({"report": str(written)} if written else {}),
    }
