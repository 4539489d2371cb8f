"""The orientation picture: what lies right, in front or above in the body is drawn where it says."""

from __future__ import annotations

import itertools
from typing import Any

import imagecodecs
import numpy as np
import pytest

from bg_atlasapi.build.letters import ink, written
from bg_atlasapi.build.orientation import orientation_picture
from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.model.space import CoordinateSpace
from bg_atlasapi.query.pictures import turn_between

SHAPE = (40, 30, 36)
SPACING = (50.0, 100.0, 75.0)
ORIENTATIONS = [
    "".join(letters)
    for axes in itertools.permutations(["pa", "si", "lr"])
    for letters in itertools.product(*axes)
]


def brain() -> tuple[Any, Any]:
    """Return template and labels in "asr": a box, brighter in front, with three marked sides."""
    labels = np.zeros(SHAPE, np.uint16)
    labels[5:35, 5:25, 4:32] = 1
    labels[5:12, 5:25, 4:32] = 2  # the front
    labels[12:35, 5:10, 4:32] = 3  # the top
    labels[12:35, 10:25, 4:10] = 4  # the right
    template = (labels * 100 + np.arange(SHAPE[0])[:, None, None]).astype(np.float32)
    return template, labels


COLOURS = {1: (90, 90, 90), 2: (255, 0, 0), 3: (0, 255, 0), 4: (0, 0, 255)}


def decoded(template: Any, labels: Any, space: CoordinateSpace, **options: Any) -> Any:
    """Return the pixels of the picture."""
    return np.asarray(
        imagecodecs.png_decode(orientation_picture(template, labels, space, **options))
    )


def test_the_sides_are_where_the_letters_say() -> None:
    """The front of the body is left in the middle plane and on top in the last, and so on."""
    _, labels = brain()
    picture = decoded(None, labels, CoordinateSpace(SHAPE, SPACING), colours=COLOURS).astype(int)
    thirds = np.array_split(np.arange(picture.shape[1]), 3)

    def place(panel: int, colour: int) -> Any:
        part = picture[:, thirds[panel]]
        is_it = (part[..., colour] > 200) & (part.sum(axis=2) < 300)
        rows, columns = np.nonzero(is_it)
        inside = np.nonzero(part.max(axis=2) > 80)
        return rows.mean() - inside[0].mean(), columns.mean() - inside[1].mean()

    red, green, blue = 0, 1, 2
    assert place(0, green)[0] < -20  # coronal: the top is up, the right is right
    assert place(0, blue)[1] > 20
    assert place(1, red)[1] < -20  # sagittal: the front is left, the top is up
    assert place(1, green)[0] < -10
    assert place(2, red)[0] < -20  # horizontal: the front is up, the right is right
    assert place(2, blue)[1] > 20


def test_every_orientation_gives_the_same_picture() -> None:
    """However the arrays lie, the body is the same."""
    template, labels = brain()
    # Odd lengths, so that the middle plane is the same seen from both ends.
    template, labels = template[:-1, :-1, :-1], labels[:-1, :-1, :-1]
    space = CoordinateSpace((39, 29, 35), SPACING)
    expected = decoded(template, labels, space)
    for orientation in ORIENTATIONS[1::3]:
        turn = turn_between("asr", orientation)
        turned = []
        for volume in (template, labels):
            steps = (
                tuple(slice(None, None, -1 if flip else 1) for flip in turn.flipped) if turn else ()
            )
            turned.append(volume.transpose(turn.axes)[steps] if turn else volume)
        spacing: Any = turn.apply(SPACING) if turn else SPACING
        found = decoded(*turned, CoordinateSpace(turned[0].shape, spacing, orientation))
        assert found.shape == expected.shape
        # The middle of an even extent may be one plane further on the other side.
        apart = np.abs(found.astype(int) - expected).max(axis=2) > 12
        assert apart.mean() < 0.02, orientation


def test_strange_volumes_are_drawn() -> None:
    """Nothing but zeros, NaN, one voxel, a huge range, big labels: a picture each time."""
    space = CoordinateSpace(SHAPE, SPACING)
    template, labels = brain()
    strange = np.full(SHAPE, np.nan, np.float32)
    for one in (np.zeros(SHAPE), strange, template * 1e30, np.full(SHAPE, -5.0)):
        assert decoded(one, None, space).shape[2] == 3
    assert decoded(template, labels.astype(np.uint32) * 2**30, space).size
    tiny = CoordinateSpace((1, 1, 1), (1e5, 1.0, 25.0))
    assert decoded(np.ones((1, 1, 1)), np.ones((1, 1, 1), np.uint8), tiny).size
    same = orientation_picture(template, labels, space)
    assert same == orientation_picture(template, labels, space)


def test_what_cannot_be_drawn_is_refused() -> None:
    """Nothing at all, or another shape than the space."""
    space = CoordinateSpace(SHAPE, SPACING)
    with pytest.raises(InvalidInputError, match="needs a template or labels"):
        orientation_picture(None, None, space)
    with pytest.raises(InvalidInputError, match="has the shape"):
        orientation_picture(np.zeros((2, 3, 4)), None, space)


def test_letters_are_told_apart() -> None:
    """No two look alike, and what reaches beyond the edge is cut."""
    drawn = {written(letter, 1).tobytes() for letter in "APSILR"}
    assert len(drawn) == 6
    for centre in ((0, 0), (19, 29), (-50, 5), (5, 90)):
        picture = np.full((20, 30, 3), 100, np.uint8)
        ink(picture, "R", centre, 3)
        assert set(np.unique(picture)) <= {0, 100, 255}
