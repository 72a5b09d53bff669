"""A stage that speaks the protocol (docs/flight-protocol.md) with pyarrow alone.

It passes all columns on, and adds `length` (int32): the number of characters of the column `text`.
"""

import base64
import json
import os
import threading

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import flight

LENGTH = pa.field("length", pa.int32())


def to_text(schema):
    """Schemas travel as IPC messages in base64."""
    return base64.b64encode(schema.serialize()).decode()


def from_text(text):
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))


def signature():
    return {
        "protocol": 1,
        "doc": "Adds the length of the column `text`.",
        "inputs": ["rows"],
        "outputs": ["out"],
        "config_schema": {"type": "object", "additionalProperties": False},
    }


def describe(request):
    """Called at plan time with all columns. A stage that can't work with them answers with a problem."""
    schema = from_text(request["inputs"][0])
    text = schema.get_field_index("text")
    if text < 0 or schema.field(text).type != pa.string():
        return {"problem": {"message": "there is no column `text` of type string", "help": "rename one"}}
    passed = [{"passed": number} for number in range(len(schema))]
    output = {"schema": to_text(schema.append(LENGTH)), "rows": {"same": 0}, "columns": [*passed, "written"]}
    # The only column that is read. All others are passed on: they never come here, and are in no cache key.
    return {"inputs": [{"class": "row-wise", "reads": [text], "keys": []}], "outputs": [output], "parts": 1}


class Server(flight.FlightServerBase):
    def do_action(self, context, action):
        request = json.loads(action.body.to_pybytes())
        if request["protocol"] != 1:
            answer = {"problem": {"message": "this stage speaks version 1 of the protocol"}}
        else:
            answer = signature() if action.type == "flowc.signature" else describe(request)
        return [json.dumps(answer).encode()]

    def do_exchange(self, context, descriptor, reader, writer):
        """One invocation. `descriptor.command` is the opening; this stage needs nothing of it."""
        # The config is accepted, inputs may come.
        writer.write_metadata(b'{"opened": true}')
        # Only what the stage writes is sent: flowc attaches the rest.
        writer.begin(pa.schema([LENGTH]))
        consumed = 0
        for chunk in reader:
            # A message may hold metadata alone.
            if chunk.data is None:
                continue
            lengths = pc.utf8_length(chunk.data.column("text"))
            consumed += chunk.data.num_rows
            # With the result comes how many rows the stage is through with: for those flowc may send new ones.
            metadata = json.dumps({"consumed": consumed}).encode()
            writer.write_with_metadata(pa.record_batch([lengths], schema=pa.schema([LENGTH])), metadata)
        # flowc has closed its side: the input has ended. An exchange without a last message counts as crashed.
        writer.write_metadata(b'{"finished": true}')


def end_with_standard_input():
    while os.read(0, 4096):
        pass
    os._exit(0)


threading.Thread(target=end_with_standard_input, daemon=True).start()
Server(os.environ["FLOWC_LISTEN"]).serve()
