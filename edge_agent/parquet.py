"""The record as Parquet, for whoever has pyarrow: a station does without it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from contracts.errors import ConfigurationError
from edge_agent.extract import CSV_COLUMNS, MOMENTS

_NUMBERS = ("defect_score", "threshold", "latency_seconds", "review_from")
_WHOLE = ("sequence", "thresholds_number")
_GROUP = 10_000  # rows of one group in the file


def write_parquet(lines: Iterable[str], path: Path) -> int:
    """Lines of CSV (see `edge_agent.extract.csv_lines`, not for spreadsheets) as one file; returns how many rows.

    Raises ConfigurationError where pyarrow is missing.
    """
    arrow, parquet = load_pyarrow()
    schema = arrow.schema([(column, _type(arrow, column)) for column in CSV_COLUMNS])
    rows, written = _rows(lines), 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while group := list(islice(rows, _GROUP)):
            columns = {column: [_value(column, row[column]) for row in group] for column in CSV_COLUMNS}
            writer.write_batch(arrow.RecordBatch.from_pydict(columns, schema=schema))
            written += len(group)
    return written


def load_pyarrow() -> tuple[Any, Any]:
    """The modules `pyarrow` and `pyarrow.parquet`. Raises ConfigurationError where they are missing."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise ConfigurationError(
            f"Parquet needs pyarrow, which does not load ({error}); install it with pip install "
            "-c constraints.txt '.[parquet]' (170 MB), or use --format csv"
        ) from error
    return pyarrow, parquet


def _rows(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    return csv.DictReader(line for piece in lines for line in io.StringIO(piece, newline=""))


def _value(column: str, text: str) -> Any:
    if text == "":
        return None
    if column in MOMENTS:
        return datetime.fromisoformat(text)
    if column in _NUMBERS:
        return float(text)
    return int(text) if column in _WHOLE else text


def _type(arrow: Any, column: str) -> Any:
    if column in MOMENTS:
        return arrow.timestamp("us", tz="UTC")
    if column in _NUMBERS:
        return arrow.float64()
    return arrow.int64() if column in _WHOLE else arrow.string()
