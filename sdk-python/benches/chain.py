"""What a step of a chain costs: 1, 2 and 8 stages that give their input, in one invocation, in one run.

python benches/chain.py
"""

import statistics
from typing import Any

import pyarrow as pa
from identity import BATCHES, HERE, ROUNDS, Exchange, batch, throughput

from flowc.testing import Server, served
from flowc.wire import schema_to_text

LENGTHS = (1, 2, 8)


def step(schema: pa.Schema) -> Any:
    """One that reads and writes all columns."""
    columns = range(len(schema))
    text = schema_to_text(schema)
    fields = {"stage": "stage:identity", "config": {}, "phase": "run", "input": text, "rows": "new", "written": text}
    return fields | {"reads": [*columns], "frame": [{"written": column} for column in columns]}


def of_chain(server: Server, schema: pa.Schema, length: int) -> Exchange:
    """An invocation that is open."""
    writer, reader = server.exchange(server.opening({}, [schema]), steps=[step(schema)] * length)
    reader.read_chunk()
    return writer, reader


def main() -> None:
    """Measures all lengths in turns, and prints the medians."""
    megabyte = batch(8500)
    with served(HERE) as server:
        rounds = [
            [throughput(of_chain(server, megabyte.schema, length), server.memory, megabyte) for length in LENGTHS]
            for _ in range(ROUNDS)
        ]
    rates = [statistics.median(measured) for measured in zip(*rounds, strict=True)]
    seconds = [megabyte.nbytes / rate for rate in rates]
    for length, rate, time in zip(LENGTHS, rates, seconds, strict=True):
        print(f"{length} steps: {rate / 1e9:5.2f} GB/s each way, {time * 1e6:6.0f} us a batch")
    print(f"a step more: {(seconds[-1] - seconds[0]) / (LENGTHS[-1] - LENGTHS[0]) * 1e6:.1f} us ({BATCHES} batches)")


if __name__ == "__main__":
    main()
