"""Where results come from is written into every output."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bg_atlasapi
from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.core import Atlas
from bg_atlasapi.formats import provenance, table_files
from bg_atlasapi.formats.provenance import KEY, data_sha256, provenance_of
from bg_atlasapi.store import inventory

NAME = "phantom_mouse_100um"
PHANTOM = Path(bg_atlasapi.__file__).parent / "data" / f"{NAME}_v1.0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the embedded atlas, which nothing is recorded of."""
    return Path(shutil.copytree(PHANTOM, tmp_path / PHANTOM.name))


def test_what_is_stated() -> None:
    """Name, version, voxel size, hash, tool, question, options and time, all plain JSON."""
    options = {"at": [np.int64(5)], "path": Path("a"), "limit": float("nan"), "flag": np.True_}
    stated = provenance_of(BrainGlobeAtlas(NAME), "count", options).to_dict()
    assert (stated["atlas"], stated["version"], stated["question"]) == (NAME, "1.0", "count")
    assert stated["resolution_um"] == [100, 100, 100]
    assert stated["options"] == {"at": [5], "path": "a", "limit": "nan", "flag": True}
    assert (stated["tool"], len(stated["sha256"]), stated["edited"]) == ("bg-atlasapi", 64, [])
    assert stated["created"].endswith("+00:00")
    json.dumps(stated, allow_nan=False)


def test_edits_are_confessed() -> None:
    """A volume that was changed, or assigned, is named; one that was only read is not."""
    atlas = BrainGlobeAtlas(NAME)
    assert atlas.annotation.any()
    assert provenance_of(atlas, "count").edited == ()
    atlas.annotation[0, 0, 0] = 997
    assert provenance_of(atlas, "count").edited == ("annotation",)
    atlas.hemispheres = atlas.hemispheres * 1
    assert provenance_of(atlas, "count").edited == ("annotation", "hemispheres")


def test_the_hash_is_of_what_answers_come_from(folder: Path) -> None:
    """It changes with the annotation, not with meshes or the place of the folder."""
    before = data_sha256(folder)
    assert before == data_sha256(PHANTOM)
    shutil.rmtree(folder / "meshes")
    assert data_sha256(folder) == before
    content = bytearray((folder / "annotation.tiff").read_bytes())
    content[-1] ^= 1
    (folder / "annotation.tiff").write_bytes(content)
    assert data_sha256(folder) not in (before, None)


def test_a_recorded_hash_is_the_hash_of_the_files(folder: Path) -> None:
    """The record of an installation gives the same hash, without reading the files."""
    before = data_sha256(folder)
    keys = [one.name for one in folder.iterdir() if one.is_file()]
    found = [(key, 1, inventory.sha256_of(folder / key)) for key in keys]
    entries = inventory.stamped(folder, found)
    record = inventory.Inventory(NAME, "1.0", inventory.PACKAGES, "", "", entries)
    inventory.store(folder.parent, record)
    (folder / "annotation.tiff").unlink()
    assert data_sha256(folder) == before


def test_a_component_atlas_has_a_hash(tmp_path: Path) -> None:
    """Manifest, terminology and the chunks of the annotation make it."""
    made = BrainGlobeAtlas(NAME).export(tmp_path / "a", format="components")
    first = data_sha256(made)
    assert first is not None
    assert provenance_of(Atlas.from_path(made), "count").atlas == NAME
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    shutil.rmtree(tmp_path / "b" / ".bg_atlasapi", ignore_errors=True)
    other = tmp_path / "b" / made.relative_to(tmp_path / "a")
    assert data_sha256(other) == first
    chunk = next(
        one for one in (tmp_path / "b").rglob("annotations_compressed*/**/c/**/0") if one.is_file()
    )
    chunk.write_bytes(chunk.read_bytes() + b"x")
    assert data_sha256(other) != first


def written(path: Path) -> Any:
    """Write a table with provenance and return the table as read back."""
    frame = pd.DataFrame({"id": [1, 2], "name": ["a", "b"]})
    stated = provenance_of(BrainGlobeAtlas(NAME), "count", {"unit": "um"})
    table_files.write_table(frame, path, provenance=stated)
    return stated


@pytest.mark.parametrize("extension", ["csv", "tsv", "json"])
def test_text_tables_get_a_sidecar(tmp_path: Path, extension: str) -> None:
    """The table stays plain; its provenance lies beside it as "CSV on the web" has it."""
    path = tmp_path / f"t.{extension}"
    stated = written(path)
    beside = json.loads(path.with_name(f"t.{extension}-metadata.json").read_text())
    assert beside["@context"] == "http://www.w3.org/ns/csvw"
    assert beside["url"] == path.name
    assert beside["notes"] == [{KEY: stated.to_dict()}]
    assert ("dialect" in beside) == (extension == "tsv")
    assert len(list(tmp_path.iterdir())) == 2
    assert len(pd.read_json(path) if extension == "json" else pd.read_csv(path)) == 2


def test_parquet_keeps_it_inside(tmp_path: Path) -> None:
    """The schema's metadata holds it, and pandas' own beside it."""
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "t.parquet"
    stated = written(path)
    metadata = parquet.read_schema(path).metadata
    assert json.loads(metadata[KEY.encode()]) == stated.to_dict()
    assert b"pandas" in metadata
    assert [one.name for one in tmp_path.iterdir()] == ["t.parquet"]
    assert pd.read_parquet(path)["name"].tolist() == ["a", "b"]


def test_nifti_keeps_it_in_its_header(tmp_path: Path) -> None:
    """An extension of the header holds all, the description a sentence."""
    nib = pytest.importorskip("nibabel")
    image = nib.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4))
    stated = provenance_of(BrainGlobeAtlas(NAME), "paint")
    provenance.into_nifti(image, stated)
    nib.save(image, tmp_path / "i.nii.gz")
    header = nib.load(tmp_path / "i.nii.gz").header
    assert bytes(header["descrip"].tolist()).startswith(b"paint of phantom_mouse_100um 1.0")
    text = header.extensions[0].text if hasattr(header.extensions[0], "text") else None
    text = text or header.extensions[0].get_content().decode()
    assert json.loads(text.rstrip("\0"))[KEY] == stated.to_dict()
