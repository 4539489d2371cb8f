"""``Grouping``: which structures make up which group, to be kept, shared and applied again."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bg_atlasapi.formats import grouping_files
from bg_atlasapi.model.grouping import GroupSet

if TYPE_CHECKING:
    from os import PathLike


@dataclass(frozen=True, repr=False)
class Grouping(GroupSet):
    """Groups of structures, as ``atlas.group(...)`` made them.

    It holds ids, not voxels: the same grouping goes for every voxel size of an atlas, and for each
    version that has the structures it names. ``atlas.group(grouping)`` applies it; ``lookup`` takes
    it as ``at=``.

    Parameters
    ----------
    name, groups, outside, lateralised, atlas, version
        As in ``model.grouping.GroupSet``.

    Examples
    --------
    >>> from bg_atlasapi import BrainGlobeAtlas
    >>> BrainGlobeAtlas("phantom_mouse_100um").group(["CTX", "TH"]).grouping
    <Grouping 'selection' of phantom_mouse_100um 1.0: 3 groups>
    """

    def save(self, path: str | PathLike[str]) -> None:
        """Write it as a small JSON file, see ``formats.grouping_files``.

        Parameters
        ----------
        path
            The file; replaced if it is there.

        Raises
        ------
        InvalidInputError
            If it cannot be written.
        """
        grouping_files.write(self, Path(path))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read what ``save`` wrote, or somebody by hand.

        Parameters
        ----------
        path
            The file. One that says no name gives its own.

        Raises
        ------
        InvalidInputError
            If the file cannot be read, or is no grouping; says all that is wrong with it.
        """
        found = grouping_files.read(Path(path))
        return cls._of(found if found.name else replace(found, name=Path(path).stem))

    def stamp(self) -> dict[str, str]:
        """Return what tells this grouping from others in a record of where results come from."""
        text = grouping_files.to_text(self).encode()
        return {"grouping_sha256": hashlib.sha256(text).hexdigest()}

    @classmethod
    def _of(cls, found: GroupSet) -> Self:
        return cls(**{field.name: getattr(found, field.name) for field in fields(found)})

    def __reduce__(self) -> tuple[Any, ...]:
        text = grouping_files.to_text(self).encode()
        return (_unpacked, (zlib.compress(text, 9),))

    def __repr__(self) -> str:
        made = f" of {self.atlas} {self.version}".rstrip() if self.atlas else ""
        sides = ", left and right" if self.lateralised else ""
        return f"<Grouping {self.name!r}{made}: {len(self.groups)} groups{sides}>"


def _unpacked(packed: bytes) -> Grouping:
    return Grouping._of(grouping_files.from_text(zlib.decompress(packed), "A pickle"))
