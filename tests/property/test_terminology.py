"""Any tree, in any order, with any ids, answers as its paths say."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bg_atlasapi.model.terminology import Record, Terminology

LARGEST = 2**32 - 1
IDS = st.integers(1, LARGEST) | st.integers(1, 30) | st.integers(LARGEST - 20, LARGEST)


@st.composite
def trees(draw: st.DrawFn, largest: int = 25) -> list[Record]:
    """Draw the records of a sound tree, in any order."""
    ids = draw(st.lists(IDS, min_size=1, max_size=largest, unique=True))
    paths: list[tuple[int, ...]] = [(ids[0],)]
    for place, identifier in enumerate(ids[1:], 1):
        parent = draw(st.integers(0, place - 1))
        paths.append((*paths[parent], identifier))
    records = [
        Record(path[-1], f"s{path[-1]}", f"n{path[-1] % 3}", path, (1, 2, 3)) for path in paths
    ]
    return draw(st.permutations(records))


@given(trees())
def test_ranges_are_containment_in_paths(records: list[Record]) -> None:
    """Code b lies in the range of code a exactly where a's id is in b's path."""
    tree = Terminology(records)
    by_id = {record.id: record for record in records}
    assert tree.findings == ()
    assert sorted(tree.ids[1:].tolist()) == sorted(by_id)
    for outer in range(1, len(tree) + 1):
        below = {
            code
            for code in range(1, len(tree) + 1)
            if int(tree.ids[outer]) in by_id[int(tree.ids[code])].path
        }
        assert below == set(range(outer, int(tree.last[outer]) + 1))
        assert below == {code for code in range(1, len(tree) + 1) if tree.contains(outer, code)}


@given(trees(), st.lists(IDS | st.integers(-5, 2**40), max_size=20))
def test_codes_and_ids_round_trip(records: list[Record], others: list[int]) -> None:
    """Ids to codes and back is the identity; what is not listed is -1, one by one as in arrays."""
    tree = Terminology(records)
    assert (tree.codes(tree.ids) == np.arange(len(tree) + 1)).all()
    known = {0, *tree.ids.tolist()}
    asked = np.array([*others, *tree.ids.tolist()], dtype=np.int64)
    codes = tree.codes(asked)
    for identifier, code in zip(asked.tolist(), codes.tolist(), strict=True):
        assert (code == -1) == (identifier not in known)
        assert tree.code_of_id(identifier) == code
        if code >= 0:
            assert int(tree.ids[code]) == identifier
    names = tree.acronyms_of(np.arange(len(tree) + 1))
    assert (tree.codes_of_acronyms(names.tolist()) == np.arange(len(tree) + 1)).all()


@given(trees())
def test_relatives_are_those_of_the_paths(records: list[Record]) -> None:
    """Depth, parent, children, ancestors, descendants and leaves equal what paths say."""
    tree = Terminology(records)
    order = [record.id for record in records]
    for record in records:
        code = tree.code(record.id)
        ids = tree.ids
        below = [r.id for r in records if record.id in r.path[:-1]]
        leaves = {r.id for r in records if record.id in r.path} - {
            identifier for r in records for identifier in r.path[:-1]
        }
        assert tree.depths[code] == len(record.path) - 1
        assert tree.path_ids(code) == list(record.path)
        assert ids[tree.ancestors(code)].tolist() == list(record.path[:-1])
        assert int(ids[tree.parents[code]]) == (record.path[-2] if len(record.path) > 1 else 0)
        assert ids[tree.descendants(code)].tolist() == below
        assert set(ids[tree.leaves(code)].tolist()) == leaves
        children = [r.id for r in records if r.path[:-1] == record.path]
        assert ids[tree.children(code)].tolist() == sorted(children, key=order.index)


@given(trees(), st.integers(-30, 30))
def test_every_depth_is_a_place_in_the_path(records: list[Record], depth: int) -> None:
    """The ancestor at a depth is the path's entry there, held at its ends."""
    tree = Terminology(records)
    table = tree.codes_at_depth(depth)
    assert table[0] == 0
    for record in records:
        place = depth if depth >= 0 else len(record.path) + depth
        expected = record.path[min(max(place, 0), len(record.path) - 1)]
        assert int(tree.ids[table[tree.code(record.id)]]) == expected


@given(trees(), st.data())
def test_deepest_of_given_structures(records: list[Record], data: st.DataObject) -> None:
    """Each structure goes to the last of the given ids in its path, else to 0."""
    tree = Terminology(records)
    chosen = data.draw(st.lists(st.sampled_from([record.id for record in records]), max_size=6))
    table = tree.codes_under([tree.code(identifier) for identifier in chosen])
    assert table[0] == 0
    for record in records:
        held = [identifier for identifier in record.path if identifier in chosen]
        assert int(tree.ids[table[tree.code(record.id)]]) == (held[-1] if held else 0)


@given(trees(), st.randoms(use_true_random=False))
def test_the_order_of_the_file_does_not_matter(records: list[Record], random: object) -> None:
    """A shuffled file gives each structure the same parent, depth, colour, name and subtree."""
    shuffled = list(records)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, two = Terminology(records), Terminology(shuffled)
    for record in records:
        here, there = one.code(record.id), two.code(f"s{record.id}")
        assert int(two.ids[there]) == record.id
        assert one.depths[here] == two.depths[there]
        assert one.path_ids(here) == two.path_ids(there)
        assert one.names[here] == two.names[there]
        assert set(one.ids[one.descendants(here)].tolist()) == set(
            two.ids[two.descendants(there)].tolist()
        )


@given(trees(), st.sets(st.integers(0, 24), max_size=4))
def test_missing_structures_are_mended(records: list[Record], gone: set[int]) -> None:
    """Any structures but the root may be missing: the rest is there, below the root, reported."""
    root = next(record for record in records if len(record.path) == 1)
    kept = [r for place, r in enumerate(records) if place not in gone or r is root]
    tree = Terminology(kept)
    ids = {record.id for record in kept}
    assert set(tree.ids[1:].tolist()) == ids
    assert int(tree.ids[1]) == root.id
    assert tree.last[1] == len(tree)
    orphans = [r for r in kept if len(r.path) > 1 and r.path[-2] not in ids]
    assert [finding.code for finding in tree.findings] == ["missing-parent"] * bool(orphans)
    for orphan in orphans:
        assert tree.parents[tree.code(orphan.id)] == 1
