"""What to do about a missing module, and about what a sandbox refuses."""

import builtins
import errno
import socket
import sys

import pytest

from flowc.advice import SANDBOX, advice
from flowc.failure import as_problem, failed_json
from flowc.load import load


def missing(name):
    return advice(ModuleNotFoundError(f"No module named {name!r}", name=name))


@pytest.mark.parametrize("module", ["sklearn", "cv2", "yaml", "scikit.learn", "google.cloud"])
def test_a_missing_module_is_added_to_the_project(module):
    said = missing(module)
    assert f"`uv add {module.partition('.')[0]}`" in said
    assert "where that differs from the module's" in said
    assert "did you mean" not in said


@pytest.mark.parametrize(("module", "near"), [("datetim", "datetime"), ("itertool", "itertools"), ("jsn", "json")])
def test_a_module_of_the_standard_library_that_is_misspelt(module, near):
    assert missing(module).startswith(f"did you mean `{near}`?")


def test_a_module_of_the_project_that_is_misspelt(tmp_path, monkeypatch):
    (tmp_path / "scoring.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert missing("scorin").startswith("did you mean `scoring`?")


@pytest.mark.parametrize("module", ["collections.abd", "pyarrow.computer", "flowc.tests"])
def test_a_module_that_its_package_has_not(module):
    package, _, rest = module.partition(".")
    assert missing(module) == f"`{package}` is there, and has no module `{rest}`"


def test_the_advice_is_the_help_of_the_import_that_fails(tmp_path, monkeypatch):
    (tmp_path / "needy.py").write_text("import nowhere_to_be_had\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "needy", raising=False)
    with pytest.raises(Exception, match="No module named 'nowhere_to_be_had'") as raised:
        load("needy")
    assert "`uv add nowhere_to_be_had`" in raised.value.help


OUTSIDE = [
    PermissionError(errno.EACCES, "Permission denied", "/etc/x"),
    OSError(errno.EROFS, "Read-only file system", "out.csv"),
    OSError(errno.ENETUNREACH, "Network is unreachable"),
    FileNotFoundError(errno.ENOENT, "No such file or directory", "/home/me/rows.csv"),
    socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
]


@pytest.mark.parametrize("error", OUTSIDE, ids=lambda error: type(error).__name__)
def test_what_the_sandbox_refuses_is_explained(error):
    message = failed_json(error)["failed"]["message"]
    assert message.startswith(f"{type(error).__name__}: ")
    assert message.endswith(f"({SANDBOX})")
    assert as_problem(error).help.startswith(SANDBOX)
    wrapped = RuntimeError("a library's words")
    wrapped.__cause__ = error
    assert advice(wrapped) == SANDBOX


@pytest.mark.parametrize("error", [ValueError("x"), OSError(errno.ENOSPC, "full"), TimeoutError(), builtins.EOFError()])
def test_other_errors_get_no_advice(error):
    assert advice(error) is None
