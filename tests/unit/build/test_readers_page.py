"""What the documentation says of the findings of readers."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import bg_atlasapi

SOURCE = Path(bg_atlasapi.__file__).parent
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "readers.md"
FILES = [
    *(SOURCE / "formats" / "label_tables").glob("*.py"),
    *(SOURCE / "build" / f"{name}.py" for name in ("placing", "volumes", "voxel_values")),
    *(SOURCE / "formats" / f"{name}.py" for name in ("image_frames", "nifti", "nrrd", "metaimage")),
]
SEVERITIES = ("error", "warning", "note")


def given() -> Iterator[tuple[str, str]]:
    """Yield code and severity of every finding that the source makes."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            words = [one.value for one in node.args if isinstance(one, ast.Constant)]
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name == "Finding" and isinstance(node.args[0], ast.Constant):
                yield words[0], next(word for word in words if word in SEVERITIES)
            elif name == "_tell" and len(words) > 1:
                yield words[0], words[1]
            elif name in SEVERITIES and words:
                yield words[0], name


def test_the_page_lists_every_code_with_its_severity() -> None:
    """No code is missing, none is there that nothing gives, and each has one severity."""
    text = PAGE.read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([\w-]+)` \| (error|warning|note) \|", text, re.MULTILINE)
    assert len(listed) == len(dict(listed))
    assert set(listed) == set(given())
