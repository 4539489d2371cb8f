"""What the documentation says of recipes."""

from __future__ import annotations

import importlib.util
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from bg_atlasapi.build.recipe_schema import findings_of, json_schema

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture
def table() -> ModuleType:
    """Return the script that writes the page."""
    spec = importlib.util.spec_from_file_location("recipe_table", DOCS / "recipe_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def keys(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every key there is, however deep, and its schema."""
    for one in (schema, schema.get("items", {}), *schema.get("oneOf", ())):
        for key, inner in one.get("properties", {}).items():
            yield key, inner
            yield from keys(inner)


def test_the_page_and_the_schema_are_as_the_code_is(table: ModuleType) -> None:
    """Both are what the script would write now, to the letter."""
    page = table.PAGE.read_text(encoding="utf-8")
    assert table.renewed(page) == page
    assert table.schema_text() == table.SCHEMA.read_text(encoding="utf-8")


def test_the_page_has_every_key(table: ModuleType) -> None:
    """No key of the schema is without a row, or a table of its own."""
    page = table.PAGE.read_text(encoding="utf-8")
    for key, schema in keys(json_schema()):
        heads = (f"| `{key}` |", f".{key}` |", f"`[{key}]`", f"`[[{key}]]`", f"`{key}.")
        assert any(one in page for one in heads), key
        assert schema["description"] in page or schema.get("type") == "object"


def test_every_example_may_stand_where_it_is_shown() -> None:
    """Each key that is no table has one, which the key takes."""
    for key, schema in keys(json_schema()):
        if "object" in {schema.get("type"), schema.get("items", {}).get("type")}:
            continue
        assert schema["examples"], key
        for one in schema["examples"]:
            assert list(findings_of(one, schema, key)) == []


def test_the_recipe_on_the_page_is_one(table: ModuleType) -> None:
    """The least that a recipe says is enough."""
    text = table.PAGE.read_text(encoding="utf-8").partition("```toml\n")[2].partition("```")[0]
    assert list(findings_of(tomllib.loads(text))) == []
