"""Any index of any volume, however it is stored, answers what numpy answers of the loaded array."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from bg_atlasapi.formats import file_box
from bg_atlasapi.formats.checks import no_check
from bg_atlasapi.formats.tiff import TiffVolume
from bg_atlasapi.formats.zarr_array import ZarrVolume
from bg_atlasapi.model import indexing
from bg_atlasapi.model.chunk_cache import CACHE
from bg_atlasapi.model.downsample import MEAN, MODE, Downsampled, reduce_blocks
from bg_atlasapi.model.hemispheres import SplitHemispheres
from bg_atlasapi.model.labels import ArraySource
from bg_atlasapi.model.lazy_volume import Volume
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.testing.components import _write_image

SHAPES = [(7, 5, 6), (1, 9, 3), (4, 1, 1), (12, 8, 10)]
CHUNKS = [(1, 1, 1), (2, 3, 4), (16, 16, 16), (3, 1, 9), (1, 16, 16), (5, 5, 5)]
TIFFS: list[dict[str, Any]] = [{}, {"byteorder": ">"}, {"compression": "zlib"}]


def as_volume(source: Any) -> Volume:
    """Return a source as a volume."""
    return Volume("annotation", source, (25.0, 25.0, 25.0), "asr", labels=True)


def stored(folder: Path) -> Iterator[tuple[Volume, npt.NDArray[Any]]]:
    """Yield volumes of every kind, and what they hold."""
    for number, shape in enumerate(SHAPES):
        array = np.random.default_rng(number).integers(0, 5, shape).astype(np.uint32)
        array[: shape[0] // 2] = 0  # chunks that are not stored
        array[-1, -1, -1] = 2**32 - 1
        yield as_volume(ArraySource(array)), array
        for chunks in CHUNKS:
            group = folder / f"{number}-{chunks}"
            _write_image(group, array, (25.0, 25.0, 25.0), chunks)
            yield as_volume(ZarrVolume(group, shape, (25.0,) * 3, "iu", no_check)), array
        for how in TIFFS:
            path = folder / f"{number}-{'-'.join(how)}.tiff"
            tifffile.imwrite(path, array, photometric="minisblack", metadata=None, **how)
            source = TiffVolume(path)
            if source.shape == shape:
                yield as_volume(source), array
        space = CoordinateSpace(shape, (25.0,) * 3, "las")
        yield as_volume(SplitHemispheres(space)), space.hemispheres()
        for factors in ((2, 2, 2), (3, 1, 4)):
            expected = reduce_blocks(array, factors, MODE)
            for base in (
                ArraySource(array),
                source,
                ZarrVolume(group, shape, (25,) * 3, "iu", no_check),
            ):
                if base.shape == shape:
                    yield as_volume(Downsampled(base, factors, MODE, (25.0,) * 3)), expected


@pytest.fixture(scope="module")
def volumes() -> Iterator[list[tuple[Volume, npt.NDArray[Any]]]]:
    """Return the volumes, written once."""
    with tempfile.TemporaryDirectory() as folder:
        found = list(stored(Path(folder)))
        yield found
        found.clear()


def item(length: int) -> st.SearchStrategy[Any]:
    """Draw an index along one axis, now and then one that is out of range."""
    number = st.integers(-length, max(length - 1, 0)) | st.integers(-length - 2, length + 2)
    edge = st.none() | st.integers(-length - 2, length + 2)
    step = st.sampled_from([None, 1, 2, 3, 50, -1, -2, -3, -50])
    numbers = st.lists(st.integers(-length, max(length - 1, 0)), max_size=6)
    return st.one_of(
        number,
        number.map(np.int64),
        number.map(np.array),
        st.builds(slice, edge, edge, step),
        st.just(slice(None)),
        numbers,
        numbers.map(lambda given: np.array(given, np.int16)),
        numbers.map(lambda given: np.array([given, given], np.int64)),
        numbers.map(lambda given: np.array(given, np.int64).reshape(-1, 1)),
        st.lists(st.booleans(), min_size=length, max_size=length).map(lambda b: np.array(b, bool)),
        st.lists(st.booleans(), min_size=length, max_size=length),
    )


@st.composite
def keys(draw: st.DrawFn, shape: tuple[int, ...]) -> Any:
    """Draw what stands between the brackets."""
    kind = draw(st.sampled_from(["items", "items", "points", "mask", "planes"]))
    seed = np.random.default_rng(draw(st.integers(0, 99)))
    if kind == "points":
        count = draw(st.integers(0, 30))
        return tuple(seed.integers(-n, n, count) for n in shape)
    if kind == "mask":
        return seed.random(shape) < draw(st.sampled_from([0.0, 0.1, 0.9]))
    if kind == "planes":
        return (draw(item(shape[0])), seed.random(shape[1:]) < 0.3)
    items = [draw(item(length)) for length in shape[: draw(st.integers(0, len(shape)))]]
    if draw(st.booleans()):
        cut = draw(st.integers(0, len(items)))
        tail = [draw(item(n)) for n in shape[len(shape) - len(items) + cut :]]
        items = [*items[:cut], ..., *tail]
    return items[0] if len(items) == 1 and draw(st.booleans()) else tuple(items)


@given(data=st.data())
def test_indexing_is_numpys(volumes: Any, data: st.DataObject) -> None:
    """Values, type, shape, a new writable array, or an ``IndexError`` where numpy has one."""
    volume, array = data.draw(st.sampled_from(volumes), label="volume")
    assert (volume.shape, volume.dtype, len(volume)) == (array.shape, array.dtype, len(array))
    for _ in range(6):
        key = data.draw(keys(array.shape), label="key")
        bytes_of_gaps = data.draw(st.sampled_from([0, 8, 64, 1 << 16]))
        waste = data.draw(st.sampled_from([0, 8]))
        with (
            mock.patch.object(file_box, "_GAP_BYTES", bytes_of_gaps),
            mock.patch.object(file_box, "_BLOCK_BYTES", 4 * bytes_of_gaps),
            mock.patch.object(indexing, "_WASTE", waste),
        ):
            check(volume, array, key)


def check(volume: Volume, array: npt.NDArray[Any], key: Any) -> None:
    """Hold one answer against numpy's."""
    try:
        expected = array[key]
    except IndexError:
        with pytest.raises(IndexError):
            volume[key]
        return
    found = volume[key]
    assert type(found) is type(expected)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert np.array_equal(found, expected)
    if found.shape:
        assert found.flags.writeable
        found[...] = 77  # private: the next question does not see it
        assert np.array_equal(volume[key], expected)


@pytest.mark.parametrize("limit", ["0", "100", "1000", "100000"])
def test_the_whole_and_the_planes(
    volumes: Any, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``asarray``, iteration and slabs give the array, whatever may be kept; the limit holds."""
    monkeypatch.setenv("BRAINGLOBE_CACHE_BYTES", limit)
    CACHE.clear()
    for volume, array in volumes:
        whole = np.asarray(volume)
        assert np.array_equal(whole, array)
        assert whole.flags.writeable
        planes = list(volume)
        assert all(plane.flags.writeable and plane.flags.owndata for plane in planes)
        assert np.array_equal(np.array(planes), array)
        assert np.array_equal(np.concatenate(list(volume.source.slabs())), array)
        assert volume[0, 0, 0] == array[0, 0, 0]
        assert volume[-1, -1, -1] == array[-1, -1, -1]
        assert CACHE.nbytes <= int(limit)


@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    factors=st.tuples(*[st.integers(1, 5)] * 3),
    dtype=st.sampled_from(["u1", "u4", "i2", "f4"]),
    how=st.sampled_from([MODE, MEAN]),
    seed=st.integers(0, 99),
)
def test_coarser_levels_are_block_by_block(
    shape: tuple[int, ...], factors: tuple[int, ...], dtype: str, how: str, seed: int
) -> None:
    """Each voxel is the mode (of several the smallest) or mean of its block, cut short or not."""
    array = np.random.default_rng(seed).integers(0, 4, shape).astype(dtype)
    found = reduce_blocks(array, factors, how)
    assert found.dtype == array.dtype
    assert found.shape == tuple(-(-n // f) for n, f in zip(shape, factors, strict=True))
    for place in np.ndindex(found.shape):
        box = tuple(slice(p * f, (p + 1) * f) for p, f in zip(place, factors, strict=True))
        values, counts = np.unique(array[box], return_counts=True)
        mean = array[box].mean(dtype=np.float64)
        expected = values[counts.argmax()] if how == MODE else mean
        if how == MEAN and dtype != "f4":
            expected = np.rint(mean)
        assert found[place] == np.asarray(expected).astype(dtype)
