"""What a recipe may say, as JSON Schema; and whether one says it.

The schema is the one truth: ``findings_of`` walks it, ``brainglobe build --schema`` prints it, and
editors complete from it. It uses a small part of JSON Schema 2020-12, so that no library is needed:
``type``, ``enum``, ``pattern``, ``minimum``, ``maximum``, ``items``, ``minItems``, ``maxItems``,
``properties``, ``required``, ``additionalProperties``, ``oneOf`` by type; ``examples`` are for
people, and ``docs/reference/recipe`` is made of all of it. What files hold is the
business of ``recipe_files``.
"""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bg_atlasapi.build.validation import catalogue
from bg_atlasapi.errors import Finding

ADDRESS = "https://json-schema.org/draft/2020-12/schema"
SYMMETRIC = "symmetric"
KINDS = (
    *("allen-csv", "allen-graph", "bids", "brainglobe-csv", "brainglobe-json", "csv"),
    *("freesurfer", "itksnap", "slicer", "terminology-csv"),
)
COLUMNS = (
    *("id", "name", "acronym", "parent", "path", "indent", "depth"),
    *("colour", "red", "green", "blue"),
)
NAME = "^[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}$"  # folders are called by it
SIZES_UM = (1e-6, 1e9)  # beyond these, lengths are a slip, and volumes overflow
VERSION = r"^\d+\.\d+$"
UNLISTED = ("refuse", "add", "zero")
_Schema = dict[str, Any]
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "number": (int, float),
    "array": (list,),
    "object": (dict,),
}
_WORDS = {
    "string": "a text",
    "boolean": "true or false",
    "number": "a number",
    "array": "a list",
    "object": "a table",
}


def json_schema() -> _Schema:
    """Return the schema of recipes."""
    properties = {**_facts(), **_parts()}
    required = ["name", "version", "annotation", "table"]
    described = "A recipe of a brain atlas, for 'brainglobe build'."
    return {
        "$schema": ADDRESS,
        "title": "Recipe of an atlas",
        **_object(described, properties, required),
    }


def _facts() -> _Schema:
    """Return what is said of the atlas as a whole."""
    return {
        "name": _text(
            "Name without resolution.",
            NAME,
            "at most 100 letters, digits, '_', '-', '+' and '.'",
            example="allen_mouse",
        ),
        "version": _text("Version of the atlas.", VERSION, "like '1.0'", example="1.2"),
        "species": _text("Binomial name of the species.", example="Mus musculus"),
        "citation": _text(
            "How to cite the atlas; with 'doi' or without.", example="Wang et al. 2020"
        ),
        "doi": _text(
            "DOI of the publication.",
            r"^10\.\d{4,9}/\S+$",
            "like '10.1016/j.cell.2020'",
            example="10.1016/j.cell.2020.04.007",
        ),
        "licence": _text("Licence of the data.", example="CC-BY-4.0"),
        "link": _text(
            "Page of the atlas.",
            "^https?://",
            "an address, https://…",
            example="https://example.org",
        ),
        "packager": _text("Who wrote this recipe.", example="Ada Lovelace"),
        "custom": _flag(
            "Whether nobody else publishes it: then no open asks for newer ones.", default=True
        ),
        "accept": {
            "type": "array",
            "items": _text("Code of a finding.", "^[a-z0-9-]+$", "the code of a finding"),
            "description": "Codes of findings that shall not stop the build.",
            "examples": [["label-without-structure"]],
        },
    }


def _parts() -> _Schema:
    """Return what it is put together from."""
    return {
        "space": _space(),
        "annotation": _volume(
            "Label of every voxel.",
            unlisted={
                "type": "string",
                "enum": list(UNLISTED),
                "default": UNLISTED[0],
                "examples": ["add"],
                "description": (
                    "Labels that the table lacks: refuse to build, add a structure for each, or "
                    "make them 0, outside."
                ),
            },
        ),
        "template": _volume("The reference image. Without one, it is 0 everywhere."),
        "references": {
            "type": "array",
            "items": _reference(),
            "description": "Further images in the same space.",
        },
        "hemispheres": {
            "description": "'symmetric', or a volume that holds 1 left and 2 right.",
            "default": SYMMETRIC,
            "examples": [SYMMETRIC],
            "oneOf": [
                {"type": "string", "enum": [SYMMETRIC]},
                _volume("1 left, 2 right."),
            ],
        },
        "table": _table(),
        "meshes": _meshes(),
    }


def _text(description: str, pattern: str = "", expected: str = "", *, example: str = "") -> _Schema:
    schema: _Schema = {"type": "string", "description": description}
    if example:
        schema["examples"] = [example]
    if pattern:
        schema |= {"pattern": pattern, "x-expected": expected}
    return schema


def _flag(description: str, *, default: bool) -> _Schema:
    stated = {"type": "boolean", "default": default, "description": description}
    return {**stated, "examples": [not default]}


def _object(description: str, properties: _Schema, required: Sequence[str] = ()) -> _Schema:
    return {
        "type": "object",
        "description": description,
        "additionalProperties": False,
        "properties": properties,
        "required": list(required),
    }


def _source() -> _Schema:
    return {
        "path": _text(
            "The file, relative to the recipe (or to --sources).", example="labels.nii.gz"
        ),
        "url": _text(
            "Where to download it, instead of 'path'; then 'sha256' must be there.",
            r"^(https?|s3|file)://",
            "an address",
            example="https://example.org/labels.nii.gz",
        ),
        "sha256": _text(
            "SHA-256 of the file.",
            "^[0-9a-f]{64}$",
            "64 hexadecimal digits",
            example="3b397614b91c1f9949d47469e0667b647c5b0f0ae749c0e8b3e8be8751e02de0",
        ),
    }


def _positive() -> _Schema:
    return {"type": "number", "minimum": SIZES_UM[0], "maximum": SIZES_UM[1]}


def _resolution(description: str) -> _Schema:
    three = {"type": "array", "items": _positive(), "minItems": 3, "maxItems": 3}
    examples = [25, [25, 25, 50]]
    return {"description": description, "oneOf": [_positive(), three], "examples": examples}


def _orientation(description: str) -> _Schema:
    pattern = "^(?=.*[ap])(?=.*[si])(?=.*[lr])[apsilr]{3}$"
    expected = "three letters, one of ap, si and lr each, like 'asr'"
    return _text(description, pattern, expected, example="ras")


def _volume(description: str, **more: _Schema) -> _Schema:
    properties = {
        **_source(),
        "orientation": _orientation("Side of index 0 of each axis, instead of the header's."),
        "resolution_um": _resolution("Voxel size along its axes, µm, instead of the header's."),
        **more,
    }
    return _from_file(_object(description, properties))


def _from_file(schema: _Schema) -> _Schema:
    """Say, for editors, what ``_of_source`` checks."""
    either = [{"required": ["path"]}, {"required": ["url"]}]
    return {**schema, "anyOf": either, "dependentRequired": {"url": ["sha256"]}}


def _reference() -> _Schema:
    name = _text("Its name.", NAME, "at most 100 letters, digits, '_' and '-'", example="T2w")
    schema = _volume("An image.", name=name)
    return {**schema, "required": ["name"]}


def _space() -> _Schema:
    levels = {
        "type": "array",
        "items": _resolution("A voxel size."),
        "description": "Coarser voxel sizes to store as well, µm; whole multiples.",
        "examples": [[50, 100]],
    }
    properties = {
        "orientation": _orientation("Of all volumes, instead of what their headers say."),
        "resolution_um": _resolution("Of all volumes, µm, instead of what their headers say."),
        "levels_um": levels,
    }
    return _object("What all volumes share.", properties)


def _table() -> _Schema:
    columns = {
        name: _text(f"Name of the column of the {name}.", example=f"my {name}") for name in COLUMNS
    }
    properties = {
        **_source(),
        "kind": {
            "type": "string",
            "enum": list(KINDS),
            "description": "Of table; without it, what the content looks like.",
            "examples": ["bids"],
        },
        "columns": _object("Columns of a plain CSV.", columns),
    }
    return _from_file(_object("The structures.", properties))


def _meshes() -> _Schema:
    tolerance = {
        **_positive(),
        "description": "How far simplified meshes may lie off, µm; else half a voxel.",
        "examples": [10],
    }
    both = "Whether each structure gets a mesh of its left and of its right besides."
    properties = {
        "build": _flag("Whether to make meshes.", default=True),
        "tolerance_um": tolerance,
        "smooth": _flag("Whether to smooth them.", default=True),
        "hemispheres": _flag(both, default=False),
    }
    return _object("Surfaces of the structures.", properties)


def findings_of(
    value: Any, schema: Mapping[str, Any] | None = None, where: str = ""
) -> Iterator[Finding]:
    """Yield what a recipe says that it may not, and what it lacks.

    Parameters
    ----------
    value
        As ``tomllib`` reads it.
    schema
        Of the value; default that of a recipe.
    where
        Dotted key of the value.
    """
    schema = _alternative(value, json_schema() if schema is None else schema)
    kind: str = schema["type"]
    if not _is(value, kind):
        yield _wrong(where, value, _WORDS[kind] if "one-of" not in schema else schema["one-of"])
    elif kind == "object":
        yield from _of_table(value, schema, where)
    elif kind == "array":
        yield from _of_list(value, schema, where)
    elif "enum" in schema and value not in schema["enum"]:
        close = difflib.get_close_matches(value, schema["enum"], n=1)
        hint = f"Did you mean {close[0]!r}?" if close else ""
        yield _wrong(where, value, f"one of {', '.join(schema['enum'])}", hint)
    elif "pattern" in schema and not _fits(value, schema["pattern"]):
        yield _wrong(where, value, schema["x-expected"])
    elif "minimum" in schema and not schema["minimum"] <= value <= schema["maximum"]:
        words = f"{schema['minimum']:g} to {schema['maximum']:g} µm"
        yield _wrong(where, value, words if 0 < value < float("inf") else "a number above 0")


def _fits(value: str, pattern: str) -> bool:
    """Search as JSON Schema does, where $ is the very end and not before a line's."""
    end = pattern.removesuffix("$")
    return re.search(end if end == pattern else rf"{end}\Z", value) is not None


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _alternative(value: Any, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the one of several schemas that a value is likely meant for."""
    if "oneOf" not in schema:
        return schema
    for one in schema["oneOf"]:
        if _is(value, one["type"]):
            found: Mapping[str, Any] = one
            return found
    words = " or ".join(
        repr(one["enum"][0]) if "enum" in one else _WORDS[one["type"]] for one in schema["oneOf"]
    )
    return {**schema["oneOf"][0], "one-of": words}


def _of_table(value: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> Iterator[Finding]:
    known = schema["properties"]
    for key, inner in value.items():
        place = f"{where}.{key}" if where else key
        if key in known:
            yield from findings_of(inner, known[key], place)
            continue
        close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        mend = f"Did you mean {close[0]!r}?" if close else f"Known here: {', '.join(known)}."
        yield catalogue.found("unknown-key", f"There is no key {key!r} here.", place, mend)
    for key in schema["required"]:
        if key not in value:
            place = f"{where}.{key}" if where else key
            meaning = known[key]["description"]
            yield catalogue.found("missing-key", f"{key!r} is missing: {meaning}", place, "")
    if "url" in known:
        yield from _of_source(value, where)


def _of_source(value: Mapping[str, Any], where: str) -> Iterator[Finding]:
    if ("path" in value) == ("url" in value):
        text = "Name the file with either 'path' or 'url'."
        yield catalogue.found("missing-key", text, where, "")
    if "url" in value and "sha256" not in value:
        text = "What is downloaded needs its 'sha256', or the recipe does not say what it makes."
        yield catalogue.found("missing-key", text, where, "")


def _of_list(value: Sequence[Any], schema: Mapping[str, Any], where: str) -> Iterator[Finding]:
    low, high = schema.get("minItems", 0), schema.get("maxItems", len(value))
    if not low <= len(value) <= high:
        yield _wrong(where, value, f"a list of {low}")
    for number, one in enumerate(value):
        yield from findings_of(one, schema["items"], f"{where}[{number}]")


def _wrong(where: str, value: Any, expected: str, mend: str = "") -> Finding:
    shown = f"{value!r}"
    shown = shown if len(shown) <= 60 else f"{shown[:57]}…"
    return catalogue.found("wrong-value", f"It must be {expected}, got {shown}.", where, mend)


def pruned(stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a recipe says without what is wrong with it.

    Parameters
    ----------
    stated
        As ``tomllib`` reads it; stays as it is.
    """
    sound: dict[str, Any] = copy.deepcopy(dict(stated))
    for shorter in (None, -1):  # what is wrong; then what still lacks something
        for one in list(findings_of(sound)):
            _remove(sound, [part for part in re.split(r"[.\[\]]", one.where) if part][:shorter])
    sound["references"] = [one for one in sound.get("references", ()) if one is not None]
    wrong = {one.where.split(".")[0].split("[")[0] for one in findings_of(sound)}
    return {key: value for key, value in sound.items() if key not in wrong}


def _remove(sound: Any, way: Sequence[str]) -> None:
    """Remove what lies at the end of a way, as far as it is there."""
    if not way:
        return
    for part in way[:-1]:
        sound = sound[int(part)] if isinstance(sound, list) else sound.get(part)
        if sound is None:
            return
    if isinstance(sound, dict):
        sound.pop(way[-1], None)
    elif isinstance(sound, list):
        sound[int(way[-1])] = None
