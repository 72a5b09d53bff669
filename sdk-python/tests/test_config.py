import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

import flowc
from flowc.config import config_type


class Mode(enum.Enum):
    FAST = "fast"
    GOOD = "good"


@dataclass
class Limits:
    """How much."""

    most: int
    share: float = 0.5


@dataclass
class Config:
    """What to do."""

    column: str
    limits: Limits
    mode: Mode = Mode.GOOD
    unit: Literal["m", "km"] = "m"
    names: list[str] = field(default_factory=list)
    weights: dict[str, float] = field(default_factory=dict)
    label: str | None = None

    def __post_init__(self):
        if self.column == "forbidden":
            raise ValueError("not this one")


def test_the_schema_of_a_dataclass():
    assert config_type(Config).schema() == {
        "type": "object",
        "description": "What to do.",
        "required": ["column", "limits"],
        "additionalProperties": False,
        "properties": {
            "column": {"type": "string"},
            "limits": {
                "type": "object",
                "description": "How much.",
                "required": ["most"],
                "additionalProperties": False,
                "properties": {"most": {"type": "integer"}, "share": {"type": "number", "default": 0.5}},
            },
            "mode": {"type": "string", "enum": ["fast", "good"], "default": "good"},
            "unit": {"type": "string", "enum": ["m", "km"], "default": "m"},
            "names": {"type": "array", "items": {"type": "string"}, "default": []},
            "weights": {"type": "object", "additionalProperties": {"type": "number"}, "default": {}},
            "label": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        },
    }


def test_values_become_objects():
    given = {"column": "a", "limits": {"most": 3, "share": 1}, "mode": "fast", "weights": {"x": 2}, "names": ["n"]}
    read = config_type(Config).read(given)
    assert read == Config("a", Limits(3, 1.0), Mode.FAST, "m", ["n"], {"x": 2.0})
    assert isinstance(read.limits.share, float)


@pytest.mark.parametrize(
    ("changed", "place", "message"),
    [
        ({"column": 1}, "/column", "1 is no string"),
        ({"limits": {"most": True}}, "/limits/most", "true is no integer"),
        ({"limits": {}}, "/limits", "the key `most` is missing"),
        ({"mode": "slow"}, "/mode", '"slow" is none of "fast", "good"'),
        ({"names": ["a", 2]}, "/names/1", "2 is no string"),
        ({"weights": {"a/b": "x"}}, "/weights/a~1b", '"x" is no number'),
        ({"colum": "a"}, "/colum", "there is no key `colum`"),
        ({"label": 3}, "/label", "3 is no string"),
        ({"column": "forbidden"}, "", "not this one"),
    ],
)
def test_what_is_wrong_is_placed(changed, place, message):
    with pytest.raises(flowc.Problem) as raised:
        config_type(Config).read({"column": "a", "limits": {"most": 1}} | changed)
    assert (raised.value.config_path, raised.value.message) == (place, message)


def test_a_key_that_is_nearly_right_is_told():
    with pytest.raises(flowc.Problem) as raised:
        config_type(Limits).read({"mots": 1})
    assert raised.value.help == "did you mean `most`?"


def test_a_model_of_pydantic():
    pydantic = pytest.importorskip("pydantic")

    class Model(pydantic.BaseModel):
        sizes: list[int] = pydantic.Field(min_length=1)

    kind = config_type(Model)
    assert kind.schema()["properties"]["sizes"]["items"] == {"type": "integer"}
    assert kind.read({"sizes": [1]}).sizes == [1]
    with pytest.raises(flowc.Problem) as raised:
        kind.read({"sizes": [1, "x"]})
    assert raised.value.config_path == "/sizes/1"


def test_a_stage_without_config_takes_none():
    with pytest.raises(flowc.Problem) as raised:
        config_type().read({"a": 1})
    assert raised.value.config_path == "/a"


def test_a_type_that_is_no_config_is_refused():
    with pytest.raises(TypeError, match="it is a dataclass"):
        config_type(int)


@pytest.mark.parametrize("annotation", [dict, Mapping, dict[str, Any], Mapping[str, object], Any])
def test_a_dict_takes_any_key(annotation):
    config = config_type(annotation)
    assert config.schema() == {"type": "object", "additionalProperties": {}}
    given = {"v": 1, "w": ["a", "b"], "x": {"y": None}}
    assert config.read(given) == given


def test_a_dict_may_say_what_it_holds():
    config = config_type(dict[str, list[int]])
    assert config.schema()["additionalProperties"] == {"type": "array", "items": {"type": "integer"}}
    assert config.read({"a": [1]}) == {"a": [1]}
    with pytest.raises(flowc.Problem) as raised:
        config.read({"a": ["x"]})
    assert raised.value.config_path == "/a/0"


@dataclass
class Open:
    anything: Any
    members: dict = field(default_factory=dict)
    items: list = field(default_factory=list)


def test_fields_of_any_type():
    config = config_type(Open)
    assert config.schema()["properties"] == {
        "anything": {},
        "members": {"type": "object", "additionalProperties": {}, "default": {}},
        "items": {"type": "array", "items": {}, "default": []},
    }
    assert config.read({"anything": [1], "members": {"a": None}}) == Open([1], {"a": None}, [])
