"""Stored segments that flowc hands over as files."""

import os
import socket
from mmap import mmap
from types import SimpleNamespace

import pyarrow as pa
import pytest

from flowc.blocks import FILE
from flowc.memory import Memory

SCHEMA = pa.schema([("words", pa.string()), ("n", pa.int64())])


@pytest.fixture
def sides():
    ours, theirs = socket.socketpair()
    return Memory.of(ours, mmap(-1, 4096), mmap(-1, 4096)), theirs


def batch(number):
    return {"a": [number, number + 1], "b": [f"text {number}", None]}


def hand(peer, path, number, batches):
    """Writes a file of batches, and hands it over."""
    schema = pa.schema([("a", pa.int64()), ("b", pa.string())])
    with pa.ipc.new_file(str(path), schema) as writer:
        for content in batches:
            writer.write_batch(pa.record_batch(batch(content), schema=schema))
    descriptor = os.open(path, os.O_RDONLY)
    socket.send_fds(peer, [(FILE | number).to_bytes(8, "little")], [descriptor])
    os.close(descriptor)


def read(memory, number, first, end):
    said = b'{"stored":{"file":%d,"columns":[1,0],"batches":[%d,%d]}}' % (number, first, end)
    chunk = SimpleNamespace(data=None, app_metadata=pa.py_buffer(said))
    found = list(memory.batches(chunk, SCHEMA))
    assert all(batch.schema == SCHEMA for batch in found)
    return [batch["n"][0].as_py() for batch in found]


def test_batches_are_those_of_the_file(sides, tmp_path):
    memory, peer = sides
    hand(peer, tmp_path / "one", 3, range(10))
    assert read(memory, 3, 2, 5) == [2, 3, 4]
    assert read(memory, 3, 9, 10) == [9]


def test_a_number_may_come_again_for_another_file(sides, tmp_path):
    memory, peer = sides
    hand(peer, tmp_path / "one", 0, range(10))
    said = b'{"stored":{"file":0,"columns":[1,0],"batches":[7,8]}}'
    (kept,) = memory.batches(SimpleNamespace(data=None, app_metadata=pa.py_buffer(said)), SCHEMA)
    hand(peer, tmp_path / "two", 0, range(100, 103))
    assert read(memory, 0, 0, 3) == [100, 101, 102]
    assert kept.to_pydict() == {"words": ["text 7", None], "n": [7, 8]}


def test_a_file_that_could_not_be_mapped_is_missed_when_it_is_needed(sides, tmp_path):
    memory, peer = sides
    hand(peer, tmp_path / "one", 2, range(3))
    assert read(memory, 2, 0, 1) == [0]
    peer.send((FILE | 2).to_bytes(8, "little"))
    with pytest.raises(OSError, match="could not be mapped"):
        read(memory, 2, 0, 1)


def test_files_and_blocks_come_in_any_order_and_in_pieces(sides, tmp_path):
    memory, peer = sides
    peer.send(bytes(8) + bytes(4))
    peer.send(bytes(4))
    hand(peer, tmp_path / "one", 1, range(5))
    peer.send((64).to_bytes(8, "little"))
    assert read(memory, 1, 4, 5) == [4]
    assert memory._region._releases.heard() == [0, 0, 64]
