"""Write a recipe for labels and a table, ready to be built and to be completed by hand."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bg_atlasapi import settings
from bg_atlasapi.build import sources
from bg_atlasapi.errors import AlreadyThereError, InvalidInputError
from bg_atlasapi.store import disk

_FACTS = {
    "species": "binomial name, such as Mus musculus",
    "citation": "how to cite the atlas",
    "doi": "10.…",
    "licence": "such as CC-BY-4.0",
    "link": "https://…",
    "packager": "your name",
}
_HEAD = """\
# A recipe of an atlas. Build it with: brainglobe build {name}
# What may stand here: brainglobe build --schema
"""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a new recipe is to say.

    Parameters
    ----------
    name, version
        Of the atlas, without resolution.
    labels, table
        Files.
    template, hemispheres
        Files, or None.
    references
        Further images by name.
    facts
        Of species, citation, doi, licence, link, packager: what is known.
    orientation, resolution_um
        Of all volumes, where headers are wrong or silent.
    """

    name: str
    labels: Path
    table: Path
    version: str = "1.0"
    template: Path | None = None
    hemispheres: Path | None = None
    references: Mapping[str, Path] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    orientation: str | None = None
    resolution_um: tuple[float, ...] | None = None


def write_recipe(draft: Draft, path: Path, *, overwrite: bool = False) -> Path:
    """Write a recipe; what is not known stands in it as a comment to be completed.

    Parameters
    ----------
    draft
        What it says.
    path
        The file; paths in it are relative to its folder.
    overwrite
        Replace one that is there.

    Raises
    ------
    InvalidInputError
        If a file that it names is not there.
    AlreadyThereError
        If there is a recipe already.
    """
    path = settings.expanded(path).absolute()
    if path.exists() and not overwrite:
        message = f"{path} is there already; name another with -o, or replace it with --overwrite."
        raise AlreadyThereError(message)
    text = recipe_text(draft, path)
    with disk.explained(path.parent, f"write {path.name}", advice="Choose another place with -o."):
        disk.write_text(path, text)
    return path


def recipe_text(draft: Draft, path: Path) -> str:
    """Return the text of a recipe that is going to lie at a path."""
    lines = [_HEAD.format(name=path.name), *_pairs({"name": draft.name, "version": draft.version})]
    for key, example in _FACTS.items():
        known = draft.facts.get(key)
        lines += _pairs({key: known}) if known else [f"# {key} = {_text(example)}"]
    if draft.hemispheres is None:
        lines += _pairs({"hemispheres": "symmetric"})
    if draft.orientation or draft.resolution_um:
        lines += ["", "[space]"]
        sizes = None if draft.resolution_um is None else list(draft.resolution_um)
        lines += _pairs({"orientation": draft.orientation, "resolution_um": sizes})
    tables = {"annotation": draft.labels, "template": draft.template}
    tables |= {"hemispheres": draft.hemispheres, "table": draft.table}
    for key, file in tables.items():
        if file is not None:
            lines += ["", f"[{key}]", *_pairs(_source(file, path.parent))]
    for name, file in draft.references.items():
        stated = {"name": name, **_source(file, path.parent)}
        lines += ["", "[[references]]", *_pairs(stated)]
    return "\n".join(lines) + "\n"


def _source(file: Path, folder: Path) -> dict[str, Any]:
    file = settings.expanded(file).absolute()
    if not sources.is_there(file):
        raise InvalidInputError(f"There is no file {file}.")
    try:
        shown = Path(os.path.relpath(file, folder)).as_posix()
    except ValueError:  # on another drive
        shown = file.as_posix()
    return {"path": shown, "sha256": sources.content_sha256(file)}


def _pairs(values: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {_text(value)}" for key, value in values.items() if value is not None]


def _text(value: Any) -> str:
    """Return a value as TOML, of which JSON's texts, numbers and lists are a part."""
    return json.dumps(value, ensure_ascii=False)
