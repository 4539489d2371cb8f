"""Which meshes a report shows, and their pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bg_atlasapi.build.png import png_bytes
from bg_atlasapi.build.report.surfaces import Camera, Seen, look, painted
from bg_atlasapi.build.validation.subject import Checked
from bg_atlasapi.errors import Finding
from bg_atlasapi.late import np
from bg_atlasapi.model.terminology import Terminology

if TYPE_CHECKING:
    import numpy.typing as npt

    from bg_atlasapi.model.mesh import TriangleMesh

_WIDE, _STAMP = 520, 230  # pixels
_SHOWN, _FAULTY = 24, 8
_LEAST = 5e-4  # of the labelled voxels: what is smaller is not seen at this size
_WHITE = 245  # above this a colour is taken for none
_BRAIN = (150, 170, 190)


@dataclass(frozen=True, slots=True)
class Stamp:
    """The picture of a mesh.

    Parameters
    ----------
    code
        Of the structure.
    png
        The picture.
    size
        Width and height, pixels.
    triangles
        Of the mesh.
    """

    code: int
    png: bytes
    size: tuple[int, int]
    triangles: int


def stamps(checked: Checked, findings: Sequence[Finding]) -> Iterator[tuple[str, Stamp]]:
    """Yield pictures of meshes, each with its part: "whole", "parts" or "faults"."""
    root = _mesh(checked, 1)
    frame = root or _first(checked)
    if frame is None:
        return
    if root is not None:
        camera = Camera.on(checked.space, frame.points, _WIDE)
        picture = painted(look(root, camera), _BRAIN, None)
        yield "whole", Stamp(1, png_bytes(picture), camera.size, len(root.triangles))
    camera = Camera.on(checked.space, frame.points, _STAMP)
    glass = look(root, camera) if root is not None else None
    faulty = {one.where for one in findings if one.code.startswith("mesh-")}
    faults = [
        code for code in range(2, len(checked.terminology) + 1) if checked.called(code) in faulty
    ]
    faults.sort(key=lambda code: -int(checked.total[code]))
    shown = partition(checked.terminology, checked.total, _SHOWN)
    for part, codes in (("parts", shown), ("faults", faults[:_FAULTY])):
        for code in codes:
            mesh = _mesh(checked, code)
            if mesh is not None:
                yield part, _stamp(checked, code, mesh, camera, glass)


def _stamp(
    checked: Checked, code: int, mesh: TriangleMesh, camera: Camera, glass: Seen | None
) -> Stamp:
    red, green, blue = (int(one) for one in checked.terminology.colours[code])
    colour = _BRAIN if min(red, green, blue) > _WHITE else (red, green, blue)
    picture = painted(look(mesh, camera), colour, glass)
    return Stamp(code, png_bytes(picture), camera.size, len(mesh.triangles))


def _mesh(checked: Checked, code: int) -> TriangleMesh | None:
    identifier = int(checked.terminology.ids[code])
    meshes = checked.atlas.meshes
    try:
        if not meshes.has(identifier):
            return None
        mesh = meshes.read(identifier)
    except Exception:  # noqa: BLE001 - what is wrong with it is among the findings
        return None
    sound = len(mesh.triangles) and np.isfinite(mesh.points).all()
    return mesh if sound else None


def _first(checked: Checked) -> TriangleMesh | None:
    """Return the largest mesh, where the root has none."""
    order = np.argsort(-checked.total[1 : len(checked.terminology) + 1], kind="stable") + 1
    for code in order[:50].tolist():
        mesh = _mesh(checked, code)
        if mesh is not None:
            return mesh
    return None


def partition(tree: Terminology, total: npt.NDArray[np.int64], most: int) -> list[int]:
    """Return so many structures that together are nearly everything, none within another.

    The largest is replaced by its children as long as there is room.
    """
    least = _LEAST * max(int(total[1]), 1)
    chosen = [1]
    closed: set[int] = set()
    while True:
        opening = [code for code in chosen if code not in closed]
        if not opening:
            break
        code = max(opening, key=lambda one: int(total[one]))
        children = [int(one) for one in tree.children(code) if total[one] > least]
        if not children or (len(chosen) - 1 + len(children) > most and code != 1):
            closed.add(code)
            continue
        chosen = [one for one in chosen if one != code] + children
        if len(chosen) >= most:
            break
    chosen = [code for code in chosen if code != 1]
    largest = sorted(chosen, key=lambda one: -int(total[one]))[:most]
    return sorted(largest)
