"""Ask an atlas everything that bg-atlasapi 1.0.3 can be asked, and write the answers down.

Run by the interpreter of either side, so it uses only the API of 1.0.3 and what 1.0.3 installs::

    python peer_answers.py BRAINGLOBE_DIR ATLAS_NAME OUT.json

Answers are lists of ``[question, answer]``; arrays are written as type, shape and hash, the
hemispheres to ``OUT.npy``. An exception is an answer too: ``{"raises": [its class, its bases …]}``.
"""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Answers = Iterator[tuple[str, Any]]
KEYS = ("acronym", "id", "name", "structure_id_path", "rgb_triplet")
POINTS = 2000


def attempt(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return what a call answers, as JSON can hold it."""
    try:
        return plain(call(*args, **kwargs))
    except Exception as error:  # noqa: BLE001 - whatever it raises is the answer
        return {"raises": [kind.__name__ for kind in type(error).__mro__]}


def plain(value: Any) -> Any:  # noqa: PLR0911 - one for each kind of value
    """Return a value as JSON can hold it; arrays as type, shape and hash."""
    if isinstance(value, np.ndarray):
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return {"dtype": str(value.dtype), "shape": list(value.shape), "sha256": digest}
    if isinstance(value, np.generic):
        return {"scalar": value.dtype.name, "value": value.item()}
    if isinstance(value, Path):
        return {"path": str(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return {"tuple": [plain(item) for item in value]}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def volumes(atlas: Any) -> Answers:
    """Answer the volumes and what describes them."""
    names = (
        *("resolution", "orientation", "shape", "shape_um", "metadata", "root_dir"),
        *("annotation", "reference", "atlas_name", "local_full_name", "local_version"),
        *("brainglobe_dir", "interm_download_dir", "left_hemisphere_value"),
        *("right_hemisphere_value", "structures_list"),
    )
    yield from ((name, attempt(getattr, atlas, name)) for name in names)
    for name in ("shape", "resolution", "origin_string", "axes_order"):
        yield f"space.{name}", attempt(getattr, atlas.space, name)
    extra = atlas.additional_references
    yield "additional_references", [plain(list(extra.references_list)), list(extra)]
    for name in extra.references_list:
        yield f"additional_references[{name!r}]", attempt(extra.__getitem__, name)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        answer = attempt(extra.__getitem__, "no such image")
    yield "additional_references[unknown]", [answer, [str(one.message) for one in caught]]
    yield "writable", [atlas.annotation.flags.writeable, atlas.reference.flags.writeable]
    yield "repr", repr(atlas)
    yield "str", sorted(set(str(atlas).translate({ord(c): " " for c in "│─╭╮╰╯"}).split()))


def hierarchy(atlas: Any) -> Answers:
    """Answer the tree, the table and the dictionary of structures."""
    tree, structures = atlas.hierarchy, atlas.structures
    yield "show", tree.show(stdout=False)
    yield "show by tag", tree.show(stdout=False, idhidden=False, sorting=False)
    yield "repr(structures)", repr(structures)
    yield "tree is shared", tree is structures.tree
    yield "root", plain(tree.root)
    yield "nodes", [[plain(key), node.tag] for key, node in tree.nodes.items()]
    yield "walk", plain(list(tree.expand_tree()))
    yield "paths", plain(tree.paths_to_leaves())
    for key in tree.nodes:
        parent = tree.parent(key)
        children = [child.identifier for child in tree.children(key)]
        yield f"node {key}", [parent and parent.identifier, children, tree.depth(key)]
    table = atlas.lookup_df
    yield "lookup_df", [list(table.columns), list(table.index), table.to_dict("list")]
    yield "keys", [plain(list(structures)), plain(list(structures.keys())), len(structures)]
    yield "acronyms", structures.acronym_to_id_map


def one_structure(atlas: Any, entry: dict[str, Any]) -> Answers:
    """Answer every question about a structure, by acronym and by id."""
    acronym, identifier = entry["acronym"], entry["id"]
    ask = atlas._get_from_structure
    spellings = (acronym, identifier, str(identifier), float(identifier), np.uint32(identifier))
    for spelling in (*spellings, np.int64(identifier)):
        named = f"{type(spelling).__name__} {spelling}"
        yield named, [attempt(ask, spelling, key) for key in (*KEYS, "mesh_filename")]
        yield f"dict of {named}", sorted(atlas.structures[spelling].keys())
    yield f"{acronym}: in", identifier in atlas.structures
    yield f"{acronym}: ancestors", attempt(atlas.get_structure_ancestors, acronym)
    yield f"{identifier}: ancestors", attempt(atlas.get_structure_ancestors, identifier)
    yield f"{acronym}: descendants", attempt(atlas.get_structure_descendants, acronym)
    yield f"{acronym}: meshfile", attempt(atlas.meshfile_from_structure, acronym)
    yield f"{acronym}: mask", attempt(atlas.get_structure_mask, acronym)
    yield f"{acronym}: mesh", attempt(mesh, atlas, identifier)


def mesh(atlas: Any, structure: Any) -> list[Any]:
    """Answer points and triangles."""
    surface = atlas.mesh_from_structure(structure)
    cells = [[block.type, block.data] for block in surface.cells]
    return [surface.points, cells, surface.cells_dict["triangle"]]


def structures(atlas: Any) -> Answers:
    """Answer every structure, and lists of structures."""
    for entry in atlas.structures_list:
        yield from one_structure(atlas, entry)
    few = [entry["acronym"] for entry in atlas.structures_list[:5]]
    for key in KEYS:
        yield f"list of {key}", attempt(atlas._get_from_structure, few, key)
        yield f"tuple of {key}", attempt(atlas._get_from_structure, tuple(few), key)
    yield "meshfiles", attempt(atlas.meshfile_from_structure, few)
    yield "root mesh", plain(atlas.root_mesh().points)
    yield "root meshfile", plain(atlas.root_meshfile())
    for unknown in ("no such structure", 123456789, -1, 0):
        yield f"unknown {unknown}", attempt(atlas.structures.__getitem__, unknown)
        yield f"mask of unknown {unknown}", attempt(atlas.get_structure_mask, unknown)


def points(atlas: Any) -> Answers:
    """Answer random points within the volume; those of each question lie side by side."""
    voxels = np.random.default_rng(103).uniform(0, atlas.shape, (POINTS, 3))
    micrometres = voxels * np.array(atlas.resolution)
    for microns, places in ((False, voxels), (True, micrometres), (False, voxels.astype(int))):
        named = f"{places.dtype} {'um' if microns else 'voxels'}"
        yield f"{named} index", [attempt(atlas._idx_from_coords, p, microns) for p in places]
        for acronym in (False, True):
            for depth in (None, 0, 1, 3, 6, 9, -1, -2):
                asked = {"microns": microns, "as_acronym": acronym, "hierarchy_lev": depth}
                found = [attempt(atlas.structure_from_coords, place, **asked) for place in places]
                yield f"{named} structure acronym={acronym} depth={depth}", found
        for text in (False, True):
            asked = {"microns": microns, "as_string": text}
            found = [attempt(atlas.hemisphere_from_coords, place, **asked) for place in places]
            yield f"{named} hemisphere text={text}", found
    place = tuple(voxels[0].tolist())
    yield "tuple", [attempt(atlas.structure_from_coords, kind(place)) for kind in (tuple, list)]


def outside(atlas: Any) -> Answers:
    """Answer points beyond each face of the volume, where 1.0.3 wraps around or raises."""
    middle = np.array(atlas.shape) // 2
    for axis in range(3):
        for value in (-1, -2, atlas.shape[axis], atlas.shape[axis] + 5):
            point = middle.copy()
            point[axis] = value
            place = plain(point.tolist())
            yield f"id {place}", attempt(atlas.structure_from_coords, point)
            acronym = attempt(atlas.structure_from_coords, point, as_acronym=True)
            yield f"acronym {place}", acronym
            yield f"hemisphere {place}", attempt(atlas.hemisphere_from_coords, point)


def acronym_in(atlas: Any) -> Answers:
    """Answer whether an acronym is "in" the structures, which 1.0.3 denied."""
    yield "in", [entry["acronym"] in atlas.structures for entry in atlas.structures_list]


def answers(atlas: Any) -> dict[str, Any]:
    """Return all answers, by subject."""
    subjects = (volumes, hierarchy, structures, points, outside, acronym_in)
    return {subject.__name__: list(subject(atlas)) for subject in subjects}


def main() -> None:
    """Open the atlas, ask, write."""
    folder, name, out = sys.argv[1:]
    import bg_atlasapi
    from bg_atlasapi import BrainGlobeAtlas

    atlas = BrainGlobeAtlas(name, brainglobe_dir=folder, check_latest=False)
    np.save(Path(out).with_suffix(".npy"), atlas.hemispheres)
    found = {"module": bg_atlasapi.__file__, **answers(atlas)}
    Path(out).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
