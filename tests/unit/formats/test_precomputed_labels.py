"""Neuroglancer's copy of the labels, decoded here from the published description of the format."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bg_atlasapi.core import Atlas
from bg_atlasapi.formats.precomputed_labels import LabelsWriter, morton, write_properties
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.testing import tiny_package


def decoded(folder: Path) -> npt.NDArray[np.uint32]:
    """Return the volume of the one scale, axes X, Y, Z, chunk by chunk."""
    info = json.loads((folder / "info").read_bytes())
    assert (info["@type"], info["type"]) == ("neuroglancer_multiscale_volume", "segmentation")
    assert (info["data_type"], info["num_channels"]) == ("uint32", 1)
    (scale,) = info["scales"]
    sharding = scale["sharding"]
    assert scale["encoding"] == "raw"
    assert sharding["hash"] == "identity"
    assert sharding["minishard_bits"] == sharding["shard_bits"] == sharding["preshift_bits"] == 0
    shard = (folder / scale["key"] / "0.shard").read_bytes()
    start, end = np.frombuffer(shard[:16], "<u8").tolist()
    volume = np.zeros(scale["size"], np.uint32)
    if start == end:
        return volume
    index = np.frombuffer(gzip.decompress(shard[16 + start : 16 + end]), "<u8").reshape(3, -1)
    side = np.array(scale["chunk_sizes"][0])
    grid = -(-np.array(scale["size"]) // side)
    number, place = 0, 16
    for step, gap, size in index.T.tolist():
        number, place = number + step, place + gap
        raw = gzip.decompress(shard[place : place + size])
        place += size
        low = np.array(unmorton(number, grid.tolist())) * side
        shape = np.minimum(low + side, scale["size"]) - low
        part = np.frombuffer(raw, "<u4").reshape(shape.tolist(), order="F")
        volume[tuple(slice(a, a + n) for a, n in zip(low, shape, strict=True))] = part
    return volume


def unmorton(number: int, grid: list[int]) -> list[int]:
    """Take a compressed Morton code apart, bit by bit as the description says."""
    place, position = [0, 0, 0], 0
    for bit in range(40):
        for axis in range(3):
            if 2**bit < grid[axis]:
                place[axis] |= ((number >> position) & 1) << bit
                position += 1
    return place


@pytest.mark.parametrize("shape", [(3, 4, 5), (64, 64, 64), (130, 70, 200), (65, 1, 129)])
def test_the_volume_comes_back(shape: tuple[int, int, int], tmp_path: Path) -> None:
    """Each voxel, in X, Y, Z; chunks cut at the edges; chunks of zeros left out."""
    labels = np.random.default_rng(0).choice([0, 5, 2**32 - 1], shape).astype(np.uint32)
    labels[:, :, 64:128] = 0
    writer = LabelsWriter(tmp_path / "labels", CoordinateSpace(shape, (10, 20, 12.5)))
    for start in range(0, shape[0], 64):
        writer.put(labels[start : start + 64])
    writer.close()
    assert np.array_equal(decoded(tmp_path / "labels"), labels.T)
    (scale,) = json.loads((tmp_path / "labels" / "info").read_bytes())["scales"]
    assert scale["resolution"] == [12500.0, 20000.0, 10000.0]
    assert [one.name for one in (tmp_path / "labels" / scale["key"]).iterdir()] == ["0.shard"]


@pytest.mark.parametrize("grid", [[1, 1, 1], [4, 4, 4], [3, 1, 7], [18, 13, 21]])
def test_chunk_numbers_are_their_own(grid: list[int]) -> None:
    """Different for each place, small, and taken apart again to the place."""
    places = [[x, y, z] for x in range(grid[0]) for y in range(grid[1]) for z in range(grid[2])]
    numbers = [morton(place, grid) for place in places]
    assert len(set(numbers)) == len(places)
    assert max(numbers) < 2 ** sum((count - 1).bit_length() for count in grid)
    assert [unmorton(number, grid) for number in numbers] == places


def test_segments_have_names_and_colours(tmp_path: Path) -> None:
    """In the order of the ids, of the types Neuroglancer knows; 0 is no segment."""
    structure: dict[str, Any] = {"acronym": "a", "name": "Area, a", "rgb_triplet": [1, 171, 255]}
    write_properties(tmp_path, [{**structure, "id": 7}, {**structure, "id": 0}])
    stated = json.loads((tmp_path / "segment_properties" / "info").read_bytes())
    assert stated == {
        "@type": "neuroglancer_segment_properties",
        "inline": {
            "ids": ["7"],
            "properties": [
                {"id": "abbreviation", "type": "label", "values": ["a"]},
                {"id": "name", "type": "description", "values": ["Area, a"]},
                {"id": "color", "type": "string", "values": ["#01ABFF"]},
            ],
        },
    }
    pasted = json.loads((tmp_path / "segment_properties" / "segment_colors.json").read_bytes())
    assert pasted == {"segmentColors": {"7": "#01ABFF"}}


def test_an_exported_atlas_has_all_that_neuroglancer_asks_for(tmp_path: Path) -> None:
    """Labels, and the folders that info names: meshes with their index, segment properties."""
    atlas = Atlas.from_path(tiny_package(tmp_path))
    folder = atlas.export(tmp_path / "v3").parents[2]
    (shown,) = folder.glob("annotation-sets/*/*/annotations.precomputed")
    assert np.array_equal(decoded(shown), atlas.annotation.T)
    info = json.loads((shown / "info").read_bytes())
    ids = json.loads((shown / info["segment_properties"] / "info").read_bytes())["inline"]["ids"]
    assert ids == [str(one["id"]) for one in atlas.structures_list]
    mesh = json.loads((shown / info["mesh"] / "info").read_bytes())
    assert mesh["vertex_quantization_bits"] == 16
    for identifier in ids:
        fragment = (shown / "mesh" / identifier).stat().st_size
        index = (shown / "mesh" / f"{identifier}.index").read_bytes()
        assert np.frombuffer(index[-4:], "<u4")[0] == fragment
        assert len(index) == 4 * (3 + 3 + 1 + 1 + 3 + 1 + 3 + 1)
