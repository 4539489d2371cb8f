"""Write an atlas into a component store, the layout that ``components`` reads.

Images as OME-Zarr in millimetres (``zarr_writing``), labels and meshes for Neuroglancer
(``precomputed_labels``, ``draco_writing``), ``inventory.json`` with the SHA-256 of every file. The
same atlas gives the same bytes. The 4-D masks of brainglobe-atlasapi 3 are left out: it opens
without them, and masks are computed from the labels faster than they are read.
"""

from __future__ import annotations

import configparser
import json
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import AlreadyThereError, InvalidInputError
from bg_atlasapi.formats import components, draco_writing, precomputed_labels, terminology_csv
from bg_atlasapi.formats.blocks import blocks
from bg_atlasapi.formats.csv_text import csv_text
from bg_atlasapi.formats.exporting import (
    Job,
    can_be_a_name,
    checked_name,
    forget_replaced,
    meshes_of,
)
from bg_atlasapi.formats.label_checks import as_uint32
from bg_atlasapi.formats.zarr_writing import ImageWriter, write_json
from bg_atlasapi.late import np
from bg_atlasapi.model.atlas import Atlas
from bg_atlasapi.model.space import LEFT, RIGHT, CoordinateSpace
from bg_atlasapi.model.volume import VolumeSource
from bg_atlasapi.model.volumes import at_resolution
from bg_atlasapi.store import cache, disk
from bg_atlasapi.store.inventory import COMPONENT_STORE, COMPONENTS, Entry, Inventory, sha256_of

if TYPE_CHECKING:
    import numpy.typing as npt

_PRECOMPUTED = "annotations.precomputed"
_INVENTORY, _CONF = "inventory.json", "last_versions.conf"
_PEERS_ORIENTATION = "asr"
_COLUMNS = (
    *("identifier", "parent_identifier", "annotation_value", "name", "abbreviation"),
    *("color_hex_triplet", "root_identifier_path"),
)
_KINDS = {
    "terminology": "terminologies",
    "coordinate_space": "coordinate-spaces",
    "template": "templates",
    "annotation_set": "annotation-sets",
}
_NAMES = {"coordinate_space": "space", "annotation_set": "annotation"}
_Stated = dict[str, Any]


class Components:
    """The writer of the ``"components"`` format.

    Components are named as brainglobe-atlasapi names them, ``<atlas>-template``, without the
    resolution, and published ones keep their names; where another atlas of the store has one of
    these names already, all are named with the resolution.
    """

    def __init__(self, job: Job) -> None:
        self._job, self._atlas = job, job.atlas
        self._store = job.staging / COMPONENT_STORE
        self._location = _location(job.name, job.version)
        self._coarser = [at_resolution(job.atlas, size) for size in job.levels_um]
        stem = job.name.rpartition("_")[0] or job.name
        names = [f"{stem}_{one.space.spacing_um[0]:g}um" for one in self._coarser]
        self._at_levels = dict(
            zip((_location(n, job.version) for n in names), self._coarser, strict=True)
        )
        self._list = job.layer / COMPONENT_STORE / "atlases" / _CONF
        self._check()
        metadata = self._atlas.metadata
        self._plain_name = str(metadata.get("name") or job.name.rpartition("_")[0] or job.name)
        plain = self._plain_name if can_be_a_name(self._plain_name) else job.name
        self._name_components(plain, metadata)
        if self._shared():
            self._name_components(job.name, {})

    def _check(self) -> None:
        """Refuse what the layout cannot hold, or to lose, before anything is written."""
        self._listed()
        for name, volume in self._atlas.references.items():
            checked_name(name)
            if volume.shape != self._atlas.space.shape:
                message = (
                    f"The additional reference {name!r} has the shape {volume.shape}, the atlas "
                    f"{self._atlas.space.shape}; in a component store all volumes have one shape."
                )
                raise InvalidInputError(message)
        negative = [entry["id"] for entry in self._atlas.structures if entry["id"] < 0]
        if negative:
            message = f"A component store holds ids from 0 on; the atlas has {negative[0]}."
            raise InvalidInputError(message)
        if self._atlas.space.orientation != _PEERS_ORIENTATION:
            text = (
                f"The orientation of {self._job.name} is {self._atlas.space.orientation!r}, and is "
                f"exported as it is; brainglobe-atlasapi 3 takes every atlas for 'asr'."
            )
            warnings.warn(text, stacklevel=5)

    def _name_components(self, base: str, published: Mapping[str, Any]) -> None:
        """Name the components; those that were published with a name keep it."""
        version = self._job.version
        self._named: dict[str, _Stated] = {
            key: _component(folder, f"{base}-{_NAMES.get(key, key)}", version, published.get(key))
            for key, folder in _KINDS.items()
        }
        named = published.get(components.REFERENCES) or [None] * len(self._atlas.references)
        self._references = [
            _component(_KINDS["template"], f"{base}-{name}-template", version, one)
            for name, one in zip(self._atlas.references, named, strict=True)
        ]

    def _components(self) -> list[_Stated]:
        return [*self._named.values(), *self._references]

    def _shared(self) -> set[str]:
        """Return the locations of components that other atlases of the store name, now."""
        own = {self._location, *self._at_levels}
        taken = _locations_of_others(self._job.layer / COMPONENT_STORE, own)
        return taken & {one["location"] for one in self._components()}

    def folders(self) -> Sequence[str]:
        """Return the folders of the components, then that of the manifest."""
        if shared := self._shared():
            where = self._job.layer / COMPONENT_STORE / min(shared).lstrip("/")
            message = f"{where} is part of another atlas, too. Export into another folder."
            raise AlreadyThereError(message)
        locations = [one["location"] for one in self._components()]
        return [f"{COMPONENT_STORE}{one}" for one in (*locations, *self._at_levels, self._location)]

    def write(self) -> None:
        """Write all components, then manifest and inventory."""
        self._write_terminology()
        self._write_images()
        self._write_labels()
        self._write_meshes()
        template = self._named["template"]
        space = {**self._named["coordinate_space"], "template": template}
        write_json(self._folder("coordinate_space") / components.MANIFEST, space, indent=4)
        manifests = {self._location: self._atlas, **self._at_levels}
        for location, atlas in manifests.items():
            stated = self._manifest(space, location, atlas.metadata)
            write_json(self._inside(location) / components.MANIFEST, stated, indent=4)
        entries = self._entries()
        for location in manifests:
            text = self._inventory(location, entries).to_text()
            (self._inside(location) / _INVENTORY).write_bytes(text.encode())

    def placed(self) -> None:
        """Forget what was installed in its place; name the atlas in ``last_versions.conf``.

        All exports of the store are named: of several at once, each may have overwritten the list
        that another had just written, but the last one finds them all.
        """
        forget_replaced(self._job, COMPONENTS)
        known = self._listed()
        for path in self._list.parent.glob(f"*/*/{_INVENTORY}"):
            name, folder = path.parts[-3:-1]
            if cache.parse_version_folder(folder):
                version = folder.replace("_", ".")
                known[name] = max(known.get(name, ""), version, key=_version_key)
        lines = [f"{name} = {version}" for name, version in sorted(known.items())]
        disk.write_text(self._list, "\n".join(["[atlases]", *lines, ""]))

    def _listed(self) -> dict[str, str]:
        """Return the versions of the atlases that ``last_versions.conf`` names."""
        parser = configparser.ConfigParser(interpolation=None)
        parser.optionxform = str  # type: ignore[assignment,method-assign] # names keep their case
        try:
            parser.read(self._list, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError) as error:
            reason = str(error).partition("\n")[0]
            message = f"{self._list} is no list of atlases: {reason} Mend or remove it."
            raise AlreadyThereError(message) from error
        return dict(parser["atlases"]) if parser.has_section("atlases") else {}

    def _inside(self, location: str) -> Path:
        return self._store / location.lstrip("/")

    def _folder(self, key: str) -> Path:
        return self._inside(self._named[key]["location"])

    def _manifest(self, space: _Stated, location: str, published: Mapping[str, Any]) -> _Stated:
        template, terminology = self._named["template"], self._named["terminology"]
        own: _Stated = {
            "name": self._plain_name,
            "location": location,
            "citation": published.get("citation", "unpublished"),
            "atlas_link": published.get("atlas_link", ""),
            "species": published.get("species", ""),
            "symmetric": self._atlas.hemispheres is None,
            "resolution": published["resolution"],
            "orientation": published["orientation"],
            "version": self._job.version,
            "shape": published["shape"],
            "additional_references": self._references,
            "atlas_packager": published.get("atlas_packager"),
            "coordinate_space": space,
            "terminology": terminology,
            "annotation_set": {
                **self._named["annotation_set"],
                "template": template,
                "terminology": terminology,
            },
            "template": template,
        }
        return {
            **own,
            **{k: v for k, v in published.items() if k not in (*own, components.REFERENCES)},
        }

    def _write_terminology(self) -> None:
        text = terminology_text(self._atlas.structures)
        path = self._folder("terminology") / terminology_csv.NAME
        path.parent.mkdir(parents=True)
        path.write_bytes(text.encode())

    def _image(self, group: Path, dtype: Any, level: int = 0, *, labels: bool) -> ImageWriter:
        space = self._coarser[level - 1].space if level else self._atlas.space
        coarser = self._job.levels_um
        return ImageWriter(
            group, np.dtype(dtype), space, labels=labels, level=level, coarser=coarser
        )

    def _write_images(self) -> None:
        folders = [self._named["template"], *self._references]
        for level, atlas in enumerate((self._atlas, *self._coarser)):
            volumes = [atlas.reference, *atlas.references.values()]
            for one, volume in zip(folders, volumes, strict=True):
                group = self._inside(one["location"]) / components.TEMPLATE
                image = self._image(group, volume.dtype, level, labels=False)
                self._copy(volume, image.chunk_shape[0], image.put)
            group = self._folder("annotation_set") / components.HEMISPHERES
            self._write_sides(self._image(group, np.uint8, level, labels=True), atlas)

    def _write_sides(self, image: ImageWriter, atlas: Atlas) -> None:
        depth = image.chunk_shape[0]
        if atlas.hemispheres is not None:
            self._copy(atlas.hemispheres, depth, lambda block: image.put(_as_bytes(block)))
            return
        for block in halves(atlas.space, depth):
            image.put(block)

    def _write_labels(self) -> None:
        space, folder = self._atlas.space, self._folder("annotation_set")
        group = folder / components.ANNOTATION
        image = self._image(group, np.uint32, labels=True)
        shown = precomputed_labels.LabelsWriter(folder / _PRECOMPUTED, space)
        assert image.chunk_shape[0] in (precomputed_labels.SIDE, space.shape[0])

        def put(block: npt.NDArray[Any]) -> None:
            labels = as_uint32(block)
            image.put(labels)
            shown.put(labels)

        try:
            self._copy(self._atlas.annotation, image.chunk_shape[0], put)
        finally:
            shown.close()
        precomputed_labels.write_properties(folder / _PRECOMPUTED, self._atlas.structures)
        for level, atlas in enumerate(self._coarser, start=1):
            image = self._image(group, np.uint32, level, labels=True)
            self._copy(atlas.annotation, image.chunk_shape[0], partial(_put_labels, image))

    def _copy(
        self, volume: VolumeSource, depth: int, put: Callable[[npt.NDArray[Any]], None]
    ) -> None:
        for block in blocks(volume, depth):
            put(block)
            self._job.tally.add(block.nbytes)
            self._job.tally.say()

    def _write_meshes(self) -> None:
        sides = {components.SIDE_MESHES[k]: one for k, one in self._atlas.side_meshes.items()}
        for name, meshes in {components.MESHES: self._atlas.meshes, **sides}.items():
            folder = self._folder("annotation_set") / name
            draco_writing.write_info(folder)
            for identifier in meshes_of(self._job, meshes):
                draco_writing.write_mesh(folder, identifier, meshes.read(identifier))

    def _entries(self) -> dict[str, Entry]:
        """Return what lies in the store now, without time stamps, so that it is reproducible."""
        entries = {}
        for path in sorted(one for one in self._store.rglob("*") if one.is_file()):
            key = path.relative_to(self._store).as_posix()
            entries[key] = Entry(key, path.stat().st_size, sha256_of(path), 0)
        return entries

    def _inventory(self, location: str, entries: Mapping[str, Entry]) -> Inventory:
        """Return what an atlas consists of; its manifest comes last, as when it is installed."""
        manifest = f"{location}/{components.MANIFEST}".lstrip("/")
        kept = {key: one for key, one in entries.items() if not key.startswith("atlases/")}
        name = location.split("/")[2]
        kept[manifest] = entries[manifest]
        return Inventory(name, self._job.version, COMPONENTS, "", "", kept)


def _location(name: str, version: str) -> str:
    return f"/atlases/{checked_name(name)}/{_folder(version)}"


def _put_labels(image: ImageWriter, block: npt.NDArray[Any]) -> None:
    image.put(as_uint32(block))


def _folder(version: str) -> str:
    return version.replace(".", "_")


def _version_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _component(folder: str, name: str, version: str, published: Any) -> _Stated:
    """Return what a manifest says of a component; one that was published keeps its name."""
    if isinstance(published, dict):
        name = str(published.get("name", name))
        version = str(published.get("version", version))
    location = f"/{folder}/{checked_name(name)}/{checked_name(_folder(version))}"
    return {"name": name, "version": version, "location": location}


def _locations_of_others(store: Path, own: Collection[str]) -> set[str]:
    """Return the locations that the other manifests of a store name."""
    found: set[str] = set()
    for path in sorted((store / "atlases").glob(f"*/*/{components.MANIFEST}")):
        if f"/{path.parent.relative_to(store).as_posix()}" in own:
            continue
        try:
            found |= set(_locations(json.loads(path.read_bytes())))
        except (OSError, ValueError, RecursionError):  # not ours to judge
            continue
    return found


def _locations(stated: Any) -> Iterator[str]:
    parts = (
        stated if isinstance(stated, list) else stated.values() if isinstance(stated, dict) else ()
    )
    if isinstance(stated, dict) and isinstance(stated.get("location"), str):
        yield "/" + stated["location"].strip("/")
    for part in parts:
        yield from _locations(part)


def terminology_text(structures: Sequence[Mapping[str, Any]]) -> str:
    """Return ``terminology.csv``.

    Parameters
    ----------
    structures
        Entries as readers give them: ``id``, ``acronym``, ``name``, ``structure_id_path``,
        ``rgb_triplet``; ``identifier`` and ``annotation_value`` where the atlas came from a store.
    """
    spelt = {one["id"]: str(one.get("identifier", one["id"])) for one in structures}
    rows = []
    for one in structures:
        way = [spelt.get(part, str(part)) for part in one["structure_id_path"]]
        rows.append(
            [
                spelt[one["id"]],
                way[-2] if len(way) > 1 else None,
                one.get("annotation_value", one["id"]),
                one["name"],
                one["acronym"],
                precomputed_labels.hexadecimal(one["rgb_triplet"]),
                f"[{', '.join(way)}]",
            ]
        )
    return csv_text(_COLUMNS, rows)


def halves(space: CoordinateSpace, depth: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the hemispheres of a symmetric atlas in parts along the first axis."""
    axis, (first, end) = space.left_right_axis, space.left_span
    line = np.full(space.shape[axis], RIGHT, np.uint8)
    line[first:end] = LEFT
    along = [1, 1, 1]
    along[axis] = -1
    whole = np.broadcast_to(line.reshape(along), space.shape)
    for start in range(0, space.shape[0], depth):
        yield whole[start : start + depth]


def _as_bytes(block: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if block.size and (block.min() < 0 or block.max() > 255):
        raise InvalidInputError("The hemispheres hold values beyond one byte.")
    return block.astype(np.uint8)
