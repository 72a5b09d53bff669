"""What the annotations of a function declare."""

from __future__ import annotations

import collections.abc
import inspect
import types
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

import pyarrow as pa

from .columns import Batch, Columns, Table, is_columns
from .frames import frame_of
from .gathering import Gathering
from .model import Call, Given, Parameter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ITERATORS = (collections.abc.Iterator, collections.abc.Iterable, collections.abc.Generator)
ASYNC_ITERATORS = (
    collections.abc.AsyncIterator,
    collections.abc.AsyncIterable,
    collections.abc.AsyncGenerator,
)


def evaluated(code: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of a function, those written as text evaluated."""
    try:
        return inspect.get_annotations(inspect.unwrap(code), eval_str=True)
    except Exception as error:  # an annotation may be any expression
        raise TypeError(f"{_wrong_annotation(code)} can't be evaluated: {error}; {_EVALUATED}") from error


_EVALUATED = (
    "flowc reads annotations when the module is imported: write it as Python, and import its names outside of "
    "`if TYPE_CHECKING`"
)


def _wrong_annotation(code: Callable[..., Any]) -> str:
    """Which one can't be evaluated."""
    function = inspect.unwrap(code)
    for name, text in inspect.get_annotations(function).items():
        try:
            if isinstance(text, str):
                eval(text, function.__globals__)
        except Exception:
            place = (
                "the annotation of what is returned" if name == "return" else f"the annotation of parameter `{name}`"
            )
            return f"{place}, {text!r},"
    return "an annotation"


def call_of(code: Callable[..., Any], found: Gathering, *, of_object: bool = False) -> Call:
    """Reads the declaration of a function, or of a method (whose first parameter is the object).

    Parameters that are wrong are noted in `found`, and left out.
    """
    annotations = evaluated(code)
    declared = list(inspect.signature(code).parameters.values())[of_object:]
    names = [parameter.name for parameter in declared]
    of_rows = [parameter for parameter in declared if parameter.name not in ("config", "part")]
    parameters = found.map(lambda parameter: _parameter(parameter, annotations), of_rows)
    return Call(
        parameters=tuple(parameters),
        returns=annotations.get("return"),
        has_config="config" in names,
        has_part="part" in names,
        is_async=inspect.iscoroutinefunction(code) or inspect.isasyncgenfunction(code),
    )


def _parameter(parameter: inspect.Parameter, annotations: Mapping[str, Any]) -> Parameter:
    name, annotation = parameter.name, annotations.get(parameter.name)
    if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        stars = str(parameter).partition(":")[0]
        raise TypeError(f"parameter `{stars}` stands for any number of inputs; give each input a parameter of its own")
    item = _item(annotation, ITERATORS)
    base, columns = _columns(annotation if item is None else item)
    frame = frame_of(base) or "arrow"
    if item is not None and (base is pa.RecordBatch or frame != "arrow"):
        given = Given.BATCHES
    elif item is None and (base is pa.RecordBatch or frame != "arrow"):
        given = Given.BATCH
    elif item is None and base is pa.Table:
        given = Given.TABLE
    else:
        raise TypeError(_no_input(parameter, name in annotations, base))
    return Parameter(name, given, frame, columns)


def _no_input(parameter: inspect.Parameter, is_annotated: bool, base: Any) -> str:
    """Why a parameter is no input, and how to write one."""
    name = parameter.name
    if is_columns(base):
        columns = base.__name__
        return f"parameter `{name}` is annotated `{columns}`, its columns alone; write `{name}: flowc.Batch[{columns}]`"
    if not is_annotated:
        wrong = "has no annotation"
    else:
        wrong = (
            f"is annotated {inspect.formatannotation(parameter.annotation).strip(chr(39))}, which is no type of rows"
        )
    return (
        f"parameter `{name}` {wrong}; an input is annotated `pyarrow.RecordBatch` (a call for each batch), "
        "`Iterator[pyarrow.RecordBatch]` (a call for each segment), `pyarrow.Table` (all rows at once), "
        "`flowc.Batch[...]` or `flowc.Table[...]` with declared columns, or a `DataFrame` of pandas or polars; "
        "parameters of other types are called `config` and `part`"
    )


def declared_outputs(returns: Any) -> dict[str, tuple[pa.Schema, bool]] | None:
    """The outputs that a return annotation declares: schemas, and whether each may be left out. None if it does not."""
    item = _item(returns, ITERATORS + ASYNC_ITERATORS)
    base, is_optional = _without_none(returns if item is None else item)
    named = inspect.get_annotations(base, eval_str=True) if _is_named_tuple(base) else {}
    ports = {name: _output(annotation) for name, annotation in named.items()}
    missing = [f"`{name}`" for name, port in ports.items() if port is None]
    if missing:
        fields = (
            f"field {missing[0]} of {base.__name__} is"
            if len(missing) == 1
            else f"fields {', '.join(missing)} of {base.__name__} are"
        )
        raise TypeError(f"{fields} no flowc.Batch[...] of declared columns")
    if ports:
        return {name: port for name, port in ports.items() if port is not None}
    _, columns = _columns(base)
    return None if columns is None else {"out": (columns, is_optional)}


def _output(annotation: Any) -> tuple[pa.Schema, bool] | None:
    base, is_optional = _without_none(annotation)
    _, columns = _columns(base)
    return None if columns is None else (columns, is_optional)


def _item(annotation: Any, iterators: tuple[Any, ...]) -> Any | None:
    """What an iterator gives, or None if the annotation is none of these."""
    return get_args(annotation)[0] if get_origin(annotation) in iterators and get_args(annotation) else None


def _columns(annotation: Any) -> tuple[Any, pa.Schema | None]:
    """The type without the columns that are declared for it, and those columns."""
    if annotation is Batch:
        return pa.RecordBatch, None
    if annotation is Table:
        return pa.Table, None
    if get_origin(annotation) is not Annotated:
        return annotation, None
    columns: type[Columns] | None = next((extra for extra in annotation.__metadata__ if is_columns(extra)), None)
    return annotation.__origin__, columns.schema if columns else None


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation, False
    rest = [part for part in get_args(annotation) if part is not type(None)]
    return (rest[0] if len(rest) == 1 else annotation), len(rest) < len(get_args(annotation))


def _is_named_tuple(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_fields")
