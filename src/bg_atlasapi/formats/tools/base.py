"""What the writers for other tools have in common: one file or folder, its images, its rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.blocks import blocks
from bg_atlasapi.formats.components_writing import halves
from bg_atlasapi.formats.csv_text import csv_text
from bg_atlasapi.formats.exporting import MESH_SHARE, Job, checked_name
from bg_atlasapi.late import np
from bg_atlasapi.model.atlas import Atlas
from bg_atlasapi.model.volume import VolumeSource

if TYPE_CHECKING:
    import numpy.typing as npt

ANNOTATION, TEMPLATE, HEMISPHERES = "annotation", "template", "hemispheres"
_BLOCK_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class Image:
    """A volume to be written.

    Parameters
    ----------
    name
        Of the volume; part of a file's name.
    shape, dtype
        As read.
    labels
        Whether its values are labels.
    blocks
        Yields it in parts along the first axis, each valid until the next.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    labels: bool
    blocks: Callable[[], Iterator[npt.NDArray[Any]]]

    @property
    def nbytes(self) -> int:
        """Bytes as read."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Region:
    """A structure as tables hold it.

    Parameters
    ----------
    id
        Of the structure.
    parent
        Id of the parent, None for a root.
    acronym, name
        As published.
    path
        Ids from the root to it.
    rgb
        0…255.
    """

    id: int
    parent: int | None
    acronym: str
    name: str
    path: tuple[int, ...]
    rgb: tuple[int, int, int]

    @property
    def colour(self) -> str:
        """Spelt ``"#b0f0ff"``."""
        return "#" + "".join(f"{part:02x}" for part in self.rgb)


class ToolWriter:
    """A writer of one file or folder, ``<name>_v<version><ending>``."""

    ending: ClassVar[str]

    def __init__(self, job: Job) -> None:
        self.job, self.atlas = job, job.atlas
        self._name = f"{job.name}_v{job.version}{self.ending}"
        self.target = job.staging / self._name
        self.check()
        job.tally.total = self.work()

    def check(self) -> None:
        """Refuse what the format cannot hold, before anything is written."""

    def work(self) -> int:
        """Return the bytes to work through, for the progress."""
        return 1

    def folders(self) -> Sequence[str]:
        """Return the one file or folder."""
        return [self._name]

    def write(self) -> None:
        """Make it."""
        raise NotImplementedError

    def placed(self) -> None:
        """Do nothing more."""

    def done(self, amount: int) -> None:
        """Report progress."""
        self.job.tally.add(amount)
        self.job.tally.say()

    def scratch(self, name: str) -> Path:
        """Return where to put what is needed for a while; the export removes it."""
        return self.job.staging.parent / name


def images_of(atlas: Atlas) -> list[Image]:
    """Return all volumes: annotation, template, hemispheres (computed if need be), references.

    Raises
    ------
    InvalidInputError
        If a reference has another shape than the atlas, so that nobody knows its voxel size, or
        a name that cannot be part of a file's.
    """
    found = [_stored(ANNOTATION, atlas.annotation, labels=True), _stored(TEMPLATE, atlas.reference)]
    if atlas.hemispheres is not None:
        found.append(_stored(HEMISPHERES, atlas.hemispheres, labels=True))
    else:
        space = atlas.space
        depth = _depth(space.shape, 1)
        kind = np.dtype(np.uint8)
        found.append(Image(HEMISPHERES, space.shape, kind, True, lambda: halves(space, depth)))  # noqa: FBT003 - fields in order
    names = {one.name.casefold() for one in found}
    for name, volume in atlas.references.items():
        if checked_name(name).casefold() in names:
            raise InvalidInputError(taken(name))
        names.add(name.casefold())
        found.append(_stored(name, volume))
    for one in found:
        if one.shape != atlas.space.shape:
            message = (
                f"The volume {one.name!r} has the shape {one.shape}, the atlas "
                f"{atlas.space.shape}; its voxel size is not known."
            )
            raise InvalidInputError(message)
    return found


def taken(name: str) -> str:
    """Say that an additional reference has the name of another file."""
    return f"{name!r} cannot be the name of an additional reference here: it is taken."


def _stored(name: str, volume: VolumeSource, *, labels: bool = False) -> Image:
    depth = _depth(volume.shape, volume.dtype.itemsize)
    return Image(name, volume.shape, volume.dtype, labels, lambda: blocks(volume, depth))


def _depth(shape: Sequence[int], itemsize: int) -> int:
    return max(1, _BLOCK_BYTES // max(1, math.prod(shape[1:]) * itemsize))


def mesh_work(atlas: Atlas) -> int:
    """Return the progress that ``meshes_of`` is going to make."""
    return MESH_SHARE * len(atlas.structures)


def regions_of(atlas: Atlas) -> list[Region]:
    """Return the structures in order of their codes.

    A structure that was published without a parent has none, also where the model hangs it on the
    first root.
    """
    terminology = atlas.terminology
    ids, rows = terminology.ids.tolist(), terminology.positions.tolist()
    found: list[Region] = []
    for code, parent in enumerate(terminology.parents.tolist()[1:], start=1):
        is_top = not parent or len(atlas.structures[rows[code]]["structure_id_path"]) < 2
        red, green, blue = terminology.colours[code].tolist()
        found.append(
            Region(
                ids[code],
                None if is_top else ids[parent],
                terminology.acronyms[code],
                terminology.names[code],
                (*(() if is_top else found[parent - 1].path), ids[code]),
                (red, green, blue),
            )
        )
    return found


def table(rows: Sequence[Mapping[str, object]], *, columns: Sequence[str]) -> bytes:
    """Return rows as CSV, UTF-8; None is an empty cell."""
    return csv_text(columns, ([row[column] for column in columns] for row in rows)).encode()


def one_line(text: str) -> str:
    """Return text without line ends and tabs, for formats of one line an entry."""
    return " ".join(text.split())
