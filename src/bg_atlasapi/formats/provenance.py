"""Where a result comes from: atlas, version, hash, tool and options, written into every output.

Ask ``provenance_of(atlas, question, options)`` once for a result and hand the answer to whatever
writes it::

    record = provenance_of(atlas, "count", {"unit": "um", "at": 5})
    table_files.write_table(frame, path, provenance=record)   # csv, tsv, parquet, json
    into_nifti(image, record)                                 # a nibabel image, before it is saved
    group.attrs[KEY] = record.to_dict()                       # Zarr attributes
    {KEY: record.to_dict(), ...}                              # an object of JSON

It is always found under one key, ``"bg_atlasapi"``. Parquet keeps it in the metadata of its schema.
A csv, tsv or json table stays what every program reads: its provenance lies beside it, in
``<file>-metadata.json``, the name and form of https://www.w3.org/TR/tabular-metadata/ (``notes``).

The hash is one of hashes: of the files that answers come from (metadata, terminology, annotation,
hemispheres). It is the same whether it is put together from the record of an installation or from
the files themselves, so results from different machines can be compared.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from bg_atlasapi.store import inventory

KEY = "bg_atlasapi"
TOOL = "bg-atlasapi"
_DESCRIPTION_BYTES = 79  # what a NIfTI header has room for
_NIFTI_COMMENT = "comment"
_PACKAGED = ("metadata.json", "structures.json", "annotation.tiff", "hemispheres.tiff")
_ARRAYS = ("annotation", "hemispheres")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where one result comes from.

    Parameters
    ----------
    atlas, version
        Name (with resolution) and version of the atlas.
    resolution_um
        Voxel size that was asked of, along each axis.
    sha256
        Of the atlas's data, see the module; None where its files cannot all be named.
    edited
        Volumes that the caller had changed or replaced when the question was asked.
    question
        What was asked, for example ``"count"``.
    options
        How, plain values.
    tool_version
        Of this package; empty where it is not installed.
    created
        When, ISO 8601, UTC.
    """

    atlas: str
    version: str
    resolution_um: tuple[float, ...]
    sha256: str | None
    edited: tuple[str, ...]
    question: str
    options: Mapping[str, Any] = field(default_factory=dict)
    tool_version: str = ""
    created: str = ""
    tool: str = TOOL

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values for JSON."""
        stated: dict[str, Any] = _plain(asdict(self))
        return stated

    def to_json(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    def to_sentence(self) -> str:
        """Return it in a few words, for people."""
        return f"{self.question} of {self.atlas} {self.version}, {self.tool} {self.tool_version}"


def provenance_of(
    atlas: Any, question: str, options: Mapping[str, Any] | None = None
) -> Provenance:
    """Return where a result comes from, as of now.

    Parameters
    ----------
    atlas
        An atlas of this package.
    question
        What was asked, for example ``"count"``.
    options
        How; any values, kept as plain ones or as text.
    """
    root_dir = getattr(atlas, "root_dir", None)
    named = inventory.identify(root_dir) if root_dir is not None else None
    metadata = atlas.metadata
    grouping = getattr(atlas, "grouping", None)
    told = {} if grouping is None else _plain(grouping)
    name = getattr(atlas, "atlas_name", None) or (named[1] if named else metadata.get("name", ""))
    return Provenance(
        atlas=str(name),
        version=str(metadata.get("version") or (named[2] if named else "")),
        resolution_um=tuple(float(size) for size in atlas.resolution),
        sha256=data_sha256(root_dir) if root_dir is not None else None,
        edited=tuple(one for one in _ARRAYS if _is_edited(atlas, one)),
        question=question,
        options=_plain({**told, **(options or {})}),
        tool_version=_tool_version(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _is_edited(atlas: Any, name: str) -> bool:
    assigned = name in getattr(atlas, "__dict__", {})
    ask = getattr(atlas, "_edited", None)
    below = getattr(atlas, "base", None)  # of a grouped atlas
    edited = assigned or (ask is not None and bool(ask(name)))
    return edited or (below is not None and _is_edited(below, name))


def _tool_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(TOOL)
    except PackageNotFoundError:
        return ""


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if hasattr(value, "stamp"):  # a grouping
        return {"grouping": value.name, **value.stamp()}
    if hasattr(value, "tolist"):  # numpy's numbers and arrays
        return _plain(value.tolist())
    if isinstance(value, float) and value - value != 0:  # NaN and infinity, which JSON lacks
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def data_sha256(root_dir: Path) -> str | None:
    """Return the hash of the data of an atlas: of its files' keys and hashes.

    Parameters
    ----------
    root_dir
        The atlas's folder (of a component atlas, the folder of its manifest).

    Returns
    -------
    str or None
        Hexadecimal; None if the atlas has files that are not here, and of which no hash is known.
    """
    base, parts = _parts(root_dir)
    recorded = _recorded(root_dir, base, parts)
    try:
        hashes = recorded or {key: _hash_now(base / key) for key in _keys(base, parts)}
    except OSError:
        return None
    if not hashes or not all(hashes.values()):  # of an atlas in memory there are no files
        return None
    lines = "".join(f"{key}\0{hashes[key]}\n" for key in sorted(hashes))
    return hashlib.sha256(lines.encode()).hexdigest()


def _parts(root_dir: Path) -> tuple[Path, tuple[str, ...]]:
    """Return a base folder, and the files and folders in it that answers come from."""
    from bg_atlasapi.formats import components, packaged, terminology_csv

    if not packaged.is_there(root_dir / components.MANIFEST):
        return root_dir, _PACKAGED
    manifest = components.read_manifest(root_dir)
    store = root_dir.parents[2]
    paths = (
        root_dir / components.MANIFEST,
        manifest.terminology.folder / terminology_csv.NAME,
        manifest.annotation_set.folder / components.ANNOTATION,
        manifest.annotation_set.folder / components.HEMISPHERES,
    )
    base = store if all(path.is_relative_to(store) for path in paths) else manifest.store
    return base, tuple(_relative(path, base) for path in paths)


def _relative(path: Path, base: Path) -> str:
    found = path if path.is_relative_to(base) else path.resolve()
    return found.relative_to(base).as_posix()


def _recorded(root_dir: Path, base: Path, parts: tuple[str, ...]) -> dict[str, str]:
    """Return the hashes that are known of an installation; empty if it is not recorded."""
    place = inventory.identify(root_dir)
    known = inventory.load(*place) if place else None
    if place is None or known is None or inventory.base_of(place[0], known) != base:
        return {}
    hashes = {key: entry.sha256 for key, entry in known.entries.items()}
    if inventory.path_of(*place).with_suffix(inventory.AWAITED).exists():
        from bg_atlasapi.store.awaited import Awaited

        published = Awaited.of(*place).keys.items()
        hashes = {key: listed.sha256 or "" for key, listed in published} | hashes
    folders = tuple(f"{part}/" for part in parts)
    return {key: one for key, one in hashes.items() if key in parts or key.startswith(folders)}


def _keys(base: Path, parts: tuple[str, ...]) -> Iterator[str]:
    for part in parts:
        path = base / part
        if path.is_dir():
            for one in path.rglob("*"):  # a hidden file is an operating system's, unless Zarr's
                if one.is_file() and (not one.name.startswith(".") or one.name.startswith(".z")):
                    yield one.relative_to(base).as_posix()
        elif path.exists():
            yield part


def _hash_now(path: Path) -> str:
    stated = path.stat()
    return _hash(path, stated.st_size, stated.st_mtime_ns)


@functools.lru_cache(maxsize=1 << 14)
def _hash(path: Path, _size: int, _mtime_ns: int) -> str:
    """Return the hash of a file, worked out anew once it was touched."""
    return inventory.sha256_of(path)


def sidecar_of(path: Path) -> Path:
    """Return where the provenance of a csv, tsv or json table lies: ``cells.csv-metadata.json``."""
    return path.with_name(f"{path.name}-metadata.json")


def sidecar_text(path: Path, provenance: Provenance) -> str:
    """Return what the sidecar of a table says, as "CSV on the web" has it."""
    stated: dict[str, Any] = {
        "@context": "http://www.w3.org/ns/csvw",
        "url": path.name,
        "notes": [{KEY: provenance.to_dict()}],
    }
    if path.suffix.lower() == ".tsv":
        stated["dialect"] = {"delimiter": "\t"}
    return json.dumps(stated, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def parquet_metadata(
    known: Mapping[bytes, bytes] | None, provenance: Provenance
) -> dict[bytes, bytes]:
    """Return the metadata of a pyarrow schema with provenance added to what is known."""
    return {**(known or {}), KEY.encode(): provenance.to_json().encode()}


def into_nifti(image: Any, provenance: Provenance) -> None:
    """Put provenance into the header of a nibabel image: an extension, and ``descrip``."""
    nib: Any = import_module("nibabel")
    text = json.dumps({KEY: provenance.to_dict()}, ensure_ascii=False, allow_nan=False)
    extension = nib.nifti1.Nifti1Extension(_NIFTI_COMMENT, text.encode())
    image.header.extensions.append(extension)
    image.header["descrip"] = provenance.to_sentence().encode()[:_DESCRIPTION_BYTES]
