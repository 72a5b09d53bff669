"""What the documents show must work."""

import re
import types
from pathlib import Path

import pytest

from flowc.declare import stage_of

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT.parent / "docs/python.md"]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_the_examples_of_a_document_run(path):
    blocks = re.findall(r"^```python\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
    module = types.ModuleType("document")
    for block in blocks:
        exec(compile(block, path.name, "exec"), module.__dict__)
    tests = [value for name, value in vars(module).items() if name.startswith("test_")]
    assert tests
    assert any(stage_of(value) for value in vars(module).values())
    for test in tests:
        test()
