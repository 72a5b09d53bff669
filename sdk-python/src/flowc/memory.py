"""The memory that is shared with flowc: a batch lies there in a block, and a message says where."""

from __future__ import annotations

import json
import os
import socket
from mmap import ACCESS_READ, mmap
from typing import TYPE_CHECKING, Any

from .blocks import Releases
from .regions import Inbox, Outbox, Region

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

VERSION = b"\1"
ANSWERS_WITHIN_SECONDS = 10


class Memory:
    """One region that is read, and one that is written. Without them, batches travel in their messages."""

    def __init__(self, inbox: Inbox | None = None, region: Region | None = None) -> None:
        self._inbox, self._region = inbox, region

    @classmethod
    def of(cls, peer: socket.socket, read: mmap, written: mmap) -> Memory:
        """Of regions that are shared with a peer."""
        releases = Releases(peer)
        return cls(Inbox(read, releases), Region(written, releases))

    def batches(self, chunk: Any, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """The batches of a message on a stream of these columns, wherever they are."""
        batch: pa.RecordBatch | None = chunk.data
        if self._inbox is None:
            return iter([] if batch is None else [batch])
        self._inbox.catch_up()
        is_elsewhere = chunk.app_metadata is not None and (batch is None or not batch.num_rows)
        said = json.loads(chunk.app_metadata.to_pybytes()) if is_elsewhere else {}
        if "block" in said:
            return iter([self._inbox.batch(*said["block"])])
        if "stored" in said:
            return self._inbox.stored(said["stored"], schema)
        return iter([] if batch is None else [batch])

    def outbox(self, schema: pa.Schema) -> Outbox:
        """For the batches of one stream."""
        return Outbox(self._region, schema)


def shared_memory(path: str | None) -> Memory:
    """The memory that flowc shares at this socket; none if that can't be had."""
    if not path:
        return Memory()
    peer = socket.socket(socket.AF_UNIX)
    try:
        peer.settimeout(ANSWERS_WITHIN_SECONDS)
        peer.connect(path)
        read, written = _regions(peer)
    except (OSError, ValueError):
        peer.close()
        return Memory()
    # A process that a stage forks lets go of batches too, while they are still in use here.
    os.register_at_fork(after_in_child=peer.close)
    return Memory.of(peer, read, written)


def _regions(peer: socket.socket) -> tuple[mmap, mmap]:
    version, descriptors, _, _ = socket.recv_fds(peer, len(VERSION), 2)
    try:
        if version != VERSION or len(descriptors) != 2:
            raise ValueError("memory is shared in a way that we don't know")
        return mmap(descriptors[0], 0, access=ACCESS_READ), mmap(descriptors[1], 0)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
