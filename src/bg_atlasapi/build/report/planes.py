"""Slices of an atlas as pictures: the template, the regions' colours, their outlines.

Each is drawn as people expect it: the back up, the nose to the left or up, the left side left.
Only the voxels that are shown are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.build.png import png_bytes
from bg_atlasapi.build.validation.subject import Checked
from bg_atlasapi.late import np
from bg_atlasapi.model.space import CoordinateSpace

if TYPE_CHECKING:
    import numpy.typing as npt

    Indices = npt.NDArray[np.intp]

# Pixels along the longer side: of the pictures, of the small ones, and of the outlines, whose lines
# are one pixel wide.
LARGE, SMALL, FINE = 640, 220, 1100
UNLISTED = (255, 0, 200)
_CORONAL, _SAGITTAL, _HORIZONTAL = "coronal", "sagittal", "horizontal"
PLANES = (_CORONAL, _SAGITTAL, _HORIZONTAL)
# Along which line of the body each plane lies, and what is up and to the left in its picture.
_DRAWN = {
    _CORONAL: ("ap", "s", "l"),
    _SAGITTAL: ("lr", "s", "a"),
    _HORIZONTAL: ("si", "a", "l"),
}
_LINES = {**dict.fromkeys("ap", "ap"), **dict.fromkeys("si", "si"), **dict.fromkeys("lr", "lr")}
_OPPOSITE = {"a": "p", "p": "a", "s": "i", "i": "s", "l": "r", "r": "l"}
NAMES = {
    "a": "anterior",
    "p": "posterior",
    "s": "superior",
    "i": "inferior",
    "l": "left",
    "r": "right",
}


@dataclass(frozen=True, slots=True)
class View:
    """How a plane of an atlas is drawn.

    Parameters
    ----------
    plane
        ``"coronal"``, ``"sagittal"`` or ``"horizontal"``.
    across
        The axis that the plane lies across.
    rows, columns
        The axes that run down and to the right in the picture.
    flipped
        Whether rows, and columns, run against their axis.
    top, left
        Letters of the sides.
    """

    plane: str
    across: int
    rows: int
    columns: int
    flipped: tuple[bool, bool]
    top: str
    left: str

    @property
    def letters(self) -> dict[str, str]:
        """Letter of each edge of the picture."""
        bottom, right = _OPPOSITE[self.top], _OPPOSITE[self.left]
        return {
            key: one.upper()
            for key, one in zip(
                ("top", "bottom", "left", "right"),
                (self.top, bottom, self.left, right),
                strict=True,
            )
        }

    def drawn(self, plane: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a plane (its axes in the atlas's order) as it is drawn."""
        picture = plane if self.rows < self.columns else plane.T
        rows, columns = (slice(None, None, -1 if one else 1) for one in self.flipped)
        return picture[rows, columns]


def view_of(space: CoordinateSpace, plane: str) -> View:
    """Return how a plane of a space is drawn."""
    line, top, left = _DRAWN[plane]
    axes = {_LINES[letter]: axis for axis, letter in enumerate(space.orientation)}
    rows, columns = axes[_LINES[top]], axes[_LINES[left]]
    flipped = (space.orientation[rows] != top, space.orientation[columns] != left)
    return View(plane, axes[line], rows, columns, flipped, top, left)


@dataclass(frozen=True, slots=True)
class Slice:
    """The pictures of one plane, as PNG.

    Parameters
    ----------
    view
        How it is drawn.
    index
        Of the plane, along the axis it lies across.
    place_um
        Its centre, µm from the corner of voxel 0.
    extent_um
        Width and height of the picture.
    template, regions, outlines
        Of one extent; the last two are clear where nothing is.
    labels
        How many different labels it shows.
    """

    view: View
    index: int
    place_um: float
    extent_um: tuple[float, float]
    template: bytes
    regions: bytes
    outlines: bytes
    labels: int


class Painter:
    """Draws slices of an atlas.

    Parameters
    ----------
    checked
        The atlas.
    """

    def __init__(self, checked: Checked) -> None:
        self._atlas, self._space = checked.atlas, checked.space
        self._tree = checked.terminology
        self._colours = np.concatenate([self._tree.colours, [UNLISTED]]).astype(np.uint8)
        self._range = _contrast(checked)
        if checked.labelled:
            self._first, self._last = ([int(place) for place in one] for one in checked.box)
        else:
            self._first, self._last = [0, 0, 0], [length - 1 for length in self._space.shape]

    def place(self, view: View, share: float) -> int:
        """Return the plane at a share of the way through what is labelled."""
        first, last = self._first[view.across], self._last[view.across]
        if self._space.orientation[view.across] not in "asl":  # from the front, the top, the left
            share = 1 - share
        return round(first + share * (last - first))

    def large(self, plane: str, share: float) -> Slice:
        """Return the pictures of a plane."""
        view = view_of(self._space, plane)
        index = self.place(view, share)
        template, codes = self._read(view, index, LARGE)
        spacing = self._space.spacing_um
        shape = self._space.shape
        extent = tuple(shape[axis] * spacing[axis] for axis in (view.columns, view.rows))
        return Slice(
            view,
            index,
            (index + 0.5) * spacing[view.across],
            (extent[0], extent[1]),
            png_bytes(self._grey(template)),
            png_bytes(self._filled(codes)),
            png_bytes(outlined(codes, FINE)),
            len(np.unique(codes[codes != 0])),
        )

    def small(self, plane: str, share: float) -> tuple[int, bytes]:
        """Return the index of a plane, and one small picture of template, colours and outlines."""
        view = view_of(self._space, plane)
        index = self.place(view, share)
        template, codes = self._read(view, index, SMALL)
        grey = self._grey(template)[..., np.newaxis].astype(np.float32)
        filled = self._filled(codes).astype(np.float32)
        part = filled[..., 3:] / 255 * 0.5
        return index, png_bytes((grey * (1 - part) + filled[..., :3] * part).astype(np.uint8))

    def _read(
        self, view: View, index: int, most: int
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
        shape = self._space.shape
        longest = max(shape[view.rows], shape[view.columns])
        step = max(1, -(-longest // most))
        indices = [np.arange(step // 2, length, step) for length in shape]
        indices[view.across] = np.array([index])

        def read(source: Any) -> npt.NDArray[Any]:
            out = np.zeros([len(one) for one in indices], source.dtype)
            source.outer(indices, out)
            return view.drawn(out.squeeze(view.across))

        template = read(self._atlas.reference).astype(np.float32)
        ids = read(self._atlas.labels.source)
        codes = self._tree.index.positions(np.ascontiguousarray(ids))
        return template, codes

    def _grey(self, template: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        low, high = self._range
        scaled = (np.nan_to_num(template) - low) / max(high - low, 1e-12)
        return np.asarray(np.clip(scaled, 0, 1) ** 0.8 * 255).astype(np.uint8)

    def _filled(self, codes: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
        out = np.zeros((*codes.shape, 4), np.uint8)
        out[..., :3] = self._colours[codes]  # -1, unlisted, is the last
        out[..., 3] = np.where(codes != 0, 255, 0)
        out[codes == 0] = 0
        return out


def outlined(codes: npt.NDArray[np.int32], most: int) -> npt.NDArray[np.uint8]:
    """Return the outlines of regions, white on clear, each a pixel wide in a finer picture."""
    fine = max(1, most // max(codes.shape))
    large = codes.repeat(fine, axis=0).repeat(fine, axis=1)
    edge = np.zeros(large.shape, np.bool_)
    edge[1:] |= large[1:] != large[:-1]
    edge[:, 1:] |= large[:, 1:] != large[:, :-1]
    out = np.zeros((*edge.shape, 4), np.uint8)
    out[edge] = 255
    return out


def _contrast(checked: Checked) -> tuple[float, float]:
    """Return the values of the template that are black and white."""
    values = checked.coarse_template()
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    inside = values[values > values.min()]
    low = float(values.min())
    high = float(np.percentile(inside, 99.5)) if inside.size else low + 1
    return low, high if high > low else low + 1
