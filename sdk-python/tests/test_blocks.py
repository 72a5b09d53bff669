"""Memory that is shared, without a server: both sides are in this process."""

import os
import socket
import subprocess
import sys
import threading
from mmap import mmap
from types import SimpleNamespace

import pyarrow as pa
import pytest

from flowc.blocks import Releases, Room
from flowc.memory import Memory

ROWS = pa.record_batch({"id": range(10_000), "text": [f"text {number}" for number in range(10_000)]})
SIZE = 1 << 20


@pytest.fixture
def sides():
    regions = mmap(-1, SIZE), mmap(-1, SIZE)
    peers = socket.socketpair()
    return Memory.of(peers[0], *regions), Memory.of(peers[1], *reversed(regions))


@pytest.fixture
def patience(monkeypatch):
    return lambda seconds: monkeypatch.setattr("flowc.regions.PATIENCE_SECONDS", seconds)


def message(block, batch=None):
    return SimpleNamespace(data=batch, app_metadata=pa.py_buffer(b'{"block":[%d,%d]}' % tuple(block)))


def lent(memory):
    """How many blocks are lent to the other side."""
    memory._region._hear()
    return len(memory._region._room._lent)


def fill(memory):
    """Blocks until there is no room for more."""
    outbox = memory.outbox(ROWS.schema)
    return list(iter(lambda: outbox.put(ROWS), None))


def only(memory, chunk):
    (batch,) = memory.batches(chunk, ROWS.schema)
    return batch


def test_places_are_the_first_that_are_long_enough():
    room = Room(1000)
    assert [room.take(100), room.take(64), room.take(700), room.take(1)] == [0, 128, 192, 896]
    assert room.take(100) is None
    room.give_back(192)
    room.give_back(193)
    assert [room.take(600), room.take(36), room.take(28), room.take(1)] == [192, 832, 960, None]
    for offset in (0, 128, 192, 832, 896, 960):
        room.give_back(offset)
    assert room.take(1000) == 0


def test_a_block_is_as_the_protocol_says():
    read, written = mmap(-1, SIZE), mmap(-1, SIZE)
    ours, theirs = socket.socketpair()
    memory = Memory.of(ours, read, written)
    outbox = memory.outbox(ROWS.schema)
    (first, length), second = outbox.put(ROWS), outbox.put(ROWS)
    assert second == (-(-length // 64) * 64, length)
    assert pa.ipc.open_stream(written[second[0] : sum(second)]).read_all().to_batches() == [ROWS]
    theirs.send(bytes([0] * 8))
    assert outbox.put(ROWS) == (first, length)

    read[320 : 320 + length] = written[:length]
    batch = only(memory, message([320, length]))
    assert batch.equals(ROWS)
    del batch
    assert theirs.recv(100) == bytes([64, 1, 0, 0, 0, 0, 0, 0])


def test_a_block_may_come_with_a_batch_without_rows(sides):
    ours, theirs = sides
    outbox = ours.outbox(ROWS.schema)
    assert only(theirs, message(outbox.put(ROWS), outbox.empty)).equals(ROWS)
    plain = SimpleNamespace(data=outbox.empty, app_metadata=pa.py_buffer(b'{"settled":3}'))
    assert only(theirs, plain).equals(outbox.empty)
    assert only(theirs, SimpleNamespace(data=ROWS, app_metadata=None)) is ROWS


def test_a_block_is_lent_while_anything_refers_to_its_rows(sides):
    ours, theirs = sides
    batch = only(theirs, message(ours.outbox(ROWS.schema).put(ROWS)))
    column = batch.slice(5)["id"]
    del batch
    assert lent(ours) == 1
    assert column[0].as_py() == 5
    view = column.to_numpy()
    assert not view.flags.writeable
    del column
    assert (lent(ours), view[-1]) == (1, 9999)
    thread = threading.Thread(target=lambda kept: None, args=[view])
    del view
    thread.start()
    thread.join()
    del thread
    assert lent(ours) == 0


def test_what_is_small_or_has_dictionaries_travels(sides):
    ours, _ = sides
    assert ours.outbox(ROWS.schema).put(ROWS.slice(0, 100)) is None
    words = pa.array(["a", "b"] * 50_000).dictionary_encode()
    for array in (words, pa.ListArray.from_arrays([0, 100_000], words)):
        batch = pa.record_batch([array], names=["words"])
        assert ours.outbox(batch.schema).put(batch) is None


def test_where_there_is_no_room_a_batch_travels(sides, patience):
    ours, theirs = sides
    patience(0)
    held = [only(theirs, message(block)) for block in fill(ours)]
    assert len(held) > 2
    assert all(batch.equals(ROWS) for batch in held)
    assert ours.outbox(ROWS.schema).put(ROWS) is None
    del held[1]
    assert ours.outbox(ROWS.schema).put(ROWS) is not None


def test_who_finds_no_room_waits_for_it(sides, patience):
    ours, theirs = sides
    patience(0)
    held = [only(theirs, message(block)) for block in fill(ours)]
    patience(60)
    blocks = []
    large = pa.record_batch([pa.concat_arrays([column] * 2) for column in ROWS.columns], schema=ROWS.schema)
    threads = [
        threading.Thread(target=lambda rows=rows: blocks.append(ours.outbox(ROWS.schema).put(rows)))
        for rows in (large, ROWS)
    ]
    for thread in threads:
        thread.start()
    while held:
        held.pop(0)
    for thread in threads:
        thread.join()
    assert sorted(only(theirs, message(block)).num_rows for block in blocks) == [10_000, 20_000]


def test_what_never_fits_does_not_wait(sides, patience):
    ours, _ = sides
    patience(3600)
    rows = pa.record_batch([pa.array(range(SIZE // 8))], names=["id"])
    assert ours.outbox(rows.schema).put(rows) is None


def test_nobody_waits_for_one_who_is_gone(patience):
    ours, theirs = socket.socketpair()
    memory = Memory.of(ours, mmap(-1, SIZE), mmap(-1, SIZE))
    patience(0.01)
    fill(memory)
    theirs.close()
    assert memory.outbox(ROWS.schema).put(ROWS) is None


def test_what_the_socket_has_no_room_for_is_said_later():
    ours, theirs = (Releases(peer) for peer in socket.socketpair())
    for offset in range(100_000):
        ours.say(offset)
    heard = []
    while len(heard) < 100_000:
        heard += theirs.heard()
        ours.say_all()
    assert sorted(heard) == list(range(100_000))


def test_offsets_may_come_in_pieces():
    ours, theirs = socket.socketpair()
    releases = Releases(theirs)
    ours.send(bytes([1, *[0] * 7, 2, 0, 0]))
    assert releases.heard() == [1]
    ours.send(bytes([*[0] * 5, 3]))
    assert releases.heard() == [2]


FORKING = """
import os, socket, tempfile, threading
import pyarrow as pa
from types import SimpleNamespace
from flowc.memory import shared_memory
from flowc.testing.sharing import Sharing

path = tempfile.mkdtemp() + "/socket"
sharing, theirs = Sharing(path, 1 << 20), []
thread = threading.Thread(target=lambda: theirs.append(sharing.accept()))
thread.start()
ours = shared_memory(path)
thread.join()
rows = pa.record_batch({"id": range(50_000)})
block = theirs[0].outbox(rows.schema).put(rows)
chunk = SimpleNamespace(data=None, app_metadata=pa.py_buffer(b'{"block":[%d,%d]}' % block))
(batch,) = ours.batches(chunk, rows.schema)
child = os.fork()
if not child:
    del batch
    os._exit(0)
os.waitpid(child, 0)
assert theirs[0]._region._releases.heard() == []
print(batch["id"][-1])
"""


def test_only_the_program_itself_gives_blocks_back_and_may_end_with_some():
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "ignore", "-c", FORKING]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "49999\n", "")
