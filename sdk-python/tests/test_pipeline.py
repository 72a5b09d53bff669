"""Pipelines run from Python: what the program is asked, and what is made of its answers."""

import json
import os
import signal
import struct
import subprocess
import sys
import time

import pyarrow as pa
import pytest

import flowc

COUNTS = pa.table({"word": ["a", "b"], "n": [2, 1]})
STAGE = {"name": "counts", "status": "ran", "segments_ran": 1, "segments_cached": 2, "rows_out": 2, "seconds": 0.5}
SINKS = {
    "arrow": ({"file": "counts.arrow"}, "arrow"),
    "parquet": ({"file": "counts.parquet"}, "parquet"),
    "csv": ({"file": "counts.csv.gz"}, {"csv": {"header": True}}),
    "folder": ({"directory": "out"}, "arrow"),
    "printed": ("stdout", "arrow"),
}
STARTED = {"event": "run-started", "plan": "f7be", "pipeline": "flow"}
RAN = {"event": "segment-ran", "stages": ["counts"], "segment": 0, "rows": 3, "seconds": 0.5, "new": "field"}
FINISHED = {
    "event": "run-finished",
    "plan": "f7be",
    "stages": [STAGE | {"new": "field"}],
    "outputs": [{"name": name, "stream": "counts", "digest": "1c53", "rows": 2} for name in SINKS],
    "streams": [{"name": "lines", "key": "0a11"}, {"name": "counts", "key": "b2c5"}],
}
ERROR = {"event": "error", "code": "flowc::stage", "message": "it broke", "help": "mend it", "stage": "counts"}


def document():
    specs = {name: {"target": target, "format": format_} for name, (target, format_) in SINKS.items()}
    sinks = [{"name": name, "spec": spec} for name, spec in specs.items()]
    stages = [{"name": "counts", "to_run": 1, "cached": 2, "reasons": ["config"]}]
    return {"plan": {"sinks": sinks}, "hash": "f7be", "status": {"stages": stages}}


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A program `flowc` that says what it is told to, and notes how it was called."""
    code = """
import json, sys, time
here = sys.argv[0].rpartition("/")[0]
with open(f"{here}/called", "a") as called:
    called.write(json.dumps(sys.argv[1:]) + "\\n")
told = json.load(open(f"{here}/{sys.argv[1]}.json"))
if "rows" in told:
    sys.stdout.buffer.write(open(told["rows"], "rb").read())
sys.stdout.write(told["stdout"])
sys.stdout.flush()
try:
    open(f"{here}/waits", "w")
    time.sleep(told["waits"])
except KeyboardInterrupt:
    open(f"{here}/stopped", "w")
sys.stderr.write(told["stderr"])
sys.exit(told["code"])
"""
    place = tmp_path / "flowc"
    place.write_text(f"#!{sys.executable}{code}")
    place.chmod(0o755)
    monkeypatch.setenv("FLOWC_BIN", str(place))

    def say(what, *messages, stderr="", code=0, waits=0, **more):
        told = more | {
            "stdout": "".join(json.dumps(one) + "\n" for one in messages),
            "stderr": stderr,
            "code": code,
            "waits": waits,
        }
        (tmp_path / f"{what}.json").write_text(json.dumps(told))
        return tmp_path

    return say


def called(folder):
    return [json.loads(line) for line in (folder / "called").read_text().splitlines()]


def test_a_run_says_what_it_did(program, capsys):
    folder = program("run", STARTED, RAN, {"event": "unheard-of"}, FINISHED)
    run = flowc.run(folder)
    assert (run.plan, run.stages["counts"].status, run.stages["counts"].rows_out) == ("f7be", "ran", 2)
    assert (run.outputs["csv"].digest, run.outputs["csv"].rows) == ("1c53", 2)
    assert capsys.readouterr() == ("", "flowc: 1 ran; 1 segments, 3 rows\n")


def test_what_the_program_is_asked(program, capsys):
    folder = program("run", FINISHED)
    flowc.run(
        folder / "flow.kdl",
        params={"day": 1, "all": True},
        store="s",
        jobs=2,
        locked=True,
        force="a",
        only=["b", "c"],
        until="d",
        progress=False,
    )
    settings = ["--param", "day=1", "--param", "all=true", "--store", "s", "--jobs", "2", "--locked"]
    options = ["--force", "a", "--only", "b", "--only", "c", "--until", "d"]
    assert called(folder) == [["run", "--json", *settings, str(folder / "flow.kdl"), *options]]
    assert capsys.readouterr().err == ""


def test_a_plan(program):
    folder = program("plan", document())
    plan = flowc.plan(folder, store="s")
    assert (plan.hash, plan.stages["counts"].to_run, plan.stages["counts"].cached) == ("f7be", 1, 2)
    assert called(folder) == [["plan", "--json", "--store", "s", str(folder)]]


@pytest.fixture
def stored(program, tmp_path):
    """A run whose rows `flowc show` gives."""
    folder = program("run", FINISHED)
    program("plan", document())
    with pa.ipc.new_stream(str(tmp_path / "rows"), COUNTS.schema) as file:
        file.write_table(COUNTS, max_chunksize=1)
    program("show", rows=str(tmp_path / "rows"))
    return folder


def test_the_rows_of_any_stream_and_sink(stored):
    run = flowc.run(stored, params={"day": 1}, jobs=2)
    assert run.streams.keys() == {"lines", "counts"}
    for rows in (run.streams["counts"], run.outputs["parquet"], run.outputs["folder"], run.outputs["printed"]):
        assert rows.table().equals(COUNTS)
        assert [batch.to_pydict() for batch in rows.batches()] == [{"word": ["a"], "n": [2]}, {"word": ["b"], "n": [1]}]
    shown = [call for call in called(stored) if call[0] == "show"]
    settings = ["--param", "day=1", "--jobs", "2"]
    assert shown == [["show", "counts", "--arrow", "--key", "b2c5", *settings, str(stored)]] * 8


def test_rows_are_mapped_and_leave_no_file(stored, tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    run = flowc.run(stored)
    before = pa.total_allocated_bytes()
    table, batches = run.streams["counts"].table(), run.streams["counts"].batches()
    first = next(batches)
    assert pa.total_allocated_bytes() == before
    assert list(temporary.iterdir()) == []
    del batches
    assert (table["n"].to_pylist(), first["n"].to_pylist()) == ([2, 1], [2])


def test_rows_that_are_not_to_be_had(stored, program):
    program("show", stderr="error: `counts` is not as that run left it any more", code=2)
    run = flowc.run(stored)
    with pytest.raises(flowc.RunError, match=r"^`counts` is not as that run left it any more$"):
        run.streams["counts"].table()


def test_an_arrow_file_is_not_copied(program):
    folder = program("run", FINISHED)
    program("plan", document())
    with pa.ipc.new_file(str(folder / "counts.arrow"), COUNTS.schema) as file:
        file.write_table(COUNTS)
    output = flowc.run(folder).outputs["arrow"]
    assert output.table().equals(COUNTS)
    (batch,) = output.batches()
    with (folder / "counts.arrow").open("r+b") as file:
        file.seek(file.read().index(struct.pack("<qq", 2, 1)))
        file.write(struct.pack("<q", 7))
    assert batch["n"].to_pylist() == [7, 1]


def test_results_of_a_pipeline_that_was_changed_are_not_mixed_up(program):
    folder = program("run", FINISHED)
    program("plan", document() | {"hash": "other"})
    with pytest.raises(ValueError, match="another pipeline now than the one whose output `csv`"):
        flowc.run(folder).outputs["csv"].table()


def test_what_goes_wrong_is_raised(program):
    folder = program("run", STARTED, ERROR, ERROR | {"message": "again", "help": None}, FINISHED, code=1)
    with pytest.raises(flowc.RunError) as raised:
        flowc.run(folder)
    assert str(raised.value) == "stage `counts`: it broke (mend it)\nstage `counts`: again"
    assert [error["code"] for error in raised.value.errors] == ["flowc::stage"] * 2


def test_a_mistake_has_its_place(program):
    place = {"file": "flow.kdl", "line": 3, "column": 5}
    folder = program("run", {"event": "error", "message": "never closed", **place}, code=2)
    with pytest.raises(flowc.RunError, match=r"^flow.kdl:3:5: never closed$"):
        flowc.run(folder)


@pytest.mark.parametrize(("stderr", "said"), [("no such option", "no such option"), ("", "flowc ended with 70")])
def test_a_program_that_fails_without_an_event(program, stderr, said):
    folder = program("run", STARTED, stderr=stderr, code=70)
    program("plan", stderr=stderr, code=70)
    for call in (flowc.run, flowc.plan):
        with pytest.raises(flowc.RunError, match=f"^{said}$"):
            call(folder)


def test_a_plan_that_fails_tells_each_mistake_with_its_place(program):
    mistakes = [
        {"code": "flowc::shape", "message": "never closed", "file": "flow.kdl", "line": 3, "column": 5},
        {"code": "flowc::describe", "message": "no column `a`", "help": "did you mean `b`?", "line": 9},
    ]
    folder = program("plan", {"errors": mistakes}, stderr="error: the pipeline has 2 mistakes", code=2)
    with pytest.raises(flowc.RunError) as raised:
        flowc.plan(folder)
    assert raised.value.errors == mistakes
    assert str(raised.value) == "flow.kdl:3:5: never closed\n9: no column `a` (did you mean `b`?)"


def test_a_run_stops_with_its_caller(program):
    folder = program("run", STARTED, waits=30)
    # In a process of its own, since some libraries take signals for themselves.
    code = f"import flowc; flowc.run({str(folder)!r})"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    caller = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, env=environment)
    while not (folder / "waits").exists():
        time.sleep(0.01)
    caller.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in caller.communicate(timeout=10)[1]
    assert (folder / "stopped").exists()


def test_without_the_program(monkeypatch):
    monkeypatch.setenv("FLOWC_BIN", "/nowhere/flowc")
    with pytest.raises(FileNotFoundError, match="FLOWC_BIN names /nowhere/flowc, which is no program"):
        flowc.run()
    monkeypatch.delenv("FLOWC_BIN")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(FileNotFoundError, match="there is no program `flowc` on the PATH"):
        flowc.plan()


def test_with_the_program(tmp_path):
    """Needs flowc, by FLOWC_BIN or on the PATH; `cargo xtask test` sees to it."""
    (tmp_path / "words.txt").write_text("a\nb\na\n")
    (tmp_path / "flow.kdl").write_text(
        'source "lines" { files "words.txt" }\nsink "out" { in "lines"; file "out/lines.arrow" }\n'
    )
    run = flowc.run(tmp_path, store=tmp_path / "store")
    assert run.outputs["out"].rows == 3
    assert run.outputs["out"].table().to_pydict() == {"line": ["a", "b", "a"]}
    assert flowc.plan(tmp_path, store=tmp_path / "store").hash == run.plan
    (tmp_path / "flow.kdl").write_text("bad {")
    with pytest.raises(flowc.RunError, match="never closed"):
        flowc.run(tmp_path)


FLOW = """
param "least" type="integer"
source "people" { files "people.csv" }
stage "grown" { in "people"; std "filter@1"; config { where { column "age"; op ">="; value "${least}" } } }
stage "cities" { in "grown"; std "count@1"; config { by "city" } }
sink "cities" { in "grown"; file "cities.jsonl" }
sink "folder" { in "cities"; directory "out"; format "csv" }
"""


def test_the_rows_of_streams_with_the_program(tmp_path):
    """Needs flowc, too."""
    (tmp_path / "people.csv").write_text("name,age,city\nAda,36,Rome\nBob,12,Oslo\nEve,20,Rome\n")
    (tmp_path / "flow.kdl").write_text(FLOW)
    settings = {"store": tmp_path / "store", "progress": False}
    run = flowc.run(tmp_path, params={"least": 18}, **settings)
    grown = {"name": ["Ada", "Eve"], "age": [36, 20], "city": ["Rome", "Rome"]}
    assert run.streams["grown"].table().to_pydict() == grown
    # A sink may have the name of another stream.
    assert run.outputs["cities"].table().to_pydict() == grown
    cities = {"city": ["Rome"], "count": [2]}
    assert run.streams["cities"].table().to_pydict() == run.outputs["folder"].table().to_pydict() == cities
    assert sum(batch.num_rows for batch in run.streams["people"].batches()) == 3

    other = flowc.run(tmp_path, params={"least": 1}, **settings)
    assert other.streams["grown"].table().num_rows == 3
    assert run.streams["grown"].table().to_pydict() == grown, "the values of its own params"

    (tmp_path / "people.csv").write_text("name,age,city\nAda,37,Rome\n")
    again = flowc.run(tmp_path, params={"least": 18}, **settings)
    with pytest.raises(flowc.RunError, match="`grown` is not as that run left it any more"):
        run.streams["grown"].table()
    assert again.streams["grown"].table()["age"].to_pylist() == [37]
