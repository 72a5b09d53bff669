"""The kinds of config that a stage may declare."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol, get_origin

from .problem import Problem, Problems
from .typed import Form, form_of, pointer

Json = Any


class ConfigType(Protocol):
    """A type of config."""

    def schema(self) -> Json:
        """Its JSON Schema."""

    def read(self, value: Json) -> Any:
        """The config of a stage; raises a problem that names the place."""


def config_type(*annotations: Any) -> ConfigType:
    """What the annotation of `config` declares; a stage without the parameter has none, and no config."""
    if not annotations:
        return NoConfig()
    (annotation,) = annotations
    if annotation in (dict, Mapping, Any) or get_origin(annotation) in (dict, Mapping):
        return DictConfig(form_of(dict if annotation is Any else annotation))
    if dataclasses.is_dataclass(annotation):
        return DataclassConfig(form_of(annotation))
    if hasattr(annotation, "model_json_schema") and hasattr(annotation, "model_validate"):
        return PydanticConfig(annotation)
    raise TypeError(
        f"parameter `config` is annotated {annotation!r}; it is a dataclass (`@dataclass class Config: ...`), "
        "a pydantic model, or a dict"
    )


class NoConfig:
    """There is nothing to configure."""

    def schema(self) -> Json:
        """An object without keys."""
        return {"type": "object", "properties": {}, "additionalProperties": False}

    def read(self, value: Json) -> None:
        """Refuses any key."""
        for name in value or {}:
            raise Problem(
                "this stage has no config; remove the block, or give the code a parameter `config`", pointer("", name)
            )


@dataclass(frozen=True)
class DictConfig:
    """A dict, of any keys."""

    form: Form

    def schema(self) -> Json:
        """An object that may have any key."""
        return self.form.schema()

    def read(self, value: Json) -> dict[str, Any]:
        """The object, with values of the type that is declared."""
        members: dict[str, Any] = self.form.read(value or {}, "")
        return members


@dataclass(frozen=True)
class DataclassConfig:
    """A dataclass."""

    form: Form

    def schema(self) -> Json:
        """Made of the types of its fields."""
        return self.form.schema()

    def read(self, value: Json) -> Any:
        """An object of the dataclass."""
        return self.form.read(value or {}, "")


@dataclass(frozen=True)
class PydanticConfig:
    """A model of pydantic."""

    model: Any

    def schema(self) -> Json:
        """As pydantic makes it."""
        return self.model.model_json_schema()

    def read(self, value: Json) -> Any:
        """An object of the model; each of its errors is a problem."""
        from pydantic import ValidationError

        try:
            return self.model.model_validate(value or {})
        except ValidationError as error:
            raise Problems(Problem(one["msg"], reduce(pointer, one["loc"], "")) for one in error.errors()) from error
