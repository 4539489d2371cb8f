"""Arranging structures depth-first, and what is forgiven."""

from __future__ import annotations

import pytest

from bg_atlasapi.errors import InvalidAtlasError
from bg_atlasapi.model.preorder import MAX_ID, Row, arrange


def rows(*paths: tuple[int, ...]) -> list[Row]:
    """Make rows named after their ids."""
    return [Row(path[-1], f"s{path[-1]}", path) for path in paths]


def codes_of(findings: object) -> list[str]:
    """Return the codes of findings."""
    assert isinstance(findings, tuple)
    return [finding.code for finding in findings]


def test_depth_first_with_siblings_in_input_order() -> None:
    """Children follow their parent, and brothers keep the order of the file."""
    order = arrange(rows((1,), (1, 3), (1, 2), (1, 3, 5), (1, 2, 4)))
    assert order.positions == (0, 1, 3, 2, 4)
    assert order.parents == (0, 1, 2, 1, 4)
    assert order.last == (5, 3, 3, 5, 5)
    assert order.depths == (0, 1, 2, 1, 2)
    assert order.findings == ()


def test_children_may_stand_before_their_parents() -> None:
    """A file in any order, root last, gives the same hierarchy."""
    order = arrange(rows((1, 2, 4), (1, 2), (1, 3), (1,)))
    assert [(4, 2, 3, 1)[position] for position in order.positions] == [1, 2, 4, 3]
    assert order.findings == ()


def test_single_structure() -> None:
    """A root alone is a terminology."""
    order = arrange(rows((7,)))
    assert (order.positions, order.parents, order.last, order.depths) == ((0,), (0,), (1,), (0,))


def test_a_chain_of_ten_thousand_does_not_recurse() -> None:
    """Hostile depth neither overflows the stack nor loses a structure."""
    chain = [Row(1, "s1", (1,)), *(Row(i, f"s{i}", (i - 1, i)) for i in range(2, 10_001))]
    order = arrange(chain)
    assert order.depths == tuple(range(10_000))
    assert set(order.last) == {10_000}


def test_root_is_the_top_called_root() -> None:
    """Among several tops the one called root is the root, the others hang on it, reported."""
    given = [Row(5, "other", (5,)), Row(1, "root", (1,)), Row(2, "a", (5, 2))]
    order = arrange(given)
    assert order.positions == (1, 0, 2)
    assert order.parents == (0, 1, 2)
    assert codes_of(order.findings) == ["several-roots"]
    assert "other" in order.findings[0].message


def test_root_need_not_be_called_root() -> None:
    """A single top is the root whatever its name, and that is no finding."""
    order = arrange([Row(2, "a", (9, 2)), Row(9, "Brain", (9,))])
    assert order.positions == (1, 0)
    assert order.findings == ()


def test_missing_parent_hangs_on_the_root() -> None:
    """A parent that is not listed is a finding that names child and parent."""
    order = arrange(rows((1,), (1, 99, 2), (1, 99, 2, 3)))
    assert order.parents == (0, 1, 2)
    assert codes_of(order.findings) == ["missing-parent"]
    assert "s2 (parent 99)" in order.findings[0].message


def test_repeated_id_keeps_the_first() -> None:
    """Of an id listed twice the first row is kept, and reported."""
    order = arrange([Row(1, "root", (1,)), Row(2, "a", (1, 2)), Row(2, "b", (1, 2))])
    assert order.positions == (0, 1)
    assert codes_of(order.findings) == ["duplicate-id"]


def test_repeated_acronym_keeps_both() -> None:
    """Of an acronym listed twice both structures are kept, and reported."""
    order = arrange([Row(1, "root", (1,)), Row(2, "a", (1, 2)), Row(3, "a", (1, 3))])
    assert order.positions == (0, 1, 2)
    assert codes_of(order.findings) == ["duplicate-acronym"]


@pytest.mark.parametrize("identifier", [0, -1, MAX_ID + 1])
def test_ids_that_label_no_voxel_are_reported(identifier: int) -> None:
    """Ids outside 1…2**32-1 are a finding, not an error."""
    order = arrange(rows((1,), (1, identifier)))
    assert codes_of(order.findings) == ["id-out-of-range"]


def test_largest_id_is_sound() -> None:
    """2**32-1 is an id like any other, as a parent too."""
    assert arrange(rows((1,), (1, MAX_ID), (1, MAX_ID, 2))).findings == ()


def test_long_lists_are_cut_in_messages() -> None:
    """A finding about eight structures names five and counts the rest."""
    order = arrange(rows((1,), *((1, 99, i) for i in range(2, 10))))
    assert order.findings[0].message.endswith("and 3 more.")


@pytest.mark.parametrize(
    ("given", "code", "word"),
    [
        ([], "empty", "no structure"),
        (rows((99, 1), (99, 1, 2)), "no-root", "top"),
        (rows((2, 1), (1, 2)), "no-root", "cycle"),
        (rows((1,), (3, 2), (2, 3)), "cycle", "s2, s3"),
        (rows((1,), (2, 2)), "cycle", "s2"),
    ],
)
def test_what_has_no_order_is_refused(given: list[Row], code: str, word: str) -> None:
    """No structure, no root, or a cycle: an error that says which, and names structures."""
    with pytest.raises(InvalidAtlasError, match=word) as caught:
        arrange(given)
    assert codes_of(caught.value.findings) == [code]
    assert caught.value.findings[0].severity == "error"
