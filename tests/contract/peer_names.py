"""Write down the public names of bg-atlasapi's modules, and the signatures behind them.

Run by the peer's interpreter: ``python peer_names.py OUT.json``; the test then describes ours with
the same functions. A name is public if it has no leading underscore and is bound at the top of a
module by an assignment, a definition, or an import from the package itself; what a module imports
from elsewhere (``np``, ``Path``) is not its own.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

MODULES = (
    *("bg_atlas", "core", "list_atlases", "structure_class", "structure_tree_util"),
    *("update_atlases", "descriptors", "utils", "config", "cli"),
)


def bound_names(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Yield the names that a module's own source binds, and where an imported one comes from."""
    assert module.__file__ is not None
    for node in ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, "defined"
        elif isinstance(node, ast.Assign):
            names = (target.id for target in node.targets if isinstance(target, ast.Name))
            yield from ((name, "defined") for name in names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bg_atlasapi"):
            for alias in node.names:
                yield alias.asname or alias.name, "imported"


def parameters(function: Any) -> list[list[str | None]] | None:
    """Return name, kind and default of each parameter, None if it has no signature."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    return [
        [one.name, one.kind.name, None if one.default is one.empty else repr(one.default)]
        for one in signature.parameters.values()
    ]


def members(cls: type) -> dict[str, Any]:
    """Return public methods (with signature) and attributes, less those of foreign base classes."""
    found: dict[str, Any] = {"__init__": parameters(inspect.getattr_static(cls, "__init__"))}
    own = [base for base in cls.__mro__ if base.__module__.startswith("bg_atlasapi")]
    for name in sorted({name for base in own for name in vars(base)}):
        if name.startswith("_"):
            continue
        value = inspect.getattr_static(cls, name)
        found[name] = parameters(value) if inspect.isfunction(value) else "attribute"
    return found


def describe(value: Any) -> dict[str, Any]:
    """Return what a name stands for: a class, a function, a command, a value."""
    if inspect.isclass(value):
        return {"class": members(value)}
    if hasattr(value, "callback"):  # a click command
        return {"command": sorted(one.name for one in value.params)}
    if inspect.isfunction(value):
        return {"function": parameters(value)}
    if inspect.ismodule(value):
        return {"module": value.__name__}
    return {"value": repr(value)}


def names() -> dict[str, dict[str, Any]]:
    """Return name → what it stands for and where it comes from, of each module."""
    found = {}
    for short in MODULES:
        module = importlib.import_module(f"bg_atlasapi.{short}")
        found[short] = {
            name: [origin, describe(getattr(module, name))]
            for name, origin in bound_names(module)
            if not name.startswith("_")
        }
    return found


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(names()), encoding="utf-8")
