"""What a run of a pipeline has written, as pyarrow's tables and batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

Rows = tuple[pa.Schema, Iterator[pa.RecordBatch]]

ENDINGS = {".gz": "gzip", ".zst": "zstd"}


@dataclass(frozen=True)
class Sink:
    """Where a sink writes, and how."""

    name: str
    folder: Path
    """Of the pipeline."""
    spec: Mapping[str, Any]

    def file(self) -> Path:
        """Its file; a sink of a directory has none."""
        target = self.spec["target"]
        if not isinstance(target, dict) or "file" not in target:
            raise ValueError(f"sink `{self.name}` writes no single file, which could be read as a table")
        return self.folder / str(target["file"])

    def format(self) -> tuple[str, Mapping[str, Any]]:
        """The format, and its properties."""
        format_ = self.spec["format"]
        name, properties = (format_, {}) if isinstance(format_, str) else next(iter(format_.items()))
        if name not in READERS:
            raise ValueError(f"sink `{self.name}` writes {name}; `{'`, `'.join(READERS)}` can be read as tables")
        return name, properties

    def compression(self) -> Any:
        """How the whole file is compressed."""
        stated = self.spec["compression"]
        found = ENDINGS.get(self.file().suffix) if stated == "auto" else stated
        return None if found == "none" else found


@dataclass(frozen=True)
class Output:
    """What a run has written into a sink."""

    name: str
    digest: str
    """Of the rows, whatever the file's format."""
    rows: int
    _sink: Callable[[], Sink] = field(repr=False, compare=False)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in batches, read while they are drawn. Those of an Arrow file are mapped, not copied."""
        _, batches = self._read()
        return batches

    def table(self) -> pa.Table:
        """All rows."""
        schema, batches = self._read()
        return pa.Table.from_batches(batches, schema)

    def _read(self) -> Rows:
        sink = self._sink()
        name, properties = sink.format()
        return READERS[name](sink, properties)


def _arrow(sink: Sink, _properties: Mapping[str, Any]) -> Rows:
    reader = pa.ipc.open_file(pa.memory_map(str(sink.file())))
    return reader.schema, map(reader.get_batch, range(reader.num_record_batches))


def _parquet(sink: Sink, _properties: Mapping[str, Any]) -> Rows:
    from pyarrow import parquet

    file = parquet.ParquetFile(sink.file(), memory_map=True)
    return file.schema_arrow, file.iter_batches()


def _csv(sink: Sink, properties: Mapping[str, Any]) -> Rows:
    """Types are guessed by pyarrow, since CSV has none."""
    from pyarrow import csv

    stream: Any = pa.input_stream(str(sink.file()), compression=sink.compression())
    reader = csv.open_csv(
        stream,
        csv.ReadOptions(autogenerate_column_names=not properties["header"]),
        csv.ParseOptions(
            delimiter=properties["delimiter"],
            quote_char=properties["quote"],
            escape_char=properties["escape"] or False,
            newlines_in_values=True,
        ),
        csv.ConvertOptions(
            null_values=[properties["null"]], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
    return reader.schema, iter(reader)


READERS = {"arrow": _arrow, "parquet": _parquet, "csv": _csv}
