import sys
import threading
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

import flowc
from flowc.description import Rows, Sent
from flowc.testing import Client, served

HERE = Path(__file__).parent
ROWS = pa.table({"id": pa.array(range(10)), "text": [f"text {number}" for number in range(10)]})
COUNT = pa.schema([pa.field("n", pa.int64(), nullable=False)])


def cut(rows):
    return pa.Table.from_batches(ROWS.to_batches(max_chunksize=rows))


def values(batches, column=0):
    return [value for batch in batches for value in batch.column(column).to_pylist()]


def test_a_stage_says_what_it_is(stage):
    signature = stage("lengths").signature()
    assert signature == {
        "protocol": 1,
        "doc": "Adds the length of texts.",
        "inputs": ["rows"],
        "outputs": ["out"],
        "config_schema": {"type": "object", "properties": {}, "additionalProperties": False},
        "chains": True,
        "serializations": ["arrow", "parquet", "json"],
    }
    description = stage("lengths").describe({}, [ROWS.schema])
    assert description.inputs[0].reads == (1,)
    assert description.outputs[0].schema.names == ["id", "text", "length"]


def test_only_what_is_written_travels(stage):
    ended = stage("lengths").run([cut(4)])
    assert (ended.last, ended.consumed) == ({"finished": True}, 10)
    assert values(ended.outputs[0]) == [6] * 10
    assert ended.outputs[0][0].schema.names == ["length"]


def test_batches_without_columns_have_rows(stage):
    assert values(stage("ones").run([cut(3)]).outputs[0]) == [1] * 10


def test_an_input_may_have_no_rows(stage):
    ended = stage("lengths").run([ROWS.schema.empty_table()])
    assert (ended.last, ended.outputs) == ({"finished": True}, [[]])


def test_a_folder_with_one_stage_needs_no_name():
    with served(HERE / "single") as server:
        assert server.signature()["doc"] == "Picks all rows."


@pytest.mark.parametrize(
    ("name", "message", "help_"),
    [
        ("", "module `stage` has several stages: `stage:lengths`, ", "name one of them"),
        (
            "stage:length",
            "module `stage` has no stage `length`; it has `stage:lengths`",
            "did you mean `stage:lengths`?",
        ),
        ("nowhere:lengths", "there is no module `nowhere`", "write the stage into nowhere.py"),
    ],
)
def test_a_stage_that_is_not_there(server, name, message, help_):
    client = Client(server.location, name)
    with pytest.raises(flowc.Problem) as raised:
        client.signature()
    assert raised.value.message.startswith(message)
    assert raised.value.help == help_


def test_a_module_that_fails_is_a_problem_with_its_place():
    with served(HERE / "broken") as server, pytest.raises(flowc.Problem) as raised:
        server.signature()
    message = "module `stage` can't be imported: ModuleNotFoundError: No module named 'no_such_library'"
    assert raised.value.message == f"{message} (stage.py, line 3: import no_such_library  # noqa: F401)"


def test_another_version_is_refused(stage, monkeypatch):
    monkeypatch.setattr("flowc.testing.client.PROTOCOL", 2)
    with pytest.raises(flowc.Problem, match="speaks version 1 of the protocol, not 2"):
        stage("lengths").signature()


def test_a_bad_config_is_a_problem_before_anything_is_opened(stage):
    client = stage("acts")
    with pytest.raises(flowc.Problem) as raised:
        client.describe({"do": 1}, [ROWS.schema])
    assert raised.value.config_path == "/do"
    opening = replace(client.opening({}, [ROWS.schema]), config={"do": 1})
    assert client.invoke(opening, [ROWS]).messages == [{"problem": {"message": "1 is no string", "config_path": "/do"}}]


def test_a_problem_comes_in_the_stages_words(stage):
    last = stage("acts").run([ROWS], {"do": "problem"}).last
    assert last == {"problem": {"message": "not this one", "config_path": "/do", "help": "another one"}}


def test_a_failure_has_the_authors_part_of_the_traceback(stage):
    failed = stage("acts").run([ROWS], {"do": "error"}).last["failed"]
    assert (failed["message"], failed["memory"]) == ("ValueError: too deep", False)
    lines = failed["detail"].splitlines()
    assert [line.split(", in ")[1] for line in lines if ", in " in line] == ["acts", "raise_deep"]


def test_other_ends(stage):
    assert stage("acts").run([ROWS], {"do": "exit"}).last["failed"]["message"] == "SystemExit: 3"
    assert stage("acts").run([ROWS], {"do": "memory"}).last["failed"]["memory"] is True
    short = stage("acts").run([ROWS], {"do": "short"}).last["failed"]
    assert short == {
        "message": "output `out` adds columns to 10 rows, and 1 values were returned; return a value for each, such as "
        '`return {"length": [...]}`',
        "detail": "",
        "memory": False,
    }


def test_memory_that_is_full_is_a_failure_that_says_so():
    with served(HERE / "stages") as server:
        server.stage = "stage:acts"
        failed = server.run([ROWS], {"do": "hoard"}).last["failed"]
    assert (failed["message"], failed["memory"]) == ("MemoryError", True)
    assert "hoard.append" in failed["detail"]


def test_what_is_printed_and_logged_is_the_log(stage):
    log = stage("acts").run([ROWS], {"do": "print"}).log
    assert log == [("info", "one"), ("warn", " and more"), ("info", "logged"), ("info", "two")]


def test_a_flood_of_lines_is_cut(stage):
    log = stage("acts").run([ROWS], {"do": "flood"}).log
    assert len(log) == 1001
    assert (log[0], log[999]) == (("info", "x" * 8192), ("info", "line 999"))
    assert log[1000] == ("warn", "2000 more lines were left out")


def test_other_inputs_come_by_themselves(stage):
    ended = stage("known").run([cut(3), pa.table({"id": [2, 7]})])
    assert (values(ended.outputs[0]), ended.consumed) == ([2, 7], 10)


def test_inputs_may_be_read_in_another_order_than_they_come(stage):
    many = pa.Table.from_batches(pa.table({"id": list(range(100))}).to_batches(max_chunksize=1))
    ended = stage("in_wrong_order").run([many, ROWS])
    assert (ended.last, values(ended.outputs[0])) == ({"finished": True}, [10, 100])


def test_outputs_beside_the_first_have_streams_of_their_own(stage):
    ended = stage("parted").run([cut(3)])
    assert [values(output) for output in ended.outputs] == [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9], [3, 3, 3, 1]]
    assert ended.settled == [3, 6, 9, 10]
    assert ended.last == {"finished": True}


def test_rows_are_consumed_before_they_are_settled(stage):
    ended = stage("late").run([cut(4)], credit=1)
    assert (ended.consumed, ended.settled) == (10, [4, 8, 10])
    assert values(ended.outputs[0]) == list(range(10))


def test_a_stage_may_see_more_than_the_credit_before_it_picks(stage):
    megabyte = pa.record_batch({"id": range(1 << 17)})
    ended = stage("late").run([pa.Table.from_batches([megabyte] * 20)])
    assert ended.last == {"finished": True}
    assert ended.settled == [(1 << 17) * number for number in range(1, 21)]


def test_what_is_consumed_and_settled_rides_with_the_result(stage):
    messages = stage("known").run([cut(4), pa.table({"id": [2, 7]})]).messages
    assert messages == [
        {"opened": True, "boundaries": True},
        {"consumed": 4, "settled": 4},
        {"consumed": 8, "settled": 8},
        {"consumed": 10, "settled": 10},
        {"finished": True},
    ]


def test_a_stage_need_not_read_all(stage):
    ended = stage("first_only").run([cut(2)], credit=1)
    assert (values(ended.outputs[0]), ended.consumed, ended.last) == ([2], 10, {"finished": True})


def test_phases_of_a_combining_stage(stage):
    client = stage("Total")
    run = client.opening({}, [ROWS.schema])
    sent = (Sent(Rows("new"), COUNT),)
    partial = replace(run, phase="partial", outputs=sent, main=0)
    merge, finish = (replace(partial, phase=phase, inputs=(COUNT,)) for phase in ("merge", "finish"))

    def result(opening, rows, name):
        (batch,) = client.invoke(replace(opening, invocation=name), [rows]).outputs[0]
        return batch.to_pydict()["n"]

    ids = ROWS.select(["id"])
    partials = [result(partial, ids.slice(0, 4), "p1"), result(partial, ids.slice(4), "p2")]
    assert partials == [[6], [39]]
    assert result(merge, pa.table({"n": [6, 39]}, schema=COUNT), "m") == [45]
    assert result(finish, pa.table({"n": [45]}, schema=COUNT), "f") == [45]


def test_async_stages(stage):
    ended = stage("slow").run([cut(1)], credit=20)
    assert (values(ended.outputs[0]), ended.consumed) == (list(range(10)), 10)
    assert stage("slow").run([cut(1)], {"do": "error"}).last["failed"]["message"] == "ValueError: not this batch"
    left = "RuntimeError: the stage ended its program by SystemExit(3)"
    assert stage("slow").run([cut(1)], {"do": "exit"}).last["failed"]["message"] == left


def test_a_stage_without_inputs(stage):
    assert values(stage("waiting").run([]).outputs[0]) == [0]


def test_invocations_may_run_at_once(server):
    results = []

    def run():
        client = Client(server.location, "stage:acts")
        for _ in range(5):
            results.append(client.run([cut(2)], {"do": "print"}))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(ended.log) for ended in results] == [16] * 20
    assert all(values(ended.outputs[0]) == [0] * 10 for ended in results)


def test_the_server_ends_with_its_standard_input():
    with served(HERE / "single") as server:
        server.process.stdin.close()
        assert server.process.wait(10) == 0


def test_a_stage_of_pyarrow_alone():
    plain = HERE.parent.parent / "executor/python/tests/plain"
    with served(plain, [sys.executable, "server.py"]) as server:
        assert values(server.run([cut(3)]).outputs[0]) == [6] * 10
