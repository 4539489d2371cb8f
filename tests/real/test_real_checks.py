"""Checks and reports of real atlases: nothing is blamed that is sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bg_atlasapi.build.report import write_report
from bg_atlasapi.build.validation import check_path
from bg_atlasapi.testing import write_package


@pytest.mark.parametrize("which", ["allen_100um", "allen_100um_v3"])
def test_the_published_atlas_has_no_errors(which, request, tmp_path):
    """Of both layouts: what is found is true, and none of it an error."""
    folder: Path = request.getfixturevalue(which)
    verdict = check_path(folder)
    counts = verdict.findings.counts()
    assert verdict.findings.ok, str(verdict.findings)
    warned = set(verdict.findings.warnings.counts())
    # The published meshes were thinned by a method that opens holes.
    assert warned <= {"structure-without-voxels", "mesh-open", "mesh-loose"}
    assert counts["mesh-open"] > 100
    assert "slightly-asymmetric" in counts
    page = write_report(verdict.atlas, tmp_path / "page.html", verdict.findings, folder=folder)
    assert 200_000 < page.stat().st_size < 3_000_000


def test_the_25um_atlas_is_sound(allen_25um, tmp_path):
    """77 million voxels: no error, and the one structure without voxels is named."""
    verdict = check_path(allen_25um, meshes=False)
    assert verdict.findings.ok
    warnings = verdict.findings.warnings
    assert warnings.counts() == {"structure-without-voxels": 1}
    assert warnings[0].where == "RSPd4 (545)"
    page = write_report(verdict.atlas, tmp_path / "page.html", verdict.findings, meshes=False)
    assert page.stat().st_size < 3_000_000


def test_a_mirrored_human_parcellation_is_found_out(shared_data, tmp_path):
    """Names say left and right: an image that was turned over contradicts them."""
    nib = pytest.importorskip("nibabel")
    folder = shared_data / "human_schaefer_tian_bids" / "atlas-Schaefer2018N100n7Tian2020S1"
    (image,) = folder.glob("*_dseg.nii.gz")
    (table,) = folder.glob("*_dseg.tsv")
    stored = nib.as_closest_canonical(nib.load(image))
    labels = np.asarray(stored.dataobj).astype(np.uint16)  # x right, y anterior, z superior
    labels = np.ascontiguousarray(labels.transpose(1, 2, 0)[::-1, ::-1, ::-1])
    rows = [{"id": 9999, "acronym": "root", "name": "root", "structure_id_path": [9999]}]
    for line in table.read_text(encoding="utf-8").splitlines()[1:]:
        number, name = line.split("\t")[:2]
        path = [9999, int(number)]
        rows.append({"id": path[1], "acronym": name, "name": name, "structure_id_path": path})
    for name, volume in (("right", labels), ("wrong", labels[..., ::-1])):
        made = write_package(
            tmp_path,
            name=f"{name}_human_1000um",
            annotation=np.ascontiguousarray(volume),
            reference=(volume > 0).astype(np.uint16),
            structures=rows,
            resolution=(1000, 1000, 1000),
            species="Homo sapiens",
        )
        counts = check_path(made, meshes=False).findings.counts()
        assert ("sides-contradict-names" in counts) == (name == "wrong")
        assert not {"orientation-implausible", "template-misaligned"} & set(counts)
