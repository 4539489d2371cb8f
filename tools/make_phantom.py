"""Draw the embedded atlas ``phantom_mouse_100um``: a stylised mouse brain, made by arithmetic.

What it is for: a small atlas in the packaged v1 layout that ships inside the wheel, so that
documentation, tests and a first try need neither a network nor somebody else's data. It looks
like a mouse brain in the three planes, and it uses the real identifiers, acronyms, names, colours
and paths of the Allen terminology (``phantom_structures.json`` beside this file, which also holds
the tables of the outlines).

What it is not: anatomy. Every outline is an invented ellipsoid, tube or cutting plane; nothing is
measured on, or derived from, the Allen volumes or any other image.

How it works, in millimetres over one hemisphere (x = AP, y = DV, z = distance from the mid-plane),
mirrored at the end so that the symmetry is exact:

1. implicit shapes (negative inside) give the solids: hemisphere, core, bulb, stem, cerebellum;
2. isocortex is hemisphere without core and stem. Each voxel looks up its nearest point on the
   pial surface; the nearest seed to that point names the area, so that areas are columns. Depth
   relative to the whole thickness names the layer;
3. later paints cover earlier ones (``Painter.paint``), deep nuclei and ventricles last;
4. narrow crevices are labelled ``root``;
5. ``phantom_meshes.py`` makes the surfaces.

``labels`` and ``template`` are pure and repeat bit for bit: shapes use only + - * / and square
roots, distances are square roots of integers, smoothing is on integers. Mesh files depend on the
version of the simplifier: test what they enclose, not their bytes.

Needs numpy, scipy, scikit-image, fast-simplification and tifffile. Usage::

    python tools/make_phantom.py OUTDIR      # writes OUTDIR/phantom_mouse_100um_v1.0/
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from phantom_shapes import HALF, SHAPE, SPACING_UM, Solids, blend, build_solids, egg, grid, tables
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Field: TypeAlias = NDArray[np.float64]
    Mask: TypeAlias = NDArray[np.bool_]
    Triple: TypeAlias = tuple[float, float, float]

NAME: Final = "phantom_mouse_100um_v1.0"
README: Final = """\
phantom_mouse_100um, version 1.0

A stylised phantom, drawn by a script (tools/make_phantom.py of bg_atlasapi). It is NOT anatomy: no
outline in it was measured on a brain, and it is not derived from the Allen volumes or from any
other image. Identifiers, acronyms, names, colours and the hierarchy are those of the Allen mouse
terminology, so that code written for the real atlas runs on it. Do not use it to analyse data.
"""

# Relative depth at which a layer ends, pial surface 0, core 1.
FIVE_LAYERS: Final = (
    ("1", 0.15),
    ("2/3", 0.36),
    ("4", 0.49),
    ("5", 0.72),
    ("6a", 0.91),
    ("6b", 2.0),
)
FOUR_LAYERS: Final = (("1", 0.18), ("2/3", 0.45), ("5", 0.75), ("6a", 2.0))
LAYER_GREYS: Final = np.array([100, 128, 148, 116, 132, 164])
LAYERED: Final = {"VISp": FIVE_LAYERS, "VISC": FIVE_LAYERS, "FRP": FOUR_LAYERS}


def structures() -> list[dict[str, Any]]:
    """Structure rows in Allen graph order: as in ``structures.json``, plus ``grey_level``."""
    rows: list[dict[str, Any]] = tables()["structures"]
    return rows


def _mirrored(half: NDArray[Any]) -> NDArray[Any]:
    """Both hemispheres from one: voxel 57 + k and voxel 56 - k along LR are the same."""
    return np.concatenate([half[:, :, ::-1], half], axis=2)


def _softened(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sum over the 3 x 3 x 3 neighbourhood with weights 1-2-1 on each axis; integers, so exact."""
    for axis in range(values.ndim):
        padded = np.pad(values, [(1, 1) if i == axis else (0, 0) for i in range(3)], mode="edge")
        low, middle, high = (
            np.take(padded, np.arange(start, start + values.shape[axis]), axis=axis)
            for start in range(3)
        )
        values = low + 2 * middle + high
    return values


def _distance(outside: Mask) -> Field:
    """Distance in voxels from each voxel of one hemisphere to `outside`, the other half present."""
    distance: Field = ndimage.distance_transform_edt(~_mirrored(outside))
    return distance[:, :, HALF:]


@dataclass
class Painter:
    """A label volume of one hemisphere that later paints cover."""

    ids: Mapping[str, int]
    volume: NDArray[np.uint32] = field(
        default_factory=lambda: np.zeros((SHAPE[0], SHAPE[1], HALF), dtype=np.uint32)
    )

    def paint(self, acronym: str, where: Mask) -> None:
        """Give the voxels of `where` the identifier of a structure."""
        self.volume[where] = self.ids[acronym]

    def mask(self, *acronyms: str) -> Mask:
        """Voxels that carry one of these labels now."""
        return np.isin(self.volume, [self.ids[acronym] for acronym in acronyms])


def _areas(pial: Mask, cortex: Mask) -> NDArray[np.int64]:
    """Index of the seed of each cortical voxel, by its nearest point of the surface; (n,)."""
    nearest = ndimage.distance_transform_edt(~pial, return_distances=False, return_indices=True)
    weight = _softened(cortex.astype(np.int64))
    smooth = np.stack([_softened(axis * cortex)[cortex] / weight[cortex] for axis in nearest])
    surface = (smooth.T + 0.5) / 10.0
    here = (np.argwhere(cortex) + 0.5) / 10.0
    point = surface + 0.3 * (here - surface)
    seeds = tables()["seeds"]
    cost = np.stack([((point - seed[1:4]) ** 2).sum(axis=1) - seed[4] for seed in seeds], axis=1)
    best: NDArray[np.int64] = np.argmin(cost, axis=1)
    return best


def _paint_cortex(painter: Painter, solids: Solids) -> None:
    """Areas as columns, layers by relative depth."""
    stem = solids.thalamus | solids.hypothalamus | solids.midbrain | solids.pons | solids.medulla
    cortex = solids.hemisphere & ~solids.core & ~stem
    brain = solids.hemisphere | stem | solids.bulb
    pial = ~brain | solids.fissure
    area = np.full(cortex.shape, -1)
    area[cortex] = _areas(pial, cortex)
    outer, inner = _distance(pial), _distance(solids.core)
    depth = (outer - 0.5) / np.maximum(outer + inner - 1.0, 1.0)
    for index, (acronym, *_rest) in enumerate(tables()["seeds"]):
        here = area == index
        start = -1.0
        for layer, end in LAYERED.get(acronym, (("", 2.0),)):
            painter.paint(acronym + layer, here & (depth >= start) & (depth < end))
            start = end


def _paint_core(painter: Painter, solids: Solids) -> None:
    """White matter, basal nuclei, septum, amygdala and hippocampus inside the cortical shell."""
    x, y, z = grid()
    core = solids.core & ~solids.fissure
    painter.paint("CP", core)
    painter.paint("STR", core & (x < 6.0) & (y > 4.7 - 0.1 * z))
    painter.paint("CTXsp", core & (x > 5.9) & (y > 5.3 - 0.3 * z) & (z > 1.6))
    painter.paint("PAL", core & (egg((6.0, 4.6, 1.9), (0.95, 0.85, 0.75), lean=-0.2) < 0))
    painter.paint("STR", core & (z < 0.75) & (x < 5.9) & (y < 4.9))
    areas = {seed[0] for seed in tables()["seeds"]} - set(LAYERED)
    from_cortex = _distance(painter.mask(*areas) | solids.fissure)
    white = core & (from_cortex <= 2.9) & (y < np.minimum(2.9 + 0.6 * z, 4.7))
    stem = solids.thalamus | solids.hypothalamus | solids.midbrain
    hippocampus = core & ~white & ~stem & (x > 6.15 + 0.45 * np.maximum(y - 2.3, 0.0))
    _paint_hippocampus(painter, hippocampus, _distance(~solids.core))
    painter.paint("cc", white)
    painter.paint("VL", hippocampus & (_distance(white) < 1.3) & (y > 2.6) & (z > 2.6) & (x > 6.9))
    painter.paint("fiber tracts", hippocampus & (z < 0.2))


def _paint_hippocampus(painter: Painter, hippocampus: Mask, depth: Field) -> None:
    """CA1 outside, dentate gyrus curled up inside near the mid-plane, CA3 around its side."""
    dorsal = egg((7.5, 2.75, 0.9), (1.3, 0.6, 1.25), lean=-0.3)
    ventral = egg((8.7, 3.9, 2.75), (0.5, 1.5, 0.45), lean=-0.1)
    inside = hippocampus & (depth > 6.3)
    painter.paint("CA1", hippocampus)
    around = np.minimum(egg((7.4, 2.95, 2.0), (1.2, 0.75, 1.0)), ventral - 0.42)
    painter.paint("CA3", inside & (around < 0))
    painter.paint("DG", inside & (blend(dorsal, ventral) < 0))


def _paint_stem(painter: Painter, solids: Solids) -> None:
    """Thalamus to medulla, then the cerebellum with its white matter and nuclei."""
    x, y, _ = grid()
    painter.paint("MY", solids.medulla)
    painter.paint("HY", solids.hypothalamus)
    painter.paint("MB", solids.midbrain)
    painter.paint("P", solids.pons)
    painter.paint("TH", solids.thalamus)
    roof = solids.midbrain & (_distance(~solids.midbrain) < 6.0)
    painter.paint("SCs", roof & (y < 2.95) & (x < 9.55))
    painter.paint("IC", roof & (y < 3.4) & (x >= 9.55))
    cerebellum = solids.cerebellum & ~solids.midbrain
    painter.paint("CBX", cerebellum)
    painter.paint("fiber tracts", cerebellum & (_distance(~solids.cerebellum) > 4.1))
    painter.paint("CBN", cerebellum & (egg((11.4, 3.85, 1.2), (0.5, 0.4, 1.05)) < 0))


def _paint_tracts_and_ventricles(painter: Painter) -> None:
    """Capsule, commissure, peduncle and pyramid; ventricles from the lateral to the fourth."""
    x, y, z = grid()
    brain = painter.volume > 0
    grey = painter.mask("CP", "PAL", "TH", "HY", "STR", "CTXsp")
    capsule = np.abs(egg((7.1, 4.0, 0.0), (1.55, 1.75, 2.55)))
    painter.paint("fiber tracts", grey & (capsule < 0.14) & (x < 7.6) & (y > 2.6) & (z > 1.2))
    commissure = ((x - 5.2) / 0.22) ** 2 + ((y - 4.75 + 0.08 * z * z) / 0.22) ** 2
    painter.paint("fiber tracts", brain & (commissure < 1) & (z < 2.0))
    peduncle = ((z - 1.55 + 0.2 * (x - 8.4)) / 0.5) ** 2 + (
        (y - 5.55 - 0.42 * (x - 8.4)) / 0.22
    ) ** 2
    painter.paint("fiber tracts", brain & (peduncle < 1) & (x > 7.9) & (x < 10.9))
    pyramid = ((z - 0.45) / 0.36) ** 2 + ((y - 7.02 + 0.2 * np.maximum(x - 11.0, 0.0)) / 0.22) ** 2
    painter.paint("fiber tracts", brain & (pyramid < 1) & (x > 10.4))
    painter.paint("fiber tracts", brain & (egg((2.4, 3.75, 0.9), (1.4, 0.3, 0.22)) < 0))
    bend = 0.8 + 0.55 * np.maximum(3.3 - y, 0.0) ** 2
    slit = (
        ((x - 5.2 - 0.2 * (y - 3.0)) / 1.2) ** 2
        + ((y - 2.95) / 0.95) ** 2
        + ((z - bend) / 0.19) ** 2
    )
    painter.paint("VL", painter.mask("CP", "STR") & (slit < 1))
    third = (z < 0.1) & (egg((6.9, 5.2, 0.0), (1.15, 1.85, 1.0), lean=0.2) < 0)
    adhesion = egg((7.1, 4.1, 0.0), (0.9, 0.75, 1.0)) < 0
    painter.paint("V3", painter.mask("TH", "HY") & third & ~adhesion)
    aqueduct = ((y - 4.0 - 0.25 * (x - 8.6)) / 0.24) ** 2 + (z / 0.2) ** 2
    painter.paint("VS", painter.mask("MB", "P", "TH") & (aqueduct < 1) & (x > 8.0))
    fourth = egg((11.0, 4.35, 0.0), (1.25, 0.3, 1.05))
    painter.paint("V4", ~painter.mask("CBX", "CBN", "IC") & (fourth < 0))


def labels() -> NDArray[np.uint32]:
    """Draw the annotation; shape (132, 80, 114), uint32, axes AP, DV, LR, 0 outside."""
    solids = build_solids()
    painter = Painter({row["acronym"]: row["id"] for row in structures()})
    painter.paint("MOB", solids.bulb)
    x = grid()[0]
    _paint_cortex(painter, solids)
    painter.paint("AON", solids.olfactory_stalk & (x > 2.6))
    _paint_core(painter, solids)
    _paint_stem(painter, solids)
    _paint_tracts_and_ventricles(painter)
    full = _mirrored(painter.volume)
    ball = ndimage.iterate_structure(ndimage.generate_binary_structure(3, 1), 2)
    closed = ndimage.binary_closing(full > 0, structure=ball)
    rim = closed & (full == 0) & ~_mirrored(solids.fissure)
    full[rim] = painter.ids["root"]
    return full


def _cortical_grey(volume: NDArray[np.uint32], depth: Field) -> tuple[Mask, NDArray[np.int64]]:
    """Isocortex and the grey of its layers, by depth, in areas without layer labels as well."""
    isocortex = [row["id"] for row in structures() if 315 in row["structure_id_path"]]
    cortex = np.isin(volume, isocortex)
    other = (volume > 0) & ~cortex & (depth > 4.0)
    below = ndimage.distance_transform_edt(~other)
    relative = (depth - 0.5) / np.maximum(depth + below - 1.0, 1.0)
    ends = [end for _, end in FIVE_LAYERS[:-1]]
    return cortex, LAYER_GREYS[np.searchsorted(ends, relative, side="right")]


def template(volume: NDArray[np.uint32]) -> NDArray[np.uint16]:
    """Grey image of an annotation; same shape, uint16, multiples of 8 below 512, 0 outside."""
    rows = sorted(structures(), key=lambda row: int(row["id"]))
    ids = np.array([0, *(row["id"] for row in rows)], dtype=np.uint32)
    greys = np.array([0, *(row["grey_level"] for row in rows)], dtype=np.int64)
    grey = greys[np.searchsorted(ids, volume)]
    of = {row["acronym"]: row["id"] for row in rows}
    depth: Field = ndimage.distance_transform_edt((volume > 0) & (volume != of["root"]))
    cortex, layers = _cortical_grey(volume, depth)
    grey = np.where(cortex, layers, grey)
    rings = np.array([96, 128, 152, 104, 136], dtype=np.int64)
    grey = np.where(volume == of["MOB"], rings[np.minimum(depth / 2.0, 4.0).astype(np.int64)], grey)
    grey = np.where((volume == of["CBX"]) & (depth > 2.5), 144, grey)
    i, j, k = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    side = np.where(k < HALF, HALF - 1 - k, k - HALF)
    bundle = (2 * side + 3 * j + i // 3) % 7 < 2
    grey = grey + np.where((volume == of["CP"]) & bundle, 44, 0)
    grey = grey + np.where(volume > 0, np.minimum(depth, 24.0).astype(np.int64), 0)
    smooth = _softened(grey * 4) // 128
    quantised = np.maximum(smooth // 8 * 8, 8)
    return np.where(volume > 0, quantised, 0).astype(np.uint16)


# --------------------------------------------------------------------------- writing
def _metadata() -> dict[str, Any]:
    """Contents of ``metadata.json``."""
    return {
        "name": "phantom_mouse",
        "citation": "bg_atlasapi developers 2026, unpublished",
        "atlas_link": "https://brainglobe.info",
        "species": "Mus musculus",
        "symmetric": True,
        "resolution": [SPACING_UM] * 3,
        "orientation": "asr",
        "version": "1.0",
        "shape": list(SHAPE),
        "additional_references": [],
    }


def _structures_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Contents of ``structures.csv``: names quoted, paths between slashes, root parentless."""
    lines = ["acronym,id,name,structure_id_path,parent_structure_id"]
    for row in rows:
        path = row["structure_id_path"]
        parent = path[-2] if len(path) > 1 else ""
        joined = "/".join(map(str, path))
        lines.append(f'{row["acronym"]},{row["id"]},"{row["name"]}",/{joined}/,{parent}')
    return "\n".join(lines) + "\n"


def write_atlas(folder: Path) -> None:
    """Write the whole packaged atlas into `folder`, which is made if it is not there."""
    # Here, so that `labels` and `template` need numpy and scipy only.
    import phantom_meshes
    import tifffile

    meshes = folder / "meshes"
    meshes.mkdir(parents=True, exist_ok=True)
    rows = [{key: row[key] for key in row if key != "grey_level"} for row in structures()]
    volume = labels()
    for name, image in (("annotation", volume), ("reference", template(volume))):
        tifffile.imwrite(folder / f"{name}.tiff", image, photometric="minisblack")
    texts = {
        "metadata.json": json.dumps(_metadata()),
        "structures.json": json.dumps(rows),
        "structures.csv": _structures_csv(rows),
        "README.txt": README,
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    for row in rows:
        subtree = [other["id"] for other in rows if row["id"] in other["structure_id_path"]]
        points, faces = phantom_meshes.surface(np.isin(volume, subtree), SPACING_UM)
        phantom_meshes.write_obj(meshes / f"{row['id']}.obj", points, faces)


def main() -> None:
    """Command line: one argument, the folder that receives the atlas folder."""
    parser = argparse.ArgumentParser(description="Draw the embedded phantom atlas.")
    parser.add_argument("outdir", type=Path)
    write_atlas(parser.parse_args().outdir / NAME)


if __name__ == "__main__":
    main()
