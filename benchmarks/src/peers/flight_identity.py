"""A bare exchange of Flight between two processes: batches there and back, then single rows. Prints JSON."""

import json
import subprocess
import sys
import tempfile
import threading
import time

import pyarrow as pa
from pyarrow import flight

BATCHES, ROWS = 1000, 5000


class Echo(flight.FlightServerBase):
    def do_exchange(self, context, descriptor, reader, writer):
        writer.begin(reader.schema)
        for chunk in reader:
            writer.write_batch(chunk.data)


def batch(rows):
    texts = [f"{number:0100}" for number in range(rows)]
    return pa.record_batch({"id": list(range(rows)), "x": [float(number) for number in range(rows)], "text": texts})


def throughput(client, one):
    writer, reader = client.do_exchange(flight.FlightDescriptor.for_command(b""))
    writer.begin(one.schema)

    def send():
        for _ in range(BATCHES):
            writer.write_batch(one)
        writer.done_writing()

    start = time.perf_counter()
    thread = threading.Thread(target=send)
    thread.start()
    assert sum(chunk.data.num_rows for chunk in reader) == BATCHES * one.num_rows
    thread.join()
    return BATCHES * one.nbytes / (time.perf_counter() - start) / 1e9


def rows(client, row):
    """Seconds of each, within an exchange that is open."""
    writer, reader = client.do_exchange(flight.FlightDescriptor.for_command(b""))
    writer.begin(row.schema)
    times = []
    for _ in range(ROWS):
        start = time.perf_counter()
        writer.write_batch(row)
        assert reader.read_chunk().data.num_rows == 1
        times.append(time.perf_counter() - start)
    writer.done_writing()
    return sorted(times)


def exchanges(client, row):
    """Seconds of each, an exchange of its own."""
    times = []
    for _ in range(ROWS):
        start = time.perf_counter()
        writer, reader = client.do_exchange(flight.FlightDescriptor.for_command(b""))
        writer.begin(row.schema)
        writer.write_batch(row)
        writer.done_writing()
        assert sum(chunk.data.num_rows for chunk in reader) == 1
        times.append(time.perf_counter() - start)
    return sorted(times)


if sys.argv[1:2] == ["serve"]:
    Echo(sys.argv[2]).serve()
else:
    with tempfile.TemporaryDirectory() as folder:
        location = f"grpc+unix://{folder}/s"
        server = subprocess.Popen([sys.executable, __file__, "serve", location])
        try:
            client = flight.connect(location)
            client.wait_for_available(timeout=30)
            found = {}
            for name, times in [("row", rows(client, batch(1))), ("invocation", exchanges(client, batch(1)))]:
                found |= {f"{name}_us": times[ROWS // 2] * 1e6, f"{name}_p99_us": times[ROWS * 99 // 100] * 1e6}
            print(json.dumps(found | {"gigabytes_a_second": throughput(client, batch(8500))}))
        finally:
            server.kill()
