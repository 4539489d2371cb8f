"""Files of groupings: what is written, what is forgiven, and what is said of a bad one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.grouping_files import from_text
from bg_atlasapi.model.grouping import Group, GroupSet, free_ids, side_ids
from bg_atlasapi.query.grouping import Grouping

ROOT = {"id": 997, "acronym": "root", "structures": [997]}


def text_of(*groups: Any, **more: Any) -> str:
    """Return a file with a root and groups."""
    return json.dumps({"name": "x", "groups": [ROOT, *groups], **more})


def group(**more: Any) -> dict[str, Any]:
    """Return a sound group, but for what is given."""
    return {"id": 5, "acronym": "a", "parent": 997, "structures": [1, 2], **more}


def test_what_is_written_is_small_and_readable(tmp_path: Path) -> None:
    """A group is a line of JSON; strange names survive, a lone surrogate included."""
    names = ["Ä, ω", 'quo"te', "\ud800", "line\nbreak"]
    groups = [Group(1, "root", "root", (1, 2, 3), None, (997,))]
    groups += [Group(2 + n, one, one, (0, 0, 0), 1, (n,)) for n, one in enumerate(names)]
    grouping = Grouping("odd", tuple(groups), (7,), lateralised=True, atlas="m", version="1.2")
    path = tmp_path / "odd.json"
    grouping.save(path)
    assert Grouping.load(path) == grouping
    lines = path.read_text().splitlines()
    assert sum('"structures"' in line for line in lines) == len(groups)
    assert [one.name for one in tmp_path.iterdir()] == ["odd.json"]
    assert "5 groups, left and right" in repr(grouping)


def test_little_is_required() -> None:
    """Without names, colours and the like a grouping is read; what is missing has a default."""
    found = from_text(text_of(group()), "here")
    assert found.groups[1] == Group(5, "a", "a", (255, 255, 255), 997, (1, 2))
    assert (found.lateralised, found.outside, found.atlas) == (False, (), "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        (b"\xff\xfe\xfa", "not JSON"),
        ("9" * 5000, "not JSON|object"),
        ("[]", "must hold an object"),
        ("null", "must hold an object"),
        ("{}", "lists no groups"),
        ('{"groups": 5}', "'groups' must be a list"),
        (text_of(format="something"), "format is 'something'"),
        (text_of(format_version=2), "version 2"),
        (text_of(atlas=[]), "'atlas' must be an object"),
        (text_of(lateralised="yes"), "'lateralised' must be true or false"),
        (text_of(outside=["x"]), "'outside' must list ids"),
        (text_of(5), "must be an object, not 5"),
        (text_of(group(id="5")), "'id' must be a whole number, got '5'"),
        (text_of(group(id=True)), "'id' must be a whole number, got True"),
        (text_of(group(id=5.5)), "'id' must be a whole number"),
        (text_of(group(id=0)), "ids are 1 or more"),
        (text_of(group(id=-3)), "ids are 1 or more"),
        (text_of(group(id=2**70)), "'id' must be a whole number"),
        (text_of(group(id=997)), "Two groups have the id 997"),
        (text_of(group(acronym="")), "no 'acronym'"),
        (text_of(group(acronym=7)), "'acronym' must be a text"),
        (text_of(group(rgb_triplet=[1, 2])), "three numbers"),
        (text_of(group(rgb_triplet=[1, 2, 256])), "three numbers"),
        (text_of(group(rgb_triplet="red")), "three numbers"),
        (text_of(group(structures=[1.5])), "must list ids"),
        (text_of(group(structures=997)), "'structures' must be a list"),
        (text_of(group(structures=[997])), "Structure 997 is claimed by 'root' and 'a'"),
        (text_of(group(), outside=[1]), "claimed by what is outside and 'a'"),
        (text_of(group(parent=4)), "below 4, which is no group"),
        (text_of(group(parent="x")), "'parent' must be an id"),
        (text_of(group(parent=None)), "has 2"),
        (
            text_of(group(parent=6), group(id=6, acronym="b", parent=5, structures=[])),
            "below itself",
        ),
        (text_of(group(parent=5)), "below itself"),
        (
            text_of(*(group(id=998 + n, parent=997 + n, structures=[]) for n in range(1001))),
            "below more than 1000 others",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_is_wrong_is_said(text: str | bytes, said: str) -> None:
    """Hostile and mistaken files are one error that names the problem."""
    with pytest.raises(InvalidInputError, match=said):
        from_text(text, "here.json")


def test_all_problems_are_said_at_once() -> None:
    """One reading finds everything; very many problems are counted."""
    with pytest.raises(InvalidInputError) as caught:
        from_text(text_of(group(id="x"), group(rgb_triplet=5), outside=5), "here.json")
    assert all(one in str(caught.value) for one in ("here.json", "Group 1", "Group 2", "'outside'"))
    with pytest.raises(InvalidInputError, match="And 80 problems more"):
        from_text(text_of(*[5] * 100), "here.json")


def test_a_file_without_a_name_lends_its_own(tmp_path: Path) -> None:
    """What people write by hand need not repeat what the file is called."""
    path = tmp_path / "coarse.json"
    path.write_text(json.dumps({"groups": [ROOT, group()]}))
    assert Grouping.load(path).name == "coarse"


def test_files_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    """No file, a folder, no such folder: a sentence with the reason; nothing is left behind."""
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(InvalidInputError, match="cannot be read"):
            Grouping.load(path)
    grouping = Grouping("x", (Group(1, "root", "root", (0, 0, 0), None),))
    with pytest.raises(InvalidInputError, match="cannot be written"):
        grouping.save(tmp_path / "nowhere" / "x.json")


def test_a_grouping_is_checked_when_made() -> None:
    """Groups that contradict each other cannot be put together in Python either."""
    with pytest.raises(InvalidInputError, match="one root"):
        GroupSet("x", ())


def test_ids_of_new_groups_are_free() -> None:
    """New ids stand in a row after a power of ten, or are the smallest that nobody has."""
    assert free_ids(2, {1, 997}) == [10001, 10002]
    assert free_ids(2, {10002}) == [100001, 100002]
    assert free_ids(2, {1, *(10**p + 1 for p in range(4, 10))}) == [2, 3]
    assert free_ids(0, set()) == []


def test_ids_of_sides() -> None:
    """They are the id with a number in front, while that stays below 2**32."""
    assert side_ids([385], [997]) == {("L", 385): 1385, ("R", 385): 2385}
    assert side_ids([385], [614454277])["R", 385] == 2000000385
    assert side_ids([2**32 - 1], [2**32 - 1])["L", 2**32 - 1] == 10001
    assert side_ids([2**32], [2**32])["L", 2**32] == 10**10 + 2**32
