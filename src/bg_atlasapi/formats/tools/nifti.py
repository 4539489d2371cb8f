"""Write an atlas as NIfTI, in the form of BIDS templates and atlases.

Names follow https://bids-specification.readthedocs.io/en/stable/derivatives/atlas.html. BIDS has no
suffix for an image of unknown modality; the images end in ``_anat``, which ``.bidsignore`` says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.tools.base import (
    ANNOTATION,
    HEMISPHERES,
    TEMPLATE,
    Image,
    ToolWriter,
    images_of,
    one_line,
    regions_of,
)
from bg_atlasapi.formats.tools.volume_files import need_nibabel, volume_work, write_nifti

_BIDS = "1.11.0"
_MISSING = "n/a"
_COLUMNS = ("index", "name", "abbreviation", "color", "parent_index")
_ORIGIN = "outer corner of voxel (0, 0, 0); its centre lies half a voxel from there"
_PARENT = {"Description": "Index of the structure that this one is part of"}
_README = """\
{name}, version {version}, as NIfTI.

Coordinates are millimetres, RAS+. The origin is the outer corner of voxel (0, 0, 0) of the atlas,
whose orientation is {orientation!r}. Labels are ids; tables beside them have the names.

{citation}
"""


class Nifti(ToolWriter):
    """The writer of the ``"nifti"`` format."""

    ending = "_nifti"

    def check(self) -> None:
        """Refuse without nibabel, or if two names become one."""
        need_nibabel()
        self._images = images_of(self.atlas)
        plain = self.job.name.rpartition("_")[0] or self.job.name
        self._label = bids_label(str(self.atlas.metadata.get("name") or plain))
        self._template = f"tpl-{self._label}"
        self._images_at = f"{self._template}/anat"
        sizes = list(self.atlas.space.spacing_um)
        sizes = sizes[:1] if len(set(sizes)) == 1 else sizes
        self._resolution = "x".join(f"{size:g}" for size in sizes).replace(".", "p") + "um"
        stems = [self._stem(image) for image in self._images]
        if len({*stems}) < len(stems):
            names = ", ".join(image.name for image in self._images)
            message = f"BIDS takes only letters and digits, by which {names} are not distinct."
            raise InvalidInputError(message)

    def work(self) -> int:
        """Return the work of all volumes."""
        return volume_work(self._images)

    def write(self) -> None:
        """Write descriptions, volumes with their sidecars, tables."""
        folder = self.target / self._images_at
        folder.mkdir(parents=True)
        self._json("dataset_description.json", self._dataset())
        self._json(f"atlas-{self._label}_description.json", self._description())
        (self.target / ".bidsignore").write_bytes(b"*_anat.*\n")
        (self.target / "README").write_bytes(self._readme().encode())
        for image in self._images:
            stem = self._stem(image)
            write_nifti(self, image, folder / f"{stem}.nii.gz")
            self._json(f"{self._images_at}/{stem}.json", self._sidecar(image))
            if image.labels:
                rows = self._rows() if image.name == ANNOTATION else _sides()
                (folder / f"{stem}.tsv").write_bytes(_tsv(rows))

    def _stem(self, image: Image) -> str:
        if image.name == ANNOTATION:
            return f"{self._template}_atlas-{self._label}_res-{self._resolution}_dseg"
        kind = "dseg" if image.name == HEMISPHERES else "anat"
        description = "" if image.name == TEMPLATE else f"_desc-{bids_label(image.name)}"
        return f"{self._template}_res-{self._resolution}{description}_{kind}"

    def _json(self, name: str, stated: dict[str, Any]) -> None:
        text = json.dumps(stated, indent=4, ensure_ascii=False) + "\n"
        (self.target / name).write_bytes(text.encode())

    def _readme(self) -> str:
        return _README.format(
            name=self.job.name,
            version=self.job.version,
            orientation=self.atlas.space.orientation,
            citation=self.atlas.metadata.get("citation") or "",
        )

    def _dataset(self) -> dict[str, Any]:
        return {
            "Name": f"{self.job.name} {self.job.version}",
            "BIDSVersion": _BIDS,
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": "bg-atlasapi"}],
        }

    def _description(self) -> dict[str, Any]:
        stated = self.atlas.metadata
        links = [stated[key] for key in ("citation", "atlas_link") if stated.get(key)]
        return {
            "AtlasName": self.job.name,
            "Description": f"{self.job.name}, version {self.job.version}",
            "Species": stated.get("species") or _MISSING,
            "License": stated.get("license") or _MISSING,
            "ReferencesAndLinks": links,
        }

    def _sidecar(self, image: Image) -> dict[str, Any]:
        space = self.atlas.space
        stated: dict[str, Any] = {
            "Description": f"{image.name} of {self.job.name}, version {self.job.version}",
            "SpatialReference": f"bids::{self._images_at}/{self._stem(self._images[1])}.nii.gz",
            "Resolution": " x ".join(f"{size:g}" for size in space.spacing_um) + " um",
            "Orientation": space.orientation,
            "Origin": _ORIGIN,
        }
        if image.labels:
            stated["parent_index"] = _PARENT
        return stated

    def _rows(self) -> list[Sequence[object]]:
        return [
            (one.id, one.name, one.acronym, one.colour, one.parent)
            for one in regions_of(self.atlas)
        ]


def _sides() -> list[Sequence[object]]:
    return [(1, "left hemisphere", "L", None, None), (2, "right hemisphere", "R", None, None)]


def _tsv(rows: Sequence[Sequence[object]]) -> bytes:
    lines = ["\t".join(_COLUMNS)]
    lines += ["\t".join(_cell(value) for value in row) for row in rows]
    return "\n".join([*lines, ""]).encode()


def _cell(value: object) -> str:
    text = "" if value is None else one_line(str(value))
    # A quote at the start would be taken for that of a quoted cell, to the next quote anywhere.
    return '"' + text.replace('"', '""') + '"' if text.startswith('"') else text or _MISSING


def bids_label(name: str) -> str:
    """Return a name as BIDS takes it: letters and digits only.

    Raises
    ------
    InvalidInputError
        If nothing is left.
    """
    label = re.sub(r"[^A-Za-z0-9]", "", name)
    if not label:
        raise InvalidInputError(f"{name!r} holds no letter or digit for a BIDS name.")
    return label
