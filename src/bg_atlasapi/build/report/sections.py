"""The sections of the page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bg_atlasapi.build.png import data_url
from bg_atlasapi.build.report.gallery import Stamp
from bg_atlasapi.build.report.markup import Content, Markup, element
from bg_atlasapi.build.report.planes import NAMES, Slice
from bg_atlasapi.build.validation.catalogue import KINDS
from bg_atlasapi.build.validation.findings import Findings
from bg_atlasapi.build.validation.subject import Checked
from bg_atlasapi.model.space import LEFT, RIGHT
from bg_atlasapi.query.region_pass import with_descendants

_FIRST, _MOST = 4, 100  # of one code, shown at once and after unfolding
_ROWS = 4000  # of the region table
_UM3_PER_MM3 = 1e9
_LONGEST = 2000  # characters of a value
_ADDRESS = re.compile(r"(https?://[^\s<>\"']+[^\s<>\"'.,;)])")
_BARS_MM = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


def section(identifier: str, title: str, *content: Content) -> Markup:
    """Return a section with a heading."""
    heading = element("h2", title, id=identifier)
    return element("section", heading, *content, aria_labelledby=identifier)


def slices(large: Sequence[Slice], small: Sequence[tuple[str, int, bytes]]) -> Markup:
    """Return the section of slices."""
    sliders = [
        element(
            "label",
            f"{name.capitalize()} ",
            element("input", type="range", name=name, min=0, max=100, value=value),
        )
        for name, value in (("regions", 45), ("outlines", 55))
    ]
    strip = [
        element(
            "figure",
            element("img", src=data_url(png), alt=f"{plane.capitalize()} plane {index}"),
            element("figcaption", str(index)),
        )
        for plane, index, png in small
    ]
    names = sorted({plane for plane, _, _ in small})
    return section(
        "slices",
        "Slices",
        element("p", "The template, in the colours of the regions and with their outlines. "
                "Letters at the edges say which side is which.", class_="soft"),
        element("div", sliders, class_="sliders", hidden=True, data_script=True),
        element("div", [_slice(one) for one in large], class_="planes"),
        element("div", strip, class_="strip", tabindex=0, role="group",
                aria_label=f"{', '.join(names)} planes through the volume"),
    )  # fmt: skip


def _slice(one: Slice) -> Markup:
    width, height = one.extent_um
    letters = one.view.letters
    edges = [element("span", letter, class_=f"edge {side}") for side, letter in letters.items()]
    told = ", ".join(f"{side} {NAMES[letter.lower()]}" for side, letter in letters.items())
    alt = f"{one.view.plane.capitalize()} slice of the template: {told}"
    layers = [
        element("img", src=data_url(one.template), alt=alt),
        element("img", src=data_url(one.regions), alt="", class_="regions"),
        element("img", src=data_url(one.outlines), alt="", class_="outlines"),
        _bar(width),
    ]
    shape = f"aspect-ratio: {width:.6g} / {height:.6g}"
    return element(
        "figure",
        element("div", element("div", layers, class_="layers", style=shape), edges, class_="slice"),
        element(
            "figcaption",
            element("b", one.view.plane.capitalize()),
            f" plane {one.index} of axis {one.view.across}, {one.place_um / 1000:.4g} mm; ",
            f"{one.labels} labels",
        ),
        style=f"--wide: {width / height:.4g}",
    )


def _bar(width_um: float) -> Markup:
    length = max((one for one in _BARS_MM if one * 1000 <= width_um / 4), default=None)
    if length is None:
        return Markup()
    share = length * 1000 / width_um
    return element("span", f"{length:g} mm", class_="scale", style=f"width: {share:.2%}")


def orientation(checked: Checked) -> Markup:
    """Return the section that says which way is up."""
    space = checked.space
    opposite = {"a": "p", "p": "a", "s": "i", "i": "s", "l": "r", "r": "l"}
    rows = [
        element(
            "tr",
            element("td", str(axis), class_="number"),
            element("td", NAMES[letter]),
            element("td", NAMES[opposite[letter]]),
            element("td", f"{length:,}", class_="number"),
            element("td", f"{size:g}", class_="number"),
            element("td", f"{length * size / 1000:.4g}", class_="number"),
        )
        for axis, (letter, length, size) in enumerate(
            zip(space.orientation, space.shape, space.spacing_um, strict=True)
        )
    ]
    heads = ("axis", "index 0 is", "the last is", "voxels", "µm", "mm")
    head = [
        element("th", name, scope="col", class_=None if place in {1, 2} else "number")
        for place, name in enumerate(heads)
    ]
    table = element(
        "table",
        element("thead", element("tr", head)),
        element("tbody", rows),
    )
    by_eye = (
        "To check by eye: in the coronal slice the top of the brain is up, and L is its own left; "
        "in the sagittal slice the nose is at A and the cerebellum at P; in the horizontal slice "
        "the nose is up. If a picture looks upside down, the orientation is wrong."
    )
    return section(
        "orientation",
        "Orientation",
        element("p", by_eye, class_="soft"),
        element("div", table, class_="scroll"),
    )


def regions(checked: Checked) -> Markup:
    """Return the section with a row for each region."""
    tree, total = checked.terminology, checked.total
    voxel_mm3 = float(space_product(checked)) / _UM3_PER_MM3
    sides = with_descendants(checked.sums.voxels, tree.last)
    largest = max(int(total[1 : len(tree) + 1].max(initial=0)), 1)
    rows = [
        _region(checked, code, sides[:, code].tolist(), voxel_mm3, largest)
        for code in range(1, min(len(tree), _ROWS) + 1)
    ]
    heads = (("acronym", ""), ("name", ""), ("id", "number wide"), ("voxels", "number wide"),
             ("mm³", "number"), ("left", "number wide"))  # fmt: skip
    head = [
        element("th", element("button", name, type="button"), scope="col", class_=kind or None)
        for name, kind in heads
    ]
    more = f" The first {_ROWS:,} are listed." if len(tree) > _ROWS else ""
    alive = int((total[1 : len(tree) + 1] > 0).sum())
    told = f"{len(tree):,} structures, {alive:,} of them with voxels; each with all below it.{more}"
    search = element(
        "label",
        element("input", type="search", id="region-search", placeholder="Search regions",
                aria_label="Search regions by acronym, name or id"),
    )  # fmt: skip
    count = element("span", class_="soft", id="region-count", role="status")
    table = element(
        "table", element("thead", element("tr", head)), element("tbody", rows), id="region-rows"
    )
    return section(
        "regions",
        "Regions",
        element("p", told, class_="soft"),
        element("div", search, count, class_="tools", hidden=True, data_script=True),
        element("div", table, class_="scroll regions-table", tabindex=0, role="region",
                aria_label="Regions and their volumes"),
    )  # fmt: skip


def _region(
    checked: Checked, code: int, sides: Sequence[int], voxel_mm3: float, largest: int
) -> Markup:
    tree, voxels = checked.terminology, int(checked.total[code])
    red, green, blue = (int(one) for one in tree.colours[code])
    depth = min(int(tree.depths[code]), 12)
    swatch = element("span", class_="swatch", style=f"background: rgb({red} {green} {blue})")
    both = sides[LEFT] + sides[RIGHT]
    left = sides[LEFT] / both if both else None
    cells: list[tuple[Content, dict[str, object]]] = [
        ([swatch, tree.acronyms[code]],
         {"class_": "acronym", "style": f"--depth: {depth}"}),
        (tree.names[code], {"class_": "region-name"}),
        (int(tree.ids[code]), {"class_": "number wide", "data_value": tree.ids[code]}),
        (f"{voxels:,}", {"class_": "number wide", "data_value": voxels}),
        (f"{voxels * voxel_mm3:.4g}" if voxels else "–",
         {"class_": "number volume", "data_value": voxels,
          "style": f"--share: {voxels / largest:.1%}"}),
        ("–" if left is None else f"{left:.1%}",
         {"class_": "number wide", "data_value": -1 if left is None else f"{left:.4f}"}),
    ]  # fmt: skip
    row = [element("td", content, **attributes) for content, attributes in cells]
    return element("tr", row, class_=None if voxels else "empty")


def space_product(checked: Checked) -> float:
    """Return the volume of a voxel, µm³."""
    first, second, third = checked.space.spacing_um
    return first * second * third


def findings_of(findings: Findings) -> Markup:
    """Return the section of findings."""
    if not findings:
        return section("findings", "Findings", element("p", "Nothing was found."))
    cards = []
    for code, count in findings.counts().items():
        some = findings.select(code=code)
        kind = KINDS.get(code)
        messages = [element("li", one.message) for one in some]
        rest = messages[_FIRST:_MOST]
        unfolded = None
        if rest:
            left = count - _MOST
            last = [element("li", f"and {left:,} more")] if left > 0 else []
            unfolded = element(
                "details",
                element("summary", f"{count - _FIRST:,} more"),
                element("ul", rest, last),
            )
        cards.append(
            element(
                "article",
                element(
                    "h3",
                    element("span", some[0].severity, class_=f"badge {_class(some[0].severity)}"),
                    element("code", code),
                    element("span", f"{count:,} times", class_="count") if count > 1 else None,
                ),
                element("p", kind.meaning) if kind else None,
                element("ul", messages[:_FIRST]),
                unfolded,
                element("p", f"→ {some[0].mend}", class_="mend") if some[0].mend else None,
                class_="finding",
            )
        )
    summary = f"{findings.summary()}. An error must be mended; a warning is likely not as it was "
    summary += "meant; a note is worth knowing."
    return section("findings", "Findings", element("p", summary, class_="soft"), cards)


def _class(severity: str) -> str:
    return severity if severity in {"error", "warning", "note"} else "note"


def meshes(checked: Checked, pictures: Iterable[tuple[str, Stamp]]) -> Markup:
    """Return the section of meshes."""
    parts: dict[str, list[Markup]] = {"whole": [], "parts": [], "faults": []}
    for part, stamp in pictures:
        parts[part].append(_figure(checked, stamp, whole=part == "whole"))
    if not any(parts.values()):
        return section("meshes", "Meshes", element("p", "No mesh could be read.", class_="soft"))
    told = "Seen from the left, the front and above; the brain's own surface is clear."
    faults: list[Content] = []
    if parts["faults"]:
        faults = [
            element("h3", "Meshes with findings"),
            element("div", parts["faults"], class_="stamps"),
        ]
    stamps = element("div", element("div", parts["parts"], class_="stamps"), faults)
    whole = element("div", parts["whole"], class_="whole") if parts["whole"] else None
    body = element("div", whole, stamps, class_="meshes") if whole else stamps
    return section("meshes", "Meshes", element("p", told, class_="soft"), body)


def _figure(checked: Checked, stamp: Stamp, *, whole: bool) -> Markup:
    tree = checked.terminology
    width, height = stamp.size
    name = tree.names[stamp.code]
    picture = element(
        "img", src=data_url(stamp.png), alt=f"Mesh of {name}", width=width, height=height
    )
    size = f"{stamp.triangles:,} triangles"
    acronym = tree.acronyms[stamp.code]
    longer = f" {name}" if whole and name != acronym else None
    caption = [element("b", acronym), longer, element("br"), size]
    return element("figure", picture, element("figcaption", caption), title=name)


def provenance(stated: Mapping[str, Any]) -> Markup:
    """Return the section that says where all this comes from."""
    return section("provenance", "Provenance", element("dl", list(_pairs(stated)), class_="pairs"))


def _pairs(stated: Mapping[str, Any], above: str = "") -> Iterator[Markup]:
    for key, value in stated.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and len(above) < 200:
            yield from _pairs(value, f"{name}: ")
        elif value not in (None, "", [], ()):
            yield element("dt", name)
            yield element("dd", _value(value))


def _value(value: Any) -> Content:
    if isinstance(value, list | tuple):
        value = ", ".join(str(one) for one in value)
    words = _ADDRESS.split(str(value)[:_LONGEST])
    return [  # every second is an address
        element("a", word, href=word, rel="noreferrer") if place % 2 else word
        for place, word in enumerate(words)
    ]
