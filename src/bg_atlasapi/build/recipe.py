"""A recipe: one small TOML file that says what an atlas is made from.

``read_recipe`` reads one and reports everything that is wrong with it at once, before anything
heavy; ``check`` also looks at the headers of its files. What keys there are is in
``recipe_schema``. Building is ``pipeline``'s business.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bg_atlasapi import settings
from bg_atlasapi.build.recipe_schema import SYMMETRIC, UNLISTED, findings_of, pruned
from bg_atlasapi.build.validation import catalogue
from bg_atlasapi.errors import Finding, InvalidInputError, InvalidRecipeError

Triplet = tuple[float, float, float]
_LINE = re.compile(r"\(at line (\d+), column \d+\)|\(at end of document\)")
_HEADER = re.compile(r"^\s*\[+\s*([\w.\-\"' ]+?)\s*\]+")
_KEY = re.compile(r"^\s*[\"']?([\w-]+)[\"']?\s*(?:=|\.)")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that an atlas is made from.

    Parameters
    ----------
    key
        Where the recipe names it, for example ``"annotation"``.
    path
        Where it lies, absolute; None for one that is to be downloaded.
    url
        Where it is downloaded from.
    sha256
        Of its content; None where the recipe does not say.
    stated
        As the recipe spells path or address.
    """

    key: str
    path: Path | None
    url: str | None
    sha256: str | None
    stated: str


@dataclass(frozen=True, slots=True)
class VolumeRecipe:
    """A volume in a file.

    Parameters
    ----------
    name
        ``"annotation"``, ``"template"``, ``"hemispheres"``, or of a further reference.
    source
        The file.
    orientation
        Side of index 0 of each axis, instead of what the header says.
    resolution_um
        Voxel size along each axis of the file, µm, instead of what the header says.
    """

    name: str
    source: SourceFile
    orientation: str | None = None
    resolution_um: Triplet | None = None


@dataclass(frozen=True, slots=True)
class TableRecipe:
    """The file that lists the structures.

    Parameters
    ----------
    source
        The file.
    kind
        Of table; None to see by its content.
    columns
        Names of the columns of a plain CSV, by what they hold.
    """

    source: SourceFile
    kind: str | None = None
    columns: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class MeshRecipe:
    """How meshes are made.

    Parameters
    ----------
    build
        Whether.
    tolerance_um
        Error of simplification; None for half a voxel.
    smooth
        Whether to smooth.
    hemispheres
        Whether each structure gets a mesh of its left and of its right besides.
    """

    build: bool = True
    tolerance_um: float | None = None
    smooth: bool = True
    hemispheres: bool = False


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an atlas is made from, and how.

    Parameters
    ----------
    file
        Where the recipe was read.
    name, version
        ``"allen_mouse"``, without resolution; ``"1.2"``.
    annotation, table
        Labels and structures.
    template, hemispheres
        None: an image of 0; computed, as the atlas is symmetric.
    references
        Further images.
    meshes
        How meshes are made.
    levels_um
        Coarser voxel sizes to store as well.
    unlisted
        What becomes of labels that the table lacks: ``"refuse"``, ``"add"``, ``"zero"``.
    accept
        Codes of findings that do not stop the build.
    custom
        Whether nobody else publishes the atlas.
    species, citation, doi, licence, link, packager
        Empty where the recipe does not say.
    findings
        Warnings of its reader.
    """

    file: Path
    name: str
    version: str
    annotation: VolumeRecipe
    table: TableRecipe
    template: VolumeRecipe | None = None
    hemispheres: VolumeRecipe | None = None
    references: tuple[VolumeRecipe, ...] = ()
    meshes: MeshRecipe = MeshRecipe()
    levels_um: tuple[Triplet, ...] = ()
    unlisted: str = UNLISTED[0]
    accept: tuple[str, ...] = ()
    custom: bool = True
    species: str = ""
    citation: str = ""
    doi: str = ""
    licence: str = ""
    link: str = ""
    packager: str = ""
    findings: tuple[Finding, ...] = ()

    @property
    def volumes(self) -> tuple[VolumeRecipe, ...]:
        """All volumes, the annotation first."""
        optional = (self.annotation, self.template, self.hemispheres, *self.references)
        return tuple(one for one in optional if one is not None)

    @property
    def sources(self) -> tuple[SourceFile, ...]:
        """All files."""
        return (*(one.source for one in self.volumes), self.table.source)

    @property
    def full_citation(self) -> str:
        """The citation with the DOI, as published atlases have it."""
        if not self.doi or self.doi.lower() in self.citation.lower():
            return self.citation
        address = f"https://doi.org/{self.doi}"
        return f"{self.citation.rstrip('. ')}, {address}" if self.citation else address


def read_recipe(path: str | Path, sources: str | Path | None = None) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    path
        The TOML file.
    sources
        Folder that relative paths start from; default that of the recipe.

    Raises
    ------
    InvalidInputError
        If there is no such file.
    InvalidRecipeError
        With every finding: syntax, unknown and missing keys, wrong values.
    """
    path, text, stated, findings = _parsed(path)
    if any(one.severity == "error" for one in findings):
        raise InvalidRecipeError(path, placed(findings, text, path.name))
    return _recipe(path, _folder(path, sources), stated)


def read_partly(
    path: str | Path, sources: str | Path | None = None
) -> tuple[Recipe | None, list[Finding]]:
    """Read what can be read of a recipe, for everything that is wrong to be said at once.

    Parameters
    ----------
    path, sources
        As of ``read_recipe``.

    Returns
    -------
    Recipe or None, list of Finding
        What is wrong left out; None if too little is left. What is wrong.

    Raises
    ------
    InvalidInputError, InvalidRecipeError
        If it cannot be read, or is not TOML.
    """
    path, _, stated, findings = _parsed(path)
    sound = pruned(stated) if findings else stated
    if {"annotation", "table"} <= set(sound):
        whole = {"name": "unnamed", "version": "0.0", **sound}
        return _recipe(path, _folder(path, sources), whole), findings
    return None, findings


def _folder(path: Path, sources: str | Path | None) -> Path:
    return path.parent if sources is None else settings.expanded(sources).absolute()


def _parsed(path: str | Path) -> tuple[Path, str, dict[str, Any], list[Finding]]:
    """Return where a recipe lies, its text, what it says, and what is wrong with that."""
    path = settings.expanded(path).absolute()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        message = f"The recipe {path} cannot be read: {reason}."
        raise InvalidInputError(message) from error
    try:
        stated = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of too many digits is no TOML error
        raise InvalidRecipeError(path, [_syntax(error, path.name)]) from error
    return path, text, stated, [*findings_of(stated), *_twice(stated)]


def _syntax(error: Exception, name: str) -> Finding:
    reason = str(error)
    match = _LINE.search(reason)
    line = f":{match[1]}" if match and match[1] else ""
    reason = _LINE.sub("", reason).strip().rstrip(".") or "it is nested too deeply"
    text = f"It is not TOML: {reason}."
    return catalogue.found("recipe-syntax", text, f"{name}{line}", "")


def _twice(stated: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield names of references that occur twice, or are those of other volumes."""
    references = stated.get("references")
    taken = {"annotation", "template", "hemispheres", "reference"}
    for number, one in enumerate(references if isinstance(references, list) else ()):
        name = one.get("name") if isinstance(one, dict) else None
        if isinstance(name, str) and name in taken:
            text = f"Another volume is called {name!r} already."
            yield catalogue.found("volume-named-twice", text, f"references[{number}].name", "")
        taken.add(str(name))


def placed(findings: Sequence[Finding], text: str, name: str) -> list[Finding]:
    """Return findings with the line of the recipe that each is about, in the order of the file."""
    lines = _lines_of_keys(text)

    def line_of(where: str) -> int:
        while where and where not in lines:
            last = max(where.rfind("."), where.rfind("["), 0)
            where = where[:last]
        return lines.get(where, 0)

    found = []
    for one in findings:
        line = line_of(one.where)
        place = f"{name}:{line}" if line else name
        found.append(replace(one, where=f"{place}, {one.where}" if one.where else place))
    return in_order(found)


def in_order(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings with lines in the order of the file, then those without."""

    def line(finding: Finding) -> int:
        number = finding.where.partition(",")[0].rpartition(":")[2]
        return int(number) if number.isdecimal() else 1 << 30

    return sorted(findings, key=line)


def _lines_of_keys(text: str) -> dict[str, int]:
    """Return the line of each dotted key, as far as plain TOML shows it."""
    found: dict[str, int] = {}
    table, counts = "", dict[str, int]()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = header[1].replace('"', "").replace("'", "")
            if line.lstrip().startswith("[["):
                counts[table] = counts.get(table, -1) + 1
                table = f"{table}[{counts[table]}]"
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            found.setdefault(f"{table}.{key[1]}" if table else key[1], number)
    return found


def _recipe(path: Path, folder: Path, stated: Mapping[str, Any]) -> Recipe:
    """Make a recipe of what was found sound."""
    space = stated.get("space", {})

    def volume(name: str, one: Mapping[str, Any], key: str) -> VolumeRecipe:
        size = one.get("resolution_um", space.get("resolution_um"))
        orientation = one.get("orientation", space.get("orientation"))
        source = _source(key, one, folder)
        return VolumeRecipe(name, source, orientation, None if size is None else triplet(size))

    def optional(name: str) -> VolumeRecipe | None:
        one = stated.get(name, SYMMETRIC)
        return None if isinstance(one, str) else volume(name, one, name)

    table = stated["table"]
    references = enumerate(stated.get("references", ()))
    texts = ("species", "citation", "doi", "licence", "link", "packager")
    return Recipe(
        file=path,
        name=stated["name"],
        version=stated["version"],
        annotation=volume("annotation", stated["annotation"], "annotation"),
        table=TableRecipe(_source("table", table, folder), table.get("kind"), table.get("columns")),
        template=optional("template"),
        hemispheres=optional("hemispheres"),
        references=tuple(volume(one["name"], one, f"references[{n}]") for n, one in references),
        meshes=MeshRecipe(**stated.get("meshes", {})),
        levels_um=tuple(sorted(triplet(one) for one in space.get("levels_um", ()))),
        unlisted=stated["annotation"].get("unlisted", UNLISTED[0]),
        accept=tuple(stated.get("accept", ())),
        custom=stated.get("custom", True),
        **{key: stated.get(key, "").strip() for key in texts},
    )


def _source(key: str, stated: Mapping[str, Any], folder: Path) -> SourceFile:
    path = stated.get("path")
    # Path.expanduser raises where there is no such user; here "~name" stays, a file like any other.
    whole = None if path is None else folder / os.path.expanduser(path)  # noqa: PTH111
    text = stated["url"] if path is None else path
    return SourceFile(key, whole, stated.get("url"), stated.get("sha256"), text)


def triplet(size: float | Sequence[float]) -> Triplet:
    """Return a voxel size as three numbers."""
    sizes = (size,) * 3 if isinstance(size, int | float) else tuple(size)
    return (float(sizes[0]), float(sizes[1]), float(sizes[2]))
