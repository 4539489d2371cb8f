"""Real atlases for the tests of this folder, from ``../shared/data`` beside the checkout."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.testing import write_package

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data, or skip."""
    folder = CHECKOUT.parent / "shared" / "data"
    if not (folder / "README.md").is_file():
        pytest.skip(f"the real atlas data are not here: no {folder}")
    return folder


@pytest.fixture(scope="session")
def allen_100um(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the packaged 100 µm atlas, unpacked as a user's download would be."""
    folder = tmp_path_factory.mktemp("allen_100um")
    with tarfile.open(shared_data / "allen_mouse_100um_v1.2.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "allen_mouse_100um_v1.2"


@pytest.fixture(scope="session")
def allen_100um_v3(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the same atlas in a component store written by brainglobe-atlasapi."""
    folder = tmp_path_factory.mktemp("allen_v3")
    with tarfile.open(shared_data / "allen_mouse_100um_v3_store.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    (manifest,) = folder.rglob("atlases/allen_mouse_100um/3_0/manifest.json")
    return manifest.parent


@pytest.fixture(scope="session")
def annotation_25um(shared_data: Path) -> npt.NDArray[np.uint32]:
    """Return the published 25 µm labels, read by nrrd and never by the code under test."""
    return _nrrd(shared_data / "allen_ccf_2017" / "annotation_25.nrrd")


@pytest.fixture(scope="session")
def allen_25um(
    shared_data: Path,
    annotation_25um: npt.NDArray[np.uint32],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Return the folder of the 25 µm atlas, packaged from the published volumes; no meshes."""
    source = shared_data / "allen_ccf_2017"
    return write_package(
        tmp_path_factory.mktemp("allen_25um"),
        name="allen_mouse_25um",
        version="1.2",
        annotation=annotation_25um,
        reference=_nrrd(source / "average_template_25.nrrd"),
        structures=json.loads((source / "structures_brainglobe.json").read_bytes()),
        resolution=(25, 25, 25),
    )


def _nrrd(path: Path) -> npt.NDArray[Any]:
    import nrrd

    array, _ = nrrd.read(str(path))
    return np.ascontiguousarray(array)


@pytest.fixture(params=["allen_100um", "allen_25um"])
def package(request: pytest.FixtureRequest) -> Path:
    """Return the folder of each of the two atlases in turn."""
    folder: Path = request.getfixturevalue(request.param)
    return folder


@pytest.fixture
def atlas(package: Path) -> BrainGlobeAtlas:
    """Return each of the two atlases in turn, freshly opened."""
    return BrainGlobeAtlas(
        package.name.partition("_v")[0], brainglobe_dir=package.parent, check_latest=False
    )
