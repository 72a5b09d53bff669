"""What the SDK costs: a stage that gives its input, in shared memory and not, against a bare exchange, in one run.

python benches/identity.py
"""

import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import flight

from flowc.memory import Memory
from flowc.testing import Server, served
from flowc.testing.client import send, taken

HERE = Path(__file__).parent
ROUNDS = 5
ROWS = 2000
BATCHES = 1000
REGION = 8 << 20

Exchange = tuple[Any, Any]


def batch(rows: int) -> pa.RecordBatch:
    """Whole numbers, floating numbers, and texts of 100 bytes."""
    numbers = range(rows)
    texts = [f"{number:0100}" for number in numbers]
    return pa.RecordBatch.from_pydict({"id": list(numbers), "x": [float(number) for number in numbers], "text": texts})


def of_stage(server: Server, schema: pa.Schema) -> Exchange:
    """An invocation that is open."""
    writer, reader = server.exchange(server.opening({}, [schema]))
    reader.read_chunk()
    return writer, reader


def of_bare(server: Server, schema: pa.Schema) -> Exchange:
    """An exchange that has begun."""
    writer, reader = server.flight.do_exchange(flight.FlightDescriptor.for_command(b""))
    writer.begin(schema)
    return writer, reader


def read(reader: Any, memory: Memory) -> bool:
    """Reads up to the next batch; whether there was one."""
    return any(taken(chunk, memory) is not None for chunk in reader)


def latency(exchange: Exchange, memory: Memory, row: pa.RecordBatch) -> float:
    """Median seconds from one row to its answer."""
    writer, reader = exchange
    times = []
    for _ in range(ROWS):
        start = time.perf_counter()
        writer.write_batch(row)
        read(reader, memory)
        times.append(time.perf_counter() - start)
    end(exchange)
    return statistics.median(times)


def throughput(exchange: Exchange, memory: Memory, one: pa.RecordBatch) -> float:
    """Bytes a second, one way, while as much comes back."""
    writer, reader = exchange
    outbox = memory.outbox(one.schema)

    def send_all() -> None:
        for _ in range(BATCHES):
            send(writer, outbox, one)
        writer.done_writing()

    thread = threading.Thread(target=send_all)
    start = time.perf_counter()
    thread.start()
    for _ in range(BATCHES):
        read(reader, memory)
    seconds = time.perf_counter() - start
    thread.join()
    end(exchange)
    return BATCHES * one.nbytes / seconds


def end(exchange: Exchange) -> None:
    """Closes our side and reads what is left."""
    writer, reader = exchange
    writer.done_writing()
    read(reader, Memory())
    writer.close()


def measured(
    server: Server, open_: Callable[[Server, pa.Schema], Exchange], row: pa.RecordBatch, megabyte: pa.RecordBatch
) -> tuple[float, float]:
    """Latency and throughput."""
    return (
        latency(open_(server, row.schema), server.memory, row),
        throughput(open_(server, row.schema), server.memory, megabyte),
    )


def main() -> None:
    """Measures both in turns, and prints the medians."""
    row, megabyte = batch(1), batch(8500)
    print(f"batches of {megabyte.nbytes / 1e6:.2f} MB")
    bare_server = [sys.executable, "bare.py"]
    with served(HERE) as stage, served(HERE, memory=REGION) as shared, served(HERE, bare_server) as bare:
        ways: dict[str, tuple[Server, Callable[[Server, pa.Schema], Exchange]]] = {
            "bare exchange": (bare, of_bare),
            "stage of the SDK": (stage, of_stage),
            "in shared memory": (shared, of_stage),
        }
        rounds = [{name: measured(*way, row, megabyte) for name, way in ways.items()} for _ in range(ROUNDS)]
        for name in ways:
            seconds = statistics.median(found[name][0] for found in rounds)
            rate = statistics.median(found[name][1] for found in rounds)
            print(f"{name:18} {seconds * 1e6:6.0f} us a row  {rate / 1e9:5.2f} GB/s each way")


if __name__ == "__main__":
    main()
