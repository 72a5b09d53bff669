"""What to do about errors that the place where stages run explains: packages of the project alone, and a sandbox."""

from __future__ import annotations

import errno
import importlib.util
import pkgutil
import socket
import sys
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENETUNREACH, errno.EHOSTUNREACH}
"""What the system answers to who wants something outside of the sandbox."""
SANDBOX = (
    "a stage runs in a sandbox: it has no network, reads no files but its project's, and writes to `tempfile` alone; "
    "nothing in the pipeline allows more: let a source read the data, put the file into the project's folder, "
    "or return rows for a sink to write"
)


def advice(error: BaseException) -> str | None:
    """What to do about an error, if it is one of these, or comes of one."""
    for one in _chain(error):
        if isinstance(one, ModuleNotFoundError) and one.name:
            return _missing(one.name)
        if isinstance(one, OSError) and _is_refused(one):
            return SANDBOX
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that it was raised for."""
    seen: list[BaseException] = []
    rest: BaseException | None = error
    while rest is not None and not any(rest is one for one in seen):
        seen.append(rest)
        yield rest
        rest = rest.__cause__ or (None if rest.__suppress_context__ else rest.__context__)


def _is_refused(error: OSError) -> bool:
    return isinstance(error, socket.gaierror) or error.errno in REFUSED


def _missing(module: str) -> str:
    package, _, rest = module.partition(".")
    if rest and _is_there(package):
        return f"`{package}` is there, and has no module `{rest}`"
    own = {found.name for found in pkgutil.iter_modules(sys.path[:1])}
    near = get_close_matches(package, own | sys.stdlib_module_names, 1, 0.8)
    add = (
        f"`uv add {package}` in the folder of its pyproject.toml, under the name that the package has where that "
        "differs from the module's"
    )
    return (
        f"did you mean `{near[0]}`? A package is added by {add}" if near else f"add its package to the project: {add}"
    )


def _is_there(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False
