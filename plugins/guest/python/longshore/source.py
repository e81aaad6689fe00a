"""Sources."""

import json
from typing import Any, Dict, List, Optional, Tuple, Type, Union

import longshore
from wit_world.exports import plugin, source_task
from wit_world.imports import state, types


def _position(position: Dict[str, Any]) -> str:
    if not isinstance(position, dict):
        raise TypeError(f"a position is an object with named fields, not {type(position).__name__}")
    return longshore.compact(position)


class Batch:
    """Takes a source's records."""

    def __init__(self, info: longshore.Info, rows_max: int, bytes_max: int):
        self._info = info
        self.rows_max = rows_max
        self.bytes_max = bytes_max
        self._bytes = 0
        self._topics: Dict[str, int] = {}
        self._topic: List[int] = []
        self._keys: List[Optional[bytes]] = []
        self._values: List[Optional[bytes]] = []
        self._times: List[int] = []
        self._partitions: List[int] = []
        self._header_ends: List[int] = []
        self._header_names: Dict[str, int] = {}
        self._header_name: List[int] = []
        self._header_values: List[Optional[bytes]] = []
        self._lanes: Dict[str, int] = {}
        self._lane: List[int] = []
        self._positions: List[Optional[bytes]] = []
        # Lanes that go on without a record, and where.
        self.advanced: Dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._positions)

    @property
    def is_full(self) -> bool:
        return len(self) >= self.rows_max or self._bytes >= self.bytes_max

    def emit(
        self,
        topic: str,
        position: Dict[str, Any],
        value: Union[bytes, str, None] = None,
        key: Union[bytes, str, None] = None,
        lane: Optional[Dict[str, Any]] = None,
        timestamp: int = -1,
        *,
        json: Any = None,
        headers: Union[Dict[str, Any], List[Tuple[str, Any]], None] = None,
        partition: int = -1,
    ) -> None:
        """Adds a record. `position` is where reading goes on after it: it is stored once the record is durable. `json` is a value to be written as
        JSON; `headers` are names and values, text or None; without a partition the key chooses, without a timestamp the time of publishing counts."""
        row_position = _position(position)
        row_value = longshore.as_bytes(value) if json is None else longshore.json_bytes(json)
        row_key = longshore.as_bytes(key)
        row_lane = longshore.compact(lane or {})
        every = headers.items() if isinstance(headers, dict) else headers or []
        row_headers = [(longshore.unicode(name), longshore.as_bytes(header)) for name, header in every]
        longshore.unicode(topic)
        # Nothing fails from here on: a record is there as a whole, or not at all.
        for name, header in row_headers:
            self._header_name.append(self._header_names.setdefault(name, len(self._header_names)))
            self._header_values.append(header)
            self._bytes += len(header or b"")
        self._header_ends.append(len(self._header_name))
        self.advanced.pop(row_lane, None)
        self._topic.append(self._topics.setdefault(topic, len(self._topics)))
        self._lane.append(self._lanes.setdefault(row_lane, len(self._lanes)))
        self._positions.append(row_position.encode())
        self._keys.append(row_key)
        self._values.append(row_value)
        self._times.append(timestamp)
        self._partitions.append(partition)
        self._bytes += len(row_value or b"") + len(row_key or b"") + len(row_position)

    def advance(self, position: Dict[str, Any], lane: Optional[Dict[str, Any]] = None) -> None:
        """Progress without a record (a page that was empty or filtered out, an ETag, a cursor that moved on): once all that was returned so far in
        this lane is durable, the records of this batch included, reading goes on at `position`. What is emitted or said later in the lane takes
        its place. Nothing of it counts if the poll fails. Call it when the position has changed, not at every poll: each change costs a commit.
        The host takes at most 1,000 lanes, 64 KiB a position and 1 MiB for one poll."""
        name, text = longshore.compact(lane or {}), _position(position)
        self.advanced.pop(name, None)
        self.advanced[name] = text

    def wire(self, idle_ms: int, finished: bool) -> source_task.Polled:
        headers = self._header_name
        batch = types.Batch(
            len(self),
            list(self._topics),
            _unless_all(self._topic, 0),
            _unless_all(self._partitions, -1),
            [],
            [],
            _unless_all(self._times, -1),
            longshore.column(self._info.key_format, self._keys),
            longshore.column(self._info.value_format, self._values),
            self._header_ends if headers else [],
            list(self._header_names),
            headers,
            longshore.column(types.Format.TEXT, self._header_values),
        )
        positions = longshore.column(types.Format.JSON, self._positions)
        return source_task.Polled(batch, list(self._lanes), _unless_all(self._lane, 0), positions, idle_ms, finished)


def _unless_all(numbers: List[int], absent: int) -> List[int]:
    """An empty list says the same of every row."""
    return [] if all(number == absent for number in numbers) else numbers


class Finished(Exception):
    """Nothing more will ever come; the records of this batch still count."""


_task: Any = None


def _positions(stored: List[source_task.Position]) -> List[Tuple[Dict[str, Any], Dict[str, Any]]]:
    return [(json.loads(one.lane), json.loads(one.position)) for one in stored]


def export(source: Type[Any]) -> Tuple[type, type, type]:
    """The classes that app.py must show as Plugin, Planner and SourceTask."""

    class SourceTask:
        def start(self, config: str, positions: List[source_task.Position]) -> None:
            global _task
            _task = longshore.guarded(lambda: source(longshore.parsed(source, config), _positions(positions)))

        def poll(self, max_rows: int, max_bytes: int, max_wait_ms: int) -> source_task.Polled:
            batch = Batch(source.INFO, max_rows, max_bytes)
            try:
                idle_ms = longshore.guarded(lambda: _task.poll(batch, max_wait_ms))
                finished = False
            except Finished:
                idle_ms, finished = 0, True
            for lane, position in batch.advanced.items():
                state.advance(lane, position)
            return batch.wire(idle_ms or 0, finished)

        def committed(self, positions: List[source_task.Position]) -> None:
            if hasattr(_task, "committed"):
                longshore.guarded(lambda: _task.committed(_positions(positions)))

        def close(self) -> None:
            global _task
            if hasattr(_task, "close"):
                _task.close()
            _task = None

    one_task = longshore.planned(source, lambda _: [[]])
    return longshore.described(source, plugin), one_task, SourceTask
