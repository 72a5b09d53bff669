"""Whoever is slow slows whoever feeds it, and what nobody waits for ends."""

import os
import time
from pathlib import Path

import pyarrow as pa
import pytest
from chained import Chain
from pyarrow import flight

from flowc.testing import served

HERE = Path(__file__).parent
PAGE = os.sysconf("SC_PAGE_SIZE")


def eventually(holds, seconds=10):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def count(place):
    return place.read_text().count(".")


def count_at_rest(place):
    """The count when it grows no more; a machine that does much else takes its time."""
    while True:
        before = count(place)
        time.sleep(0.5)
        if count(place) == before > 0:
            return before


def has_ended(place):
    return place.read_text().endswith("ended")


def memory(server):
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * PAGE


def opened(client, config=None, *schemas):
    """An invocation that is open. The writer must be kept: it waits for the end of the call when it is let go."""
    opening = client.opening(config or {}, schemas)
    writer, reader = client.exchange(opening)
    assert b"opened" in reader.read_chunk().app_metadata.to_pybytes()
    return opening, writer, reader


def nobody_waits(stage):
    return stage("waiting").run([]).outputs[0][0].to_pydict()["n"] == [0]


@pytest.mark.parametrize("name", ["endless", "endless_beside"])
def test_a_reader_that_stalls_stops_the_stage(stage, server, tmp_path, name):
    place = tmp_path / "dots"
    opening, _writer, exchange = opened(stage(name), {"do": str(place)})
    ticket = flight.Ticket(
        b'{"protocol": 1, "stage": "", "invocation": "%s", "output": 1}' % opening.invocation.encode()
    )
    reader = exchange if name == "endless" else server.flight.do_get(ticket)
    for _ in range(20):
        reader.read_chunk()
    before, memory_before = count_at_rest(place), memory(server)
    time.sleep(0.5)
    assert count(place) == before < 40
    assert abs(memory(server) - memory_before) < 4 << 20
    for _ in range(before):
        reader.read_chunk()
    assert count(place) > before
    exchange.cancel()
    eventually(lambda: has_ended(place))
    assert nobody_waits(stage)


def test_an_output_that_nobody_reads_any_more_ends_the_stage(stage, server, tmp_path):
    place = tmp_path / "dots"
    opening, _writer, _exchange = opened(stage("endless_beside"), {"do": str(place)})
    ticket = flight.Ticket(b'{"invocation": "%s", "output": 1}' % opening.invocation.encode())
    reader = server.flight.do_get(ticket)
    reader.read_chunk()
    reader.cancel()
    eventually(lambda: has_ended(place))
    assert nobody_waits(stage)


def test_an_async_stage_goes_on_while_its_reader_stalls(stage, tmp_path):
    place = tmp_path / "dots"
    _, _writer, reader = opened(stage("beating"), {"do": str(place)})
    reader.read_chunk()
    time.sleep(0.5)
    before = count(place)
    eventually(lambda: count(place) > before + 5)
    reader.cancel()
    eventually(lambda: has_ended(place))
    assert nobody_waits(stage)


@pytest.mark.parametrize("is_hung", [True, False])
def test_async_calls_end_with_the_client(stage, is_hung):
    schema = pa.schema([("id", pa.int64())])
    _, writer, reader = opened(stage("slow"), {"do": "hang" if is_hung else ""}, schema)
    writer.write_batch(pa.record_batch([pa.array([1])], schema=schema))
    reader.cancel()
    assert nobody_waits(stage)


@pytest.mark.parametrize("names", [("doubled", "slow"), ("slow", "doubled"), ("slow", "slow"), ("slow", "soon")])
def test_chains_end_with_the_client(stage, server, names):
    rows = pa.table({"id": [1]})
    chain = Chain(server, [rows], *((name, {"do": "hang"} if name == "slow" else {}) for name in names))
    opening, _ = chain.opening()
    writer, reader = server.exchange(opening, steps=chain.steps())
    reader.read_chunk()
    writer.write_table(rows)
    reader.cancel()
    assert nobody_waits(stage)


def test_who_waits_for_an_input_is_sent_away(stage):
    schema = pa.schema([("id", pa.int64())])
    _, _writer, reader = opened(stage("known"), {}, schema, schema)
    reader.cancel()
    assert nobody_waits(stage)


@pytest.mark.parametrize("name", ["gathered", "gathered_async"])
def test_rows_that_wait_for_others_end_with_the_client(stage, name):
    schema = pa.schema([("id", pa.int64())])
    _, writer, reader = opened(stage(name), {}, schema)
    writer.write_batch(pa.record_batch([pa.array([1])], schema=schema))
    reader.cancel()
    assert nobody_waits(stage)


def test_streams_of_an_invocation_that_is_not_open_are_refused(server):
    with pytest.raises(flight.FlightServerError, match="no invocation `gone` is open"):
        server.flight.do_get(flight.Ticket(b'{"invocation": "gone", "output": 1}'))


def test_a_killed_server_breaks_the_call(tmp_path):
    with served(HERE / "stages") as server:
        server.stage = "stage:endless"
        _, _writer, reader = opened(server, {"do": str(tmp_path / "dots")})
        server.process.kill()
        with pytest.raises(flight.FlightError):
            list(reader)
