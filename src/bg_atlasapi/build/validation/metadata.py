"""Checks of what an atlas says of itself: citation, licence, species, names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bg_atlasapi.build.validation.catalogue import found
from bg_atlasapi.errors import Finding

_SIZE = re.compile(r"_(\d+(?:\.\d+)?)(nm|um|mm)$")
_UM = {"nm": 1e-3, "um": 1.0, "mm": 1e3}
_PACKAGE = re.compile(r"(?P<name>.+)_v(?P<version>\d+\.\d+)")
_NOTHING = {"", "unknown", "none", "n/a", "na", "todo", "tbd", "unspecified"}
_WANTED = (
    ("citation-missing", ("citation",), "how to cite the atlas"),
    ("licence-missing", ("license", "licence"), "under which licence it may be used"),
    ("species-missing", ("species",), "of which species the brain is"),
)


def check_metadata(
    metadata: Mapping[str, Any], spacing_um: tuple[float, ...], folder: Path | None = None
) -> Iterator[Finding]:
    """Yield what is missing from metadata, or contradicts the folder's name.

    Parameters
    ----------
    metadata
        As published.
    spacing_um
        Voxel size.
    folder
        Of the atlas, if it lies in one.
    """
    for code, keys, what in _WANTED:
        texts = [str(metadata.get(key) or "").strip().lower() for key in keys]
        if all(text in _NOTHING for text in texts):
            yield found(code, f"The metadata do not say {what}.", keys[0])
    match = _PACKAGE.fullmatch(folder.name) if folder else None
    names = [str(metadata.get("name") or "")]
    if match:
        names.append(match["name"])
        stated = str(metadata.get("version") or "")
        if stated and stated != match["version"]:
            text = f"The folder is of version {match['version']}, the metadata say {stated}."
            yield found("name-mismatch", text, "version")
        if names[0] and not f"{match['name']}_".startswith(f"{names[0]}_"):
            text = f"The folder is that of {match['name']}, the metadata say {names[0]}."
            yield found("name-mismatch", text, "name")
    for name in names:
        size = _SIZE.search(name)
        um = float(size[1]) * _UM[size[2]] if size else None
        if um is not None and not any(abs(one - um) <= 0.05 * um for one in spacing_um):
            shown = " × ".join(f"{one:g}" for one in spacing_um)
            text = f"The name {name} says {um:g} µm, the metadata {shown} µm."
            yield found("resolution-mismatch", text, "resolution")
