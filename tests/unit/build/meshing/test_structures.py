from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bg_atlasapi.build.mesh_quality import quality_of
from bg_atlasapi.build.meshing import WrittenMeshes, mesh_structures
from bg_atlasapi.build.meshing.structures import MESHING
from bg_atlasapi.build.meshing.surface_files import name_of
from bg_atlasapi.errors import IncompleteAtlasError, InvalidInputError, StorageError
from bg_atlasapi.formats.mesh_files import read_obj
from bg_atlasapi.model.hemispheres import SplitHemispheres
from bg_atlasapi.model.labels import ArraySource, LabelVolume
from bg_atlasapi.model.space import LEFT, RIGHT, CoordinateSpace
from bg_atlasapi.model.terminology import Record, Terminology

SPACING = (25.0, 25.0, 25.0)
ROOT, BRAIN, FRONT, BACK, CORE, NOWHERE = 997, 8, 315, 500, 70000, 12


def terminology() -> Terminology:
    """Return a small tree."""
    paths = {
        ROOT: (ROOT,),
        BRAIN: (ROOT, BRAIN),
        FRONT: (ROOT, BRAIN, FRONT),
        BACK: (ROOT, BRAIN, BACK),
        CORE: (ROOT, CORE),
        NOWHERE: (ROOT, BRAIN, NOWHERE),
    }
    return Terminology([Record(one, f"s{one}", f"s {one}", paths[one], (1, 2, 3)) for one in paths])


def array() -> np.ndarray:
    """Two halves of a block around a core; a voxel of the core lies apart, at the border."""
    ids = np.zeros((20, 18, 22), np.uint32)
    ids[2:10, 3:15, 3:19] = FRONT
    ids[10:18, 3:15, 3:19] = BACK
    ids[6:14, 6:12, 8:14] = CORE
    ids[0, 0, 0] = CORE
    return ids


def meshed(target: Path, ids: np.ndarray | None = None, **options):
    """Make the meshes of an annotation."""
    ids = array() if ids is None else ids
    labels = LabelVolume(ArraySource(ids), terminology())
    return mesh_structures(labels, CoordinateSpace(ids.shape, SPACING), target, **options)


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder."""
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.is_file()}


def test_every_structure_with_voxels_has_a_sound_mesh_of_its_volume(tmp_path):
    """Closed, manifold, outwards, in µm; none for a structure without voxels."""
    summary = meshed(tmp_path)
    meshes = WrittenMeshes(tmp_path)
    assert {one.identifier for one in summary.meshes} == {ROOT, BRAIN, FRONT, BACK, CORE}
    assert not meshes.has(NOWHERE)
    for one in summary.meshes:
        quality = quality_of(meshes.read(one.identifier))
        assert quality.watertight
        assert quality.manifold
        assert quality.outward
        assert quality.volume_um3 == pytest.approx(one.voxels * 25**3, rel=0.01)
        assert (one.watertight, one.manifold) == (True, True)
        assert one.triangles == quality.triangles


def test_a_parent_is_the_union_of_all_below_it(tmp_path):
    """No wall is left inside: the block around the core is one surface outside and one inside."""
    summary = meshed(tmp_path)
    voxels = {one.identifier: one.voxels for one in summary.meshes}
    ids = array()
    assert voxels[BRAIN] == voxels[FRONT] + voxels[BACK] == np.isin(ids, [FRONT, BACK]).sum()
    assert voxels[ROOT] == (ids > 0).sum()
    assert quality_of(WrittenMeshes(tmp_path).read(BRAIN)).components == 2
    assert quality_of(WrittenMeshes(tmp_path).read(ROOT)).components == 2  # block, lone voxel


def test_vertices_are_in_um_from_the_corner_of_voxel_0_in_the_axis_order(tmp_path):
    """The block's sides lie where its voxels' faces do, each along its own axis."""
    meshed(tmp_path)
    (low, high) = quality_of(WrittenMeshes(tmp_path).read(BRAIN)).bounds
    assert np.allclose(low, [50, 75, 75], atol=12.5)
    assert np.allclose(high, [450, 375, 475], atol=12.5)


def test_the_same_bytes_come_from_any_number_of_workers(tmp_path):
    """One process, two, three: the files are equal."""
    for count in (1, 2, 3):
        meshed(tmp_path / str(count), workers=count)
    assert contents(tmp_path / "1") == contents(tmp_path / "2") == contents(tmp_path / "3")


def test_what_is_there_is_kept_and_what_is_damaged_is_made_again(tmp_path):
    """A second run makes only what is missing, cut short or altered."""
    first = meshed(tmp_path)
    before = contents(tmp_path)
    assert meshed(tmp_path).kept == len(first.meshes) == 5
    (tmp_path / name_of(FRONT)).unlink()
    cut = tmp_path / name_of(BACK)
    cut.write_bytes(cut.read_bytes()[:-10])
    altered = tmp_path / name_of(CORE)
    altered.write_bytes(altered.read_bytes()[:-1] + b"\xff")
    again = meshed(tmp_path)
    assert again.kept == 2
    assert again.meshes == first.meshes
    assert contents(tmp_path) == before


@pytest.mark.parametrize("options", [{"tolerance_um": 3.0}, {"smooth": False}, {"smooth": 2}])
def test_other_settings_make_all_meshes_again(tmp_path, options):
    """A mesh is never taken for one of other settings, and the way back gives the first bytes."""
    meshed(tmp_path)
    before = contents(tmp_path)
    assert meshed(tmp_path, **options).kept == 0
    assert contents(tmp_path) != before
    meshed(tmp_path)
    assert contents(tmp_path) == before


def test_other_labels_make_all_meshes_again_and_strays_go(tmp_path):
    """One voxel more is other labels; the mesh of what has no voxels any more is removed."""
    meshed(tmp_path)
    ids = array()
    ids[ids == CORE] = BACK
    assert meshed(tmp_path, ids).kept == 0
    assert not WrittenMeshes(tmp_path).has(CORE)


def test_halves_are_closed_and_hold_what_is_on_their_side(tmp_path):
    """Asked for sides, each structure has a left and a right mesh besides; together they are it."""
    ids = array()
    space = CoordinateSpace(ids.shape, SPACING)
    summary = meshed(tmp_path, hemispheres=SplitHemispheres(space))
    voxels = {(one.identifier, one.side): one.voxels for one in summary.meshes}
    for identifier in (ROOT, BRAIN, FRONT, BACK, CORE):
        assert voxels[identifier, LEFT] + voxels[identifier, RIGHT] == voxels[identifier, 0]
        for side in (LEFT, RIGHT):
            assert quality_of(WrittenMeshes(tmp_path, side).read(identifier)).manifold
    left = quality_of(WrittenMeshes(tmp_path, LEFT).read(BRAIN)).bounds
    assert left[0][2] == pytest.approx(11 * 25, abs=12.5)
    assert meshed(tmp_path, hemispheres=SplitHemispheres(space)).kept == len(summary.meshes)


def test_sides_may_be_an_array_of_the_shape_of_the_labels(tmp_path):
    """An array says the same as a volume; one of another shape is refused before any mesh."""
    space = CoordinateSpace(array().shape, SPACING)
    split = meshed(tmp_path / "split", hemispheres=SplitHemispheres(space)).meshes
    sides = np.full(space.shape, RIGHT, np.uint8)
    sides[:, :, 11:] = LEFT
    assert meshed(tmp_path / "array", hemispheres=sides).meshes == split
    with pytest.raises(InvalidInputError, match=r"The shape of hemispheres= is \(3, 3, 3\)"):
        meshed(tmp_path / "other", hemispheres=np.ones((3, 3, 3), np.uint8))


def test_the_source_of_meshes_gives_an_obj_file_on_demand(tmp_path):
    """An atlas can hand out a file, which is made when asked for and holds the same surface."""
    meshed(tmp_path)
    meshes = WrittenMeshes(tmp_path)
    assert not meshes.path(FRONT).exists()
    mesh, again = meshes.read(FRONT), read_obj(meshes.file(FRONT))
    assert meshes.file(FRONT) == meshes.path(FRONT)
    assert np.array_equal(mesh.triangles, again.triangles)
    assert np.allclose(mesh.points, again.points, atol=0.001)
    assert meshes.file(NOWHERE) == meshes.path(NOWHERE)
    assert not meshes.file(NOWHERE).exists()


def test_other_tools_read_the_files(tmp_path):
    """They are binary PLY: trimesh finds the same closed surface."""
    trimesh = pytest.importorskip("trimesh")
    meshed(tmp_path)
    theirs = trimesh.load(tmp_path / name_of(BRAIN), process=False)
    mine = WrittenMeshes(tmp_path).read(BRAIN)
    assert theirs.is_watertight
    assert np.array_equal(theirs.faces, mine.triangles)
    assert np.allclose(theirs.vertices, mine.points)


@pytest.mark.parametrize("damage", ["missing", "empty", "other", "short"])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path, damage):
    """It is never read as an empty or a wrong surface."""
    meshed(tmp_path)
    path = tmp_path / name_of(FRONT)
    data = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes({"empty": b"", "other": b"ply\nend_header\n", "short": data[:-1]}[damage])
    with pytest.raises(IncompleteAtlasError, match=path.name):
        WrittenMeshes(tmp_path).read(FRONT)


def test_progress_is_reported_from_nothing_to_all(tmp_path):
    """In order, to the end, and at once where all is there already."""
    said: list[tuple[str, int, int]] = []
    meshed(tmp_path, report=lambda *what: said.append(what))
    phases, done, totals = zip(*said, strict=True)
    assert set(phases) == {MESHING}
    assert len(set(totals)) == 1
    assert list(done) == sorted(done)
    assert (done[0], done[-1]) == (0, totals[0])
    said.clear()
    meshed(tmp_path, report=lambda *what: said.append(what))
    assert said == [(MESHING, totals[0], totals[0])]


def test_a_report_that_raises_stops_the_work_and_what_is_done_stays(tmp_path):
    """Cancelled with several processes at work: they end, and the next run goes on."""

    class EnoughError(Exception):
        pass

    def report(_phase, done, _total):
        if done:
            raise EnoughError

    with pytest.raises(EnoughError):
        meshed(tmp_path, report=report, workers=2)
    assert not list(tmp_path.glob(".meshing*"))
    assert meshed(tmp_path).kept >= 1


def test_what_cannot_be_is_refused(tmp_path):
    """Settings that mean nothing, before any work."""
    for options in ({"tolerance_um": -1}, {"tolerance_um": float("nan")}, {"smooth": -1}):
        with pytest.raises(InvalidInputError):
            meshed(tmp_path, **options)
    with pytest.raises(InvalidInputError, match="at least 1 worker"):
        meshed(tmp_path, workers=0)


def test_a_folder_that_cannot_be_is_an_error_that_says_so(tmp_path):
    """A file lies where the folder should."""
    (tmp_path / "file").write_text("")
    with pytest.raises((StorageError, FileExistsError, NotADirectoryError)):
        meshed(tmp_path / "file")


def test_labels_that_no_structure_lists_belong_to_none(tmp_path):
    """They are left out of every mesh, and nothing fails."""
    ids = array()
    ids[15:18, 3:15, 3:19] = 4242
    voxels = {one.identifier: one.voxels for one in meshed(tmp_path, ids).meshes}
    assert voxels[ROOT] == np.isin(ids, [FRONT, BACK, CORE]).sum()


def test_an_empty_annotation_gives_no_mesh(tmp_path):
    """No voxel has a label."""
    assert meshed(tmp_path, np.zeros((5, 6, 7), np.uint32)).meshes == ()
