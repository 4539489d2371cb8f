"""What a notebook shows of an atlas: small pictures, the facts, how to cite it. Plain HTML."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from typing import Any

from bg_atlasapi.view.thumbnails import png_of, thumbnails_of

_LINKS = ("https://", "http://")


def html_of(atlas: Any, title: str) -> str:
    """Return an atlas as HTML.

    Parameters
    ----------
    atlas
        The atlas.
    title
        Its name.

    Returns
    -------
    str
        One ``div``, without scripts or style sheets; whatever the atlas's files hold is escaped.
    """
    pictures = "".join(
        f'<figure style="margin:0 1em 0 0;display:inline-block">'
        f'<img alt="{escape(one.title)}" src="data:image/png;base64,'
        f'{base64.b64encode(png_of(one.pixels)).decode("ascii")}">'
        f'<figcaption style="font-size:smaller;opacity:.7">{escape(one.title)}</figcaption>'
        "</figure>"
        for one in thumbnails_of(atlas)
    )
    rows = "".join(
        f'<tr><th style="text-align:left;vertical-align:top">{escape(label)}</th>'
        f'<td style="text-align:left">{value}</td></tr>'
        for label, value in _facts(atlas)
    )
    return f"<div><strong>{escape(title)}</strong><div>{pictures}</div><table>{rows}</table></div>"


def _facts(atlas: Any) -> list[tuple[str, str]]:
    metadata: Mapping[str, Any] = atlas.metadata
    sizes = [float(one) for one in atlas.resolution]
    shape = [int(one) for one in atlas.shape]
    facts: list[tuple[str, Any]] = [
        ("species", metadata.get("species")),
        ("version", metadata.get("version")),
        ("voxels", " × ".join(map(str, shape))),
        ("voxel size", f"{' × '.join(f'{one:g}' for one in sizes)} µm"),
        (
            "extent",
            " × ".join(f"{n * s / 1000:g}" for n, s in zip(shape, sizes, strict=True)) + " mm",
        ),
        ("orientation", atlas.orientation),
        ("structures", len(atlas.structures.terminology)),
        ("further images", ", ".join(map(str, metadata.get("additional_references") or []))),
        ("licence", metadata.get("license") or metadata.get("licence")),
        ("citation", metadata.get("citation")),
        ("link", metadata.get("atlas_link")),
    ]
    return [(label, _cell(value)) for label, value in facts if value not in (None, "")]


def _cell(value: Any) -> str:
    text = escape(str(value))
    if not str(value).startswith(_LINKS) or any(one.isspace() for one in str(value)):
        return text
    return f'<a href="{text}" rel="noopener noreferrer">{text}</a>'
