"""Look at an atlas: the browser viewer, slices as plots, and outlines.

>>> from bg_atlasapi import BrainGlobeAtlas, view
>>> atlas = BrainGlobeAtlas("phantom_mouse_100um")
>>> view.outlines_of(atlas, "coronal", 7100, structures=["TH"]).acronyms
('TH',)

Each function's module loads when it is first used; drawing itself needs matplotlib, outlines do
not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bg_atlasapi.late import found_in

if TYPE_CHECKING:
    from bg_atlasapi.view.outlines import Outlines, outlines_of
    from bg_atlasapi.view.plotting import plot
    from bg_atlasapi.view.style import Style

__all__ = ["Outlines", "Style", "outlines_of", "plot"]

_HOMES = {
    "Outlines": "bg_atlasapi.view.outlines",
    "Style": "bg_atlasapi.view.style",
    "outlines_of": "bg_atlasapi.view.outlines",
    "plot": "bg_atlasapi.view.plotting",
}

__getattr__ = found_in(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
