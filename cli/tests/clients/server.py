"""A server of Arrow Flight that is not always as it should be: `server.py serve TOKEN`. Says its port, and ends with its input."""

import os
import sys
import threading

import pyarrow as pa
import pyarrow.flight as fl

NUMBERS = pa.schema([("n", pa.int64())])


def numbers(first, count):
    """A batch of consecutive numbers."""
    return pa.record_batch([pa.array(range(first, first + count), pa.int64())], schema=NUMBERS)


class Token(fl.ServerMiddlewareFactory):
    """Refuses who does not show the token."""

    def __init__(self, token):
        self.token = token

    def start_call(self, info, headers):
        """Checks a call."""
        if headers.get("authorization") != [f"Bearer {self.token}"]:
            raise fl.FlightUnauthenticatedError("no such token")


class Server(fl.FlightServerBase):
    """Each ticket is a way to go on."""

    def __init__(self, token):
        super().__init__("grpc://127.0.0.1:0", middleware={"token": Token(token)})
        self.asked = 0

    def get_flight_info(self, context, descriptor):
        """Three endpoints in an order of their own."""
        here = f"grpc://127.0.0.1:{self.port}"
        parts = [
            fl.FlightEndpoint(b"part 2", []),
            fl.FlightEndpoint(b"part 0", [here]),
            fl.FlightEndpoint(b"part 1", ["grpc://127.0.0.1:1", "arrow-flight-reuse-connection://?"]),
        ]
        return fl.FlightInfo(NUMBERS, descriptor, parts, -1, -1)

    def do_get(self, context, ticket):
        """Rows, as long as it goes well."""
        name = ticket.ticket.decode()
        if name.startswith("part "):
            return fl.RecordBatchStream(pa.Table.from_batches([numbers(10 * int(name[5:]), 3)]))
        if name == "kinds":
            values = pa.array(["a", "b", "a", None]).dictionary_encode()
            return fl.RecordBatchStream(pa.table({"kind": values, "n": pa.array([1, 2, 3, 4], pa.int64())}))
        if name == "empty":
            return fl.RecordBatchStream(pa.Table.from_batches([], NUMBERS))
        if name == "changes":
            self.asked += 1
            column = "n" if self.asked == 1 else "m"
            return fl.RecordBatchStream(pa.table({column: pa.array([1], pa.int64())}))
        if name == "large":
            text = pa.array(["x" * 300_000_000 for _ in range(4)], pa.large_string())
            return fl.RecordBatchStream(pa.table({"text": text}))
        if name in ("fails", "dies"):
            return fl.GeneratorStream(NUMBERS, self.broken(name))
        raise KeyError(f"nothing is called {name}")

    @staticmethod
    def broken(name):
        """Rows, and then none."""
        yield numbers(0, 1000)
        yield numbers(1000, 1000)
        if name == "dies":
            os._exit(1)
        raise fl.FlightInternalError("the disk is on fire")


def serve(token):
    """Serves until the input ends."""
    server = Server(token)
    print(server.port, flush=True)
    threading.Thread(target=server.serve, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    serve(sys.argv[2])
