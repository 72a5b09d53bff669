"""Mistakes that are told all at once, not one after the other is mended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from .failure import as_problem
from .problem import Problems

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")


class Gathering:
    """Goes on after a mistake, and raises all of them in the end."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []

    def get(self, function: Callable[..., T], *arguments: Any) -> T | None:
        """What the function gives; None if it raises, which is noted."""
        try:
            return function(*arguments)
        except Exception as error:
            self.errors.append(error)
            return None

    def map(self, function: Callable[..., T], *iterables: Iterable[Any]) -> list[T]:
        """What the function gives for each; those for which it raises are noted and left out."""
        before = len(self.errors)
        answers = [self.get(function, *arguments) for arguments in zip(*iterables, strict=True)]
        return answers if len(self.errors) == before else []  # type: ignore[return-value]

    def check(self) -> None:
        """Raises what was noted: a single error as it is."""
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors and all(type(error) is TypeError for error in self.errors):
            raise TypeError("\n".join(dict.fromkeys(map(str, self.errors))))
        if self.errors:
            raise Problems(map(as_problem, self.errors)) from self.errors[0]
