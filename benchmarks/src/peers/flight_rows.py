"""Rows of a file from `flowc serve` and from a bare Flight server, by turns. Prints JSON: median seconds of each.

flight_rows.py URI TABLE FILE ROUNDS
"""

import json
import statistics
import subprocess
import sys
import time

import pyarrow as pa
from pyarrow import flight


class Bare(flight.FlightServerBase):
    """Gives the batches of a file that lie in memory."""

    def __init__(self, path):
        super().__init__("grpc://127.0.0.1:0")
        with pa.memory_map(path) as file:
            self.rows = pa.ipc.open_file(file).read_all()

    def do_get(self, context, ticket):
        return flight.RecordBatchStream(self.rows)


def fetch(client, ticket, rows):
    start = time.perf_counter()
    found = sum(chunk.data.num_rows for chunk in client.do_get(ticket))
    seconds = time.perf_counter() - start
    assert found == rows, (found, rows)
    return seconds


def main(uri, table, path, rounds):
    server = subprocess.Popen([sys.executable, __file__, "serve", path], stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline())
        clients = {"flowc": flight.connect(uri), "bare": flight.connect(f"grpc://127.0.0.1:{port}")}
        info = clients["flowc"].get_flight_info(flight.FlightDescriptor.for_path(table))
        tickets = {"flowc": info.endpoints[0].ticket, "bare": flight.Ticket(b"")}
        with pa.memory_map(path) as file:
            rows = pa.ipc.open_file(file).read_all().num_rows
        times = {name: [] for name in clients}
        # The first round warms both up, and is not counted.
        for _ in range(int(rounds) + 1):
            for name, client in clients.items():
                times[name].append(fetch(client, tickets[name], rows))
        print(json.dumps({name: statistics.median(seconds[1:]) for name, seconds in times.items()}))
    finally:
        server.kill()


if sys.argv[1] == "serve":
    bare = Bare(sys.argv[2])
    print(bare.port, flush=True)
    bare.serve()
else:
    main(*sys.argv[1:])
