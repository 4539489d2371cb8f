"""The real Allen atlas for other tools, read by their libraries; time and memory."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import numpy.typing as npt
import pytest
import trimesh

from bg_atlasapi.core import Atlas

LIMIT_MB = 400
EXPORT = """
import sys
from bg_atlasapi.core import Atlas
Atlas.from_path(sys.argv[1]).export(sys.argv[2], format=sys.argv[3])
status = open("/proc/self/status").read()
print(int(status.split("VmHWM:")[1].split()[0]) // 1024)
"""


def test_labels_of_the_published_file(
    allen_25um: Path, annotation_25um: npt.NDArray[np.uint32], tmp_path: Path
) -> None:
    """The NRRD is read as the Allen Institute's own: the same array, at the same voxel size."""
    folder = Atlas.from_path(allen_25um).export(tmp_path, format="nrrd")
    data, header = nrrd.read(str(folder / "annotation.nrrd"))
    assert data.dtype == np.int32
    assert data.max() == 614454277
    assert np.array_equal(data, annotation_25um)
    assert np.abs(header["space directions"]).sum(axis=0).tolist() == [0.025] * 3


def test_nifti_and_meshes_meet(allen_100um: Path, tmp_path: Path) -> None:
    """Labels equal; most vertices of a structure lie within a voxel of the box of its labels."""
    atlas = Atlas.from_path(allen_100um)
    (path,) = atlas.export(tmp_path, format="nifti").rglob("*_atlas-*_dseg.nii.gz")
    image = nibabel.load(path)
    labels = np.asarray(image.dataobj)
    assert np.array_equal(labels, atlas.annotation)
    assert nibabel.aff2axcodes(image.affine) == ("P", "I", "L")
    scene = trimesh.load(atlas.export(tmp_path, format="glb"))
    assert len(scene.geometry) == 839
    checked = 0
    for acronym in ("root", "VISp", "TH", "CB", "CA1", "MOB"):
        matrix, name = scene.graph[acronym]
        points = trimesh.transform_points(scene.geometry[name].vertices, matrix) * 1000
        ras = points * (-1, 1, 1)
        ras = ras[:, [0, 2, 1]]
        voxels = nibabel.affines.apply_affine(np.linalg.inv(image.affine), ras)
        inside = np.argwhere(atlas.get_structure_mask(acronym, values="binary"))
        low, high = inside.min(axis=0) - 1.5, inside.max(axis=0) + 1.5
        assert ((voxels > low) & (voxels < high)).all(axis=1).mean() > 0.99
        checked += 1
    assert checked == 6


def _nodes(node: dict[str, Any]) -> dict[int, dict[str, Any]]:
    found = {node["id"]: node}
    for child in node["children"]:
        found |= _nodes(child)
    return found


def test_the_graph_is_the_published_one(
    allen_100um: Path, shared_data: Path, tmp_path: Path
) -> None:
    """Acronym, name, colour and parent of all 840 structures are those of the ontology."""
    path = Atlas.from_path(allen_100um).export(tmp_path, format="allen-json")
    ours = _nodes(json.loads(path.read_bytes())["msg"][0])
    published = (shared_data / "allen_ccf_2017" / "1.json").read_bytes()
    theirs = _nodes(json.loads(published)["msg"][0])
    assert len(ours) == 840
    assert set(next(iter(ours.values()))) == set(next(iter(theirs.values())))
    keys = ("acronym", "name", "color_hex_triplet", "parent_structure_id")
    differing = [
        one for one in ours if [ours[one][k] for k in keys] != [theirs[one][k] for k in keys]
    ]
    assert differing == []


def test_compact_labels_come_back(allen_100um: Path, tmp_path: Path) -> None:
    """840 labels for ITK-SNAP; the table leads back to ids past 2**24."""
    atlas = Atlas.from_path(allen_100um)
    folder = atlas.export(tmp_path, format="itksnap")
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        ids = np.array([0, *(int(row["id"]) for row in csv.DictReader(file))])
    labels = np.asarray(nibabel.load(folder / "labels.nii.gz").dataobj)
    assert len(ids) == 841
    assert np.array_equal(ids[labels], atlas.annotation)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read off /proc")
@pytest.mark.parametrize("form", ["nifti", "nrrd", "tiff", "itksnap", "slicer"])
def test_memory(form: str, allen_25um: Path, tmp_path: Path) -> None:
    """Labels of 308 MB, read and turned in less memory than two copies of them."""
    command = [sys.executable, "-c", EXPORT, str(allen_25um), str(tmp_path), form]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert int(done.stdout) < LIMIT_MB
