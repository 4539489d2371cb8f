"""Volumes in Zarr: every way of storing them, and every way they can be damaged."""

from __future__ import annotations

import bz2
import copy
import gzip
import itertools
import json
import lzma
import math
import os
import pickle
import shutil
import struct
import sys
import types
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bg_atlasapi.errors import AtlasError, IncompleteAtlasError, InvalidAtlasError
from bg_atlasapi.formats import zarr_array
from bg_atlasapi.formats.checks import NoCheck, no_check
from bg_atlasapi.formats.zarr_array import ZarrVolume
from bg_atlasapi.formats.zarr_codecs import DamagedChunk, Pipeline, crc32c
from bg_atlasapi.model.chunk_cache import CACHE

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Labels = npt.NDArray[np.uint32]


class Calling(NoCheck):
    """A check that calls a function with each path, of an atlas whose files are known."""

    recorded = True

    def __init__(self, function: Callable[[Path], object]) -> None:
        self._function = function

    def __call__(self, path: Path) -> None:
        """Call it."""
        self._function(path)


def volume(group: Path, shape: tuple[int, ...] = (5, 4, 6), check: Any = no_check) -> ZarrVolume:
    """Open the level of 100 µm."""
    return ZarrVolume(group, shape, (100.0, 100.0, 100.0), "iu", check)


def led_by(checksum: Callable[[bytes], int]) -> Callable[[bytes], bytes]:
    """Return what puts a checksum before the data, as numcodecs does."""
    return lambda data: struct.pack("<I", checksum(data)) + data


def with_crc(data: bytes) -> bytes:
    """Append a checksum as the codec crc32c does."""
    return data + struct.pack("<I", crc32c(data))


ZSTD = {"name": "zstd", "configuration": {"level": 0, "checksum": True}}
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "one-chunk": {"chunks": (8, 8, 8)},
    "planes": {"chunks": (1, 4, 6)},
    "zstd": {"codecs": [ZSTD], "encode": zstd.compress},
    "gzip": {"codecs": [{"name": "gzip", "configuration": {"level": 1}}], "encode": gzip.compress},
    "zlib": {"codecs": [{"name": "numcodecs.zlib"}], "encode": zlib.compress},
    "bz2": {"codecs": [{"name": "numcodecs.bz2"}], "encode": bz2.compress},
    "lzma": {"codecs": [{"name": "numcodecs.lzma"}], "encode": lzma.compress},
    "crc32": {"codecs": [{"name": "numcodecs.crc32"}], "encode": led_by(zlib.crc32)},
    "adler32": {"codecs": [{"name": "numcodecs.adler32"}], "encode": led_by(zlib.adler32)},
    "crc": {"codecs": [{"name": "crc32c"}], "encode": with_crc},
    "zstd-crc": {
        "codecs": [ZSTD, {"name": "crc32c"}],
        "encode": lambda data: with_crc(zstd.compress(data)),
    },
    "big": {"big": True},
    "transposed": {"order": (2, 0, 1)},
    "dots": {"separator": "."},
    "keys-v2": {"keys": "v2", "separator": "."},
    "keys-v2-slash": {"keys": "v2"},
    "v2": {"version": 2, "separator": "."},
    "v2-slash-big": {"version": 2, "big": True},
    "v2-fortran": {"version": 2, "order": (2, 1, 0)},
    "v2-zstd": {"version": 2, "codecs": [{"id": "zstd"}], "encode": zstd.compress},
    "v2-gzip": {"version": 2, "codecs": [{"id": "gzip"}], "encode": gzip.compress},
    "v2-bz2": {"version": 2, "codecs": [{"id": "bz2"}], "encode": bz2.compress},
    "v2-zlib": {"version": 2, "codecs": [{"id": "zlib"}], "encode": zlib.compress},
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_storing_reads_the_same(
    tmp_path: Path, zarr: Any, labels: Labels, way: str
) -> None:
    """Whole, in slabs, by boxes and by points: the array that was written."""
    zarr(**WAYS[way]).image(tmp_path / "a", labels)
    source = volume(tmp_path / "a")
    assert source.shape == labels.shape
    assert source.dtype == np.uint32
    assert source.dtype.isnative
    assert source.mapped() is None
    whole = source.read()
    assert np.array_equal(whole, labels)
    assert whole.flags.writeable
    assert whole.flags.c_contiguous
    assert np.array_equal(np.concatenate(list(source.slabs())), labels)
    box = (slice(1, 4), slice(2, 4), slice(3, 6))
    assert np.array_equal(source.region(box), labels[box])
    flat = np.random.default_rng(1).integers(0, labels.size, 200)
    assert np.array_equal(source.gather(flat), labels.ravel()[flat])
    for one in flat[:20]:
        assert source.gather(np.array([one])) == labels.ravel()[one]
    assert source.gather(np.array([], np.int64)).size == 0


@pytest.mark.parametrize("dtype", ["u1", "i2", "u8", "f4", "f2", "?"])
def test_types_and_fill_values(tmp_path: Path, zarr: Any, labels: Labels, dtype: str) -> None:
    """Any type of number; what is not stored has the fill value, NaN where that is it."""
    array = (labels // 10).astype(dtype)
    zarr().image(tmp_path / "a", array)
    path = tmp_path / "a" / "s0" / "zarr.json"
    stated = json.loads(path.read_text())
    stated["fill_value"] = {"f": "NaN", "b": True}.get(array.dtype.kind, 7)
    path.write_text(json.dumps(stated))
    source = ZarrVolume(tmp_path / "a", array.shape, (100.0,) * 3, "iufb", no_check)
    expected = array.copy()
    expected[:2, :3, :4] = {"f": np.nan, "b": True}.get(array.dtype.kind, 7)
    equal_nan = array.dtype.kind == "f"
    assert np.array_equal(source.read(), expected, equal_nan=equal_nan)
    assert np.array_equal(source.gather(np.arange(7)), expected.ravel()[:7], equal_nan=equal_nan)
    assert np.array_equal(source.gather(np.array([0])), expected.ravel()[:1], equal_nan=equal_nan)


def write_sharded(
    folder: Path, array: Labels, *, at_end: bool = True, damage: Callable[[bytes], bytes] = bytes
) -> None:
    """Write an array in shards of 4 x 4 x 4 with chunks of 2 x 2 x 2, zstd, index with checksum."""
    folder.mkdir(parents=True)
    index_codecs = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
    codecs = [{"name": "bytes", "configuration": {"endian": "little"}}, ZSTD]
    configuration = {"chunk_shape": [2, 2, 2], "codecs": codecs, "index_codecs": index_codecs}
    configuration["index_location"] = "end" if at_end else "start"
    stated = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": array.shape,
        "data_type": "uint32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4, 4, 4]}},
        "chunk_key_encoding": {"name": "default"},
        "fill_value": 0,
        "codecs": [{"name": "sharding_indexed", "configuration": configuration}],
    }
    (folder / "zarr.json").write_text(json.dumps(stated))
    padded = np.zeros((8, 4, 8), np.uint32)
    padded[tuple(slice(0, n) for n in array.shape)] = array
    for a, b in itertools.product(range(2), range(2)):
        shard = padded[4 * a : 4 * a + 4, :, 4 * b : 4 * b + 4]
        index = np.full((2, 2, 2, 2), 2**64 - 1, np.uint64)
        data, start = b"", 0 if at_end else 8 * 16 + 4
        for i, j, k in itertools.product(range(2), range(2), range(2)):
            part = shard[2 * i : 2 * i + 2, 2 * j : 2 * j + 2, 2 * k : 2 * k + 2]
            if part.any():
                stored = zstd.compress(part.tobytes())
                index[i, j, k] = (start + len(data), len(stored))
                data += stored
        table = with_crc(index.astype("<u8").tobytes())
        path = folder / "c" / str(a) / "0" / str(b)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(damage(data + table if at_end else table + data))


@pytest.mark.parametrize("at_end", [True, False])
def test_shards_read_chunk_by_chunk(
    tmp_path: Path, zarr: Any, labels: Labels, at_end: bool
) -> None:
    """Several chunks in a file with an index: whole, points, and chunks that are not stored."""
    zarr().image(tmp_path / "a", labels)
    (tmp_path / "a" / "s0").rename(tmp_path / "old")
    write_sharded(tmp_path / "a" / "s0", labels, at_end=at_end)
    source = volume(tmp_path / "a")
    assert np.array_equal(source.read(), labels)
    flat = np.arange(labels.size)[::-1]
    assert np.array_equal(source.gather(flat), labels.ravel()[::-1])


def test_a_damaged_shard_raises(tmp_path: Path, zarr: Any, labels: Labels) -> None:
    """An index whose checksum is wrong, and a shard cut short, name the file."""
    zarr().image(tmp_path / "a", labels)
    for number, damage in enumerate([lambda d: d[:-1] + b"\0", lambda d: d[:40], lambda _: b""]):
        (tmp_path / "a" / "s0").rename(tmp_path / f"old{number}")
        write_sharded(tmp_path / "a" / "s0", labels, damage=damage)
        with pytest.raises(IncompleteAtlasError, match="is damaged"):
            volume(tmp_path / "a").read()


def test_a_listed_chunk_that_is_gone_raises(tmp_path: Path, zarr: Any, labels: Labels) -> None:
    """Absent and listed is an error in every kind of read; absent and unlisted is the fill value."""
    zarr().image(tmp_path / "a", labels)
    gone = tmp_path / "a" / "s0" / "c" / "1" / "1" / "1"
    gone.unlink()
    expected = labels.copy()
    expected[2:4, 3:, 4:] = 0
    assert np.array_equal(volume(tmp_path / "a").read(), expected)

    def check(path: Path) -> None:
        if path == gone:
            message = f"{path} is listed"
            raise IncompleteAtlasError(message)

    source = volume(tmp_path / "a", check=Calling(check))
    flat = np.ravel_multi_index((2, 3, 4), labels.shape)
    for ask in (
        source.read,
        lambda: list(source.slabs()),
        lambda: source.gather(np.array([flat])),
        lambda: source.gather(np.array([0, flat])),
    ):
        with pytest.raises(IncompleteAtlasError, match="is listed"):
            ask()
    assert source.gather(np.array([labels.size - 1])) == labels.ravel()[-1]


def test_each_file_is_checked_before_it_is_read(tmp_path: Path, zarr: Any, labels: Labels) -> None:
    """Metadata and chunks, those that are not stored too; a slice asks of its own chunks only."""
    zarr().image(tmp_path / "a", labels)
    asked: list[Path] = []
    source = volume(tmp_path / "a", check=Calling(asked.append))
    source.region((slice(0, 1), slice(0, 4), slice(0, 6)))
    level = tmp_path / "a" / "s0"
    chunks = [level / "c" / "0" / str(b) / str(c) for b in range(2) for c in range(2)]
    assert asked[:2] == [tmp_path / "a" / "zarr.json", level / "zarr.json"]
    assert sorted(asked[2:]) == chunks


def test_the_level_of_the_manifests_resolution_is_read(
    tmp_path: Path, zarr: Any, labels: Labels
) -> None:
    """Levels are told apart by voxel size, not by order; none is an error that lists them."""
    zarr().image(tmp_path / "a", labels)
    half = labels[::2, ::2, ::2]
    source = ZarrVolume(tmp_path / "a", half.shape, (200.0,) * 3, "iu", no_check)
    assert np.array_equal(source.read(), half)
    with pytest.raises(InvalidAtlasError, match="s0: 100, 100, 100; s1: 200"):
        ZarrVolume(tmp_path / "a", half.shape, (25.0,) * 3, "iu", no_check).read()


def grid_of(*chunk: int) -> dict[str, Any]:
    """Return what metadata say of chunks of a shape."""
    return {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}}}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"codecs": [{"name": "bytes"}, {"name": "pcodec"}]}, "pcodec.*cannot be decoded"),
        ({"codecs": [{"name": "vlen-utf8"}]}, "vlen-utf8"),
        ({"codecs": []}, "no codec turns"),
        ({"shape": [5, 4, 7]}, r"the shape is \(5, 4, 6\), this is \(5, 4, 7\)"),
        ({"shape": [5, 4, -6]}, "no lengths"),
        ({"shape": "abc"}, "no lengths"),
        ({"data_type": "float32"}, "must hold whole numbers"),
        ({"data_type": "string"}, "'string' are not known"),
        ({"chunk_grid": {"name": "rectangular"}}, "rectangular"),
        ({"node_type": "group"}, "no array"),
        ({"fill_value": "red"}, "'red' is no value of uint32"),
        ({"fill_value": [0, 0, 0]}, "is no value"),
        ({"fill_value": 1.5}, "is no value"),
        ({"fill_value": -1}, "cannot be understood"),
        ({"fill_value": math.nan}, "is no value"),
        ({"shape": [2**62, 2**62, 2**62]}, "too large"),
        (grid_of(2**62, 2**62, 2**62), "too large for"),
        (grid_of(2000, 2000, 2000), "too large for"),
        ({"chunk_key_encoding": {"name": "hash"}}, "hash"),
        (
            {"chunk_key_encoding": {"name": "v2", "configuration": {"separator": "/../"}}},
            "separates",
        ),
        ({"storage_transformers": [{"name": "x"}]}, "storage_transformers"),
    ],
    ids=str,
)
def test_metadata_that_cannot_be_used_say_why(
    tmp_path: Path, zarr: Any, labels: Labels, change: dict[str, Any], match: str
) -> None:
    """An unknown codec, type or grid is named; nonsense is called that."""
    zarr().image(tmp_path / "a", labels)
    path = tmp_path / "a" / "s0" / "zarr.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InvalidAtlasError, match=match):
        volume(tmp_path / "a").read()


@pytest.mark.parametrize("text", ["[]", "{}", '{"attributes": {"ome": {"multiscales": [{}]}}}'])
def test_an_image_without_levels_raises(
    tmp_path: Path, zarr: Any, labels: Labels, text: str
) -> None:
    """Groups that are no OME-Zarr image."""
    zarr().image(tmp_path / "a", labels)
    (tmp_path / "a" / "zarr.json").write_text(text)
    with pytest.raises(InvalidAtlasError, match="no metadata of an OME-Zarr image"):
        volume(tmp_path / "a").read()


def test_a_level_outside_the_image_is_refused(tmp_path: Path, zarr: Any, labels: Labels) -> None:
    """A path in the metadata, or a link, that leads out of the image."""
    zarr().image(tmp_path / "a", labels)
    zarr().image(tmp_path / "b", labels)
    path = tmp_path / "a" / "zarr.json"
    sound = path.read_text()
    path.write_text(sound.replace('"s0"', '"../b/s0"'))
    with pytest.raises(InvalidAtlasError, match="does not lie inside"):
        volume(tmp_path / "a").read()
    path.write_text(sound)
    (tmp_path / "a" / "s0").rename(tmp_path / "elsewhere")
    (tmp_path / "a" / "s0").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidAtlasError, match="does not lie inside"):
        volume(tmp_path / "a").read()


@pytest.mark.parametrize(
    "way", ["plain", "zstd", "gzip", "zlib", "bz2", "lzma", "crc32", "crc", "zstd-crc"]
)
@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: bytes(len(data) - 1),
        lambda data: b"noise" + data,
    ],
    ids=["empty", "half", "tail", "zeros", "noise"],
)
def test_a_damaged_chunk_raises(
    tmp_path: Path, zarr: Any, labels: Labels, way: str, damage: Callable[[bytes], bytes]
) -> None:
    """Cut short, emptied or overwritten, whatever the codec: an error that names the file."""
    zarr(**WAYS[way]).image(tmp_path / "a", labels)
    path = tmp_path / "a" / "s0" / "c" / "1" / "1" / "1"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(IncompleteAtlasError, match=f"{path} is damaged"):
        volume(tmp_path / "a").read()


@pytest.mark.parametrize(
    ("way", "encode"),
    [
        ("zstd", zstd.compress),
        ("gzip", gzip.compress),
        ("bz2", bz2.compress),
        ("lzma", lzma.compress),
    ],
)
def test_a_chunk_that_would_fill_the_memory_raises(
    tmp_path: Path, zarr: Any, labels: Labels, way: str, encode: Callable[[bytes], bytes]
) -> None:
    """A few bytes that decode to 64 MB stop at what the metadata promise."""
    zarr(**WAYS[way]).image(tmp_path / "a", labels)
    path = tmp_path / "a" / "s0" / "c" / "1" / "1" / "1"
    path.write_bytes(encode(bytes(64 << 20)))
    with pytest.raises(IncompleteAtlasError, match="gives more|has more"):
        volume(tmp_path / "a").read()


def test_a_chunk_longer_than_any_is_not_read(tmp_path: Path, zarr: Any, labels: Labels) -> None:
    """A file of holes, which may have any length, is damaged; it does not fill the memory."""
    zarr().image(tmp_path / "a", labels)
    path = tmp_path / "a" / "s0" / "c" / "1" / "1" / "1"
    os.truncate(path, 1 << 40)
    with pytest.raises(IncompleteAtlasError, match=f"{path} is damaged: it should have at most"):
        volume(tmp_path / "a").read()


@pytest.mark.parametrize("entry", [(0, 2**61), (2**63, 10), (2**64 - 1, 10), (0, 2**64 - 1)])
def test_a_shard_whose_index_lies_raises(
    tmp_path: Path, zarr: Any, labels: Labels, entry: tuple[int, int]
) -> None:
    """Chunks of any length, anywhere: no memory is set aside for what is not in the file."""
    zarr().image(tmp_path / "a", labels)

    def lie(data: bytes) -> bytes:
        index = np.frombuffer(data[-132:-4], "<u8").reshape(-1, 2).copy()
        index[:] = entry
        return data[:-132] + with_crc(index.tobytes())

    shutil.rmtree(tmp_path / "a" / "s0")
    write_sharded(tmp_path / "a" / "s0", labels, damage=lie)
    with pytest.raises(IncompleteAtlasError, match="is damaged"):
        volume(tmp_path / "a").read()


@pytest.mark.parametrize(
    ("name", "chunk", "match"),
    [
        ("blosc", struct.pack("<4xIII", 100, 100, 60) + bytes(40), "60 bytes, and it has 56"),
        ("blosc", struct.pack("<4xIII", 2**31, 100, 56) + bytes(40), "gives more"),
        ("blosc", b"\2\1", "shorter than its header"),
        ("lz4", struct.pack("<I", 2**31) + bytes(40), "gives more"),
        ("lz4", b"", "shorter than its header"),
    ],
)
def test_what_the_library_of_codecs_would_believe(
    monkeypatch: pytest.MonkeyPatch, name: str, chunk: bytes, match: str
) -> None:
    """Sizes in a chunk's header are held against the chunk before C reads behind its end."""
    monkeypatch.setitem(sys.modules, "numcodecs", types.ModuleType("numcodecs"))
    pipeline = Pipeline.of_version_2({"compressor": {"id": name}}, (5, 5), "<u4")
    with pytest.raises(DamagedChunk, match=match):
        pipeline.decode(chunk)


def test_a_chunk_that_is_a_folder_raises(tmp_path: Path, zarr: Any, labels: Labels) -> None:
    """What cannot be read is no fill value."""
    zarr().image(tmp_path / "a", labels)
    path = tmp_path / "a" / "s0" / "c" / "1" / "1" / "1"
    path.unlink()
    path.mkdir()
    with pytest.raises(AtlasError, match="cannot be read"):
        volume(tmp_path / "a").read()


def test_points_decode_few_chunks_and_then_the_whole(
    tmp_path: Path, zarr: Any, labels: Labels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks are kept up to a limit; a caller that thrashes is told to decode the whole."""
    zarr().image(tmp_path / "a", labels)
    source = volume(tmp_path / "a")
    places = [np.array([place]) for place in (labels.size - 1, 0, 23)]
    for _ in range(3):
        for place in places:
            assert source.gather(place) == labels.ravel()[place]
    assert len([key for key in CACHE._kept if key[0] == source._owner]) == 3
    monkeypatch.setenv("BRAINGLOBE_CACHE_BYTES", "360")  # one chunk
    monkeypatch.setattr(zarr_array, "_LITTLE", 100)
    source = volume(tmp_path / "a")
    for place in places:
        assert source.gather(place) == labels.ravel()[place]
    answers = [source.gather(np.arange(labels.size)) for _ in range(5)]
    assert np.array_equal(answers[0], labels.ravel())
    assert answers[-1] is None
    assert CACHE.nbytes <= 360


def test_copies_read_on_their_own(tmp_path: Path, zarr: Any, labels: Labels) -> None:
    """A pickle or deep copy carries no chunks."""
    zarr().image(tmp_path / "a", labels)
    source = volume(tmp_path / "a")
    source.gather(np.arange(labels.size))
    for twin in (pickle.loads(pickle.dumps(source)), copy.deepcopy(source)):
        assert twin._owner != source._owner
        assert np.array_equal(twin.read(), labels)
    assert len(pickle.dumps(source)) < 2000


def test_crc32c_is_castagnolis() -> None:
    """The check value of the polynomial (RFC 3720)."""
    assert crc32c(b"123456789") == 0xE3069283
