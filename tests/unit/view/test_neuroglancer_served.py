"""What a client of Neuroglancer gets over HTTP: its headers, its formats, every scale."""

from __future__ import annotations

import gzip
import itertools
import json
import struct
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.formats import exporting
from bg_atlasapi.view.neuroglancer import CLIENT
from bg_atlasapi.view.serving import Viewing
from bg_atlasapi.view.viewer import Wish, start_neuroglancer

# Volumes: https://github.com/google/neuroglancer, datasource/precomputed/volume.md
TYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "uint64", "float32")
PAGE = {"Origin": CLIENT, "Sec-Fetch-Site": "cross-site", "Accept-Encoding": "gzip"}


@pytest.fixture(scope="module")
def stored(phantom: BrainGlobeAtlas, tmp_path_factory: pytest.TempPathFactory) -> BrainGlobeAtlas:
    """Return the phantom as a component store with two coarser levels."""
    folder = tmp_path_factory.mktemp("store")
    levels = [(200.0,) * 3, (400.0,) * 3]
    path = exporting.export(
        phantom._model, "levels_mouse", "1.0", folder, "components", levels_um=levels
    )
    return BrainGlobeAtlas.from_path(path)


@pytest.fixture(scope="module")
def serving(stored: BrainGlobeAtlas) -> Iterator[Viewing]:
    """Return a running server of it."""
    with start_neuroglancer(stored, Wish(structures=["TH"])) as viewing:
        yield viewing


class Web:
    """Asks as a page of the client does."""

    def __init__(self, link: str) -> None:
        client, _, self.state = link.partition("/#!")
        assert client == CLIENT
        self._host = urlsplit(self.state).netloc

    def __call__(
        self, address: str, method: str = "GET", headers: Mapping[str, str] = PAGE
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and the unpacked body."""
        parts = urlsplit(address)
        assert parts.netloc == self._host
        connection = HTTPConnection(self._host, timeout=60)
        connection.request(method, parts.path, headers=dict(headers))
        answer = connection.getresponse()
        body, told = answer.read(), {key.lower(): one for key, one in answer.getheaders()}
        connection.close()
        if told.get("content-encoding") == "gzip" and body:
            body = gzip.decompress(body)
        return answer.status, told, body

    def json(self, address: str) -> Any:
        """Return what a JSON file there holds."""
        status, told, body = self(address)
        assert (status, told["content-type"]) == (200, "application/json")
        return json.loads(body)


@pytest.fixture(scope="module")
def web(serving: Viewing) -> Web:
    """Return a client of it."""
    return Web(serving.url)


def _sources(web: Web) -> dict[str, str]:
    layers = web.json(web.state)["layers"]
    return {one["type"]: one["source"].removeprefix("precomputed://") for one in layers}


def test_a_browser_lets_the_client_read(web: Web) -> None:
    """State, info and chunks may be read by the client's pages, after asking (a private address) and without."""
    source = _sources(web)["image"]
    asking = {
        **PAGE,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Private-Network": "true",
        "Access-Control-Request-Headers": "range",
    }
    for address in (web.state, f"{source}/info", f"{source}/full/0-64_0-64_0-64"):
        status, told, body = web(address, "OPTIONS", asking)
        assert (status, body) == (204, b"")
        assert told["access-control-allow-origin"] == CLIENT
        assert told["access-control-allow-private-network"] == "true"
        assert "range" in told["access-control-allow-headers"]
        for method in ("GET", "HEAD"):
            status, told, body = web(address, method)
            assert status == 200
            assert bool(body) == (method == "GET")
            assert told["access-control-allow-origin"] == CLIENT
            assert told["cross-origin-resource-policy"] == "cross-origin"
            assert "origin" in told["vary"]


def test_a_part_of_a_file_may_be_answered_by_all_of_it(web: Web) -> None:
    """Nothing served needs ranges; one that is asked for gets the whole with 200, as HTTP has it."""
    source = _sources(web)["image"]
    whole = web(f"{source}/full/0-64_0-64_0-64")[2]
    part = web(f"{source}/full/0-64_0-64_0-64", headers={**PAGE, "Range": "bytes=0-9"})
    assert (part[0], part[2]) == (200, whole)


@pytest.mark.parametrize("kind", ["image", "segmentation"])
def test_the_info_is_as_the_format_says(web: Web, kind: str, stored: BrainGlobeAtlas) -> None:
    """All members that a volume must have are there, the scales from fine to coarse, over the same extent."""
    info = web.json(f"{_sources(web)[kind]}/info")
    assert (info["@type"], info["type"]) == ("neuroglancer_multiscale_volume", kind)
    assert info["data_type"] in TYPES
    assert info["num_channels"] == 1
    scales = info["scales"]
    assert [one["resolution"] for one in scales] == [[1e5] * 3, [2e5] * 3, [4e5] * 3]
    assert len({one["key"] for one in scales}) == len(scales)
    assert scales[0]["size"] == list(stored.shape[::-1])
    for one in scales:
        assert one["encoding"] == "raw"
        assert one["voxel_offset"] == [0, 0, 0]
        assert all(len(size) == 3 for size in one["chunk_sizes"])
        extent = np.multiply(one["size"], one["resolution"])
        assert (np.abs(extent - np.multiply(stored.shape[::-1], 1e5)) < one["resolution"]).all()


def _voxels(web: Web, source: str, info: Any, scale: Any) -> np.ndarray:
    """Put a scale together from its chunks; axes Z, Y, X."""
    volume = np.zeros(scale["size"][::-1], info["data_type"])
    steps = scale["chunk_sizes"][0]
    for corner in itertools.product(
        *(range(0, end, step) for end, step in zip(scale["size"], steps, strict=True))
    ):
        ends = np.minimum(np.add(corner, steps), scale["size"]).tolist()
        name = "_".join(f"{at}-{end}" for at, end in zip(corner, ends, strict=True))
        status, _, body = web(f"{source}/{scale['key']}/{name}")
        assert status == 200
        shape = np.subtract(ends, corner)[::-1]
        where = tuple(slice(at, end) for at, end in zip(corner, ends, strict=True))[::-1]
        volume[where] = np.frombuffer(body, info["data_type"]).reshape(shape)
    return volume


@pytest.mark.parametrize(("kind", "name"), [("image", "template"), ("segmentation", "annotation")])
def test_every_scale_is_a_stored_level(
    web: Web, stored: BrainGlobeAtlas, kind: str, name: str
) -> None:
    """The voxels of each scale are those of the atlas's level of this voxel size."""
    source = _sources(web)[kind]
    info = web.json(f"{source}/info")
    for scale in info["scales"]:
        level = stored.volumes[name].level(scale["resolution"][0] / 1000)
        assert np.array_equal(_voxels(web, source, info, scale), np.asarray(level))


def test_a_segment_has_a_mesh_a_name_and_properties(web: Web, stored: BrainGlobeAtlas) -> None:
    """The folders that info names hold what their formats say, for a segment that the state shows."""
    source = _sources(web)["segmentation"]
    info = web.json(f"{source}/info")
    segment = web.json(web.state)["layers"][1]["segments"][0]
    assert web.json(f"{source}/{info['mesh']}/info")["@type"] == "neuroglancer_legacy_mesh"
    # A browser may spell the colon either way.
    for colon in (":", "%3A"):
        (fragment,) = web.json(f"{source}/{info['mesh']}/{segment}{colon}0")["fragments"]
    _, _, body = web(f"{source}/{info['mesh']}/{fragment}")
    (count,) = struct.unpack_from("<I", body)
    corners = np.frombuffer(body, "<f4", 3 * count, 4).reshape(-1, 3)
    triangles = np.frombuffer(body, "<u4", offset=4 + 12 * count)
    assert triangles.size % 3 == 0
    assert triangles.max() < count
    assert (corners >= 0).all()
    assert (corners <= np.multiply(stored.shape[::-1], 1e5)).all()
    told = web.json(f"{source}/{info['segment_properties']}/info")
    assert told["@type"] == "neuroglancer_segment_properties"
    at = told["inline"]["ids"].index(segment)
    for one in told["inline"]["properties"]:
        assert one["type"] in ("label", "description", "string", "tags", "number")
        assert len(one["values"]) == len(told["inline"]["ids"])
    (label,) = [one for one in told["inline"]["properties"] if one["type"] == "label"]
    assert "TH" in label["values"][at] or "Thalamus" in label["values"][at]


@pytest.mark.parametrize(("kind", "name"), [("image", "template"), ("segmentation", "annotation")])
def test_tensorstore_reads_the_same(
    serving: Viewing, web: Web, stored: BrainGlobeAtlas, kind: str, name: str
) -> None:
    """Another reader of the format, where it is installed, opens each scale and reads the atlas's voxels."""
    tensorstore = pytest.importorskip("tensorstore")
    assert serving.url.startswith(CLIENT)
    source = _sources(web)[kind]
    for index, scale in enumerate(web.json(f"{source}/info")["scales"]):
        spec = {
            "driver": "neuroglancer_precomputed",
            "kvstore": f"{source}/",
            "scale_index": index,
        }
        read = tensorstore.open(spec, read=True).result()[..., 0].read().result()
        level = stored.volumes[name].level(scale["resolution"][0] / 1000)
        assert np.array_equal(read.T, np.asarray(level))
