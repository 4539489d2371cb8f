"""Which faces of voxels meet in one vertex: tables of the 256 ways eight voxels share a corner.

Where voxels touch only along an edge or at a corner, the faces around that corner belong to two or
more sheets of the surface. Each sheet gets a vertex of its own, so that every vertex and every edge
is manifold. Voxels that touch only along an edge count as apart.

Octants are numbered ``4 * dx + 2 * dy + dz``, 0 being the side of lower indices. A slot is one of
the twelve faces that meet in a corner: ``4 * axis + 2 * u + v``, where ``u`` and ``v`` say on which
side of the corner the face lies along the two other axes, in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from bg_atlasapi.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

AXES = (0, 1, 2)
OTHERS = ((1, 2), (0, 2), (0, 1))
_AROUND = ((0, 0), (0, 1), (1, 1), (1, 0))


@dataclass(frozen=True, slots=True)
class SheetTables:
    """What the eight voxels around a corner say of it.

    Parameters
    ----------
    sheets
        ``uint8``, shape ``(256,)``: how many vertices lie at the corner.
    sheet
        ``uint8``, shape ``(256, 12)``: the sheet of the face in each slot.
    touching
        ``bool``, shape ``(256,)``: two voxels touch only along an edge that ends at the corner.
    """

    sheets: npt.NDArray[np.uint8]
    sheet: npt.NDArray[np.uint8]
    touching: npt.NDArray[np.bool_]


def octant(axis: int, side: int, u: int, v: int) -> int:
    """Return the number of an octant by its side along an axis and along the two others."""
    place = [0, 0, 0]
    place[axis] = side
    place[OTHERS[axis][0]], place[OTHERS[axis][1]] = u, v
    return 4 * place[0] + 2 * place[1] + place[2]


def _slot(first: int, second: int) -> int:
    """Return the slot of the face between two octants that differ along one axis."""
    bits = [(first >> 2) & 1, (first >> 1) & 1, first & 1]
    axis = {4: 0, 2: 1, 1: 2}[first ^ second]
    u, v = (bits[other] for other in OTHERS[axis])
    return 4 * axis + 2 * u + v


def _links(filled: list[int]) -> list[tuple[int, int]]:
    """Return the pairs of slots that join at each of the six grid edges of a corner."""
    links = []
    for axis in AXES:
        for side in (0, 1):
            ring = [octant(axis, side, *place) for place in _AROUND]
            pairs = [(ring[i], ring[(i + 1) % 4]) for i in range(4)]
            faces = [_slot(a, b) for a, b in pairs if filled[a] != filled[b]]
            if len(faces) == 2:
                links.append((faces[0], faces[1]))
            elif len(faces) == 4:  # two voxels touch along the edge: each keeps its own two faces
                both = [(_slot(ring[i - 1], ring[i]), _slot(*pairs[i])) for i in range(4)]
                links += [both[i] for i in range(4) if filled[ring[i]]]
    return links


def _touches(filled: list[int]) -> bool:
    """Say whether two voxels touch only along a grid edge, of the six of a corner."""
    for axis in AXES:
        for side in (0, 1):
            first, second, third, fourth = (filled[octant(axis, side, *p)] for p in _AROUND)
            if first == third != second == fourth:
                return True
    return False


@cache
def sheet_tables() -> SheetTables:
    """Work the tables out, once."""
    sheets = np.zeros(256, np.uint8)
    sheet = np.zeros((256, 12), np.uint8)
    touching = np.zeros(256, np.bool_)
    for config in range(256):
        parent = list(range(12))
        filled = [(config >> bit) & 1 for bit in range(8)]
        links = _links(filled)
        for a, b in links:
            low, high = sorted((_root(parent, a), _root(parent, b)))
            parent[high] = low
        used = sorted({slot for link in links for slot in link})
        touching[config] = _touches(filled)
        roots = sorted({_root(parent, slot) for slot in used})
        sheets[config] = len(roots)
        for slot in used:
            sheet[config, slot] = roots.index(_root(parent, slot))
    return SheetTables(sheets, sheet, touching)


def _root(parent: list[int], item: int) -> int:
    while parent[item] != item:
        item = parent[item]
    return item
