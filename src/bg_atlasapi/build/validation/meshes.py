"""Checks of meshes: are they there, sound, and where their labels are?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from bg_atlasapi.build.mesh_quality import MeshQuality, quality_of, welded
from bg_atlasapi.build.validation.catalogue import completed, found
from bg_atlasapi.build.validation.subject import Checked
from bg_atlasapi.errors import AtlasError, Finding, InvalidAtlasError
from bg_atlasapi.late import np
from bg_atlasapi.model.mesh import TriangleMesh
from bg_atlasapi.model.parallel import stream
from bg_atlasapi.store.transfer.progress import Report, silent

if TYPE_CHECKING:
    import numpy.typing as npt

_POINTS = 400  # of a mesh, that are looked up in the labels
# A point is near if a voxel of the structure lies within so many voxels. Published meshes are made
# from finer labels and smoothed: at 100 µm the Allen ones stray by up to two.
_NEAR_VOXELS = 2
# Of its points. With axes swapped or mirrored two of three Allen meshes have less than 2 %, in nm
# or mm all; of the published ones at 100 µm eleven of thin structures have 24 to 89 %.
_FAR, _LOOSE = 0.05, 0.9
_BEYOND_VOXELS = 2.0
# Below this many voxels the volume of a smooth surface says little.
_LARGE_VOXELS = 1000
_VOLUMES = (0.5, 2.0)


def check_meshes(checked: Checked, report: Report = silent) -> Iterator[Finding]:
    """Yield what is wrong with the meshes.

    Parameters
    ----------
    checked
        The atlas.
    report
        Told of the meshes that were looked at.
    """
    codes = (np.flatnonzero(checked.total[1 : len(checked.terminology) + 1]) + 1).tolist()
    answers: list[list[Finding]] = []
    missing = 0
    for done, (there, findings) in enumerate(stream(partial(_check, checked), codes), start=1):
        missing += not there
        answers.append(findings)
        report("check meshes", done, len(codes))
    if codes and missing == len(codes):
        yield found("no-meshes", f"None of {len(codes):,} structures with voxels has a mesh.")
        return
    for findings in answers:
        yield from findings


def _check(checked: Checked, code: int) -> tuple[bool, list[Finding]]:
    """Return whether there is a mesh, and what is wrong with it."""
    meshes, called = checked.atlas.meshes, checked.called(code)
    identifier = int(checked.terminology.ids[code])
    try:
        if not meshes.has(identifier):
            text = f"{called} has {checked.total[code]:,} voxels and no mesh."
            return False, [found("mesh-missing", text, called)]
        mesh = meshes.read(identifier)
        quality = quality_of(mesh)
        if not quality.watertight or not quality.manifold:
            mesh = welded(mesh)  # some files repeat points
            quality = quality_of(mesh)
    except InvalidAtlasError as error:
        return True, [completed(one) for one in error.findings]
    except AtlasError as error:
        return True, [found("mesh-unreadable", str(error), called)]
    except Exception as error:  # noqa: BLE001 - a damaged file may trip anything; the rest goes on
        text = f"The mesh of {called} cannot be read: {type(error).__name__}: {error}."
        return True, [found("mesh-unreadable", text, called)]
    return True, [*_surface(called, quality), *_place(checked, code, mesh, quality)]


def _surface(called: str, quality: MeshQuality) -> Iterator[Finding]:
    if not quality.watertight:
        edges = quality.open_edges + quality.crowded_edges
        text = f"The mesh of {called} is not watertight: {edges:,} edges are not between two "
        yield found("mesh-open", f"{text}triangles.", called)
    elif not quality.manifold:
        text = f"Parts of the mesh of {called} touch in {quality.crowded_edges:,} edges and "
        yield found("mesh-not-manifold", f"{text}{quality.pinched_points:,} points.", called)
    if quality.watertight and not quality.outward:
        text = f"The mesh of {called} is inside out: its volume is {quality.volume_um3 / 1e9:.4g}"
        yield found("mesh-inside-out", f"{text} mm³.", called)


def _place(
    checked: Checked, code: int, mesh: TriangleMesh, quality: MeshQuality
) -> Iterator[Finding]:
    called, space = checked.called(code), checked.space
    sizes = np.array(space.spacing_um)
    low, high = (np.array(bound) for bound in quality.bounds)
    if (low < -_BEYOND_VOXELS * sizes).any() or (
        high > (np.array(space.shape) + _BEYOND_VOXELS) * sizes
    ).any():
        text = f"The mesh of {called} spans {_shown(low)} to {_shown(high)} µm, the volume 0 to "
        yield found("mesh-outside", f"{text}{_shown(np.array(space.shape) * sizes)}.", called)
        return
    near = near_share(checked, code, mesh)
    if near < _LOOSE:
        text = f"{near:.0%} of the points of the mesh of {called} are within {_NEAR_VOXELS} voxels "
        yield found("mesh-far" if near < _FAR else "mesh-loose", f"{text}of its labels.", called)
        if near < _FAR:
            return
    voxels = int(checked.total[code])
    if quality.watertight and voxels > _LARGE_VOXELS:
        ratio = abs(quality.volume_um3) / (voxels * float(np.prod(sizes)))
        if not _VOLUMES[0] <= ratio <= _VOLUMES[1]:
            text = f"The mesh of {called} encloses {ratio:.0%} of the volume of its labels."
            yield found("mesh-volume", text, called)


def _shown(place: npt.NDArray[np.float64]) -> str:
    return f"({', '.join(f'{one:.0f}' for one in place)})"


def near_share(checked: Checked, code: int, mesh: TriangleMesh) -> float:
    """Return the share of a mesh's points near which there is a voxel of the structure."""
    step = max(1, len(mesh.points) // _POINTS)
    points = mesh.points[::step]
    shape = np.array(checked.space.shape)
    voxels = np.floor(points / np.array(checked.space.spacing_um)).astype(np.int64)
    reach = np.arange(-_NEAR_VOXELS, _NEAR_VOXELS + 1)
    around = np.stack(np.meshgrid(reach, reach, reach, indexing="ij"), axis=-1).reshape(-1, 3)
    places = voxels[:, np.newaxis] + around
    inside = ((places >= 0) & (places < shape)).all(axis=2)
    flat = np.ravel_multi_index(tuple(np.clip(places, 0, shape - 1).transpose(2, 0, 1)), shape)
    _, codes = checked.atlas.labels.sample(flat.reshape(-1))
    codes = codes.reshape(inside.shape)
    last = int(checked.terminology.last[code])
    near = (inside & (codes >= code) & (codes <= last)).any(axis=1)
    return float(near.mean())
