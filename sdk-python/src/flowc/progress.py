"""How far a run has come: a line that changes in a notebook or on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

Event = Mapping[str, Any]


@contextmanager
def progress_line(is_wanted: bool) -> Iterator[Callable[[Event], None]]:
    """Shows the events that it is given."""
    if not is_wanted:
        yield lambda _: None
        return
    write, end = _notebook() or _terminal() or _plain()
    progress = _Progress()

    def show(event: Event) -> None:
        progress.note(event)
        write(progress.line(), event)

    try:
        yield show
    finally:
        end()


class _Progress:
    """What the events so far amount to."""

    def __init__(self) -> None:
        self.done = self.rows = 0
        self.latest = "planning"

    def note(self, event: Event) -> None:
        kind = event["event"]
        if kind == "segment-ran":
            self.done, self.rows = self.done + 1, self.rows + event["rows"]
            self.latest = ", ".join(event["stages"])
        elif kind in ("build-started", "compile-started"):
            self.latest = f"building {event['code']}"
        elif kind == "sink-written":
            self.latest = f"wrote {event['sink']}"
        elif kind == "stage-failed":
            self.latest = f"{event['stage']} failed"
        elif kind == "run-finished":
            self.latest = _summary(event)

    def line(self) -> str:
        counts = f"{self.done} segments, {self.rows} rows" if self.done else ""
        return "flowc: " + "; ".join(filter(None, [self.latest, counts]))


def _summary(event: Event) -> str:
    statuses = [stage["status"] for stage in event["stages"]]
    counts = {status: statuses.count(status) for status in dict.fromkeys(statuses)}
    return ", ".join(f"{count} {status}" for status, count in counts.items()) or "done"


Writer = tuple[Callable[[str, Event], None], Callable[[], None]]


def _notebook() -> Writer | None:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if type(shell).__name__ != "ZMQInteractiveShell":
        return None
    from IPython.display import display  # type: ignore[import-not-found]

    handle = display({"text/plain": "flowc"}, raw=True, display_id=True)
    return lambda line, _: handle.update({"text/plain": line}, raw=True), lambda: None


def _terminal() -> Writer | None:
    if not sys.stderr.isatty():
        return None

    def write(line: str, _event: Event) -> None:
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)

    return write, lambda: print(file=sys.stderr)


def _plain() -> Writer:
    """Only what a log is read for."""

    def write(line: str, event: Event) -> None:
        if event["event"] in ("sink-written", "stage-failed", "run-finished"):
            print(line, file=sys.stderr)

    return write, lambda: None
