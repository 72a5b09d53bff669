"""Boundaries: when one is answered, all has come that comes of the rows before."""

import json

import pyarrow as pa
import pytest
from chained import Chain
from pyarrow import flight

from flowc.wire import BOUNDARY, dumps


def table(first, rows):
    return pa.table({"id": pa.array(range(first, first + rows), pa.int64())})


class Invocation:
    """A chain of stages that is kept open."""

    def __init__(self, server, *stages):
        self.chain = Chain(server, [table(0, 0)], *[(name, {}) for name in stages])
        opening, _ = self.chain.opening()
        self.schema = opening.main_schema()
        self.writer, self.reader = server.exchange(opening, steps=self.chain.steps())
        assert self.message(self.reader.read_chunk())["boundaries"]
        self.rows = 0

    def message(self, chunk):
        return {} if chunk.app_metadata is None else json.loads(chunk.app_metadata.to_pybytes())

    def push(self, rows):
        ids = pa.array(range(self.rows, self.rows + rows), pa.int64())
        batch = pa.record_batch([ids], schema=self.schema)
        self.writer.write_batch(batch)
        self.rows += rows

    def boundary(self):
        """The values that came before the boundary was answered."""
        self.writer.write_metadata(BOUNDARY)
        return self.values("boundary")

    def finish(self):
        self.writer.done_writing()
        return self.values("finished")

    def values(self, last):
        """All that comes until this is said: of each row the last column."""
        values = []
        for chunk in self.reader:
            if chunk.data is not None:
                values += chunk.data.columns[-1].to_pylist()
            message = self.message(chunk)
            assert not {"problem", "failed"} & set(message), message
            if last in message:
                return values
        raise AssertionError(f"{last} was never said")


@pytest.mark.parametrize(
    "stages",
    [
        ["doubled"],
        ["later"],
        ["gathered"],
        ["gathered_async"],
        ["soon"],
        ["later", "gathered"],
        ["gathered", "later"],
        ["gathered_async", "later", "doubled", "gathered_async"],
        ["doubled", "gathered", "soon", "gathered"],
        ["odd", "later", "gathered"],
    ],
)
def test_all_that_comes_of_the_rows_before_has_come(server, stages):
    whole = Invocation(server, *stages)
    whole.push(12)
    due = len(whole.finish())
    cut = Invocation(server, *stages)
    assert cut.boundary() == []
    came = 0
    for rows in (1, 1, 5, 0, 4, 1):
        cut.push(rows)
        came += len(cut.boundary())
        odd = cut.rows // 2
        assert came == (odd if "odd" in stages else cut.rows)
        assert cut.boundary() == []
    assert (came, cut.finish()) == (due, [])


def test_rows_that_the_stage_keeps_come_at_the_end(server):
    invocation = Invocation(server, "at_last")
    invocation.push(3)
    assert invocation.boundary() == []
    assert invocation.finish() == [0, 1, 2]


def test_other_outputs_reach_it_too(server):
    server.stage = "stage:parted"
    opening = server.opening({}, [table(0, 0).schema])
    writer, reader = server.exchange(opening)
    assert b"opened" in reader.read_chunk().app_metadata.to_pybytes()
    tickets = [{"protocol": 1, "stage": "", "invocation": opening.invocation, "output": output} for output in (1, 2)]
    others = [server.flight.do_get(flight.Ticket(dumps(ticket))) for ticket in tickets]
    for first in (0, 4):
        writer.write_batch(table(first, 4).to_batches()[0])
        writer.write_metadata(BOUNDARY)
        assert [rows_until_boundary(stream) for stream in (reader, *others)] == [2, 2, 1]
    writer.done_writing()
    assert not any(chunk.data for stream in others for chunk in stream if chunk.data)
    assert b"finished" in list(reader)[-1].app_metadata.to_pybytes()


def rows_until_boundary(stream):
    rows = 0
    while True:
        chunk = stream.read_chunk()
        rows += chunk.data.num_rows if chunk.data is not None else 0
        if chunk.app_metadata is not None and b"boundary" in chunk.app_metadata.to_pybytes():
            return rows


def test_a_flood_of_lines_is_cut_anew(server):
    server.stage = "stage:acts"
    opening = server.opening({"do": "flood"}, [table(0, 1).schema])
    writer, reader = server.exchange(opening)
    lines = []
    for _ in range(2):
        writer.write_batch(table(0, 1).to_batches()[0])
        writer.write_metadata(BOUNDARY)
        said = []
        while True:
            metadata = reader.read_chunk().app_metadata
            message = json.loads(metadata.to_pybytes()) if metadata is not None else {}
            said += [text for _, text in message.get("log", [])]
            if "boundary" in message:
                break
        lines.append(said)
    assert lines[0] == lines[1]
    assert len(lines[0]) == 1001
    writer.done_writing()
    assert b"finished" in list(reader)[-1].app_metadata.to_pybytes()
