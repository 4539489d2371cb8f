"""``atlas.volumes``: what is read, what it costs, and what every part of it answers."""

from __future__ import annotations

import copy
import pickle
import shutil
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from bg_atlasapi import BrainGlobeAtlas, settings
from bg_atlasapi.core import Atlas
from bg_atlasapi.errors import (
    AtlasError,
    IncompleteAtlasError,
    InvalidInputError,
    UnknownAtlasError,
)
from bg_atlasapi.formats.checks import NoCheck
from bg_atlasapi.formats.zarr_array import ZarrArray
from bg_atlasapi.model.chunk_cache import CACHE, ChunkCache
from bg_atlasapi.model.downsample import MEAN, MODE, reduce_blocks
from bg_atlasapi.testing import tiny_components, tiny_package

SHAPE = (12, 8, 10)


@pytest.fixture(params=["package", "components"])
def atlas(request: pytest.FixtureRequest, tmp_path: Path) -> Atlas:
    """Return the tiny atlas in each layout; 12 chunks where there are chunks."""
    if request.param == "package":
        return Atlas.from_path(tiny_package(tmp_path, symmetric=False))
    folder = tiny_components(tmp_path, symmetric=False, meshes=False, chunk=(4, 8, 5))
    return Atlas.from_path(folder)


@pytest.fixture
def v3(tmp_path: Path) -> Atlas:
    """Return the tiny atlas of the component store."""
    return Atlas.from_path(tiny_components(tmp_path, meshes=False, chunk=(4, 8, 5)))


def chunk_files(atlas: Atlas) -> list[Path]:
    """Return the chunk files of the annotation."""
    return sorted(path for path in Path(atlas.volumes["annotation"].source.where).glob("c/*/*/*"))


def test_the_volumes_of_an_atlas(atlas: Atlas) -> None:
    """Annotation, template, hemispheres, additional references; the other names are aliases."""
    volumes = atlas.volumes
    extra = list(atlas.additional_references.references_list)
    assert list(volumes) == ["annotation", "template", "hemispheres", *extra]
    assert len(volumes) == 3 + len(extra)
    assert volumes["reference"] is volumes["template"]
    assert "reference" in volumes
    for name in ("annotation", "template", "reference", "hemispheres"):
        assert np.array_equal(np.asarray(volumes[name]), getattr(atlas, name))
        assert volumes[name].dtype == getattr(atlas, name).dtype
    for name in extra:
        assert np.array_equal(volumes[name][...], atlas.additional_references[name])
    with pytest.raises(KeyError, match="has no volume 'masks'; it has annotation, template, hem"):
        _ = volumes["masks"]
    assert "masks" not in volumes
    assert 3 not in volumes
    assert volumes.get("masks") is None
    assert repr(volumes).startswith("<Volumes: annotation, template, hemispheres")


def test_what_a_volume_says_of_itself(atlas: Atlas) -> None:
    """Shape, type, space; the repr adds chunks and the place."""
    volume = atlas.volumes["annotation"]
    assert (volume.shape, volume.ndim, volume.size, len(volume)) == (SHAPE, 3, 960, 12)
    assert volume.nbytes == 3840
    assert volume.space.shape == SHAPE
    assert volume.space.spacing_um == (100, 100, 100)
    assert volume.space.orientation == "asr"
    assert repr(volume).startswith("<Volume annotation: (12, 8, 10) uint32, voxels of 100 ×")
    assert str(atlas.root_dir.parents[2] if volume.chunks else atlas.root_dir) in repr(volume)
    assert volume.derived == ""


def test_the_repr_of_what_cannot_be_read(v3: Atlas) -> None:
    """It says why instead of raising."""
    volume = v3.volumes["annotation"]
    shutil.rmtree(Path(volume.source.group))
    assert repr(volume).startswith("<Volume annotation: ")


def test_a_symmetric_atlas_has_hemispheres_too(v3: Atlas) -> None:
    """They are worked out, part by part: the same as the array."""
    volume = v3.volumes["hemispheres"]
    assert np.array_equal(volume[3:, ::-2, [1, 8]], v3.hemispheres[3:, ::-2, [1, 8]])
    assert np.array_equal(volume[(1, 2), (3, 4), (0, 9)], [2, 1])
    assert np.array_equal(np.concatenate(list(volume.source.slabs())), v3.hemispheres)
    assert "a symmetric atlas" in repr(volume)


def test_answers_are_private(atlas: Atlas) -> None:
    """Writing to an answer changes neither the volume nor what the atlas hands out, nor it this."""
    volume = atlas.volumes["annotation"]
    for key in (..., 3, (slice(None), 2), ([1, 2], [3, 4], [5, 6])):
        before = volume[key].copy()
        volume[key][...] = 9
        assert np.array_equal(volume[key], before)
    atlas.annotation[...] = 9
    assert np.array_equal(volume[key], before)


def test_becoming_an_array(atlas: Atlas) -> None:
    """``asarray`` with and without a type; without a copy is refused, as numpy says."""
    volume = atlas.volumes["annotation"]
    assert np.asarray(volume, np.int64).dtype == np.int64
    assert np.array(volume).flags.writeable
    with pytest.raises(ValueError, match="without a copy"):
        volume.__array__(copy=False)


@pytest.mark.parametrize(
    ("key", "match"),
    [
        (12, "index 12 is out of bounds for axis 0 with size 12"),
        ((0, -9), "index -9 is out of bounds for axis 1 with size 8"),
        ((0, 0, [3, 10]), "index 10 is out of bounds for axis 2"),
        ((0, 0, 0, 0), "too many indices"),
        ((..., ...), "single ellipsis"),
        (None, "newaxis"),
        (True, "cannot be indexed with True"),
        (1.0, "cannot be indexed with float"),
        ("a", "cannot be indexed with str"),
        ([1.5], "cannot be indexed with float64"),
        ([True], "boolean index did not match the volume along axis 0"),
        (np.zeros((12, 8, 9), bool), "along axis 2; size of axis is 10"),
        (([0, 1], [0, 1, 2]), "could not be broadcast"),
    ],
    ids=str,
)
def test_indices_that_mean_nothing(atlas: Atlas, key: Any, match: str) -> None:
    """Each is an ``IndexError`` that says what was wrong."""
    with pytest.raises(IndexError, match=match):
        atlas.volumes["annotation"][key]


def test_empty_answers(atlas: Atlas) -> None:
    """Slices and lists of nothing give arrays of nothing, of the right shape and type."""
    volume = atlas.volumes["annotation"]
    assert volume[5:5].shape == (0, 8, 10)
    assert volume[5:2, 3].shape == (0, 10)
    assert volume[:, []].shape == (12, 0, 10)
    assert volume[[], [], []].shape == (0,)
    assert volume[100:].dtype == np.uint32


@pytest.mark.parametrize(
    ("lo", "hi", "unit", "expected"),
    [
        ((0, 0, 0), (1, 1, 1), "um", np.s_[0:1, 0:1, 0:1]),
        ((100, 200, 300), (200, 300, 400), "um", np.s_[1:2, 2:3, 3:4]),
        ((0.11, 0.2, 0.3), (1.1, 0.7, 0.3), "mm", np.s_[1:11, 2:7, 3:3]),
        ((1.5, 2, 3), (1.6, 2.2, 7), "voxel", np.s_[1:2, 2:3, 3:7]),
        ((-50, -1e9, 900), (150, 1e9, 5000), "um", np.s_[0:2, 0:8, 9:10]),
        ((2000, 0, 0), (3000, 800, 1000), "um", np.s_[12:12, 0:8, 0:10]),
    ],
)
def test_boxes(atlas: Atlas, lo: Any, hi: Any, unit: str, expected: Any) -> None:
    """The voxels a box touches, in any unit; what lies beyond the volume is cut off."""
    volume = atlas.volumes["annotation"]
    assert volume.box_slices(lo, hi, unit) == expected
    assert np.array_equal(volume.box(lo, hi, unit), atlas.annotation[expected])


@pytest.mark.parametrize(
    ("lo", "hi", "unit", "match"),
    [
        ((0, 0), (1, 1, 1), "um", "finite number for each axis"),
        ((0, 0, 0), (1, 1, np.nan), "um", "finite number"),
        ((0, 0, 0), (1, np.inf, 1), "um", "finite number"),
        ("abc", (1, 1, 1), "um", "finite number"),
        ((0, 0, 0), (10**400, 1, 1), "um", "finite number"),
        ((5, 0, 0), (4, 1, 1), "um", "ends at .* before it begins"),
        ((0, 0, 0), (1, 1, 1), "inch", "'inch' is not a unit"),
        ((0, 0, 0), (1, 1, 1), ["um"], "is not a unit"),
    ],
)
def test_boxes_that_mean_nothing(atlas: Atlas, lo: Any, hi: Any, unit: Any, match: str) -> None:
    """Corners that are not finite, not three, or the wrong way round."""
    with pytest.raises(InvalidInputError, match=match):
        atlas.volumes["annotation"].box(lo, hi, unit)


def test_only_the_chunks_that_are_touched_are_decoded(
    v3: Atlas, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plane, a step wider than a chunk, points; from the second time on they are kept."""
    places: list[tuple[int, ...]] = []
    chunk = ZarrArray.chunk

    def noted(self: ZarrArray, place: tuple[int, ...], scratch: Any = None) -> Any:
        places.append(place)
        return chunk(self, place, scratch)

    monkeypatch.setattr(ZarrArray, "chunk", noted)
    volume = v3.volumes["annotation"]
    for key, expected in (
        ((5,), {(1, 0, 0), (1, 0, 1)}),
        ((slice(0, 12, 9), 0, 9), {(0, 0, 1), (2, 0, 1)}),
        (([1, 10], [0, 0], [0, 0]), {(0, 0, 0), (2, 0, 0)}),
        ((slice(3, 3),), set()),
    ):
        for _ in range(2):
            CACHE.clear()
            places.clear()
            volume[key]
            assert set(places) == expected
            assert len(places) == len(expected)
    CACHE.clear()
    places.clear()
    for _ in range(5):
        volume[5]
    assert len(places) == 4


def test_the_limit_of_what_is_kept(v3: Atlas, monkeypatch: pytest.MonkeyPatch) -> None:
    """At no time are more bytes kept, by all volumes together; 0 keeps nothing."""
    chunk = 4 * 8 * 5 * 4 + 256
    CACHE.clear()
    for limit, most in ((0, 0), (chunk - 1, 0), (chunk, 1), (3 * chunk + 5, 3)):
        monkeypatch.setenv("BRAINGLOBE_CACHE_BYTES", str(limit))
        for name in ("annotation", "template"):
            for place in [*np.ndindex(SHAPE)][::7]:
                v3.volumes[name][place]
                assert CACHE.nbytes <= limit
        assert len(CACHE) >= most
    monkeypatch.setenv("BRAINGLOBE_CACHE_BYTES", "a lot")
    with pytest.raises(InvalidInputError, match="BRAINGLOBE_CACHE_BYTES must be a number"):
        settings.cache_bytes()


def test_what_is_kept_goes_with_its_owner() -> None:
    """Chunks of a volume nobody holds are let go, also if the collector comes at a bad time."""

    class Owner:
        pass

    cache, owner = ChunkCache(), Owner()
    number = cache.owner(owner)
    cache.put(number, (0, 0, 0), np.zeros(10, np.uint8))
    cache.put(number, (0, 0, 1), None)
    assert (len(cache), cache.nbytes) == (2, 2 * 256 + 10)
    with cache._lock:
        del owner
    assert len(cache) == 2
    other = Owner()
    cache.put(cache.owner(other), (0, 0, 0), None)
    assert (len(cache), cache.nbytes) == (1, 256)
    del other
    assert (len(cache), cache.nbytes) == (0, 0)


def test_threads_get_what_one_gets(atlas: Atlas, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight at once, on a cache that is too small, of a volume nobody has opened before."""
    monkeypatch.setenv("BRAINGLOBE_CACHE_BYTES", "2000")
    expected = atlas.annotation.copy()
    volume = Atlas.from_path(atlas.root_dir).volumes["annotation"]
    gate = threading.Barrier(8)

    def ask(seed: int) -> bool:
        random = np.random.default_rng(seed)
        gate.wait()
        for _ in range(30):
            lo, hi = np.sort(random.integers(0, SHAPE, (2, 3)), axis=0)
            box = tuple(map(slice, lo, hi + 1))
            points = tuple(random.integers(0, SHAPE, (20, 3)).T)
            if not np.array_equal(volume[box], expected[box]):
                return False
            if not np.array_equal(volume[points], expected[points]):
                return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(8)))


def test_pickles_carry_the_path_not_the_voxels(atlas: Atlas) -> None:
    """Small, of a volume that was read too; the copy reads the same. So do levels and deep copies."""
    for name in ("annotation", "template", "hemispheres"):
        volume = atlas.volumes[name]
        for one in (volume, volume.level(300)):
            expected = one[...]
            data = pickle.dumps(one)
            assert len(data) < 3000
            for twin in (pickle.loads(data), copy.deepcopy(one)):
                assert np.array_equal(twin[...], expected)
                assert twin.spacing_um == one.spacing_um
    assert len(pickle.dumps(atlas)) < 2000


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="there is no fork here")
def test_a_forked_child_reads(v3: Atlas) -> None:
    """Also if the fork came while a thread held the lock of what is kept."""
    import multiprocessing

    volume = v3.volumes["annotation"]
    expected = volume[3].sum()
    with CACHE._lock:
        child = multiprocessing.get_context("fork").Process(
            target=lambda: sys.exit(int(volume[3].sum() != expected))
        )
        child.start()
    child.join(30)
    assert child.exitcode == 0


def test_a_missing_chunk_that_is_listed_raises(v3: Atlas, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever asks for it; what does not need it is answered."""
    gone = chunk_files(v3)[-1]
    gone.unlink()

    class Listing(NoCheck):
        def __call__(self, path: Path) -> None:
            if path == gone:
                message = f"{path} is listed and missing"
                raise IncompleteAtlasError(message)

    volume = v3.volumes["annotation"]
    monkeypatch.setattr(volume.source._array, "_check", Listing())
    place = tuple(int(part) for part in gone.relative_to(gone.parents[2]).parts)
    first = tuple(n * size for n, size in zip(place, (4, 8, 5), strict=True))
    for ask in (
        lambda: volume[first],
        lambda: volume[first[0]],
        lambda: volume[[first[0]], [first[1]], [first[2]]],
        lambda: np.asarray(volume),
        lambda: list(volume),
        lambda: volume.box(first, [one + 1 for one in first], "voxel"),
        lambda: volume.level(300)[...],
    ):
        with pytest.raises(IncompleteAtlasError, match="is listed and missing"):
            ask()
    assert volume[first[0] - 1].shape == (8, 10)


def test_a_tiff_cut_short_under_a_volume_raises(tmp_path: Path) -> None:
    """An error, not the end of the process, which a map would be."""
    folder = tiny_package(tmp_path)
    volume = Atlas.from_path(folder).volumes["annotation"]
    assert volume[0].shape == (8, 10)
    path = folder / "annotation.tiff"
    stored = path.read_bytes()
    if volume.chunks is None:
        path.write_bytes(stored[:200])
        with pytest.raises(IncompleteAtlasError, match="shorter while it was open"):
            volume[-1]


def test_compressed_tiffs_are_read_page_by_page(tmp_path: Path) -> None:
    """Slices and points of a compressed stack decode the pages they touch; damage is an error."""
    folder = tiny_package(tmp_path)
    path = folder / "annotation.tiff"
    labels = tifffile.imread(path)
    tifffile.imwrite(path, labels, compression="zlib", photometric="minisblack")
    volume = Atlas.from_path(folder).volumes["annotation"]
    assert volume.chunks == (1, 8, 10)
    assert np.array_equal(volume[::-3, 2], labels[::-3, 2])
    assert np.array_equal(volume[[3, 1], [2, 2], [1, 9]], labels[[3, 1], [2, 2], [1, 9]])


def test_levels(v3: Atlas) -> None:
    """Stored ones are taken as they are, others are worked out; both say which they are."""
    for name, how in (("annotation", MODE), ("template", MEAN)):
        volume = v3.volumes[name]
        whole = volume[...]
        assert volume.levels == ((100, 100, 100), (200, 200, 200))
        assert volume.level(100) is volume
        stored = volume.level((200, 200, 200))
        assert np.array_equal(stored[...], whole[::2, ::2, ::2])
        assert not stored.derived
        derived = volume.level(300)
        assert np.array_equal(derived[...], reduce_blocks(whole, (3, 3, 3), how))
        assert derived.derived == f"by the {how} of 3 × 3 × 3 voxels of 100 µm"
        assert derived.derived in repr(derived)
        assert derived.space.shape == derived.shape == (4, 3, 4)
        assert derived.space.spacing_um == (300, 300, 300)
        assert derived.levels == volume.levels
        again = derived.level(600)  # from what is stored, not from what was derived
        assert np.array_equal(again[...], reduce_blocks(whole, (6, 6, 6), how))
        assert np.array_equal(derived.level(100)[...], whole)
        assert np.array_equal(stored.level(100)[...], whole)
        uneven = volume.level((100, 200, 500))
        assert np.array_equal(uneven[1:, ::-1], reduce_blocks(whole, (1, 2, 5), how)[1:, ::-1])
    for wrong in (150, 50, 0, -100, np.nan, 10**400, "fine", (100, 200), None):
        with pytest.raises(InvalidInputError):
            v3.volumes["annotation"].level(wrong)


def test_a_level_of_one_voxel(atlas: Atlas) -> None:
    """Voxels far larger than the volume take no more memory, and are the mode of all of it."""
    volume = atlas.volumes["annotation"]
    expected = reduce_blocks(volume[...], volume.shape, MODE)
    for size in (1e5, 1e12, 1e300):
        assert np.array_equal(volume.level(size)[...], expected)


def test_levels_that_were_not_downloaded_are_not_there(v3: Atlas) -> None:
    """Of them only the description is installed: the level is worked out, and says so."""
    volume = v3.volumes["annotation"]
    shutil.rmtree(Path(volume.source.group) / "s1" / "c")
    assert volume.levels == ((100, 100, 100),)
    assert volume.level(200).derived


def test_an_atlas_at_another_resolution(atlas: Atlas) -> None:
    """Volumes, shape, space and answers are those of the level; ids and structures stay."""
    coarse = Atlas.from_path(atlas.root_dir, resolution=200)
    assert coarse.shape == (6, 4, 5)
    assert coarse.resolution == (200, 200, 200)
    assert coarse.shape_um == atlas.shape_um
    for name in ("annotation", "reference", "hemispheres"):
        array = getattr(coarse, name)
        assert array.shape == coarse.shape
        assert array.flags.writeable
        assert array.dtype == getattr(atlas, name).dtype
        assert np.array_equal(array, coarse.volumes[name][...])
    assert bool(coarse.volumes["annotation"].derived) == (
        atlas.volumes["annotation"].chunks is None
    )
    points = np.random.default_rng(1).uniform(0, atlas.shape_um, (200, 3))
    voxels = np.floor(points / 200).astype(int)
    expected = coarse.annotation[tuple(voxels.T)]
    assert np.array_equal(coarse.lookup(points)["id"], expected)
    mask = coarse.get_structure_mask("root")
    assert np.array_equal(mask > 0, coarse.annotation > 0)
    twin = pickle.loads(pickle.dumps(coarse))
    assert np.array_equal(twin.annotation, coarse.annotation)
    for name in coarse.additional_references.references_list:
        assert coarse.additional_references[name].shape == coarse.shape
    with pytest.raises(InvalidInputError, match="only by a whole factor"):
        Atlas.from_path(atlas.root_dir, resolution=50)


def test_resolution_picks_or_derives(tmp_path: Path) -> None:
    """What is installed, a stored level of a finer atlas, then what a finer one can give."""
    tiny_components(tmp_path, meshes=False)
    fine = BrainGlobeAtlas("tiny_mouse", tmp_path, resolution=100)
    stored = BrainGlobeAtlas("tiny_mouse", tmp_path, resolution=200)
    derived = BrainGlobeAtlas("tiny_mouse_100um", tmp_path, resolution=300)
    assert not stored.volumes["annotation"].derived
    assert derived.volumes["annotation"].derived
    assert [one.resolution[0] for one in (fine, stored, derived)] == [100, 200, 300]
    assert stored.atlas_name == fine.atlas_name == "tiny_mouse_100um"
    assert repr(fine) == "tiny mouse atlas (res. 100um)"
    assert repr(derived) == "tiny mouse atlas (res. 300um, from 100um)"
    assert "300" in str(derived)
    assert pickle.loads(pickle.dumps(derived)).shape == derived.shape
    tiny_components(tmp_path, meshes=False, name="tiny_mouse_200um", level=1)
    assert BrainGlobeAtlas("tiny_mouse", tmp_path, resolution=200).atlas_name.endswith("200um")
    for wrong in (150, 50):
        with pytest.raises(UnknownAtlasError):
            BrainGlobeAtlas("tiny_mouse", tmp_path, resolution=wrong)


def test_dask(atlas: Atlas) -> None:
    """A dask array over the stored chunks, read when it is computed, in threads."""
    da = pytest.importorskip("dask.array")
    volume = atlas.volumes["annotation"]
    lazy = volume.dask()
    assert isinstance(lazy, da.Array)
    assert (lazy.shape, lazy.dtype) == (volume.shape, volume.dtype)
    if volume.chunks:
        assert lazy.chunksize == volume.chunks
    assert np.array_equal(lazy.compute(), atlas.annotation)
    assert int((lazy > 0).sum().compute()) == int((atlas.annotation > 0).sum())
    assert np.array_equal(volume.dask((5, 5, 5))[::2, 1:].compute(), atlas.annotation[::2, 1:])
    assert len(pickle.dumps(lazy)) < 20_000


def test_dask_is_optional(atlas: Atlas, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the error names the extra."""
    monkeypatch.setitem(sys.modules, "dask", None)
    monkeypatch.setitem(sys.modules, "dask.array", None)
    with pytest.raises(ImportError, match=r"bg-atlasapi\[dask\]"):
        atlas.volumes["annotation"].dask()


def test_errors_are_the_librarys(v3: Atlas) -> None:
    """A name that is not there is also an ``AtlasError``."""
    with pytest.raises(AtlasError):
        _ = v3.volumes["nothing"]
