"""Groupings in few bytes."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from bg_atlasapi import BrainGlobeAtlas
from bg_atlasapi.query.group_packing import PackedGrouping, packed, unpacked
from bg_atlasapi.query.grouping import Grouping


@pytest.mark.parametrize(
    ("by", "small"),
    [
        (5, True),
        (["CTX", "VISp"], True),
        ({"a": ["CTX"], "b": ["TH"]}, True),
        ({"CTX": 5000}, True),
        ({"CTX": "TH"}, False),
    ],
    ids=str,
)
def test_a_grouping_is_packed_and_comes_back(by: Any, small: bool) -> None:
    """It equals what was packed; what cannot be packed stays itself."""
    atlas = BrainGlobeAtlas("phantom_mouse_100um")
    grouping, tree = atlas.group(by, lateralise=True).grouping, atlas.structures.terminology
    found = packed(grouping, tree)
    assert isinstance(found, PackedGrouping if small else Grouping)
    assert unpacked(pickle.loads(pickle.dumps(found)), tree) == grouping
