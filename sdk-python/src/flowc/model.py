"""What a stage is, once its declaration has been read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pyarrow as pa

    from .config import ConfigType
    from .frames import Frame

Class = Literal["row-wise", "per-segment", "combining", "keyed", "whole"]
Phase = Literal["run", "partial", "merge", "finish"]

Names = Sequence[str] | Callable[[Any], Sequence[str]]
"""Names of columns, or a function that makes them of the config."""

Declared = Any
"""Columns: a schema, a `Columns` class, a dict of types, or a function of the input schemas (and the config)."""


class Given(Enum):
    """How the rows of an input are handed to the code."""

    BATCH = "one call per batch"
    BATCHES = "an iterator of batches"
    ONE = "all of them in one batch"
    TABLE = "all of them in a table"


@dataclass(frozen=True)
class Parameter:
    """A parameter that is given rows."""

    name: str
    given: Given
    frame: Frame
    columns: pa.Schema | None
    """The columns that it reads, where they are declared by a class."""


@dataclass(frozen=True)
class Input:
    """An input port."""

    name: str
    needs: Class
    columns: pa.Schema | None = None
    reads: Names | None = None
    keys: Names = ()


@dataclass(frozen=True)
class New:
    """An output of the stage's own rows."""

    schema: Declared


@dataclass(frozen=True)
class Adds:
    """An output of the input's rows, in order, with columns added or replaced."""

    columns: Declared
    drops: Sequence[str] = ()


@dataclass(frozen=True)
class Picks:
    """An output of some of the input's rows: the code gives a mask."""

    drops: Sequence[str] = ()


@dataclass(frozen=True)
class Output:
    """An output port."""

    name: str
    makes: New | Adds | Picks
    is_optional: bool = False


@dataclass(frozen=True)
class Keyed:
    """The class of an input whose rows come together by key: `classes={"rows": flowc.Keyed("customer")}`."""

    columns: Names

    def __init__(self, *columns: str | Callable[[Any], Sequence[str]]) -> None:
        by_config = [column for column in columns if callable(column)]
        object.__setattr__(self, "columns", by_config[0] if by_config else columns)


@dataclass(frozen=True)
class Batching:
    """How many rows a call gets, whatever the batches that come: `batch=flowc.Batching(rows=256, seconds=0.05)`.

    Rows wait until there are `rows` of them, or until the first has waited for `seconds`, or for the end of the input.
    """

    rows: int
    seconds: float = 0.05

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ValueError(f"a batch has at least one row, not {self.rows}")
        if not self.seconds >= 0:
            raise ValueError(f"rows can't wait for {self.seconds} seconds")


@dataclass(frozen=True)
class Call:
    """A function or method of the author, and what its parameters are."""

    parameters: tuple[Parameter, ...]
    returns: Any
    has_config: bool
    has_part: bool
    is_async: bool


@dataclass(frozen=True)
class Stage:
    """A stage as it was declared."""

    name: str
    doc: str
    code: Any
    """The function or class."""
    config: ConfigType
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    calls: Mapping[Phase, Call]
    partial: Declared | None = None
    parts: int | Callable[[Any], int] = 1
    concurrency: int = 8
    batch: Batching | None = None
    is_class: bool = False

    def outputs_in(self, phase: Phase) -> tuple[Output, ...]:
        """The outputs in a phase: partials and merges make a partial alone."""
        return self.outputs if phase in ("run", "finish") else (Output("partial", New(self.partial)),)

    def input_of_rows(self) -> int:
        """The input whose rows `Adds` and `Picks` are about: the one that drives the stage, or the first."""
        driving = ("row-wise", "per-segment", "combining")
        return next((number for number, port in enumerate(self.inputs) if port.needs in driving), 0)
