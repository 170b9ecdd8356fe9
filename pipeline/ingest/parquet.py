"""Parquet, as pandas, Polars and Hugging Face ``datasets`` write it; needs pyarrow."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.core.errors import DataError
from pipeline.ingest.hub_features import class_names, features_of, named
from pipeline.ingest.problems import show
from pipeline.ingest.rows import Row
from pipeline.ingest.settings import CorpusSettings
from pipeline.ingest.sources import Source

_ROWS = 1000


def read_parquet(source: Source, settings: CorpusSettings) -> Iterator[Row]:
    """Yields the rows of a Parquet file in order, a thousand in memory at a time.

    The line of a row is its number, from 1, and so is its id without an ``id`` field. Classes that
    ``datasets`` stored as numbers have their names.

    Raises:
        DataError: pyarrow is not installed.
    """
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise DataError(
            f"{source.path}: format parquet needs pyarrow: pip install 'icehouse[parquet]' (in the "
            "project's folder: pip install -e '.[parquet]')"
        ) from None
    try:
        with ParquetFile(source.path) as file:
            schema = file.schema_arrow
            missing = [name for name in settings.fields if name not in schema.names]
            for name in missing:
                source.problems.add(
                    source.at(0),
                    f"there is no column {show(name)}; there is {', '.join(schema.names)}",
                )
            if missing:
                return
            names = class_names(features_of(schema.metadata))
            told = number = 0
            for batch in file.iter_batches(batch_size=_ROWS, columns=settings.fields):
                for values in batch.to_pylist():
                    number += 1
                    for column in names.keys() & values.keys():
                        values[column] = named(values[column], names[column])
                    yield Row(source.at(number), source.number(number), values, source.split)
                size = source.path.stat().st_size * number // max(file.metadata.num_rows, 1)
                source.advance(size - told)
                told = size
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        source.problems.add(source.at(0), f"cannot be read as Parquet: {show(reason)}")
