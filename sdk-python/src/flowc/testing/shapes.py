"""Merging partials in trees of several shapes: a combining stage must not depend on the tree."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from typing import Any

import pyarrow as pa

Merge = Callable[[Iterable[pa.Table]], pa.Table]


def check_agreement(
    whole: pa.Table, partials: list[pa.Table], merge: Merge, finish: Callable[[pa.Table], list[pa.Table]]
) -> list[pa.Table]:
    """The outputs, if all shapes lead to the same ones. `whole` is the one partial of all rows."""
    shapes: dict[str, Callable[[], pa.Table]] = {
        "one partial of all rows": lambda: whole,
        "all partials merged at once": lambda: merge(partials),
        "partials merged one after the other": lambda: reduce(lambda left, right: merge([left, right]), partials),
        "partials merged in pairs": lambda: _pairwise(partials, merge),
    }
    outcomes = {name: finish(shape()) for name, shape in shapes.items()}
    (first, due), *others = outcomes.items()
    for name, outputs in others:
        if not all(_agree(table, other) for table, other in zip(due, outputs, strict=True)):
            raise AssertionError(f"the result depends on how partials are merged\n{first}: {due}\n{name}: {outputs}")
    return due


def _pairwise(partials: list[pa.Table], merge: Merge) -> pa.Table:
    while len(partials) > 1:
        pairs = [partials[start : start + 2] for start in range(0, len(partials), 2)]
        partials = [merge(pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return partials[0]


def _agree(left: pa.Table, right: pa.Table) -> bool:
    """Whether the tables hold the same rows in the same order, but for the last digits of floating numbers."""
    if left.schema != right.schema or left.num_rows != right.num_rows:
        return False
    pairs = zip(_values(left), _values(right), strict=True)
    return all(_is_close(a, b) for a, b in pairs)


def _values(table: pa.Table) -> Iterator[Any]:
    return (value for column in table.columns for value in column.to_pylist())


def _is_close(left: Any, right: Any) -> bool:
    if not (isinstance(left, float) and isinstance(right, float)):
        return bool(left == right)
    return math.isclose(left, right) or (math.isnan(left) and math.isnan(right))
