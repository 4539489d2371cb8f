"""Ids to codes, on runs, in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bg_atlasapi.model.coding import BLOCK, encode
from bg_atlasapi.model.labels import ArraySource
from bg_atlasapi.model.terminology import Record, Terminology

LARGEST = 2**32 - 1


def flat_tree(*ids: int) -> Terminology:
    """Return a root (id 1) with children."""
    records = [Record(1, "root", "root", (1,), (0, 0, 0))]
    records += [Record(i, f"s{i}", f"s{i}", (1, i), (0, 0, 0)) for i in ids]
    return Terminology(records)


class Slabs:
    """A volume that cannot be mapped and comes in slabs, as compressed files do."""

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self._array = array

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""
        return self._array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self._array.dtype

    def mapped(self) -> None:
        """There is nothing to map."""

    def read(self) -> npt.NDArray[Any]:
        """Return a copy."""
        return self._array.copy()

    def slabs(self) -> Iterator[npt.NDArray[Any]]:
        """Yield plane by plane."""
        for plane in self._array:
            yield plane[np.newaxis]


def test_codes_are_those_of_the_terminology() -> None:
    """Listed ids get their codes, background 0, in the smallest type."""
    volume = np.array([[[0, 1, 1], [LARGEST, 7, 0]]], dtype=np.uint32)
    coded = encode(ArraySource(volume), flat_tree(7, LARGEST))
    assert coded.codes.dtype == np.uint16
    assert coded.codes.tolist() == [0, 1, 1, 3, 2, 0]
    assert coded.ids.tolist() == [0, 1, 7, LARGEST]
    assert coded.ids.dtype == np.uint32


def test_unlisted_labels_get_codes_in_order_of_their_ids() -> None:
    """Labels the terminology lacks come after it, by id, however they are met."""
    volume = np.array([[[90, 1, 50], [70, 0, 50]]], dtype=np.uint32)
    coded = encode(ArraySource(volume), flat_tree(7))
    assert coded.ids.tolist() == [0, 1, 7, 50, 70, 90]
    assert coded.codes.tolist() == [5, 1, 3, 4, 0, 3]


@pytest.mark.parametrize("wrap", [ArraySource, Slabs])
def test_many_blocks_are_coded_as_one(wrap: Any) -> None:
    """A volume of several blocks, with unlisted labels in each, comes back exactly."""
    rng = np.random.default_rng(3)
    runs = rng.choice([0, 1, 7, 50, 60, 70, LARGEST], 60_000).astype(np.uint32)
    volume = np.repeat(runs, 11)[: 2 * BLOCK + 64].reshape(8, 8, -1)
    coded = encode(wrap(volume), flat_tree(7, LARGEST))
    assert coded.ids.tolist() == [0, 1, 7, LARGEST, 50, 60, 70]
    assert (coded.ids[coded.codes] == volume.reshape(-1)).all()


@pytest.mark.parametrize("size", [BLOCK - 1, BLOCK, BLOCK + 1])
def test_edges_of_blocks(size: int) -> None:
    """A run that crosses, ends at, or starts at a block's edge is whole."""
    volume = np.ones((1, 1, size), dtype=np.uint32)
    volume[..., -2:] = 9
    coded = encode(ArraySource(volume), flat_tree(7))
    assert (coded.ids[coded.codes] == volume.reshape(-1)).all()


def test_more_unlisted_labels_than_sixteen_bits_number() -> None:
    """Seventy thousand labels without a structure take wider codes and come back exactly."""
    volume = np.arange(70_000, dtype=np.uint32).reshape(7, 100, 100)[::-1].copy()
    coded = encode(ArraySource(volume), flat_tree(7))
    assert coded.codes.dtype == np.uint32
    assert (coded.ids[coded.codes] == volume.reshape(-1)).all()


@pytest.mark.parametrize(
    ("dtype", "labels"),
    [
        (np.int8, [-128, 7, 127]),
        (np.uint8, [0, 7, 255]),
        (np.int16, [-1, 7, 300]),
        (np.int64, [-(2**40), 7, 2**40]),
        (np.uint64, [2**40, 7, 2**62]),
        (np.uint64, [2**63 + 5, 7, 2**64 - 1]),
    ],
)
def test_labels_of_any_integer_type(dtype: type[np.integer], labels: list[int]) -> None:
    """Signed, narrow and very wide labels, listed or not, come back as they were."""
    volume = np.array(labels, dtype=dtype).reshape(1, 1, 3)
    coded = encode(ArraySource(volume), flat_tree(7))
    assert [int(label) for label in coded.ids[coded.codes]] == labels
    assert int(coded.codes[1]) == 2


@pytest.mark.parametrize("wrap", [ArraySource, Slabs])
def test_no_voxels(wrap: Any) -> None:
    """A volume without voxels has no codes; it is not an error of the thread pool."""
    coded = encode(wrap(np.empty((0, 3, 4), dtype=np.uint32)), flat_tree(7))
    assert coded.codes.shape == (0,)
    assert coded.ids.tolist() == [0, 1, 7]
