"""Questions asked of an opened atlas: functions that take the atlas first.

>>> from bg_atlasapi import BrainGlobeAtlas, query
>>> query.within(BrainGlobeAtlas("phantom_mouse_100um"), (7100, 3870, 4500), 200)["acronym"][0]
'TH'

The everyday ones are methods of the atlas too. Each function's module loads when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bg_atlasapi.late import found_in

if TYPE_CHECKING:
    from bg_atlasapi.formats.swc import read_swc
    from bg_atlasapi.query.adjacency import neighbours
    from bg_atlasapi.query.borders import border_distance
    from bg_atlasapi.query.connectivity import components
    from bg_atlasapi.query.diffing import diff
    from bg_atlasapi.query.files import lookup_to
    from bg_atlasapi.query.grouping import Grouping
    from bg_atlasapi.query.heatmaps import heatmap
    from bg_atlasapi.query.masking import mask, masks
    from bg_atlasapi.query.measuring import measure
    from bg_atlasapi.query.painting import paint, write_image
    from bg_atlasapi.query.paths import along, lengths
    from bg_atlasapi.query.regions import region_table
    from bg_atlasapi.query.sampling import sample
    from bg_atlasapi.query.spheres import within

__all__ = [
    "Grouping",
    "along",
    "border_distance",
    "components",
    "diff",
    "heatmap",
    "lengths",
    "lookup_to",
    "mask",
    "masks",
    "measure",
    "neighbours",
    "paint",
    "read_swc",
    "region_table",
    "sample",
    "within",
    "write_image",
]

_HOMES = {
    "Grouping": "bg_atlasapi.query.grouping",
    "along": "bg_atlasapi.query.paths",
    "border_distance": "bg_atlasapi.query.borders",
    "components": "bg_atlasapi.query.connectivity",
    "diff": "bg_atlasapi.query.diffing",
    "heatmap": "bg_atlasapi.query.heatmaps",
    "lengths": "bg_atlasapi.query.paths",
    "lookup_to": "bg_atlasapi.query.files",
    "mask": "bg_atlasapi.query.masking",
    "masks": "bg_atlasapi.query.masking",
    "measure": "bg_atlasapi.query.measuring",
    "neighbours": "bg_atlasapi.query.adjacency",
    "paint": "bg_atlasapi.query.painting",
    "read_swc": "bg_atlasapi.formats.swc",
    "region_table": "bg_atlasapi.query.regions",
    "sample": "bg_atlasapi.query.sampling",
    "within": "bg_atlasapi.query.spheres",
    "write_image": "bg_atlasapi.query.painting",
}

__getattr__ = found_in(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
