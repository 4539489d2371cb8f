"""An annotation plane by plane: kept or read again, in order, with the plane before."""

from __future__ import annotations

import itertools
import pickle
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bg_atlasapi.model import labels as label_module
from bg_atlasapi.model import scan as scan_module
from bg_atlasapi.model.labels import ArraySource, LabelVolume
from bg_atlasapi.model.parallel import stream
from bg_atlasapi.model.ranges import fill_ranges, ranges_of, within
from bg_atlasapi.model.scan import Planes, Scan
from bg_atlasapi.model.terminology import Record, Terminology

LARGEST = 2**32 - 1


@pytest.fixture
def tree() -> Terminology:
    """Return root > (A, B), B with the largest id."""
    paths = [(1,), (1, 7), (1, LARGEST)]
    return Terminology([Record(p[-1], f"s{p[-1]}", "", p, (0, 0, 0)) for p in paths])


@pytest.fixture
def volume() -> npt.NDArray[np.uint32]:
    """Return labels, two of them unlisted, in nine planes."""
    values = np.array([0, 1, 7, LARGEST, 99, 5], np.uint32)
    return np.random.default_rng(3).choice(values, (9, 4, 5))


@pytest.fixture(params=[0, 1 << 30], ids=["read again", "kept"])
def labels(
    request: Any,
    monkeypatch: pytest.MonkeyPatch,
    volume: npt.NDArray[np.uint32],
    tree: Terminology,
) -> Iterator[LabelVolume]:
    """Return the volume, scanned two planes at a time, its codes kept or not."""
    monkeypatch.setattr(scan_module, "_VOXELS", 40)
    monkeypatch.setattr(label_module, "_KEPT_BYTES", request.param)
    return LabelVolume(ArraySource(volume), tree)  # type: ignore[return-value]


def test_planes_come_in_order_with_the_one_before(
    labels: LabelVolume, volume: npt.NDArray[np.uint32]
) -> None:
    """The ids of all planes put together are the volume; the plane before is the right one."""

    def ask(scan: Scan) -> list[Planes]:
        planes = list(scan.over(lambda part: part, before=True))
        ids = np.concatenate([scan.ids[part.codes] for part in planes])
        np.testing.assert_array_equal(ids, volume)
        for one, other in itertools.pairwise(planes):
            assert one.stop == other.first
            np.testing.assert_array_equal(other.before, one.codes[-1])
        return planes

    planes = labels.scan(ask)
    assert len(planes) > 3
    assert planes[0].before is None
    assert planes[-1].stop == 9


def test_unlisted_labels_are_numbered_by_their_ids(labels: LabelVolume) -> None:
    """Whatever was met first: codes past the terminology follow the ids."""
    assert labels.scan(lambda scan: [*scan.over(lambda _: None)] and scan.ids.tolist()) == [
        *(0, 1, 7, LARGEST),
        *(5, 99),
    ]


def test_a_box_is_coded_alone(labels: LabelVolume, volume: npt.NDArray[np.uint32]) -> None:
    """Codes and ids of a box give the volume's labels there."""
    bounds = (slice(2, 5), slice(1, 4), slice(0, 3))
    codes, ids = labels.box(bounds)
    np.testing.assert_array_equal(ids[codes], volume[bounds])


def test_an_error_in_a_question_ends_the_scan(labels: LabelVolume) -> None:
    """What a question raises arrives, and no thread goes on."""

    def question(part: Planes) -> None:
        if part.first > 3:
            raise ValueError("here")

    before = threading.active_count()
    with pytest.raises(ValueError, match="here"):
        labels.scan(lambda scan: list(scan.over(question)))
    assert threading.active_count() <= before + 1


def test_nothing_to_scan(tree: Terminology) -> None:
    """A volume without voxels has no planes."""
    empty = LabelVolume(ArraySource(np.empty((3, 0, 4), np.uint32)), tree)
    assert empty.scan(lambda scan: list(scan.over(lambda part: part))) == []


def test_a_pickle_forgets_what_questions_kept(labels: LabelVolume) -> None:
    """What was worked out stays behind."""
    labels.remembered["answer"] = np.zeros(10**6)
    assert not pickle.loads(pickle.dumps(labels)).remembered


def test_streams_answer_in_order_and_take_few_items() -> None:
    """Answers follow the items; of an endless series only what is needed is taken."""
    taken = []

    def items() -> Iterator[int]:
        for number in itertools.count():
            taken.append(number)
            yield number

    answers = stream(lambda number: number * 2, items())
    assert list(itertools.islice(answers, 20)) == list(range(0, 40, 2))
    answers.close()  # type: ignore[attr-defined]
    assert len(taken) < 100


def test_ranges() -> None:
    """Sorted codes become inclusive ranges, which hold just these codes."""
    codes = np.array([1, 2, 3, 7, 9, 10])
    assert ranges_of(codes) == [(1, 3), (7, 7), (9, 10)]
    assert ranges_of(np.array([], np.intp)) == []
    every = np.arange(12, dtype=np.uint16)
    assert np.flatnonzero(within(every, ranges_of(codes))).tolist() == codes.tolist()
    assert not within(every, []).any()


@pytest.mark.parametrize("ordered", [True, False])
def test_ranges_fill_arrays_in_any_order(ordered: bool) -> None:
    """A value goes where codes lie in a range, into a part of a larger array too."""
    codes = np.random.default_rng(1).integers(0, 9, (5, 6, 7)).astype(np.uint16)
    whole = np.zeros((5, 6, 7) if ordered else (5, 6, 14), np.uint8)
    out = whole if ordered else whole[..., ::2]
    fill_ranges(codes, [(2, 4), (8, 8)], 3, out)
    np.testing.assert_array_equal(out, np.isin(codes, [2, 3, 4, 8]) * 3)
