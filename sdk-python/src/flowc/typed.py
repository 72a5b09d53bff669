"""Types of Python as JSON: the JSON Schema of a type, and its values out of JSON."""

from __future__ import annotations

import dataclasses
import inspect
import json
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from typing import Annotated, Any, Literal, Protocol, Union, get_args, get_origin

from .gathering import Gathering
from .problem import Problem

Json = Any


class Form(Protocol):
    """How a type looks in JSON."""

    def schema(self) -> Json:
        """Its JSON Schema."""

    def read(self, value: Json, at: str) -> Any:
        """The value; `at` is the JSON pointer of its place."""


def pointer(at: str, key: str | int) -> str:
    """The place of a member."""
    return f"{at}/{str(key).replace('~', '~0').replace('/', '~1')}"


def form_of(annotation: Any) -> Form:
    """How this type looks in JSON."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in PLAIN:
        return PLAIN[annotation]
    if origin is Annotated:
        return form_of(arguments[0])
    if origin is Literal:
        return OneOf({value: value for value in arguments})
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return OneOf({member.value: member for member in annotation})
    if origin in (Union, types.UnionType):
        return AnyOf([form_of(argument) for argument in arguments])
    if origin in (list, Sequence):
        return Items(form_of(arguments[0]), list)
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return Items(form_of(arguments[0]), tuple)
    if origin in (dict, Mapping) and arguments[0] is str:
        return Members(form_of(arguments[1]))
    if dataclasses.is_dataclass(annotation):
        return record_of(annotation)
    raise TypeError(
        f"{annotation!r} is no type of a config; there are str, int, float, bool, Literal, Enum, list, dict, "
        "dataclasses and unions of them"
    )


@dataclass(frozen=True)
class Anything:
    """Whatever the stage makes of it."""

    def schema(self) -> Json:
        """One that everything fits."""
        return {}

    def read(self, value: Json, _at: str) -> Any:
        """The value as it is."""
        return value


@dataclass(frozen=True)
class Scalar:
    """A text, a number, a truth value, or null."""

    name: str
    type: type
    make: Callable[[Any], Any] = lambda value: value

    def schema(self) -> Json:
        """`{"type": ...}`"""
        return {"type": self.name}

    def read(self, value: Json, at: str) -> Any:
        """The value, if its type is exactly this one; integers are numbers too."""
        fits = type(value) is self.type or (self.type is float and type(value) is int)
        if not fits:
            raise Problem(f"{_shown(value)} is no {self.name}", at)
        return self.make(value)


SCALARS: dict[Any, Form] = {
    str: Scalar("string", str),
    int: Scalar("integer", int),
    float: Scalar("number", float, float),
    bool: Scalar("boolean", bool),
    type(None): Scalar("null", type(None)),
}


@dataclass(frozen=True)
class OneOf:
    """One of some constants."""

    values: dict[Any, Any]

    def schema(self) -> Json:
        """`{"enum": [...]}`, with the type where it is one."""
        names = {_SCALAR_NAMES.get(type(value)) for value in self.values}
        one = names.pop() if len(names) == 1 else None
        return ({"type": one} if one else {}) | {"enum": list(self.values)}

    def read(self, value: Json, at: str) -> Any:
        """The member with this value."""
        for known, member in self.values.items():
            if type(known) is type(value) and known == value:
                return member
        raise Problem(f"{_shown(value)} is none of {', '.join(map(_shown, self.values))}", at)


_SCALAR_NAMES = {str: "string", int: "integer", float: "number", bool: "boolean"}


@dataclass(frozen=True)
class AnyOf:
    """One of some types."""

    forms: list[Form]

    def schema(self) -> Json:
        """`{"anyOf": [...]}`"""
        return {"anyOf": [form.schema() for form in self.forms]}

    def read(self, value: Json, at: str) -> Any:
        """As the first type that fits; if none does, the problem that the deepest one has."""
        problems = []
        for form in self.forms:
            try:
                return form.read(value, at)
            except Problem as problem:
                problems.append(problem)
        raise max(problems, key=lambda problem: len(problem.config_path or ""))


@dataclass(frozen=True)
class Items:
    """A list of values of one type."""

    item: Form
    make: Callable[[list[Any]], Any]

    def schema(self) -> Json:
        """`{"type": "array", ...}`"""
        return {"type": "array", "items": self.item.schema()}

    def read(self, value: Json, at: str) -> Any:
        """All items."""
        if not isinstance(value, list):
            raise Problem(f"{_shown(value)} is no list", at)
        found = Gathering()
        items = found.map(lambda number, item: self.item.read(item, pointer(at, number)), range(len(value)), value)
        found.check()
        return self.make(items)


@dataclass(frozen=True)
class Members:
    """An object with any keys, and values of one type."""

    value: Form

    def schema(self) -> Json:
        """`{"type": "object", ...}`"""
        return {"type": "object", "additionalProperties": self.value.schema()}

    def read(self, value: Json, at: str) -> dict[str, Any]:
        """All members."""
        members = _object(value, at)
        found = Gathering()
        values = found.map(lambda name, member: self.value.read(member, pointer(at, name)), members, members.values())
        found.check()
        return dict(zip(members, values, strict=True))


ANYTHING, ANY_MEMBERS, ANY_ITEMS = Anything(), Members(Anything()), Items(Anything(), list)
PLAIN: dict[Any, Form] = SCALARS | {
    Any: ANYTHING,
    object: ANYTHING,
    dict: ANY_MEMBERS,
    Mapping: ANY_MEMBERS,
    list: ANY_ITEMS,
    Sequence: ANY_ITEMS,
}
"""Types without arguments."""


@dataclass(frozen=True)
class Record:
    """A dataclass."""

    type: Any
    doc: str
    fields: dict[str, Form]
    defaults: dict[str, Json]

    def schema(self) -> Json:
        """`{"type": "object", ...}` with a property for each field, and no others."""
        defaults = {name: {"default": value} for name, value in self.defaults.items()}
        properties = {name: form.schema() | defaults.get(name, {}) for name, form in self.fields.items()}
        required = [name for name in self.fields if name not in self.defaults]
        whole = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
        return ({"description": self.doc} if self.doc else {}) | whole

    def read(self, value: Json, at: str) -> Any:
        """An object of the dataclass. What its own checks raise as a ValueError is a problem here."""
        members = _object(value, at)
        found = Gathering()
        values = found.map(lambda name, member: self._member(name, member, at), members.keys(), members.values())
        # A key that is misspelt is not missing besides.
        meant = {
            near for name in members if name not in self.fields for near in get_close_matches(name, self.fields, 1)
        }
        missing = [name for name in self.fields if name not in {*members, *meant, *self.defaults}]
        found.errors += [Problem(f"the key `{name}` is missing", at) for name in missing]
        found.check()
        try:
            return self.type(**dict(zip(members, values, strict=True)))
        except ValueError as error:
            raise Problem(str(error), at) from error

    def _member(self, name: str, member: Json, at: str) -> Any:
        if name not in self.fields:
            near = get_close_matches(name, self.fields, 1)
            help_ = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(self.fields) or 'none'}"
            raise Problem(f"there is no key `{name}`", pointer(at, name), help_)
        return self.fields[name].read(member, pointer(at, name))


def record_of(type_: Any) -> Record:
    """How a dataclass looks in JSON."""
    annotations: dict[str, Any] = {}
    for base in reversed(type_.__mro__):
        annotations |= inspect.get_annotations(base, eval_str=True)
    fields = [field for field in dataclasses.fields(type_) if field.init]
    found = Gathering()
    forms = found.map(lambda field: _form_of_field(type_, field.name, annotations), fields)
    found.check()
    missing = dataclasses.MISSING
    defaults = {field.name: _dumped(field.default) for field in fields if field.default is not missing}
    made = {field.name: _dumped(field.default_factory()) for field in fields if field.default_factory is not missing}
    # dataclasses write a docstring of their own where there is none
    doc = type_.__doc__ or ""
    doc = "" if doc.startswith(f"{type_.__name__}(") else inspect.cleandoc(doc)
    return Record(type_, doc, {field.name: form for field, form in zip(fields, forms, strict=True)}, defaults | made)


def _form_of_field(owner: type, name: str, annotations: Mapping[str, Any]) -> Form:
    try:
        return form_of(annotations[name])
    except TypeError as error:
        raise TypeError(f"field `{name}` of {owner.__name__}: {error}") from error


def _dumped(value: Any) -> Json:
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value):
        return {field.name: _dumped(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {name: _dumped(member) for name, member in value.items()}
    return [_dumped(item) for item in value] if isinstance(value, list | tuple) else value


def _object(value: Json, at: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise Problem(f"{_shown(value)} is no object", at)
    return value


def _shown(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
