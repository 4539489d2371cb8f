"""Write the index of published atlases that ships in the wheel, from the table beside this file.

What it is for: ``list`` and "unknown atlas, did you mean" work without a network. The table
``published_atlases.tsv`` is the source of truth and what people edit; this file checks it and
writes ``src/bg_atlasapi/data/published_atlases.json``, one line an atlas, sorted by name.

What it is not: an answer to "is there something newer?". Only a remote knows that; a version here
is the newest one a source of the table names, and sources age.

Columns of the table (tab-separated; a line that starts with ``#`` is a remark):

name
    Name with resolution, as it is asked for: ``allen_mouse_25um``.
species
    Latin name, genus and species.
resolution
    Voxel size in µm: one number when all three axes agree, otherwise three, in the order of the
    axes of the packaged volume. The name states the first one, possibly rounded.
packages, components
    The two places atlases are fetched from: whole archives on GIN (layout of 1.x and 2.x) and the
    store of versioned components (layout of 3.x). A version such as ``1.2``; ``?`` when the atlas
    is listed as there but its version is not known; empty when no source lists it there.
citation
    Short form, ``Authors year, https://doi.org/...``; more than one joined by ``; ``; the bare DOI
    when the atlas states no authors; ``unpublished``; or empty when not known.
atlas_link
    Home page of the data, or empty when none is stated.

A fact that no source states stays empty: nothing in the table is a guess.

Usage::

    python tools/make_published.py             # writes the index
    python tools/make_published.py --check     # writes nothing, exits with 1 if it is out of date
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from pathlib import Path
from typing import Any, Final, TypeAlias

Row: TypeAlias = dict[str, str]

TABLE: Final = Path(__file__).resolve().with_name("published_atlases.tsv")
INDEX: Final = TABLE.parents[1] / "src" / "bg_atlasapi" / "data" / "published_atlases.json"
COLUMNS: Final = (
    "name",
    "species",
    "resolution",
    "packages",
    "components",
    "citation",
    "atlas_link",
)
STORES: Final = ("packages", "components")
UNKNOWN_VERSION: Final = "?"

HEADER: Final[dict[str, Any]] = {
    "what": (
        "Facts of the published BrainGlobe atlases, for listing and for suggesting names without"
        " a network. Made by tools/make_published.py from tools/published_atlases.tsv."
    ),
    "date": "2026-11-22",
    "stores": {
        "packages": "https://gin.g-node.org/brainglobe/atlases",
        "components": "https://brainglobe.s3.us-west-2.amazonaws.com/atlas",
    },
    "fields": {
        "resolution": "voxel size in µm; three numbers when the axes differ",
        "stores": "where the atlas is listed; that a store is not named does not prove its absence",
        "versions": "newest version the sources name, by store; the remote may have a newer one",
        "citation": "null when not known",
        "atlas_link": "null when none is stated",
    },
    "sources": {
        "names": "atlas_name.py of brainglobe-atlasapi 3.0.2 (components) and 2.3.1 (packages);"
        " brainglobe-atlasapi#889 for ccfv2_* (packages)",
        "versions": "packages: the copy of last_versions.conf in github.com/Gunnzzz-tech/NeuroAtlas"
        " at 9c65ffc; components: packaging script and brainglobe-atlasapi#939 for danionella",
        "facts": "the packaging scripts of github.com/brainglobe/brainglobe-atlasapi, atlas_scripts"
        " (formerly brainglobe_atlasapi/atlas_generation/atlas_scripts)",
        "citations": "the packaging scripts; author and year also from the page of atlas details of"
        " brainglobe.info; README of brainglobe-atlasapi 3.0.2 for carea_mouse and"
        " eurasian_blackcap, whose scripts precede their papers",
    },
}

_NUMBER: Final = r"\d+(?:\.\d+)?"
_DOI: Final = r"https://doi\.org/10\.\d{4,9}/[^\s;,]+"
_NAME: Final = re.compile(rf"[a-z0-9]+(?:[_-][a-z0-9]+)*_(?P<um>{_NUMBER})um")
_RESOLUTION: Final = re.compile(rf"{_NUMBER}(?: {_NUMBER} {_NUMBER})?")
_SPECIES: Final = re.compile(r"[A-Z][a-z]+ [a-z]+")
_VERSION: Final = re.compile(r"\d+\.\d+|\?|")
_CITATION: Final = re.compile(rf"unpublished|(?:[^,;]+ \d{{4}}, )?{_DOI}|")
_LINK: Final = re.compile(r"https?://\S+|")


def read_table(path: Path = TABLE) -> list[Row]:
    """Return the rows of the table, remarks left out, as text by column.

    Raises
    ------
    ValueError
        If the columns are not those documented above.
    """
    text = path.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    header, *rows = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    if tuple(header) != COLUMNS:
        message = f"{path.name} has the columns {header}, expected {list(COLUMNS)}"
        raise ValueError(message)
    short = [row for row in rows if len(row) != len(COLUMNS)]
    if short:
        message = f"{path.name}: expected {len(COLUMNS)} columns in {short}"
        raise ValueError(message)
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def problems(rows: list[Row]) -> list[str]:
    """Return everything that is wrong with the table, a sentence each; nothing if it is fine."""
    names = [row["name"] for row in rows]
    found = [
        f"{name}: named more than once" for name in sorted({n for n in names if names.count(n) > 1})
    ]
    if names != sorted(names):
        found.append("the rows are not sorted by name")
    return found + [f"{row['name']}: {what}" for row in rows for what in _problems_of(row)]


def _problems_of(row: Row) -> list[str]:
    """Return what is wrong with one row."""
    forms = {
        "name": _NAME,
        "species": _SPECIES,
        "resolution": _RESOLUTION,
        "packages": _VERSION,
        "components": _VERSION,
        "atlas_link": _LINK,
    }
    found = [
        f"{column} {row[column]!r} is not of the form {form.pattern}"
        for column, form in forms.items()
        if not form.fullmatch(row[column])
    ]
    found += [
        f"citation {part!r} is neither 'Authors year, DOI', a DOI nor 'unpublished'"
        for part in row["citation"].split("; ")
        if not _CITATION.fullmatch(part)
    ]
    if not any(row[store] for store in STORES):
        found.append("is in no store, so it is not published")
    if not found and not _agree(row["name"], row["resolution"]):
        found.append(f"its name does not state the resolution {row['resolution']!r}")
    return found


def _agree(name: str, resolution: str) -> bool:
    """Say whether `name` states the first number of `resolution`, to the digits the name has."""
    match = _NAME.fullmatch(name)
    stated = match["um"] if match else ""
    digits = len(stated.partition(".")[2])
    return f"{float(resolution.split(maxsplit=1)[0]):.{digits}f}" == stated


def entry(row: Row) -> dict[str, Any]:
    """Return one atlas as it stands in the index."""
    sizes = [float(text) if "." in text else int(text) for text in row["resolution"].split()]
    return {
        "name": row["name"],
        "species": row["species"],
        "resolution": sizes[0] if len(sizes) == 1 else sizes,
        "stores": [store for store in STORES if row[store]],
        "versions": {s: row[s] for s in STORES if row[s] not in ("", UNKNOWN_VERSION)},
        "citation": row["citation"] or None,
        "atlas_link": row["atlas_link"] or None,
    }


def index_text(rows: list[Row]) -> str:
    """Return the contents of the index: the header, then one line an atlas.

    Raises
    ------
    ValueError
        With every problem of the table, if it has any.
    """
    found = problems(rows)
    if found:
        raise ValueError("\n".join([f"{TABLE.name}:", *found]))
    header = json.dumps(HEADER, ensure_ascii=False, indent=1)
    lines = ",\n".join(json.dumps(entry(row), ensure_ascii=False) for row in rows)
    return f'{{"about": {header},\n"atlases": [\n{lines}\n]}}\n'


def main() -> int:
    """Command line: write the index, or say whether the one that is there is up to date."""
    parser = argparse.ArgumentParser(description="Write the index of published atlases.")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    text = index_text(read_table())
    if parser.parse_args().check:
        fresh = INDEX.is_file() and INDEX.read_text(encoding="utf-8") == text
        print(
            f"{INDEX.name} is {'up to date' if fresh else 'out of date: run this without --check'}"
        )
        return 0 if fresh else 1
    INDEX.write_text(text, encoding="utf-8", newline="\n")
    print(f"wrote {text.count(chr(10) + '{')} atlases to {INDEX.name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
