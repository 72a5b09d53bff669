"""What a stage is given that must not be seen: secrets, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from .problem import Problem

T = TypeVar("T")


class Secrets(Mapping[str, str]):
    """Values by name. What is shown of them, as in a traceback, are the names."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Secrets({', '.join(self._values)})"


_current: ContextVar[Secrets | None] = ContextVar("flowc_secrets", default=None)


def secret(name: str) -> str:
    """The value of a secret that the pipeline gives to this stage: `secret "API_TOKEN"` in its block.

    To be called in the stage's own code, while it runs: in its function or methods, or in `setup`. flowc takes values
    out of what the stage says; what the stage puts into its rows stays there.
    """
    given = _current.get()
    if given is None:
        raise Problem(
            f"the secret `{name}` is asked for where no stage runs",
            help="call flowc.secret in the stage's function or in `setup`: not when a module is imported, not when the "
            "pipeline is planned, and not in a thread of your own, which is best handed the value",
        )
    if name not in given:
        raise Problem(
            f"the stage is not given the secret `{name}`", help=f'add `secret "{name}"` to the stage in the pipeline'
        )
    return given[name]


def giving(secrets: Secrets, call: Callable[[], T]) -> T:
    """Calls this. What is called in it is given these secrets."""
    with given(secrets):
        return call()


@contextmanager
def given(secrets: Secrets) -> Iterator[None]:
    """What runs within is given these secrets."""
    token = _current.set(secrets)
    try:
        yield
    finally:
        _current.reset(token)
