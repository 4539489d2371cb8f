"""Any brain atlas as one Python object.

>>> from bg_atlasapi import BrainGlobeAtlas
>>> atlas = BrainGlobeAtlas("phantom_mouse_100um")
>>> atlas.structure_from_coords((7100, 3870, 4500), microns=True, as_acronym=True)
'TH'

Importing this package loads none of the libraries its answers are made of (numpy, pandas, meshio,
treelib, …); each loads when it is first needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bg_atlasapi.late import found_in

if TYPE_CHECKING:
    from bg_atlasapi.bg_atlas import BrainGlobeAtlas
    from bg_atlasapi.list_atlases import available_atlases, show_atlases
    from bg_atlasapi.update_atlases import (
        add_atlas,
        atlas_info,
        bundle_atlas,
        install_atlas,
        plan_install,
        plan_update,
        prune_atlases,
        remove_atlas,
        update_atlas,
        verify_atlas,
    )

__author__ = "The bg_atlasapi developers"
__all__ = [
    "BrainGlobeAtlas",
    "add_atlas",
    "atlas_info",
    "available_atlases",
    "bundle_atlas",
    "install_atlas",
    "plan_install",
    "plan_update",
    "prune_atlases",
    "remove_atlas",
    "show_atlases",
    "update_atlas",
    "verify_atlas",
]

_HOMES = {
    "BrainGlobeAtlas": "bg_atlasapi.bg_atlas",
    "show_atlases": "bg_atlasapi.list_atlases",
    "available_atlases": "bg_atlasapi.list_atlases",
    **dict.fromkeys(
        (
            *(
                "install_atlas",
                "plan_install",
                "plan_update",
                "update_atlas",
                "remove_atlas",
                "prune_atlases",
            ),
            *("verify_atlas", "bundle_atlas", "add_atlas", "atlas_info"),
        ),
        "bg_atlasapi.update_atlases",
    ),
}


_elsewhere = found_in(__name__, _HOMES)


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("bg-atlasapi")
        except PackageNotFoundError:
            message = "bg_atlasapi is not installed, so it has no version"
            raise AttributeError(message) from None
    return _elsewhere(name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, "__version__"])
