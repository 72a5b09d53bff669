"""Secrets that a pipeline gives to stages."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from chained import Chain

import flowc
from flowc.secrets import Secrets
from flowc.testing import run

ROWS = pa.table({"id": pa.array(range(7))})
CUT = pa.Table.from_batches(ROWS.to_batches(max_chunksize=2))


@pytest.fixture
def trusted(server):
    def choose(name):
        server.stage = f"trusted:{name}"
        return server

    return choose


def values(ended):
    assert ended.last == {"finished": True}, ended.last
    return [value for batch in ended.outputs[0] for value in batch.column(0).to_pylist()]


@pytest.mark.parametrize("name", ["plain", "later", "gathered"])
def test_a_stage_is_given_its_secrets(trusted, name):
    server = trusted(name)
    assert values(server.run([CUT], secrets={"TOKEN": "a", "KEY": "b"})) == ["a"] * 7
    assert values(server.run([CUT], {"name": "KEY"}, secrets={"TOKEN": "a", "KEY": "b"})) == ["b"] * 7


def test_setup_is_called_anew_for_another_value(trusted):
    server = trusted("Loads")
    loaded = [values(server.run([ROWS], secrets={"TOKEN": token}))[0] for token in ("a", "b", "a")]
    assert loaded == ["a, setup 1", "b, setup 2", "a, setup 1"]


@pytest.mark.parametrize("name", ["plain", "later", "Loads"])
def test_one_that_is_not_declared_is_a_problem(trusted, name):
    for secrets in ({"KEY": "b"}, None):
        ended = trusted(name).run([ROWS], secrets=secrets)
        assert ended.last["problem"] == {
            "message": "the stage is not given the secret `TOKEN`",
            "help": 'add `secret "TOKEN"` to the stage in the pipeline',
        }


def test_there_are_none_when_a_pipeline_is_planned(trusted):
    with pytest.raises(flowc.Problem, match="`TOKEN` is asked for where no stage runs") as raised:
        trusted("described").describe({}, [ROWS.schema])
    assert "not when the pipeline is planned" in raised.value.help
    with pytest.raises(flowc.Problem, match="where no stage runs"):
        flowc.secret("TOKEN")


def test_each_stage_of_a_chain_has_its_own(server):
    stages = [("trusted:plain", {}), ("trusted:later", {"name": "KEY"}), ("trusted:gathered", {})]
    chain = Chain(server, [CUT], *stages)
    opening, read = chain.opening()
    given = [{"TOKEN": "a"}, {"KEY": "b"}, {"TOKEN": "c"}]
    steps = [step | {"secrets": secrets} for step, secrets in zip(chain.steps(), given, strict=True)]
    table = chain.table(server.invoke(opening, read, steps=steps))
    assert table.to_pydict() == {"id": list(range(7)), "plain": ["a"] * 7, "later": ["b"] * 7, "gathered": ["c"] * 7}
    steps[2]["secrets"] = {"OTHER": "d"}
    ended = server.invoke(opening, read, steps=steps)
    assert ended.last["problem"]["message"] == "the stage is not given the secret `TOKEN`"


def test_a_test_gives_secrets():
    sys.path.insert(0, str(Path(__file__).parent / "stages"))
    from trusted import later, plain

    for stage in (plain, later):
        table = run(stage, {"rows": ROWS}, secrets={"TOKEN": "a"}, batch_rows=2)["out"]
        assert table.column(1).to_pylist() == ["a"] * 7
    with pytest.raises(flowc.Problem, match="not given the secret `TOKEN`"):
        run(plain, {"rows": ROWS})


def test_values_are_not_shown():
    @dataclass
    class Holder:
        secrets: Secrets

    assert repr(Holder(Secrets({"TOKEN": "abcd"}))).endswith("Holder(secrets=Secrets(TOKEN))")
