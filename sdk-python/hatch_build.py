"""Puts `flowc`, `flowc-sql` and the machine code of the standard stages into the wheel.

FLOWC_BINARY and FLOWC_SQL_BINARY name the programs, FLOWC_CODE the folder with the code.

Without it, as `pip install ./sdk-python` builds it, the wheel holds the package alone, for any platform.
"""

from __future__ import annotations

import os
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import sys_tags


class ProgramHook(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        program = os.environ.get("FLOWC_BINARY")
        if program and version == "standard":
            build_data["shared_scripts"][program] = "flowc"
            if sql := os.environ.get("FLOWC_SQL_BINARY"):
                build_data["shared_scripts"][sql] = "flowc-sql"
            if code := os.environ.get("FLOWC_CODE"):
                build_data["shared_data"][code] = "lib/flowc"
            build_data["pure_python"] = False
            # Any Python 3 of this platform: the program needs none.
            build_data["tag"] = f"py3-none-{next(sys_tags()).platform}"
