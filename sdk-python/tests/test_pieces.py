"""Batches are cut by bytes, so that they can be sent."""

from collections.abc import Iterator

import pyarrow as pa
import pytest

import flowc
from flowc.pieces import pieces, size
from flowc.problem import Breach, Problem
from flowc.testing import run
from flowc.work import one_batch

ROWS = 100
TEXTS = [f"{number:04}" * 250 for number in range(ROWS)]
COLUMNS = {
    "text": pa.array(TEXTS),
    "large": pa.array(TEXTS, pa.large_string()),
    "view": pa.array(TEXTS, pa.string_view()),
    "bytes_view": pa.array([text.encode() for text in TEXTS], pa.binary_view()),
    "list": pa.array([[number] * 125 for number in range(ROWS)]),
    "nested": pa.array([{"a": [text], "b": None} for text in TEXTS]),
    "fixed": pa.array([bytes(1000)] * ROWS, pa.binary(1000)),
    "words": pa.array([text[:4] for text in TEXTS]).dictionary_encode(),
}


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr("flowc.pieces.MOST", 10_000)
    monkeypatch.setattr("flowc.pieces.MOST_OF_A_ROW", 50_000)


def sent(batch):
    return pa.ipc.get_record_batch_size(batch)


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_all_types_are_cut(small, name):
    batch = pa.record_batch({name: COLUMNS[name]})
    cut = list(pieces(batch))
    assert pa.Table.from_batches(cut).combine_chunks().equals(pa.Table.from_batches([batch]))
    if name == "words":
        assert cut == [batch]
    else:
        assert 10 <= len(cut) <= 20
        assert all(sent(piece) <= 11_000 for piece in cut)
    assert pa.Table.from_batches(pieces(batch.slice(3, 4))).equals(pa.Table.from_batches([batch.slice(3, 4)]))
    assert len(list(pieces(batch.slice(3, 4)))) == 1


def test_a_row_may_be_larger_than_a_batch(small):
    batch = pa.record_batch({"text": ["a", "b" * 20_000, "c"]})
    assert [piece.num_rows for piece in pieces(batch)] == [1, 1, 1]
    batch = pa.record_batch({"text": ["a", "b" * 60_000, "c"]})
    with pytest.raises(Breach, match=r"row 12 takes 0\.0 GiB, and a row has at most 2 GiB on its way; give it as"):
        list(pieces(batch, 10))


def test_rows_without_columns_are_one_piece(small):
    batch = pa.RecordBatch.from_struct_array(pa.nulls(1_000_000, pa.struct([])))
    assert [piece.num_rows for piece in pieces(batch)] == [1_000_000]
    assert size(batch) == 0


@flowc.stage(adds={"text": pa.string()})
def added(rows: Iterator[pa.RecordBatch]):
    for batch in rows:
        yield ["x" * 1000] * batch.num_rows


@flowc.stage(picks=True)
def picked(rows: pa.RecordBatch):
    return [number % 2 == 0 for number in range(rows.num_rows)]


@flowc.stage(output={"text": str})
def made(rows: pa.RecordBatch):
    return pa.table({"text": ["y" * 1000] * rows.num_rows})


@pytest.mark.parametrize("stage", [added, picked, made])
def test_results_do_not_depend_on_it(monkeypatch, stage):
    rows = pa.table({"id": range(1000)})
    due = run(stage, {"rows": rows})["out"]
    monkeypatch.setattr("flowc.pieces.MOST", 3_000)
    assert run(stage, {"rows": rows})["out"].equals(due)


def test_rows_are_settled_with_the_last_piece(small):
    @flowc.stage(picks=True)
    def stage(rows: pa.RecordBatch):
        return [True] * rows.num_rows

    from flowc.description import Rows, Sent
    from flowc.emit import Emitters
    from flowc.model import Output, Picks

    emitters = Emitters([Output("out", Picks())], [Sent(Rows("subset"), pa.schema([("row", pa.uint64())]))])
    found = [(batch.num_rows, settled) for _, batch, settled in emitters.batches([True] * 2000)]
    assert [settled for _, settled in found] == [0] * (len(found) - 1) + [2000]
    assert sum(rows for rows, _ in found) == 2000


def test_rows_that_do_not_fit_into_one_batch_are_not_lost():
    class Table:
        """As one of more text than offsets of 32 bits reach: pyarrow leaves it in several chunks."""

        nbytes = 3 << 30

        def combine_chunks(self):
            return pa.table({"text": pa.chunked_array([["a"], ["b"]])})

    with pytest.raises(Problem, match=r"all rows are to come in one batch, and their 3\.0 GiB don't fit into one"):
        one_batch(Table())
