"""The stage of the runners' conformance suite (executor/runner/src/conformance): it behaves as its config says.

It speaks the protocol (docs/flight-protocol.md) with pyarrow alone, since the SDK lets no stage break the contract.
"""

import base64
import ctypes
import json
import os
import queue
import threading
import traceback

import pyarrow as pa
from pyarrow import flight

ID = pa.field("id", pa.int64(), nullable=False)
TEXT = pa.field("text", pa.string())
EXTRA = pa.field("extra", pa.int64(), nullable=False)
ROW = pa.field("row", pa.uint64(), nullable=False)
SUM = pa.field("sum", pa.int64(), nullable=False)
BOUNDARY = object()
WORDS = pa.schema([pa.field("word", pa.string(), nullable=False)])


class Problem(Exception):
    """What the stage says instead of going on."""

    def __init__(self, message):
        self.fields = {"message": message, "config_path": "/do", "help": "choose another"}


def to_text(schema):
    return base64.b64encode(schema.serialize()).decode()


def signature():
    config = {"type": "object"}
    doc = "Behaves as it is told."
    return {"protocol": 1, "doc": doc, "inputs": ["in"], "outputs": ["out", "words"], "config_schema": config}


def describe(config):
    if config.get("describe") == "problem":
        raise Problem("I do not like this config")
    words = {"schema": to_text(WORDS), "rows": "new", "columns": ["written"]}
    if config.get("class") == "combining":
        sums = to_text(pa.schema([SUM]))
        needs, partial, out = "combining", sums, {"schema": sums, "rows": "new", "columns": ["written"]}
    else:
        columns = [{"passed": 0}, {"passed": 1}, "written"]
        rows = {config.get("rows", "same"): 0}
        needs, partial = "row-wise", None
        out = {"schema": to_text(pa.schema([ID, TEXT, EXTRA])), "rows": rows, "columns": columns}
    inputs = [{"class": needs, "reads": [0], "keys": []}]
    return {"inputs": inputs, "outputs": [out, words], "partial": partial, "parts": 1}


class Invocation:
    """One run of a behaviour."""

    def __init__(self, opening, writer, words):
        self.opening, self.writer, self.words = opening, writer, words
        self.config = opening["config"]
        self.mode = self.config.get("do", "good")
        self.is_subset = opening["outputs"][0]["rows"] == {"subset": 0}
        # Each held batch: the number of its first row, and how many it has.
        self.rows, self.held = 0, []

    def run(self, reader):
        if self.mode == "panic-in-open":
            raise RuntimeError("no wish to open")
        self.say(opened=True, boundaries=True)
        if self.config.get("class") == "combining":
            return self.sum(reader)
        self.writer.begin(self.schema())
        self.called(f"open {self.opening['phase']} {self.opening['part']}")
        for chunk in reader:
            if chunk.data is not None:
                self.push(chunk.data.num_rows)
            self.answer_boundary(chunk)
        self.called("end 0")
        self.called("finish")
        for first, rows in reversed(self.held):
            self.emit(range(first, first + rows))

    def schema(self):
        undeclared = [TEXT] if self.mode == "read-undeclared" else []
        return pa.schema([*([ROW] if self.is_subset else []), EXTRA, *undeclared])

    def sum(self, reader):
        """In every phase: the sum of the numbers in the first column."""
        self.writer.begin(pa.schema([SUM]))
        total = 0
        for chunk in reader:
            if chunk.data is not None:
                total += sum(chunk.data.column(0).to_pylist())
            self.answer_boundary(chunk)
        self.writer.write_batch(pa.record_batch([pa.array([total], pa.int64())], schema=pa.schema([SUM])))

    def push(self, count):
        self.called(f"push 0 {count}")
        numbers = range(self.rows, self.rows + count)
        self.rows += count
        BEHAVIOURS[self.mode](self, numbers)
        # Rows that are still to be picked are consumed, and not settled: flowc keeps them.
        self.say(consumed=self.rows, **({"settled": self.rows} if self.is_subset and not self.held else {}))

    def answer_boundary(self, chunk):
        """All that comes of the rows before is sent."""
        if chunk.app_metadata is not None and b"boundary" in chunk.app_metadata.to_pybytes():
            self.words.put(BOUNDARY)
            self.say(boundary=True)

    def emit(self, numbers, values=None):
        """Sends `extra` for these rows."""
        extra = pa.array(numbers if values is None else values, pa.int64())
        arrays = [pa.array(numbers, pa.uint64()), extra] if self.is_subset else [extra]
        self.writer.write_batch(pa.record_batch(arrays, schema=self.schema()))

    def say(self, **message):
        self.writer.write_metadata(json.dumps(message).encode())

    def called(self, call):
        if self.mode == "calls":
            self.say(log=[["info", call]])

    def send_words(self, array):
        self.words.put(pa.RecordBatch.from_arrays([array], schema=WORDS))

    def slices(self, numbers):
        half = len(numbers) // 2
        self.emit(numbers[:half])
        self.emit(numbers[half:])

    def log(self, _numbers):
        for first in range(0, 100_000, 1000):
            self.say(log=[["info", f"line {number}"] for number in range(first, first + 1000)])

    def problem(self, _numbers):
        raise Problem("this row is not to my taste")

    def panic(self, numbers):
        raise RuntimeError(f"cannot go on with {len(numbers)} rows")

    def loop(self, _numbers):
        while True:
            pass

    def memory(self, _numbers):
        hoard = []
        try:
            while True:
                hoard.append(bytearray(b"x" * (1 << 20)))
        except MemoryError:
            # so that there is memory left to tell of it
            hoard.clear()
            raise

    def read_undeclared(self, numbers):
        """The column isn't there to be read: this writes it, which was not declared either."""
        texts = pa.nulls(len(numbers), pa.string())
        self.writer.write_batch(pa.record_batch([pa.array(numbers, pa.int64()), texts], schema=self.schema()))

    def derive_short(self, numbers):
        """A batch whose column has one value too few. pyarrow makes no such thing, so its export is bent."""
        batch = pa.record_batch([pa.array(numbers, pa.int64())], schema=self.schema())
        exported = ctypes.create_string_buffer(80)
        place = ctypes.addressof(exported)
        batch._export_to_c(place)
        child = ctypes.c_void_p.from_address(ctypes.c_void_p.from_address(place + 48).value).value
        ctypes.c_int64.from_address(child).value = len(numbers) - 1
        self.writer.write_batch(pa.RecordBatch._import_from_c(place, self.schema()))

    def bad_offsets(self, _numbers):
        self.send_words(texts([0, 3, 1], b"abc"))

    def bad_text(self, _numbers):
        self.send_words(texts([0, 1, 3], b"a\xff\xfe"))

    def nulls(self, _numbers):
        self.send_words(pa.array(["a", None]))

    def twice(self, numbers):
        self.emit(numbers)
        self.emit(numbers)

    def no_such_port(self, numbers):
        """Nothing in the protocol names a port that isn't there. This consumes rows that aren't."""
        self.say(consumed=self.rows + 9)


def sent(batch):
    """A batch of `words`, or that a boundary is reached: metadata can't be sent alone."""
    no_words = pa.RecordBatch.from_pylist([], schema=WORDS)
    return (no_words, b'{"boundary": true}') if batch is BOUNDARY else batch


def texts(offsets, data):
    """A column of texts that may be broken: it is bent after pyarrow has looked at it."""
    buffer = bytearray(b"".join(offset.to_bytes(4, "little") for offset in [0, 0, 0]))
    array = pa.Array.from_buffers(pa.string(), 2, [None, pa.py_buffer(buffer), pa.py_buffer(data)])
    buffer[:] = b"".join(offset.to_bytes(4, "little") for offset in offsets)
    return array


BEHAVIOURS = {
    "good": Invocation.emit,
    "calls": Invocation.emit,
    "slices": Invocation.slices,
    "filter": lambda self, numbers: self.emit([number for number in numbers if (number - numbers[0]) % 2 == 0]),
    "words": lambda self, numbers: self.send_words(pa.array(["a", "bc"])),
    "late": lambda self, numbers: self.held.append((numbers[0], len(numbers))),
    "log": Invocation.log,
    "problem": Invocation.problem,
    "panic": Invocation.panic,
    "loop": Invocation.loop,
    "memory": Invocation.memory,
    "read-undeclared": Invocation.read_undeclared,
    "derive-short": Invocation.derive_short,
    "bad-offsets": Invocation.bad_offsets,
    "bad-text": Invocation.bad_text,
    "nulls": Invocation.nulls,
    "skip": lambda self, numbers: None,
    "twice": Invocation.twice,
    "no-such-port": Invocation.no_such_port,
}


class Server(flight.FlightServerBase):
    def __init__(self, location):
        # Calls may come as soon as it listens, which the base class starts.
        self.words = {}
        super().__init__(location)

    def do_action(self, context, action):
        request = json.loads(action.body.to_pybytes())
        try:
            answer = signature() if action.type == "flowc.signature" else describe(request["config"])
        except Problem as problem:
            answer = {"problem": problem.fields}
        return [json.dumps(answer).encode()]

    def do_exchange(self, context, descriptor, reader, writer):
        opening = json.loads(descriptor.command)
        words = self.words[opening["invocation"]] = queue.SimpleQueue()
        invocation = Invocation(opening, writer, words)
        try:
            invocation.run(reader)
            last = {"finished": True}
        except Problem as problem:
            last = {"problem": problem.fields}
        except Exception as error:
            is_memory = isinstance(error, MemoryError)
            last = {"failed": {"message": str(error), "detail": traceback.format_exc(), "memory": is_memory}}
        words.put(None)
        if not context.is_cancelled():
            invocation.say(**last)

    def do_get(self, context, ticket):
        # Whoever has taken the queue keeps it, so the invocation may end before.
        words = self.words.pop(json.loads(ticket.ticket)["invocation"])
        return flight.GeneratorStream(WORDS, map(sent, iter(words.get, None)))


def end_with_standard_input():
    while os.read(0, 4096):
        pass
    os._exit(0)


threading.Thread(target=end_with_standard_input, daemon=True).start()
Server(os.environ["FLOWC_LISTEN"]).serve()
