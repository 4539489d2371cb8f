"""The hash from ids to positions."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from bg_atlasapi.model.id_index import UNLISTED, IdIndex

LARGEST = 2**32 - 1


def test_ids_answer_their_position() -> None:
    """Listed ids answer their place, the smallest and the largest included."""
    ids = np.array([0, 997, 1, LARGEST, 385, 2**31, 2**16], dtype=np.uint32)
    assert IdIndex(ids).positions(ids).tolist() == list(range(7))


def test_unlisted_ids_answer_minus_one() -> None:
    """Ids beside, between, below and beyond the listed ones are unlisted, none is mistaken."""
    index = IdIndex(np.array([0, 5, LARGEST], dtype=np.uint32))
    asked = np.array([-1, -5, 1, 4, 6, LARGEST - 1, LARGEST + 1, 2**40, 2**62], dtype=np.int64)
    assert (index.positions(asked) == UNLISTED).all()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.int64, np.uint64])
def test_any_integer_type_is_taken(dtype: type[np.integer]) -> None:
    """The type of the array asked does not change the answer; the answer is always int32."""
    index = IdIndex(np.array([0, 7, 100], dtype=np.uint32))
    answer = index.positions(np.array([[100, 7], [0, 3]], dtype=dtype))
    assert answer.dtype == np.int32
    assert answer.tolist() == [[2, 1], [0, UNLISTED]]


@pytest.mark.parametrize(("asked", "expected"), [(7, 1), (9, UNLISTED)])
def test_array_without_axes(asked: int, expected: int) -> None:
    """An array of any shape is taken, so one of shape () too, listed or not."""
    index = IdIndex(np.array([0, 7], dtype=np.uint32))
    answer = index.positions(np.array(asked, dtype=np.uint32))
    assert np.shape(answer) == ()
    assert int(answer) == expected


def test_array_without_items() -> None:
    """Nothing asked, nothing answered."""
    index = IdIndex(np.array([0, 7], dtype=np.uint32))
    assert index.positions(np.empty((0, 3), dtype=np.uint32)).shape == (0, 3)


def test_negative_ids_of_the_index_are_found() -> None:
    """Signed ids, which damaged files hold, are told from the large ones they would wrap to."""
    index = IdIndex(np.array([0, -5, 5], dtype=np.int64))
    assert index.positions(np.array([-5, 5, 2**32 - 5])).tolist() == [1, 2, UNLISTED]


def test_first_of_a_repeated_id_answers() -> None:
    """Of an id that stands twice the first position answers, as documented."""
    index = IdIndex(np.array([0, 9, 4, 9, 4], dtype=np.uint32))
    assert index.positions(np.array([9, 4])).tolist() == [1, 2]


def test_many_ids() -> None:
    """Every one of five thousand ids is found, and what lies between them is not."""
    ids = np.concatenate([[0], np.arange(1, 5000) * 858_993])
    index = IdIndex(ids)
    assert (index.positions(ids) == np.arange(5000)).all()
    assert (index.positions(ids + 1)[1:] == UNLISTED).all()


def test_memory_grows_with_the_ids() -> None:
    """Five thousand ids take less than 32 MB: a table of their square would not scale."""
    ids = np.random.default_rng(7).choice(LARGEST, 5000, replace=False)
    tracemalloc.start()
    try:
        IdIndex(ids.astype(np.uint32))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32e6
