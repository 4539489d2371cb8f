"""Look at an atlas: the browser viewer, slices as plots, and outlines.

>>> from bg_atlasapi import BrainGlobeAtlas, view
>>> atlas = BrainGlobeAtlas("phantom_mouse_100um")
>>> view.outlines_of(atlas, "coronal", 7100, structures=["TH"]).acronyms
('TH',)

Each function's module loads when it is first used; drawing itself needs matplotlib, outlines do
not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

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


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
