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
from typing import TYPE_CHECKING

from pyarrow import flight

from .client import Client

if TYPE_CHECKING:
    from ..memory import Memory
    from .sharing import Sharing

STARTS_WITHIN_SECONDS = 30


class Server(Client):
    """A client of a server that runs as a process of its own."""

    def __init__(self, location: str, process: subprocess.Popen[bytes], memory: Memory | None = None) -> None:
        super().__init__(location, memory=memory)
        self.location, self.process = location, process


@contextmanager
def served(folder: str | Path, command: list[str] | None = None, memory: int = 0) -> Iterator[Server]:
    """Serves the stages in a folder on a Unix socket, and gives a client.

    `command` starts another server than that of the SDK, such as `[sys.executable, "server.py"]`. `memory`
    is the size of each of the two regions that are shared with it, if any are.
    """
    with tempfile.TemporaryDirectory() as place:
        location = f"grpc+unix://{place}/stage.sock"
        arguments = command or [sys.executable, "-m", "flowc.serve", str(folder)]
        environment = os.environ | {"FLOWC_LISTEN": location, "PYTHONPATH": os.pathsep.join(sys.path)}
        sharing = _sharing(f"{place}/memory.sock", memory, environment)
        with subprocess.Popen(arguments, stdin=subprocess.PIPE, cwd=folder, env=environment) as process:
            try:
                shared = sharing.accept() if sharing else None
                _wait_for(location, process)
                yield Server(location, process, shared)
            finally:
                process.kill()


def _sharing(path: str, size: int, environment: dict[str, str]) -> Sharing | None:
    if not size:
        return None
    from .sharing import Sharing  # there is no such memory but on Linux

    environment["FLOWC_MEMORY"] = path
    return Sharing(path, size)


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
