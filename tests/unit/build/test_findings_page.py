"""What the documentation says of findings."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import bg_atlasapi
from bg_atlasapi.build.validation import KINDS, atlas_codes, source_codes

DOCS = Path(__file__).parents[3] / "docs"
SOURCE = Path(bg_atlasapi.__file__).parent
SEVERITIES = ("error", "warning", "note")
CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
MAKERS = [one for one in SOURCE.rglob("*.py") if not one.name.endswith("_codes.py")]


def test_the_page_lists_every_code_as_it_is() -> None:
    """The tables of the page are those that the codes give now, to the letter."""
    spec = importlib.util.spec_from_file_location("findings_table", DOCS / "findings_table.py")
    assert spec is not None
    assert spec.loader is not None
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    page = table.PAGE.read_text(encoding="utf-8")
    assert table.renewed(page) == page


def values(node: ast.expr) -> list[str]:
    """Return the texts that an expression may be: one, or either of two."""
    if isinstance(node, ast.IfExp):
        return [*values(node.body), *values(node.orelse)]
    return [node.value] if isinstance(node, ast.Constant) else []


def given() -> Iterator[tuple[str, str | None, str]]:
    """Yield code, severity and file of every finding that the source makes.

    The severity is None where the table decides.
    """
    for path in sorted(SOURCE.rglob("*.py")):
        place = path.relative_to(SOURCE).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and node.args):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            words = values(node.args[0])
            if name == "Finding":
                severity = "warning"  # as of the class
                if len(node.args) > 2:
                    severity = next(iter(values(node.args[2])), "")
                yield from ((word, severity, place) for word in words)
            elif name == "_without" and len(node.args) > 2:
                yield from ((word, None, place) for word in values(node.args[1]))
            elif name in {"found", *CALLED_BY_CODE}:
                yield from ((word, CALLED_BY_CODE.get(name), place) for word in words)
            elif name in SEVERITIES and getattr(node.func, "value", None) is not None:
                owner = ast.unparse(node.func.value)  # type: ignore[attr-defined]
                yield from ((word, name, place) for word in words if owner.endswith("notes"))


# What makes findings by their code: of manifests, of archives.
CALLED_BY_CODE = {"_wrong": "error", "Refused": "error"}
# Given from a table of tuples, or a loop; what else is in the file is seen.
FROM_TABLES = {
    *("parent-folder", "odd-character", "colon-in-name", "device-name", "not-portable"),
    *("path-too-long", "symbolic-link", "hard-link", "device", "fifo", "sparse-file"),
    *("odd-member", "citation-missing", "licence-missing", "species-missing"),
    *("acronym-missing", "name-missing", "space-unknown"),
}


def test_every_code_that_the_source_gives_is_listed_with_its_severity() -> None:
    """Readers, model, store and build give the codes of the table, as grave as it says."""
    seen = [one for one in given() if CODE.fullmatch(one[0])]
    assert len(seen) > 150
    strangers = [one for one in seen if one[0] not in KINDS]
    assert strangers == []
    graver = [one for one in seen if one[1] not in {None, KINDS[one[0]].severity}]
    assert graver == []


def test_every_code_that_is_listed_is_given() -> None:
    """The table has no code that nothing gives, and none twice."""
    assert set(KINDS) - {one[0] for one in given()} <= FROM_TABLES
    for code in FROM_TABLES:
        assert any(f'"{code}"' in one.read_text(encoding="utf-8") for one in MAKERS), code
    assert len(KINDS) == len(atlas_codes.ROWS) + len(source_codes.ROWS)


def test_each_code_says_what_and_how_to_mend() -> None:
    """Every row of the table is whole."""
    for kind in KINDS.values():
        assert kind.meaning.endswith(".")
        assert kind.mend.endswith(".")
