"""Which files of a component atlas are wanted: pure choices, no reading and no writing.

An atlas names its components in ``manifest.json``; a component is a folder of many files. Usual is
what every question needs: the terminology, template, annotation and hemispheres at the atlas's own
resolution, meshes, further reference images. The 4-D masks and Neuroglancer's copy of the labels
are for other tools.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bg_atlasapi.errors import Finding, InvalidAtlasError, InvalidInputError
from bg_atlasapi.formats.components import SIDE_MESHES
from bg_atlasapi.formats.packaged import MESHES
from bg_atlasapi.formats.packaged import SIDE_MESHES as PACKAGED_SIDES
from bg_atlasapi.store.transport.sources import Listed

USUAL = ("template", "annotation", "hemispheres", "meshes", "references")
EXTRA = ("masks", "precomputed", "pyramid")
ALL = (*USUAL, *EXTRA)
# Not a part: whatever else is asked for comes now, the rest when it is first read.
ON_DEMAND = "on-demand"
# What comes so; the others are for other tools, which would not know that files may come.
READABLE = (*USUAL, "pyramid")
_LOCATION = re.compile(r"/?[A-Za-z0-9][\w.+-]*(/[A-Za-z0-9_][\w.+-]*)*/?")
_MILLIMETRES = {"nanometer": 1e-6, "micrometer": 1e-3, "millimeter": 1.0, "meter": 1e3}
_METADATA = ("zarr.json", ".zattrs", ".zgroup", ".zarray", ".zmetadata")
_MESHES = "annotations.precomputed/mesh/"
ANNOTATION = "annotations_compressed.ome.zarr/"
_MASKS, _HEMISPHERES = "annotations.ome.zarr/", "hemispheres.ome.zarr/"


@dataclass(frozen=True, slots=True)
class Parts:
    """What of an atlas to install.

    Parameters
    ----------
    names
        Among ``ALL``, or ``"on-demand"``: all that this library reads comes when it is read.
    meshes
        Structures whose meshes are wanted, ``"CTX+"`` with all descendants; empty for every one.
    """

    names: frozenset[str] = frozenset(USUAL)
    meshes: tuple[str, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """The parts as people write them."""
        plain = sorted(self.names - {"meshes"} if self.meshes else self.names)
        return (*plain, *(f"meshes={one}" for one in self.meshes))


def parse(only: str | Iterable[str] | None, *, everything: bool = False) -> Parts:
    """Read ``"template,annotation,meshes=CTX+"``.

    Parameters
    ----------
    only
        Parts, as text or one by one; None for the usual ones.
    everything
        All parts there are.

    Raises
    ------
    InvalidInputError
        If a part does not exist.
    """
    if everything:
        return Parts(frozenset(ALL))
    if only is None:
        return Parts()
    texts = only.split(",") if isinstance(only, str) else [str(one) for one in only]
    names, meshes, all_meshes = set(), [], False
    for text in filter(None, (one.strip() for one in texts)):
        name, _, detail = text.partition("=")
        if name not in {*ALL, ON_DEMAND} or (detail and name != "meshes"):
            message = (
                f"{text!r} is not a part of an atlas; parts are {', '.join(ALL)}, meshes=CTX+, or "
                f"{ON_DEMAND}."
            )
            raise InvalidInputError(message)
        names.add(name)
        meshes += [detail] if detail else []
        all_meshes = all_meshes or (name == "meshes" and not detail)
    if not names:
        message = f"Name at least one part of an atlas: {', '.join(ALL)}."
        raise InvalidInputError(message)
    return Parts(frozenset(names), () if all_meshes else tuple(dict.fromkeys(meshes)))


def holds(have: Iterable[str], wanted: Parts) -> bool:
    """Say whether parts that are here, spelt as in ``Parts.texts``, are all that is wanted."""
    here = set(have)
    here |= {ON_DEMAND} if here.issuperset(USUAL) else set()
    return all(text in here or text.partition("=")[0] in here for text in wanted.texts)


def together(have: Iterable[str], wanted: Parts) -> Parts:
    """Return the parts that are here and those that are wanted."""
    return parse([*have, *wanted.texts])


def of_package(parts: Parts) -> Parts:
    """Return what parts mean for a package: fewer kinds, and no mesh without the others.

    An archive cannot be read in the middle, so none of it can come later.
    """
    if ON_DEMAND in parts.names:
        return Parts()
    return Parts(frozenset((parts.names & {*USUAL}) | {"annotation", "template"}))


@dataclass(frozen=True, slots=True)
class Components:
    """Where the components of an atlas lie, relative to the store, each ending in a slash."""

    terminology: str
    coordinate_space: str
    annotation_set: str
    template: str
    references: tuple[str, ...]
    resolution_um: tuple[float, ...]


def components_of(manifest: bytes, where: str) -> Components:
    """Read a manifest.

    Raises
    ------
    InvalidAtlasError
        If it is not one, or leads out of the store.
    """
    try:
        stated = json.loads(manifest)
        template = stated["annotation_set"].get("template") or stated["template"]
        references = stated.get("additional_references") or []
        resolution = tuple(float(size) for size in stated["resolution"])
        return Components(
            terminology=_location(stated["terminology"], "terminologies"),
            coordinate_space=_location(stated["coordinate_space"], "coordinate-spaces"),
            annotation_set=_location(stated["annotation_set"], "annotation-sets"),
            template=_location(template, "templates"),
            references=tuple(_location(reference, "templates") for reference in references),
            resolution_um=resolution,
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        finding = Finding("manifest", f"It is not a manifest: {reason}.", "error")
        raise InvalidAtlasError(where, [finding]) from error


def _location(component: Mapping[str, Any], kind: str) -> str:
    text = component["location"]
    if not isinstance(text, str) or not _LOCATION.fullmatch(text) or ".." in text.split("/"):
        message = f"the location {text!r} leads out of the store"
        raise ValueError(message)
    steps = text.strip("/").split("/")
    if len(steps) != 3 or steps[0] != kind:
        message = f"the location {text!r} is not {kind}/<name>/<version>"
        raise ValueError(message)
    return "/".join(steps) + "/"


def prefixes(components: Components, parts: Parts) -> list[str]:
    """Return the folders that must be listed to choose from."""
    later = Parts(frozenset(READABLE if ON_DEMAND in parts.names else ()))
    wanted = [*_wanted(components, parts), *_wanted(components, later), *_described(components)]
    return list(dict.fromkeys(wanted))


def _described(components: Components) -> list[str]:
    """Return the volumes that an atlas opens by: their descriptions come in any case."""
    annotations = components.annotation_set
    return [components.template, annotations + ANNOTATION, annotations + _HEMISPHERES]


def _wanted(components: Components, parts: Parts) -> list[str]:
    """Return the folders whose content is wanted."""
    names = parts.names
    found = [components.terminology, components.coordinate_space]
    if "template" in names:
        found.append(components.template)
    if "references" in names:
        found += components.references
    inside = {
        "annotation": ANNOTATION,
        "hemispheres": _HEMISPHERES,
        "masks": _MASKS,
        "meshes": _MESHES,
    }
    if "precomputed" in names:
        inside["meshes"] = "annotations.precomputed/"
    wanted = names | ({"meshes"} if "precomputed" in names else set())
    wanted |= {"hemispheres"} if "annotation" in names else set()  # sides of what is annotated
    found += [components.annotation_set + inside[n] for n in inside if n in wanted]
    return found + (_mesh_folders(components)[1:] if "meshes" in wanted else [])


def _mesh_folders(components: Components) -> list[str]:
    """Return where meshes lie: of whole structures, of their left, of their right."""
    names = (_MESHES, *(f"{one}/" for one in SIDE_MESHES.values()))
    return [components.annotation_set + name for name in names]


def put_off(
    listed: Sequence[Listed],
    chosen: Sequence[Listed],
    components: Components,
    parts: Parts,
    read: Callable[[str], bytes],
) -> tuple[list[Listed], list[Listed]]:
    """Return the files that come now, and those that come when they are read.

    Descriptions of volumes and meshes come now: with them the atlas opens.

    Parameters
    ----------
    listed, components, parts, read
        As in ``choose``.
    chosen
        What ``choose`` made of them.
    """
    if ON_DEMAND not in parts.names:
        return list(chosen), []
    now = {one.key for one in chosen}
    others = [
        one
        for one in choose(listed, components, Parts(frozenset(READABLE)), read)
        if one.key not in now
    ]
    described = [one for one in others if _is_metadata(one.key)]
    return [*described, *chosen], [one for one in others if not _is_metadata(one.key)]


def choose(
    listed: Sequence[Listed],
    components: Components,
    parts: Parts,
    read: Callable[[str], bytes],
) -> list[Listed]:
    """Return the files that the parts consist of, small ones first.

    Parameters
    ----------
    listed
        Everything below ``prefixes``; keys relative to the store.
    components, parts
        What is wanted.
    read
        Reads a file of the store, for the volumes' metadata and the terminology.
    """
    chosen = {one.key: one for one in listed}
    wanted, described = tuple(_wanted(components, parts)), tuple(_described(components))
    keys = [
        key
        for key in chosen
        if key.startswith(wanted) or (key.startswith(described) and key.endswith(_METADATA))
    ]
    if "pyramid" not in parts.names:
        keys = _without_other_levels(keys, components.resolution_um, read)
    if parts.meshes:
        keys = _only_meshes(keys, components, _mesh_names(components, parts.meshes, read))
    return [chosen[key] for key in sorted(keys, key=lambda key: (not _is_metadata(key), key))]


def _is_metadata(key: str) -> bool:
    return key.endswith((*_METADATA, ".json", ".csv", "/info"))


def _without_other_levels(
    keys: Sequence[str], resolution_um: Sequence[float], read: Callable[[str], bytes]
) -> list[str]:
    """Leave out the chunks of pyramid levels of other voxel sizes; their metadata is small."""
    volumes = {key.partition(".ome.zarr/")[0] + ".ome.zarr/" for key in keys if ".ome.zarr/" in key}
    unwanted: list[str] = []
    for volume in sorted(volumes):
        described = next((volume + n for n in ("zarr.json", ".zattrs") if volume + n in keys), None)
        levels = levels_of(read(described)) if described else {}
        same = [path for path, scale in levels.items() if _same(scale, resolution_um)]
        if same:
            unwanted += [f"{volume}{path}/" for path in levels if path not in same]
    return [
        key
        for key in keys
        if key.endswith(_METADATA) or not any(key.startswith(prefix) for prefix in unwanted)
    ]


def levels_of(metadata: bytes) -> dict[str, tuple[float, ...]]:
    """Return the voxel size of each level of an OME-Zarr image, µm, spatial axes only.

    Source: OME-Zarr 0.4 and 0.5, "multiscales" metadata.
    """
    try:
        stated = json.loads(metadata)
        stated = stated.get("attributes", stated)
        image = stated.get("ome", stated)["multiscales"][0]
        axes = [axis if isinstance(axis, dict) else {} for axis in image.get("axes", [])]
        units = [_MILLIMETRES.get(axis.get("unit", ""), 1.0) * 1000 for axis in axes][-3:]
        units = units or [1000.0] * 3
        levels = {}
        for dataset in image["datasets"]:
            moves = dataset["coordinateTransformations"]
            scale = next(move["scale"] for move in moves if move["type"] == "scale")[-3:]
            pairs = zip(scale, units, strict=True)
            levels[str(dataset["path"])] = tuple(float(a) * b for a, b in pairs)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, StopIteration):
        return {}
    return levels


def _same(first: Sequence[float], second: Sequence[float]) -> bool:
    pairs = zip(first, second, strict=False)
    return len(first) == len(second) and all(abs(a - b) <= 1e-3 * abs(b) for a, b in pairs)


def _mesh_names(
    components: Components, wanted: Sequence[str], read: Callable[[str], bytes]
) -> set[str]:
    """Return the file names of the meshes of structures, ``"CTX+"`` with descendants."""
    text = read(components.terminology + "terminology.csv").decode("utf-8-sig")
    rows = list(csv.DictReader(text.splitlines()))
    found: set[str] = set()
    for one in wanted:
        acronym = one.removesuffix("+") if one != "+" else one
        ids = {
            row["identifier"] for row in rows if acronym in (row["abbreviation"], row["identifier"])
        }
        if not ids:
            message = f"No structure has the acronym or id {acronym!r}; its mesh cannot be chosen."
            raise InvalidInputError(message)
        for row in rows:
            path = re.split(r"[\[\],\s'\"]+", row.get("root_identifier_path") or "")
            if row["identifier"] in ids or (one.endswith("+") and ids & set(path)):
                found |= {row["identifier"], row.get("annotation_value") or row["identifier"]}
    return found


def _only_meshes(keys: Sequence[str], components: Components, names: set[str]) -> list[str]:
    folders = tuple(_mesh_folders(components))
    return [
        key
        for key in keys
        if not key.startswith(folders)
        or key.rpartition("/")[2].removesuffix(".index") in {"info", *names}
    ]


def choose_of_package(parts: Parts) -> Callable[[str], bool]:
    """Return which files of a package's archive are wanted.

    Metadata, structures, annotation and reference always are: no package opens without.
    """
    needed = ("metadata.json", "structures.json", "structures.csv", "annotation.tiff")
    always = {*needed, "reference.tiff"}

    def wanted(key: str) -> bool:
        if key in always:
            return True
        if key.partition("/")[0] in {MESHES, *PACKAGED_SIDES.values()}:
            return "meshes" in parts.names
        part = "hemispheres" if key == "hemispheres.tiff" else "references"
        return part in parts.names or not key.endswith(".tiff")

    return wanted
