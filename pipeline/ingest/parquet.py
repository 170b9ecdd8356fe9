"""Parquet, as pandas, Polars and Hugging Face ``datasets`` write it; needs pyarrow."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.core.errors import DataError
from pipeline.core.reading import open_regular
from pipeline.ingest.hub_features import class_names, features_of, named
from pipeline.ingest.lines import LONGEST_ROW
from pipeline.ingest.problems import listed, show
from pipeline.ingest.rows import Row
from pipeline.ingest.settings import CorpusSettings
from pipeline.ingest.sources import Source

_ROWS = 1000

_MOST_VALUES = 1 << 27
_MOST_BYTES = 1 << 32
"""Values, and bytes, of a column in one group of rows: pages of it are taken apart in memory."""

_BEST_RATIO = 100
"""Rows that a byte of the file may stand for, which is more than rows of different texts take."""


def read_parquet(source: Source, settings: CorpusSettings) -> Iterator[Row]:
    """Yields the rows of a Parquet file in order, a thousand in memory at a time.

    The line of a row is its number, from 1, and so is its id without an ``id`` field. Classes that
    ``datasets`` stored as numbers have their names.

    Raises:
        DataError: pyarrow is not installed.
    """
    try:
        with parquet_file(source.path) as file:
            schema = file.schema_arrow
            missing = [name for name in settings.fields if name not in schema.names]
            for name in missing:
                source.problems.add(
                    source.at(0),
                    f"there is no column {show(name)}; there is {listed(schema.names)}",
                )
            if missing:
                return
            told = 0
            size = source.path.stat().st_size
            for number, values in enumerate(rows_of(file, settings.fields), start=1):
                if long := [name for name, value in values.items() if _is_long(value)]:
                    source.problems.add(
                        source.at(number),
                        f"field {show(long[0])} has more than {LONGEST_ROW:,} characters, or items",
                        advice="Reading stopped here",
                    )
                    return
                yield Row(source.at(number), source.number(number), values, source.split)
                if number % _ROWS == 0:
                    done = size * number // max(file.metadata.num_rows, 1)
                    source.advance(done - told)
                    told = done
            source.advance(size - told)
    except BadParquetError as error:
        source.problems.add(source.at(0), str(error))


class BadParquetError(Exception):
    """A file that is not Parquet, or not such as is read."""


@contextmanager
def parquet_file(path: Path) -> Iterator[Any]:
    """Opens a file that strings are read from as they are stored, equal ones once.

    Otherwise a few bytes could stand for a thousand strings of any size.

    Raises:
        BadParquetError: it cannot be read; also where that turns out later, in the block.
        DataError: pyarrow is not installed.
    """
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise DataError(
            f"{path}: format parquet needs pyarrow: pip install 'icehouse[parquet]' (in the "
            "project's folder: pip install -e '.[parquet]')"
        ) from None
    try:
        _parse_apart(path)
        with open_regular(path) as raw:
            metadata = ParquetFile(raw).metadata
            columns = [metadata.schema.column(place) for place in range(metadata.num_columns)]
            texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
            _refuse_bombs(metadata, path.stat().st_size)
            yield ParquetFile(raw, metadata=metadata, read_dictionary=texts)
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        reason = (str(error).splitlines() or ["it is damaged"])[0]
        if isinstance(error, OSError) and error.strerror:
            reason = error.strerror
        raise BadParquetError(f"cannot be read as Parquet: {show(reason)}") from None


_PARSE = """
from pyarrow.parquet import ParquetFile
metadata = ParquetFile(open(0, "rb")).metadata
for place in range(metadata.num_row_groups):
    group = metadata.row_group(place)
    for number in range(group.num_columns):
        group.column(number)
"""


def _parse_apart(path: Path) -> None:
    """Parses what a file says of its columns, first in a process of its own.

    Of some files that are damaged pyarrow says nothing, but ends the process.

    Raises:
        BadParquetError: it did.
    """
    with open_regular(path) as file:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-P", "-c", _PARSE], stdin=file, capture_output=True, check=False
        )
    if done.returncode < 0:
        raise BadParquetError("cannot be read as Parquet: what it says of its columns is damaged")


def rows_of(file: Any, columns: list[str]) -> Iterator[dict[str, Any]]:
    """Yields the rows of an open file, classes by their names.

    Raises:
        BadParquetError: a column holds neither values nor lists of values.
    """
    if unfit := set(columns) - set(fields_of(file)):
        raise BadParquetError(f"column {show(min(unfit))} holds neither values nor lists of them")
    names = class_names(features_of(file.schema_arrow.metadata))
    for batch in file.iter_batches(batch_size=_ROWS, columns=columns, use_threads=False):
        held = {name: _python(batch.column(name)) for name in columns}
        for row in range(batch.num_rows):
            values = {name: column[row] for name, column in held.items()}
            for column in names.keys() & values.keys():
                values[column] = named(values[column], names[column])
            yield values


def fields_of(file: Any) -> list[str]:
    """Columns of an open file that hold values, or lists of them."""
    found = []
    for field in file.schema_arrow:
        held = field.type.value_type if _is_list(field.type) else field.type
        if not held.num_fields:
            found.append(field.name)
    return found


def _refuse_bombs(metadata: Any, size: int) -> None:
    if metadata.num_rows > _BEST_RATIO * size:
        raise BadParquetError(f"says that it has {metadata.num_rows:,} rows, in {size:,} bytes")
    for place in range(metadata.num_row_groups):
        group = metadata.row_group(place)
        for number in range(group.num_columns):
            column = group.column(number)
            if column.num_values > _MOST_VALUES or column.total_uncompressed_size > _MOST_BYTES:
                raise BadParquetError(
                    f"column {show(column.path_in_schema)} has {column.num_values:,} values of "
                    f"{column.total_uncompressed_size:,} bytes in one group of rows; write the "
                    "file with fewer rows to a group"
                )


def _is_long(value: Any) -> bool:
    return isinstance(value, str | bytes | list) and len(value) > LONGEST_ROW


def _is_list(held: Any) -> bool:
    from pyarrow import types

    return bool(types.is_list(held) or types.is_large_list(held) or types.is_fixed_size_list(held))


def _python(array: Any) -> list[Any]:
    """An array as Python has it; equal strings of a dictionary are one object."""
    from pyarrow import compute, types

    if types.is_dictionary(array.type):
        used = array.indices.dictionary_encode()  # a batch has the dictionary of its whole group
        values = array.dictionary.take(used.dictionary).to_pylist()
        return [None if index is None else values[index] for index in used.indices.to_pylist()]
    if not _is_list(array.type):
        return list(array.to_pylist())
    items, begin, lists = _python(array.flatten()), 0, []
    for length in compute.list_value_length(array).to_pylist():
        lists.append(None if length is None else items[begin : begin + length])
        begin += length or 0
    return lists
