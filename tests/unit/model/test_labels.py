"""Masks, ids and samples of an annotation."""

from __future__ import annotations

import pickle
import threading
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bg_atlasapi.model.coding import BLOCK
from bg_atlasapi.model.labels import ArraySource, LabelVolume, same_values
from bg_atlasapi.model.terminology import Record, Terminology

LARGEST = 2**32 - 1
PATHS = [(1,), (1, 2), (1, 2, LARGEST), (1, 2, LARGEST, 4), (1, 5)]


@pytest.fixture
def tree() -> Terminology:
    """Return 1 > (2 > 2**32-1 > 4), 5."""
    return Terminology([Record(p[-1], f"s{p[-1]}", "", p, (0, 0, 0)) for p in PATHS])


@pytest.fixture
def volume() -> npt.NDArray[np.uint32]:
    """Return every listed label, two unlisted ones, and background."""
    labels = np.array([0, 1, 2, LARGEST, 4, 5, 77, 99], dtype=np.uint32)
    return np.random.default_rng(11).choice(labels, (5, 7, 3))


@pytest.fixture(params=["mapped", "transposed", "coded"])
def labels(
    request: pytest.FixtureRequest, volume: npt.NDArray[np.uint32], tree: Terminology
) -> LabelVolume:
    """Return the volume over mapped bytes, over bytes out of order, and coded already."""
    array = np.asfortranarray(volume) if request.param == "transposed" else volume
    made = LabelVolume(ArraySource(array), tree)
    if request.param == "coded":
        assert made.coded.codes.size == volume.size
    return made


def test_ids_come_back(labels: LabelVolume, volume: npt.NDArray[np.uint32]) -> None:
    """Ids survive coding, type and all, in a new array that may be written."""
    ids = labels.ids()
    assert ids.dtype == volume.dtype
    assert (ids == volume).all()
    ids[...] = 0
    assert (labels.ids() == volume).all()


def test_samples(labels: LabelVolume, volume: npt.NDArray[np.uint32], tree: Terminology) -> None:
    """Any voxels answer their id and code, -1 for an unlisted one, before coding and after."""
    flat = np.array([0, volume.size - 1, 5, 5, 50], dtype=np.int64)
    ids, codes = labels.sample(flat)
    assert ids.tolist() == volume.reshape(-1)[flat].tolist()
    assert codes.tolist() == tree.codes(volume.reshape(-1)[flat]).tolist()
    assert codes.dtype == np.int32


def test_all_samples(labels: LabelVolume, volume: npt.NDArray[np.uint32]) -> None:
    """Unlisted labels are seen among all voxels, with their own ids."""
    ids, codes = labels.sample(np.arange(volume.size))
    assert (ids == volume.reshape(-1)).all()
    assert set(ids[codes == -1].tolist()) == {77, 99}


def test_one_voxel(labels: LabelVolume, volume: npt.NDArray[np.uint32]) -> None:
    """The id of one voxel is the stored one, in the stored type."""
    for index in [(0, 0, 0), (4, 6, 2), (2, 3, 1)]:
        found = labels.id_at(index)
        assert found == volume[index]
        assert found.dtype == volume.dtype


@pytest.mark.parametrize(
    "ids", [[4], [LARGEST, 4], [2, LARGEST, 4], [1, 4], [77], [99, 5, 2], [0], [12345], [], [0, 77]]
)
def test_masks_of_ids(labels: LabelVolume, volume: npt.NDArray[np.uint32], ids: list[int]) -> None:
    """A mask holds exactly the voxels of the given ids: listed or not, together or apart, none."""
    mask = labels.mask(ids, 1, np.uint8)
    assert mask.dtype == np.uint8
    assert mask.shape == volume.shape
    assert (mask.astype(bool) == np.isin(volume, ids)).all()


def test_a_mask_holds_the_value(labels: LabelVolume, volume: npt.NDArray[np.uint32]) -> None:
    """The value stands in the mask, the largest id too; zero leaves zeros."""
    mask = labels.mask([LARGEST, 4], LARGEST, np.uint32)
    assert (mask == np.where(np.isin(volume, [LARGEST, 4]), LARGEST, 0)).all()
    assert not labels.mask([4], 0, np.uint8).any()


def test_subtrees_are_ranges(labels: LabelVolume, tree: Terminology) -> None:
    """The ids of a subtree are those of the structure and all below it."""
    assert labels.subtree_ids(tree.code(2)).tolist() == [2, LARGEST, 4]
    assert labels.subtree_ids(tree.code(4)).tolist() == [4]


def test_masks_over_many_blocks(tree: Terminology) -> None:
    """A mask of a volume of several blocks is right in each of them, and at their edges."""
    rng = np.random.default_rng(5)
    volume = np.repeat(rng.choice([0, 1, 2, 4, 5], 50_000), 13)[: 2 * BLOCK + 48]
    volume = volume.reshape(4, 4, -1).astype(np.uint32)
    made = LabelVolume(ArraySource(volume), tree)
    assert (made.mask([2, 4], 1, np.bool_) == np.isin(volume, [2, 4])).all()


def test_points_do_not_code_the_volume(volume: npt.NDArray[np.uint32], tree: Terminology) -> None:
    """Samples of mapped bytes read the bytes as they are now, not a copy made before."""
    made = LabelVolume(ArraySource(volume), tree)
    made.sample(np.array([0]))
    volume[0, 0, 0] = 5
    assert made.sample(np.array([0]))[0].tolist() == [5]
    assert made.id_at((0, 0, 0)) == 5


def test_threads_share_one_coding(volume: npt.NDArray[np.uint32], tree: Terminology) -> None:
    """Questions from several threads at once get the same codes."""
    made = LabelVolume(ArraySource(volume), tree)
    seen: list[Any] = []
    threads = [threading.Thread(target=lambda: seen.append(made.coded)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert all(coded is seen[0] for coded in seen)


def test_no_voxels(tree: Terminology) -> None:
    """A volume without voxels has empty masks and empty ids."""
    made = LabelVolume(ArraySource(np.empty((0, 3, 4), np.uint32)), tree)
    assert made.mask([1], 1, np.uint8).shape == (0, 3, 4)
    assert made.ids().shape == (0, 3, 4)


def test_same_values(volume: npt.NDArray[np.uint32]) -> None:
    """An array is compared with what is stored by value; other shapes differ."""
    source = ArraySource(volume)
    assert same_values(volume.copy(), source)
    changed = volume.copy()
    changed[-1, -1, -1] += 1
    assert not same_values(changed, source)
    assert not same_values(volume[1:].copy(), source)


def test_array_source(volume: npt.NDArray[np.uint32]) -> None:
    """An array in memory reads as a copy, and its slabs are the volume."""
    source = ArraySource(volume)
    copied = source.read()
    copied[...] = 0
    assert volume.any()
    assert (np.concatenate(list(source.slabs())) == volume).all()
    assert pickle.loads(pickle.dumps(source)).shape == volume.shape
