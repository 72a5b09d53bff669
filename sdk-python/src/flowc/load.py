"""From the name of a stage to the stage."""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from types import ModuleType
from typing import TYPE_CHECKING

from .advice import advice
from .declare import stage_of
from .failure import last_frames, said
from .problem import Problem

if TYPE_CHECKING:
    from .model import Stage

USUAL_MODULE = "stage"


def load(name: str) -> Stage:
    """The stage `module:name`, or the only one of `module`; without a module, that is `stage`."""
    module_name, _, wanted = name.partition(":")
    module = _import(module_name or USUAL_MODULE)
    found = stage_of(getattr(module, wanted, None)) if wanted else None
    if found is not None:
        return found
    there = stages(module)
    if not wanted and len(there) == 1:
        return next(iter(there.values()))
    raise _not_there(module.__name__, wanted, there)


def _not_there(module: str, wanted: str, there: dict[str, Stage]) -> Problem:
    names = ", ".join(f"`{module}:{name}`" for name in there)
    if not there:
        return Problem(f"module `{module}` has no stage", help="decorate a function with @flowc.stage")
    if not wanted:
        return Problem(f"module `{module}` has several stages: {names}", help="name one of them")
    near = get_close_matches(wanted, there, 1)
    help_ = f"did you mean `{module}:{near[0]}`?" if near else None
    return Problem(f"module `{module}` has no stage `{wanted}`; it has {names}", help=help_)


def stages(module: ModuleType) -> dict[str, Stage]:
    """The stages that a module defines itself."""
    all_ = {name: stage_of(value) for name, value in vars(module).items()}
    return {name: stage for name, stage in all_.items() if stage and stage.code.__module__ == module.__name__}


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            file = f"{name.replace('.', '/')}.py"
            raise Problem(f"there is no module `{name}`", help=f"write the stage into {file}") from error
        raise _import_problem(name, error) from error
    except Exception as error:
        raise _import_problem(name, error) from error


def _import_problem(name: str, error: Exception) -> Problem:
    where = last_frames(error)
    return Problem(
        f"module `{name}` can't be imported: {said(error)}" + (f" ({where})" if where else ""), help=advice(error)
    )
