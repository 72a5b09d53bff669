"""Batches that come and go in memory that is shared: all is as it is without."""

import decimal
import socket
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from chained import Chain, one_by_one
from test_blocks import lent
from test_flow import count, count_at_rest, eventually, has_ended, nobody_waits, opened

from flowc.memory import Memory, shared_memory
from flowc.testing import served
from flowc.testing.client import send

HERE = Path(__file__).parent
ROWS = 30_000
IDS = pa.table({"id": range(10 * ROWS)})
NAMES = [None if number % 7 == 0 else f"a text with the number {number}" for number in range(ROWS)]
COLUMNS = {
    "none": pa.nulls(ROWS),
    "truth": pa.array([number % 3 == 0 for number in range(ROWS)]),
    "number": pa.array([None if number % 5 == 0 else number for number in range(ROWS)], pa.int16()),
    "decimal": pa.array([decimal.Decimal(number) / 100 for number in range(ROWS)], pa.decimal128(10, 2)),
    "time": pa.array(range(ROWS), pa.timestamp("ms", "Europe/Berlin")),
    "text": pa.array(NAMES),
    "large_text": pa.array(NAMES, pa.large_string()),
    "view": pa.array(NAMES, pa.string_view()),
    "fixed": pa.array([b"0123456789"] * ROWS, pa.binary(10)),
    "list": pa.array([list(range(number % 4)) for number in range(ROWS)]),
    "nested": pa.array([[{"a": name, "b": [name]}] if name else None for name in NAMES]),
    "map": pa.array([[("a", number)] for number in range(ROWS)], pa.map_(pa.string(), pa.int64())),
    "runs": pa.RunEndEncodedArray.from_arrays(pa.array([5, ROWS], pa.int32()), ["a", "b"]),
    "words": pa.array([name and name[-1] for name in NAMES]).dictionary_encode(),
    "lists_of_words": pa.ListArray.from_arrays(range(ROWS + 1), pa.array(["a", "b"] * (ROWS // 2)).dictionary_encode()),
}


def served_with(size):
    with served(HERE / "stages", memory=size) as server:
        yield server


@pytest.fixture(scope="module")
def sharing():
    yield from served_with(16 << 20)


@pytest.fixture
def cramped(monkeypatch):
    # Where there is no room, flowc sends a batch through the socket at once.
    monkeypatch.setattr("flowc.regions.PATIENCE_SECONDS", 0)
    yield from served_with(1 << 20)


def cut(table, rows):
    return pa.Table.from_batches(table.to_batches(max_chunksize=rows), table.schema)


def on(server, name):
    server.stage = f"stage:{name}"
    return server


def blocks(ended):
    return [message["block"] for message in ended.messages if "block" in message]


def agrees(sharing, server, name, *tables):
    """The outputs, which are those that the stage has without shared memory, in the same batches."""
    ended, plain = (on(one, name).run(tables) for one in (sharing, server))
    assert (ended.last, ended.consumed, ended.settled) == (plain.last, plain.consumed, plain.settled)
    assert [len(output) for output in ended.outputs] == [len(output) for output in plain.outputs]
    for batches, due in zip(ended.outputs, plain.outputs, strict=True):
        assert all(batch.equals(other) for batch, other in zip(batches, due, strict=True))
    eventually(lambda: lent(sharing.memory) == 0)
    return ended


def test_rows_lie_in_shared_memory(sharing, server):
    assert on(sharing, "shared").run([IDS]).outputs[0][0]["shared"].to_pylist() == [True] * len(IDS)
    assert on(server, "shared").run([IDS]).outputs[0][0]["shared"].to_pylist() == [False] * len(IDS)


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_all_types(sharing, server, name):
    table = pa.table({"id": range(ROWS), name: COLUMNS[name]})
    for rows in (table, table.slice(5, 10_000), cut(table, 10_000)):
        ended = agrees(sharing, server, "echo", rows)
        assert len(blocks(ended)) == (0 if "words" in name else len(rows.to_batches()))


def test_batches_without_rows_or_columns(sharing, server):
    agrees(sharing, server, "echo", IDS.slice(0, 0))
    (rows,) = IDS.to_batches()
    agrees(sharing, server, "echo", pa.Table.from_batches([rows.slice(0, 0), rows, rows.slice(0, 0)]))
    agrees(sharing, server, "ones", IDS)


def test_a_stage_may_keep_all_that_it_gets(cramped, server):
    agrees(cramped, server, "at_last", cut(IDS, ROWS))
    agrees(cramped, server, "late", cut(IDS, ROWS))


def test_a_stage_may_keep_rows_from_one_invocation_to_the_next(cramped):
    megabytes = cut(IDS.slice(0, 4 * ROWS), ROWS)
    sums = [on(cramped, "keeps").run([megabytes]).outputs[0][-1]["n"][-1].as_py() for _ in range(5)]
    assert sums == [number * sum(range(4 * ROWS)) for number in range(1, 6)]
    assert lent(cramped.memory) > 2
    cramped.process.stdin.close()
    assert cramped.process.wait(10) == 0


def test_blocks_are_free_when_the_invocation_is_over(sharing, server):
    for _ in range(20):
        first, *_ = blocks(agrees(sharing, server, "echo", cut(IDS, ROWS)))
        assert first[0] == 0


@pytest.mark.parametrize("do", ["problem", "error"])
def test_blocks_are_free_when_the_stage_fails(sharing, do):
    for name in ("acts", "gathered"):
        opening = on(sharing, name).opening({"do": do}, [IDS.schema])
        writer, reader = sharing.exchange(opening)
        for batch in cut(IDS, ROWS).to_batches():
            send(writer, sharing.memory.outbox(IDS.schema), batch)
        writer.done_writing()
        last = [chunk.app_metadata.to_pybytes() for chunk in reader][-1]
        assert b"problem" in last or b"failed" in last
        eventually(lambda: lent(sharing.memory) == 0)


def test_other_inputs_and_outputs_share_memory_too(sharing, server):
    agrees(sharing, server, "parted", cut(IDS, ROWS))
    agrees(sharing, server, "known", cut(IDS, ROWS), cut(IDS.slice(ROWS), 2 * ROWS))
    agrees(sharing, server, "in_wrong_order", cut(IDS, ROWS), IDS)


@pytest.mark.parametrize("names", [("doubled", "tripled"), ("odd", "later"), ("repeated", "soon", "odd")])
def test_chains(sharing, server, names):
    stages = [(name, {}) for name in names]
    table = cut(IDS.slice(0, 3 * ROWS), ROWS)
    chain = Chain(sharing, [table], *stages)
    assert chain.table(chain.run()).equals(one_by_one(server, [table], *stages))
    eventually(lambda: lent(sharing.memory) == 0)


def test_async_stages(sharing, server):
    agrees(sharing, server, "slow", cut(IDS, ROWS))


def test_a_reader_that_stalls_stops_the_stage(cramped, tmp_path):
    place = tmp_path / "dots"
    _opening, _writer, reader = opened(on(cramped, "endless"), {"do": str(place)})
    reader.read_chunk()
    before = count_at_rest(place)
    for _ in range(before):
        reader.read_chunk()
    eventually(lambda: count(place) > before)
    reader.cancel()
    eventually(lambda: has_ended(place))
    assert nobody_waits(lambda other: on(cramped, other))


def test_without_a_socket_all_travels(monkeypatch, tmp_path):
    monkeypatch.setenv("FLOWC_MEMORY", str(tmp_path / "nowhere"))
    with served(HERE / "stages") as server:
        ended = on(server, "echo").run([IDS])
    assert (ended.last, blocks(ended)) == ({"finished": True}, [])


@pytest.mark.parametrize("answer", [b"", b"\1", b"\2"])
def test_another_way_of_sharing_is_left_alone(tmp_path, answer):
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        memory = []
        thread = threading.Thread(target=lambda: memory.append(shared_memory(path)))
        thread.start()
        peer, _ = listener.accept()
        with peer:
            peer.send(answer)
        thread.join()
    assert isinstance(memory[0], Memory)
    assert memory[0].outbox(IDS.schema).put(IDS.to_batches()[0]) is None
