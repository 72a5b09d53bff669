"""Stages of flowc pipelines, written in Python, and pipelines run from Python. Start at `docs/python.md`."""

from .columns import Batch, Columns, Table, nullable
from .declare import stage
from .model import Adds, Batching, Keyed, Picks
from .pipeline import RunError, plan, run
from .problem import Problem
from .secrets import secret

__all__ = [
    "Adds",
    "Batch",
    "Batching",
    "Columns",
    "Keyed",
    "Picks",
    "Problem",
    "RunError",
    "Table",
    "nullable",
    "plan",
    "run",
    "secret",
    "stage",
]
