"""What the documentation says of findings."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import bg_atlasapi
from bg_atlasapi.build.validation import KINDS

DOCS = Path(__file__).parents[3] / "docs"
SOURCE = Path(bg_atlasapi.__file__).parent


def test_the_page_lists_every_code_as_it_is() -> None:
    """The tables of the page are those that the codes give now, to the letter."""
    spec = importlib.util.spec_from_file_location("findings_table", DOCS / "findings_table.py")
    assert spec is not None
    assert spec.loader is not None
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    page = table.PAGE.read_text(encoding="utf-8")
    assert table.renewed(page) == page


def test_every_code_that_reading_an_atlas_gives_is_listed() -> None:
    """No reader or model raises a code that the page does not explain."""
    rooms = [SOURCE / "model", SOURCE / "build" / "validation"]
    names = ("packaged", "components", "terminology_csv", "draco_meshes", "zarr_array")
    files = [SOURCE / "formats" / f"{name}.py" for name in (*names, "zarr_metadata", "zarr_codecs")]
    for room in rooms:
        files += room.rglob("*.py")
    given = {
        node.args[0].value
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"Finding", "found"}
        and isinstance(node.args[0], ast.Constant)
    }
    assert given - set(KINDS) == set()


def test_each_code_says_what_and_how_to_mend() -> None:
    """Every row of the table is whole."""
    for kind in KINDS.values():
        assert kind.meaning.endswith(".")
        assert kind.mend.endswith(".")
