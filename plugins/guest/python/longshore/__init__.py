"""Write sources, sinks and transforms for Longshore as WASM plugins, in Python.

A component is a snapshot of the interpreter taken at build time: import everything at the top of a module, never inside a function.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, TypeVar

from componentize_py_types import Err
from wit_world.imports import context, log, types
from wit_world.imports.types import Columns, ErrorKind, Format, Guarantee, Level

T = TypeVar("T")


class Failure(Exception):
    """Why a call failed. Its kind says who can act; the message says what to do, and never holds a secret."""

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        retry_after_ms: Optional[int] = None,
        context: Optional[Dict[str, Any]] = None,
        taken: int = 0,
    ):
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.retry_after_ms = retry_after_ms
        self.context = context or {}
        # Of a sink's put: how many leading records were taken.
        self.taken = taken

    @staticmethod
    def config(message: str) -> "Failure":
        return Failure(ErrorKind.CONFIG, message)

    @staticmethod
    def data(message: str) -> "Failure":
        return Failure(ErrorKind.DATA, message)

    @staticmethod
    def transient(message: str) -> "Failure":
        return Failure(ErrorKind.TRANSIENT, message)

    def wire(self) -> types.Error:
        pairs = [(name, str(value)) for name, value in self.context.items()]
        return types.Error(self.kind, self.message, self.retry_after_ms, pairs)


def guarded(call: Callable[[], T]) -> T:
    """Hands a Failure to the host. Any other exception is a bug of the plugin: it ends the task."""
    try:
        return call()
    except Failure as failure:
        raise Err(failure.wire()) from None


@dataclass
class Info:
    """What a plugin says about itself."""

    name: str
    version: str
    description: str
    vendor: str = ""
    # Columns that come in: what is not named costs nothing.
    needs: Columns = Columns.KEY | Columns.VALUE | Columns.HEADERS | Columns.TIMESTAMP | Columns.POSITION
    key_format: Format = Format.TEXT
    value_format: Format = Format.JSON
    # Names of capabilities: ends, idempotent, keeps_offsets, refuses.
    capabilities: List[str] = field(default_factory=list)


_TYPES = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


def parsed(plugin: Any, config: str) -> Dict[str, Any]:
    """Reads a config. The host checks it against the schema before; what is checked here keeps a mistake from looking like a bug."""
    values = json.loads(config)
    for key in plugin.SCHEMA.get("required", []):
        if key not in values:
            raise Failure.config(f"{key} is missing")
    for key, schema in plugin.SCHEMA.get("properties", {}).items():
        value = values.get(key)
        # A secret stands there as an object that names its key.
        if value is None or schema.get("x-secret"):
            continue
        wanted = schema.get("type", [])
        # A type that may be null is a list.
        names = [name for name in ([wanted] if isinstance(wanted, str) else wanted) if name in _TYPES]
        if names and not any(_is(value, name) for name in names):
            raise Failure.config(f"{key} is no {' or '.join(names)}")
    return values


def _is(value: Any, name: str) -> bool:
    return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def checked(plugin: Any, values: Dict[str, Any]) -> Dict[str, Any]:
    """Fails with the first problem that the class's check finds, if it has one."""
    for key, message, suggestion in plugin.check(values) if hasattr(plugin, "check") else []:
        raise Failure.config(": ".join(part for part in (key, message, suggestion) if part))
    return values


def empty(kind: Format = Format.BYTES) -> types.Column:
    """A column whose rows are all null."""
    return types.Column(kind, b"", [], b"")


def column(kind: Format, rows: List[Optional[bytes]]) -> types.Column:
    """A column of these rows; None = null."""
    if all(row is None for row in rows):
        return empty(kind)
    ends, end = [], 0
    for row in rows:
        end += len(row) if row is not None else 0
        ends.append(end)
    nulls = bytes(row is None for row in rows) if None in rows else b""
    return types.Column(kind, b"".join(row for row in rows if row is not None), ends, nulls)


def row_of(of: types.Column, row: int) -> Optional[bytes]:
    """A row of a column; None = null."""
    if row >= len(of.ends) or (of.nulls and of.nulls[row]):
        return None
    return bytes(of.data[of.ends[row - 1] if row else 0 : of.ends[row]])


class Record:
    """One record that came in."""

    __slots__ = ("batch", "row")

    def __init__(self, batch: types.Batch, row: int):
        self.batch = batch
        self.row = row

    def _named(self, numbers: List[int]) -> str:
        topics = self.batch.topics
        return topics[numbers[self.row] if numbers else 0] if topics else ""

    @property
    def topic(self) -> str:
        return self._named(self.batch.topic)

    @property
    def origin(self) -> str:
        """In a sink: the topic it was read from."""
        return self._named(self.batch.origin or self.batch.topic)

    @property
    def partition(self) -> int:
        return self.batch.partition[self.row] if self.batch.partition else -1

    @property
    def offset(self) -> int:
        return self.batch.offset[self.row] if self.batch.offset else -1

    @property
    def timestamp(self) -> Optional[int]:
        """Milliseconds since the Unix epoch."""
        time = self.batch.timestamp_ms[self.row] if self.batch.timestamp_ms else -1
        return time if time >= 0 else None

    @property
    def key(self) -> Optional[bytes]:
        return row_of(self.batch.key, self.row)

    @property
    def value(self) -> Optional[bytes]:
        """None = null, a tombstone."""
        return row_of(self.batch.value, self.row)

    @property
    def headers(self) -> List[Tuple[str, Optional[bytes]]]:
        batch = self.batch
        if not batch.header_ends:
            return []
        start = batch.header_ends[self.row - 1] if self.row else 0
        return [
            (batch.header_names[batch.header_name[at]], row_of(batch.header_value, at))
            for at in range(start, batch.header_ends[self.row])
        ]

    def json(self) -> Any:
        """The value, read as JSON."""
        value = self.value
        if value is None:
            return None
        try:
            return json.loads(value)
        except ValueError as error:
            raise Failure.data(f"the value is no JSON: {error}") from None


def records(batch: types.Batch) -> Iterator[Record]:
    return (Record(batch, row) for row in range(batch.count))


def row_errors(rows: List[Tuple[int, Failure]]) -> List[types.RowError]:
    return [types.RowError(row, failure.wire()) for row, failure in rows]


def say(level: log.Level, message: str, **fields: Any) -> None:
    """Writes a log line."""
    if log.enabled(level):
        log.log(level, message, [(name, str(value)) for name, value in fields.items()])


def described(plugin: Any, module: Any) -> type:
    """The exported interface `plugin` of a class with INFO and SCHEMA; `module` is the world's own."""

    class Plugin:
        def describe(self):
            info = plugin.INFO
            capabilities = module.Capabilities(0)
            for name in info.capabilities:
                capabilities |= module.Capabilities[name.upper()]
            return module.Info(
                info.name,
                info.version,
                info.vendor,
                info.description,
                capabilities,
                info.needs,
                info.key_format,
                info.value_format,
            )

        def config_schema(self) -> str:
            return json.dumps(plugin.SCHEMA)

        def check(self, config: str):
            found = guarded(lambda: plugin.check(parsed(plugin, config))) if hasattr(plugin, "check") else []
            return [module.Problem(key, message, suggestion) for key, message, suggestion in found]

    return Plugin


def planned(plugin: Any, default: Callable[[int], List[List[Tuple[str, str]]]]) -> type:
    """The exported interface `planner`: a class may have `plan(config, tasks_max)` and `promise(config)`."""

    class Planner:
        def plan(self, config: str, tasks_max: int):
            if hasattr(plugin, "plan"):
                shares = guarded(lambda: plugin.plan(parsed(plugin, config), tasks_max))
                return [list(share.items()) for share in shares]
            return default(tasks_max)

        def promise(self, config: str) -> Guarantee:
            if hasattr(plugin, "promise"):
                try:
                    level, method = plugin.promise(parsed(plugin, config))
                    return Guarantee(level, method)
                except Failure as failure:
                    return Guarantee(Level.AT_LEAST_ONCE, failure.message)
            return Guarantee(Level.AT_LEAST_ONCE, "offsets are stored after the records")

    return Planner
