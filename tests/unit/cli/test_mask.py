"""The verb mask."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner, Result

from bg_atlasapi import BrainGlobeAtlas, cli
from bg_atlasapi.utils import read_tiff

ATLAS = "phantom_mouse_100um"


def run(*args: str) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(cli.bg_cli, ["mask", ATLAS, *args], catch_exceptions=False)


def test_a_mask_is_written_where_the_atlas_lies(tmp_path: Path) -> None:
    """The file holds the voxels, the affine of the atlas, and where they come from."""
    path = tmp_path / "visp.nii.gz"
    result = run("VISp", "-o", str(path))
    assert result.stdout == f"Wrote 7638 voxels, 7.638 mm³, to {path}\n"
    image = nibabel.load(path)
    expected = BrainGlobeAtlas(ATLAS).mask("VISp")
    np.testing.assert_array_equal(np.asarray(image.dataobj), expected)
    assert nibabel.aff2axcodes(image.affine) == ("P", "I", "L")
    assert np.abs(np.linalg.det(image.affine[:3, :3])) == pytest.approx(0.1**3)
    assert "mask" in str(image.header["descrip"])


def test_sides_and_ids(tmp_path: Path) -> None:
    """One side, several structures with their ids, named in any way; facts as JSON."""
    path = tmp_path / "regions.tif"
    options = ("--values", "id", "--hemisphere", "left", "--json")
    answer = json.loads(run("CTX", "385", "Thalamus", "-o", str(path), *options).stdout)
    expected = BrainGlobeAtlas(ATLAS).mask(["CTX", "VISp", "TH"], "left", "id")
    np.testing.assert_array_equal(read_tiff(path), expected)
    assert answer["voxels"] == np.count_nonzero(expected)
    assert answer["bg_atlasapi"]["options"]["hemisphere"] == "left"


def test_what_is_wrong_is_a_sentence(tmp_path: Path) -> None:
    """An unknown region, an unknown ending, no file: nothing is written."""
    assert run("XYZ", "-o", str(tmp_path / "a.tif")).exit_code == 3
    assert run("VISp", "-o", str(tmp_path / "a.doc")).exit_code == 2
    assert run("VISp").exit_code == 2
    assert not list(tmp_path.iterdir())
