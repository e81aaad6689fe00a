"""Unit tests without a component: stands in for the host, and for the modules that a component is given. Import it before the plugin.

    import longshore_testing as testing
    import app

    class Prices(unittest.TestCase):
        def test_a_busy_server_is_asked_later(self):
            testing.host.answer = lambda request: testing.answer(429, headers={"Retry-After": "7"})
            ...

Not part of the component: an app that does not import it is built without it.
"""

import enum
import json
import sys
import types as _types
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple


class Host:
    """What the host would say, for a test to set, and what it was told, for a test to read."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        # Answers each request: what `answer` makes, or a longshore.Failure. It is given the request as it crosses to the host.
        self.answer: Callable[[Any], Any] = _nobody
        self.requests: List[Any] = []
        # Level, message and fields; name, labels and number.
        self.lines: List[Tuple[str, str, Dict[str, str]]] = []
        self.metrics: List[Tuple[str, Dict[str, str], float]] = []
        self.clock_ms = 1_700_000_000_000
        self.time_left_ms = 30_000
        self.stopping = False
        # The secrets that may be seen.
        self.secrets: Dict[str, str] = {}
        self.exactly_once = False
        self.replans = 0
        # Where sources go on without a record: lane and position, as JSON text.
        self.advanced: List[Tuple[str, str]] = []
        # Of sinks, by topic and partition: JSON text.
        self.states: Dict[Tuple[str, int], str] = {}


def _nobody(request: Any) -> Any:
    raise AssertionError(f"no test answers {request.method} {request.url}: set longshore_testing.host.answer")


host = Host()


@dataclass(frozen=True)
class Err(Exception):
    value: Any


def _module(name: str, **content: Any) -> Any:
    module = _types.ModuleType(name)
    module.__dict__.update(content)
    sys.modules[name] = module
    return module


def _record(name: str, *fields: str) -> type:
    return make_dataclass(name, fields)


def _types_module() -> Any:
    kinds = ["CONFIG", "AUTH", "DATA", "TRANSIENT", "RATE_LIMITED", "FENCED", "FATAL"]
    return _module(
        "wit_world.imports.types",
        ErrorKind=enum.Enum("ErrorKind", kinds, start=0),
        Error=_record("Error", "kind", "message", "retry_after_ms", "context"),
        Format=enum.Enum("Format", ["BYTES", "TEXT", "JSON"], start=0),
        Column=_record("Column", "format", "data", "ends", "nulls"),
        Batch=_record(
            "Batch", "count", "topics", "topic", "partition", "offset", "origin", "timestamp_ms", "key", "value",
            "header_ends", "header_names", "header_name", "header_value",
        ),
        Columns=enum.Flag("Columns", ["KEY", "VALUE", "HEADERS", "TIMESTAMP", "POSITION"]),
        RowError=_record("RowError", "row", "error"),
        Level=enum.Enum("Level", ["AT_LEAST_ONCE", "EFFECTIVELY_ONCE", "EXACTLY_ONCE"], start=0),
        Guarantee=_record("Guarantee", "level", "method"),
    )


def _http_module() -> Any:
    response = _record("Response", "status", "headers", "body")
    opened = _record("Opened", "status", "headers", "body")

    class Body:
        def __init__(self, rest: bytes):
            self.rest = rest

        def read(self, most: int) -> bytes:
            read, self.rest = self.rest[:most], self.rest[most:]
            return read

        def __enter__(self) -> "Body":
            return self

        def __exit__(self, *raised: Any) -> None:
            self.rest = b""

    def send(request: Any) -> Any:
        host.requests.append(request)
        answered = host.answer(request)
        if hasattr(answered, "wire"):
            raise Err(answered.wire())
        return answered

    def send_each(request: Any) -> Any:
        try:
            return Ok(send(request))
        except Err as error:
            return error

    def opens(request: Any) -> Any:
        answered = send(request)
        return opened(answered.status, answered.headers, Body(answered.body))

    return _module(
        "wit_world.imports.http",
        Placement_Bearer=_record("Placement_Bearer"),
        Placement_Basic=_record("Placement_Basic", "value"),
        Placement_Header=_record("Placement_Header", "value"),
        Placement=Any,
        Credential=_record("Credential", "key", "placement"),
        Request=_record(
            "Request", "method", "url", "headers", "body", "timeout_ms", "credential", "max_response_bytes", "redirects_max"
        ),
        Response=response,
        send=send,
        send_all=lambda requests, concurrency: [send_each(request) for request in requests],
        open=opens,
    )


def _context_module() -> Any:
    info = _record("TaskInfo", "connector", "task", "host_version", "group", "exactly_once")

    def sleep_ms(ms: int) -> bool:
        host.clock_ms += 0 if host.stopping else ms
        return host.stopping

    def replan() -> None:
        host.replans += 1

    return _module(
        "wit_world.imports.context",
        TaskInfo=info,
        task=lambda: info("test", 0, "0.0.0", "connect-test", host.exactly_once),
        now_ms=lambda: host.clock_ms,
        monotonic_ns=lambda: host.clock_ms * 1_000_000,
        random=lambda count: bytes(at * 37 % 256 for at in range(count)),
        sleep_ms=sleep_ms,
        stopping=lambda: host.stopping,
        time_left_ms=lambda: host.time_left_ms,
        request_replan=replan,
    )


def _log_module() -> Any:
    def log(level: Any, message: str, fields: List[Tuple[str, str]]) -> None:
        host.lines.append((level.name.lower(), message, dict(fields)))

    levels = enum.Enum("Level", ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"], start=0)
    return _module("wit_world.imports.log", Level=levels, enabled=lambda level: True, log=log)


def _metrics_module() -> Any:
    def told(name: str, labels: List[Tuple[str, str]], number: float) -> None:
        host.metrics.append((name, dict(labels), number))

    return _module("wit_world.imports.metrics", add=told, set=told, observe=told)


def _state_module() -> Any:
    return _module(
        "wit_world.imports.state",
        advance=lambda lane, position: host.advanced.append((lane, position)),
        get=lambda topic, partition: host.states.get((topic, partition)) or None,
        set=lambda topic, partition, state: host.states.__setitem__((topic, partition), state),
    )


@dataclass
class Ok:
    value: Any


def _stand_in() -> None:
    _module("componentize_py_types", Err=Err, Ok=Ok)
    imports = {
        "types": _types_module(),
        "http": _http_module(),
        "context": _context_module(),
        "log": _log_module(),
        "metrics": _metrics_module(),
        "state": _state_module(),
        "secrets": _module("wit_world.imports.secrets", get=lambda key: host.secrets.get(key)),
    }
    capabilities = enum.Flag("Capabilities", ["ENDS", "IDEMPOTENT", "KEEPS_OFFSETS", "REFUSES"])
    info = _record(
        "Info", "name", "version", "vendor", "description", "capabilities", "needs", "key_format", "value_format"
    )
    exports = {
        "plugin": _module(
            "wit_world.exports.plugin",
            Capabilities=capabilities,
            Info=info,
            Problem=_record("Problem", "key", "message", "suggestion"),
        ),
        "planner": _module("wit_world.exports.planner"),
        "source_task": _module(
            "wit_world.exports.source_task",
            Position=_record("Position", "lane", "position"),
            Polled=_record("Polled", "records", "lanes", "lane", "positions", "idle_ms", "finished"),
        ),
        "sink_task": _module(
            "wit_world.exports.sink_task",
            TopicPartition=_record("TopicPartition", "topic", "partition"),
            TopicOffset=_record("TopicOffset", "topic", "partition", "offset"),
            PutError=_record("PutError", "error", "taken", "refused"),
        ),
        "record_transform": _module(
            "wit_world.exports.record_transform",
            HeaderEdit=_record("HeaderEdit", "row", "name", "value", "format"),
            Edit=_record("Edit", "keep", "key", "value", "topics", "topic", "timestamp_ms", "headers", "failed"),
        ),
    }
    _module(
        "wit_world",
        imports=_module("wit_world.imports", **imports),
        exports=_module("wit_world.exports", **exports),
    )


_stand_in()
# The package stands beside this file.
sys.path.insert(0, str(Path(__file__).resolve().parent))

import longshore  # noqa: E402


def answer(status: int = 200, body: Any = b"", headers: Optional[Dict[str, str]] = None) -> Any:
    """An answer to a request; a body that is no bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return sys.modules["wit_world.imports.http"].Response(status, list((headers or {}).items()), content)


def incoming(
    values: List[Any],
    topic: str = "input",
    partition: int = 0,
    offset: int = 0,
    keys: Optional[List[Optional[str]]] = None,
    headers: Optional[List[List[Tuple[str, Optional[str]]]]] = None,
    timestamps: Optional[List[int]] = None,
) -> Any:
    """A batch as a sink or a transform gets it: one partition of one topic, offsets that count up. Values that are neither bytes, text nor None
    are written as JSON."""
    given = sys.modules["wit_world.imports.types"]
    rows = [longshore.as_bytes(one) if isinstance(one, (bytes, str)) else longshore.json_bytes(one) for one in values]
    every = [pair for row in headers or [] for pair in row]
    names = list(dict.fromkeys(name for name, _ in every))
    ends = [sum(len(row) for row in headers[: at + 1]) for at in range(len(headers))] if headers else []
    return given.Batch(
        len(rows),
        [topic],
        [],
        [partition] * len(rows),
        list(range(offset, offset + len(rows))),
        [],
        timestamps or [],
        longshore.column(given.Format.TEXT, [longshore.as_bytes(key) for key in keys or [None] * len(rows)]),
        longshore.column(given.Format.JSON, rows),
        ends,
        names,
        [names.index(name) for name, _ in every],
        longshore.column(given.Format.TEXT, [longshore.as_bytes(value) for _, value in every]),
    )


def rows(batch: Any) -> List[Dict[str, Any]]:
    """The records of a source's longshore.source.Batch: topic, key, value, headers, timestamp, lane and position of each."""
    polled = batch.wire(0, False)
    made = []
    for record in longshore.records(polled.records):
        lane = polled.lanes[polled.lane[record.row] if polled.lane else 0]
        made.append(
            {
                "topic": record.topic,
                "key": record.key,
                "value": record.value,
                "headers": record.headers,
                "timestamp": record.timestamp,
                "partition": record.partition,
                "lane": json.loads(lane),
                "position": json.loads(longshore.row_of(polled.positions, record.row)),
            }
        )
    return made


def applied(transform: Any, batch: Any) -> Tuple[List[Optional[bytes]], Dict[int, Any]]:
    """Runs a transform on a batch: the value of each row afterwards, without those that are dropped, and the Failure of each row that failed."""
    from longshore.transform import edited

    edit = edited(transform, batch)
    made = edit.wire()
    column = batch.value if made.value is None else made.value
    kept = [row for row in range(batch.count) if not made.keep or made.keep[row]]
    return [longshore.row_of(column, row) for row in kept], dict(edit._failed)
