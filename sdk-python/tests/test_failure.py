"""Errors in their author's view, and no longer than somebody wants to read."""

import re
import sysconfig
from pathlib import Path

import pyarrow as pa
import pytest

import flowc
from flowc.failure import LIBRARIES, LONGEST_LINE, failed_json, last_frames, said
from flowc.problem import Breach
from flowc.wire import problem_json


def raised(code):
    try:
        code()
    except Exception as error:
        return error
    raise AssertionError


def deep_in_a_library():
    re.compile("(")


def raise_long():
    raise ValueError("bad value in " + "x" * 5_000_000)


class Mute(Exception):
    def __str__(self):
        raise RuntimeError


def test_long_messages_are_cut():
    failed = failed_json(raised(raise_long))["failed"]
    assert failed["message"].startswith("ValueError: bad value in xxx")
    assert failed["message"].endswith("xxx… (5000025 characters in all)")
    assert len(failed["message"]) < 2100
    assert len(failed["detail"]) < 2 * LONGEST_LINE
    assert "raise ValueError" in failed["detail"]
    assert len(said(Breach("x" * 5_000_000))) < 2100
    problem = problem_json(flowc.Problem("x" * 5_000_000, "/a", help="y" * 5_000_000))["problem"]
    assert (len(problem["message"]) < 2100, len(problem["help"]) < 2100, problem["config_path"]) == (True, True, "/a")


def test_long_tracebacks_are_cut_in_the_middle():
    def nested(depth):
        try:
            if depth:
                nested(depth - 1)
            else:
                raise ValueError("first")
        except Exception as error:
            raise KeyError(depth) from error

    detail = failed_json(raised(lambda: nested(200)))["failed"]["detail"]
    lines = detail.splitlines()
    assert len(lines) == 201
    assert "ValueError: first" in detail
    assert lines[-1] == "KeyError: 200"
    assert re.search(r"… \d+ lines are left out", detail)


def test_errors_that_can_not_say_what_they_are():
    def fail():
        raise Mute

    assert said(raised(fail)) == "Mute: its message can't be had: RuntimeError"
    assert "Mute" in failed_json(raised(fail))["failed"]["detail"]


def test_the_authors_frames_are_shown_and_not_the_librarys():
    assert any(Path(sysconfig.get_path("stdlib")) == Path(library) for library in LIBRARIES)
    error = raised(deep_in_a_library)
    assert last_frames(error).endswith('test_failure.py, line 25: re.compile("(")')
    error.__traceback__ = error.__traceback__.tb_next.tb_next
    assert "_parser.py" in last_frames(error)


def test_compiled_code_is_a_library():
    error = raised(lambda: pa.schema([]).field("zz"))
    assert last_frames(error).endswith('raised(lambda: pa.schema([]).field("zz"))')


@pytest.mark.parametrize("library", ["pyarrow", "pandas", "numpy"])
def test_site_packages_are_libraries(library):
    module = pytest.importorskip(library)
    assert module.__file__.startswith(LIBRARIES)
