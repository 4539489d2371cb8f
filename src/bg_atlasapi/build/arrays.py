"""An atlas from arrays in memory: usable at once, without files and without meshes.

``atlas_of`` is what ``BrainGlobeAtlas.from_arrays`` and the pipeline make their atlas with. Reading
files is the business of ``volumes`` and ``formats.label_tables``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi.build.recipe_schema import SIZES_UM
from bg_atlasapi.build.validation import catalogue
from bg_atlasapi.build.validation.tables import whole
from bg_atlasapi.errors import Finding, IncompleteAtlasError, InvalidAtlasError
from bg_atlasapi.formats import packaged
from bg_atlasapi.formats.label_tables.making import made_colour, root_id
from bg_atlasapi.late import np
from bg_atlasapi.model.atlas import Atlas
from bg_atlasapi.model.labels import ArraySource, LabelVolume
from bg_atlasapi.model.mesh import MeshSource, TriangleMesh
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.model.volume import VolumeSource

if TYPE_CHECKING:
    import numpy.typing as npt

_ROOT, _WHITE = "root", [255, 255, 255]
WHERE = "The atlas of arrays"
_PARENTS = ("parent", "parent_id", "parent_structure_id", "parent_identifier")


class NoMeshes:
    """The meshes of an atlas that has none, a ``MeshSource``."""

    def path(self, identifier: int) -> Path:
        """Return where the mesh of a structure would lie."""
        return Path(f"{identifier}.obj")

    def file(self, identifier: int) -> Path:
        """Return the same."""
        return self.path(identifier)

    def has(self, identifier: int) -> bool:  # noqa: ARG002 - as of every source
        """Say that there is none."""
        return False

    def read(self, identifier: int) -> TriangleMesh:
        """Refuse: there is none.

        Raises
        ------
        IncompleteAtlasError
            Always.
        """
        message = (
            f"Structure {identifier} has no mesh: the atlas was made of arrays, or built without "
            "meshes."
        )
        raise IncompleteAtlasError(message)


@dataclass(frozen=True)
class Parts:
    """What an atlas is put together from.

    Parameters
    ----------
    annotation
        Structure id of every voxel: an array or a ``VolumeSource``.
    structures
        In the form of ``structures.json``; see ``entries_of`` for what else will do.
    spacing_um
        Voxel size along each axis, µm.
    orientation
        Side of index 0 of each axis.
    reference, hemispheres, references
        Images; None: 0 everywhere, computed.
    meshes
        Surfaces.
    metadata
        What else is known: name, version, species, citation, …
    """

    annotation: Any
    structures: Any
    spacing_um: tuple[float, float, float]
    orientation: str = "asr"
    reference: Any = None
    hemispheres: Any = None
    references: Mapping[str, Any] = field(default_factory=dict)
    meshes: MeshSource = field(default_factory=NoMeshes)
    metadata: Mapping[str, Any] = field(default_factory=dict)


def atlas_of(parts: Parts) -> Atlas:
    """Put an atlas together. Arrays are not copied: leave them as they are while it is in use.

    Raises
    ------
    InvalidAtlasError
        With everything that does not fit.
    """
    findings = misfits_of(parts)
    entries = entries_of(parts.structures)
    if findings:
        raise InvalidAtlasError(WHERE, findings)
    stated = _stated(parts)
    records = packaged.records_of(entries, WHERE, "the structures")
    space = packaged.space_of(stated)
    terminology = packaged.terminology_of(records, WHERE)
    reference = _blank(space) if parts.reference is None else _source(parts.reference)
    without = {"has_template": False} if parts.reference is None else {}
    return Atlas(
        metadata={
            **parts.metadata,
            **stated,
            **without,
            "symmetric": parts.hemispheres is None,
            "additional_references": [*parts.references],
        },
        structures=[packaged.tidied(*pair) for pair in zip(entries, records, strict=True)],
        space=space,
        reference=reference,
        labels=LabelVolume(_source(parts.annotation), terminology),
        hemispheres=None if parts.hemispheres is None else _source(parts.hemispheres),
        meshes=parts.meshes,
        references={name: _source(one) for name, one in parts.references.items()},
    )


def _stated(parts: Parts) -> dict[str, Any]:
    return {
        "shape": [int(length) for length in getattr(parts.annotation, "shape", ())],
        "resolution": [float(size) for size in parts.spacing_um],
        "orientation": parts.orientation,
    }


def misfits_of(parts: Parts) -> list[Finding]:
    """Return what is wrong with the kinds and shapes of volumes, and with the space."""
    stated = _stated(parts)
    shape = tuple(stated["shape"])
    findings = []
    if len(shape) != 3 or not all(shape):
        text = f"The annotation must have three axes, none of them empty; its shape is {shape}."
        findings.append(catalogue.found("shape-mismatch", text, "annotation", ""))
        stated["shape"] = [1, 1, 1]
    if getattr(getattr(parts.annotation, "dtype", None), "kind", "") == "O":
        findings.clear()  # that it holds no numbers says enough
    findings += packaged.metadata_findings(stated, WHERE)
    volumes = [("annotation", parts.annotation), ("reference", parts.reference)]
    volumes += [("hemispheres", parts.hemispheres), *parts.references.items()]
    for name, volume in volumes:
        kinds = "iu" if name in ("annotation", "hemispheres") else "iuf"
        findings += [] if volume is None else _misfits(name, volume, shape, kinds)
    return findings


def _misfits(name: str, volume: Any, shape: tuple[int, ...], kinds: str) -> list[Finding]:
    found = []
    own = getattr(volume, "shape", None)
    if own is None or not hasattr(volume, "dtype"):
        text = f"The {name} must be an array, got {type(volume).__name__}."
        return [catalogue.found("volume-type", text, name, "")]
    if tuple(own) != shape:
        text = f"The shape of the {name} is {tuple(own)}, that of the annotation {shape}."
        found.append(catalogue.found("shape-mismatch", text, name))
    if np.dtype(volume.dtype).kind not in kinds:
        expected = "numbers" if "f" in kinds else "whole numbers"
        text = f"The {name} must hold {expected}, not {volume.dtype}."
        if "f" not in kinds:
            text += " If all its values are whole, convert it: array.astype(numpy.uint32)."
        found.append(catalogue.found("volume-type", text, name, ""))
    return found


def _blank(space: CoordinateSpace) -> ArraySource:
    """Return an image of 0, which takes no memory."""
    return ArraySource(np.broadcast_to(np.uint16(0), space.shape))


def _source(volume: Any) -> VolumeSource:
    if hasattr(volume, "slabs"):
        return volume  # type: ignore[no-any-return]
    array: npt.NDArray[Any] = np.asarray(volume)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return ArraySource(array)


def entries_of(structures: Any) -> list[dict[str, Any]]:
    """Return structures in the form of ``structures.json``.

    Parameters
    ----------
    structures
        A list of dictionaries with ``id`` and, as far as known, ``acronym``, ``name``,
        ``structure_id_path`` (or a parent's id under ``parent``, ``parent_id`` or
        ``parent_structure_id``), ``rgb_triplet``; a table of pandas with such columns; what
        ``read_label_table`` returned; or names, or such dictionaries, by id. Where nothing says how
        structures hang together, they hang on a root.

    Raises
    ------
    InvalidAtlasError
        If it is nothing of the kind.
    """
    rows = _rows(structures)
    given = {one.get("id") for one in rows}
    called = {str(one["acronym"]): one["id"] for one in rows if "acronym" in one and "id" in one}
    parents = {one.get("id"): _parent(one, given, called) for one in rows}
    entries = []
    if not any("structure_id_path" in one or parents[one.get("id")] is not None for one in rows):
        root = next((one["id"] for one in rows if one.get("acronym") == _ROOT), None)
        if root is None and rows:
            root = root_id({one for one in given if isinstance(one, int)})
            head = {"acronym": _ROOT, "id": root, "name": _ROOT, "structure_id_path": [root]}
            entries.append({**head, "rgb_triplet": _WHITE})
        parents = dict.fromkeys(parents, root)
    for one in rows:
        identifier = one.get("id")
        entry = {"acronym": str(identifier), **one}
        entry.setdefault("name", str(entry["acronym"]))
        if isinstance(identifier, int):
            entry.setdefault("rgb_triplet", list(made_colour(identifier)))
        if "structure_id_path" not in entry:
            entry["structure_id_path"] = _path(identifier, parents)
        entries.append({k: v for k, v in entry.items() if k not in _PARENTS})
    return entries


def _rows(structures: Any) -> list[dict[str, Any]]:
    if hasattr(structures, "rows"):  # a LabelTable
        structures = structures.rows
    elif hasattr(structures, "to_dict") and hasattr(structures, "columns"):
        indexed = structures.index.name == "id" and "id" not in structures.columns
        structures = (structures.reset_index() if indexed else structures).to_dict("records")
    elif isinstance(structures, Mapping):
        structures = [
            {"id": number, **(one if isinstance(one, Mapping) else {"name": one})}
            for number, one in structures.items()
            if whole(number) != 0  # the name of what is outside, as tables of labels have it
        ]
    if isinstance(structures, str | bytes) or not isinstance(structures, Iterable):
        structures = [structures]
    rows = list(structures)
    if not all(isinstance(one, Mapping) and _is_identified(one) for one in rows):
        text = "Structures must be dictionaries with an id, a table, or names by id."
        raise InvalidAtlasError(WHERE, [catalogue.found("structures-type", text)])
    return [{k: w for k, v in one.items() if not _is_missing(w := _plain(v, k))} for one in rows]


def _is_identified(entry: Mapping[str, Any]) -> bool:
    return all(isinstance(entry.get(key), Hashable) for key in ("id", *_PARENTS))


def _plain(value: Any, key: str) -> Any:
    """Return a value as plain Python has it; ids that are whole numbers, however spelt, as such."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if key not in {"id", *_PARENTS} or isinstance(value, int):
        return value
    number = whole(value)
    return value if number is None else number


def _is_missing(value: Any) -> bool:
    blank = isinstance(value, str) and not value.strip()
    return value is None or blank or (isinstance(value, float) and math.isnan(value))


def _parent(entry: Mapping[str, Any], given: Collection[Any], called: Mapping[str, Any]) -> Any:
    """Return the id of a parent; None if there is none, which tables also spell 0 or -1."""
    found = next((entry[key] for key in _PARENTS if entry.get(key) is not None), None)
    if isinstance(found, str):
        return called.get(found, found)
    own = found == entry.get("id")  # how some tables spell that it is at the top
    return None if own or (found in {0, -1} and found not in given) else found


def _path(identifier: Any, parents: Mapping[Any, Any]) -> list[Any]:
    path = [identifier]
    while (above := parents.get(path[0])) is not None and above != path[0]:
        if above in path:  # a circle, which whoever reads the paths finds
            return path
        path.insert(0, above)
    return path


def refuse_images(metadata: Mapping[str, Any]) -> None:
    """Raise if an image stands among metadata: a keyword that does not exist took it.

    Raises
    ------
    TypeError
        Names it.
    """
    for key, value in metadata.items():
        inside = value.values() if isinstance(value, Mapping) else [value]
        if any(getattr(one, "ndim", 0) > 1 for one in inside):
            message = (
                f"from_arrays() takes no image {key!r}; the template is reference=, further images "
                "are references={name: image}."
            )
            raise TypeError(message)


def spacing_of(resolution: float | Sequence[float]) -> tuple[float, float, float]:
    """Return a voxel size as three numbers.

    Raises
    ------
    InvalidAtlasError
        If it is neither one nor three positive numbers.
    """
    try:
        given: npt.NDArray[Any] = np.asarray(resolution)
        number = given.dtype.kind in "iuf"
        sizes = np.broadcast_to(given, (3,)).astype(np.float64).tolist() if number else [0.0]
    except (TypeError, ValueError):
        sizes = [0.0]
    lowest, highest = SIZES_UM
    if not all(lowest <= size <= highest for size in sizes):
        text = f"The resolution must be one or three voxel sizes in µm, got {resolution!r}."
        raise InvalidAtlasError(WHERE, [catalogue.found("metadata-value", text, "resolution")])
    return (sizes[0], sizes[1], sizes[2])
