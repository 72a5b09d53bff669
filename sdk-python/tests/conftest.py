from pathlib import Path

import pytest

from flowc.testing import served

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def server():
    with served(HERE / "stages") as server:
        yield server


@pytest.fixture
def stage(server):
    def choose(name):
        server.stage = f"stage:{name}"
        return server

    return choose
