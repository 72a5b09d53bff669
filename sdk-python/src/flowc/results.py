"""The rows of what a run of a pipeline has made, as pyarrow's tables and batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

Rows = Callable[[], pa.RecordBatchReader]


@dataclass(frozen=True)
class Sink:
    """Where a sink writes, and how."""

    name: str
    folder: Path
    """Of the pipeline."""
    spec: Mapping[str, Any]

    def arrow_file(self) -> Path | None:
        """Its file, if it is one of Arrow: what is there can be used as it is."""
        target = self.spec["target"]
        is_file = isinstance(target, dict) and "file" in target and self.spec["format"] == "arrow"
        return self.folder / str(target["file"]) if is_file else None


class Readable:
    """What has rows."""

    _rows: Rows

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in batches, which are mapped into memory."""
        return iter(self._rows())

    def table(self) -> pa.Table:
        """All rows, mapped into memory."""
        return self._rows().read_all()


@dataclass(frozen=True)
class Stream(Readable):
    """A stream as a run left it."""

    name: str
    key: str
    """Identifies the rows, by all that they depend on."""
    _rows: Rows = field(repr=False, compare=False)


@dataclass(frozen=True)
class Output(Readable):
    """What a run has written into a sink."""

    name: str
    stream: str
    """The stream that it holds."""
    digest: str
    """Of the rows, whatever the sink's form."""
    rows: int
    _rows: Rows = field(repr=False, compare=False)


def mapped_file(path: str | Path) -> pa.RecordBatchReader:
    """The rows of an Arrow file."""
    reader = pa.ipc.open_file(pa.memory_map(str(path)))
    batches = map(reader.get_batch, range(reader.num_record_batches))
    return pa.RecordBatchReader.from_batches(reader.schema, batches)


def mapped_stream(path: str | Path) -> pa.RecordBatchReader:
    """The rows of a file that holds an Arrow stream. It may be removed while they are in use."""
    return pa.ipc.open_stream(pa.memory_map(str(path)))
