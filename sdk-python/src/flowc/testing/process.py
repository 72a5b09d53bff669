"""The server of a folder of stages as a process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyarrow import flight

from .client import Client

STARTS_WITHIN_SECONDS = 30


class Server(Client):
    """A client of a server that runs as a process of its own."""

    def __init__(self, location: str, process: subprocess.Popen[bytes]) -> None:
        super().__init__(location)
        self.location, self.process = location, process


@contextmanager
def served(folder: str | Path, command: list[str] | None = None) -> Iterator[Server]:
    """Serves the stages in a folder on a Unix socket, and gives a client.

    `command` starts another server than that of the SDK, such as `[sys.executable, "server.py"]`.
    """
    with tempfile.TemporaryDirectory() as place:
        location = f"grpc+unix://{place}/stage.sock"
        arguments = command or [sys.executable, "-m", "flowc.serve", str(folder)]
        environment = os.environ | {"FLOWC_LISTEN": location, "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(arguments, stdin=subprocess.PIPE, cwd=folder, env=environment) as process:
            try:
                _wait_for(location, process)
                yield Server(location, process)
            finally:
                process.kill()


def _wait_for(location: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_SECONDS
    while True:
        try:
            with flight.connect(location) as client:
                return client.wait_for_available(1)
        except flight.FlightError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server has not started (exit code {process.poll()})") from None
            time.sleep(0.01)
