"""Whatever bg-atlasapi 1.0.3 answers, this package answers too, in value and type.

Deliberate differences are written out below, each as narrow as it is; nothing else may differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ATLASES = ("tiny_mouse_100um", "tiny_odd_50um", "tiny_bent_100um", "allen_mouse_100um")
OUTSIDE = "Outside atlas"
Answers = dict[str, Any]
Both = tuple[Answers, Answers]
Ask = Callable[[str], Both]


@pytest.fixture(params=ATLASES)
def both(ask: Ask, request: pytest.FixtureRequest) -> Both:
    """Return the answers of 1.0.3 and ours about each atlas in turn."""
    return ask(request.param)


def agrees(theirs: Any, ours: Any) -> bool:
    """Say whether two answers are the same; an exception may be a subclass of the peer's."""
    if isinstance(theirs, dict) and "raises" in theirs:
        return isinstance(ours, dict) and theirs["raises"][0] in ours.get("raises", [])
    if isinstance(theirs, list):
        if not isinstance(ours, list) or len(ours) != len(theirs):
            return False
        return all(map(agrees, theirs, ours))
    return type(theirs) is type(ours) and bool(theirs == ours)


def paired(both: Both, subject: str) -> list[tuple[str, Any, Any]]:
    """Return (question, theirs, ours) of a subject; both sides were asked the same."""
    theirs, ours = both[0][subject], both[1][subject]
    assert [question for question, _ in theirs] == [question for question, _ in ours]
    return [(one[0], one[1], other[1]) for one, other in zip(theirs, ours, strict=True)]


def test_each_side_asked_its_own_package(both: Both, peer: tuple[Path, dict[str, str]]) -> None:
    """The comparison is between two packages, not of one with itself."""
    theirs, ours = (side["module"] for side in both)
    assert theirs.startswith(str(peer[0].parents[1]))
    assert theirs != ours


@pytest.mark.parametrize("subject", ["volumes", "hierarchy", "structures"])
def test_same_answers(both: Both, subject: str) -> None:
    """Every structure × every query, volumes, table, tree, metadata, repr: the same.

    Masks, meshes and volumes are compared by type, shape and hash.
    """
    pairs = paired(both, subject)
    assert pairs
    different = [one for one in pairs if not agrees(*one[1:])]
    assert not different, f"{len(different)} of {len(pairs)}: {str(different[:3])[:2000]}"


def test_all_structures_have_masks_and_meshes_to_compare(ask: Ask) -> None:
    """The real atlas answered 840 masks and 839 meshes; the missing one raises on both sides."""
    for side in ask("allen_mouse_100um"):
        answers = dict(map(tuple, side["structures"]))
        masks = [answer for question, answer in answers.items() if question.endswith(": mask")]
        meshes = [answer for question, answer in answers.items() if question.endswith(": mesh")]
        assert len(masks) == len(meshes) == 840
        assert all("sha256" in mask for mask in masks)
        assert sum("raises" not in mesh for mesh in meshes) == 839
        assert "ReadError" in answers["RSPd4: mesh"]["raises"]


def test_points_have_the_same_structure(both: Both) -> None:
    """Points in the volume: the same id or acronym, by value and type, at every depth.

    Deliberate: where 1.0.3 raises KeyError for background, id 0 or "Outside atlas"; where it raises
    IndexError because the structure lies higher than the depth asked for, the structure itself.
    """
    asked = {question: pair for question, *pair in paired(both, "points")}
    compared = 0
    for question, (theirs, ours) in asked.items():
        if "hemisphere" in question:
            continue
        itself = asked.get(re.sub(r"depth=\S+", "depth=-1", question), [theirs])[0]
        nothing = OUTSIDE if "acronym=True" in question else {"scalar": "uint32", "value": 0}
        for their, our, own in zip(theirs, ours, itself, strict=True):
            raised = their["raises"][0] if isinstance(their, dict) and "raises" in their else None
            expected = {None: their, "KeyError": nothing, "IndexError": own}[raised]
            assert our == expected, question
            compared += raised is None
    assert compared > 10000


def test_points_have_the_same_hemisphere(both: Both) -> None:
    """Points in the volume: the same hemisphere, as number and text.

    Deliberate: in a symmetric atlas the plane of index n // 2 is left; 1.0.3 put it right.
    """
    symmetric = dict(map(tuple, both[0]["volumes"]))["metadata"]["symmetric"]
    middle = both[0]["hemispheres"].shape[2] // 2
    asked = {question: pair for question, *pair in paired(both, "points")}
    for question, (theirs, ours) in asked.items():
        if "hemisphere" not in question:
            continue
        places = asked[question.partition(" hemisphere")[0] + " index"][0]
        for their, our, place in zip(theirs, ours, places, strict=True):
            if symmetric and place["tuple"][2] == middle:
                left = "left" if "text=True" in question else {"scalar": "uint8", "value": 1}
                assert our == left
            else:
                assert our == their


def test_hemispheres_differ_in_one_plane(both: Both) -> None:
    """The volumes are equal but for the plane of index n // 2; stored ones are equal throughout."""
    theirs, ours = (side["hemispheres"] for side in both)
    assert theirs.shape == ours.shape
    assert theirs.dtype == ours.dtype == np.uint8
    if dict(map(tuple, both[0]["volumes"]))["metadata"]["symmetric"]:
        middle = theirs.shape[2] // 2
        assert (theirs[..., middle] == 2).all()
        assert (ours[..., middle] == 1).all()
        theirs, ours = (np.delete(side, middle, axis=2) for side in (theirs, ours))
    assert np.array_equal(theirs, ours)


def test_outside_answers_where_the_peer_wraps_or_raises(both: Both) -> None:
    """Deliberate: beyond the volume 1.0.3 wraps or raises IndexError, and we say outside."""
    for question, theirs, ours in paired(both, "outside"):
        if "raises" in str(theirs):
            assert theirs["raises"][0] in ("IndexError", "KeyError")
        if question.startswith("acronym"):
            assert ours == OUTSIDE
        else:
            assert ours["value"] == 0


def test_acronyms_are_in_the_structures(both: Both) -> None:
    """Deliberate: ``"VISp" in structures``, which 1.0.3 denied of every acronym."""
    ((_, theirs, ours),) = paired(both, "acronym_in")
    assert not any(theirs)
    assert all(ours)
