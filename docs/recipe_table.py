"""Write the tables of ``reference/recipe.md`` from the schema of recipes.

``python docs/recipe_table.py`` renews the page and ``recipe.schema.json``; a test runs the same
functions and finds nothing to renew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bg_atlasapi.build.recipe_schema import json_schema

PAGE = Path(__file__).with_name("reference") / "recipe.md"
SCHEMA = PAGE.with_name("recipe.schema.json")
_MARK = "<!-- made by docs/recipe_table.py -->"
_KINDS = {"string": "text", "boolean": "true or false", "number": "number", "object": "table"}
_HEAD = ("| key | type | default | meaning | example |", "|---|---|---|---|---|")


def renewed(page: str) -> str:
    """Return the page with its tables as the schema is now."""
    head, _, _ = page.partition(_MARK)
    return head + _MARK + "\n" + "\n".join(_lines(json_schema())) + "\n"


def _lines(schema: Mapping[str, Any]) -> Iterator[str]:
    properties = schema["properties"]
    tables = {key: _table_in(one) for key, one in properties.items()}
    yield from ("", "## At the top", "", *_HEAD)
    for key, one in properties.items():
        if tables[key] is None or "oneOf" in one:
            yield _row(key, one, required=key in schema["required"])
    for key, one in tables.items():
        if one is not None:
            name = f"[[{key}]]" if properties[key].get("type") == "array" else f"[{key}]"
            need = " It must be there." if key in schema["required"] else ""
            yield from (
                "",
                f"## `{name}`",
                "",
                f"{properties[key]['description']}{need}",
                "",
                *_HEAD,
            )
            yield from _rows(one, "")


def _rows(table: Mapping[str, Any], before: str) -> Iterator[str]:
    for key, one in table["properties"].items():
        if one.get("type") == "object":
            yield from _rows(one, f"{before}{key}.")
        else:
            yield _row(f"{before}{key}", one, required=key in table["required"])


def _table_in(schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the schema of a table that is a key, or of which a key is a list or may be one."""
    for one in (schema, schema.get("items", {}), *schema.get("oneOf", ())):
        if one.get("type") == "object":
            return dict(one)
    return None


def _row(key: str, schema: Mapping[str, Any], *, required: bool) -> str:
    default = "must be there" if required else _shown(schema.get("default", ""))
    example = ", or ".join(_shown(one) for one in schema["examples"])
    cells = (f"`{key}`", _kind(schema), default, schema["description"], example)
    return "| " + " | ".join(cells) + " |"


def _kind(schema: Mapping[str, Any]) -> str:
    if "oneOf" in schema:
        return ", or ".join(_kind(one) for one in schema["oneOf"])
    if "enum" in schema:
        return ", ".join(_shown(one) for one in schema["enum"])
    if schema["type"] == "array":
        count = "three of: " if schema.get("minItems") == 3 else "list of: "
        return count + _kind(schema["items"])
    kind = _KINDS[schema["type"]]
    kind = f"{kind} above 0" if "minimum" in schema else kind
    return f"{kind}: {schema['x-expected']}" if "x-expected" in schema else kind


def _shown(value: Any) -> str:
    """Return a value as TOML, of which JSON is a part."""
    return "" if value == "" else f"`{json.dumps(value, ensure_ascii=False)}`"


def schema_text() -> str:
    """Return the file that editors load."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    SCHEMA.write_text(schema_text(), encoding="utf-8")
