"""The design's layering and size limits, read off the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import bg_atlasapi

PACKAGE = Path(bg_atlasapi.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# Lowest first. A module imports only from its own layer or lower ones.
LAYERS = (
    {"errors", "locks", "late"},
    {"settings", "lazy"},
    {"model"},
    {"store", "formats"},
    {"query"},
    {"build", "view"},
    {
        *("bg_atlas", "core", "building", "looks", "questions", "holdings", "grouped"),
        *("list_atlases", "structure_class", "structure_tree_util"),
        *("update_atlases", "descriptors", "utils", "config", "progress_bar"),
    },
    {"cli", "testing", "napari_layers", "__init__"},
)
FACADE = {PACKAGE / "structure_class.py"}
MAX_MODULE_LINES, MAX_FUNCTION_LINES, MAX_PUBLIC_MEMBERS = 400, 60, 25


def _room(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def _layer(room: str) -> int:
    return next(level for level, rooms in enumerate(LAYERS) if room in rooms)


def _imported_rooms(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            assert node.level == 0, f"{path} uses a relative import"
        for name in names:
            parts = name.split(".")
            if parts[0] == "bg_atlasapi" and len(parts) > 1:
                yield parts[1]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_only(path: Path) -> None:
    """No module imports from a layer above its own."""
    own = _layer(_room(path))
    for room in _imported_rooms(path):
        assert _layer(room) <= own, f"{path.name} ({_room(path)}) imports {room}"


def _docstring_lines(node: ast.FunctionDef) -> int:
    return len((ast.get_docstring(node, clean=False) or "").splitlines())


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_sizes_stay_readable(path: Path) -> None:
    """No module passes 400 lines, no function 60, no class 25 public members (façade excepted)."""
    text = path.read_text(encoding="utf-8")
    if path not in FACADE:
        assert len(text.splitlines()) <= MAX_MODULE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1 - _docstring_lines(node)
            assert lines <= MAX_FUNCTION_LINES, f"{path.name}: {node.name} has {lines} lines"
        if isinstance(node, ast.ClassDef) and path not in FACADE:
            public = {
                item.name
                for item in node.body
                if isinstance(item, ast.FunctionDef) and not item.name.startswith("_")
            }
            assert len(public) <= MAX_PUBLIC_MEMBERS, f"{path.name}: {node.name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_says_what_it_is_for(path: Path) -> None:
    """Each module opens with a docstring."""
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_every_test_says_what_it_proves() -> None:
    """Each test function has a docstring."""
    bare = [
        f"{path.name}::{node.name}"
        for path in Path(__file__).parents[1].rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert bare == []
