"""What points may be handed over as: an array, a table, a file, or something lazy of Dask's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

from bg_atlasapi.errors import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd

Columns = Sequence[str | int] | None


def is_file(points: Any) -> TypeGuard[str | os.PathLike[str]]:
    """Say whether points are named by the file they lie in; a text must end like a file's name."""
    return isinstance(points, os.PathLike) or (isinstance(points, str) and "." in points)


def is_lazy(points: Any) -> bool:
    """Say whether points are a collection of Dask's, without importing it."""
    return hasattr(points, "__dask_graph__")


def is_table(points: Any) -> bool:
    """Say whether points are a table with named columns, of pandas or Dask."""
    # Asked of the type: a value that Dask has yet to make claims every attribute.
    return hasattr(type(points), "columns") and hasattr(type(points), "iloc")


def coordinates(frame: pd.DataFrame, columns: Columns = None) -> list[Any]:
    """Return the three coordinate columns of a table, in the atlas's axis order.

    Parameters
    ----------
    frame
        The table, or its first rows. Three columns are taken as they stand; of more, they are found
        by name as in files (see ``formats.points_files.read_points``).
    columns
        Names or 0-based positions of the three.

    Raises
    ------
    InvalidInputError
        If there are no three.
    """
    from bg_atlasapi.formats.points_columns import coordinates_of

    named = frame.set_axis([str(column) for column in frame.columns], axis=1)
    if not named.columns.is_unique:
        raise InvalidInputError("The table of points has two columns of the same name.")
    if columns is None and frame.shape[1] == 3:
        return list(frame.columns)
    picked = coordinates_of(named, columns, None, "The table of points")
    return [frame.columns[named.columns.get_loc(one)] for one in picked]


def as_numbers(points: Any, columns: Columns = None) -> tuple[Any, Any]:
    """Return points as what ``as_points`` takes, and the index of their rows, None of an array.

    Parameters
    ----------
    points
        An array or a table of pandas.
    columns
        Of a table, as in ``coordinates``.

    Raises
    ------
    InvalidInputError
        If columns of something that is no table are named, or there are no three.
    """
    if not is_table(points):
        if columns is not None:
            message = f"columns= names columns of a table or file, not of {type(points).__name__}."
            raise InvalidInputError(message)
        return points, None
    return points[coordinates(points, columns)], points.index
