"""Tables that are written some rows at a time."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bg_atlasapi.errors import InvalidInputError
from bg_atlasapi.formats.table_files import table_writer, write_table

FRAME = pd.DataFrame(
    {
        "id": np.arange(10),
        "acronym": pd.Categorical([*"abcdefghi", None]),
        "x": [0.1] * 9 + [np.nan],
        "whole": pd.array([*range(9), None], "Int64"),
        "text": [*"abcdefghij"],
        "empty": [None] * 10,
    }
)


@pytest.mark.parametrize("cuts", [[0, 10], [0, 0, 3, 3, 7, 10], [0, *range(1, 11)]])
@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "parquet"])
def test_parts_make_the_whole(tmp_path: Path, kind: str, cuts: list[int]) -> None:
    """A table in parts, each with categories of its own, is the table written at once."""
    target, whole = tmp_path / f"parts.{kind}", tmp_path / f"whole.{kind}"
    with table_writer(target) as add:
        for start, stop in pairwise(cuts):
            part = FRAME[start:stop].copy()
            part["acronym"] = part["acronym"].cat.remove_unused_categories()
            add(part)
        assert not target.exists()
    write_table(FRAME, whole)
    if kind != "parquet":
        assert target.read_text() == whole.read_text()
        return
    found = pd.read_parquet(target)
    assert found.to_csv() == pd.read_parquet(whole).to_csv()
    assert found["acronym"].dtype == "category"


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_an_error_midway_leaves_what_was_there(tmp_path: Path, kind: str) -> None:
    """Half a table never takes the place of a whole one."""
    target = tmp_path / f"t.{kind}"
    target.write_text("old")

    def write() -> None:
        with table_writer(target) as add:
            add(FRAME)
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        write()
    assert target.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == [target.name]


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_a_table_without_rows(tmp_path: Path, kind: str) -> None:
    """It has its columns; JSON, which has none, an empty list."""
    target = tmp_path / f"t.{kind}"
    with table_writer(target) as add:
        add(FRAME[:0])
    if kind == "json":
        assert target.read_text() == "[]"
    else:
        found = pd.read_parquet(target) if kind == "parquet" else pd.read_csv(target)
        assert found.columns.tolist() == FRAME.columns.tolist()
        assert len(found) == 0


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    """It is said before anything is made."""
    with (
        pytest.raises(InvalidInputError, match="no folder"),
        table_writer(tmp_path / "gone" / "t.csv"),
    ):
        pytest.fail("not reached")
