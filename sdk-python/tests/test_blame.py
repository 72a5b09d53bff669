"""What is wrong is blamed on the rows that it came of: those that the stage has not said are consumed."""

import pyarrow as pa
import pytest

KINDS = ["by_batch", "by_batch_in_parts", "by_iterator", "by_call", "ByObject", "by_batch_anew"]
WAYS = ["raises", "mistakes", "lacks"]
IDS = pa.table({"id": range(40)})


@pytest.mark.parametrize("number", [0, 5, 9, 10, 25, 39])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_consumed_when_what_they_gave_is_good(stage, kind, way, number):
    if way == "lacks" and kind in ("by_iterator", "by_batch_anew"):
        return  # rows may come later, or not at all
    cut = pa.Table.from_batches(IDS.to_batches(max_chunksize=10))
    ended = stage(kind).run([cut], {"do": f"{way} {number}"})
    assert "failed" in ended.last, ended.last
    assert ended.consumed == number // 10 * 10
    if way == "mistakes" and kind != "by_batch_anew":
        message = f"output `out`: column `again`: row {number + 1} is a str ('{number}'), where int64 is declared; "
        message += "convert it, or declare another type"
        assert ended.last["failed"]["message"] == message


def test_what_has_gone_well_is_consumed(stage):
    for kind in KINDS:
        assert stage(kind).run([IDS], {"do": "good 1000"}).consumed == 40
