"""An atlas for Neuroglancer: its precomputed formats, made as they are asked for.

Made, not read: of a V3 store the generator writes only meshes in these formats, and v1 packages
have none, so what is served is worked out from whatever generation the atlas is. A scale for each
voxel size that is stored, the finest first, in chunks of 64³ voxels, raw; meshes of the older,
plain kind. Axes are X, Y, Z, the reverse of the atlas's, in nm. Sources: Neuroglancer's
descriptions of the precomputed volume, mesh and segment property formats, and of its state.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from operator import ge
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.precomputed_labels import PROPERTIES, SIDE, hexadecimal, properties_of
from bg_atlasapi.late import np
from bg_atlasapi.locks import OnceLock
from bg_atlasapi.model.volume import Pyramid
from bg_atlasapi.query.subject import subject_of
from bg_atlasapi.view import scene
from bg_atlasapi.view.gallery import Gallery, middle
from bg_atlasapi.view.guard import Refusal
from bg_atlasapi.view.local_app import BINARY, Answer, LocalApp, Receive, Scope, refused

if TYPE_CHECKING:
    import numpy.typing as npt

    from bg_atlasapi.model.mesh import TriangleMesh
    from bg_atlasapi.model.volume import VolumeSource

    Triplet = tuple[float, float, float]

CLIENT = "https://neuroglancer-demo.appspot.com"
STATE = "/state.json"
_NM_PER_UM = 1000.0
_PLAIN_TYPES = ("uint8", "uint16", "uint32", "float32")  # what images may be of
_RANGE = re.compile(r"(\d{1,9})-(\d{1,9})_(\d{1,9})-(\d{1,9})_(\d{1,9})-(\d{1,9})", re.ASCII)
_CHUNKS = re.compile(r"/(?:annotation|image/(\d{1,3}))/(full|[\d.x]{1,60}um)", re.ASCII)
_FULL = "full"
_ALPHA = 0.45
_SHADER = "#uicontrol invlerp normalized\nvoid main() { emitGrayscale(normalized()); }\n"


@dataclass(frozen=True, slots=True)
class _Scale:
    """A volume at one voxel size, and the folder of its chunks."""

    key: str
    source: VolumeSource
    spacing_um: Triplet


def _scales_of(source: VolumeSource, spacing_um: Triplet) -> tuple[_Scale, ...]:
    """Return a volume at its own voxel size and at the coarser ones that are stored."""
    coarser = [
        level
        for level in (source.levels if isinstance(source, Pyramid) else ())
        if level != spacing_um and all(map(ge, level, spacing_um))
    ]
    stored = [
        _Scale("x".join(f"{size:g}" for size in level) + "um", source.at(level), level)  # type: ignore[attr-defined]
        for level in sorted(coarser)
    ]
    return _Scale(_FULL, source, spacing_um), *stored


def checked_client(address: str) -> str:
    """Return the address of a Neuroglancer client without a slash at its end.

    Raises
    ------
    InvalidInputError
        If it is no address of the web.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        message = f"A client of Neuroglancer is an address such as {CLIENT}, not {address!r}."
        raise InvalidInputError(message)
    return address.rstrip("/")


def origin_of(address: str) -> str:
    """Return the origin of an address, as browsers send it."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}".lower()


class NeuroglancerApp(LocalApp):
    """Serves an atlas to a client of Neuroglancer.

    Parameters
    ----------
    atlas
        An atlas.
    port
        Where it listens.
    client
        Address of the client, whose pages may read.
    codes
        Structures to show alone; none shows all.
    voxel
        Where to begin; None is the middle.
    """

    def __init__(
        self,
        atlas: Any,
        port: int,
        client: str = CLIENT,
        codes: Sequence[int] = (),
        voxel: Sequence[int] | None = None,
    ) -> None:
        super().__init__(port, frozenset({origin_of(client)}))
        self.gallery = Gallery(atlas)
        self.client = client
        self._atlas, self._codes, self._voxel = atlas, codes, voxel
        self._once = OnceLock()
        self._known: dict[int | None, tuple[_Scale, ...]] = {}
        self._base = f"http://127.0.0.1:{port}"
        self.route(re.escape(STATE), lambda: self._told(self.state()))
        self.route("/annotation/info", lambda: self._told(self._labels_info()))
        self.route(f"/annotation/{PROPERTIES}/info", lambda: self._told(self._properties()))
        self.route("/annotation/mesh/info", lambda: self._told(_MESH_INFO))
        self.route(r"/annotation/mesh/(\d{1,19}):0", self._manifest)
        self.route(r"/annotation/mesh/(\d{1,19})", self._fragment)
        self.route(r"/image/(\d{1,3})/info", lambda number: self._told(self._image_info(number)))

    @property
    def link(self) -> str:
        """The address that shows the atlas in the client; it names where the state is."""
        return f"{self.client}/#!{self._base}{STATE}"

    async def routed(self, scope: Scope, receive: Receive) -> Answer:
        """Return the answer to an address; those of chunks are too many for the table."""
        folder, _, name = scope["path"].rpartition("/")
        place = _CHUNKS.fullmatch(folder)
        bounds = _RANGE.fullmatch(name)
        if place and bounds:
            image = None if place[1] is None else int(place[1])
            ends = [int(one) for one in bounds.groups()]
            found: Answer = await self.threaded(self._chunk, image, place[2], ends)
            return found
        return await super().routed(scope, receive)

    def _scales(self, image: int | None) -> tuple[_Scale, ...]:
        """Return the scales of the annotation (None) or of an image; none if there is none such."""
        if image is not None and image >= len(self.gallery.references):
            return ()
        with self._once:
            if image not in self._known:
                subject = self.gallery.subject
                source = (
                    subject.labels.source if image is None else self.gallery.image(image).source
                )
                self._known[image] = _scales_of(source, subject.space.spacing_um)
            return self._known[image]

    def _chunk(self, image: int | None, key: str, bounds: Sequence[int]) -> Answer:
        scale = next((one for one in self._scales(image) if one.key == key), None)
        within = [slice(bounds[at], bounds[at + 1]) for at in (4, 2, 0)]  # Z, Y, X
        if scale is None or not all(
            part.start < part.stop <= min(length, part.start + SIDE)
            for part, length in zip(within, scale.source.shape, strict=True)
        ):
            return refused(Refusal(404, "There is no such chunk."))
        # X varies fastest in the format, as the last axis does here.
        source = scale.source
        indices = [np.arange(part.start, part.stop) for part in within]
        out = np.zeros([len(one) for one in indices], source.dtype)
        source.outer(indices, out)
        wanted = self._label_type if image is None else _image_type(source.dtype)
        return Answer(out.astype(wanted).tobytes(), BINARY, zip_level=1)

    @property
    def _label_type(self) -> str:
        """What ids are sent as: parents' ids may be larger than those of any voxel."""
        largest = int(self.gallery.subject.terminology.ids.max(initial=0))
        small = largest < 2**32 and self.gallery.subject.labels.dtype.itemsize <= 4
        return "uint32" if small else "uint64"

    def _info(self, kind: str, data_type: str, scales: Sequence[_Scale]) -> dict[str, Any]:
        described = [
            {
                "chunk_sizes": [[SIDE, SIDE, SIDE]],
                "encoding": "raw",
                "key": scale.key,
                "resolution": [size * _NM_PER_UM for size in reversed(scale.spacing_um)],
                "size": [int(length) for length in reversed(scale.source.shape)],
                "voxel_offset": [0, 0, 0],
            }
            for scale in scales
        ]
        return {
            "@type": "neuroglancer_multiscale_volume",
            "data_type": data_type,
            "num_channels": 1,
            "scales": described,
            "type": kind,
        }

    def _labels_info(self) -> dict[str, Any]:
        info = self._info("segmentation", self._label_type, self._scales(None))
        return {**info, "mesh": "mesh", "segment_properties": PROPERTIES}

    def _image_info(self, number: int) -> dict[str, Any] | None:
        scales = self._scales(number)
        return self._info("image", _image_type(scales[0].source.dtype), scales) if scales else None

    def _structures(self) -> list[dict[str, Any]]:
        tree = self.gallery.subject.terminology
        columns = (tree.ids, tree.acronyms, tree.names, tree.colours.tolist())
        return [
            {"id": int(one), "acronym": acronym, "name": name, "rgb_triplet": rgb}
            for one, acronym, name, rgb in list(zip(*columns, strict=True))[1:]
        ]

    def _properties(self) -> dict[str, Any]:
        return properties_of(self._structures())

    def _told(self, value: dict[str, Any] | None) -> Answer:
        if value is None:
            return refused(Refusal(404, "There is nothing here."))
        return Answer(scene.as_json(value), zip_level=1)

    def _manifest(self, identifier: int) -> Answer:
        if not self._has_mesh(identifier):
            return refused(Refusal(404, "This structure has no mesh."))
        return self._told({"fragments": [str(identifier)]})

    def _fragment(self, identifier: int) -> Answer:
        if not self._has_mesh(identifier):
            return refused(Refusal(404, "This structure has no mesh."))
        return Answer(_mesh_bytes(self._atlas._model.meshes.read(identifier)), BINARY)

    def _has_mesh(self, identifier: int) -> bool:
        known = self.gallery.subject.terminology.code_of_id(identifier) > 0
        return known and bool(self._atlas._model.meshes.has(identifier))

    def state(self) -> dict[str, Any]:
        """Return the state: template and annotation, colours, position."""
        subject = subject_of(self._atlas)
        voxel = self._voxel or middle(subject.space)
        sizes = [size * 1e-6 for size in reversed(subject.space.spacing_um)]
        extent_m = math.hypot(
            *(n * one for n, one in zip(reversed(self.gallery.shape), sizes, strict=True))
        )
        tree = subject.terminology
        colours = {str(one["id"]): hexadecimal(one["rgb_triplet"]) for one in self._structures()}
        shown = [c for code in self._codes for c in range(code, int(tree.last[code]) + 1)]
        low, high = self.gallery.image(0).window
        return {
            "dimensions": {axis: [size, "m"] for axis, size in zip("xyz", sizes, strict=True)},
            "position": [index + 0.5 for index in reversed(voxel)],
            "crossSectionScale": extent_m / sizes[0] / 700,
            "projectionScale": extent_m / sizes[0],
            "layers": [
                {
                    "type": "image",
                    "name": scene.TEMPLATE,
                    "source": f"precomputed://{self._base}/image/0",
                    "shader": _SHADER,
                    "shaderControls": {"normalized": {"range": [low, high]}},
                },
                {
                    "type": "segmentation",
                    "name": "annotation",
                    "source": f"precomputed://{self._base}/annotation",
                    "selectedAlpha": _ALPHA,
                    "segments": [str(int(tree.ids[code])) for code in shown],
                    "segmentColors": colours,
                },
            ],
            "selectedLayer": {"layer": "annotation", "visible": True},
            "layout": "4panel",
            "title": scene.title_of(self._atlas.metadata, subject.space.spacing_um),
        }

    def close(self) -> None:
        """Let go of threads and files."""
        self.gallery.close()
        super().close()


_MESH_INFO = {"@type": "neuroglancer_legacy_mesh"}


def _image_type(dtype: np.dtype[Any]) -> str:
    name = str(np.dtype(dtype))
    return name if name in _PLAIN_TYPES else "float32"


def _mesh_bytes(mesh: TriangleMesh) -> bytes:
    """Return the one fragment of a mesh: vertices X, Y, Z in nm, and triangles turned likewise."""
    points: npt.NDArray[Any] = np.ascontiguousarray(mesh.points[:, ::-1] * _NM_PER_UM, "<f4")
    faces: npt.NDArray[Any] = np.ascontiguousarray(mesh.triangles[:, ::-1], "<u4")
    return struct.pack("<I", len(points)) + points.tobytes() + faces.tobytes()
