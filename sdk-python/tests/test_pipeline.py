"""Pipelines run from Python: what the program is asked, and what is made of its answers."""

import gzip
import json
import os
import signal
import struct
import subprocess
import sys
import time

import pyarrow as pa
import pytest
from pyarrow import parquet

import flowc

COUNTS = pa.table({"word": ["a", "b"], "n": [2, 1]})
STAGE = {"name": "counts", "status": "ran", "segments_ran": 1, "segments_cached": 2, "rows_out": 2, "seconds": 0.5}
CSV = {"header": True, "delimiter": ",", "quote": '"', "escape": None, "comment": None, "null": ""}
SINKS = {
    "arrow": ("counts.arrow", "arrow"),
    "parquet": ("counts.parquet", "parquet"),
    "csv": ("counts.csv.gz", {"csv": CSV}),
    "lines": ("counts.txt", "lines"),
}
STARTED = {"event": "run-started", "plan": "f7be", "pipeline": "flow"}
RAN = {"event": "segment-ran", "stages": ["counts"], "segment": 0, "rows": 3, "seconds": 0.5, "new": "field"}
FINISHED = {
    "event": "run-finished",
    "plan": "f7be",
    "stages": [STAGE | {"new": "field"}],
    "outputs": [{"name": name, "digest": "1c53", "rows": 2} for name in [*SINKS, "folder"]],
}
ERROR = {"event": "error", "code": "flowc::stage", "message": "it broke", "help": "mend it", "stage": "counts"}


def document():
    specs = {name: {"target": {"file": file}, "format": format_} for name, (file, format_) in SINKS.items()}
    specs["folder"] = {"target": {"directory": "out"}, "format": "arrow"}
    sinks = [{"name": name, "spec": spec | {"compression": "auto"}} for name, spec in specs.items()]
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

    def say(what, *messages, stderr="", code=0, waits=0):
        told = {
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


def test_results_are_read_from_where_they_were_written(program):
    folder = program("run", FINISHED)
    program("plan", document())
    with pa.ipc.new_file(str(folder / "counts.arrow"), COUNTS.schema) as file:
        file.write_table(COUNTS)
    parquet.write_table(COUNTS, folder / "counts.parquet")
    with gzip.open(folder / "counts.csv.gz", "wt") as file:
        file.write("word,n\na,2\nb,1\n")
    outputs = flowc.run(folder).outputs
    for name in ("arrow", "parquet", "csv"):
        assert outputs[name].table().equals(COUNTS)
        assert [batch.num_rows for batch in outputs[name].batches()] == [2]
    with pytest.raises(ValueError, match="`lines` writes lines; `arrow`, `parquet`, `csv` can be read"):
        outputs["lines"].table()
    with pytest.raises(ValueError, match="`folder` writes no single file"):
        outputs["folder"].table()


def test_an_arrow_file_is_not_copied(program):
    folder = program("run", FINISHED)
    program("plan", document())
    with pa.ipc.new_file(str(folder / "counts.arrow"), COUNTS.schema) as file:
        file.write_table(COUNTS)
    (batch,) = flowc.run(folder).outputs["arrow"].batches()
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
