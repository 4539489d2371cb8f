"""Tables in Parquet files, a batch of rows at a time: read as pandas reads all, and written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
import pandas as pd

# Of a column: row groups may be as long as the file, and would be read whole.
_READ_AHEAD = 1 << 20
_UNNAMED_INDEX = "__index_level_"


class ParquetTable:
    """A Parquet file that was opened.

    Parameters
    ----------
    stream
        Can be sought; pyarrow must be there.

    Attributes
    ----------
    rows
        How many it has.
    names
        Of its columns. An index that pandas stored is a column if it has a name.
    """

    def __init__(self, stream: BinaryIO) -> None:
        from pyarrow import parquet

        # Buffering ahead keeps what was read until the end: all of the file.
        self._file = parquet.ParquetFile(stream, buffer_size=_READ_AHEAD, pre_buffer=False)
        self.rows: int = self._file.metadata.num_rows
        schema = self._file.schema_arrow
        indices = _index_columns(schema.metadata)
        # An index of evenly spaced numbers is stated, not stored.
        self._stated = {str(one["name"]): one for one in indices if not isinstance(one, str)}
        leading = [one for one in indices if isinstance(one, str) and one in schema.names]
        if all(str(one).startswith(_UNNAMED_INDEX) for one in leading):
            dropped, leading = leading, []
        else:
            dropped = []
        self.names = [*self._stated, *leading]
        self.names += [one for one in schema.names if one not in (*leading, *dropped)]
        self._nullable = _may_miss_numbers(self._file)

    def head(self) -> pd.DataFrame:
        """Return the table without rows: its columns and their types."""
        return self._frame(self._file.schema_arrow.empty_table(), 0)[self.names]

    def batches(self, rows: int, names: Sequence[str]) -> Iterator[pd.DataFrame]:
        """Yield columns of consecutive rows."""
        first, stored = 0, [name for name in names if name not in self._stated]
        for batch in self._file.iter_batches(rows, columns=stored, use_threads=False):
            yield self._frame(batch, first)[list(names)]
            first += len(batch)

    def _frame(self, batch: Any, first: int) -> pd.DataFrame:
        """Return a batch; all have the same types, wherever numbers are missing."""
        bare = batch.replace_schema_metadata(None)
        frame: pd.DataFrame = bare.to_pandas(types_mapper=self._type)
        for name, index in self._stated.items():
            frame[name] = index["start"] + index["step"] * np.arange(first, first + len(frame))
        return frame

    def _type(self, kind: Any) -> Any:
        """Return the pandas type of an arrow type, None for its usual one."""
        return _foreign_type(kind) or (_nullable_type(kind) if self._nullable else None)


def _index_columns(metadata: Mapping[bytes, bytes] | None) -> list[Any]:
    """Return the stored indices that pandas noted, and what else it noted of names."""
    try:
        stated = json.loads((metadata or {}).get(b"pandas", b"{}"))
        found = stated.get("index_columns") or []
    except (ValueError, AttributeError):
        return []
    return [one for one in found if isinstance(one, str) or (one or {}).get("name") is not None]


def _may_miss_numbers(file: Any) -> bool:
    """Say whether whole numbers, or yes and no, may be missing somewhere."""
    groups = (file.metadata.row_group(place) for place in range(file.metadata.num_row_groups))
    for group in groups:
        for place in range(group.num_columns):
            column = group.column(place)
            if column.physical_type in ("INT32", "INT64", "BOOLEAN"):
                known = column.statistics
                if known is None or not known.has_null_count or known.null_count:
                    return True
    return False


def _foreign_type(kind: Any) -> Any:
    """Return a type for what pandas would hold as objects, of which the type is not known again."""
    from pyarrow import types

    tests = (types.is_nested, types.is_decimal, types.is_date, types.is_time, _is_bytes)
    return pd.ArrowDtype(kind) if any(test(kind) for test in tests) else None


def _is_bytes(kind: Any) -> bool:
    from pyarrow import types

    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    )


def _nullable_type(kind: Any) -> Any:
    """Return the pandas type with missing values of an arrow type, None for its usual one."""
    return {
        "bool": pd.BooleanDtype(),
        **{f"int{bits}": getattr(pd, f"Int{bits}Dtype")() for bits in (8, 16, 32, 64)},
        **{f"uint{bits}": getattr(pd, f"UInt{bits}Dtype")() for bits in (8, 16, 32, 64)},
    }.get(str(kind))


class ParquetRows:
    """A Parquet file that is being written; its columns are those of the first part.

    Parameters
    ----------
    path
        The file.
    metadata
        For its schema.
    """

    def __init__(self, path: Path, metadata: Mapping[bytes, bytes]) -> None:
        self._path, self._metadata = path, dict(metadata)
        self._writer: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, frame: pd.DataFrame) -> None:
        """Add rows."""
        from pyarrow import parquet

        table = _arrow_table(frame)
        if self._writer is None:
            known = table.schema.metadata or {}
            schema = _settled(table.schema).with_metadata({**known, **self._metadata})
            self._writer = parquet.ParquetWriter(self._path, schema)
        if len(frame):
            self._writer.write_table(table.cast(self._writer.schema))


def _arrow_table(frame: pd.DataFrame) -> Any:
    """Return a table in which categories are counted in 32 bits, however many this part has."""
    import pyarrow as pa

    table = pa.Table.from_pandas(frame, preserve_index=False)
    for place, name in enumerate(frame.columns):
        if isinstance(frame[name].dtype, pd.CategoricalDtype):
            codes = frame[name].cat.codes.to_numpy().astype("int32")
            texts = pa.array(frame[name].cat.categories.astype(str).tolist(), pa.string())
            column = pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), texts)
            table = table.set_column(place, str(name), column)
    return table


def _settled(schema: Any) -> Any:
    """Return a schema in which a column that is empty so far is one of text."""
    import pyarrow as pa

    return pa.schema([f.with_type(pa.string()) if pa.types.is_null(f.type) else f for f in schema])
