"""Adjacent stages that share an invocation."""

import itertools

import pyarrow as pa
import pytest
from chained import Chain, one_by_one

from flowc.description import Column, Opening, Rows, Sent, Step
from flowc.passage import Passage

ROWS = pa.table({"id": pa.array(range(20)), "text": [f"text {number}" for number in range(20)]})
SAME, SUBSET = ["doubled", "recut", "later", "soon"], ["odd", "recut_masks", "gathered_masks"]


def cut(rows, table=ROWS):
    return pa.Table.from_batches(table.to_batches(max_chunksize=rows))


def named(*names):
    return [(name, {}) for name in names]


def agrees(server, tables, *stages):
    chain = Chain(server, tables, *stages)
    ended = chain.run()
    assert set(ended.last) == {"finished", "rows"}, ended.last
    table = chain.table(ended)
    assert table.equals(one_by_one(server, tables, *stages))
    return ended, table


@pytest.mark.parametrize("names", list(itertools.product([*SAME, *SUBSET, "repeated"], repeat=2)))
def test_a_chain_gives_what_its_stages_give_one_by_one(server, names):
    for rows in (1, 4, 20):
        agrees(server, [cut(rows)], *named(*names))


@pytest.mark.parametrize(
    "names",
    [
        ("doubled", "odd", "tripled", "recut_masks", "recut"),
        ("odd", "recut_masks", "doubled", "odd", "tripled"),
        ("lengths", "recut", "odd", "later", "lengths", "repeated", "doubled", "tripled"),
        ("repeated", "odd", "doubled", "tripled"),
        ("doubled", "Total"),
        ("known", "doubled", "tripled", "odd"),
        ("gathered_masks", "soon", "odd", "gathered", "recut_masks", "doubled"),
        ("known", "soon", "repeated", "gathered_masks"),
    ],
)
def test_longer_chains(server, names):
    for rows in (1, 3, 20):
        others = [pa.table({"id": [2, 3, 5, 7, 11, 13]})] if names[0] == "known" else []
        agrees(server, [cut(rows), *others], *named(*names))


def test_an_input_may_have_no_rows(server):
    agrees(server, [ROWS.schema.empty_table()], *named("doubled", "odd", "tripled"))


def test_what_is_passed_on_does_not_travel_and_the_rest_rides_with_it(server):
    ended, _ = agrees(server, [cut(10)], *named("odd", "doubled", "tripled"))
    assert ended.outputs[0][0].schema.names == ["row", "triple"]
    assert ended.messages == [
        {"opened": True, "boundaries": True},
        {"consumed": 10, "settled": 10},
        {"consumed": 20, "settled": 20},
        {"finished": True, "rows": [10, 10]},
    ]


def test_what_is_not_picked_is_settled_though_nothing_is_sent(server):
    rows = pa.table({"id": range(1, 1001)})
    ended, table = agrees(server, [cut(100, rows)], *named("rare", "doubled", "recut"))
    assert (table.num_rows, ended.outputs[0]) == (0, [])
    assert ended.settled == list(range(100, 1001, 100))


def test_chains_keep_to_the_credit(server):
    ended = Chain(server, [cut(2)], *named("doubled", "recut", "odd", "later")).run(credit=1)
    assert (ended.consumed, ended.settled[-1]) == (20, 20)


def test_a_step_need_not_read_all(server):
    ended = Chain(server, [cut(4)], *named("odd", "doubled", "first_only")).run(credit=1)
    assert (ended.outputs[0][0].to_pydict(), ended.consumed, ended.last["rows"]) == ({"n": [2]}, 20, [10, 10])


def test_each_says_which_step_it_is(server):
    told = {"do": "print"}
    ended = Chain(server, [ROWS], ("doubled", {}), ("tripled", told), ("acts", told)).run()
    logged = [(message.get("step"), line) for message in ended.messages for _, line in message.get("log", [])]
    assert logged == [(1, "20 rows"), (None, "one"), (None, " and more"), (None, "logged"), (None, "two")]


@pytest.mark.parametrize("last", ["doubled", "handles", "later", "gathered"])
def test_a_failure_is_that_of_its_step(server, last):
    last_message = Chain(server, [cut(4)], *named("doubled"), ("tripled", {"do": "error"}), (last, {})).run().last
    assert (last_message["step"], last_message["failed"]["message"]) == (1, "ValueError: too deep")
    lines = last_message["failed"]["detail"].splitlines()
    assert [line.split(", in ")[1] for line in lines if ", in " in line] == ["tripled", "raise_deep"]


def test_a_failure_of_the_last_step_needs_no_number(server):
    last = Chain(server, [cut(4)], *named("doubled"), ("tripled", {"do": "error"})).run().last
    assert "step" not in last


def test_a_problem_is_that_of_its_step(server):
    problem = ("acts", {"do": "problem"})
    assert Chain(server, [cut(4)], problem, *named("doubled")).run().last["step"] == 0
    chain = Chain(server, [cut(4)], *named("doubled"), ("tripled", {}), *named("odd"))
    chain.stages[1].config = {"do": 1}
    assert chain.run().messages == [{"problem": {"message": "1 is no string", "config_path": "/do"}, "step": 1}]


def test_what_a_reading_thread_settles_while_rows_are_on_their_way_is_told_after_them():
    schema = pa.schema([("id", pa.int64())])
    rows, told = pa.record_batch([pa.array([1, 2])], schema=schema), []
    opening = Opening({}, "run", 0, (schema,), (Sent(Rows("same"), schema),), main=0)
    step = Step("", opening, reads=(0,), frame=(Column(is_kept=False, place=0),), schema=schema)
    passage = Passage(step, iter([(0, rows, 5)]), None, told.append)
    after = passage.after(iter([(0, passage.read(), None)]))
    assert next(after) == (0, rows, 5)
    passage.skip(9)
    assert told == []
    assert (list(after), told) == ([], [9])
