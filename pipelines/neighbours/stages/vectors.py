"""Vectors of short texts, without a model: each word counts towards one place, which a hash of it picks."""

import hashlib
import math
import re

import flowc
import pyarrow as pa

WIDTH = 64


@flowc.stage(reads=["text"], adds={"vector": flowc.nullable(pa.list_(pa.int8(), WIDTH))})
def hashed(rows: pa.RecordBatch) -> pa.Array:
    """Gives texts with the same words vectors of the same direction."""
    return pa.array([text and vector(text) for text in rows["text"].to_pylist()], pa.list_(pa.int8(), WIDTH))


def vector(text: str) -> list[int]:
    sums = [0] * WIDTH
    for word in re.findall(r"\w+", text.lower()):
        digest = hashlib.blake2b(word.encode(), digest_size=2).digest()
        sums[digest[0] % WIDTH] += 1 if digest[1] % 2 else -1
    length = math.sqrt(sum(value * value for value in sums)) or 1.0
    return [round(127 * value / length) for value in sums]
