"""Which columns of a table are the coordinates of points, and the numbers in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bg_atlasapi.errors import InvalidInputError

# Column names that say which axis they are, first axis of the atlas first; case is ignored.
KNOWN_COLUMNS = (("x", "y", "z"), ("ap", "dv", "lr"), ("ap", "dv", "ml"))
MISSING = frozenset({"", "nan", "-nan", "na", "n/a", "<na>", "#n/a", "none", "null"})


def coordinates_of(
    frame: pd.DataFrame,
    asked: Sequence[str | int] | None,
    implied: tuple[str, str, str] | None,
    name: str,
) -> tuple[str, str, str]:
    """Return the names of the three coordinate columns.

    Parameters
    ----------
    frame
        The table, or some rows of it.
    asked
        Names or 0-based positions of the columns, if they were named.
    implied
        The columns of a format that has always the same.
    name
        Of the table, for messages.

    Raises
    ------
    InvalidInputError
        If there are no three.
    """
    found = ", ".join(frame.columns)
    if asked is not None:
        picked = [_column(frame, column, name) for column in asked]
        if len(picked) != 3 or len(set(picked)) != 3:
            message = f"Coordinates are three different columns, got {list(asked)} ({name})."
            raise InvalidInputError(message)
        return (picked[0], picked[1], picked[2])
    if implied is not None:
        return implied
    spellings: dict[str, list[str]] = {}
    for column in frame.columns:
        spellings.setdefault(column.strip().lower(), []).append(column)
    for known in KNOWN_COLUMNS:
        if all(len(spellings.get(axis, ())) == 1 for axis in known):
            first, second, third = (spellings[axis][0] for axis in known)
            return (first, second, third)
    # A first column without a name is an index that somebody's table was saved with.
    numeric = [c for c in frame.columns if c and pd.api.types.is_any_real_numeric_dtype(frame[c])]
    if len(numeric) == 3:
        return (numeric[0], numeric[1], numeric[2])
    message = (
        f"{name} has no columns x, y, z and not exactly three columns of numbers; name the three "
        f"coordinate columns (columns=, --columns). Found: {found}."
    )
    raise InvalidInputError(message)


def _column(frame: pd.DataFrame, asked: str | int, name: str) -> str:
    names = [str(column) for column in frame.columns]
    text = str(asked).strip()
    if text in names:
        return text
    alike = [column for column in names if column.strip().lower() == text.lower()]
    if len(alike) == 1:
        return alike[0]
    if text.isascii() and text.isdecimal() and int(text) < len(names):
        return names[int(text)]
    message = f"{name} has no column {text!r}; it has: {', '.join(names)}."
    raise InvalidInputError(message)


def numbers_of(column: pd.Series[Any], name: str, first: int = 0) -> npt.NDArray[np.float64]:
    """Return the numbers of a column, NaN where a cell is empty.

    Parameters
    ----------
    column
        Numbers, or text that says numbers.
    name
        Of the table, for messages.
    first
        Row of the table that the column begins at.

    Raises
    ------
    InvalidInputError
        If a cell is neither a number nor empty.
    """
    if pd.api.types.is_any_real_numeric_dtype(column):
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    text = column.astype("string").str.strip()
    text = text.mask(text.str.lower().isin(MISSING))
    numbers = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = np.flatnonzero(np.isnan(numbers) & text.notna().to_numpy(dtype=bool))
    if len(wrong):
        message = (
            f"{name}: the coordinate column {column.name!r} must hold numbers, but row "
            f"{first + wrong[0] + 1} says {str(text.iloc[wrong[0]])[:40]!r}."
        )
        raise InvalidInputError(message)
    return np.asarray(numbers)
