"""Stages of `async` functions: several batches are worked on at a time, and come out in order."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from .frames import to_frame
from .gather import gathered
from .problem import Cancelled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    import pyarrow as pa

    from .boundaries import Boundaries
    from .model import Parameter
    from .work import Inlet, Result, Work

T = TypeVar("T")

POLL_SECONDS = 0.2
"""How often it is looked whether anybody still waits for the result."""


async def run_once(work: Work, arguments: dict[str, Any]) -> AsyncIterator[Result]:
    """One call for all rows."""
    value = work.instance.work(**arguments)
    if inspect.isasyncgen(value):
        async for one in value:
            for result in work.given(one):
                yield result
    else:
        for result in work.given(await value):
            yield result


async def run_by_batch(
    work: Work, arguments: dict[str, Any], parameter: Parameter, inlet: Inlet
) -> AsyncIterator[Result]:
    """A call per batch, several at a time."""
    # One thread reads, and one says what was read.
    threads = ThreadPoolExecutor(2)
    idle = _Idle()
    work.boundaries.before_others(lambda: idle.wait(work.boundaries))
    try:
        with gathered(inlet, work.batching, work.boundaries) as calls:
            async for result in _Calls(work, arguments, parameter, calls, threads, idle).results():
                yield result
    finally:
        # A read that waits ends when the client does; until then it must not hold up the last message.
        threads.shutdown(wait=False)


def in_thread(results: AsyncIterator[T], is_cancelled: Callable[[], bool]) -> Iterator[T]:
    """What an asynchronous iterator gives. Its loop has a thread of its own, and goes on while nobody asks for more."""
    with _loop() as loop:
        while True:
            asked = asyncio.run_coroutine_threadsafe(_without_exit(anext(results, None)), loop)
            while not wait([asked], POLL_SECONDS).done:
                if is_cancelled():
                    raise Cancelled
            result = asked.result()
            if result is None:
                return
            yield result


@contextmanager
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def run() -> None:
        stop = asyncio.Event()
        started.set_result((asyncio.get_running_loop(), stop))
        await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    loop, stop = started.result()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


async def _without_exit(awaited: Awaitable[T]) -> T:
    """The same, but for `sys.exit()`, which would end the loop."""
    try:
        return await awaited
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"the stage ended its program by {error!r}") from error


class _Idle:
    """Whether no call is under way, and all that calls gave was taken."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_idle = True

    def set(self, is_idle: bool) -> None:
        with self._changed:
            self._is_idle = is_idle
            self._changed.notify_all()

    def wait(self, boundaries: Boundaries) -> None:
        with self._changed:
            boundaries.wait(self._changed, lambda: self._is_idle)


class _Calls:
    def __init__(
        self,
        work: Work,
        arguments: dict[str, Any],
        parameter: Parameter,
        inlet: Inlet,
        threads: ThreadPoolExecutor,
        idle: _Idle,
    ) -> None:
        self.work, self.arguments, self.parameter = work, arguments, parameter
        self.inlet, self.threads, self.idle = inlet, threads, idle
        self.running: deque[tuple[asyncio.Task[list[Any]], int]] = deque()
        self.rows = 0

    async def results(self) -> AsyncIterator[Result]:
        reading: asyncio.Future[pa.RecordBatch | None] | None = self._in_thread(self.inlet.read)
        try:
            while reading is not None or self.running:
                self.idle.set(not self.running)
                await self._wait(reading)
                if reading is not None and reading.done() and len(self.running) < self.work.concurrency:
                    batch = reading.result()
                    reading = None
                    if batch is not None:
                        self.idle.set(False)
                        self.running.append((asyncio.create_task(self._call(batch)), batch.num_rows))
                        reading = self._in_thread(self.inlet.read)
                while self.running and self.running[0][0].done():
                    for result in self._first():
                        yield result
                    await self._in_thread(self.inlet.flush)
        finally:
            self.idle.set(True)
            for waiting in [reading, *(task for task, _ in self.running)]:
                if waiting is not None:
                    waiting.cancel()

    def _in_thread(self, call: Callable[[], T]) -> asyncio.Future[T]:
        # The context says whose log is written to.
        return asyncio.get_running_loop().run_in_executor(self.threads, copy_context().run, call)

    async def _wait(self, reading: asyncio.Future[Any] | None) -> None:
        is_full = len(self.running) >= self.work.concurrency
        first = [task for task, _ in self.running][:1]
        waited = first if reading is None or is_full else [*first, reading]
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)

    async def _call(self, batch: pa.RecordBatch) -> list[Any]:
        value = self.work.instance.work(
            **self.arguments, **{self.parameter.name: to_frame(batch, self.parameter.frame)}
        )
        return await _without_exit(_all(value))

    def _first(self) -> list[Result]:
        """What the first call has given, which has finished."""
        task, rows = self.running.popleft()
        self.rows += rows
        with self.work.naming_rows(self.parameter, self.rows - rows, self.rows):
            results = self.work.checked(task.result(), self.rows)
        self.inlet.release(rows)
        return results


async def _all(value: Any) -> list[Any]:
    return [one async for one in value] if inspect.isasyncgen(value) else [await value]
