"""What the SDK costs: a stage that gives its input, against a bare exchange of pyarrow, in one run.

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

from flowc.testing import Server, served

HERE = Path(__file__).parent
ROUNDS = 5
ROWS = 2000
BATCHES = 1000

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


def read(reader: Any) -> bool:
    """Reads up to the next batch; whether there was one."""
    return any(chunk.data is not None for chunk in reader)


def latency(exchange: Exchange, row: pa.RecordBatch) -> float:
    """Median seconds from one row to its answer."""
    writer, reader = exchange
    times = []
    for _ in range(ROWS):
        start = time.perf_counter()
        writer.write_batch(row)
        read(reader)
        times.append(time.perf_counter() - start)
    end(exchange)
    return statistics.median(times)


def throughput(exchange: Exchange, one: pa.RecordBatch) -> float:
    """Bytes a second, one way, while as much comes back."""
    writer, reader = exchange

    def send() -> None:
        for _ in range(BATCHES):
            writer.write_batch(one)
        writer.done_writing()

    thread = threading.Thread(target=send)
    start = time.perf_counter()
    thread.start()
    for _ in range(BATCHES):
        read(reader)
    seconds = time.perf_counter() - start
    thread.join()
    end(exchange)
    return BATCHES * one.nbytes / seconds


def end(exchange: Exchange) -> None:
    """Closes our side and reads what is left."""
    writer, reader = exchange
    writer.done_writing()
    read(reader)
    writer.close()


def main() -> None:
    """Measures both in turns, and prints the medians."""
    row, megabyte = batch(1), batch(8500)
    print(f"batches of {megabyte.nbytes / 1e6:.2f} MB")
    with served(HERE) as stage, served(HERE, [sys.executable, "bare.py"]) as bare:
        ways: dict[str, Callable[[], Exchange]] = {
            "bare exchange": lambda: of_bare(bare, row.schema),
            "stage of the SDK": lambda: of_stage(stage, row.schema),
        }
        rounds = [
            {name: (latency(open_(), row), throughput(open_(), megabyte)) for name, open_ in ways.items()}
            for _ in range(ROUNDS)
        ]
        for name in ways:
            seconds = statistics.median(measured[name][0] for measured in rounds)
            rate = statistics.median(measured[name][1] for measured in rounds)
            print(f"{name:18} {seconds * 1e6:6.0f} us a row  {rate / 1e9:5.2f} GB/s each way")


if __name__ == "__main__":
    main()
