"""Why a stage cannot go on: through its config or data, through its code, or because nobody wants its result."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Problem(Exception):
    """What a stage finds wrong with its config or its data. Raise it with a message for the pipeline's author.

    `config_path` is a JSON pointer into the config, such as `/columns/0`; flowc shows that place in the pipeline's
    text. `help` says what to do about it.
    """

    def __init__(self, message: str, config_path: str | None = None, help: str | None = None) -> None:  # noqa: A002
        super().__init__(message)
        self.message = message
        self.config_path = config_path
        self.help = help


class Problems(Problem):
    """Several at once: the first one, and the others."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        flat = (one for problem in problems for one in (getattr(problem, "all", None) or [problem]))
        # A column that is missing may be wanted for several reasons.
        self.all = list({(one.message, one.config_path): one for one in flat}.values())
        super().__init__(self.all[0].message, self.all[0].config_path, self.all[0].help)

    def __str__(self) -> str:
        return "\n".join(one.message for one in self.all)


class Breach(Exception):
    """What a stage's code gave does not fit what the stage declares."""


class WrongForm(Breach):
    """It is not even of the form that is wanted: rows, a mask, values for each row."""


class StepFailed(BaseException):
    """A stage cannot go on, and so none of its chain can: the number of its step (None for the last), and why.

    No `Exception`, so that a stage does not handle what befell another one.
    """

    def __init__(self, step: int | None, error: BaseException) -> None:
        super().__init__(step, error)
        self.step, self.error = step, error


class Cancelled(BaseException):
    """Nobody waits for the invocation any more.

    No `Exception`, so that a stage which handles those does not go on.
    """
