"""Marks readings that are far from the rest of their device."""

import statistics
from collections import defaultdict
from dataclasses import dataclass

import flowc
import pyarrow as pa


@dataclass
class Marks:
    """What counts as far."""

    threshold: float


@flowc.stage(
    reads=["device", "degrees"],
    classes={"rows": "per-segment"},
    adds={"score": flowc.nullable(pa.float64()), "unusual": pa.bool_()},
)
def marked(rows: pa.RecordBatch, config: Marks):
    """Holds every reading against the others of its device, in deviations from their median."""
    of_device = defaultdict(list)
    pairs = list(zip(rows["device"].to_pylist(), rows["degrees"].to_pylist()))
    for device, degrees in pairs:
        if degrees is not None:
            of_device[device].append(degrees)
    scores = [score(degrees, of_device[device]) for device, degrees in pairs]
    return {"score": scores, "unusual": [score is not None and abs(score) > config.threshold for score in scores]}


def score(degrees: float | None, all_of_device: list[float]) -> float | None:
    """How far a reading is from the median, by the median deviation: one reading that is off does not hide itself."""
    if degrees is None:
        return None
    middle = statistics.median(all_of_device)
    spread = 1.4826 * statistics.median(abs(other - middle) for other in all_of_device)
    return round((degrees - middle) / spread, 2) if spread else 0.0
