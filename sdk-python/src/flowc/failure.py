"""An error of the stage's code, as its author wants to read it."""

from __future__ import annotations

import importlib
import os
import sysconfig
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .advice import advice
from .problem import Breach, Problem
from .texts import shortened

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = str(Path(__file__).parent)
IMPORTLIB = str(Path(importlib.__file__).parent)
LIBRARIES = tuple({f"{path}{os.sep}" for name, path in sysconfig.get_paths().items() if "lib" in name})
"""Where code lies that is not the stage's author's."""

LONGEST_MESSAGE = 2000
"""Characters of a message. Some libraries put the data into theirs."""
LONGEST_LINE = 8 << 10
"""Characters of a line of a traceback, as of one of a log."""
FIRST_LINES, LAST_LINES = 50, 150
"""Lines of a traceback."""


def failed_json(error: BaseException) -> dict[str, Any]:
    """The last message of an invocation whose code failed."""
    if isinstance(error, MemoryError):
        # What fills the memory may hang on the frames, and telling of it takes some.
        traceback.clear_frames(error.__traceback__)
    detail = "" if isinstance(error, Breach) else _traceback(error)
    message = " ".join(filter(None, [said(error), f"({help_})" if (help_ := advice(error)) else ""]))
    return {"failed": {"message": message, "detail": detail, "memory": isinstance(error, MemoryError)}}


def said(error: BaseException) -> str:
    """The error in a line or so."""
    notes = [f"({note})" for note in getattr(error, "__notes__", [])]
    return " ".join([shortened(_words(error), LONGEST_MESSAGE), *notes])


def _words(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as other:
        text = f"its message can't be had: {type(other).__name__}"
    return text if isinstance(error, Breach) else ": ".join(filter(None, [type(error).__name__, text]))


def _traceback(error: BaseException) -> str:
    lines = "".join(_trimmed(error).format()).splitlines()
    between = len(lines) - FIRST_LINES - LAST_LINES
    if between > 0:
        lines[FIRST_LINES:-LAST_LINES] = [f"  … {between} lines are left out"]
    return "".join(f"{shortened(line, LONGEST_LINE)}\n" for line in lines)


def as_problem(error: Exception) -> Problem:
    """The error as what is wrong with the stage before any row comes, with the lines of the author's code."""
    return (
        error
        if isinstance(error, Problem)
        else Problem(said(error), help="; ".join(filter(None, [advice(error), last_frames(error)])) or None)
    )


@contextmanager
def naming(where: str) -> Iterator[None]:
    """What fails within has a note that says where. A problem is told in the stage's own words, without it."""
    try:
        yield
    except Exception as error:
        # As `add_note`, which Python 3.10 has not.
        vars(error)["__notes__"] = [*getattr(error, "__notes__", []), where]
        raise


def last_frames(error: BaseException, most: int = 3) -> str:
    """Where it happened: the last places of the author's code, or of a library's if none of the author's led there."""
    frames = _trimmed(error).stack
    authors = [frame for frame in frames if not _is_library(frame.filename)]
    return "; ".join(f"{Path(one.filename).name}, line {one.lineno}: {one.line}" for one in (authors or frames)[-most:])


def _is_library(filename: str) -> bool:
    path = Path(filename)
    # What is compiled names files that are not here.
    return filename.startswith(LIBRARIES) or "site-packages" in path.parts or not path.is_file()


def _trimmed(error: BaseException) -> traceback.TracebackException:
    whole = traceback.TracebackException.from_exception(error)
    rest: traceback.TracebackException | None = whole
    while rest is not None:
        frames = [frame for frame in rest.stack if not _is_ours(frame.filename)]
        rest.stack = traceback.StackSummary.from_list(frames)
        rest = rest.__cause__ or rest.__context__
    return whole


def _is_ours(filename: str) -> bool:
    return filename.startswith((HERE, "<frozen", IMPORTLIB))
