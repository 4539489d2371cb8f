"""What we export opens in the tools it is for, each run in its own environment."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.core import Atlas
from bg_atlasapi.testing import tiny_components, tiny_package

_ASK = """
import json, sys
import numpy as np
from {module} import BrainGlobeAtlas
atlas = BrainGlobeAtlas(sys.argv[2], brainglobe_dir=sys.argv[1], check_latest=False)
root = atlas.structures_list[0]["id"]
meshes = {{}}
for one in atlas.structures_list:
    if (atlas.structures[one["id"]]["mesh_filename"]).exists():
        mesh = atlas.mesh_from_structure(one["id"])
        faces = np.asarray(mesh.cells[0].data)
        meshes[one["id"]] = [mesh.points.min(0).tolist(), mesh.points.max(0).tolist(), len(faces),
                             np.asarray(mesh.points)[faces[0]].tolist()]
volumes = {{name: getattr(atlas, name) for name in ("annotation", "{reference}", "hemispheres")}}
for name in {references}:
    volumes["ref " + name] = atlas.additional_references[name]
np.savez(sys.argv[3] + ".npz", **volumes)
keys = ("id", "acronym", "name", "structure_id_path", "rgb_triplet")
facts = {{
    "structures": [{{key: one[key] for key in keys}} for one in atlas.structures_list],
    "shape": list(atlas.shape), "resolution": list(atlas.resolution),
    "descendants": atlas.get_structure_descendants(root), "meshes": meshes,
}}
json.dump(facts, open(sys.argv[3], "w"))
"""


Peer = Callable[[str], tuple[Path, dict[str, str]]]
Asked = Callable[[str, Path, str], tuple[dict[str, Any], dict[str, Any]]]


@pytest.fixture
def asked(peer_named: Peer, tmp_path: Path) -> Asked:
    """Return a function: peer, folder of atlases, name → what the peer says, and its volumes."""

    def ask(kind: str, layer: Path, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        python, env = peer_named(kind)
        in_3 = kind == "V3"
        code = _ASK.format(
            module="brainglobe_atlasapi" if in_3 else "bg_atlasapi",
            reference="template" if in_3 else "reference",
            references="atlas.additional_references.references_" + ("names" if in_3 else "list"),
        )
        out = tmp_path / f"{kind}.json"
        command = [str(python), "-c", code, str(layer), name, str(out)]
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(out.read_bytes()), dict(np.load(f"{out}.npz"))

    return ask


def compare(ours: Atlas, facts: dict[str, Any], volumes: dict[str, Any], steps: float) -> None:
    """Hold what the peer says against the source of the export."""
    keys = ("id", "acronym", "name", "structure_id_path", "rgb_triplet")
    assert facts["structures"] == [{key: one[key] for key in keys} for one in ours.structures_list]
    assert (facts["shape"], facts["resolution"]) == ([*ours.shape], [*ours.resolution])
    root = ours.structures_list[0]["id"]
    assert set(facts["descendants"]) == set(ours.get_structure_descendants(root))
    assert np.array_equal(volumes["annotation"], ours.annotation)
    template = volumes["template" if "template" in volumes else "reference"]
    assert np.array_equal(template, ours.reference)
    if not ours.metadata["symmetric"]:
        assert np.array_equal(volumes["hemispheres"], ours.hemispheres)
    references = [name for name in volumes if name.startswith("ref ")]
    assert len(references) == len(ours.metadata["additional_references"])
    for name, published in zip(references, ours.metadata["additional_references"], strict=True):
        assert np.array_equal(volumes[name], ours.additional_references[published])
    meshes = {s["id"]: s for s in ours.structures_list if ours._model.meshes.has(s["id"])}
    assert {int(one) for one in facts["meshes"]} == set(meshes)
    for identifier in meshes:
        mesh = ours._model.meshes.read(identifier)
        low, high, faces, corner = facts["meshes"][str(identifier)]
        allowed = steps * (np.ptp(mesh.points, axis=0).max() / 65535 / 2 + 0.0012)
        assert faces == len(mesh.triangles)
        assert np.abs(mesh.points.min(0) - low).max() <= allowed
        assert np.abs(mesh.points.max(0) - high).max() <= allowed
        assert np.abs(mesh.points[mesh.triangles[0]] - corner).max() <= allowed


@pytest.mark.parametrize("symmetric", [True, False])
def test_brainglobe_atlasapi_3_opens_our_stores(
    symmetric: bool, peer_named: Peer, asked: Asked, tmp_path: Path
) -> None:
    """A small atlas, with an additional reference and, if asymmetric, hemispheres."""
    peer_named("V3")
    source = tiny_package(
        tmp_path, symmetric=symmetric, resolution=(100.0, 50.0, 12.5), shape=(70, 9, 11)
    )
    ours = Atlas.from_path(source)
    ours.export(tmp_path / "v3")
    compare(ours, *asked("V3", tmp_path / "v3", "tiny_mouse_100um"), 1)


@pytest.mark.parametrize("symmetric", [True, False])
def test_bg_atlasapi_1_opens_our_packages(
    symmetric: bool, peer_named: Peer, asked: Asked, tmp_path: Path
) -> None:
    """Of an atlas that came from a component store."""
    peer_named("V1")
    ours = Atlas.from_path(tiny_components(tmp_path, symmetric=symmetric))
    ours.export(tmp_path / "v1", format="packaged")
    compare(ours, *asked("V1", tmp_path / "v1", "tiny_mouse_100um"), 1)


def test_the_real_atlas_opens_in_both(
    peer_named: Peer, asked: Asked, real_package: Path, tmp_path: Path
) -> None:
    """The Allen atlas: 840 structures, parents past 65535 (the peer needs pandas < 3.1)."""
    peer_named("V3")
    ours = Atlas.from_path(real_package)
    store = Atlas.from_path(ours.export(tmp_path / "v3"))
    store.export(tmp_path / "v1", format="packaged")
    compare(ours, *asked("V3", tmp_path / "v3", "allen_mouse_100um"), 1.2)
    compare(ours, *asked("V1", tmp_path / "v1", "allen_mouse_100um"), 1.2)


RECIPE = """
name = "boxes"
version = "1.0"
species = "Mus musculus"
[space]
orientation = "asr"
resolution_um = 100
levels_um = [200]
[annotation]
path = "labels.npy"
[template]
path = "template.npy"
[table]
path = "table.tsv"
[meshes]
build = false
"""


@pytest.mark.parametrize("size", [100, 200])
@pytest.mark.parametrize("kind", ["V3", "V1"])
def test_what_is_built_opens_in_the_peers(
    asked: Asked, tmp_path: Path, kind: str, size: int
) -> None:
    """Each level of a build opens in 3.x from the store and in 1.0.3 as a package."""
    from bg_atlasapi.build import pipeline

    labels = np.zeros((12, 10, 8), np.uint16)
    labels[2:10, 2:8, 2:6] = 5
    labels[4:8, 2:6, 2:6] = 6
    np.save(tmp_path / "labels.npy", labels)
    np.save(tmp_path / "template.npy", labels * 9 + 4)
    (tmp_path / "table.tsv").write_text("index\tname\n5\tOuter\n6\tInner\n")
    (tmp_path / "boxes.toml").write_text(RECIPE)
    form = "components" if kind == "V3" else "packaged"
    layer = tmp_path / "built"
    pipeline.build(tmp_path / "boxes.toml", pipeline.Wish(layer, (form,)))
    facts, volumes = asked(kind, layer, f"boxes_{size}um")
    ours = BrainGlobeAtlas(f"boxes_{size}um", layer, check_latest=False)
    compare(ours, facts, volumes, 1.0)
    assert ours.resolution == (size,) * 3
