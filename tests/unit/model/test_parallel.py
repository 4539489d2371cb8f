"""Running over blocks."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from bg_atlasapi.model.parallel import alone, over_blocks, spans, workers


@pytest.mark.parametrize(("count", "block"), [(0, 4), (1, 4), (4, 4), (5, 4), (17, 1)])
def test_spans_cover_every_item_once(count: int, block: int) -> None:
    """Blocks follow each other without gap or overlap and keep to their size."""
    parts = list(spans(count, block))
    assert [item for part in parts for item in range(part.start, part.stop)] == list(range(count))
    assert all(0 < part.stop - part.start <= block for part in parts)


def test_answers_come_in_the_order_of_blocks() -> None:
    """Answers are in order although blocks end in any order."""
    assert over_blocks(lambda part: part.start, 1000, 7) == list(range(0, 1000, 7))


def test_every_block_is_worked_on() -> None:
    """What threads write side by side is all there."""
    target = np.zeros(10_001, dtype=np.int64)

    def fill(part: slice) -> None:
        target[part] = np.arange(part.start, part.stop)

    over_blocks(fill, target.size, 100)
    assert (target == np.arange(10_001)).all()


def test_nothing_to_do() -> None:
    """No items give no answers, and no error about a pool without workers."""
    assert over_blocks(lambda part: part, 0, 8) == []


def test_an_error_in_a_block_reaches_the_caller() -> None:
    """An exception in a thread is not lost."""

    def fail(part: slice) -> None:
        if part.start == 50:
            message = "block at 50"
            raise KeyError(message)

    with pytest.raises(KeyError, match="block at 50"):
        over_blocks(fail, 100, 10)


def test_one_block_stays_in_the_calling_thread() -> None:
    """Small work starts no thread."""
    assert over_blocks(lambda _: threading.get_ident(), 5, 10) == [threading.get_ident()]


def test_there_is_a_worker() -> None:
    """At least one processor is counted."""
    assert workers() >= 1


def test_alone_concerns_this_thread_only() -> None:
    """A thread that keeps to itself works through its blocks; others use all cores as before."""
    before = workers()
    with alone():
        names = over_blocks(lambda _: threading.current_thread().name, 9, 1)
        elsewhere: list[int] = []
        other = threading.Thread(target=lambda: elsewhere.append(workers()))
        other.start()
        other.join()
        with alone():
            assert workers() == 1
        assert workers() == 1
    assert set(names) == {threading.current_thread().name}
    assert elsewhere == [before]
    assert workers() == before
