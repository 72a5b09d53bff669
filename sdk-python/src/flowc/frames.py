"""What a parameter is given: record batches or tables of pyarrow, or data frames of pandas or polars."""

from __future__ import annotations

import importlib.util
from typing import Any, Literal

import pyarrow as pa

Frame = Literal["arrow", "pandas", "polars"]


def frame_of(annotation: Any) -> Frame | None:
    """The library whose data frame this type is, if it is one. Imports nothing."""
    library = (getattr(annotation, "__module__", None) or "").partition(".")[0]
    if getattr(annotation, "__name__", None) != "DataFrame":
        return None
    return "pandas" if library == "pandas" else "polars" if library == "polars" else None


def to_frame(rows: pa.RecordBatch | pa.Table, frame: Frame) -> Any:
    """These rows, as the library calls for them."""
    if frame == "pandas":
        return rows.to_pandas()
    if frame == "polars":
        import polars

        return polars.from_arrow(rows)
    return rows


def is_frame(value: object, library: Literal["pandas", "polars"]) -> bool:
    """Whether this is a data frame of that library."""
    return frame_of(type(value)) == library and importlib.util.find_spec(library) is not None
