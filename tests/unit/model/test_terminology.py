"""Looking structures up and asking for their relatives."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bg_atlasapi.errors import AtlasError, InvalidInputError, UnknownStructureError
from bg_atlasapi.model.terminology import OUTSIDE_LABEL, Record, Terminology

LARGEST = 2**32 - 1


def record(identifier: int, acronym: str, name: str, *above: int) -> Record:
    """Make a record from its ancestors' ids."""
    return Record(identifier, acronym, name, (*above, identifier), (identifier % 256, 0, 255))


@pytest.fixture
def tree() -> Terminology:
    """Return nine structures, not in depth-first order, one with the largest id as a parent."""
    return Terminology(
        [
            record(997, "root", "root"),
            record(385, "VISp", "Primary visual area", 997, 8, 669),
            record(8, "grey", "Basic cell groups and regions", 997),
            record(669, "VIS", "Visual areas", 997, 8),
            record(LARGEST, "NA", "Nucleus accumbens", 997, 8),
            record(33, "VISp6a", "Primary visual area, layer 6a", 997, 8, 669, 385),
            record(7, "NAc", "Accumbens, core", 997, 8, LARGEST),
            record(1009, "fiber tracts", "fiber tracts", 997),
            record(5, "385", "a structure whose acronym is a number", 997),
        ]
    )


def acronyms(tree: Terminology, codes: Any) -> list[str]:
    """Return acronyms of codes."""
    return [tree.acronyms[code] for code in codes]


def test_struct_of_arrays_is_in_depth_first_order(tree: Terminology) -> None:
    """All arrays run over the codes, siblings in file order, 0 is outside."""
    expected = "root grey VIS VISp VISp6a NA NAc fiber$tracts 385".replace(" ", "|")
    assert "|".join(tree.acronyms[1:]) == expected.replace("$", " ")
    assert tree.ids.tolist() == [0, 997, 8, 669, 385, 33, LARGEST, 7, 1009, 5]
    assert tree.ids.dtype == np.uint32
    assert tree.parents.tolist() == [0, 0, 1, 2, 3, 4, 2, 6, 1, 1]
    assert tree.last.tolist() == [0, 9, 7, 5, 5, 5, 7, 7, 8, 9]
    assert tree.depths.tolist() == [0, 0, 1, 2, 3, 4, 2, 3, 1, 1]
    assert tree.positions.tolist() == [-1, 0, 2, 3, 1, 5, 4, 6, 7, 8]
    assert tree.acronyms[0] == tree.names[0] == OUTSIDE_LABEL
    assert tree.colours[4].tolist() == [385 % 256, 0, 255]
    assert len(tree) == 9
    assert tree.findings == ()


@pytest.mark.parametrize(
    "key",
    [
        669,
        np.uint32(669),
        np.int16(669),
        np.uint64(669),
        669.0,
        np.float32(669),
        np.array(669),
        "669",
        "VIS",
        np.str_("VIS"),
        "Visual areas",
        SimpleNamespace(id=669),
        SimpleNamespace(id=np.uint32(669)),
    ],
)
def test_every_way_to_name_a_structure(tree: Terminology, key: object) -> None:
    """An id of any numeric type, digits, acronym, exact name, and structures all find it."""
    assert tree.code(key) == 3


def test_the_largest_id_and_the_acronym_na(tree: Terminology) -> None:
    """2**32-1 and "NA" are found like any other, by all their names."""
    for key in (LARGEST, np.uint32(LARGEST), str(LARGEST), "NA", "Nucleus accumbens"):
        assert tree.code(key) == 6


def test_digits_are_an_id_before_they_are_an_acronym(tree: Terminology) -> None:
    """Where an id and another structure's acronym are the same digits, the id wins."""
    assert tree.acronyms[tree.code("385")] == "VISp"


def test_digits_that_are_no_id_may_be_an_acronym() -> None:
    """An acronym of digits is found where no id is in its way."""
    tree = Terminology([record(1, "root", "root"), record(2, "77", "seventy-seven", 1)])
    assert tree.code("77") == 2


@pytest.mark.parametrize(
    "key",
    [
        0,
        -1,
        1,
        2**32,
        2**64,
        10**400,
        669.5,
        float("nan"),
        float("inf"),
        "",
        "visp",
        "Visual",
        "-669",
        "²",
        "0",
        "9" * 5000,
        None,
        b"VIS",
        [669],
        (669,),
        {},
        np.array([669, 8]),
        1j,
        OUTSIDE_LABEL,
        SimpleNamespace(id=None),
    ],
    ids=lambda key: repr(key)[:20],
)
def test_unknown_structures(tree: Terminology, key: object) -> None:
    """What names no structure is both a KeyError and an AtlasError, never anything else."""
    with pytest.raises(UnknownStructureError, match="No structure has the id") as caught:
        tree.code(key)
    assert isinstance(caught.value, KeyError)
    assert isinstance(caught.value, AtlasError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("VISpp", "VISp (Primary visual area)"),
        ("visp", "VISp (Primary visual area)"),
        ("Primary visual aera", "VISp (Primary visual area)"),
        ("nucleus acumbens", "NA (Nucleus accumbens)"),
    ],
)
def test_errors_name_close_matches(tree: Terminology, key: str, hint: str) -> None:
    """A misspelling, of acronym or name, is answered with what it resembles."""
    with pytest.raises(UnknownStructureError, match=re.escape(hint)):
        tree.code(key)


def test_duplicate_acronyms_first_in_the_file_wins() -> None:
    """By acronym and name the first in the file answers, not the first in depth-first order."""
    tree = Terminology(
        [
            record(1, "root", "root"),
            record(2, "a", "first", 1),
            record(3, "X", "same name", 1, 4),
            record(4, "X", "same name", 1),
            record(5, "X", "third", 1, 2),
        ]
    )
    assert tree.ids[tree.code("X")] == 3
    assert tree.ids[tree.code("same name")] == 3
    assert [int(tree.ids[tree.code(i)]) for i in (3, 4, 5)] == [3, 4, 5]
    assert [finding.code for finding in tree.findings] == ["duplicate-acronym"]
    assert tree.codes_of_acronyms(["X"]).tolist() == [tree.code(3)]


def test_relatives(tree: Terminology) -> None:
    """Parent, children, ancestors, descendants, leaves and depth of one structure."""
    grey = tree.code("grey")
    assert acronyms(tree, tree.children(grey)) == ["VIS", "NA"]
    assert acronyms(tree, tree.ancestors(tree.code("VISp6a"))) == ["root", "grey", "VIS", "VISp"]
    assert acronyms(tree, tree.descendants(grey)) == ["VISp", "VIS", "NA", "VISp6a", "NAc"]
    assert acronyms(tree, tree.leaves(grey)) == ["VISp6a", "NAc"]
    assert tree.path_ids(tree.code("NAc")) == [997, 8, LARGEST, 7]


def test_relatives_at_the_ends(tree: Terminology) -> None:
    """The root has no ancestors; a leaf is its own leaf and has nothing below."""
    leaf = tree.code("NAc")
    assert tree.ancestors(1) == []
    assert tree.children(leaf).tolist() == []
    assert tree.descendants(leaf).tolist() == []
    assert tree.leaves(leaf).tolist() == [leaf]


def test_containment(tree: Terminology) -> None:
    """A structure holds itself and its descendants, nothing else."""
    vis, visp, na = (tree.code(key) for key in ("VIS", "VISp", "NA"))
    assert tree.contains(vis, vis)
    assert tree.contains(vis, visp)
    assert not tree.contains(visp, vis)
    assert not tree.contains(vis, na)


def test_vectorised_ids_codes_and_acronyms(tree: Terminology) -> None:
    """Arrays of ids, codes and acronyms turn into each other, keeping their shape."""
    codes = tree.codes(np.array([[0, 385], [LARGEST, 12]], dtype=np.uint32))
    assert codes.tolist() == [[0, 4], [6, -1]]
    assert tree.acronyms_of([[0, 4], [6, 1]]).tolist() == [[OUTSIDE_LABEL, "VISp"], ["NA", "root"]]
    assert tree.codes_of_acronyms(["NA", OUTSIDE_LABEL, "nope"]).tolist() == [6, 0, -1]
    assert tree.codes([-5, 2**40]).tolist() == [-1, -1]


def test_vectorised_of_one_and_of_none(tree: Terminology) -> None:
    """A single id and an empty list are arrays too."""
    assert int(tree.codes(385)) == 4
    assert int(tree.codes(12)) == -1
    assert tree.codes([]).shape == (0,)
    assert tree.acronyms_of([]).shape == (0,)
    assert tree.codes_of_acronyms([]).shape == (0,)


@pytest.mark.parametrize("ids", [[1.0], ["385"], [None], [1j]])
def test_ids_of_another_type_are_refused(tree: Terminology, ids: Any) -> None:
    """An array of ids must be integers; anything else is said, not guessed."""
    with pytest.raises(InvalidInputError, match="integers"):
        tree.codes(ids)


@pytest.mark.parametrize(("identifier", "code"), [(0, 0), (385, 4), (LARGEST, 6), (12, -1)])
def test_code_of_one_id(tree: Terminology, identifier: int, code: int) -> None:
    """The scalar twin agrees: 0 is outside, what is not listed is -1."""
    assert tree.code_of_id(identifier) == code


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (0, [0, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
        (1, [0, 1, 2, 2, 2, 2, 2, 2, 8, 9]),
        (2, [0, 1, 2, 3, 3, 3, 6, 6, 8, 9]),
        (99, list(range(10))),
        (10**20, list(range(10))),
        (-1, list(range(10))),
        (-2, [0, 1, 1, 2, 3, 4, 2, 6, 1, 1]),
        (-99, [0, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
        (-(10**20), [0, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
    ],
)
def test_codes_at_depth(tree: Terminology, depth: int, expected: list[int]) -> None:
    """Depths count from the root, negative ones from the structure; too much stops at the end."""
    assert tree.codes_at_depth(depth).tolist() == expected


def test_answers_do_not_change_what_is_asked_next(tree: Terminology) -> None:
    """Writing into a table that was handed out does not spoil the next one."""
    table = tree.codes_at_depth(1)
    if table.flags.writeable:
        table[:] = 0
    assert tree.codes_at_depth(1)[4] == 2


def test_deepest_given_structure_wins(tree: Terminology) -> None:
    """Among structures given in any order each code goes to the deepest that holds it, or to 0."""
    given = [tree.code(key) for key in ("VISp", "grey", "VIS")]
    assert tree.codes_under(given).tolist() == [0, 0, 2, 3, 4, 4, 2, 2, 0, 0]
    assert tree.codes_under([]).tolist() == [0] * 10


@pytest.mark.parametrize(
    ("key", "depth", "expected"),
    [
        ("root", 1, "grey fiber_tracts 385"),
        ("grey", 2, "VIS NA"),
        ("VISp6a", 1, "grey"),
        ("VISp6a", np.int64(4), "VISp6a"),
        ("VIS", None, "root grey VIS VISp VISp6a"),
        ("grey", None, "root grey VIS NA VISp NAc VISp6a"),
    ],
)
def test_levels(tree: Terminology, key: str, depth: object, expected: str) -> None:
    """A level holds what lies there on the way to a structure's leaves; None walks by level."""
    found = acronyms(tree, tree.level(tree.code(key), depth))
    assert found == [word.replace("_", " ") for word in expected.split()]


@pytest.mark.parametrize("depth", [-1, True, 1.0, "1", 9])
def test_levels_that_are_not_there(tree: Terminology, depth: object) -> None:
    """A level must be a depth that some path reaches."""
    with pytest.raises(InvalidInputError, match="level"):
        tree.level(tree.code("grey"), depth)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("visp", ["VISp", "VISp6a"]),
        ("vis", ["VIS", "VISp", "VISp6a"]),
        ("ACCUMBENS", ["NA", "NAc"]),
        ("na", ["NA", "NAc"]),
        ("fiber tracts", ["fiber tracts"]),
        ("Primary visaul area", ["VISp", "VISp6a"]),
        ("zzzzzz", []),
        (".*", []),
        ("area, layer", ["VISp6a"]),
    ],
)
def test_find(tree: Terminology, text: str, expected: list[str]) -> None:
    """Substrings of acronym or name, exact hits first; close ones when nothing holds the text."""
    found = acronyms(tree, tree.find(text))
    assert found[: len(expected)] == expected
    assert bool(found) == bool(expected)


def test_find_everything_with_nothing(tree: Terminology) -> None:
    """The empty text is part of every name."""
    assert sorted(tree.find("")) == list(range(1, 10))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("^VIS.+a$", ["VISp6a"]),
        ("^na", ["NA", "NAc"]),
        ("nothing", []),
        ("visp$", ["VISp"]),
    ],
)
def test_find_by_pattern(tree: Terminology, pattern: str, expected: list[str]) -> None:
    """Regular expressions ignore case and are never answered by resemblance."""
    assert acronyms(tree, tree.find(pattern, regex=True)) == expected


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "a{99999999999999999999}"])
def test_what_is_no_pattern(tree: Terminology, pattern: str) -> None:
    """A regular expression that is not one is an error that shows it."""
    with pytest.raises(InvalidInputError, match="regular expression"):
        tree.find(pattern, regex=True)


@pytest.mark.parametrize("identifier", [-5, 0, 2**32, 2**40])
def test_ids_that_label_no_voxel_are_kept(identifier: int) -> None:
    """Odd ids are found by id and acronym, and reported."""
    tree = Terminology([record(1, "root", "root"), record(identifier, "odd", "odd", 1)])
    assert tree.code("odd") == tree.code(identifier) == 2
    assert [finding.code for finding in tree.findings] == ["id-out-of-range"]


@pytest.mark.parametrize("identifier", [2**63, 2**64, 10**30, -(2**63) - 1])
def test_ids_that_no_machine_word_holds(identifier: int) -> None:
    """An absurd id is an error about the atlas, or forgiven; it is not an OverflowError."""
    records = [record(1, "root", "root"), record(identifier, "odd", "odd", 1)]
    try:
        tree = Terminology(records)
    except AtlasError:
        return
    assert "id-out-of-range" in [finding.code for finding in tree.findings]


def test_an_outside_structure_of_the_file_does_not_hide_outside() -> None:
    """A structure that calls itself "Outside atlas" is found, and code 0 keeps its name."""
    tree = Terminology([record(1, "root", "root"), record(2, OUTSIDE_LABEL, "x", 1)])
    assert tree.code(OUTSIDE_LABEL) == 2
    assert tree.acronyms[0] == OUTSIDE_LABEL
