"""What loads when."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = [
    "pandas",
    "scipy",
    "tifffile",
    "meshio",
    "nibabel",
    "rich",
    "treelib",
    "requests",
    "urllib3",
    "uvicorn",
    "zarr",
    "brainglobe_space",
]


def loaded_after(code: str) -> set[str]:
    """Return which heavy libraries a fresh interpreter holds after running some code."""
    script = f"{code}\nimport sys\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(ast_list(done.stdout.splitlines()[-1]))


def ast_list(text: str) -> list[str]:
    """Read a printed list of strings."""
    import ast

    value: list[str] = ast.literal_eval(text)
    return value


@pytest.mark.parametrize(
    "code",
    [
        "import bg_atlasapi",
        "from bg_atlasapi import BrainGlobeAtlas, show_atlases",
        "from bg_atlasapi.bg_atlas import BrainGlobeAtlas",
        "from bg_atlasapi import BrainGlobeAtlas; BrainGlobeAtlas('phantom_mouse_100um')",
        "import bg_atlasapi.cli",
    ],
)
def test_nothing_heavy_loads(code: str) -> None:
    """Importing the package, or opening an atlas, loads no library that is only used for answers."""
    assert loaded_after(code) == set()


@pytest.mark.parametrize("code", ["", "; bg_atlasapi.BrainGlobeAtlas('phantom_mouse_100um')"])
def test_an_import_and_an_open_load_not_even_numpy(code: str) -> None:
    """A bare import costs next to nothing, and an open little more."""
    script = f"import bg_atlasapi, sys{code}; print('numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_an_open_uses_no_socket() -> None:
    """Opening an installed atlas and answering points works where sockets cannot be made."""
    script = (
        "import socket\n"
        "def refuse(*args, **kwargs): raise AssertionError('socket')\n"
        "socket.socket = refuse\n"
        "from bg_atlasapi import BrainGlobeAtlas, show_atlases\n"
        "atlas = BrainGlobeAtlas('phantom_mouse_100um')\n"
        "print(atlas.lookup([7100, 3900, 4500])['acronym'][0])\n"
        "show_atlases()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("TH\n")


def test_star_import_and_dir_offer_the_public_names() -> None:
    """Lazy names are found by ``import *``, ``dir`` and attribute access; others are refused."""
    import bg_atlasapi

    assert {"BrainGlobeAtlas", "show_atlases", "available_atlases"} <= set(dir(bg_atlasapi))
    assert bg_atlasapi.__version__.startswith("2.")
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = bg_atlasapi.nothing_like_it  # type: ignore[attr-defined]
