"""Meshes of hemispheres: asked for in a recipe, written beside the others, read from either layout."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from bg_atlasapi import BrainGlobeAtlas, update_atlases
from bg_atlasapi.build import pipeline
from bg_atlasapi.build.mesh_quality import quality_of
from bg_atlasapi.build.pipeline import Built, Wish
from bg_atlasapi.errors import IncompleteAtlasError, InvalidInputError
from bg_atlasapi.formats import registry
from bg_atlasapi.model.space import LEFT, RIGHT
from bg_atlasapi.testing.server import Server

PHANTOM = BrainGlobeAtlas("phantom_mouse_100um")
RECIPE = """\
name = "halves"
version = "1.0"
species = "Mus musculus"

[space]
orientation = "asr"
resolution_um = 100

[annotation]
path = "annotation.tiff"

[template]
path = "reference.tiff"

[table]
path = "structures.json"

[meshes]
hemispheres = true
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Return the phantom, built in both layouts with meshes of whole structures and of halves."""
    pytest.importorskip("scipy", reason="meshes need the extra 'build'")
    folder = tmp_path_factory.mktemp("halves")
    (folder / "halves.toml").write_text(RECIPE)
    wish = Wish(folder / "out", workers=1)
    return pipeline.build(folder / "halves.toml", wish, folder=PHANTOM.root_dir)


@pytest.mark.parametrize("form", pipeline.FORMATS)
def test_both_layouts_hold_halves_that_make_the_whole(built: Built, form: str) -> None:
    """Left and right are closed, lie on their sides, and hold together what the whole holds."""
    model = registry.open_atlas(built.paths[form])
    middle = model.space.shape[2] * 100 / 2
    for acronym in ("root", "VISp", "TH"):
        identifier = PHANTOM.structures[acronym].id
        left, right = (model.side_meshes[side].read(identifier) for side in (LEFT, RIGHT))
        assert left.points[:, 2].min() > middle - 60
        assert right.points[:, 2].max() < middle + 60
        volumes = [quality_of(one).volume_um3 for one in (left, right)]
        whole = quality_of(model.meshes.read(identifier)).volume_um3
        assert sum(volumes) == pytest.approx(whole, rel=0.02)
        assert quality_of(left).watertight


@pytest.mark.parametrize("form", pipeline.FORMATS)
def test_halves_are_asked_for_by_hemisphere(built: Built, form: str) -> None:
    """mesh_from_structure takes a hemisphere, of one structure or a list, pickled or not."""
    atlas = pickle.loads(pickle.dumps(BrainGlobeAtlas.from_path(built.paths[form])))
    whole = atlas.mesh_from_structure("VISp")
    left, right = (atlas.mesh_from_structure("VISp", hemisphere=one) for one in ("left", "right"))
    assert np.ptp(left.points[:, 2]) < np.ptp(whole.points[:, 2])
    assert left.points[:, 2].min() > right.points[:, 2].max()
    both = atlas.mesh_from_structure(["VISp", "TH"], hemisphere="left")
    assert np.array_equal(both[0].points, left.points)
    with pytest.raises(InvalidInputError, match="'left', 'right' or 'both'"):
        atlas.mesh_from_structure("VISp", hemisphere="top")


def test_an_atlas_without_halves_says_how_to_get_them() -> None:
    """Nothing is made up where the atlas holds whole meshes only."""
    with pytest.raises(IncompleteAtlasError, match="hemispheres = true"):
        PHANTOM.mesh_from_structure("VISp", hemisphere="left")


def test_other_tools_see_the_folders_of_meshes_that_they_know(built: Built) -> None:
    """Halves lie beside them: brainglobe-atlasapi takes every file in there for that of an id."""
    package, store = built.paths["packaged"], built.paths["components"].parents[2]
    assert {one.name for one in package.iterdir() if one.is_dir()} == {
        *("meshes", "meshes_left", "meshes_right")
    }
    folders = [package / "meshes", *store.glob("annotation-sets/*/*/annotations.precomputed/mesh")]
    assert len(folders) == 2
    for folder in folders:
        names = [one for one in folder.iterdir() if one.name != "info" and one.suffix != ".index"]
        assert {int(one.stem) for one in names} == {one["id"] for one in PHANTOM.structures_list}
    (info,) = store.glob("annotation-sets/*/*/annotations.precomputed/mesh_left/info")
    assert "neuroglancer_multilod_draco" in info.read_text()


@pytest.mark.parametrize("where", ["", "/packages"])
def test_halves_are_published_and_installed(built: Built, tmp_path: Path, where: str) -> None:
    """Whoever adds the atlas has them too, and every file is verified."""
    with Server(built.paths["components"].parents[3]) as server:
        added = update_atlases.add_atlas(f"{server.url}{where}", brainglobe_dir=tmp_path)
        assert update_atlases.verify_atlas("halves_100um", brainglobe_dir=tmp_path).sound
    atlas = BrainGlobeAtlas.from_path(added.path)
    assert len(atlas.mesh_from_structure("VISp", hemisphere="right").points) > 50


def test_groups_have_no_halves_of_other_structures(built: Built) -> None:
    """A grouped atlas does not hand out a mesh under an id that means something else there."""
    grouped = BrainGlobeAtlas.from_path(built.paths["packaged"]).group(["VISp", "TH"])
    with pytest.raises(IncompleteAtlasError):
        grouped.mesh_from_structure("VISp", hemisphere="left")
