"""The decorator that makes a stage of a function or a class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, overload

from .model import Adds, Batching, Class, Declared, Keyed, Names, New, Picks, Stage
from .reading import Options, read

Code = TypeVar("Code", bound=Callable[..., Any])


@overload
def stage(code: Code, /) -> Code: ...
@overload
def stage(
    *,
    classes: Mapping[str, Class | Keyed] | None = None,
    reads: Names | Mapping[str, Names] | None = None,
    output: Declared | None = None,
    outputs: Mapping[str, Declared] | None = None,
    adds: Declared | None = None,
    picks: bool = False,
    drops: Sequence[str] = (),
    partial: Declared | None = None,
    parts: int | Callable[[Any], int] = 1,
    concurrency: int = 8,
    batch: Batching | None = None,
) -> Callable[[Code], Code]: ...
def stage(  # noqa: PLR0913
    code: Code | None = None,
    /,
    *,
    classes: Mapping[str, Class | Keyed] | None = None,
    reads: Names | Mapping[str, Names] | None = None,
    output: Declared | None = None,
    outputs: Mapping[str, Declared] | None = None,
    adds: Declared | None = None,
    picks: bool = False,
    drops: Sequence[str] = (),
    partial: Declared | None = None,
    parts: int | Callable[[Any], int] = 1,
    concurrency: int = 8,
    batch: Batching | None = None,
) -> Code | Callable[[Code], Code]:
    """Makes a stage of a function or a class; what is decorated stays as it is, and can be called as before.

    The annotations declare the inputs, and the columns that are read and written; see `docs/python.md`. The arguments
    say what annotations can't:

    - `classes`: per input its class, where it differs from what the annotation means
    - `reads`: names of the columns that are read: of the only input, or per input
    - `output`: columns of the output, a schema or a function of the input schemas (and the config); `outputs`: of
      several ones, by name
    - `adds`: the input's rows are kept, and the code returns only these columns
    - `picks`: the code returns a mask that picks among the input's rows
    - `drops`: columns of the input that `adds` and `picks` leave out
    - `partial`: columns of the partials of a combining stage
    - `parts`: number of invocations of a stage without inputs
    - `concurrency`: batches that an `async` function works on at a time
    - `batch`: how many rows are gathered for a call, and how long they may wait for one another
    """
    made = _outputs(output, outputs, adds, Picks(drops) if picks else None, drops)
    options = Options(classes or {}, reads, made, partial, parts, concurrency, batch)
    return _noted(code, options) if code is not None else lambda code: _noted(code, options)


def stage_of(value: object) -> Stage | None:
    """The stage that a function or class is, if it is one."""
    declared = vars(value).get("__flowc_stage__") if callable(value) and hasattr(value, "__dict__") else None
    return declared if isinstance(declared, Stage) else None


def _outputs(
    output: Declared | None,
    outputs: Mapping[str, Declared] | None,
    adds: Declared | None,
    picks: Picks | None,
    drops: Sequence[str],
) -> Mapping[str, Declared] | None:
    """The outputs by name, if an argument declares them."""
    if sum(given is not None for given in (output, outputs, adds, picks)) > 1:
        raise TypeError("give one of `output`, `outputs`, `adds` and `picks`")
    if drops and adds is None and picks is None:
        raise TypeError("`drops` goes with `adds` or `picks`")
    one = Adds(adds, drops) if adds is not None else picks if picks is not None else output
    return outputs if one is None else {"out": one if isinstance(one, Adds | Picks) else New(one)}


def _noted(code: Code, options: Options) -> Code:
    """Reads the declaration, and notes it at the function or class."""
    try:
        declared = read(code, options)
    except TypeError as error:
        raise TypeError(f"stage `{code.__name__}`: {error}") from error
    code.__flowc_stage__ = declared  # type: ignore[attr-defined]
    return code
