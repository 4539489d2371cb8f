"""Names and types of the packaged layout, as 1.x published them. Nothing else.

Source of the facts: ``bg_atlasapi.descriptors`` of bg-atlasapi 1.0.3.
"""

from __future__ import annotations

from typing import Any

from bg_atlasapi.formats import packaged
from bg_atlasapi.late import np

remote_url_base = "https://gin.g-node.org/brainglobe/atlases/raw/master/{}"

ATLAS_MAJOR_V = 0

METADATA_TEMPLATE: dict[str, Any] = {
    "name": "name/author/institute_species_[optionalspecs]",
    "citation": "Someone et al 2020, https://doi.org/somedoi",
    "atlas_link": "http://www.example.com",
    "species": "Gen species",
    "symmetric": False,
    "resolution": (1.0, 1.0, 1.0),
    "orientation": "asr",
    "shape": (100, 50, 100),
    "version": "0.0",
    "additional_references": [],
}

STRUCTURE_TEMPLATE: dict[str, Any] = {
    "acronym": "root",
    "id": 997,
    "name": "root",
    "structure_id_path": [997],
    "rgb_triplet": [255, 255, 255],
}

METADATA_FILENAME = packaged.METADATA
STRUCTURES_FILENAME = packaged.STRUCTURES
REFERENCE_FILENAME = packaged.REFERENCE
ANNOTATION_FILENAME = packaged.ANNOTATION
HEMISPHERES_FILENAME = packaged.HEMISPHERES
MESHES_DIRNAME = packaged.MESHES

REFERENCE_DTYPE: type[np.uint16]
ANNOTATION_DTYPE: type[np.uint32]
HEMISPHERES_DTYPE: type[np.uint8]

ATLAS_ORIENTATION = "asr"

_DTYPES = {
    "REFERENCE_DTYPE": "uint16",
    "ANNOTATION_DTYPE": "uint32",
    "HEMISPHERES_DTYPE": "uint8",
}


def __getattr__(name: str) -> Any:
    if name in _DTYPES:
        return getattr(np, _DTYPES[name])
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
