"""Finding installed atlases by the names of folders."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from bg_atlasapi.errors import AtlasError, InvalidInputError, UnknownAtlasError
from bg_atlasapi.store import cache

EMBEDDED = "phantom_mouse_100um"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with atlases, several versions of one, and things that are none."""
    for name in (
        "allen_mouse_25um_v1.2",
        "allen_mouse_25um_v0.9",
        "allen_mouse_25um_v0.10",
        "allen_mouse_10um_v1.0",
        "allen_mouse_bluebrain_barrels_10um_v1.0",
        "whs_sd_rat_39um_v1.1",
        "example_2mm_v0.1",
        "no_version",
        "allen_mouse_50um_v1",
        "allen_mouse_50um_v1.2.3",
        ".hidden",
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metadata.json").touch()
    (tmp_path / "allen_mouse_100um_v1.2").write_text("a file, not a folder")
    (tmp_path / "last_versions.conf").write_text("[atlases]\n")
    return tmp_path


def test_folders_named_like_atlases_are_atlases(folder: Path) -> None:
    """Every version of every atlas is listed, oldest first, and nothing else."""
    found = [(a.name, a.version_text) for a in cache.installed([folder]) if a.name != EMBEDDED]
    assert found == [
        ("allen_mouse_10um", "1.0"),
        ("allen_mouse_25um", "0.9"),
        ("allen_mouse_25um", "0.10"),
        ("allen_mouse_25um", "1.2"),
        ("allen_mouse_bluebrain_barrels_10um", "1.0"),
        ("example_2mm", "0.1"),
        ("whs_sd_rat_39um", "1.1"),
    ]


def test_newest_wins() -> None:
    """0.10 is newer than 0.9: versions are numbers, not text."""
    nine, ten = (cache.parse_folder(Path(f"a_v0.{minor}")) for minor in (9, 10))
    assert nine is not None
    assert ten is not None
    assert cache.newest([ten, nine])["a"] == ten


def test_find_takes_the_newest(folder: Path) -> None:
    """Without a version the newest is opened; with one, that one, also spelt with a v."""
    assert cache.find("allen_mouse_25um", [folder]).version == (1, 2)
    shutil.rmtree(folder / "allen_mouse_25um_v1.2")
    assert cache.find("allen_mouse_25um", [folder]).version == (0, 10)
    assert cache.find("allen_mouse_25um", [folder], "0.9").path == folder / "allen_mouse_25um_v0.9"
    assert cache.find("allen_mouse_25um", [folder], " v0.10 ").version_text == "0.10"


def test_unknown_version_names_those_installed(folder: Path) -> None:
    """A version that is not here is answered with those that are."""
    with pytest.raises(UnknownAtlasError, match=r"installed: 0\.9, 0\.10, 1\.2"):
        cache.find("allen_mouse_25um", [folder], "3.0")


@pytest.mark.parametrize(
    "text", ["", "1", "1.2.3", "one", "1.", "-1.2", "latest", "9" * 5000 + ".1"]
)
def test_what_is_no_version(text: str) -> None:
    """Text that is no version is an error that shows how one is written."""
    with pytest.raises(InvalidInputError, match="write it like"):
        cache.parse_version(text)


@pytest.mark.parametrize("name", ["", "x", "_v1.0", "x_v1", "x_v1.0.0", "x_v1.0 ", "v1.0"])
def test_what_is_no_atlas_folder(name: str) -> None:
    """Folders named otherwise are left alone."""
    assert cache.parse_folder(Path(name)) is None


def test_only_the_last_version_of_a_name_counts() -> None:
    """A name may itself look as if it held a version."""
    atlas = cache.parse_folder(Path("mine_v1.0_v2.3"))
    assert atlas is not None
    assert (atlas.name, atlas.version) == ("mine_v1.0", (2, 3))


@pytest.mark.parametrize(
    ("name", "resolution", "expected"),
    [
        ("allen_mouse", 25, "allen_mouse_25um"),
        ("allen_mouse", 25.0, "allen_mouse_25um"),
        ("allen_mouse", 10, "allen_mouse_10um"),
        ("whs_sd_rat", 39.0625, "whs_sd_rat_39um"),
        ("whs_sd_rat", 39, "whs_sd_rat_39um"),
        ("example", 2000, "example_2mm"),
    ],
)
def test_find_by_resolution(folder: Path, name: str, resolution: float, expected: str) -> None:
    """A name without resolution is completed, in µm whatever unit the folder's name has."""
    assert cache.find(name, [folder], resolution=resolution).name == expected


@pytest.mark.parametrize("nanometres", [4, 9, 13, 500])
def test_resolutions_in_nanometres(tmp_path: Path, nanometres: int) -> None:
    """A folder named in nm is found by its size in µm, without rounding in the way."""
    (tmp_path / f"em_{nanometres}nm_v1.0" / "meshes").mkdir(parents=True)
    found = cache.find("em", [tmp_path], resolution=nanometres / 1000)
    assert found.name == f"em_{nanometres}nm"


def test_resolution_that_is_not_here(folder: Path) -> None:
    """A size that is not installed is answered with those that are."""
    with pytest.raises(UnknownAtlasError, match="Did you mean allen_mouse_25um"):
        cache.find("allen_mouse", [folder], resolution=50)


@pytest.mark.parametrize("resolution", [0, -25, float("nan"), float("inf"), 1e300])
def test_resolution_that_is_none(folder: Path, resolution: float) -> None:
    """A size that cannot be is an AtlasError, not a failure to convert a float."""
    with pytest.raises(AtlasError):
        cache.find("allen_mouse", [folder], resolution=resolution)


@pytest.mark.parametrize("name", ["alen_mouse_25um", "Allen_mouse_25um", "allen_mouse_25"])
def test_unknown_atlas_names_what_is_close(folder: Path, name: str) -> None:
    """A misspelt name is answered with what it resembles, where was looked, what is here."""
    with pytest.raises(UnknownAtlasError, match=r"Did you mean.*allen_mouse_25um") as caught:
        cache.find(name, [folder])
    assert str(folder) in str(caught.value)
    assert "whs_sd_rat_39um" in str(caught.value)


@pytest.mark.parametrize("name", ["", "/", "..", "a" * 5000, "allen_mouse_25um_v1.2", "nul\0"])
def test_odd_names_are_unknown(folder: Path, name: str) -> None:
    """No name leaves the folder or trips the search."""
    with pytest.raises(UnknownAtlasError):
        cache.find(name, [folder])


def test_the_embedded_atlas_is_always_here(tmp_path: Path) -> None:
    """An empty folder, an absent one and a file in its place all leave the embedded atlas."""
    file = tmp_path / "file"
    file.write_text("")
    for place in (tmp_path, tmp_path / "absent", file):
        assert [atlas.name for atlas in cache.installed([place])] == [EMBEDDED]
    assert not (tmp_path / "absent").exists()


def test_the_users_folder_goes_first(tmp_path: Path) -> None:
    """Of the embedded atlas's version in the user's folder the user's is opened."""
    mine = tmp_path / f"{EMBEDDED}_v1.0"
    (mine / "meshes").mkdir(parents=True)
    assert cache.find(EMBEDDED, [tmp_path]).path == mine
    (tmp_path / f"{EMBEDDED}_v0.9" / "meshes").mkdir(parents=True)
    assert cache.find(EMBEDDED, [tmp_path]).path == mine


def test_links_to_folders_are_folders(tmp_path: Path) -> None:
    """An atlas may be linked in from elsewhere; a dead link is not one."""
    (tmp_path / "elsewhere" / "meshes").mkdir(parents=True)
    (tmp_path / "linked_25um_v1.0").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "dead_25um_v1.0").symlink_to(tmp_path / "nothing")
    names = [atlas.name for atlas in cache.installed([tmp_path])]
    assert names == ["linked_25um", EMBEDDED]


def test_looking_needs_no_write_permission(folder: Path) -> None:
    """A read-only folder is searched like any other, and nothing is left in it."""
    before = sorted(folder.iterdir())
    mode = folder.stat().st_mode
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert cache.find("allen_mouse_25um", [folder]).version == (1, 2)
        assert sorted(folder.iterdir()) == before
    finally:
        folder.chmod(mode)
