"""Pipelines from Python: `flowc.plan` and `flowc.run` call the program `flowc`, and give what it says as objects."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from .progress import progress_line
from .results import Output, Sink, Stream, mapped_file, mapped_stream

T = TypeVar("T")


class RunError(Exception):
    """A pipeline could not be planned, or did not run to its end."""

    def __init__(self, errors: Sequence[Mapping[str, Any]]) -> None:
        super().__init__("\n".join(map(_told, errors)))
        self.errors = list(errors)
        """The `error` events: `code`, `message`, and where known `help`, `file`, `line`, `stage` and more."""


@dataclass(frozen=True)
class StageRun:
    """What a run did with a stage."""

    name: str
    status: str
    """`ran`, `cached`, `passthrough`, `failed` or `skipped`."""
    segments_ran: int
    segments_cached: int
    rows_out: int
    seconds: float


@dataclass(frozen=True)
class StagePlan:
    """What a run would do with a stage."""

    name: str
    to_run: int
    """Segments that are not in the store."""
    cached: int
    reasons: list[Any]


@dataclass(frozen=True)
class Run:
    """A run that came to its end."""

    plan: str
    """The hash of its plan."""
    stages: dict[str, StageRun]
    outputs: dict[str, Output]
    """What the sinks hold."""
    streams: dict[str, Stream]
    """What sources and stages gave: under the name of a stage, or `name.port` where it has several outputs."""


@dataclass(frozen=True)
class Plan:
    """What a run would do."""

    hash: str
    stages: dict[str, StagePlan]
    document: dict[str, Any]
    """All that `flowc plan --json` says."""
    folder: Path

    def sink(self, name: str) -> Sink:
        """Where a sink writes, and how."""
        found = {sink["name"]: sink["spec"] for sink in self.document["plan"]["sinks"]}
        return Sink(name, self.folder, found[name])


def plan(
    file: str | Path = "flow.kdl",
    *,
    params: Mapping[str, Any] | None = None,
    store: str | Path | None = None,
    locked: bool = False,
) -> Plan:
    """What a run of this pipeline would do; `file` may be a folder with a `flow.kdl`. See `run`."""
    return _Call(Path(file), tuple(_settings(params, store, None, locked))).plan


def run(  # noqa: PLR0913
    file: str | Path = "flow.kdl",
    *,
    params: Mapping[str, Any] | None = None,
    store: str | Path | None = None,
    jobs: int | None = None,
    locked: bool = False,
    force: str | Sequence[str] = (),
    verify: str | Sequence[str] = (),
    only: str | Sequence[str] = (),
    until: str | Sequence[str] = (),
    progress: bool = True,
) -> Run:
    """Runs what is not in the store yet, and writes the sinks. Raises a `RunError` if anything fails.

    The program `flowc` does it: the one that the environment variable FLOWC_BIN names, the one on the PATH, or the one
    beside the Python interpreter.

    - `params`: values of the pipeline's params
    - `store`, `jobs`, `locked`: as the options of `flowc run`
    - `force`: stages that run even if the store has their results; `verify`: stages that run again and must give what
      the store has; `only`: run these, and write no sinks; `until`: run up to these
    - `progress`: show it, in one line where that is possible
    """
    chosen = [("--force", force), ("--verify", verify), ("--only", only), ("--until", until)]
    options = [part for option, names in chosen for name in _list(names) for part in (option, name)]
    return _Call(Path(file), tuple(_settings(params, store, jobs, locked))).run(options, progress)


@dataclass(frozen=True)
class _Call:
    """The pipeline that `flowc` is called for."""

    file: Path
    settings: tuple[str, ...]

    @cached_property
    def plan(self) -> Plan:
        document = json.loads(_called(self._command("plan"), subprocess.PIPE))
        stages = {stage["name"]: _made(StagePlan, stage) for stage in document["status"]["stages"]}
        return Plan(document["hash"], stages, document, self.file if self.file.is_dir() else self.file.parent)

    def run(self, options: Sequence[str], shows_progress: bool) -> Run:
        last: dict[str, Any] = {}
        errors = []
        with progress_line(shows_progress) as show:
            for event in _events([*self._command("run"), *options]):
                show(event)
                last = event
                if event["event"] == "error":
                    errors.append(event)
        if errors:
            raise RunError(errors)
        return self._made(last)

    def _command(self, what: str) -> list[str]:
        return [_program(), what, "--json", *self.settings, str(self.file)]

    def _made(self, finished: Mapping[str, Any]) -> Run:
        hash_ = finished["plan"]
        stages = {stage["name"]: _made(StageRun, stage) for stage in finished["stages"]}
        keys = {stream["name"]: stream["key"] for stream in finished["streams"]}
        streams = {name: Stream(name, key, partial(self._stream, name, key)) for name, key in keys.items()}
        outputs = {output["name"]: self._output(output, hash_, streams) for output in finished["outputs"]}
        return Run(hash_, stages, outputs, streams)

    def _output(self, said: Mapping[str, Any], hash_: str, streams: Mapping[str, Stream]) -> Output:
        def rows() -> pa.RecordBatchReader:
            # Only the plan says where an output was written.
            if self.plan.hash != hash_:
                raise ValueError(
                    f"{self.file} is another pipeline now than the one whose output `{said['name']}` this is"
                )
            file = self.plan.sink(said["name"]).arrow_file()
            return mapped_file(file) if file else self._stream(said["stream"], streams[said["stream"]].key)

        return Output(said["name"], said["stream"], said["digest"], said["rows"], rows)

    def _stream(self, name: str, key: str) -> pa.RecordBatchReader:
        """The rows that a run told of by this key, in a file that is gone when nobody uses them any more."""
        with tempfile.NamedTemporaryFile(prefix="flowc-", suffix=".arrows") as file:
            _called([_program(), "show", name, "--arrow", "--key", key, *self.settings, str(self.file)], file)
            return mapped_stream(file.name)


def _program() -> str:
    named = os.environ.get("FLOWC_BIN")
    found = shutil.which(named or "flowc")
    if found is None and not named:
        # flowc's wheel puts the program beside the interpreter, whose folder need not be on the PATH.
        found = shutil.which("flowc", path=sysconfig.get_path("scripts"))
    if found is None:
        where = f"FLOWC_BIN names {named}, which is no program" if named else "there is no program `flowc` on the PATH"
        raise FileNotFoundError(f"{where}; install flowc, or set FLOWC_BIN to where it is")
    return found


def _called(command: Sequence[str], output: Any) -> str:
    """What a command prints, unless that goes into a file."""
    called = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, encoding="utf-8", check=False)
    if called.returncode:
        raise RunError(_errors(called))
    return called.stdout


def _errors(called: subprocess.CompletedProcess[str]) -> list[Mapping[str, Any]]:
    """Why a command failed: what it says as JSON, or else for people."""
    try:
        errors: list[Mapping[str, Any]] = json.loads(called.stdout or "")["errors"]
    except (ValueError, TypeError, KeyError):
        said = called.stderr.strip().removeprefix("error: ")
        errors = [{"message": said or f"flowc ended with {called.returncode}"}]
    return errors


def _settings(
    params: Mapping[str, Any] | None, store: str | Path | None, jobs: int | None, locked: bool
) -> Iterator[str]:
    for name, value in (params or {}).items():
        yield from ("--param", f"{name}={str(value).lower() if isinstance(value, bool) else value}")
    if store is not None:
        yield from ("--store", str(store))
    if jobs is not None:
        yield from ("--jobs", str(jobs))
    if locked:
        yield "--locked"


def _events(command: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The events of a run. Whoever stops early stops the run; what it has finished is kept."""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as said,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True, encoding="utf-8") as process,
    ):
        assert process.stdout is not None
        last, has_failed = "", False
        try:
            for line in process.stdout:
                event = json.loads(line)
                last, has_failed = event["event"], has_failed or event["event"] == "error"
                yield event
        except BaseException:
            process.send_signal(signal.SIGINT)
            process.communicate()
            raise
        if (process.wait() and not has_failed) or last not in ("run-finished", "error"):
            said.seek(0)
            yield {"event": "error", "message": said.read().strip() or f"flowc ended with {process.returncode}"}


def _made(type_: type[T], said: Mapping[str, Any]) -> T:
    """An object of what a message says. Fields that we do not know are left out."""
    return type_(**{field.name: said[field.name] for field in fields(type_)})  # type: ignore[arg-type]


def _list(names: str | Sequence[str]) -> Sequence[str]:
    return [names] if isinstance(names, str) else names


def _told(error: Mapping[str, Any]) -> str:
    place = ":".join(str(error[part]) for part in ("file", "line", "column") if part in error)
    stage = f"stage `{error['stage']}`" if "stage" in error else ""
    help_ = f" ({error['help']})" if error.get("help") else ""
    return ": ".join(filter(None, [place, stage, f"{error['message']}{help_}"]))
