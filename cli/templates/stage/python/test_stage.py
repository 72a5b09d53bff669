import pyarrow as pa
from flowc.testing import run

from stage import capitals


def test_a_column_is_written_in_capitals():
    lines = pa.table({"line": ["the hill", None]})
    table = run(capitals, {"rows": lines}, config={"column": "line"})["out"]
    assert table.to_pydict() == {"line": ["THE HILL", None]}
