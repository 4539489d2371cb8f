"""Which files here are tests, and how wide the terminal of the examples is."""

from __future__ import annotations

import pytest

collect_ignore_glob = ["*.py", "images/*.py"]  # tools of the documentation, with needs of their own


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
