"""What a stage does with a config and with its inputs, for the planner."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from .secrets import Secrets

if TYPE_CHECKING:
    from .model import Class, Phase

ROW = pa.field("row", pa.uint64(), nullable=False)
"""The first column of what is sent for picked rows: numbers of the input's rows."""


@dataclass(frozen=True)
class Rows:
    """What an output does to the rows of an input."""

    relation: Literal["same", "subset", "new"]
    input: int = 0


@dataclass(frozen=True)
class Sent:
    """What a stage sends for an output."""

    rows: Rows
    written: pa.Schema


@dataclass(frozen=True)
class InputDescription:
    """What the stage needs of an input."""

    needs: Class
    reads: tuple[int, ...]
    keys: tuple[int, ...]


@dataclass(frozen=True)
class OutputDescription:
    """What the stage gives on an output."""

    schema: pa.Schema
    rows: Rows
    passed: tuple[int | None, ...]
    """Per column, which one of the input it is; None if the stage writes it."""

    def sent(self) -> Sent:
        """What the stage sends for it."""
        fields = [field for field, passed in zip(self.schema, self.passed, strict=True) if passed is None]
        return Sent(self.rows, pa.schema([ROW, *fields] if self.rows.relation == "subset" else fields))


@dataclass(frozen=True)
class Description:
    """All of it."""

    inputs: tuple[InputDescription, ...]
    outputs: tuple[OutputDescription, ...]
    partial: pa.Schema | None
    parts: int


@dataclass(frozen=True)
class Opening:
    """What an invocation of a stage starts with."""

    config: dict[str, Any]
    phase: Phase
    part: int
    inputs: tuple[pa.Schema, ...]
    outputs: tuple[Sent, ...]
    main: int | None = None
    invocation: str = ""
    serialization: str = "arrow"
    """What batches are made of, on all streams."""
    secrets: Secrets = field(default_factory=Secrets)

    def main_schema(self) -> pa.Schema:
        """Columns of the main input; none if there are no inputs."""
        return pa.schema([]) if self.main is None else self.inputs[self.main]


@dataclass(frozen=True)
class Column:
    """Where a column after a step comes from: a place in the frame before it, or in what its stage sends."""

    is_kept: bool
    place: int


@dataclass(frozen=True)
class Step:
    """A stage of a chain.

    From one to the next go frames: batches of the columns that a later stage reads, or that are sent at the end.
    """

    stage: str
    opening: Opening
    reads: tuple[int, ...]
    """Per column that the stage is given, its place in the frame before it."""
    frame: tuple[Column, ...]
    schema: pa.Schema
    """Of the frame after it."""
    is_plain: bool = False
    """Whether the stage is given all of its input, and all that it sends goes on."""
