"""The outlines of regions in a slice, as polygons with holes: for GeoJSON, SVG, and for plots.

Outlines are exact: they run along the edges of voxels, and the area of a polygon is that of its
voxels. Nothing is drawn here; how rings are found is the business of ``tracing``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from bg_atlasapi.errors import InvalidInputError, UnknownStructureError
from bg_atlasapi.late import np
from bg_atlasapi.query.masking import codes_of
from bg_atlasapi.query.subject import Subject, side_of, subject_of
from bg_atlasapi.view import tracing
from bg_atlasapi.view.cuts import codes_in, sides_in
from bg_atlasapi.view.planes import Plane, planes_of

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Ring = npt.NDArray[np.float64]
    Polygon = tuple[Ring, ...]

_UNITS = ("um", "voxel")


@dataclass(frozen=True, slots=True)
class Outline:
    """The outline of one structure in a slice.

    Parameters
    ----------
    id, acronym, name, rgb
        Of the structure.
    polygons
        Each a tuple of rings: first the outer one, then those of its holes. A ring has the shape
        ``(n, 2)``, µm across and down the plane, and does not repeat its first point.
    """

    id: int
    acronym: str
    name: str
    rgb: tuple[int, int, int]
    polygons: tuple[Polygon, ...]

    @property
    def area_um2(self) -> float:
        """Area of the polygons without their holes, µm²."""
        rings = [ring for polygon in self.polygons for ring in polygon]
        starts = np.append(0, np.cumsum([len(ring) for ring in rings]))
        return float(tracing.areas_of(np.concatenate(rings), starts).sum()) if rings else 0.0


@dataclass(frozen=True, slots=True)
class Outlines:
    """The outlines of structures in a slice.

    Parameters
    ----------
    plane
        Where the slice lies.
    structures
        Those that it meets, in the order of the hierarchy.
    """

    plane: Plane
    structures: tuple[Outline, ...]

    @property
    def acronyms(self) -> tuple[str, ...]:
        """Acronyms of the structures."""
        return tuple(one.acronym for one in self.structures)

    def __len__(self) -> int:
        return len(self.structures)

    def __iter__(self) -> Iterator[Outline]:
        return iter(self.structures)

    def __getitem__(self, key: object) -> Outline:
        """Return the outline of a structure, by acronym, id or name."""
        key = getattr(key, "id", key)
        for one in self.structures:
            if key in (one.acronym, one.id, one.name):
                return one
        raise UnknownStructureError(key, lambda: [f"{', '.join(self.acronyms[:5])} are here"])

    def geojson(self, unit: str = "um") -> dict[str, Any]:
        """Return a GeoJSON ``FeatureCollection``, a feature a structure.

        Parameters
        ----------
        unit
            ``"um"``, or ``"voxel"``: pixels of the slice. Across and down as ``plane`` says.
        """
        return {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "id": one.id,
                    "properties": {
                        "id": one.id,
                        "acronym": one.acronym,
                        "name": one.name,
                        "rgb_triplet": list(one.rgb),
                    },
                    "geometry": {
                        "type": "MultiPolygon",
                        "coordinates": [
                            [np.vstack([ring, ring[:1]]).tolist() for ring in polygon]
                            for polygon in self._in(unit, one.polygons)
                        ],
                    },
                }
                for one in self.structures
            ],
        }

    def _in(self, unit: str, polygons: tuple[Polygon, ...]) -> Iterator[Polygon]:
        if unit not in _UNITS:
            message = f"Outlines are in one of {', '.join(map(repr, _UNITS))}, not {unit!r}."
            raise InvalidInputError(message)
        pixel, start = np.array(self.plane.pixel_um), np.array(self.plane.start_um)
        for polygon in polygons:
            yield polygon if unit == "um" else tuple((r - start) / pixel for r in polygon)

    def svg(self) -> str:
        """Return a drawing, upright, to scale: a path a structure, in its colour, with its name."""
        (left, right), (top, bottom) = self.plane.limits_um
        width, height = right - left, bottom - top
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"',
            f' width="{width / 1000:g}mm" height="{height / 1000:g}mm">',
            f'<g stroke="#000" stroke-width="{width / 1500:.3g}" stroke-linejoin="round"',
            ' fill-rule="evenodd">',
        ]
        for one in self.structures:
            colour = "#{:02x}{:02x}{:02x}".format(*one.rgb)
            text = "".join(self._path(ring) for polygon in one.polygons for ring in polygon)
            lines.append(
                f'<path id="{escape(one.acronym)}" fill="{colour}" d="{text}">'
                f"<title>{escape(one.name)}</title></path>"
            )
        return "\n".join([*lines, "</g>", "</svg>", ""])

    def _path(self, ring: Ring) -> str:
        upright = ring - [limits[0] for limits in self.plane.limits_um]
        for axis, (turned, limits) in enumerate(
            zip(self.plane.turned, self.plane.limits_um, strict=True)
        ):
            if turned:
                upright[:, axis] = limits[1] - limits[0] - upright[:, axis]
        points = " ".join(f"{across:g},{down:g}" for across, down in upright.tolist())
        return f"M{points}Z"


def outlines_of(
    atlas: Any,
    plane: Any = "coronal",
    position: Any = None,
    structures: Any = None,
    *,
    hemisphere: str = "both",
    unit: str = "um",
    smooth: bool = False,
) -> Outlines:
    """Return the outlines of structures in a slice.

    Parameters
    ----------
    atlas
        The atlas.
    plane
        ``"coronal"``, ``"sagittal"`` or ``"horizontal"``; or a vector across an oblique plane, in
        the atlas's axes.
    position
        Along the axis across the plane, from the corner of voxel 0. Of an oblique plane a point it
        goes through, or how far from the middle it lies. Default: the middle.
    structures
        Each with all it consists of. Default: the labels as they are in the slice, which do not
        overlap and leave no gap.
    hemisphere
        ``"left"``, ``"right"`` or ``"both"``.
    unit
        Of the position: ``"um"``, ``"mm"`` or ``"voxel"``.
    smooth
        Take out the stairs, by half a voxel at most. Neighbours keep sharing their borders if
        ``structures`` are not nested.

    Returns
    -------
    Outlines
        Structures that the slice does not meet are not among them.

    Raises
    ------
    InvalidInputError
        If the plane or position cannot be understood or lies outside the atlas.
    UnknownStructureError
        If the atlas lacks a structure.

    Examples
    --------
    >>> from bg_atlasapi import BrainGlobeAtlas, view
    >>> atlas = BrainGlobeAtlas("phantom_mouse_100um")
    >>> found = view.outlines_of(atlas, "coronal", 7100, ["TH", "CTX"])
    >>> [(one.acronym, len(one.polygons), one.area_um2 / 1e6) for one in found]
    [('CTX', 4, 33.04), ('TH', 1, 9.36)]
    """
    side = side_of(hemisphere)
    subject = subject_of(atlas)
    planes = planes_of(subject.space, plane, position, unit)
    if len(planes) != 1:
        raise InvalidInputError(f"Outlines are of one slice; {len(planes)} positions were given.")
    codes = codes_in(subject, planes[0])
    if side is not None:
        codes = np.where(sides_in(subject, planes[0]) == side, codes, 0)
    tree = subject.terminology
    wanted = None if structures is None else sorted(set(codes_of(tree, structures)))
    found: dict[int, list[Polygon]] = {}
    for layer in [None] if wanted is None else _layers(wanted, tree.last.tolist()):
        picture = codes if layer is None else _grouped(codes, layer, tree)
        found |= polygons_of(tracing.traced(picture, smooth=smooth), planes[0])
    return Outlines(
        planes[0],
        tuple(_outline(subject, code, found[code]) for code in sorted(found)),
    )


def _layers(wanted: Sequence[int], last: Sequence[int]) -> list[list[int]]:
    """Return structures in layers of which none holds another of its own layer."""
    layers: list[list[int]] = []
    open_until: list[int] = []
    for code in wanted:  # in preorder, so what holds it came before
        while open_until and open_until[-1] < code:
            open_until.pop()
        if len(open_until) == len(layers):
            layers.append([])
        layers[len(open_until)].append(code)
        open_until.append(last[code])
    return layers


def _grouped(codes: Array, wanted: Sequence[int], tree: Any) -> Array:
    table = np.append(tree.codes_under(wanted), np.int32(0))  # unlisted labels are in none
    return np.asarray(table[codes])


def _outline(subject: Subject, code: int, polygons: list[Polygon]) -> Outline:
    tree = subject.terminology
    if code > len(tree):
        return Outline(-1, "unlisted", "Labels that are not listed", (128, 128, 128), (*polygons,))
    red, green, blue = tree.colours[code].tolist()
    return Outline(
        int(tree.ids[code]),
        tree.acronyms[code],
        tree.names[code],
        (red, green, blue),
        tuple(polygons),
    )


def polygons_of(trace: tracing.Trace, plane: Plane) -> dict[int, list[Polygon]]:
    """Return the polygons of each label of a picture but 0, µm.

    Parameters
    ----------
    trace
        The picture.
    plane
        Where its pixels lie.
    """
    lines = tracing.rings_of(trace.parts)
    places = in_plane(trace.places, plane)
    points, starts = tracing.points_of(lines, places, trace.spare, closed=True)
    areas = tracing.areas_of(points, starts)
    labels = trace.labels.reshape(-1)[trace.first].tolist()
    ends = starts.tolist()
    found: dict[int, list[Polygon]] = {}
    for at in np.lexsort((areas <= 0, lines.parts)).tolist():  # the outer ring of each part first
        ring = points[ends[at] : ends[at + 1]]
        mine = found.setdefault(labels[int(lines.parts[at]) - 1], [])
        if areas[at] > 0:
            mine.append((ring,))
        elif mine:
            mine[-1] = (*mine[-1], ring)
    return found


def in_plane(places: Any, plane: Plane) -> Any:
    """Return corners, given by row and column, as µm across and down."""
    return places[:, ::-1] * np.array(plane.pixel_um) + np.array(plane.start_um)
