"""From the code of a stage, and the arguments of its decorator, to what it declares."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from .annotations import call_of, declared_outputs, evaluated
from .config import config_type
from .gathering import Gathering
from .model import (
    Adds,
    Batching,
    Call,
    Class,
    Declared,
    Given,
    Input,
    Keyed,
    Names,
    New,
    Output,
    Parameter,
    Phase,
    Picks,
    Stage,
)

COMBINING: tuple[Phase, ...] = ("partial", "merge", "finish")
USUAL: dict[Given, Class] = {Given.BATCH: "row-wise", Given.BATCHES: "per-segment", Given.TABLE: "whole"}
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
    batch: Batching | None


def read(code: Callable[..., Any], options: Options) -> Stage:
    """The stage that this code declares with these options; raises a TypeError that says what is wrong."""
    found = Gathering()
    calls = _calls(code, found)
    finish = _finish(code, calls, found)
    config = found.get(config_type, *_config_annotation(code))
    outputs = found.get(_outputs, calls, finish, options)
    partial = found.get(_partial, calls, options)
    found.check()
    parameters = calls.get("partial", calls.get("run", finish)).parameters  # type: ignore[union-attr]
    found.get(_check_names, options, [parameter.name for parameter in parameters])
    inputs = found.map(lambda parameter: _input(parameter, options, _usual(parameter, calls, finish)), parameters)
    found.check()
    calls = {phase: _gathered(call, inputs, inspect.isclass(code)) for phase, call in calls.items()}
    found.get(_check_inputs, inputs, next(iter(calls.values())).parameters)
    found.get(_check_outputs, outputs, calls)
    found.get(_check_batch, options, calls)
    found.check()
    return Stage(
        name=code.__name__,
        doc=" ".join(inspect.cleandoc(code.__doc__ or "").partition("\n\n")[0].split()),
        code=code,
        config=config,  # type: ignore[arg-type]
        inputs=tuple(inputs),
        outputs=tuple(outputs),  # type: ignore[arg-type]
        calls=calls,
        partial=partial,
        parts=options.parts,
        concurrency=options.concurrency,
        batch=options.batch,
        is_class=inspect.isclass(code),
    )


def _calls(code: Callable[..., Any], found: Gathering) -> dict[Phase, Call]:
    if not inspect.isclass(code):
        return {"run": call_of(code, found)}
    if hasattr(code, "partial") or hasattr(code, "merge"):
        missing = [phase for phase in COMBINING if not hasattr(code, phase)]
        if missing:
            names = " and ".join(f"`{phase}`" for phase in missing) + (" is" if len(missing) == 1 else " are")
            raise TypeError(f"a combining class has the methods partial, merge and finish; {names} missing")
        return {phase: call_of(getattr(code, phase), found, of_object=True) for phase in COMBINING}
    if not inspect.isfunction(getattr(code, "__call__", None)):  # noqa: B004
        raise TypeError("a class has a method `__call__`, or `partial`, `merge` and `finish`")
    return {"run": call_of(code.__call__, found, of_object=True)}


def _finish(code: Callable[..., Any], calls: Mapping[Phase, Call], found: Gathering) -> Call | None:
    """The method of a class that gives what is left at the end."""
    has_rest = inspect.isclass(code) and "run" in calls and hasattr(code, "finish")
    return call_of(code.finish, found, of_object=True) if has_rest else None  # type: ignore[attr-defined]


def _usual(parameter: Parameter, calls: Mapping[Phase, Call], finish: Call | None) -> Class:
    """The class that an annotation means. Who keeps something for the end does not look at each row by itself."""
    if "partial" in calls:
        return "combining"
    return "per-segment" if finish and parameter.given is Given.BATCH else USUAL[parameter.given]


def _input(parameter: Parameter, options: Options, usual: Class) -> Input:
    needs = options.classes.get(parameter.name, usual)
    if not isinstance(needs, Keyed) and needs not in get_args(Class):
        raise TypeError(f"`{needs}` is no class; there are {', '.join(get_args(Class))}")
    if needs == "keyed":
        raise TypeError(f'input `{parameter.name}` is keyed by which columns? Say flowc.Keyed("column")')
    if (needs == "combining") != (usual == "combining"):
        raise TypeError(f"input `{parameter.name}` can't be {needs}: combining stages have `partial` and `merge`")
    name: Class = "keyed" if isinstance(needs, Keyed) else needs
    keys = needs.columns if isinstance(needs, Keyed) else ()
    return Input(parameter.name, name, parameter.columns, _reads(parameter, options), keys)


def _reads(parameter: Parameter, options: Options) -> Names | None:
    reads = options.reads.get(parameter.name) if isinstance(options.reads, Mapping) else options.reads
    if reads is not None and parameter.columns is not None:
        raise TypeError(f"the columns of input `{parameter.name}` are declared twice: by `reads` and by its annotation")
    return reads


def _gathered(call: Call, inputs: Sequence[Input], is_class: bool) -> Call:
    """The same call, which gets all rows in one batch where it names a batch and is not called for each.

    A function is called for each batch of a row-wise input, an object for each batch whatever the class.
    """
    by_batch = {port.name for port in inputs if port.needs == "row-wise" or (is_class and port.needs != "combining")}
    is_one = [parameter.given is Given.BATCH and parameter.name not in by_batch for parameter in call.parameters]
    pairs = zip(call.parameters, is_one, strict=True)
    return replace(call, parameters=tuple(replace(p, given=Given.ONE) if one else p for p, one in pairs))


def _check_names(options: Options, names: Sequence[str]) -> None:
    if options.reads is not None and not isinstance(options.reads, Mapping) and len(names) > 1:
        raise TypeError(f"`reads` of which input? Say reads={{{names[0]!r}: ...}}")
    reads = options.reads if isinstance(options.reads, Mapping) else {}
    unknown = [
        f"`{argument}` names `{name}`; the inputs are {', '.join(names) or 'none'}"
        for argument, given in (("classes", options.classes), ("reads", reads))
        for name in given
        if name not in names
    ]
    if unknown:
        raise TypeError("\n".join(unknown))


def _check_inputs(inputs: Sequence[Input], parameters: Sequence[Parameter]) -> None:
    driving = [port.name for port in inputs if port.needs in DRIVING]
    if len(driving) > 1:
        raise TypeError(f"inputs `{'` and `'.join(driving)}` can't both drive the stage: one is whole, a pyarrow.Table")
    by_batch = [parameter.name for parameter in parameters if parameter.given is Given.BATCH]
    if len(by_batch) > 1:
        raise TypeError(f"inputs `{'` and `'.join(by_batch)}` can't both come batch by batch")
    iterated = [parameter.name for parameter in parameters if parameter.given is Given.BATCHES]
    if by_batch and iterated:
        raise TypeError(f"input `{iterated[0]}` would end with the first batch of `{by_batch[0]}`: make it a table")


def _check_batch(options: Options, calls: Mapping[Phase, Call]) -> None:
    given = [parameter.given for call in calls.values() for parameter in call.parameters]
    if options.batch is not None and Given.BATCH not in given:
        raise TypeError(
            "`batch` is for a function that is called for each batch: one of a row-wise pyarrow.RecordBatch"
        )


def _outputs(calls: Mapping[Phase, Call], finish: Call | None, options: Options) -> list[Output]:
    last = calls.get("run", calls.get("finish"))
    if options.outputs is not None:
        return _named_outputs(options.outputs, finish)
    declared = [declared_outputs(call.returns) for call in (last, finish) if call is not None]
    named = next(filter(None, declared), None)
    if named is None:
        raise TypeError("the output is not declared: return a flowc.Batch[...], or say `output`, `adds` or `picks`")
    keeps = finish is not None
    return [Output(name, New(schema), is_optional or keeps) for name, (schema, is_optional) in named.items()]


def _named_outputs(outputs: Mapping[str, Declared], finish: Call | None) -> list[Output]:
    makes = [made if isinstance(made, New | Adds | Picks) else New(made) for made in outputs.values()]
    is_optional = len(makes) > 1 or finish is not None
    return [Output(name, made, is_optional) for name, made in zip(outputs, makes, strict=True)]


def _check_outputs(outputs: Sequence[Output], calls: Mapping[Phase, Call]) -> None:
    last = calls.get("run", calls.get("finish"))
    has_rows = last is not None and last.parameters
    if not has_rows and not all(isinstance(port.makes, New) for port in outputs):
        raise TypeError("`adds` and `picks` need an input whose rows they keep; this stage makes rows of its own")


def _partial(calls: Mapping[Phase, Call], options: Options) -> Declared | None:
    if "partial" not in calls:
        return None
    declared = declared_outputs(calls["partial"].returns)
    if options.partial is None and declared is None:
        raise TypeError("the columns of a partial are not declared: let `partial` return a flowc.Batch[...]")
    return options.partial if declared is None else next(iter(declared.values()))[0]


def _config_annotation(code: Callable[..., Any]) -> tuple[Any, ...]:
    """The annotation of the parameter `config`, wherever it is; empty if there is no such parameter."""
    names = ("__init__", "setup", "__call__", "partial", "merge", "finish")
    places = [getattr(code, name, None) for name in names] if inspect.isclass(code) else [code]
    with_config = [
        place for place in places if inspect.isfunction(place) and "config" in inspect.signature(place).parameters
    ]
    annotations = [evaluated(place).get("config", dict) for place in with_config]
    return tuple([annotation for annotation in annotations if annotation is not dict] or annotations)[:1]
