"""The V3 component store of BrainGlobe: an atlas is a manifest that names its components.

``<store>/atlases/<name>/<major>_<minor>/manifest.json`` states the locations, within the store, of
a template, an annotation set, a terminology and a coordinate space, each with a version of its own.
Opening reads the manifest and ``terminology.csv``; images and meshes are read when asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bg_atlasapi.errors import Finding, IncompleteAtlasError, InvalidAtlasError
from bg_atlasapi.formats import packaged, terminology_csv
from bg_atlasapi.formats.checks import Check, CheckedOnce, no_check
from bg_atlasapi.formats.draco_meshes import DracoMeshes
from bg_atlasapi.formats.inside import inside, stays_inside
from bg_atlasapi.formats.surface import BrainSurface
from bg_atlasapi.formats.zarr_array import ZarrVolume
from bg_atlasapi.model.atlas import Atlas
from bg_atlasapi.model.labels import LabelVolume
from bg_atlasapi.model.space import LEFT, RIGHT

MANIFEST = "manifest.json"
TEMPLATE = "template.ome.zarr"
ANNOTATION = "annotations_compressed.ome.zarr"
HEMISPHERES = "hemispheres.ome.zarr"
MESHES = "annotations.precomputed/mesh"
SIDE_MESHES = {LEFT: f"{MESHES}_left", RIGHT: f"{MESHES}_right"}
OWN_FOLDER = ".bg_atlasapi"
# Key in the metadata of the dictionaries whose short names are ``additional_references``.
REFERENCES = "additional_reference_components"


@dataclass(frozen=True, slots=True)
class Component:
    """A part of an atlas, as its manifest names it.

    Parameters
    ----------
    name, version
        As published; the version like ``"3.0"``.
    folder
        Where it lies.
    """

    name: str
    version: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest that was read and found sound.

    Parameters
    ----------
    metadata
        Everything it states, with ``additional_references`` as the list of names that 1.x had;
        their dictionaries are under ``additional_reference_components``.
    store
        The folder that its locations are relative to.
    template, annotation_set, terminology
        Where these lie.
    references
        Further templates, by short name.
    """

    metadata: Mapping[str, Any]
    store: Path
    template: Component
    annotation_set: Component
    terminology: Component
    references: Mapping[str, Component]


def open_components(folder: Path, check: Check = no_check) -> Atlas:
    """Open an atlas of a component store.

    Parameters
    ----------
    folder
        Holds ``manifest.json``.
    check
        Asked about each file before it is first read.

    Raises
    ------
    IncompleteAtlasError
        If the manifest or a component is missing.
    InvalidAtlasError
        If a file contradicts its format, or the manifest leads out of the store; carries every
        finding.
    """
    check = CheckedOnce(check)
    manifest = read_manifest(folder, check)
    metadata, space = manifest.metadata, packaged.space_of(manifest.metadata)
    annotations = manifest.annotation_set
    symmetric = metadata.get("symmetric", not packaged.is_there(annotations.folder / HEMISPHERES))
    table = manifest.terminology.folder / terminology_csv.NAME
    groups = [annotations.folder / ANNOTATION, manifest.template.folder / TEMPLATE]
    if not symmetric:
        groups.append(annotations.folder / HEMISPHERES)
    _require(manifest.store, table, groups, check)
    entries = terminology_csv.read_terminology(table, check)
    records = packaged.records_of(entries, table, table.name)

    meshes = _meshes(manifest, check)
    roots = [entry["id"] for entry in entries if len(entry["structure_id_path"]) == 1]
    surface = BrainSurface(meshes, roots)

    def volume(path: Path, kinds: str) -> ZarrVolume:
        return ZarrVolume(path, space.shape, space.spacing_um, kinds, check, surface)

    return Atlas(
        metadata=metadata,
        structures=[packaged.tidied(*pair) for pair in zip(entries, records, strict=True)],
        space=space,
        reference=volume(groups[1], "iuf"),
        labels=LabelVolume(volume(groups[0], "iu"), packaged.terminology_of(records, table)),
        hemispheres=None if symmetric else volume(groups[2], "iu"),
        meshes=meshes,
        references={
            name: volume(component.folder / TEMPLATE, "iuf")
            for name, component in manifest.references.items()
        },
        reference_names={component.name: name for name, component in manifest.references.items()},
        side_meshes={
            side: _meshes(manifest, check, name)
            for side, name in SIDE_MESHES.items()
            if packaged.is_there(annotations.folder / name)
        },
    )


def _meshes(manifest: Manifest, check: Check, name: str = MESHES) -> DracoMeshes:
    annotations = manifest.annotation_set
    version = annotations.version.replace(".", "_")
    cache = manifest.store / OWN_FOLDER / "meshes" / annotations.folder.parent.name / version
    if name != MESHES:
        cache /= name.rpartition("/")[2]
    return DracoMeshes(annotations.folder / name, cache, check)


def _require(store: Path, table: Path, groups: list[Path], check: Check) -> None:
    """Check that what every atlas has is there, and within the store.

    Raises
    ------
    IncompleteAtlasError
        Names all that is missing.
    InvalidAtlasError
        Names all that a link puts elsewhere.
    """
    there = packaged.is_there
    missing = [] if there(table) else [table]
    described = ("zarr.json", ".zgroup", ".zattrs")
    missing += [group for group in groups if not any(there(group / name) for name in described)]
    for path in missing:  # of an installed atlas, this says how to mend it
        check(path)
        check(path / described[0])
    if missing:
        message = (
            f"The atlas is incomplete: {', '.join(str(path) for path in missing)} missing. "
            "Install it again, or put a whole copy of the component there."
        )
        raise IncompleteAtlasError(message)
    mesh_folder = groups[0].parent / MESHES
    findings = [
        Finding("location-outside", f"{path} is a link out of the store.", "error")
        for path in (table, *groups, mesh_folder)
        if not stays_inside(path, store)
    ]
    if findings:
        raise InvalidAtlasError(store, findings)


def read_manifest(folder: Path, check: Check = no_check) -> Manifest:
    """Read and check ``manifest.json``.

    Parameters
    ----------
    folder
        Its folder, ``<store>/atlases/<name>/<major>_<minor>``.
    check
        Asked before it is read.

    Raises
    ------
    IncompleteAtlasError
        If it cannot be read.
    InvalidAtlasError
        With everything that is missing, malformed, contradictory, or leads out of the store.
    """
    path = folder / MANIFEST
    check(path)
    stated = packaged.read_json_file(path)
    if not isinstance(stated, dict):
        text = f"{MANIFEST} must hold an object, not {type(stated).__name__}."
        raise InvalidAtlasError(folder, [Finding("metadata-type", text, "error")])
    findings = packaged.metadata_findings(stated, MANIFEST)
    if not isinstance(stated.get("symmetric", True), bool):
        text = f"{MANIFEST}: 'symmetric' must be true or false, got {stated['symmetric']!r}."
        findings.append(Finding("metadata-value", text, "error"))
    store = _store_of(folder)
    findings += _misplaced(stated, folder)
    reader = _Locations(store, findings)
    annotations = reader.component(stated.get("annotation_set"), "annotation_set")
    own = stated["annotation_set"] if isinstance(stated.get("annotation_set"), dict) else {}
    template = reader.agreed(stated, own, "template")
    terminology = reader.agreed(stated, own, "terminology")
    if "coordinate_space" in stated:
        reader.component(stated["coordinate_space"], "coordinate_space")
    references = list(reader.references(stated.get("additional_references") or []))
    if findings:
        raise InvalidAtlasError(path, findings)
    assert annotations
    assert template
    assert terminology
    names = short_names(
        [one.name for one in references], str(stated.get("name", "")), folder.parent.name
    )
    metadata = {
        **stated,
        "shape": [int(length) for length in stated["shape"]],
        "additional_references": names,
        REFERENCES: stated.get("additional_references") or [],
    }
    named = dict(zip(names, references, strict=True))
    return Manifest(metadata, store, template, annotations, terminology, named)


def _store_of(folder: Path) -> Path:
    """Return the store that an atlas's folder lies in; a link to the folder is followed."""
    parents = folder.parents
    if len(parents) > 2 and parents[1].name == "atlases":
        return parents[2]
    parents = folder.resolve().parents
    return parents[min(2, len(parents) - 1)]


def _misplaced(stated: Mapping[str, Any], folder: Path) -> list[Finding]:
    """Return a finding if the manifest is not of the atlas and version its folder says."""
    location, version = stated.get("location"), str(stated.get("version", "")).replace(".", "_")
    place = folder.resolve()
    found = f"{place.parent.name}/{place.name}"
    problems = []
    if isinstance(location, str) and location.strip("/").split("/")[-2:] != found.split("/"):
        problems.append(f"says it lies in {location}")
    if version and version != place.name:
        problems.append(f"is of version {stated['version']}")
    text = f"{MANIFEST} {' and '.join(problems)}, but its folder is {found}."
    return [Finding("version-mismatch", text, "error")] if problems else []


class _Locations:
    """Turns what a manifest states of components into components; collects findings."""

    def __init__(self, store: Path, findings: list[Finding]) -> None:
        self._store, self._findings = store, findings

    def component(self, stated: Any, key: str) -> Component | None:
        """Return one component, None with a finding if it is not sound."""
        if not isinstance(stated, dict):
            problem = "is missing" if stated is None else f"must be an object, got {stated!r}"
            self._wrong("manifest-component", f"{key!r} {problem}.")
            return None
        parts = [stated.get(part) for part in ("name", "version", "location")]
        name, version, location = parts
        if not all(isinstance(part, str) and part for part in parts):
            text = f"{key!r} must have a name, a version and a location, got {stated!r}."
            self._wrong("manifest-component", text)
            return None
        folder = inside(self._store, str(location))
        if folder is None:
            text = f"The location {location!r} of {key!r} does not lie inside the store."
            self._wrong("location-outside", text)
            return None
        place = folder.relative_to(self._store).parts[-2:]
        if place != (name, str(version).replace(".", "_")):
            text = f"{key!r} is {name} {version}, but its location is {location}."
            self._wrong("version-mismatch", text)
            return None
        return Component(str(name), str(version), folder)

    def agreed(
        self, atlas: Mapping[str, Any], annotations: Mapping[str, Any], key: str
    ) -> Component | None:
        """Return what the atlas and its annotation set must agree on."""
        mine = self.component(atlas.get(key) or annotations.get(key), key)
        theirs = annotations.get(key)
        other = self.component(theirs, f"annotation_set.{key}") if theirs else None
        if mine and other and mine != other:
            text = f"The atlas has the {key} {mine.name} {mine.version}, its annotation set "
            text += f"was made for {other.name} {other.version}."
            self._wrong("version-mismatch", text)
            return None
        return mine

    def references(self, stated: Any) -> Iterator[Component]:
        """Yield the additional references that are sound."""
        if not isinstance(stated, list):
            text = f"'additional_references' must be a list, got {stated!r}."
            self._wrong("metadata-value", text)
            return
        for position, one in enumerate(stated):
            component = self.component(one, f"additional_references[{position}]")
            if component:
                yield component

    def _wrong(self, code: str, text: str) -> None:
        self._findings.append(Finding(code, f"{MANIFEST}: {text}", "error"))


def short_names(components: list[str], *atlases: str) -> list[str]:
    """Return ``"nissl"`` for ``"allen_mouse-nissl-template"``: what 1.x called these images.

    Parameters
    ----------
    components
        Names of components. Where two would be shortened to the same, all keep their full names.
    *atlases
        Names of the atlas, without and with resolution.
    """
    short = []
    for name in components:
        bare = name.removesuffix("-template")
        prefix = next((f"{atlas}-" for atlas in atlases if bare.startswith(f"{atlas}-")), "")
        short.append(bare.removeprefix(prefix) or name)
    return short if len(set(short)) == len(short) else list(components)
