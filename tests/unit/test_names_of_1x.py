"""Listing, installing, updating and the helpers of 1.x."""

from __future__ import annotations

from pathlib import Path

import meshio
import numpy as np
import pytest

from bg_atlasapi import BrainGlobeAtlas, available_atlases, show_atlases, utils
from bg_atlasapi.bg_atlas import _version_str_from_tuple, _version_tuple_from_str
from bg_atlasapi.errors import InvalidInputError, OfflineError, UnknownAtlasError
from bg_atlasapi.list_atlases import (
    get_all_atlases_lastversions,
    get_atlases_lastversions,
    get_downloaded_atlases,
    get_local_atlas_version,
)
from bg_atlasapi.structure_class import Structure, StructuresDict
from bg_atlasapi.structure_tree_util import child_ids, get_structures_tree
from bg_atlasapi.testing import tiny_package
from bg_atlasapi.update_atlases import install_atlas, update_atlas

THREE = [
    {"acronym": acronym, "id": path[-1], "name": name, "structure_id_path": path}
    | {"rgb_triplet": [255, 255, 255], "mesh_filename": None}
    for acronym, name, path in (
        ("root", "root", [997]),
        ("grey", "Basic cell groups and regions", [997, 8]),
        ("CH", "Cerebrum", [997, 8, 567]),
    )
]


@pytest.fixture
def brainglobe_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an atlas folder with two versions of a tiny atlas the one in force."""
    tiny_package(tmp_path, version="0.9")
    tiny_package(tmp_path, version="0.10")
    monkeypatch.setenv("BRAINGLOBE_DIR", str(tmp_path))
    return tmp_path


def name_in(folder: Path) -> str:
    """Return the name of the tiny atlas."""
    return next(folder.glob("*_v0.10")).name.removesuffix("_v0.10")


def test_listing(brainglobe_dir: Path) -> None:
    """What lies in the folder is listed, newest version first in mind, with the embedded atlas."""
    name = name_in(brainglobe_dir)
    assert get_downloaded_atlases() == sorted([name, "phantom_mouse_100um"])
    assert get_local_atlas_version(name) == "0.10"
    table = available_atlases()
    assert table.loc[table["name"] == name, "versions"].tolist() == [("0.10", "0.9")]
    with pytest.raises(UnknownAtlasError):
        get_local_atlas_version("allen_mouse_1um")


def test_damaged_atlases_are_still_listed(brainglobe_dir: Path) -> None:
    """A folder that cannot be read appears without description, so that it can be found."""
    (brainglobe_dir / "broken_mouse_10um_v1.0" / "meshes").mkdir(parents=True)
    row = available_atlases(brainglobe_dir).set_index("name").loc["broken_mouse_10um"]
    assert row["species"] is None or row.isna()["species"]
    show_atlases()


def test_show_atlases_prints_a_table(
    brainglobe_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table of 1.x, for what is on this machine."""
    show_atlases(show_local_path=True)
    shown = capsys.readouterr().out
    assert "Brainglobe Atlases" in shown
    assert "phantom_mouse_100um" in shown
    assert name_in(brainglobe_dir) in shown


def test_newest_version_wins_and_version_picks(brainglobe_dir: Path) -> None:
    """0.10 is newer than 0.9; ``version=`` opens the other."""
    name = name_in(brainglobe_dir)
    assert BrainGlobeAtlas(name).local_version == (0, 10)
    assert BrainGlobeAtlas(name, version="0.9").local_full_name == f"{name}_v0.9"
    with pytest.raises(UnknownAtlasError, match=r"no version 7.0 .* there are: 0.10, 0.9"):
        BrainGlobeAtlas(name, version="7.0")
    with pytest.raises(InvalidInputError, match=r"like '1.2'"):
        BrainGlobeAtlas(name, version="newest")


def test_resolution_completes_the_name() -> None:
    """``resolution=`` finds the atlas of that voxel size."""
    assert BrainGlobeAtlas("phantom_mouse", resolution=100).atlas_name == "phantom_mouse_100um"
    with pytest.raises(UnknownAtlasError, match="Did you mean phantom_mouse_100um"):
        BrainGlobeAtlas("phantom_mouse", resolution=25)


def test_unknown_names_are_answered_with_close_ones() -> None:
    """A misspelt name says what was meant, where was looked, and how to go on."""
    with pytest.raises(ValueError, match="Did you mean phantom_mouse_100um") as caught:
        BrainGlobeAtlas("fantom_mouse_100um")
    assert "brainglobe list" in str(caught.value)


def test_unknown_keywords_are_refused() -> None:
    """A misspelt keyword is a TypeError, not silence."""
    with pytest.raises(TypeError):
        BrainGlobeAtlas("phantom_mouse_100um", print_authors=False)  # type: ignore[call-arg]


def test_opening_writes_nothing(tmp_path: Path) -> None:
    """1.x made folders and a configuration file; opening an atlas leaves no trace."""
    atlas = BrainGlobeAtlas("phantom_mouse_100um", tmp_path / "none", tmp_path / "neither")
    assert atlas.interm_download_dir == tmp_path / "neither"
    assert list(tmp_path.iterdir()) == []
    assert list(Path.home().iterdir()) == []


def test_remotes_raise_the_right_error(
    brainglobe_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything that needs the network says so when it is off, as an error old code catches."""
    monkeypatch.delenv("BRAINGLOBE_REMOTES")
    monkeypatch.setenv("BRAINGLOBE_OFFLINE", "1")
    atlas = BrainGlobeAtlas("phantom_mouse_100um")
    assert (atlas.remote_version, atlas.remote_url, atlas.check_latest_version()) == (None,) * 3
    assert utils.check_internet_connection(raise_error=False) is False
    for call in (
        get_all_atlases_lastversions,
        get_atlases_lastversions,
        atlas.download_extract_file,
        utils.check_internet_connection,
        lambda: utils.retrieve_over_http("http://x/y", brainglobe_dir / "x"),
        lambda: utils.get_download_size("http://x/y"),
        lambda: utils.conf_from_url("http://x/y"),
        lambda: install_atlas("allen_mouse_25um"),
    ):
        with pytest.raises(OfflineError, match="BRAINGLOBE_OFFLINE"):
            call()
    with pytest.raises(ConnectionError):
        install_atlas("allen_mouse_25um")
    with pytest.raises(UnknownAtlasError):
        update_atlas("allen_mouse_25um", force=True)
    with pytest.raises(ValueError, match="string"):
        install_atlas(3)  # type: ignore[arg-type]


def test_installing_what_is_here_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    """As in 1.x, an installed atlas is left alone."""
    assert install_atlas("phantom_mouse_100um").version_text == "1.0"
    assert capsys.readouterr().out == ""


def test_names_come_apart_and_together() -> None:
    """Atlas names with and without version."""
    parts = {"name": "kim_dev_mouse", "resolution": "20", "major_vers": "1", "minor_vers": "3"}
    assert utils.atlas_repr_from_name("kim_dev_mouse_20um_v1.3") == parts
    assert utils.atlas_repr_from_name("kim_dev_mouse_20um")["major_vers"] is None
    assert utils.atlas_name_from_repr("a_mouse", 25) == "a_mouse_25um"
    assert utils.atlas_name_from_repr("a_mouse", 25, 1, 2) == "a_mouse_25um_v1.2"
    assert _version_tuple_from_str("1.10") == (1, 10)
    assert _version_str_from_tuple((1, 10)) == "1.10"


def test_files_read_through_the_helpers_of_1x(brainglobe_dir: Path) -> None:
    """``read_json`` and ``read_tiff`` read an atlas's files."""
    folder = next(brainglobe_dir.glob("*_v0.9"))
    metadata = utils.read_json(folder / "metadata.json")
    volume = utils.read_tiff(str(folder / "annotation.tiff"))
    assert list(volume.shape) == metadata["shape"]
    assert volume.flags.writeable


def test_structures_by_any_key() -> None:
    """Id, float, string, acronym, name, numpy integer or the structure itself."""
    structures = StructuresDict(THREE)
    root = structures["root"]
    for key in (997, 997.0, "997", np.uint32(997), np.int64(997), root):
        assert structures[key] is root
        assert key in structures
    assert structures["Cerebrum"]["acronym"] == "CH"
    for key in ("nowhere", 1, -1, 2.5, None, float("nan"), [1], "²"):
        assert key not in structures
        with pytest.raises(KeyError):
            _ = structures[key]
    assert structures.get("nowhere") is None
    assert list(structures) == [997, 8, 567]
    assert structures.acronym_to_id_map == {"root": 997, "grey": 8, "CH": 567}
    assert repr(structures).startswith("root (997)\n")


def test_structures_are_dictionaries_with_relatives() -> None:
    """Entries by key or attribute; relatives by attribute."""
    structures = StructuresDict(THREE)
    grey = structures["grey"]
    assert isinstance(grey, Structure)
    assert (grey.id, grey.acronym, grey.name) == (8, "grey", "Basic cell groups and regions")
    assert (grey.rgb_triplet, grey.structure_id_path) == ([255] * 3, [997, 8])
    assert grey.depth == 1
    assert grey.parent is structures["root"]
    assert structures["root"].parent is None
    assert [s.acronym for s in grey.children] == ["CH"]
    assert [s.acronym for s in structures["CH"].ancestors] == ["root", "grey"]
    assert [s.acronym for s in structures["root"].descendants] == ["grey", "CH"]
    assert [s.acronym for s in structures["root"].leaves] == ["CH"]
    assert [s.acronym for s in structures.find("cereb")] == ["CH"]
    with pytest.raises(InvalidInputError, match="no relatives"):
        _ = Structure(acronym="alone").parent


def test_meshes_load_late_and_fail_as_in_1x(tmp_path: Path) -> None:
    """No file name warns; a wrong one raises meshio's error, which is also ours."""
    structures = StructuresDict(THREE)
    with pytest.warns(UserWarning, match="No mesh filename for region root"):
        assert structures["root"]["mesh"] is None
    structures["root"]["mesh_filename"] = tmp_path / "wrong.smh"
    with pytest.raises(meshio.ReadError, match="No valid mesh for region: root"):
        _ = structures["root"]["mesh"]
    (tmp_path / "root.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    structures["root"]["mesh_filename"] = tmp_path / "root.obj"
    mesh = structures["root"]["mesh"]
    assert isinstance(mesh, meshio.Mesh)
    assert mesh.cells_dict["triangle"].tolist() == [[0, 1, 2]]


def test_trees() -> None:
    """The treelib hierarchy of 1.x."""
    tree = get_structures_tree(THREE)
    assert {node.identifier: node.tag for node in tree.all_nodes()} == {
        997: "root (997)",
        8: "grey (8)",
        567: "CH (567)",
    }
    assert child_ids(997, THREE) == [8]
