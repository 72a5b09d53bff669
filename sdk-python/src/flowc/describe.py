"""From a stage, a config and the schemas of its inputs to a description."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from .columns import is_columns, schema_of
from .description import Description, InputDescription, OutputDescription, Rows
from .gathering import Gathering
from .model import Adds, Input, Names, New, Output, Stage
from .problem import Problem
from .texts import is_text, type_name
from .typed import pointer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .model import Declared


def describe(stage: Stage, config: dict[str, Any], inputs: Sequence[pa.Schema]) -> Description:
    """What the stage does with this config and these inputs; raises a problem if it can't."""
    return _Describer(stage, config, inputs).description()


class _Describer:
    def __init__(self, stage: Stage, config: dict[str, Any], inputs: Sequence[pa.Schema]) -> None:
        self.stage = stage
        self.json = config
        self.inputs = inputs
        self.found = Gathering()
        self.config = self.found.get(stage.config.read, config)
        self.is_configured = not self.found.errors
        if len(inputs) != len(stage.inputs):
            raise Problem(f"the stage has {len(stage.inputs)} inputs, not {len(inputs)}")

    def description(self) -> Description:
        inputs = self.found.map(self.input, self.stage.inputs, self.inputs)
        if not self.is_configured:
            # What depends on the config can't be told.
            self.found.check()
        outputs = self.found.map(self.output, self.stage.outputs)
        partial = None if self.stage.partial is None else self.found.get(self.schema, self.stage.partial)
        parts = self.found.get(self.parts) or 0
        self.found.check()
        return Description(tuple(inputs), tuple(outputs), partial, parts)

    def input(self, port: Input, schema: pa.Schema) -> InputDescription:
        found = Gathering()
        keys = found.map(lambda name: self.number(port, schema, name), self.names(port.keys))
        if port.columns is not None:
            reads = found.map(lambda field: self.number(port, schema, field.name, field), port.columns)
        elif port.reads is not None:
            reads = found.map(lambda name: self.number(port, schema, name), self.names(port.reads))
        else:
            reads = list(range(len(schema)))
        found.check()
        return InputDescription(port.needs, tuple(sorted({*reads, *keys})), tuple(keys))

    def names(self, names: Names) -> Sequence[str]:
        if callable(names):
            return names(self.config) if self.is_configured else ()
        return [names] if isinstance(names, str) else names

    def number(self, port: Input, schema: pa.Schema, name: str, wanted: pa.Field[Any] | None = None) -> int:
        """The number of a column; a problem if it is not there, or not as it is wanted."""
        number = schema.get_field_index(name)
        if number < 0:
            near = get_close_matches(name, schema.names, 1)
            help_ = f"did you mean `{near[0]}`?" if near else f"its columns are {', '.join(schema.names) or 'none'}"
            raise Problem(f"input `{port.name}` has no column `{name}`", _place(self.json, name), help_)
        found = schema.field(number)
        if wanted is not None and found.type != wanted.type and not (is_text(found.type) and is_text(wanted.type)):
            message = f"column `{name}` of input `{port.name}` is {type_name(found.type)}"
            raise Problem(f"{message}; the stage reads {type_name(wanted.type)}")
        if wanted is not None and found.nullable and not wanted.nullable:
            message = f"column `{name}` of input `{port.name}` may hold nulls; the stage reads one without"
            raise Problem(message, help=f"declare `{name}` with `| None` in the stage, or drop the nulls before it")
        return number

    def output(self, port: Output) -> OutputDescription:
        if isinstance(port.makes, New):
            schema = self.schema(port.makes.schema)
            return OutputDescription(schema, Rows("new"), (None,) * len(schema))
        number = self.stage.input_of_rows()
        added = self.schema(port.makes.columns) if isinstance(port.makes, Adds) else pa.schema([])
        relation = Rows("same" if isinstance(port.makes, Adds) else "subset", number)
        columns = list(self.columns(number, added, port.makes.drops))
        return OutputDescription(pa.schema([field for field, _ in columns]), relation, tuple(p for _, p in columns))

    def columns(
        self, number: int, added: pa.Schema, drops: Sequence[str]
    ) -> Iterator[tuple[pa.Field[Any], int | None]]:
        """The input's columns, those in `added` replaced in their places, then the rest of `added`."""
        port, schema = self.stage.inputs[number], self.inputs[number]
        found = Gathering()
        dropped = set(found.map(lambda name: self.number(port, schema, name), drops))
        found.check()
        replaced = {field.name: field for field in added}
        for place, field in enumerate(schema):
            if place not in dropped:
                ours = replaced.pop(field.name, None)
                yield (field, place) if ours is None else (ours, None)
        yield from ((field, None) for field in replaced.values())

    def schema(self, declared: Declared) -> pa.Schema:
        if callable(declared) and not is_columns(declared):
            declared = declared(*self.inputs) if self.config is None else declared(*self.inputs, self.config)
        return schema_of(declared)

    def parts(self) -> int:
        return self.stage.parts(self.config) if callable(self.stage.parts) else self.stage.parts


def _place(config: Any, name: str, at: str = "") -> str | None:
    """Where the config says this name, if it does: that is what to blame for a column that is not there."""
    if config == name:
        return at
    members = config.items() if isinstance(config, dict) else enumerate(config) if isinstance(config, list) else ()
    places = (_place(member, name, pointer(at, key)) for key, member in members)
    return next((place for place in places if place is not None), None)
