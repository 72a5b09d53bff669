"""The author's code, made ready for one invocation."""

from __future__ import annotations

import functools
import inspect
import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .description import Opening
    from .model import Call, Stage


@dataclass(frozen=True)
class Instance:
    """What to call with rows, and what to call at their end."""

    call: Call
    work: Callable[..., Any]
    finish: Callable[[], Any] | None


def open_instance(stage: Stage, opening: Opening) -> Instance:
    """Reads the config and, for a class, makes the object."""
    config = stage.config.read(opening.config)
    call = stage.calls[opening.phase]
    extra: dict[str, Any] = {}
    if call.has_config:
        extra["config"] = config
    if call.has_part:
        extra["part"] = opening.part
    if not stage.is_class:
        return Instance(call, functools.partial(stage.code, **extra), None)
    made = _object(stage, config, opening)
    method = made if opening.phase == "run" else getattr(made, opening.phase)
    finish = getattr(made, "finish", None) if opening.phase == "run" else None
    return Instance(call, functools.partial(method, **extra), finish)


def _object(stage: Stage, config: Any, opening: Opening) -> Any:
    names = inspect.signature(stage.code).parameters
    arguments = {"config": config} if "config" in names else {}
    if "loaded" in names:
        arguments["loaded"] = LOADED.get(stage, config, opening)
    return stage.code(**arguments)


class Loaded:
    """What `setup` of a class has loaded: once per config and secrets, for as long as the process lives."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[tuple[Any, str, Any], Any] = {}

    def get(self, stage: Stage, config: Any, opening: Opening) -> Any:
        """Loads it, unless it is there; others wait meanwhile."""
        key = (stage.code, json.dumps(opening.config, sort_keys=True), frozenset(opening.secrets.items()))
        with self._lock:
            if key not in self._values:
                setup = stage.code.setup
                self._values[key] = setup(config) if inspect.signature(setup).parameters else setup()
            return self._values[key]


LOADED = Loaded()
