"""Write the tables of ``reference/findings.md`` from the table of codes.

``python docs/findings_table.py`` renews the page; a test runs the same function and finds nothing
to renew.
"""

from __future__ import annotations

from pathlib import Path

from bg_atlasapi.build.validation import KINDS

PAGE = Path(__file__).with_name("reference") / "findings.md"
_MARK = "<!-- made by docs/findings_table.py -->"


def renewed(page: str) -> str:
    """Return the page with its tables as the codes are now."""
    head, _, _ = page.partition(_MARK)
    lines = [head + _MARK]
    for chapter in dict.fromkeys(kind.chapter for kind in KINDS.values()):
        lines += [
            "",
            f"## {chapter}",
            "",
            "| code | severity | what | how to mend |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| `{kind.code}` | {kind.severity} | {kind.meaning} | {kind.mend} |"
            for kind in KINDS.values()
            if kind.chapter == chapter
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
