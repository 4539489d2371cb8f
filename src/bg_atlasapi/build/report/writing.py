"""Put the page together and write it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from bg_atlasapi.build.report import sections
from bg_atlasapi.build.report.gallery import stamps
from bg_atlasapi.build.report.markup import Content, Markup, element
from bg_atlasapi.build.report.planes import PLANES, Painter
from bg_atlasapi.build.validation.findings import Findings, of_error
from bg_atlasapi.build.validation.subject import Checked
from bg_atlasapi.errors import Finding, StorageError
from bg_atlasapi.model.atlas import Atlas
from bg_atlasapi.store.transfer.progress import Report, silent

# Through what is labelled: the sagittal one beside the midline, where there is something to see.
_PLACES = {"coronal": 0.5, "sagittal": 0.36, "horizontal": 0.5}
_STRIP = 8
_NAV = ("slices", "orientation", "findings", "regions", "meshes", "provenance")
_SHOWN_METADATA = ("species", "citation", "license", "licence", "atlas_link")


def write_report(
    atlas: Atlas,
    path: Path,
    findings: Sequence[Finding],
    *,
    provenance: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    meshes: bool = True,
    report: Report = silent,
) -> Path:
    """Write one HTML page about an atlas.

    The same atlas and findings give the same bytes; nothing is fetched when it is opened.

    Parameters
    ----------
    atlas
        Its parts.
    path
        The file.
    findings
        Of ``validation``.
    provenance
        What to say of where it comes from: plain values, and mappings of them.
    folder
        Where the atlas lies; its name is the title.
    meshes
        Whether to show the meshes.
    report
        Told of what is being drawn.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    page = page_of(
        atlas, findings, provenance=provenance, folder=folder, meshes=meshes, report=report
    )
    try:
        path.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        message = f"The report {path} cannot be written: {error.strerror or error}."
        raise StorageError(message) from error
    return path


def page_of(
    atlas: Atlas,
    findings: Sequence[Finding],
    *,
    provenance: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    meshes: bool = True,
    report: Report = silent,
) -> str:
    """Return the page as text; see ``write_report``."""
    checked = Checked(atlas)
    known = Findings.of(findings)
    title = _title(atlas, folder)
    steps: list[tuple[str, Any]] = [
        ("slices", lambda: _slices(checked)),
        ("orientation", lambda: sections.orientation(checked)),
        ("findings", lambda: sections.findings_of(known)),
        ("regions", lambda: sections.regions(checked)),
    ]
    if meshes:
        steps.append(("meshes", lambda: sections.meshes(checked, stamps(checked, known))))
    steps.append(("provenance", lambda: sections.provenance(_stated(atlas, provenance))))
    made: dict[str, Markup] = {}
    for done, (name, make) in enumerate(steps):
        report("report", done, len(steps))
        try:
            made[name] = make()
        except Exception as error:  # noqa: BLE001 - a damaged volume must not hide the findings
            told = of_error(error)[0].message
            text = element("p", f"This cannot be shown. {told}", class_="soft")
            made[name] = sections.section(name, name.capitalize(), text)
    report("report", len(steps), len(steps))
    head = _header(checked, title, known, [name for name in _NAV if name in made])
    body = [head, element("main", [made[name] for name in _NAV if name in made]), _footer()]
    return _document(title, body)


def _document(title: str, body: Content) -> str:
    style, script = (
        files("bg_atlasapi.build.report").joinpath(name).read_text(encoding="utf-8")
        for name in ("page.css", "page.js")
    )
    # Only this very script may run, whatever a region is called; nothing may be fetched.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    policy += f"script-src 'sha256-{digest}'"
    head = [
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Markup(style)),
    ]
    page = element(
        "html",
        element("head", head),
        element("body", body, element("script", Markup(script))),
        lang="en",
    )
    return f"<!doctype html>\n{page}\n"


def _title(atlas: Atlas, folder: Path | None) -> str:
    name = str(atlas.metadata.get("name") or "atlas")
    if folder is not None:
        from bg_atlasapi.formats.exporting import identity

        try:
            name = identity(folder, atlas.metadata)[0]
        except Exception:  # noqa: BLE001 - a folder of any name; the metadata's will do
            name = str(atlas.metadata.get("name") or folder.name)
    return name


def _slices(checked: Checked) -> Markup:
    painter = Painter(checked)
    large = [painter.large(plane, _PLACES[plane]) for plane in PLANES]
    small = []
    for place in range(_STRIP):
        index, png = painter.small("coronal", (place + 0.5) / _STRIP)
        small.append(("coronal", index, png))
    return sections.slices(large, small)


def _header(checked: Checked, title: str, findings: Findings, parts: Sequence[str]) -> Markup:
    metadata, space = checked.atlas.metadata, checked.space
    sizes = list(dict.fromkeys(space.spacing_um))
    voxel = " × ".join(f"{one:g}" for one in (sizes if len(sizes) == 1 else space.spacing_um))
    try:
        alive = int((checked.total[1 : len(checked.terminology) + 1] > 0).sum())
        structures = f"{len(checked.terminology):,} ({alive:,} filled)"
        volume = f"{checked.labelled * sections.space_product(checked) / 1e9:.5g} mm³"
    except Exception:  # noqa: BLE001 - the annotation cannot be read; the findings say so
        structures, volume = f"{len(checked.terminology):,}", "unknown"
    facts = {
        "species": metadata.get("species") or "unknown",
        "voxels": " × ".join(str(one) for one in space.shape),
        "voxel size": f"{voxel} µm",
        "orientation": space.orientation,
        "structures": structures,
        "labelled": volume,
        "hemispheres": "stored" if checked.atlas.hemispheres is not None else "symmetric",
    }
    badges = [
        element(
            "span", f"{len(some):,} {name}{'s' if len(some) > 1 else ''}", class_=f"badge {name}"
        )
        for name in ("error", "warning", "note")
        if (some := findings.select(severity=name))
    ]
    if findings.ok:
        badges.insert(0, element("span", "✓ no errors", class_="badge good"))
    version = metadata.get("version")
    headline = [
        element("h1", title),
        element("span", f"version {version}", class_="version") if version else None,
        badges,
    ]
    pairs = [element("div", element("dt", key), element("dd", one)) for key, one in facts.items()]
    links = [element("a", name.capitalize(), href=f"#{name}") for name in parts]
    return element(
        "header",
        element(
            "div",
            element("div", headline, class_="headline"),
            element("dl", pairs, class_="facts"),
            element("nav", links, aria_label="Sections"),
        ),
    )


def _stated(atlas: Atlas, provenance: Mapping[str, Any] | None) -> dict[str, Any]:
    metadata = atlas.metadata
    stated = {key: metadata[key] for key in _SHOWN_METADATA if metadata.get(key)}
    rest = {
        key: value
        for key, value in metadata.items()
        if key not in _SHOWN_METADATA and isinstance(value, str | int | float | list)
        and not (isinstance(value, list) and any(isinstance(one, dict | list) for one in value))
    }  # fmt: skip
    return {**stated, **(provenance or {}), "metadata": rest}


def _footer() -> Markup:
    from importlib.metadata import PackageNotFoundError, version

    try:
        tool = f"bg-atlasapi {version('bg-atlasapi')}"
    except PackageNotFoundError:
        tool = "bg-atlasapi"
    return element("footer", element("div", f"Written by {tool}. Cite the atlas, and this tool."))
