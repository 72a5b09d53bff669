"""`python -m flowc.serve DIR`: serves the stages in a folder, at the place that FLOWC_LISTEN names.

Ends when standard input does.
"""

from __future__ import annotations

import os
import sys
import threading

from .log import capture
from .memory import shared_memory
from .server import StageServer


def main(arguments: list[str]) -> int:
    """Serves until standard input ends."""
    location = os.environ.get("FLOWC_LISTEN")
    if len(arguments) != 1 or not location:
        print("usage: FLOWC_LISTEN=grpc+unix:///path/to/socket python -m flowc.serve DIR", file=sys.stderr)
        return 2
    sys.path.insert(0, os.path.abspath(arguments[0]))
    threading.Thread(target=_end_with, args=[_take_standard_input()], daemon=True).start()
    capture()
    # Before it listens: whoever finds it listening knows whether it shares memory.
    memory = shared_memory(os.environ.get("FLOWC_MEMORY"))
    StageServer(location, memory).serve()
    return 0


def _take_standard_input() -> int:
    """Standard input for us alone: a stage that reads it finds nothing there, and can't hide its end from us."""
    ours, nothing = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(ours, False)
    os.dup2(nothing, 0)
    os.close(nothing)
    return ours


def _end_with(descriptor: int) -> None:
    while os.read(descriptor, 4096):
        pass
    sys.stdout.flush()
    # Code of the author may run in any thread, and needn't end; there is nothing of ours to save.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
