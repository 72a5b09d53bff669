"""Stored segments: files of flowc's store that are mapped here, and read where they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap


class Files:
    """The files that flowc has handed over, by their numbers."""

    def __init__(self) -> None:
        self._readers: dict[int, Any] = {}

    def put(self, number: int, mapping: mmap | None) -> None:
        """Takes a file, in place of one of the same number. That stays mapped while anything refers to its rows."""
        self._readers.pop(number, None)
        if mapping is not None:
            self._readers[number] = pa.ipc.open_file(pa.py_buffer(mapping))

    def batches(self, stored: dict[str, Any], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """The batches that a message stands for, as those of a stream of these columns."""
        if stored["file"] not in self._readers:
            raise OSError(
                "a file with stored rows could not be mapped: the stage has too many files open, or too little memory"
            )
        reader, places = self._readers[stored["file"]], stored["columns"]
        batches = map(reader.get_batch, range(*stored["batches"]))
        if reader.schema.equals(schema) and places == list(range(len(schema))):
            return batches
        return (_picked(batch, places, schema) for batch in batches)


def _picked(batch: pa.RecordBatch, places: list[int], schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([batch.column(place) for place in places], schema=schema)
