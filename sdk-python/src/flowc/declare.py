"""The decorator that makes a stage of a function or a class."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar, get_args, overload

from .annotations import call_of, declared_outputs, evaluated
from .config import config_type
from .model import Adds, Call, Class, Declared, Given, Input, Keyed, Names, New, Output, Parameter, Phase, Picks, Stage

Code = TypeVar("Code", bound=Callable[..., Any])

DRIVING = ("row-wise", "per-segment", "combining")


@dataclass(frozen=True)
class Options:
    """The arguments of the decorator."""

    classes: Mapping[str, Class | Keyed]
    reads: Names | Mapping[str, Names] | None
    outputs: Mapping[str, Declared] | None
    partial: Declared | None
    parts: int | Callable[[Any], int]
    concurrency: int


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
    """
    given = [name for name, value in (("output", output), ("outputs", outputs), ("adds", adds)) if value is not None]
    if len([*given, *(["picks"] if picks else [])]) > 1:
        raise TypeError("give one of `output`, `outputs`, `adds` and `picks`")
    if output is not None:
        outputs = {"out": New(output)}
    elif adds is not None:
        outputs = {"out": Adds(adds, tuple(drops))}
    elif picks:
        outputs = {"out": Picks(tuple(drops))}
    elif drops:
        raise TypeError("`drops` goes with `adds` or `picks`")
    options = Options(classes or {}, reads, outputs, partial, parts, concurrency)
    return decorate(code, options) if code is not None else lambda code: decorate(code, options)


def decorate(code: Code, options: Options) -> Code:
    """Reads the declaration, and notes it at the function or class."""
    try:
        declared = read(code, options)
    except TypeError as error:
        raise TypeError(f"stage `{code.__name__}`: {error}") from error.__cause__
    code.__flowc_stage__ = declared  # type: ignore[attr-defined]
    return code


def stage_of(value: object) -> Stage | None:
    """The stage that a function or class is, if it is one."""
    declared = vars(value).get("__flowc_stage__") if callable(value) and hasattr(value, "__dict__") else None
    return declared if isinstance(declared, Stage) else None


def read(code: Callable[..., Any], options: Options) -> Stage:
    """The stage that this code declares with these options."""
    calls = _calls(code)
    first = calls.get("partial") or calls["run"]
    is_combining = "partial" in calls
    keeps_state = inspect.isclass(code) and hasattr(code, "finish")
    inputs = [_input(parameter, options, is_combining, keeps_state) for parameter in first.parameters]
    if is_combining or not inspect.isclass(code):
        calls = {phase: _gathered(call, inputs) for phase, call in calls.items()}
    _check_inputs(inputs, (calls.get("partial") or calls["run"]).parameters)
    unknown = [name for name in options.classes if name not in {port.name for port in inputs}]
    if unknown:
        raise TypeError(f"`classes` names `{unknown[0]}`, which is no input")
    return Stage(
        name=code.__name__,
        doc=_doc(code),
        code=code,
        config=config_type(_config_annotation(code)),
        inputs=tuple(inputs),
        outputs=tuple(_outputs(calls, _finish_of(code), options)),
        calls=calls,
        partial=_partial(calls, options),
        parts=options.parts,
        concurrency=options.concurrency,
        is_class=inspect.isclass(code),
    )


def _doc(code: Callable[..., Any]) -> str:
    return (inspect.getdoc(code) or "").partition("\n\n")[0].replace("\n", " ") if code.__doc__ else ""


def _calls(code: Callable[..., Any]) -> dict[Phase, Call]:
    if not inspect.isclass(code):
        return {"run": call_of(code)}
    combining: tuple[Phase, ...] = ("partial", "merge", "finish")
    if hasattr(code, "partial") or hasattr(code, "merge"):
        missing = [phase for phase in combining if not hasattr(code, phase)]
        if missing:
            raise TypeError(f"a combining class has the methods partial, merge and finish; `{missing[0]}` is missing")
        return {phase: call_of(getattr(code, phase), of_object=True) for phase in combining}
    if "__call__" not in vars(code) and not any("__call__" in vars(base) for base in code.__mro__[1:-1]):
        raise TypeError("a class has a method `__call__`, or `partial`, `merge` and `finish`")
    return {"run": call_of(code.__call__, of_object=True)}


def _input(parameter: Parameter, options: Options, is_combining: bool, keeps_state: bool) -> Input:
    usual: dict[Given, Class] = {
        Given.BATCH: "per-segment" if keeps_state else "row-wise",
        Given.BATCHES: "per-segment",
        Given.TABLE: "whole",
    }
    needs = options.classes.get(parameter.name, "combining" if is_combining else usual[parameter.given])
    if not isinstance(needs, Keyed) and needs not in get_args(Class):
        raise TypeError(f"`{needs}` is no class; there are {', '.join(get_args(Class))}")
    if needs == "keyed":
        raise TypeError(f'input `{parameter.name}` is keyed by which columns? Say flowc.Keyed("column")')
    if (needs == "combining") != is_combining:
        raise TypeError(
            f"input `{parameter.name}` can't be {needs}: a combining stage is a class with partial and merge"
        )
    keys = needs.columns if isinstance(needs, Keyed) else ()
    name = "keyed" if isinstance(needs, Keyed) else needs
    return Input(parameter.name, name, parameter.columns, _reads(parameter, options), keys)


def _reads(parameter: Parameter, options: Options) -> Names | None:
    reads = options.reads.get(parameter.name) if isinstance(options.reads, Mapping) else options.reads
    if reads is not None and parameter.columns is not None:
        raise TypeError(f"the columns of input `{parameter.name}` are declared twice: by `reads` and by its annotation")
    return reads


def _gathered(call: Call, inputs: list[Input]) -> Call:
    """The same call, which gets in one batch the rows of each input that is not row-wise, and named a batch."""
    row_wise = {port.name for port in inputs if port.needs == "row-wise"}
    parameters = [
        replace(parameter, given=Given.ONE)
        if parameter.given is Given.BATCH and parameter.name not in row_wise
        else parameter
        for parameter in call.parameters
    ]
    return replace(call, parameters=tuple(parameters))


def _check_inputs(inputs: list[Input], parameters: Sequence[Parameter]) -> None:
    driving = [port.name for port in inputs if port.needs in DRIVING]
    if len(driving) > 1:
        raise TypeError(f"inputs `{'` and `'.join(driving)}` can't both drive the stage: one is whole, a pyarrow.Table")
    per_batch = [parameter.name for parameter in parameters if parameter.given is Given.BATCH]
    if len(per_batch) > 1:
        raise TypeError(f"inputs `{'` and `'.join(per_batch)}` can't both come batch by batch")
    iterated = [parameter.name for parameter in parameters if parameter.given is Given.BATCHES]
    if per_batch and iterated:
        raise TypeError(
            f"input `{iterated[0]}` would be used up by the first batch of `{per_batch[0]}`: make it a table"
        )


def _finish_of(code: Callable[..., Any]) -> Call | None:
    is_stateful = inspect.isclass(code) and inspect.isfunction(getattr(code, "finish", None))
    return call_of(code.finish, of_object=True) if is_stateful else None  # type: ignore[attr-defined]


def _outputs(calls: Mapping[Phase, Call], finish: Call | None, options: Options) -> list[Output]:
    if options.outputs is None:
        sources = [calls.get("run"), finish]
        declared = next(filter(None, (declared_outputs(call.returns) for call in sources if call)), None)
        if declared is None:
            raise TypeError("the output is not declared: return a flowc.Batch[...], or say `output`, `adds` or `picks`")
        is_stateful = finish is not None and "run" in calls
        return [Output(name, New(schema), optional or is_stateful) for name, (schema, optional) in declared.items()]
    makes = {
        name: made if isinstance(made, New | Adds | Picks) else New(made) for name, made in options.outputs.items()
    }
    if "run" not in calls or not calls["run"].parameters:
        if not all(isinstance(made, New) for made in makes.values()):
            raise TypeError("`adds` and `picks` need an input whose rows they keep; this stage makes rows of its own")
    is_optional = len(makes) > 1 or finish is not None
    return [Output(name, made, is_optional) for name, made in makes.items()]


def _partial(calls: Mapping[Phase, Call], options: Options) -> Declared | None:
    if "partial" not in calls:
        return None
    declared = declared_outputs(calls["partial"].returns)
    if options.partial is None and declared is None:
        raise TypeError("the columns of a partial are not declared: let `partial` return a flowc.Batch[...]")
    return options.partial if options.partial is not None else next(iter((declared or {}).values()))[0]


def _config_annotation(code: Callable[..., Any]) -> Any:
    """The annotation of the parameter `config`; None if there is no such parameter."""
    if not inspect.isclass(code):
        return _annotation_of_config(code)
    places = [
        code.__init__,
        getattr(code, "setup", None),
        *(getattr(code, name, None) for name in ("partial", "finish")),
    ]
    found = (_annotation_of_config(place) for place in places if inspect.isroutine(place))
    return next((annotation for annotation in found if annotation is not None), None)


def _annotation_of_config(code: Callable[..., Any]) -> Any:
    if not inspect.isfunction(code) or "config" not in inspect.signature(code).parameters:
        return None
    return evaluated(code).get("config", dict)
