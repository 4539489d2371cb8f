"""Open an atlas, whichever layout it has.

A reader loads when an atlas of its layout is opened.
"""

from __future__ import annotations

from pathlib import Path

from bg_atlasapi.formats import packaged
from bg_atlasapi.formats.checks import Check, no_check
from bg_atlasapi.model.atlas import Atlas

MANIFEST = "manifest.json"


def folder_of(path: Path) -> Path:
    """Return the folder of an atlas that was named by its folder or by its manifest."""
    return path.parent if path.name == MANIFEST else path


def open_atlas(path: Path, check: Check = no_check) -> Atlas:
    """Open an atlas.

    Parameters
    ----------
    path
        A package folder (v1, v2); or a ``manifest.json`` of the V3 component store, or the folder
        that holds one, ``<store>/atlases/<name>/<major>_<minor>``.
    check
        Asked about each file before it is first read.

    Raises
    ------
    IncompleteAtlasError
        If the folder or a file that every atlas has is missing.
    InvalidAtlasError
        If a file contradicts its format; carries every finding.
    """
    folder = folder_of(path)
    in_store = folder.parent.parent.name == "atlases"
    if folder != path or in_store or packaged.is_there(folder / MANIFEST):
        from bg_atlasapi.formats import components

        return components.open_components(folder, check)
    return packaged.open_package(folder, check)
