"""Stages of flowc pipelines, written in Python. Start at `docs/python.md`."""

from .columns import Batch, Columns, Table, nullable
from .declare import stage
from .model import Adds, Keyed, Picks
from .problem import Problem

__all__ = ["Adds", "Batch", "Columns", "Keyed", "Picks", "Problem", "Table", "nullable", "stage"]
