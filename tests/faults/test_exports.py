"""Exports that go wrong: damaged atlases, full disks, something in the way, a process killed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bg_atlasapi import BrainGlobeAtlas, update_atlases
from bg_atlasapi.core import Atlas
from bg_atlasapi.errors import (
    AlreadyThereError,
    AtlasError,
    IncompleteAtlasError,
    InvalidInputError,
    StorageError,
)
from bg_atlasapi.formats import exporting
from bg_atlasapi.testing import tiny_components, tiny_package

FORMS = ["components", "packaged"]  # the others: test_tool_exports.py


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Return the folder of an atlas that was recorded when it was put there."""
    folder = tiny_package(tmp_path / "here", symmetric=False)
    os.environ["BRAINGLOBE_DIR"] = str(folder.parent)
    try:
        assert update_atlases.verify_atlas("tiny_mouse_100um").adopted
    finally:
        del os.environ["BRAINGLOBE_DIR"]
    return folder


def left_in(folder: Path) -> list[Path]:
    """Return everything in a folder, hidden or not."""
    return [*folder.rglob("*")] if folder.exists() else []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "name", ["annotation.tiff", "reference.tiff", "hemispheres.tiff", "nissl.tiff", "meshes/8.obj"]
)
@pytest.mark.parametrize("damage", ["cut", "gone", "changed"])
def test_a_damaged_atlas_is_not_exported(
    package: Path, form: str, name: str, damage: str, tmp_path: Path
) -> None:
    """A recorded file that is cut short, gone or changed is named, and nothing is left behind."""
    path = package / name
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(data[:-5] if damage == "cut" else data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(AtlasError, match=path.name):
        Atlas.from_path(package).export(tmp_path / "out", format=form)
    assert left_in(tmp_path / "out") == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["annotation.tiff", "reference.tiff", "nissl.tiff"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_damage_shows_without_a_record(
    form: str, name: str, compression: str | None, tmp_path: Path
) -> None:
    """Also in an atlas that nobody recorded, a file cut short is an error."""
    folder = tiny_package(tmp_path, compression=compression)
    (folder / name).write_bytes((folder / name).read_bytes()[:-400])
    with pytest.raises(IncompleteAtlasError, match=name):
        Atlas.from_path(folder).export(tmp_path / "out", format=form)
    assert left_in(tmp_path / "out") == []


@pytest.mark.parametrize("form", FORMS)
def test_damaged_chunks_and_meshes_of_a_store(form: str, tmp_path: Path) -> None:
    """A chunk or mesh that does not decode stops the export."""
    for pattern in ("annotations_compressed.ome.zarr/s0/c/*/*/*", "mesh/997"):
        folder = tmp_path / pattern[:4] / form
        manifest = tiny_components(folder)
        victim = next(one for one in manifest.parents[2].rglob(pattern) if one.is_file())
        victim.write_bytes(victim.read_bytes()[:-9])
        with pytest.raises(IncompleteAtlasError, match="damaged"):
            Atlas.from_path(manifest).export(folder / "out", format=form)
        assert left_in(folder / "out") == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("step", range(2))
def test_a_full_or_closed_disk(
    form: str, code: int, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At whatever file it happens: one sentence that names the folder, and nothing is left."""
    atlas = Atlas.from_path(tiny_package(tmp_path))
    real, calls = Path.write_bytes, [0]

    def failing(self: Path, data: bytes) -> int:
        calls[0] += 1
        if calls[0] > step:
            raise OSError(code, os.strerror(code), str(self))
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", failing)
    with pytest.raises(StorageError, match="export tiny_mouse_100um") as caught:
        atlas.export(tmp_path / "out", format=form)
    monkeypatch.undo()
    assert str(tmp_path / "out") in str(caught.value)
    assert "another folder" in str(caught.value)
    assert left_in(tmp_path / "out") == []
    assert atlas.export(tmp_path / "out", format=form).is_dir()


@pytest.mark.parametrize("form", ["packaged", "tiff"])
def test_a_full_disk_as_numpy_tells_it(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arrays that are cut short come as an error without a number."""
    import tifffile

    def cut_short(*_: Any, **__: Any) -> None:
        message = "9120 requested and 2040 written"
        raise OSError(message)

    atlas = Atlas.from_path(tiny_package(tmp_path))
    monkeypatch.setattr(tifffile.TiffWriter, "write", cut_short)
    with pytest.raises(StorageError, match="export tiny_mouse_100um: the disk of"):
        atlas.export(tmp_path / "out", format=form)
    assert left_in(tmp_path / "out") == []


@pytest.mark.parametrize("form", FORMS)
def test_what_is_there_is_not_replaced_unless_asked(form: str, tmp_path: Path) -> None:
    """The second export is refused and changes nothing; with overwrite it replaces the first."""
    Atlas.from_path(tiny_package(tmp_path / "a")).export(tmp_path / "out", format=form)
    other = Atlas.from_path(tiny_package(tmp_path / "b", shape=(14, 8, 10)))
    before = {path: path.stat().st_mtime_ns for path in left_in(tmp_path / "out")}
    with pytest.raises(AlreadyThereError, match="is there already.*overwrite") as caught:
        other.export(tmp_path / "out", format=form)
    assert isinstance(caught.value, FileExistsError | ValueError)
    assert {path: path.stat().st_mtime_ns for path in left_in(tmp_path / "out")} == before
    folder = other.export(tmp_path / "out", format=form, overwrite=True)
    copy = Atlas.from_path(folder)
    assert copy.shape == (14, 8, 10)
    assert np.array_equal(copy.annotation, other.annotation)
    assert not [*(tmp_path / "out").glob(".*")]


@pytest.mark.parametrize("form", FORMS)
def test_a_failure_while_replacing_puts_everything_back(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever rename fails, the earlier export opens as before."""
    first = Atlas.from_path(tiny_package(tmp_path / "a"))
    folder = first.export(tmp_path / "out", format=form)
    before = {path: path.stat().st_size for path in left_in(tmp_path / "out")}
    other = Atlas.from_path(tiny_package(tmp_path / "b", shape=(14, 8, 10)))
    real = Path.rename
    for step in range(2 if form == "packaged" else 12):
        calls = [0]

        def failing(self: Path, target: Any, calls: list[int] = calls, step: int = step) -> Path:
            calls[0] += 1
            if calls[0] == step + 1:
                raise OSError(errno.EIO, "broken", str(self))
            return real(self, target)

        monkeypatch.setattr(Path, "rename", failing)
        with pytest.raises(OSError, match="broken"):
            other.export(tmp_path / "out", format=form, overwrite=True)
        monkeypatch.undo()
        assert {path: path.stat().st_size for path in left_in(tmp_path / "out")} == before
        assert np.array_equal(Atlas.from_path(folder).annotation, first.annotation)


def test_other_atlases_of_a_store_are_left_alone(tmp_path: Path) -> None:
    """Overwriting one atlas never replaces a component that another manifest names."""
    shutil.copytree(
        tiny_components(tmp_path / "s").parents[2], tmp_path / "out/brainglobe-atlasapi"
    )
    before = {path: path.stat().st_mtime_ns for path in left_in(tmp_path / "out")}
    clashing = tiny_package(tmp_path, name="tiny_mouse_99um", version="3.0")
    Atlas.from_path(clashing).export(tmp_path / "out", overwrite=True)
    after = {path: path.stat().st_mtime_ns for path in before if path.is_file()}
    conf = tmp_path / "out/brainglobe-atlasapi/atlases/last_versions.conf"
    assert {p: t for p, t in after.items() if p != conf} == {
        p: t for p, t in before.items() if p in after and p != conf
    }
    for name in ("tiny_mouse_100um", "tiny_mouse_99um"):
        BrainGlobeAtlas(name, brainglobe_dir=tmp_path / "out", check_latest=False)
    assert "tiny_mouse_99um = 3.0" in conf.read_text()


def test_resolutions_that_share_components_go_into_one_store(tmp_path: Path) -> None:
    """As published stores do. None replaces what the other has, in another store or in its own."""
    names = {"tiny_mouse_100um": 0, "tiny_mouse_200um": 1}
    folders = [
        tiny_components(tmp_path / "s", name=one, level=level) for one, level in names.items()
    ]
    expected = [volumes_of(folder) for folder in folders]
    for overwrite, store in ((False, "out"), (True, "out"), (True, "s")):
        for folder in folders:
            Atlas.from_path(folder).export(tmp_path / store, overwrite=overwrite)
        for name, volumes in zip(names, expected, strict=True):
            found = BrainGlobeAtlas(name, brainglobe_dir=tmp_path / store, check_latest=False)
            assert all(map(np.array_equal, volumes_of(found.root_dir), volumes))


def volumes_of(folder: Path) -> list[Any]:
    """Return annotation, template and the additional reference of an atlas."""
    atlas = Atlas.from_path(folder)
    return [atlas.annotation, atlas.reference, atlas.additional_references["nissl"]]


def test_a_component_that_two_atlases_name_is_not_replaced(tmp_path: Path) -> None:
    """Not even where the names with the resolution are taken as well."""
    atlas = Atlas.from_path(tiny_package(tmp_path))
    folder = atlas.export(tmp_path / "out")
    taken = json.loads((folder / "manifest.json").read_bytes())
    text = json.dumps([taken, {"location": "/templates/tiny_mouse_100um-template/1_0"}])
    other = folder.parents[1] / "other_100um" / "1_0"
    other.mkdir(parents=True)
    (other / "manifest.json").write_text(text)
    before = left_in(tmp_path / "out")
    with pytest.raises(AlreadyThereError, match="tiny_mouse_100um-template.* another atlas"):
        atlas.export(tmp_path / "out", overwrite=True)
    assert left_in(tmp_path / "out") == before


def test_a_component_that_another_atlas_came_to_need_meanwhile(tmp_path: Path) -> None:
    """Two exports at once would take the same names; the one that ends first has them."""
    first = Atlas.from_path(tiny_package(tmp_path))
    second = Atlas.from_path(tiny_package(tmp_path, name="tiny_mouse_9um"))
    theirs: list[Path] = []

    def meanwhile(*_: int) -> None:
        if not theirs:
            theirs.append(tmp_path)
            theirs[0] = second.export(tmp_path / "out")

    with pytest.raises(AlreadyThereError, match="is part of another atlas"):
        first.export(tmp_path / "out", overwrite=True, fn_update=meanwhile)
    assert np.array_equal(Atlas.from_path(theirs[0]).annotation, second.annotation)
    first.export(tmp_path / "out", overwrite=True)
    assert np.array_equal(Atlas.from_path(theirs[0]).annotation, second.annotation)


def test_a_list_of_atlases_that_cannot_be_read(tmp_path: Path) -> None:
    """It is found before anything is written, and is not lost."""
    conf = tmp_path / "out/brainglobe-atlasapi/atlases/last_versions.conf"
    conf.parent.mkdir(parents=True)
    conf.write_bytes(b"allen_mouse_25um 1.2\n")
    with pytest.raises(AlreadyThereError, match=r"no list of atlases.*Mend or remove it\."):
        Atlas.from_path(tiny_package(tmp_path)).export(tmp_path / "out")
    assert [one for one in left_in(tmp_path / "out") if one.is_file()] == [conf]
    assert conf.read_bytes() == b"allen_mouse_25um 1.2\n"


def test_an_unknown_format_names_those_there_are(tmp_path: Path) -> None:
    """The error lists the formats and writes nothing."""
    atlas = Atlas.from_path(tiny_package(tmp_path))
    for form in ("v3", "", None):
        with pytest.raises(InvalidInputError, match="components, packaged"):
            atlas.export(tmp_path / "out", format=form)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", ["file", "file/below/it", "link/x"])
def test_a_file_is_no_folder_to_export_into(target: str, tmp_path: Path) -> None:
    """It stays as it was, and so does a link to nowhere."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(AlreadyThereError, match="(file|link) is a file"):
        Atlas.from_path(tiny_package(tmp_path)).export(tmp_path / target)
    assert (tmp_path / "file").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_a_file_in_the_place_of_a_folder_of_the_store(tmp_path: Path) -> None:
    """It is found before the work, and nothing is left."""
    place = tmp_path / "out/brainglobe-atlasapi"
    place.mkdir(parents=True)
    (place / "templates").write_text("mine")
    told: list[int] = []
    with pytest.raises(AlreadyThereError, match="templates is a file"):
        Atlas.from_path(tiny_package(tmp_path)).export(
            tmp_path / "out", fn_update=lambda done, _: told.append(done)
        )
    assert not told
    assert [one.name for one in left_in(place)] == ["templates"]


@pytest.mark.parametrize("form", FORMS)
def test_names_that_lead_elsewhere_are_refused(form: str, tmp_path: Path) -> None:
    """Names from hostile metadata never become paths."""
    folder = tiny_package(tmp_path)
    stated = (folder / "metadata.json").read_text().replace('"nissl"', '"../nissl"')
    (folder / "metadata.json").write_text(stated)
    (folder / "nissl.tiff").rename(tmp_path / "nissl.tiff")
    with pytest.raises(InvalidInputError, match="cannot be the name"):
        Atlas.from_path(folder).export(tmp_path / "out", format=form)
    assert left_in(tmp_path / "out") == []
    renamed = tiny_package(tmp_path / "b", name="plain_100um").rename(tmp_path / "copy")
    text = (renamed / "metadata.json").read_text().replace('"plain"', '"../../x"')
    (renamed / "metadata.json").write_text(text)
    with pytest.raises(InvalidInputError, match="cannot be the name"):
        Atlas.from_path(renamed).export(tmp_path / "out", format=form)


def test_a_reference_of_another_shape(tmp_path: Path) -> None:
    """A package may hold one, a store may not: refused there, copied here."""
    import tifffile

    folder = tiny_package(tmp_path)
    tifffile.imwrite(folder / "nissl.tiff", np.ones((2, 3, 4), np.uint8), photometric="minisblack")
    atlas = Atlas.from_path(folder)
    with pytest.raises(InvalidInputError, match="'nissl' has the shape"):
        atlas.export(tmp_path / "v3")
    assert left_in(tmp_path / "v3") == []
    copy = Atlas.from_path(atlas.export(tmp_path / "v1", format="packaged"))
    assert copy.additional_references["nissl"].shape == (2, 3, 4)


def test_what_a_killed_export_left_is_removed(tmp_path: Path) -> None:
    """The next export of the atlas clears it; the work of a live process stays."""
    atlas = Atlas.from_path(tiny_package(tmp_path))
    from bg_atlasapi.store import disk

    live = tmp_path / "out" / disk.unique(".tiny_mouse_100um")
    code = "from bg_atlasapi.store import disk; print(disk.unique('.tiny_mouse_100um'))"
    source = Path(disk.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(source)},
    )
    dead = tmp_path / "out" / done.stdout.strip()
    for folder in (live, dead):
        (folder / "new").mkdir(parents=True)
    atlas.export(tmp_path / "out", format="packaged")
    assert live.is_dir()
    assert not dead.exists()


_KILLED = """
import os, sys
from pathlib import Path
from bg_atlasapi.core import Atlas
rename, left = Path.rename, int(sys.argv[3])
def counted(self, target):
    global left
    left -= 1
    if not left:
        os._exit(9)
    return rename(self, target)
Path.rename = counted
Atlas.from_path(sys.argv[1]).export(sys.argv[2], sys.argv[4], overwrite=True)
"""


@pytest.mark.parametrize(
    ("form", "there", "killed_at"),
    [
        *(("packaged", False, 1), ("packaged", True, 1), ("packaged", True, 2)),
        *(("components", False, 2), ("components", False, 6)),
        *(("components", True, 2), ("components", True, 7), ("components", True, 12)),
    ],
)
def test_killed_amid_the_renaming(form: str, there: bool, killed_at: int, tmp_path: Path) -> None:
    """The next export finds what was there before, or nothing at all."""
    source, out = tiny_package(tmp_path), tmp_path / "out"
    atlas = Atlas.from_path(source)
    if there:
        atlas.export(out, form)
    before = {one: one.stat().st_ino for one in left_in(out) if one.is_file()}
    arguments = [str(source), str(out), str(killed_at), form]
    done = subprocess.run([sys.executable, "-c", _KILLED, *arguments], check=False)
    assert done.returncode == 9
    if there:
        with pytest.raises(AlreadyThereError):
            atlas.export(out, form)
        assert before == {one: one.stat().st_ino for one in left_in(out) if one.is_file()}
    again = atlas.export(out, form, overwrite=there)
    assert np.array_equal(Atlas.from_path(again).annotation, atlas.annotation)
    assert not [*out.glob(".*")]


@pytest.mark.parametrize("form", FORMS)
def test_an_installed_atlas_that_an_export_replaces(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not held against the record of what was installed before."""
    make = tiny_package if form == "packaged" else tiny_components
    make(tmp_path)
    monkeypatch.setenv("BRAINGLOBE_DIR", str(tmp_path))
    assert update_atlases.verify_atlas("tiny_mouse_100um").adopted
    before = BrainGlobeAtlas("tiny_mouse_100um", check_latest=False)
    labels = before.annotation.copy()
    before.export(tmp_path, form, overwrite=True)
    after = BrainGlobeAtlas("tiny_mouse_100um", check_latest=False)
    assert np.array_equal(after.annotation, labels)
    assert after.mesh_from_structure("root").points.shape == (8, 3)
    assert not update_atlases.verify_atlas("tiny_mouse_100um").damaged


@pytest.mark.parametrize("form", FORMS)
def test_a_link_to_nowhere_is_in_the_way(form: str, tmp_path: Path) -> None:
    """It is replaced when asked for, and not before."""
    atlas = Atlas.from_path(tiny_package(tmp_path))
    there = tmp_path / "out" / atlas.export(tmp_path / "a", form).relative_to(tmp_path / "a")
    there.parent.mkdir(parents=True)
    there.symlink_to(tmp_path / "nowhere")
    with pytest.raises(AlreadyThereError, match=there.name):
        atlas.export(tmp_path / "out", form)
    assert there.is_symlink()
    atlas.export(tmp_path / "out", form, overwrite=True)
    assert there.is_dir()
    assert not there.is_symlink()
    assert not (tmp_path / "nowhere").exists()


def test_what_a_killed_export_of_an_odd_name_left_is_removed(tmp_path: Path) -> None:
    """Brackets in names are themselves, no pattern."""
    folder = tiny_package(tmp_path).rename(tmp_path / "my [x]_100um_v1.0")
    arguments = [str(folder), str(tmp_path / "out"), "1", "packaged"]
    done = subprocess.run([sys.executable, "-c", _KILLED, *arguments], check=False)
    assert done.returncode == 9
    Atlas.from_path(folder).export(tmp_path / "out", "packaged")
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["my [x]_100um_v1.0"]


def test_what_others_put_in_place_of_a_killed_export_stays(tmp_path: Path) -> None:
    """Its folder has the same path, and is another one."""
    source, out = tiny_package(tmp_path), tmp_path / "out"
    arguments = [str(source), str(out), "4", "components"]
    done = subprocess.run([sys.executable, "-c", _KILLED, *arguments], check=False)
    assert done.returncode == 9
    (terminology,) = (out / "brainglobe-atlasapi/terminologies").glob("*/*")
    shutil.rmtree(terminology)
    terminology.mkdir()
    (terminology / "mine").write_text("stays")
    with pytest.raises(AlreadyThereError, match="tiny_mouse-terminology"):
        Atlas.from_path(source).export(out)
    files = [one for one in left_in(out) if one.is_file()]
    assert files == [terminology / "mine"]


def test_an_interrupted_export_leaves_nothing(tmp_path: Path) -> None:
    """Raising from the progress report cancels the work."""

    def impatient(done: int, _total: int) -> None:
        if done:
            raise KeyboardInterrupt

    atlas = Atlas.from_path(tiny_package(tmp_path))
    for form in exporting.FORMATS:
        with pytest.raises(KeyboardInterrupt):
            atlas.export(tmp_path / "out", format=form, fn_update=impatient)
        assert left_in(tmp_path / "out") == []
