"""Real volumes and label tables, read as nibabel, SimpleITK and pynrrd read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name

from bg_atlasapi.build.volumes import ReadVolume, peek_volume, read_volume
from bg_atlasapi.formats.label_tables import LabelTable, read_label_table
from bg_atlasapi.formats.packaged import records_of
from bg_atlasapi.model.terminology import Terminology

SCHAEFER = "human_schaefer_tian_bids/atlas-{0}/atlas-{0}{1}"
SPACE = "_space-MNI152NLin2009cAsym_res-01_dseg.nii.gz"
LARGE, SMALL = "Schaefer2018N1000n7Tian2020S4", "Schaefer2018N100n7Tian2020S1"
NIFTI = [
    (SCHAEFER.format(LARGE, SPACE), 1054, np.uint16, (229, 193, 193), 1000.0),
    (SCHAEFER.format(SMALL, SPACE), 116, np.uint8, (229, 193, 193), 1000.0),
    ("marmoset_mbmv3/tpl-MBMv3_seg-paxinos_dseg.nii.gz", 116, np.uint8, (200, 135, 147), 200.0),
    ("whs_rat/labels.nii.gz", 222, np.uint16, (1024, 512, 512), 39.0625),
    ("mouse_gubra_lsfm/gubra_ano_olf_collapsed.nii.gz", 321, np.uint32, (621, 323, 461), 1000.0),
]


def codes(findings: Any) -> list[str]:
    """Return the codes of findings."""
    return [one.code for one in findings]


def ids_in(volume: ReadVolume) -> set[int]:
    """Return the labels of a volume."""
    flat = volume.array.reshape(-1)
    starts = np.flatnonzero(np.diff(flat, prepend=flat[:1] + 1))
    return set(np.unique(flat[starts]).tolist()) - {0}


def rows_of(table: LabelTable) -> dict[int, dict[str, Any]]:
    """Return the rows by id, having made sure that an atlas takes them as they are."""
    terminology = Terminology(records_of(table.rows, table.kind))
    assert set(codes(terminology.findings)) <= {"duplicate-acronym"}
    return {row["id"]: row for row in table.rows}


@pytest.mark.parametrize(("name", "labels", "dtype", "shape", "um"), NIFTI)
def test_nifti_lies_where_others_put_it(
    shared_data: Path, name: str, labels: int, dtype: Any, shape: tuple[int, ...], um: float
) -> None:
    """The labels of human, marmoset, rat and mouse: as nibabel's and SimpleITK's axes run."""
    path = shared_data / name
    found = read_volume(path, labels=True)
    assert found.array.dtype == dtype
    assert found.space.shape == shape
    assert found.space.spacing_um == (um, um, um)
    assert peek_volume(path).space() == found.space
    image = nibabel.as_closest_canonical(nibabel.load(path))
    ras = np.asarray(image.dataobj.get_unscaled() if um < 100 else image.dataobj)
    assert np.array_equal(ras[::-1, ::-1, ::-1].transpose(1, 2, 0), found.array)
    del ras
    if um > 100:  # the rat's takes gigabytes
        turned = sitk.DICOMOrient(sitk.ReadImage(str(path)), "PIL")
        assert np.array_equal(sitk.GetArrayFromImage(turned).transpose(2, 1, 0), found.array)
    assert len(ids_in(found)) == labels


@pytest.mark.parametrize("um", [100, 50, 25])
def test_the_allen_volumes(shared_data: Path, um: int) -> None:
    """As published: "asr", in µm, whatever the header says; every label is in all three tables."""
    folder = shared_data / "allen_ccf_2017"
    found = read_volume(folder / f"annotation_{um}.nrrd", labels=True)
    assert np.array_equal(found.array, nrrd.read(str(folder / f"annotation_{um}.nrrd"))[0])
    assert (found.space.orientation, found.space.spacing_um) == ("asr", (um, um, um))
    assert codes(found.findings) == ["allen-frame"]
    template = read_volume(folder / f"average_template_{um}.nrrd")
    assert template.space == found.space
    assert template.array.dtype == np.uint16
    assert template.scaling == (1.0, 0.0)
    labels = ids_in(found)
    for name in ("1.json", "structure_tree_safe_2017.csv", "structures_brainglobe.json"):
        assert labels <= rows_of(read_label_table(folder / name)).keys()


def test_the_allen_tables(shared_data: Path) -> None:
    """The graph, the CSV and BrainGlobe's JSON name the same regions."""
    folder = shared_data / "allen_ccf_2017"
    want = json.loads((folder / "structures_brainglobe.json").read_bytes())
    kinds = {}
    for name in ("1.json", "structure_tree_safe_2017.csv", "structures_brainglobe.json"):
        table = read_label_table(folder / name)
        assert table.findings == ()
        kinds[table.kind] = len(table.rows)
        rows = rows_of(table)
        for entry in want:
            row = rows[entry["id"]]
            same = ("structure_id_path", "rgb_triplet")
            assert {key: row[key] for key in same} == {key: entry[key] for key in same}
            # The CSV spells MMme as Mmme, and leaves commas out.
            spelt = [one["acronym"].lower().replace(",", "") for one in (row, entry)]
            assert spelt[0] == spelt[1]
    assert kinds == {"allen-graph": 1327, "allen-csv": 1327, "brainglobe-json": 840}


def test_the_rat(shared_data: Path) -> None:
    """Two label files of ITK-SNAP and a CSV; the newest names every label of the volume."""
    folder = shared_data / "whs_rat"
    tables = {
        name: read_label_table(folder / name)
        for name in (
            *("WHS_SD_rat_atlas_v4.label", "labels.txt", "WHS_v4_colours.csv"),
            "WHS_Atlas_Rat_Brain_v3.label",
        )
    }
    assert [table.kind for table in tables.values()] == ["itksnap", "itksnap", "csv", "itksnap"]
    assert [len(table.rows) for table in tables.values()] == [223, 223, 223, 120]
    snap, csv = (rows_of(tables[name]) for name in list(tables)[::2])
    for number, row in snap.items():
        assert (row["name"], row["rgb_triplet"]) == (
            csv[number]["name"],
            csv[number]["rgb_triplet"],
        )
    assert len({row["acronym"] for row in snap.values()}) == 223
    labels = ids_in(read_volume(folder / "labels.nii.gz", labels=True))
    assert labels == snap.keys() - {997}


def test_the_human_tables(shared_data: Path) -> None:
    """BIDS tables whose names are in a column "label"; a row a label, and a root that is free."""
    for name, count in ((LARGE, 1054), (SMALL, 116)):
        table = read_label_table(shared_data / SCHAEFER.format(name, "_dseg.tsv"))
        assert table.kind == "bids"
        assert set(codes(table.findings)) == {"root-added", "acronyms-made", "colours-made"}
        labels = ids_in(read_volume(shared_data / SCHAEFER.format(name, SPACE), labels=True))
        assert labels == set(range(1, count + 1))
        assert rows_of(table).keys() == labels | set(table.made_ids)
        assert len(table.made_ids) == 1


def test_the_marmoset(shared_data: Path) -> None:
    """Labels stored as floats are exact; two templates are scaled alike; slashes are no paths."""
    folder = shared_data / "marmoset_mbmv3"
    labels = read_volume(folder / "tpl-MBMv3_seg-paxinos_dseg.nii.gz", labels=True)
    for name in ("T1w", "T2w"):
        path = folder / f"tpl-MBMv3_{name}.nii.gz"
        found = read_volume(path)
        assert found.space == labels.space
        assert codes(found.findings) == ["template-scaled"]
        image = nibabel.as_closest_canonical(nibabel.load(path))
        values = np.asarray(image.dataobj).astype(np.float64)[::-1, ::-1, ::-1].transpose(1, 2, 0)
        factor, offset = found.scaling
        assert np.abs((values - offset) * factor - found.array).max() <= 0.501
    table = read_label_table(folder / "tpl-MBMv3_seg-paxinos_dseg.tsv")
    rows = rows_of(table)
    assert rows[1]["name"] == "A1/A2"
    assert rows[1]["rgb_triplet"] == [7, 8, 64]
    assert ids_in(labels) <= rows.keys()
    assert len(table.rows) == 136  # 135 regions and a root


def test_the_mouse_with_a_wrong_header(shared_data: Path) -> None:
    """Voxels of 1 mm are unlikely, 25 µm are stated, and two labels have no row."""
    folder = shared_data / "mouse_gubra_lsfm"
    path = folder / "gubra_ano_olf_collapsed.nii.gz"
    assert codes(peek_volume(path).findings) == ["spacing-unlikely"]
    found = read_volume(path, spacing_um=25, labels=True)
    assert set(codes(found.findings)) == {"spacing-unlikely", "spacing-contradiction"}
    assert found.space.spacing_um == (25.0, 25.0, 25.0)
    assert found.stated_orientation == "rai"
    table = read_label_table(folder / "ARA2_annotation_info_collapsed.csv")
    assert (table.kind, table.findings, table.made_ids) == ("csv", (), ())
    assert len(ids_in(found) - rows_of(table).keys()) == 2
