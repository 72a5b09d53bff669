"""For tests of stages: `run` runs one without the engine, `served` starts its server."""

from .client import Client, Ended
from .process import Server, served
from .run import run

__all__ = ["Client", "Ended", "Server", "run", "served"]
