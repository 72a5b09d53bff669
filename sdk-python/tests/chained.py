"""Chains of stages as flowc opens them, and the same stages one after the other: what both give must be equal."""

from dataclasses import dataclass, replace

from flowc.description import Opening, OutputDescription, Rows
from flowc.testing.assemble import Assembly
from flowc.wire import rows_json, schema_to_text

PHASES = {"combining": "partial"}


@dataclass
class Stage:
    name: str
    config: dict
    opening: Opening
    description: object

    @property
    def reads(self):
        return self.description.inputs[self.opening.main].reads

    @property
    def output(self):
        if self.description.partial is None:
            return self.description.outputs[0]
        return OutputDescription(self.description.partial, Rows("new"), (None,) * len(self.description.partial))


def planned(client, schemas, stages):
    """The stages, each on the output of the one before."""
    found = []
    for name, config in stages:
        client.stage = name if ":" in name else f"stage:{name}"
        opening, description = client.opening(config, schemas), client.describe(config, schemas)
        phase = PHASES.get(description.inputs[0].needs, "run")
        found.append(Stage(client.stage, config, replace(opening, phase=phase), description))
        schemas = [found[-1].output.schema]
    return found


def one_by_one(client, tables, *stages):
    """What the last stage gives, each run by itself."""
    for name, config in stages:
        (stage,) = planned(client, [table.schema for table in tables], [(name, config)])
        read = [table.select(list(port.reads)) for table, port in zip(tables, stage.description.inputs, strict=True)]
        ended = client.invoke(replace(stage.opening, outputs=(stage.output.sent(),)), read)
        assert ended.last == {"finished": True}
        tables = [Assembly(stage.output, tables).table(ended.outputs[0])]
    return tables[0]


class Chain:
    def __init__(self, client, tables, *stages):
        self.client, self.tables = client, tables
        self.stages = planned(client, [table.schema for table in tables], stages)
        self.main = self.stages[0].opening.main
        self.streams = list(self._streams())
        self.frames = self._frames()

    def run(self, credit=8 << 20):
        opening, read = self.opening()
        return self.client.invoke(opening, read, credit, self.steps())

    def table(self, ended):
        """What flowc would make of it."""
        return Assembly(self.output(), [self.tables[self.main]]).table(ended.outputs[0])

    def opening(self):
        first = self.stages[0]
        reads = [list(port.reads) for port in first.description.inputs]
        reads[self.main] = [place for kind, place in self.frames[0] if kind == "input"]
        read = [table.select(columns) for table, columns in zip(self.tables, reads, strict=True)]
        return replace(first.opening, inputs=tuple(t.schema for t in read), outputs=(self.output().sent(),)), read

    def output(self):
        relations = [stage.output.rows.relation for stage in self.stages]
        relation = next((one for one in ("new", "subset") if one in relations), "same")
        passed = [place if kind == "input" else None for kind, place in self.streams[-1]]
        return OutputDescription(self.stages[-1].output.schema, Rows(relation), tuple(passed))

    def steps(self):
        return [self._step(number, stage) for number, stage in enumerate(self.stages)]

    def _step(self, number, stage):
        before, after = self.frames[number : number + 2]
        columns = [
            {"written": place} if kind == number else {"kept": before.index((kind, place))} for kind, place in after
        ]
        written = replace(stage.output, rows=Rows("new")).sent().written
        return {
            "stage": stage.name,
            "config": stage.config,
            "phase": stage.opening.phase,
            "reads": [before.index(self.streams[number][column]) for column in stage.reads],
            "input": schema_to_text(stage.opening.main_schema()),
            "rows": rows_json(stage.output.rows),
            "written": schema_to_text(written),
            "frame": columns,
        }

    def _streams(self):
        stream = [("input", place) for place in range(self.tables[self.main].num_columns)]
        yield stream
        for number, stage in enumerate(self.stages):
            written = iter(range(stage.output.passed.count(None)))
            stream = [(number, next(written)) if passed is None else stream[passed] for passed in stage.output.passed]
            yield stream

    def _frames(self):
        frames = [[place for place in self.streams[-1] if place[0] != "input"]]
        for number, stage in reversed(list(enumerate(self.stages))):
            kept = {place for place in frames[0] if place[0] != number}
            read = {self.streams[number][column] for column in stage.reads}
            frames.insert(0, sorted(kept | read, key=str))
        return frames
