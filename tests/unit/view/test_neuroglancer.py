"""What Neuroglancer is served, decoded as its format says and compared with the atlas."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.precomputed_labels import SIDE
from bg_atlasapi.view.neuroglancer import CLIENT, NeuroglancerApp, checked_client
from bg_atlasapi.view.viewer import Wish, start_neuroglancer

PORT = 8123
HOST = (b"host", b"127.0.0.1:8123")
ORIGIN = (b"origin", CLIENT.encode())


@pytest.fixture(scope="module")
def served(phantom: BrainGlobeAtlas, client_type: Any) -> Any:
    """Return a client of the phantom as Neuroglancer sees it."""
    app = NeuroglancerApp(phantom, PORT, codes=[phantom._terminology.code("TH")])
    yield client_type(app)
    app.close()


def _volume(served: Any, folder: str) -> np.ndarray:
    """Put a volume together from its chunks; axes Z, Y, X."""
    info = json.loads(served(f"{folder}/info").body)
    (scale,) = info["scales"]
    assert scale["chunk_sizes"] == [[SIDE] * 3]
    size = scale["size"]
    volume = np.zeros(size[::-1], info["data_type"])
    for x in range(0, size[0], SIDE):
        for y in range(0, size[1], SIDE):
            for z in range(0, size[2], SIDE):
                ends = [min(at + SIDE, end) for at, end in zip((x, y, z), size, strict=True)]
                name = f"{x}-{ends[0]}_{y}-{ends[1]}_{z}-{ends[2]}"
                reply = served(f"{folder}/{scale['key']}/{name}")
                assert reply.status == 200
                shape = (ends[2] - z, ends[1] - y, ends[0] - x)
                part = np.frombuffer(reply.body, info["data_type"]).reshape(shape)
                volume[z : ends[2], y : ends[1], x : ends[0]] = part
    return volume


def test_volumes_come_back_whole(phantom: BrainGlobeAtlas, served: Any) -> None:
    """Annotation and template, put together from chunks, are those of the atlas; voxels are in nm, X first."""
    assert np.array_equal(_volume(served, "/annotation"), phantom.annotation)
    assert np.array_equal(_volume(served, "/image/0"), phantom.reference)
    info = json.loads(served("/annotation/info").body)
    assert info["type"] == "segmentation"
    assert info["scales"][0]["resolution"] == [100_000.0] * 3
    assert info["scales"][0]["size"] == list(phantom.shape[::-1])


def test_meshes_are_in_nm_and_turned(phantom: BrainGlobeAtlas, served: Any) -> None:
    """A mesh's fragment holds its vertices as X, Y, Z in nm, and its triangles with their outside kept."""
    identifier = phantom.structures["TH"]["id"]
    manifest = json.loads(served(f"/annotation/mesh/{identifier}:0").body)
    (fragment,) = manifest["fragments"]
    body = served(f"/annotation/mesh/{fragment}").body
    (count,) = struct.unpack_from("<I", body)
    points = np.frombuffer(body, "<f4", 3 * count, 4).reshape(-1, 3)
    faces = np.frombuffer(body, "<u4", offset=4 + 12 * count).reshape(-1, 3)
    mesh = phantom.mesh_from_structure("TH")
    assert np.allclose(points[:, ::-1] / 1000, mesh.points, atol=0.01)
    assert np.array_equal(faces[:, ::-1], mesh.cells[0].data)
    assert served("/annotation/mesh/info").status == 200
    assert served("/annotation/mesh/123456789:0").status == 404


def test_segments_have_names_and_colours(phantom: BrainGlobeAtlas, served: Any) -> None:
    """Every structure has its acronym, name and colour as properties of its segment."""
    inline = json.loads(served("/annotation/segment_properties/info").body)["inline"]
    tree = phantom._terminology
    assert inline["ids"] == [str(one) for one in tree.ids[1:].tolist()]
    columns = {one["id"]: one["values"] for one in inline["properties"]}
    assert columns["abbreviation"] == list(tree.acronyms[1:])
    assert columns["name"] == list(tree.names[1:])


def test_the_state_names_what_is_served(phantom: BrainGlobeAtlas, served: Any) -> None:
    """The state's sources exist here, its position is inside, and it shows the structure that was asked for."""
    state = json.loads(served("/state.json").body)
    for layer in state["layers"]:
        address = layer["source"].removeprefix(f"precomputed://http://127.0.0.1:{PORT}")
        assert served(f"{address}/info").status == 200
    assert all(0 < at < end for at, end in zip(state["position"], phantom.shape[::-1], strict=True))
    assert state["dimensions"]["x"] == pytest.approx([1e-4, "m"])
    tree, shown = phantom._terminology, state["layers"][1]["segments"]
    code = tree.code("TH")
    assert shown == [str(one) for one in tree.ids[code : tree.last[code] + 1].tolist()]
    assert state["layers"][1]["segmentColors"][shown[0]].startswith("#")


def test_only_the_client_may_read(served: Any) -> None:
    """The client's pages may read, also where browsers ask first; other pages may not."""
    for method in ("GET", "OPTIONS"):
        reply = served("/state.json", method, [HOST, ORIGIN, (b"sec-fetch-site", b"cross-site")])
        assert reply.status in (200, 204)
        assert reply.headers[b"access-control-allow-origin"] == CLIENT.encode()
        assert reply.headers[b"access-control-allow-private-network"] == b"true"
        other = served("/state.json", method, [HOST, (b"origin", b"http://evil.example")])
        assert other.status == 403
        assert b"access-control-allow-origin" not in other.headers
    assert served("/state.json", "POST").status == 405


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/index.html",
        "/api/atlas.json",
        "/image/1/info",
        "/image/1/full/0-64_0-64_0-64",
        "/annotation/full/0-65_0-64_0-64",
        "/annotation/full/0-0_0-64_0-64",
        "/annotation/full/64-0_0-64_0-64",
        "/annotation/full/0-64_0-64_128-192",
        "/annotation/full/0-999999999_0-999999999_0-999999999",
        "/annotation/other/0-64_0-64_0-64",
        "/annotation/mesh/99999999999999999999",
        "/annotation/../state.json",
        "/../../etc/passwd",
    ],
)
def test_nothing_else_is_served(served: Any, path: str) -> None:
    """Chunks beyond the volume, too large or backwards, and the viewer's own addresses, are not there."""
    assert served(path).status == 404


@pytest.mark.parametrize(
    "client",
    ["", "neuroglancer", "file:///etc", "javascript:alert(1)", "http://", "https://a.b/?x"],
)
def test_a_wrong_client_is_one_sentence(phantom: BrainGlobeAtlas, client: str) -> None:
    """What is no address of the web is refused before anything listens."""
    with pytest.raises(InvalidInputError, match="A client of Neuroglancer is an address"):
        checked_client(client)
    if client:
        with pytest.raises(InvalidInputError, match="A client of Neuroglancer"):
            start_neuroglancer(phantom, Wish(), client=client)


def test_the_link_leads_from_the_client_to_the_state(phantom: BrainGlobeAtlas) -> None:
    """The link is that of the client, with the address of a state that this machine serves."""
    with start_neuroglancer(phantom, Wish(), client="https://example.org/ng/") as viewing:
        client, _, state = viewing.url.partition("/#!")
        assert client == "https://example.org/ng"
        assert state.startswith("http://127.0.0.1:")
        assert state.endswith("/state.json")
