"""The least that a server of exchanges in pyarrow can do: what `identity.py` holds the SDK against."""

import os
from typing import Any

from pyarrow import flight


class Echo(flight.FlightServerBase):
    """Sends back what comes."""

    def do_exchange(self, _context: Any, _descriptor: Any, reader: Any, writer: Any) -> None:
        """Batch by batch, without metadata."""
        writer.begin(reader.schema)
        for chunk in reader:
            if chunk.data is not None:
                writer.write_batch(chunk.data)


if __name__ == "__main__":
    Echo(os.environ["FLOWC_LISTEN"]).serve()
