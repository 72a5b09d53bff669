"""Writes a text column in capitals."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

import flowc


@dataclass
class Config:
    """The config: `config { column "line" }` in the pipeline."""

    column: str


@flowc.stage(
    reads=lambda config: [config.column],
    adds=lambda schema, config: {config.column: flowc.nullable(pa.string())},
)
def capitals(rows: pa.RecordBatch, config: Config):
    """Writes a text column in capitals."""
    return pc.utf8_upper(rows[config.column])
