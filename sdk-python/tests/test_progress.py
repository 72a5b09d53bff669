"""Where and how progress is shown."""

import sys
import types

from flowc.progress import progress_line

EVENTS = [
    {"event": "run-started", "plan": "f7be", "pipeline": "flow"},
    {"event": "compile-started", "code": "std count@1"},
    {"event": "segment-ran", "stages": ["words", "counts"], "segment": 0, "rows": 3, "seconds": 0.5},
    {"event": "run-finished", "plan": "f7be", "stages": [{"status": "ran"}, {"status": "cached"}], "outputs": []},
]
LINES = [
    "flowc: planning",
    "flowc: building std count@1",
    "flowc: words, counts; 1 segments, 3 rows",
    "flowc: 1 ran, 1 cached; 1 segments, 3 rows",
]


def show():
    with progress_line(True) as show:
        for event in EVENTS:
            show(event)


def test_a_terminal_has_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    show()
    assert capsys.readouterr().err == "".join(f"\r\033[K{line}" for line in LINES) + "\n"


def test_a_log_has_what_matters(capsys):
    show()
    assert capsys.readouterr().err == f"{LINES[-1]}\n"


def test_a_notebook_has_one_display_that_changes(monkeypatch, capsys):
    shown = []

    class ZMQInteractiveShell:
        pass

    class Handle:
        def update(self, data, raw):
            shown.append(data["text/plain"])

    notebook = types.ModuleType("IPython")
    notebook.get_ipython = ZMQInteractiveShell
    displays = types.ModuleType("IPython.display")
    displays.display = lambda data, raw, display_id: Handle()
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    monkeypatch.setitem(sys.modules, "IPython.display", displays)
    show()
    assert shown == LINES
    assert capsys.readouterr().err == ""
