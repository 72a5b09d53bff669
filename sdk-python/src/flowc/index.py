"""The index of pandas, which says to which row a value belongs."""

from __future__ import annotations

from typing import Any

from .problem import Breach


def by_rows(values: Any) -> Any:
    """The values of a series in the order of the rows, as pandas itself puts them there."""
    import numpy as np  # pandas needs it; a stage without pandas may do without

    labels = values.index
    if getattr(labels, "step", 0) == 1:
        return values
    numbers = labels.to_numpy()
    order = np.argsort(numbers, kind="stable") if numbers.dtype.kind in "iu" else None
    if order is None or (np.diff(numbers[order]) != 1).any():
        raise Breach(
            "its pandas index does not hold the label of each row once, so that nobody knows to which rows the values "
            "belong; give them the index of the rows (`.loc[rows.index]`), or the rows' order and no index "
            "(`.reset_index(drop=True)`, `.to_numpy()`)"
        )
    return values.iloc[order]
