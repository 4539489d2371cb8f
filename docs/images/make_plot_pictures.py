"""Draw ``plot-*.png``: what the guide to plots shows.

Needs matplotlib. Run from anywhere, with bg_atlasapi installed::

    python docs/images/make_plot_pictures.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bg_atlasapi import BrainGlobeAtlas

FOLDER = Path(__file__).parent
DENSITY = {"CTX": 120, "VISp": 310, "TH": 60, "HY": 15, "CB": 210}
PICTURES = {
    "labels": (("coronal", 7100), {}),
    "structures": (
        ("sagittal", 4000),
        {"structures": ["CTX", "TH", "HY", "CB"], "outlines": "all", "axes": True},
    ),
    "values": (
        ("coronal", [5500, 7100, 9300]),
        {"values": DENSITY, "cmap": "Reds", "colour_bar": "cells per mm³"},
    ),
    "oblique": (((1, 0.35, 0.15), (7000, 4000, 5700)), {}),
}


def main() -> None:
    """Draw the pictures."""
    import matplotlib as mpl

    mpl.use("Agg")
    atlas = BrainGlobeAtlas("phantom_mouse_100um")
    for name, (where, options) in PICTURES.items():
        axes = np.ravel(atlas.plot(*where, **options))[0]
        axes.figure.savefig(FOLDER / f"plot-{name}.png", dpi=130)


if __name__ == "__main__":
    main()
