"""Puts the programs and the machine code of the standard stages into the wheel.

FLOWC_PROGRAMS names the folder with the programs, FLOWC_CODE the one with the code.

Without them, as `pip install ./sdk-python` builds it, the wheel holds the package alone, for any platform.
"""

from __future__ import annotations

import os
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import sys_tags

PROGRAMS = ("flowc", "flowc-engine", "flowc-sql")


class ProgramHook(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        folder = os.environ.get("FLOWC_PROGRAMS")
        if folder and version == "standard":
            build_data["shared_scripts"].update({os.path.join(folder, name): name for name in PROGRAMS})
            if code := os.environ.get("FLOWC_CODE"):
                build_data["shared_data"][code] = "lib/flowc"
            build_data["pure_python"] = False
            # Any Python 3 of this platform: the programs need none.
            build_data["tag"] = f"py3-none-{next(sys_tags()).platform}"
