"""Plots of the phantom against stored pictures, ``baseline/*.png``.

``pytest --mpl-generate-path=tests/unit/view/baseline tests/unit/view/test_pictures.py`` draws them
anew; look at them before you commit them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import pytest

from bg_atlasapi import BrainGlobeAtlas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

mpl.use("agg")
# Versions of matplotlib place letters and smooth edges a little differently.
compared = pytest.mark.mpl_image_compare(
    baseline_dir="baseline", style="default", tolerance=6, savefig_kwargs={"dpi": 80}
)
VALUES = {"TH": 1.0, "CTX": 3.0, "CB": 2.0, "HY": 0.5, "VISp": 2.6}


def drawn(*args: Any, **options: Any) -> Figure:
    """Return the figure of a plot of the phantom."""
    found = BrainGlobeAtlas("phantom_mouse_100um", check_latest=False).plot(*args, **options)
    return found.figure if hasattr(found, "figure") else found[0].figure  # type: ignore[no-any-return]


@compared
def test_labels() -> Figure:
    """All labels over the template, in their colours."""
    return drawn("coronal", 7100)


@compared
def test_structures() -> Figure:
    """Some structures with acronyms, others as faint lines, coordinates along the sides."""
    return drawn("sagittal", 5000, structures=["CTX", "TH", "CB"], outlines="all", axes=True)


@compared
def test_values() -> Figure:
    """A grid of slices with values and a colour bar."""
    return drawn("coronal", [5500, 7100, 9300], values=VALUES, cmap="Reds", colour_bar="cells")


@compared
def test_oblique() -> Figure:
    """An oblique plane, on one side, exact."""
    return drawn((0.3, 1, 0.2), None, hemisphere="left", smooth=False)


@compared
def test_bare() -> Figure:
    """Regions alone."""
    bare = dict.fromkeys(("image", "width"))
    off = dict.fromkeys(("outlines", "scale_bar", "letters", "title"), False)
    return drawn("horizontal", 4000, **bare, **off)
