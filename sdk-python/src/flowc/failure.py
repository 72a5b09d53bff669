"""An error of the stage's code, as its author wants to read it."""

from __future__ import annotations

import importlib
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .problem import Breach

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = str(Path(__file__).parent)
IMPORTLIB = str(Path(importlib.__file__).parent)


def failed_json(error: BaseException) -> dict[str, Any]:
    """The last message of an invocation whose code failed."""
    if isinstance(error, MemoryError):
        # What fills the memory may hang on the frames, and telling of it takes some.
        traceback.clear_frames(error.__traceback__)
    detail = "" if isinstance(error, Breach) else "".join(_trimmed(error).format())
    return {"failed": {"message": said(error), "detail": detail, "memory": isinstance(error, MemoryError)}}


def said(error: BaseException) -> str:
    """The error in a line or so."""
    words = str(error) if isinstance(error, Breach) else ": ".join(filter(None, [type(error).__name__, str(error)]))
    return " ".join([words, *(f"({note})" for note in getattr(error, "__notes__", []))])


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
    """Where it happened: the last places of the author's code."""
    frames = _trimmed(error).stack[-most:]
    return "; ".join(f"{Path(frame.filename).name}, line {frame.lineno}: {frame.line}" for frame in frames)


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
