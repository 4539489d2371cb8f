"""Six real atlases built from the files their authors published, by the recipes in ``recipes``."""

from __future__ import annotations

import json
import math
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.build import pipeline, recipe_files
from bg_atlasapi.build.mesh_quality import quality_of
from bg_atlasapi.build.pipeline import Built, Wish

CHECKOUT = Path(__file__).resolve().parents[2]
RECIPES = CHECKOUT / "recipes"
NAMES = sorted(one.stem for one in RECIPES.glob("*.toml"))


def built(name: str, sources: Path, target: Path, *formats: str) -> Built:
    """Build a recipe without meshes, which have tests of their own."""
    wish = Wish(target, formats or pipeline.FORMATS, meshes=False)
    return pipeline.build(RECIPES / f"{name}.toml", wish, folder=sources)


def codes(made: Built) -> dict[str, int]:
    """Return how many findings there are of each code."""
    found = [one.code for one in made.findings]
    return {code: found.count(code) for code in found}


def as_asr(path: Path) -> npt.NDArray[np.float64]:
    """Return a NIfTI file as "asr", turned by nibabel and never by the code under test."""
    image = nib.load(path)
    wanted = nib.orientations.axcodes2ornt(("P", "I", "L"))  # where each axis leads to
    turn = nib.orientations.ornt_transform(nib.io_orientation(image.affine), wanted)
    turned: npt.NDArray[np.float64] = image.as_reoriented(turn).get_fdata()
    return turned


def nrrd(path: Path) -> npt.NDArray[np.generic]:
    """Return the voxels of an NRRD file, read by pynrrd."""
    import nrrd as reader

    return np.asarray(reader.read(str(path))[0])


def test_all_recipes_are_sound(shared_data: Path) -> None:
    """Each names files that are what it says, and headers that fit together."""
    assert len(NAMES) == 6
    for name in NAMES:
        checked = recipe_files.check(RECIPES / f"{name}.toml", shared_data)
        assert not [one for one in checked.findings if one.severity == "error"], name
        assert all(one.sha256 for one in checked.recipe.sources), name
        assert "/" not in str(checked.recipe.sources[0].stated)[:1], name


def test_allen_100um_with_meshes(shared_data: Path, tmp_path: Path) -> None:
    """Both generations hold the published voxels, 840 structures, and a mesh for each with voxels."""
    wish = Wish(tmp_path)
    made = pipeline.build(RECIPES / "allen_mouse_100um.toml", wish, folder=shared_data)
    folder = shared_data / "allen_ccf_2017"
    for form in pipeline.FORMATS:
        atlas = BrainGlobeAtlas.from_path(made.paths[form])
        assert np.array_equal(atlas.annotation, nrrd(folder / "annotation_100.nrrd"))
        assert np.array_equal(atlas.reference, nrrd(folder / "average_template_100.nrrd"))
        assert len(atlas.structures) == 840
        assert atlas.structures["VISp"]["structure_id_path"][:3] == [997, 8, 567]
        assert "10.1016/j.cell.2020.04.007" in atlas.metadata["citation"]
        meshes = atlas._model.meshes
        assert sum(meshes.has(one["id"]) for one in atlas.structures_list) == 837
        quality = quality_of(meshes.read(997))
        assert quality.watertight
        voxels = int(atlas.mask("root").sum())
        assert math.isclose(quality.volume_um3, voxels * 100**3, rel_tol=0.01)
    found = codes(made)
    assert found["structure-without-voxels"] == 3
    assert found["allen-frame"] == 2
    assert not {"mesh-missing", "mesh-open", "mesh-far"} & set(found)


def test_allen_25um_with_levels(shared_data: Path, tmp_path: Path) -> None:
    """25 µm and two coarser levels in one store: the finest is the published one."""
    made = built("allen_mouse_25um", shared_data, tmp_path, "components")
    atlas = BrainGlobeAtlas.from_path(made.paths["components"])
    published = nrrd(shared_data / "allen_ccf_2017" / "annotation_25.nrrd")
    assert np.array_equal(np.asarray(atlas.volumes["annotation"]), published)
    assert [one[0] for one in atlas.volumes["annotation"].levels] == [25, 50, 100]
    coarse = BrainGlobeAtlas("allen_mouse_50um", tmp_path)
    assert coarse.shape == (264, 160, 228)
    fine = int(atlas.mask("CTX").sum()) * 25**3
    assert math.isclose(int(coarse.mask("CTX").sum()) * 50**3, fine, rel_tol=0.01)


def test_waxholm_rat(shared_data: Path, tmp_path: Path) -> None:
    """ITK-SNAP labels at 39.0625 µm with a real affine: turned, under a root, none lost."""
    made = built("whs_sd_rat", shared_data, tmp_path, "packaged")
    assert made.name == "whs_sd_rat_39.0625um"
    atlas = BrainGlobeAtlas.from_path(made.paths["packaged"])
    assert atlas.resolution == (39.0625,) * 3
    expected = as_asr(shared_data / "whs_rat" / "labels.nii.gz")
    assert np.array_equal(np.asarray(atlas.volumes["annotation"]), expected)
    assert len(atlas.structures) == 223
    assert atlas.structures["Subthalamic nucleus"].id == 3
    assert atlas.structures[3]["rgb_triplet"] == [0, 0, 255]
    found = codes(made)
    assert found["root-added"] == found["acronyms-made"] == found["template-missing"] == 1
    assert "label-without-structure" not in found


def test_schaefer_tian(shared_data: Path, tmp_path: Path) -> None:
    """A BIDS atlas of 1,054 labels under a root, at 1 mm."""
    made = built("schaefer_tian_1054", shared_data, tmp_path)
    atlas = BrainGlobeAtlas.from_path(made.paths["components"])
    (path,) = shared_data.glob("human_schaefer_tian_bids/*N1000*/*_dseg.nii.gz")
    assert np.array_equal(atlas.annotation, as_asr(path))
    assert len(atlas.structures) == 1055
    assert atlas.structures["LH_Vis_1"].id == 1
    assert atlas.structures["root"].id == 1055
    assert atlas.resolution == (1000.0,) * 3
    table = atlas.region_table()
    assert (table.loc[table["acronym"] != "root", "own_voxels"] > 0).all()
    assert codes(made)["colours-made"] == 1


def test_marmoset(shared_data: Path, tmp_path: Path) -> None:
    """Labels stored as floats become whole numbers; both templates are there, scaled as stated."""
    made = built("marmoset_mbm", shared_data, tmp_path)
    folder = shared_data / "marmoset_mbmv3"
    for form in pipeline.FORMATS:
        atlas = BrainGlobeAtlas.from_path(made.paths[form])
        expected = as_asr(folder / "tpl-MBMv3_seg-paxinos_dseg.nii.gz")
        assert np.array_equal(atlas.annotation, expected)
        assert np.asarray(atlas.annotation).dtype.kind == "u"
        assert [*atlas.metadata["additional_references"]] == ["T1w"]
        t1 = as_asr(folder / "tpl-MBMv3_T1w.nii.gz")
        stored = np.asarray(atlas.additional_references["T1w"])
        assert stored.dtype == np.uint16
        assert np.corrcoef(stored.ravel(), t1.ravel())[0, 1] > 0.999999
    found = codes(made)
    assert found["template-scaled"] == 2
    assert found["structure-without-voxels"] >= 19


def test_gubra(shared_data: Path, tmp_path: Path) -> None:
    """The wrong voxel size and the two labels missing from the table are findings, and overridden."""
    made = built("gubra_lsfm_mouse", shared_data, tmp_path, "packaged")
    assert made.name == "gubra_lsfm_mouse_25um"
    atlas = BrainGlobeAtlas.from_path(made.paths["packaged"])
    found = codes(made)
    assert found["spacing-contradiction"] == 1
    missing = [one for one in made.findings if one.code == "label-without-structure"]
    assert sorted(one.where for one in missing) == ["label 667", "label 68"]
    assert all(one.severity == "warning" for one in missing)
    added = [one for one in atlas.structures_list if one["acronym"].startswith("unlisted-")]
    assert sorted(one["id"] for one in added) == [68, 667]
    assert {tuple(one["structure_id_path"][:1]) for one in added} == {(997,)}
    expected = as_asr(shared_data / "mouse_gubra_lsfm" / "gubra_ano_olf_collapsed.nii.gz")
    assert np.array_equal(np.asarray(atlas.volumes["annotation"]), expected)
    assert atlas.resolution == (25.0,) * 3


def test_gubra_without_its_overrides(shared_data: Path, tmp_path: Path) -> None:
    """As the files stand, the missing labels stop the build and the voxel size is doubted."""
    text = (RECIPES / "gubra_lsfm_mouse.toml").read_text()
    plain = text.replace('unlisted = "add"\n', "").replace("[space]\nresolution_um = 25\n", "")
    assert plain != text
    path = tmp_path / "gubra.toml"
    path.write_text(plain)
    checked = recipe_files.check(path, shared_data)
    assert "spacing-unlikely" in {one.code for one in checked.findings}
    with pytest.raises(pipeline.InvalidAtlasError) as caught:
        pipeline.build(path, Wish(tmp_path / "out", meshes=False), folder=shared_data)
    assert {"label-without-structure"} <= {one.code for one in caught.value.findings}


def test_records_hold_no_path_of_this_machine(shared_data: Path, tmp_path: Path) -> None:
    """What a build says of itself names files as the recipe does."""
    made = built("marmoset_mbm", shared_data, tmp_path, "packaged")
    text = (tmp_path / "reports" / f"{made.name}_v3.0.json").read_text()
    assert str(shared_data) not in text
    assert json.loads(text)["version"] == "3.0"
    assert str(shared_data) not in made.paths["report"].read_text(encoding="utf-8")
