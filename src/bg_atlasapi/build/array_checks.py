"""What people hand over as an atlas of arrays: taken as it is meant, or refused with every reason.

Whatever would stop a build from files stops an atlas of arrays. Putting the atlas together is the
business of ``arrays``. Nothing that is handed over is changed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from bg_atlasapi.build import arrays, recipe_schema
from bg_atlasapi.build.arrays import WHERE, Parts
from bg_atlasapi.build.validation import catalogue
from bg_atlasapi.build.validation.labels import count_labels, labels_against
from bg_atlasapi.build.validation.sides import check_stored
from bg_atlasapi.build.validation.subject import Checked
from bg_atlasapi.build.validation.tables import check_structures
from bg_atlasapi.build.validation.template import check_not_empty
from bg_atlasapi.errors import Finding, InvalidAtlasError, InvalidInputError
from bg_atlasapi.late import np
from bg_atlasapi.model.atlas import Atlas
from bg_atlasapi.model.preorder import MAX_ID

_TAKEN = ("annotation", "reference", "template", "hemispheres")


def checked_atlas(parts: Parts, accept: Collection[str] = ()) -> Atlas:
    """Put an atlas of arrays together, if it is sound.

    Parameters
    ----------
    parts
        As people gave them; volumes are anything that ``numpy.asarray`` takes.
    accept
        Codes of findings that do not matter.

    Raises
    ------
    InvalidAtlasError
        With every error.
    InvalidInputError
        If a code that is accepted is none.
    TypeError
        If further images are no dictionary.
    """
    for code in accept:
        if code not in catalogue.KINDS:
            raise InvalidInputError(f"There is no finding of the code {code!r} to accept.")
    further: object = parts.references
    if not isinstance(further, Mapping):
        message = "references= takes a dictionary of images by name, "
        raise TypeError(f"{message}got {type(further).__name__}.")
    findings = [*_of_words(parts)]
    parts = replace(
        parts,
        annotation=_taken("annotation", parts.annotation, findings),
        reference=_optional("reference", parts.reference, findings),
        hemispheres=_optional("hemispheres", parts.hemispheres, findings),
        references={key: _taken(str(key), one, findings) for key, one in parts.references.items()},
    )
    findings += arrays.misfits_of(parts)
    entries: list[dict[str, Any]] = []
    try:
        entries = arrays.entries_of(parts.structures)
        table = [*_of_texts(entries), *check_structures(entries)]
    except InvalidAtlasError as error:
        table = list(error.findings)
    findings += table
    if not findings or not _errors([one for one in findings if one not in table], ()):
        findings += _of_labels(entries, parts.annotation)
    _raise(_errors(findings, accept))
    atlas = arrays.atlas_of(replace(parts, structures=entries))
    checked = Checked(atlas)
    told = [*check_stored(checked)]
    told += check_not_empty(checked) if parts.reference is not None else []
    _raise(_errors(told, accept))
    return atlas


def _errors(findings: Collection[Finding], accept: Collection[str]) -> list[Finding]:
    return [one for one in findings if one.severity == "error" and one.code not in accept]


def _raise(errors: list[Finding]) -> None:
    if errors:
        raise InvalidAtlasError(WHERE, errors)


def _of_words(parts: Parts) -> Iterator[Finding]:
    """Yield names and versions that no file could carry."""
    pattern = re.compile(recipe_schema.NAME)
    named = {"name": parts.metadata.get("name")}
    named |= {f"references[{key!r}]": key for key in parts.references}
    for where, one in named.items():
        if not isinstance(one, str) or not pattern.match(one):
            shown = repr(one)[:60]
            text = "A name must be of letters, digits, '_', '-', '+' and '.', at most 100 of them, "
            text += f"got {shown}."
            yield catalogue.found("metadata-value", text, where)
        elif where != "name" and one in _TAKEN:
            text = f"A further reference cannot be called {one!r}: another volume is."
            yield catalogue.found("volume-named-twice", text, where)
    version = parts.metadata.get("version")
    if not isinstance(version, str) or not re.match(recipe_schema.VERSION, version):
        text = f"The version must be like '1.0', got {version!r}."
        yield catalogue.found("metadata-value", text, "version")


def _of_texts(entries: list[dict[str, Any]]) -> Iterator[Finding]:
    """Yield acronyms and names that are no texts."""
    for position, entry in enumerate(entries):
        for key in ("acronym", "name"):
            if not isinstance(entry[key], str | int | float):
                text = f"The {key} of entry {position} must be a text, got {entry[key]!r}."
                yield catalogue.found("structure-entry", text[:300], f"entry {position}")


def _optional(name: str, volume: Any, findings: list[Finding]) -> Any:
    return None if volume is None else _taken(name, volume, findings)


def _taken(name: str, volume: Any, findings: list[Finding]) -> Any:
    """Return a volume as an array; what numpy makes none of stays, and is refused later."""
    if hasattr(volume, "slabs"):  # a VolumeSource, which is read as needed
        return volume
    if isinstance(volume, np.ma.MaskedArray):
        return volume.filled(0)
    try:
        return np.asarray(volume)
    except (ValueError, TypeError) as error:
        text = f"The {name} is no array of numbers: {error}."
        findings.append(catalogue.found("volume-type", text, name))
        return np.empty((), object)


def _of_labels(entries: list[dict[str, Any]], volume: Any) -> Iterator[Finding]:
    """Yield labels that no id can be, and those that the structures lack."""
    counts = count_labels(volume)
    unfit = {label: count for label, count in counts.items() if not 0 <= label <= MAX_ID}
    for label, count in unfit.items():
        voxels = f"{count:,} voxel{'s' if count != 1 else ''}"
        text = f"The annotation holds the label {label} ({voxels}); ids are 0 to {MAX_ID}."
        yield catalogue.found("labels-out-of-range", text, "annotation")
        del counts[label]
    if entries:
        yield from labels_against(entries, counts)
