"""An atlas as layers of napari: image, labels with names and colours, surfaces.

napari finds this module through the manifest ``napari.yaml`` beside it and imports it when somebody
opens an atlas; nothing here is imported otherwise. Layers are in µm, so that the three kinds lie
over each other. Volumes are read as napari shows them; the coordinates of its status bar are the
atlas's own.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bg_atlasapi.bg_atlas import BrainGlobeAtlas
from bg_atlasapi.errors import AtlasError
from bg_atlasapi.late import np

if TYPE_CHECKING:
    from bg_atlasapi.core import Atlas

    LayerData = tuple[Any, dict[str, Any], str]

_DESCRIPTIONS = ("manifest.json", "metadata.json")
# Surfaces are those of the first level of the hierarchy with this many; more only hide each other.
_ENOUGH, _MOST_SURFACES = 5, 30
_UNIT = "um"
# From here on napari maps labels to colours by numba alone, and fails where that is missing.
_MOST_WITHOUT_NUMBA = 1 << 16


def get_reader(path: str | list[str]) -> Callable[[Any], list[LayerData]] | None:
    """Return what reads an atlas, None for what is none.

    Parameters
    ----------
    path
        The folder of an atlas, or its ``manifest.json`` or ``metadata.json``.
    """
    paths = [path] if isinstance(path, str) else list(path)
    return read if paths and all(_is_atlas(Path(one)) for one in paths) else None


def _is_atlas(path: Path) -> bool:
    folder = path if path.is_dir() else path.parent
    if not path.is_dir() and path.name not in _DESCRIPTIONS:
        return False
    packaged = all((folder / one).is_file() for one in ("metadata.json", "structures.json"))
    return packaged or (folder / "manifest.json").is_file()


def read(path: str | list[str]) -> list[LayerData]:
    """Return the layers of atlases in folders."""
    paths = [path] if isinstance(path, str) else list(path)
    layers: list[LayerData] = []
    for one in map(Path, paths):
        folder = one.parent if one.name == "metadata.json" else one
        layers += layers_of(BrainGlobeAtlas.from_path(folder))
    return layers


def phantom() -> list[LayerData]:
    """Return the layers of the phantom that comes with the package."""
    return _named("phantom_mouse_100um")


def allen_mouse() -> list[LayerData]:
    """Return the layers of the Allen mouse brain; it is installed if need be."""
    return _named("allen_mouse_100um")


def _named(name: str) -> list[LayerData]:
    return layers_of(BrainGlobeAtlas(name, check_latest=False))


def layers_of(atlas: Any) -> list[LayerData]:
    """Return an atlas as layers: what to show, how, and which kind of layer it is.

    Parameters
    ----------
    atlas
        The atlas.

    Returns
    -------
    list of tuple
        The template and further images (these hidden), the annotation, and surfaces of the brain
        (half transparent) and of its large parts (hidden).
    """
    title = getattr(atlas, "atlas_name", None) or atlas.root_dir.name
    volumes = atlas.volumes
    layers: list[LayerData] = []
    for name in [one for one in volumes if one not in ("annotation", "hemispheres")]:
        volume = volumes[name]
        shown = {"visible": name == "template", "colormap": "gray", "blending": "translucent"}
        layers.append((volume, _meta(f"{title} {name}", volume.spacing_um) | shown, "image"))
    annotation = volumes["annotation"]
    meta = _meta(f"{title} annotation", annotation.spacing_um)
    layers.append((annotation, meta | _named_labels(atlas), "labels"))
    return [*layers, *_surfaces(atlas, title)]


def _meta(name: str, spacing_um: tuple[float, ...]) -> dict[str, Any]:
    # napari puts the centre of voxel 0 at 0; the atlas's 0 is its corner, as that of the meshes.
    shift = tuple(size / 2 for size in spacing_um)
    return {"name": name, "scale": tuple(spacing_um), "translate": shift, "units": (_UNIT,) * 3}


def _named_labels(atlas: Any) -> dict[str, Any]:
    """Return colours by id, and the table that napari shows below the pointer."""
    import pandas as pd

    tree = atlas.structures.terminology
    colours: dict[int | None, tuple[float, ...]] = {
        int(one): (*rgb, 1.0)
        for one, rgb in zip(tree.ids.tolist(), (tree.colours / 255).tolist(), strict=True)
    }
    colours |= {0: (0.0, 0.0, 0.0, 0.0), None: (0.5, 0.5, 0.5, 1.0)}
    names: dict[str, list[Any]] = {
        "index": tree.ids.tolist(),
        "acronym": list(tree.acronyms),
        "name": list(tree.names),
    }
    shown: dict[str, Any] = {"features": pd.DataFrame(names), "opacity": 0.5}
    if int(tree.ids.max()) < _MOST_WITHOUT_NUMBA or find_spec("numba") is not None:
        shown["colormap"] = _colour_map(colours)
    return shown


def _colour_map(colours: dict[int | None, tuple[float, ...]]) -> Any:
    """Return napari's map of labels to colours; without napari the mapping itself."""
    if find_spec("napari") is None:
        return colours
    from napari.utils import DirectLabelColormap

    return DirectLabelColormap(color_dict={key: np.array(rgba) for key, rgba in colours.items()})


def _surfaces(atlas: Atlas, title: str) -> list[LayerData]:
    """Return surfaces of the brain and its large parts, as far as the atlas has them."""
    layers: list[LayerData] = []
    for code in _large_parts(atlas):
        structure = atlas.structures.by_code(code)
        if structure.data.get("mesh_filename") is None:
            continue
        try:
            mesh = structure._read_surface(structure.mesh_filename)
        except (AtlasError, OSError):  # an atlas need not have all of them
            continue
        rgb = [part / 255 for part in structure.rgb_triplet]
        whole = code == 1
        meta = {
            "name": f"{title} {structure.acronym}",
            "units": (_UNIT,) * 3,
            "opacity": 0.25 if whole else 0.7,
            "visible": whole,
            "blending": "translucent",
            "shading": "smooth",
            "vertex_colors": np.tile(np.array([*rgb, 1.0], np.float32), (len(mesh.points), 1)),
            "metadata": {"id": structure.id, "acronym": structure.acronym, "name": structure.name},
        }
        layers.append(((mesh.points, mesh.triangles), meta, "surface"))
    return layers


def _large_parts(atlas: Any) -> list[int]:
    """Return the root's code, and those of the first level of the hierarchy with enough parts."""
    tree = atlas.structures.terminology
    level = [1]
    while 0 < len(level) < _ENOUGH:
        below = [int(child) for one in level for child in tree.children(one)]
        if not below:
            break
        level = below
    return [1, *(one for one in level if one != 1)][: _MOST_SURFACES + 1]
