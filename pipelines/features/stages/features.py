"""Features of short texts."""

from collections.abc import Iterator
from dataclasses import dataclass

import flowc
import pyarrow as pa
import pyarrow.compute as pc


@flowc.stage(reads=["text"], adds={"words": pa.int32(), "shouted": pa.float64()})
def shape(rows: pa.RecordBatch) -> dict[str, pa.Array]:
    """Counts the words of a text, and says which part of its letters are capitals."""
    words = pc.list_value_length(pc.split_pattern_regex(pc.utf8_trim_whitespace(rows["text"]), r"\s+"))
    letters = pc.utf8_length(pc.replace_substring_regex(rows["text"], r"\P{L}", ""))
    capitals = pc.utf8_length(pc.replace_substring_regex(rows["text"], r"\P{Lu}", ""))
    some = pc.max_element_wise(letters, 1)
    return {"words": words, "shouted": pc.round(pc.divide(capitals.cast(pa.float64()), some), 3)}


@dataclass
class Tone:
    """Words that tell the tone of a text."""

    good: list[str]
    bad: list[str]


@flowc.stage(reads=["text"], adds={"tone": pa.int32()})
def tone(rows: pa.RecordBatch, config: Tone) -> list[int]:
    """Counts good words, less bad ones."""
    good, bad = set(config.good), set(config.bad)
    texts = (text.lower().replace(".", " ").replace(",", " ").split() for text in rows["text"].to_pylist())
    return [sum((word in good) - (word in bad) for word in words) for words in texts]


class PerProduct(flowc.Columns):
    product: str
    reviews: int
    tone: int


@flowc.stage(reads=["product", "tone"])
class products:
    """The number of reviews and the sum of their tone, product by product."""

    def partial(self, batches: Iterator[pa.RecordBatch]) -> flowc.Batch[PerProduct]:
        rows = pa.Table.from_batches(batches)
        ones = rows.append_column("reviews", pa.repeat(1, rows.num_rows))
        return self.sums(ones)

    def merge(self, partials: Iterator[flowc.Batch[PerProduct]]) -> flowc.Batch[PerProduct]:
        return self.sums(pa.Table.from_batches(partials))

    def finish(self, partial: flowc.Batch[PerProduct]) -> flowc.Batch[PerProduct]:
        return partial

    def sums(self, rows: pa.Table) -> pa.Table:
        sums = rows.group_by("product").aggregate([("reviews", "sum"), ("tone", "sum")]).sort_by("product")
        return sums.select(["product", "reviews_sum", "tone_sum"]).rename_columns(["product", "reviews", "tone"])
