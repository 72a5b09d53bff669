"""Stages of `async` functions: several batches are worked on at a time, and come out in order."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .frames import to_frame
from .problem import Cancelled

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from .model import Parameter
    from .work import Inlet, Outlet, Work

POLL_SECONDS = 0.2
"""How often it is looked whether anybody still waits for the result."""


async def run_once(work: Work, arguments: dict[str, Any], outlet: Outlet) -> None:
    """One call for all rows."""
    value = work.instance.work(**arguments)
    if inspect.isasyncgen(value):
        async for one in value:
            work.send(one, outlet)
    else:
        work.send(await value, outlet)


async def run_by_batch(
    work: Work, arguments: dict[str, Any], parameter: Parameter, inlet: Inlet, outlet: Outlet
) -> None:
    """A call per batch, several at a time."""
    calls = _Calls(work, arguments, parameter, inlet, outlet)
    with _one_thread() as thread:
        await calls.run(thread)


@contextmanager
def _one_thread() -> Iterator[ThreadPoolExecutor]:
    thread = ThreadPoolExecutor(1)
    try:
        yield thread
    finally:
        # A read that waits ends when the client does; until then it must not hold up the last message.
        thread.shutdown(wait=False)


class _Calls:
    def __init__(
        self, work: Work, arguments: dict[str, Any], parameter: Parameter, inlet: Inlet, outlet: Outlet
    ) -> None:
        self.work, self.arguments, self.parameter = work, arguments, parameter
        self.inlet, self.outlet = inlet, outlet
        self.running: deque[tuple[asyncio.Task[list[Any]], int]] = deque()
        self.rows = 0

    async def run(self, thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        reading: asyncio.Future[pa.RecordBatch | None] | None = loop.run_in_executor(thread, self.inlet.read)
        try:
            while reading is not None or self.running:
                await self._wait(reading)
                if reading is not None and reading.done() and len(self.running) < self.work.concurrency:
                    batch = reading.result()
                    reading = None
                    if batch is not None:
                        self.running.append((asyncio.create_task(self._call(batch)), batch.num_rows))
                        reading = loop.run_in_executor(thread, self.inlet.read)
                self._send_finished()
        finally:
            for waiting in [reading, *(task for task, _ in self.running)]:
                if waiting is not None:
                    waiting.cancel()

    async def _wait(self, reading: asyncio.Future[Any] | None) -> None:
        is_full = len(self.running) >= self.work.concurrency
        first = [task for task, _ in self.running][:1]
        waited = first if reading is None or is_full else [*first, reading]
        await asyncio.wait(waited, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if self.outlet.is_cancelled():
            raise Cancelled

    async def _call(self, batch: pa.RecordBatch) -> list[Any]:
        value = self.work.instance.work(
            **self.arguments, **{self.parameter.name: to_frame(batch, self.parameter.frame)}
        )
        return [one async for one in value] if inspect.isasyncgen(value) else [await value]

    def _send_finished(self) -> None:
        """Sends what the first calls have given, in order, as far as they have finished."""
        while self.running and self.running[0][0].done():
            task, rows = self.running.popleft()
            self.inlet.release(rows)
            for value in task.result():
                self.work.send(value, self.outlet)
            self.rows += rows
            if self.work.instance.finish is None:
                self.work.emitters.check(self.rows)
        self.inlet.flush()
