"""A Parquet table as lines of comma-separated values, which formats read as they read any table."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from gptdiag.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MAGIC = b"PAR1"
_MOST_CELLS = 20_000_000
_MOST_BYTES = 1 << 29  # of columns, unpacked
_LONGEST_WORDS = 200  # bytes per row; a column with more holds texts, not names


def csv_lines(path: str) -> list[str]:
    """Return the numbers and short words of a table, the names of the columns first.

    Raises:
        InputError: pyarrow is missing, or the file is damaged, too large or without numbers.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise InputError(
            f"{path} is a Parquet file: reading it needs pyarrow", "pip install 'gptdiag[parquet]'"
        ) from error
    try:
        file = pq.ParquetFile(path)
        return _lines(file.read(columns=_columns(path, file)))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: this Parquet file cannot be read ({error})") from error


def _columns(path: str, file: pq.ParquetFile) -> list[str]:
    """Return the columns that may be of a log, by the schema: nothing large is unpacked."""
    import pyarrow.types as kinds

    metadata, schema = file.metadata, file.schema_arrow
    sizes = dict.fromkeys(schema.names, 0)
    for group in range(metadata.num_row_groups):
        for k in range(metadata.num_columns):
            column = metadata.row_group(group).column(k)
            if column.path_in_schema in sizes:
                sizes[column.path_in_schema] += column.total_uncompressed_size
    numbers = [
        field.name
        for field in schema
        if kinds.is_integer(field.type)
        or kinds.is_floating(field.type)
        or kinds.is_decimal(field.type)
    ]
    if not numbers:
        names = ", ".join(schema.names[:10])
        raise InputError(f"{path}: a Parquet file without a column of numbers (it has {names})")
    words = [
        field.name
        for field in schema
        if _is_text(field) and sizes[field.name] <= _LONGEST_WORDS * metadata.num_rows
    ]
    chosen = {*numbers, *words}
    size = sum(sizes[name] for name in chosen)
    if metadata.num_rows * len(chosen) > _MOST_CELLS or size > _MOST_BYTES:
        raise InputError(
            f"{path}: a table of {metadata.num_rows:,} rows and {len(chosen)} columns is too large",
            "export the columns of the curves: step, loss, val_loss, lr",
        )
    return [name for name in schema.names if name in chosen]


def _is_text(field: pa.Field) -> bool:
    from pyarrow import types

    return bool(types.is_string(field.type) or types.is_large_string(field.type))


def _lines(table: pa.Table) -> list[str]:
    from pyarrow import compute, csv

    for k, field in enumerate(table.schema):
        if _is_text(field):
            plain = compute.replace_substring_regex(table.column(k), r"[\r\n]+", " ")
            table = table.set_column(k, field, plain)
    sink = io.BytesIO()
    csv.write_csv(table, sink)
    return sink.getvalue().decode("utf-8", errors="replace").splitlines()
