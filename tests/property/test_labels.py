"""Any volume over any tree: coding loses nothing, masks are what numpy says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from bg_atlasapi.model.labels import ArraySource, LabelVolume
from bg_atlasapi.model.terminology import Record, Terminology

LARGEST = 2**32 - 1
LIMITS: dict[Any, int] = {
    np.uint8: 255,
    np.uint16: 2**16 - 1,
    np.uint32: LARGEST,
    np.int64: LARGEST,
}


@dataclass(frozen=True)
class Case:
    """A tree, and a volume of its ids and others."""

    tree: Terminology
    volume: npt.NDArray[Any]

    def labels(self, *, ordered: bool) -> LabelVolume:
        """Return the volume over bytes in order or not."""
        volume = self.volume if ordered else np.asfortranarray(self.volume)
        return LabelVolume(ArraySource(volume), self.tree)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw a tree, and a volume of odd size that holds its ids, unlisted ones and background."""
    dtype = draw(st.sampled_from(list(LIMITS)))
    limit = LIMITS[dtype]
    some = st.integers(1, limit) | st.integers(limit - 10, limit) | st.integers(1, 9)
    ids = draw(st.lists(some, min_size=1, max_size=12, unique=True))
    paths: list[tuple[int, ...]] = [(ids[0],)]
    for place, identifier in enumerate(ids[1:], 1):
        paths.append((*paths[draw(st.integers(0, place - 1))], identifier))
    records = [Record(path[-1], str(path), "", path, (0, 0, 0)) for path in paths]
    tree = Terminology(draw(st.permutations(records)))
    unlisted = draw(st.lists(some, max_size=4))
    shape = draw(st.tuples(*[st.integers(1, 5)] * 3))
    values = draw(
        st.lists(
            st.sampled_from([0, *ids, *unlisted]),
            min_size=int(np.prod(shape)),
            max_size=int(np.prod(shape)),
        )
    )
    return Case(tree, np.array(values, dtype=dtype).reshape(shape))


@given(cases(), st.booleans())
def test_ids_round_trip(case: Case, ordered: bool) -> None:
    """Ids come back, all of them, in their type."""
    ids = case.labels(ordered=ordered).ids()
    assert ids.dtype == case.volume.dtype
    assert (ids == case.volume).all()


@given(cases())
def test_codes_are_the_terminologys(case: Case) -> None:
    """Codes of listed labels are the terminology's; the others come after, in order of ids."""
    coded = case.labels(ordered=True).coded
    expected = case.tree.codes(case.volume.reshape(-1))
    listed = expected >= 0
    assert (coded.codes[listed] == expected[listed]).all()
    assert (coded.codes[~listed] > len(case.tree)).all()
    extra = coded.ids[len(case.tree) + 1 :].tolist()
    assert extra == sorted(set(case.volume.reshape(-1)[~listed].tolist()))


@given(cases(), st.data(), st.booleans())
def test_masks_are_isin(case: Case, data: st.DataObject, ordered: bool) -> None:
    """A mask of any ids, present or not, equals numpy's answer."""
    pool = [0, 1, LARGEST, *case.tree.ids.tolist(), *case.volume.reshape(-1).tolist()]
    ids = data.draw(st.lists(st.sampled_from(pool), max_size=6))
    mask = case.labels(ordered=ordered).mask(ids, 1, np.uint8)
    assert (mask.astype(bool) == np.isin(case.volume, np.array(ids, dtype=np.int64))).all()


@given(cases())
def test_a_structures_mask_is_the_union_of_its_subtree(case: Case) -> None:
    """The mask of a structure is its own voxels and the masks of its children."""
    labels = case.labels(ordered=True)
    masks = {
        code: labels.mask(labels.subtree_ids(code), 1, np.bool_)
        for code in range(1, len(case.tree) + 1)
    }
    for code, mask in masks.items():
        union = case.volume == int(case.tree.ids[code])
        for child in case.tree.children(code).tolist():
            union = union | masks[child]
        assert (mask == union).all()


@given(cases(), st.booleans())
def test_samples_are_the_volume(case: Case, ordered: bool) -> None:
    """Every voxel answers its id and code, before the volume is coded and after, one by one too."""
    labels = case.labels(ordered=ordered)
    everywhere = np.arange(case.volume.size)
    expected = case.volume.reshape(-1)
    for _ in range(2):
        ids, codes = labels.sample(everywhere)
        assert (ids == expected).all()
        assert (codes == case.tree.codes(expected)).all()
        one_by_one = [labels.id_at(index) for index in np.ndindex(*labels.shape)]
        assert [int(label) for label in one_by_one] == expected.tolist()
        assert labels.coded.codes.size == case.volume.size
