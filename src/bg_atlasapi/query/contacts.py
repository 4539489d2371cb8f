"""The faces that labels share: which regions touch, and over how many voxel faces.

Counted while an annotation is read plane by plane; outside counts as a label, and so does what lies
beyond the volume.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bg_atlasapi.late import np
from bg_atlasapi.model.scan import Planes

if TYPE_CHECKING:
    import numpy.typing as npt

    Keys = npt.NDArray[np.unsignedinteger]
    Whole = npt.NDArray[np.int64]

# Pairs that are held apart before they are added up: 16 bytes each.
_LOOSE = 1 << 20


@dataclass(frozen=True, slots=True)
class Contacts:
    """Faces between labels; a pair stands once, the smaller code first.

    Parameters
    ----------
    pairs
        Smaller code times the number of codes, plus the larger code; sorted where settled.
    faces
        Shape ``(n, 3)``: faces across each axis.
    """

    pairs: npt.NDArray[np.uint64]
    faces: Whole

    @classmethod
    def none(cls) -> Contacts:
        """Return no contacts."""
        return cls(np.empty(0, np.uint64), np.empty((0, 3), np.int64))

    def joined(self, other: Contacts) -> Contacts:
        """Return both; pairs may stand twice until settled."""
        pairs = np.concatenate([self.pairs, other.pairs])
        both = Contacts(pairs, np.concatenate([self.faces, other.faces]))
        return both.settled() if len(pairs) > _LOOSE else both

    def settled(self) -> Contacts:
        """Return each pair once."""
        if not len(self.pairs):
            return self
        order = np.argsort(self.pairs, kind="stable")
        pairs = self.pairs[order]
        groups = np.flatnonzero(np.concatenate([[True], pairs[1:] != pairs[:-1]]))
        return Contacts(pairs[groups], np.add.reduceat(self.faces[order], groups, axis=0))


def contacts_of(
    planes: Planes, starts: npt.NDArray[np.intp], shape: tuple[int, int, int], count: int
) -> Contacts:
    """Return the contacts within some planes, and with the plane before them.

    Parameters
    ----------
    planes
        With the plane before, but at the start of the volume.
    starts
        Where runs of equal codes begin, flat; rows begin runs too.
    shape
        Of the volume: what ends it touches what is beyond.
    count
        Number of codes.
    """
    codes = planes.codes
    columns = codes.shape[2]
    flat = codes.reshape(-1)
    within = starts[starts % columns != 0]
    along_third = [(flat[within - 1], flat[within])]
    along_third += [_edge(codes[..., 0]), _edge(codes[..., -1])]
    along_second = [_differing_rows(codes)]
    along_second += [_edge(codes[:, 0]), _edge(codes[:, -1])]
    along_first = [_differing(codes[:-1], codes[1:])]
    if planes.before is not None:
        along_first.append(_differing(planes.before, codes[0]))
    if planes.first == 0:
        along_first.append(_edge(codes[0]))
    if planes.stop == shape[0]:
        along_first.append(_edge(codes[-1]))
    parts = []
    for axis, found in enumerate((along_first, along_second, along_third)):
        pairs, faces = _counted(found, count)
        by_axis = np.zeros((len(pairs), 3), np.int64)
        by_axis[:, axis] = faces
        parts.append(Contacts(pairs, by_axis))
    return Contacts(
        np.concatenate([part.pairs for part in parts]),
        np.concatenate([part.faces for part in parts]),
    ).settled()


def _differing(
    left: npt.NDArray[Any], right: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    left, right = left.reshape(-1), right.reshape(-1)
    where = np.flatnonzero(left != right)
    return left[where], right[where]


def _differing_rows(codes: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return where rows differ from the next one of their plane, without copying the planes."""
    _, rows, columns = codes.shape
    flat = codes.reshape(-1)
    where = np.flatnonzero(flat[:-columns] != flat[columns:])
    where = where[where // columns % rows != rows - 1]  # the next row is that of another plane
    return flat[where], flat[where + columns]


def _edge(codes: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the voxels at a side of the volume against what is beyond it."""
    labelled = codes[codes != 0]
    return np.zeros_like(labelled), labelled


def _counted(
    found: list[tuple[npt.NDArray[Any], npt.NDArray[Any]]], count: int
) -> tuple[npt.NDArray[np.uint64], Whole]:
    """Return each pair of different codes once, and how often it was found."""
    # 32 bits are sorted twice as fast.
    kind = np.uint32 if count * count <= np.iinfo(np.uint32).max else np.uint64
    keys = np.concatenate(
        [
            np.minimum(one, other).astype(kind) * kind(count) + np.maximum(one, other)
            for one, other in found
        ]
    )
    keys.sort()
    groups = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)])
    pairs = keys[groups].astype(np.uint64)
    faces = np.diff(groups, append=len(keys))
    different = pairs // np.uint64(count) != pairs % np.uint64(count)
    return pairs[different], faces[different]
