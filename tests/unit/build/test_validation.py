"""Each finding is made by an atlas with just that fault, and none by a sound one."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.build.mesh_quality import welded
from bg_atlasapi.build.validation import (
    KINDS,
    Findings,
    atlas_codes,
    check_atlas,
    check_labels_against,
    check_path,
)
from bg_atlasapi.build.validation.findings import MOST
from bg_atlasapi.errors import Finding, InvalidAtlasError
from bg_atlasapi.model.labels import ArraySource
from bg_atlasapi.model.mesh import TriangleMesh
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.testing import tiny_components, tiny_package

_spec = importlib.util.spec_from_file_location("sound", Path(__file__).with_name("sound.py"))
sound = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sound)


def _structure(position, **changes):
    def doctor(made):
        made["structures"][position] |= changes

    return doctor


def _labels(change):
    def doctor(made):
        change(made["annotation"])

    return doctor


def _mesh(identifier, change):
    def doctor(made):
        points, faces = made["meshes"][identifier]
        made["meshes"][identifier] = change(points, faces)

    return doctor


def _without(key):
    def doctor(made):
        made[key] = ""

    return doctor


def _cycle(made):
    made["structures"][2]["structure_id_path"] = [688, 567]
    made["structures"][3]["structure_id_path"] = [567, 688]


def _checkers(labels):
    labels[4:-5, 4:-4, 4:-4] = 1009
    labels[::2, 10, 10] = 614454277


def _hole(size):
    def change(labels):
        labels[10 : 10 + size, 8 : 8 + size, 10 : 10 + size] = 0

    return _labels(change)


def _sides(sides):
    def doctor(made):
        split = CoordinateSpace(sound.SHAPE, (100.0, 100.0, 100.0)).hemispheres()
        made["hemispheres"] = sides(split).astype(np.uint8)
        made["symmetric"] = False

    return doctor


def _named_sides(made):
    """Give left and right labels of their own, which lie on the other side."""
    labels = made["annotation"]
    for number, side in enumerate(["left", "right"]):
        half = np.s_[:, :, :12] if side == "left" else np.s_[:, :, 12:]  # "r": index 0 is right
        for place, label in enumerate([688, 567]):
            new = 20 + 2 * place + number
            part = labels[half]
            part[part == label] = new
            entry = {"acronym": f"X{new}", "id": new, "name": f"{side} part {place}"}
            path = [997, new]
            made["structures"].append(
                {**entry, "structure_id_path": path, "rgb_triplet": [1, 2, 3]}
            )
    made["structures"] = [one for one in made["structures"] if one["id"] not in {688, 567}]
    made["meshes"] = {key: one for key, one in made["meshes"].items() if key not in {688, 567}}


def _one_sided(made):
    made["annotation"][:, :, :12] = 0
    made["reference"][:, :, :12] = 0


def _turned(made):
    made["orientation"] = "rsa"  # the axis that is front to back is called left-right


def _moved_template(made):
    made["reference"] = np.roll(made["reference"], 4, axis=1)


def _noise(made):
    generator = np.random.default_rng(4)
    made["reference"] = generator.integers(0, 99, sound.SHAPE).astype(np.uint16)


def _small_island(labels):
    labels[6, 6, 6] = labels[6, 6, 17] = 1009


def _pinch(points, faces):
    """Add two boxes of one voxel that share a corner."""
    low = points.min(axis=0)
    pair = [sound.box(low + 200, low + 300), sound.box(low + 300, low + 400)]
    for more, others in pair:
        faces = np.concatenate([faces, others + len(points)])
        points = np.concatenate([points, more])
    whole = welded(TriangleMesh(points, faces))
    return whole.points, whole.triangles


DOCTORS = {
    "structure-entry": _structure(3, id="x"),
    "root-acronym": _structure(0, acronym="brain"),
    "several-roots": _structure(1, structure_id_path=[8]),
    "cycle": _cycle,
    "missing-parent": _structure(4, structure_id_path=[997, 4711, 614454277]),
    "path-mismatch": _structure(3, structure_id_path=[997, 567, 688]),
    "duplicate-id": _structure(1, id=567, structure_id_path=[997, 567]),
    "duplicate-acronym": _structure(4, acronym="CTX"),
    "id-out-of-range": _structure(1, id=-8, structure_id_path=[997, -8]),
    "id-too-large": _structure(1, id=2**70, structure_id_path=[997, 2**70]),
    "acronym-missing": _structure(4, acronym=""),
    "name-missing": _structure(4, name=None),
    "blank-at-end": _structure(4, acronym="BS "),
    "acronym-is-id": _structure(4, acronym="688"),
    "colour-out-of-range": _structure(4, rgb_triplet=[0, 256, 3]),
    "colour-missing": _structure(4, rgb_triplet=None),
    "colours-identical": lambda made: [
        one.update(rgb_triplet=[9, 9, 9]) for one in made["structures"]
    ],
    "empty": lambda made: made.update(structures=[]),
    "no-root": lambda made: [one["structure_id_path"].insert(0, 4) for one in made["structures"]],
    "no-labels": _labels(lambda labels: labels.fill(0)),
    "label-without-structure": _labels(lambda labels: np.place(labels, labels == 688, 77)),
    "structure-without-voxels": _labels(lambda labels: np.place(labels, labels == 688, 567)),
    "no-background": _labels(lambda labels: np.place(labels, labels == 0, 997)),
    "size-implausible": lambda made: made.update(resolution=(1.0, 1.0, 1.0)),
    "islands": _labels(_small_island),
    "holes": _hole(1),
    "large-holes": _hole(3),
    "one-sided": _one_sided,
    "off-centre": _labels(lambda labels: labels.__setitem__(np.s_[:, :, :9], 0)),
    "asymmetric": _labels(lambda labels: labels.__setitem__(np.s_[4:12, 4:16, 4:12], 567)),
    "slightly-asymmetric": _labels(lambda labels: labels.__setitem__(np.s_[4:8, 4:8, 4:8], 567)),
    "hemispheres-swapped": _sides(lambda split: 3 - split),
    "hemispheres-one-sided": _sides(lambda split: split * 0 + 1),
    "hemispheres-incomplete": _sides(lambda split: split * (np.arange(30) > 9)[:, None, None]),
    "sides-contradict-names": _named_sides,
    "orientation-implausible": _turned,
    "template-empty": lambda made: made["reference"].fill(7),
    "template-misaligned": _moved_template,
    "template-unrelated": _noise,
    "reference-shape": lambda made: made.update(
        additional_references={"nissl": np.zeros((3, 4, 5), np.uint16)}
    ),
    "no-meshes": lambda made: made["meshes"].clear(),
    "mesh-missing": lambda made: made["meshes"].pop(688),
    "mesh-unreadable": _mesh(688, lambda points, faces: (points * np.nan, faces)),
    "mesh-unlisted": lambda made: made["meshes"].update({4711: made["meshes"][688]}),
    "mesh-open": _mesh(688, lambda points, faces: (points, faces[1:])),
    "mesh-not-manifold": _mesh(688, _pinch),
    "mesh-inside-out": _mesh(688, lambda points, faces: (points, faces[:, ::-1])),
    "mesh-outside": _mesh(688, lambda points, faces: (points * 1000, faces)),
    "mesh-far": _mesh(688, lambda points, faces: (points + np.array([1300, 0, 0]), faces)),
    "mesh-loose": _mesh(688, lambda points, faces: (points * (0.2, 1, 1), faces)),
    "mesh-volume": _mesh(
        997, lambda points, faces: ((points - points.mean(0)) * 0.6 + points.mean(0), faces)
    ),
    "citation-missing": _without("citation"),
    "licence-missing": _without("license"),
    "species-missing": _without("species"),
    "resolution-mismatch": lambda made: made.update(name="sound_mouse_25um"),
}


def _metadata(folder: Path, **changes):
    path = folder / "metadata.json"
    stated = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: one for key, one in stated.items() if one is not None}))


# Faults of files, put there after writing; the atlas is a package, or a component store.
FILES = {
    "not-an-atlas": shutil.rmtree,
    "missing-file": lambda folder: (folder / "reference.tiff").unlink(),
    "unreadable": lambda folder: (folder / "annotation.tiff").write_bytes(b"II*\0"),
    "not-json": lambda folder: (folder / "metadata.json").write_text("{"),
    "metadata-type": lambda folder: (folder / "metadata.json").write_text("[]"),
    "metadata-missing": lambda folder: _metadata(folder, shape=None),
    "metadata-value": lambda folder: _metadata(folder, orientation="xyz"),
    "structures-type": lambda folder: (folder / "structures.json").write_text("{}"),
    "shape-mismatch": lambda folder: _metadata(folder, shape=[12, 9, 10]),
    "volume-type": lambda folder: _write(
        folder / "annotation.tiff", np.zeros(sound.SHAPE, np.float32)
    ),
    "name-mismatch": lambda folder: _metadata(folder, name="other"),
}


def _write(path, array):
    import tifffile

    tifffile.imwrite(path, array)


def _store_json(folder: Path, pattern: str, change):
    store = folder.parents[2]
    (path, *_) = sorted(store.glob(pattern))
    stated = json.loads(path.read_text())
    change(stated)
    path.write_text(json.dumps(stated))


def _table(folder: Path, old: str, new: str):
    (path,) = folder.parents[2].rglob("terminology.csv")
    path.write_text(path.read_text().replace(old, new, 1))


_ANNOTATION = "annotation-sets/*/*/annotations_compressed.ome.zarr"
STORES = {
    "manifest-component": lambda folder: _store_json(
        folder, "atlases/*/*/manifest.json", lambda stated: stated.update(template="x")
    ),
    "location-outside": lambda folder: _store_json(
        folder,
        "atlases/*/*/manifest.json",
        lambda stated: stated["annotation_set"].update(location="../../etc"),
    ),
    "version-mismatch": lambda folder: _store_json(
        folder, "atlases/*/*/manifest.json", lambda stated: stated.update(version="9.9")
    ),
    "terminology-column": lambda folder: _table(folder, "abbreviation", "short"),
    "terminology-csv": lambda folder: _table(folder, "root", '"root'),
    "zarr-metadata": lambda folder: _store_json(
        folder, f"{_ANNOTATION}/*/zarr.json", lambda stated: stated.update(chunk_grid=3)
    ),
    "zarr-codec": lambda folder: _store_json(
        folder, f"{_ANNOTATION}/*/zarr.json", lambda stated: stated.update(codecs=[{"name": "odd"}])
    ),
    "ome-zarr": lambda folder: _store_json(
        folder, f"{_ANNOTATION}/zarr.json", lambda stated: stated.update(attributes={})
    ),
    "ome-zarr-level": lambda folder: _store_json(
        folder, "atlases/*/*/manifest.json", lambda stated: stated.update(resolution=[9, 9, 9])
    ),
    "mesh-format": lambda folder: _store_json(
        folder,
        "annotation-sets/*/*/annotations.precomputed/mesh/info",
        lambda stated: stated.update({"@type": "odd"}),
    ),
}


def _grave(findings: Findings) -> list[str]:
    return [f"{one}" for one in findings if one.severity != "note"]


@pytest.mark.parametrize("code", DOCTORS)
def test_a_fault_in_the_data_is_found(tmp_path, code):
    """An atlas that has this fault has this finding, as grave as the table says, with a mend."""
    made = sound.parts()
    DOCTORS[code](made)
    findings = check_path(sound.write(tmp_path, made)).findings
    some = findings.select(code=code)
    assert some, str(findings)
    assert {one.severity for one in some} == {KINDS[code].severity}
    assert all(one.mend and one.message for one in some)


@pytest.mark.parametrize("code", FILES)
def test_a_fault_in_a_file_is_found(tmp_path, code):
    """A package with a broken file has this finding."""
    folder = sound.write(tmp_path, sound.parts())
    FILES[code](folder)
    findings = check_path(folder).findings
    assert code in findings.counts(), str(findings)


@pytest.mark.parametrize("code", STORES)
def test_a_fault_in_a_store_is_found(tmp_path, code):
    """A component store with a broken file has this finding."""
    pytest.importorskip("DracoPy")
    folder = tiny_components(tmp_path)
    STORES[code](folder)
    findings = check_path(folder).findings
    assert code in findings.counts(), str(findings)
    assert not findings.ok


def test_every_code_has_a_fault_that_shows_it():
    """No code of atlases is without a test."""
    assert {row[0] for row in atlas_codes.ROWS} == {*DOCTORS, *FILES, *STORES, "check-failed"}


class _OddVolume(ArraySource):
    """A stored volume of somebody else's that fails in a way of its own."""

    def outer(self, _indices, _out):
        raise ZeroDivisionError("odd")


def test_a_check_that_fails_is_a_finding_and_the_others_go_on(tmp_path):
    """A volume that raises what nobody expects ends one check, not the rest."""
    made = sound.parts()
    DOCTORS["duplicate-acronym"](made)
    atlas = check_path(sound.write(tmp_path, made)).atlas
    odd = dataclasses.replace(atlas, reference=_OddVolume(made["reference"]))
    findings = check_atlas(odd)
    assert findings.counts() == {"check-failed": 1, "duplicate-acronym": 1}
    assert "ZeroDivisionError: odd" in findings.select("check-failed")[0].message


def test_sound_atlases_have_no_findings(tmp_path):
    """The sound atlas has none at all; phantom and tiny ones of both layouts have only notes."""
    assert check_path(sound.write(tmp_path / "sound", sound.parts())).findings == ()
    assert _grave(BrainGlobeAtlas("phantom_mouse_100um").check()) == []
    for symmetric in (True, False):
        folder = tiny_package(tmp_path / f"package {symmetric}", symmetric=symmetric)
        assert _grave(check_path(folder).findings) == []
        folder = tiny_components(tmp_path / f"store {symmetric}", symmetric=symmetric)
        assert _grave(check_path(folder).findings) == []


@pytest.mark.parametrize("orientation", ["asr", "sra", "rai", "lsp", "psl"])
def test_a_sound_atlas_is_sound_whichever_way_it_lies(tmp_path, orientation):
    """Orientation changes no finding: every axis takes its turn as left-right."""
    made = sound.parts()
    order = ["asr".index({"p": "a", "i": "s", "l": "r"}.get(one, one)) for one in orientation]
    flips = [axis for axis, one in enumerate(orientation) if one not in "asr"]

    def turned(array):
        return np.ascontiguousarray(np.flip(array.transpose(order), flips))

    made["annotation"], made["reference"] = turned(made["annotation"]), turned(made["reference"])
    made["orientation"] = orientation
    extent = np.array(sound.SHAPE)[order] * sound.SIZE
    for identifier, (points, faces) in made["meshes"].items():
        moved = points[:, order]
        moved[:, flips] = extent[flips] - moved[:, flips]
        even = np.linalg.det(np.eye(3)[order]) * (-1) ** len(flips) > 0
        made["meshes"][identifier] = (moved, faces if even else faces[:, ::-1])
    assert check_path(sound.write(tmp_path, made)).findings == ()


def test_several_faults_are_found_at_once(tmp_path):
    """One broken part does not hide the others."""
    made = sound.parts()
    _mesh(1009, lambda points, faces: (points, faces[1:]))(made)
    DOCTORS["duplicate-acronym"](made)
    DOCTORS["label-without-structure"](made)
    DOCTORS["citation-missing"](made)
    counts = check_path(sound.write(tmp_path, made)).findings.counts()
    wanted = {"mesh-open", "duplicate-acronym", "label-without-structure", "citation-missing"}
    assert wanted <= set(counts)


def test_what_does_not_open_is_still_looked_through(tmp_path):
    """Of a package without metadata, structures and volumes are checked all the same."""
    made = sound.parts()
    DOCTORS["duplicate-id"](made)
    folder = sound.write(tmp_path, made)
    (folder / "metadata.json").unlink()
    (folder / "annotation.tiff").write_bytes(b"nothing")
    verdict = check_path(folder)
    assert verdict.atlas is None
    assert {"missing-file", "duplicate-id"} <= set(verdict.findings.counts())
    assert sum("annotation.tiff" in one.message for one in verdict.findings) == 1


def test_nothing_at_a_path_is_a_finding(tmp_path):
    """Neither a folder, an empty one, a file nor an impossible name raises."""
    (tmp_path / "file.txt").write_text("x")
    for path in (tmp_path / "none", tmp_path, tmp_path / "file.txt", Path("a\0b")):
        assert check_path(path).findings.counts() == {"not-an-atlas": 1}


def test_edited_arrays_are_checked_as_they_are(tmp_path):
    """``atlas.check`` looks at what the caller holds; groups are checked as groups."""
    atlas = BrainGlobeAtlas.from_path(sound.write(tmp_path, sound.parts()))
    assert atlas.check() == ()
    assert atlas.group(["CTX", "BS"]).check().ok
    atlas.annotation[5, 5, 5] = 4711
    assert "label-without-structure" in atlas.check().counts()
    atlas.reference = np.zeros(atlas.shape, np.uint16)
    assert "template-empty" in atlas.check(meshes=False).counts()


def test_table_and_labels_without_an_atlas():
    """Before anything is built, labels and table are compared with each other."""
    made = sound.parts()
    assert check_labels_against(made["structures"], made["annotation"]) == ()
    made["annotation"][made["annotation"] == 688] = 77
    made["structures"][1]["rgb_triplet"] = [300, 0, 0]
    counts = Findings(check_labels_against(made["structures"], made["annotation"])).counts()
    assert counts == {
        "colour-out-of-range": 1,
        "label-without-structure": 1,
        "structure-without-voxels": 1,
    }
    empty = np.zeros((2, 2, 2), np.uint8)
    assert "no-labels" in Findings(check_labels_against(made["structures"], empty)).counts()


def test_rows_may_hold_anything():
    """Whatever a table holds, it is judged, not raised."""
    rows = [
        {},
        {"id": None, "acronym": 3.5},
        {"id": float("nan"), "rgb_triplet": "red"},
        {"id": 1, "structure_id_path": None, "name": float("nan"), "rgb_triplet": [1, 2]},
        {
            "id": 2.0,
            "structure_id_path": "/1/2/",
            "acronym": "A",
            "name": "A",
            "rgb_triplet": [1, 2, "x"],
        },
        {"id": "3", "structure_id_path": [[]], "acronym": ["B"], "rgb_triplet": {}},
    ]
    counts = Findings(check_labels_against(rows, np.ones((2, 2, 2), np.int64))).counts()
    assert counts["structure-entry"] >= 4
    assert counts["colour-out-of-range"] == 3


def test_findings_can_be_filtered_and_carried_on():
    """Sorted by severity, grouped when printed, plain for JSON, a table, an error."""
    some = [Finding("holes", "A.", "note"), Finding("no-labels", "B.", "error", "x", "Do.")]
    findings = Findings.of([*some, *some, Finding("mesh-open", "C.", "warning")])
    assert [one.severity for one in findings] == ["error", "warning", "note"]
    assert not findings.ok
    assert findings.summary() == "1 error, 1 warning, 1 note"
    assert (len(findings.errors), len(findings.warnings), len(findings.notes)) == (1, 1, 1)
    first = findings.to_dicts()[0]
    assert list(first) == ["code", "severity", "message", "where", "mend"]
    assert list(first.values()) == ["no-labels", "error", "B.", "x", "Do."]
    assert findings.to_dataframe()["code"].tolist() == ["no-labels", "mesh-open", "holes"]
    assert "error: no-labels\n  B.\n  → Do." in repr(findings)
    with pytest.raises(InvalidAtlasError, match="no-labels"):
        findings.raise_errors("here")
    findings.notes.raise_errors("here")
    assert Findings().summary() == "nothing found"


def test_a_flood_is_cut_short():
    """An atlas with a hundred thousand of the same fault gives a bounded number of findings."""
    flood = [Finding("mesh-open", str(number)) for number in range(MOST + 7)]
    findings = Findings.of(flood)
    assert len(findings) == MOST + 1
    assert findings[-1].message == "And 7 more of the same."
