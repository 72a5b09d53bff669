"""What a stage prints and logs, as lines of its invocation's log."""

from __future__ import annotations

import io
import logging
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, TextIO, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

LONGEST_LINE = 8 << 10
MOST_LINES = 1000

LEVELS = ((logging.ERROR, "error"), (logging.WARNING, "warn"), (logging.INFO, "info"), (logging.DEBUG, "debug"))


class Log:
    """The log of one invocation: lines are cut, and a flood of them from one boundary to the next too."""

    def __init__(self, send: Callable[[str, str], None]) -> None:
        self._send = send
        self._lines = 0
        self._unfinished: dict[str, str] = {}

    def line(self, level: str, text: str) -> None:
        """Sends a line, if there were not too many."""
        self._lines += 1
        if self._lines <= MOST_LINES:
            self._send(level, text.encode(errors="replace")[:LONGEST_LINE].decode(errors="ignore"))

    def text(self, level: str, text: str) -> None:
        """Sends the lines that this text ends; what has no end yet waits for it."""
        *lines, rest = (self._unfinished.get(level, "") + text).split("\n")
        self._unfinished[level] = rest[-LONGEST_LINE:]
        for line in lines:
            self.line(level, line)

    def close(self) -> None:
        """Sends what has no end, and how much was left out."""
        for level, rest in self._unfinished.items():
            if rest:
                self.line(level, rest)
        self.restart()

    def restart(self) -> None:
        """Says how much was left out, and counts lines anew."""
        lines, self._lines = self._lines, 0
        if lines > MOST_LINES:
            self._send("warn", f"{lines - MOST_LINES} more lines were left out")


_current: ContextVar[Log | None] = ContextVar("flowc_log", default=None)


def logging_to(log: Log, call: Callable[[], T]) -> T:
    """Calls this. What is printed and logged meanwhile goes to this log."""
    token = _current.set(log)
    try:
        return call()
    finally:
        _current.reset(token)


class _Printed(io.TextIOBase):
    """Stands for a standard stream: within an invocation, text goes to its log."""

    def __init__(self, level: str, stream: TextIO) -> None:
        self._level, self._stream = level, stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        log = _current.get()
        if log is None:
            self._stream.write(text)
        else:
            log.text(self._level, text)
        return len(text)

    def flush(self) -> None:
        if _current.get() is None:
            self._stream.flush()


class _Logged(logging.Handler):
    """Takes records of `logging`."""

    def emit(self, record: logging.LogRecord) -> None:
        level = next((name for least, name in LEVELS if record.levelno >= least), "trace")
        log = _current.get()
        for line in self.format(record).split("\n"):
            if log is None:
                print(line, file=sys.stderr)
            else:
                log.line(level, line)


def capture() -> None:
    """Makes `print` and `logging` go to the log of the invocation that runs."""
    sys.stdout = _Printed("info", sys.stdout)
    sys.stderr = _Printed("warn", sys.stderr)
    root = logging.getLogger()
    root.addHandler(_Logged())
    root.setLevel(logging.INFO)
