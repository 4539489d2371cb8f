"""The archives that users download, unpacked from a stream."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from bg_atlasapi.errors import IncompleteAtlasError
from bg_atlasapi.store.archive.unpacking import unpack


def test_the_packaged_atlas_unpacks_to_the_same_files(
    shared_data: Path, allen_100um: Path, tmp_path: Path
) -> None:
    """Each file is, byte for byte, what the standard library unpacks, and its hash is true."""
    archive = shared_data / "allen_mouse_100um_v1.2.tar.gz"
    with archive.open("rb") as stream:
        unpacked = unpack(stream, tmp_path, where=str(archive), root=allen_100um.name)
    expected = {
        path.relative_to(allen_100um).as_posix(): path.read_bytes()
        for path in allen_100um.rglob("*")
        if path.is_file()
    }
    assert len(unpacked.members) == len(expected) == 845
    for member in unpacked.members:
        data = expected[member.key]
        assert (tmp_path / member.key).read_bytes() == data
        assert (member.size, member.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_the_component_store_unpacks(shared_data: Path, tmp_path: Path) -> None:
    """Its files lie deep and are named by numbers; none is refused."""
    archive = shared_data / "allen_mouse_100um_v3_store.tar.gz"
    with archive.open("rb") as stream:
        unpacked = unpack(stream, tmp_path, where=str(archive))
    assert unpacked.root == "brainglobe-atlasapi"
    assert sum(member.size for member in unpacked.members) == sum(
        path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()
    )


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_a_download_that_breaks_off_is_incomplete(
    shared_data: Path, tmp_path: Path, share: float
) -> None:
    """No part of a real archive passes for the whole."""
    data = (shared_data / "allen_mouse_100um_v3_store.tar.gz").read_bytes()
    with pytest.raises(IncompleteAtlasError, match="Fetch it again"):
        unpack(io.BytesIO(data[: int(len(data) * share)]), tmp_path, where="x")
