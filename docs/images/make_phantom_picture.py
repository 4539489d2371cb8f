"""Draw ``phantom.png``: three planes of the embedded phantom in the colours of its regions.

Needs matplotlib. Run from anywhere, with bg_atlasapi installed::

    python docs/images/make_phantom_picture.py
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bg_atlasapi import BrainGlobeAtlas

if TYPE_CHECKING:
    import numpy.typing as npt

OUTPUT = Path(__file__).with_name("phantom.png")
AP, DV, LR = 78, 30, 38  # voxels: planes through cortex, hippocampus and thalamus
BACKGROUND = (255, 255, 255)


def coloured(atlas: BrainGlobeAtlas, plane: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    """Return a plane of ids as colours, darker along the borders of regions."""
    ids, place = np.unique(plane, return_inverse=True)
    colours = [atlas.structures[i].rgb_triplet if i else BACKGROUND for i in ids.tolist()]
    image = np.array(colours, dtype=np.float64)[place.reshape(plane.shape)]
    border = np.zeros(plane.shape, dtype=bool)
    border[:-1] |= plane[:-1] != plane[1:]
    border[:, :-1] |= plane[:, :-1] != plane[:, 1:]
    image[border] *= 0.6
    return image.astype(np.uint8)


def main() -> None:
    """Draw the picture."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    atlas = BrainGlobeAtlas("phantom_mouse_100um")
    size = atlas.resolution[0] / 1000
    planes = (
        ("Frontal", atlas.annotation[AP], "right – left", "superior – inferior"),
        ("Sagittal", atlas.annotation[:, :, LR].T, "anterior – posterior", "superior – inferior"),
        ("Horizontal", atlas.annotation[:, DV], "right – left", "anterior – posterior"),
    )
    widths = [plane.shape[1] for _, plane, _, _ in planes]
    figure, axes = plt.subplots(
        1, 3, figsize=(11, 4.2), dpi=120, width_ratios=widths, layout="constrained"
    )
    for axis, (title, plane, across, down) in zip(axes, planes, strict=True):
        height, width = plane.shape
        axis.imshow(
            coloured(atlas, plane),
            interpolation="nearest",
            extent=(0, width * size, height * size, 0),
        )
        axis.set(title=title, xlabel=f"{across} (mm)", ylabel=f"{down} (mm)")
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(OUTPUT)


if __name__ == "__main__":
    main()
