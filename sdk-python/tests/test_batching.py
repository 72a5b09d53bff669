"""Dynamic batching: how rows are gathered for calls, whatever the batches that come and however long they take."""

import math
import threading

import pyarrow as pa
import pytest
from chained import Chain

import flowc
from flowc.declare import stage_of
from flowc.describe import describe
from flowc.description import Opening
from flowc.testing import run
from flowc.work import Work

SCHEMA = pa.schema([("id", pa.int64())])
ROWS = pa.table({"id": range(10)})
PATIENCE_SECONDS = 60
"""After which a test that waits in vain fails."""


def batch(first, rows):
    return pa.record_batch([pa.array(range(first, first + rows), pa.int64())], schema=SCHEMA)


def cut(*sizes):
    """The ids from 0 in batches of these sizes."""
    return [batch(sum(sizes[:number]), size) for number, size in enumerate(sizes)]


def values(batches):
    return [value for batch in batches for value in batch.column(0).to_pylist()]


class Inlet:
    """An input of what an iterator gives, which may take its time."""

    schema = SCHEMA

    def __init__(self, batches):
        self.batches = iter(batches)
        self.rows = self.released = 0

    def read(self):
        assert self.released == self.rows, "rows that wait are released: there must be room for others"
        found = next(self.batches, None)
        self.rows += found.num_rows if found else 0
        return found

    def release(self, rows):
        self.released += rows

    def flush(self):
        pass


class Calls:
    """A stage that gives the ids again, and what its calls got."""

    def __init__(self, rows, seconds):
        self.got = []
        self.changed = threading.Condition()

        @flowc.stage(adds={"again": int}, batch=flowc.Batching(rows, seconds))
        def stage(rows: pa.RecordBatch):
            with self.changed:
                self.got.append(rows["id"].to_pylist())
                self.changed.notify_all()
            return rows["id"]

        self.stage = stage_of(stage)

    def over(self, batches):
        """What the stage gives for these."""
        (output,) = describe(self.stage, {}, [SCHEMA]).outputs
        opening = Opening({}, "run", 0, (SCHEMA,), (output.sent(),), main=0)
        return values(given for _, given, _ in Work(self.stage, opening).results([Inlet(batches)]))

    def wait_for(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.got) >= count, PATIENCE_SECONDS)


@pytest.mark.parametrize("sizes", [[10], [1] * 10, [4, 4, 2], [3, 0, 6, 1], [9, 1]])
def test_calls_get_the_rows_that_they_ask_for_and_the_last_one_the_rest(sizes):
    calls = Calls(rows=4, seconds=math.inf)
    assert calls.over(cut(*sizes)) == list(range(10))
    assert calls.got == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize("sizes", [[], [0, 0]])
def test_no_rows_are_no_call(sizes):
    calls = Calls(rows=4, seconds=math.inf)
    assert (calls.over(cut(*sizes)), calls.got) == ([], [])


def test_a_silent_input_does_not_hold_rows_up():
    calls = Calls(rows=100, seconds=0.01)

    def silent():
        yield batch(0, 3)
        calls.wait_for(1)
        yield batch(3, 2)

    assert calls.over(silent()) == list(range(5))
    assert calls.got == [[0, 1, 2], [3, 4]]


class Clock:
    """Stands still, but for what the test says."""

    now = 0.0

    def monotonic(self):
        return self.now


def test_rows_that_come_later_do_not_hold_the_first_up(monkeypatch):
    calls, clock = Calls(rows=100, seconds=0.1), Clock()
    monkeypatch.setattr("flowc.gather.time", clock)

    def dripping():
        for number in range(2):
            yield batch(number, 1)
            clock.now += 0.06
        calls.wait_for(1)

    calls.over(dripping())
    assert calls.got == [[0, 1]]


def test_what_a_full_call_leaves_over_does_not_wait_anew():
    calls = Calls(rows=4, seconds=0.01)

    def silent():
        yield batch(0, 6)
        calls.wait_for(2)

    assert calls.over(silent()) == list(range(6))
    assert calls.got == [[0, 1, 2, 3], [4, 5]]


def test_no_more_is_read_ahead_than_makes_a_call():
    calls = Calls(rows=4, seconds=math.inf)

    def counted():
        for number in range(1000):
            handed = sum(map(len, calls.got))
            # A call that is about to start, rows that wait for the next one, and a batch on top.
            assert 2 * number <= handed + 4 + 4 + 2
            yield batch(2 * number, 2)

    assert calls.over(counted()) == list(range(2000))


def test_who_fails_to_read_fails():
    def failing():
        yield batch(0, 3)
        raise OSError("the line is cut")

    with pytest.raises(OSError, match="the line is cut"):
        Calls(rows=2, seconds=math.inf).over(failing())


def test_rows_without_columns_and_objects_and_frames():
    pd = pytest.importorskip("pandas")

    @flowc.stage(reads=[], adds={"call": int}, batch=flowc.Batching(4))
    def counted(rows: pa.RecordBatch):
        return [rows.num_rows] * rows.num_rows

    @flowc.stage(adds={"call": int}, batch=flowc.Batching(4))
    class Counted:
        def __call__(self, rows: pd.DataFrame):
            return [len(rows)] * len(rows)

    for stage in (counted, Counted):
        three = pa.Table.from_batches(ROWS.to_batches(max_chunksize=3))
        assert run(stage, {"rows": three})["out"]["call"].to_pylist() == [4] * 8 + [2] * 2


@pytest.mark.parametrize(("batch_rows", "calls"), [(None, [4, 4, 2]), (1, [1] * 10), (3, [3, 3, 3, 1]), (8, [4, 4, 2])])
def test_a_test_says_how_rows_are_cut(batch_rows, calls):
    got = []

    @flowc.stage(picks=True, batch=flowc.Batching(rows=4, seconds=0))
    def picked(rows: pa.RecordBatch):
        got.append(rows.num_rows)
        return [True] * rows.num_rows

    run(picked, {"rows": ROWS}, batch_rows=batch_rows)
    assert got == calls


@pytest.mark.parametrize("name", ["gathered", "gathered_async"])
def test_a_server_gathers_beyond_the_credit(stage, name):
    ones = pa.Table.from_batches(ROWS.to_batches(max_chunksize=1))
    ended = stage(name).run([ones], credit=1)
    assert (values(ended.outputs[0]), ended.consumed) == ([3] * 9 + [1], 10)
    assert ended.last == {"finished": True}


@pytest.mark.parametrize("before", [[], ["doubled"], ["later"], ["gathered_masks"]])
def test_a_server_answers_while_its_input_is_silent(server, before):
    chain = Chain(server, [pa.table({"id": [1, 2]})], *((name, {}) for name in [*before, "soon"]))
    opening, (rows,) = chain.opening()
    writer, reader = server.exchange(opening, steps=chain.steps())
    for _ in range(2):
        writer.write_table(rows)
        answered = []
        while len(answered) < 2:
            chunk = reader.read_chunk()
            answered += [] if chunk.data is None else chunk.data["soon"].to_pylist()
        assert answered == [1, 2]
    writer.done_writing()
    *_, last = reader
    assert b"finished" in last.app_metadata.to_pybytes()


@pytest.mark.parametrize("name", ["gathered", "gathered_async"])
def test_a_failure_names_the_rows(stage, name):
    def message(do):
        return stage(name).run([ROWS], {"do": do}).last["failed"]["message"]

    assert message("error") == "ValueError: too deep (in rows 4 to 6 of input `rows`)"
    short = "output `out` adds columns to 6 rows, and 3 values were returned; return a value for each, such as "
    short += '`return {"call": [...]}` (in rows 4 to 6 of input `rows`)'
    assert message("short") == short
    assert stage(name).run([ROWS], {"do": "problem"}).last == {"problem": {"message": "not this one"}}
