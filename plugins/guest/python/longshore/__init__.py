"""Write sources, sinks and transforms for Longshore as WASM plugins, in Python.

A component is a snapshot of the interpreter taken at build time: import everything at the top of a module, never inside a function.

Beside what stands here: source, sink and transform (one of them exports the plugin), http, connection, context, log, metrics, and, for sinks,
state. Unit tests run without a component: longshore_testing stands in for the host.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, TypeVar, Union

from componentize_py_types import Err
from wit_world.imports import secrets, types
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
        """The author of the config can act: the task fails until the config changes."""
        return Failure(ErrorKind.CONFIG, message)

    @staticmethod
    def auth(message: str) -> "Failure":
        """The owner of a credential can act: the task fails until it is renewed."""
        return Failure(ErrorKind.AUTH, message)

    @staticmethod
    def data(message: str) -> "Failure":
        """This record is bad: errors.tolerance decides."""
        return Failure(ErrorKind.DATA, message)

    @staticmethod
    def transient(message: str) -> "Failure":
        """The same call is made again, with backoff: a source must then return the same records again."""
        return Failure(ErrorKind.TRANSIENT, message)

    @staticmethod
    def rate_limited(message: str, retry_after_ms: Optional[int] = None) -> "Failure":
        """The same after a time that the other side told, or a short default; it costs no attempt."""
        return Failure(ErrorKind.RATE_LIMITED, message, retry_after_ms)

    @staticmethod
    def fenced(message: str) -> "Failure":
        """Another instance has the work: the task closes at once."""
        return Failure(ErrorKind.FENCED, message)

    @staticmethod
    def of(error: types.Error) -> "Failure":
        """What the host says."""
        return Failure(error.kind, error.message, error.retry_after_ms, dict(error.context))

    def after(self, taken: int) -> "Failure":
        """For a sink's put: how many leading records were taken before it."""
        self.taken = taken
        return self

    def wire(self) -> types.Error:
        pairs = [(readable(name), readable(value)) for name, value in self.context.items()]
        return types.Error(self.kind, readable(self.message), self.retry_after_ms, pairs)


class Secret:
    """The value of a config key with x-secret: its key's name. The host puts the value into requests (see longshore.http), and the plugin sees
    it only under the grant `secrets: reveal`. It is never shown."""

    __slots__ = ("_key", "_value")

    def __init__(self, given: Any, key: str):
        # The host writes {"secret": key}, or, where it is revealed, the value.
        self._key = given.get("secret", key) if isinstance(given, dict) else key
        self._value = given if isinstance(given, str) else None

    @property
    def key(self) -> str:
        return self._key

    @property
    def in_config(self) -> Optional[str]:
        """The value, where it stands in the config itself."""
        return self._value

    def revealed(self) -> Optional[str]:
        """The value, where the operator granted `secrets: reveal`."""
        return self._value if self._value is not None else secrets.get(self._key)

    def __repr__(self) -> str:
        return "[hidden]"


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
    """Reads a config: what is not set has the schema's default, what is x-secret is a Secret. The host checks it against the schema before; what
    is checked here keeps a mistake from looking like a bug."""
    values = json.loads(config)
    for key in plugin.SCHEMA.get("required", []):
        if key not in values:
            raise Failure.config(f"{key} is missing")
    for key, schema in plugin.SCHEMA.get("properties", {}).items():
        if "default" in schema and key not in values:
            # A copy: what one task does to its config, another does not see.
            values[key] = json.loads(json.dumps(schema["default"]))
        value = values.get(key)
        if value is None:
            continue
        if schema.get("x-secret"):
            values[key] = Secret(value, key)
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


def json_bytes(value: Any) -> Optional[bytes]:
    """A value as JSON text; None = null, which is a record without a value. Failures of kind data: JSON cannot hold it."""
    if value is None:
        return None
    try:
        return compact(value, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Failure.data(f"the value is nothing that JSON can hold: {error}") from None


def compact(value: Any, allow_nan: bool = True) -> str:
    """A value as JSON text without blanks, and with escapes only where it has to: the text of a lane that is stored stays its name."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=allow_nan)
    try:
        text.encode()
    except UnicodeEncodeError:
        # Half of a pair of surrogates is text to Python, and an escape in JSON.
        return json.dumps(value, separators=(",", ":"), allow_nan=allow_nan)
    return text


def as_bytes(value: Union[bytes, str, None]) -> Optional[bytes]:
    """Text as UTF-8; bytes and None as they are. Failures of kind data: the text is no Unicode (see unicode)."""
    return unicode(value).encode() if isinstance(value, str) else value


def unicode(text: str) -> str:
    """The text, if it can cross to the host. Failures of kind data: it has half a pair of surrogates, which JSON may hold and UTF-8 may not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Failure.data("text has half a pair of surrogates (\\ud800 to \\udfff alone): it is no Unicode") from None
    return text


def readable(said: Any) -> str:
    """What is said to people, whatever it is made of: what is no Unicode is a question mark."""
    return str(said).encode(errors="replace").decode()


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

    def header(self, name: str) -> Optional[bytes]:
        """The last header of a name, which is the one that counts."""
        return next((value for known, value in reversed(self.headers) if known == name), None)

    def json(self) -> Any:
        """The value, read as JSON; None = null. Failures of kind data: it is none."""
        value = self.value
        if value is None:
            return None
        try:
            return json.loads(value)
        except (ValueError, RecursionError) as error:
            raise Failure.data(f"the value is no JSON: {error}") from None


def records(batch: types.Batch) -> Iterator[Record]:
    return (Record(batch, row) for row in range(batch.count))


def row_errors(rows: List[Tuple[int, Failure]]) -> List[types.RowError]:
    return [types.RowError(row, failure.wire()) for row, failure in rows]


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
