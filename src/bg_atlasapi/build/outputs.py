"""What a build is going to leave in its folder, and the record of what it was built from."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bg_atlasapi.build.recipe import Recipe
from bg_atlasapi.build.recipe_files import Checked
from bg_atlasapi.errors import AlreadyThereError
from bg_atlasapi.store.inventory import COMPONENT_STORE
from bg_atlasapi.store.remotes import PACKAGES_FOLDER

# Beside packages, 1.x takes everything called <name>_v… for a version of the atlas.
REPORTS = "reports"
Triplet = tuple[float, float, float]


def packages(recipe: Recipe, finest: Triplet, target: Path) -> list[Path]:
    """Return the folders of the packages of a recipe, one for each voxel size."""
    sizes = (finest, *(one for one in recipe.levels_um if one != finest))
    return [target / f"{recipe.name}_{one[0]:g}um_v{recipe.version}" for one in sizes]


def outputs(checked: Checked, formats: Iterable[str], target: Path) -> dict[str, Path]:
    """Return what is going to lie in the target, by what it is."""
    recipe = checked.recipe
    assert checked.space is not None  # else its annotation could not be read
    paths: dict[str, Path] = {}
    if "components" in formats:
        version = recipe.version.replace(".", "_")
        paths["components"] = target / COMPONENT_STORE / "atlases" / checked.full_name / version
    if "packaged" in formats:
        for number, one in enumerate(packages(recipe, checked.space.spacing_um, target)):
            at = "" if number == 0 else f"_{one.name.rpartition('_v')[0].rpartition('_')[2]}"
            paths[f"packaged{at}"] = one
            paths[f"archive{at}"] = archives_in(target) / f"{one.name}.tar.gz"
    paths["report"] = target / REPORTS / f"{checked.full_name}_v{recipe.version}.html"
    return paths


def archives_in(target: Path) -> Path:
    """Return the folder of archives, which web servers publish."""
    return target / PACKAGES_FOLDER


def record_of(checked: Checked, target: Path) -> Path:
    """Return where the record of a build lies."""
    return target / REPORTS / f"{checked.full_name}_v{checked.recipe.version}.json"


def read_record(path: Path) -> dict[str, Any]:
    """Return the record of a build; empty if there is none, or it is damaged."""
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(path.read_bytes())
        if isinstance(known, dict):
            return known
    return {}


def refuse_what_is_there(paths: Iterable[Path]) -> None:
    """Raise if something lies where a build is going to write.

    Raises
    ------
    AlreadyThereError
        Names all of it.
    """
    there = [str(one) for one in paths if one.exists()]
    if there:
        message = (
            f"{', '.join(there)} is there already, and was not built from this. Choose another "
            "folder (-o), another version, or replace it with --overwrite."
        )
        raise AlreadyThereError(message)
