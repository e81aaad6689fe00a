"""Sources."""

import json
from typing import Any, Dict, List, Optional, Tuple, Type

import longshore
from wit_world.exports import plugin, source_task
from wit_world.imports import types


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


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
        self._lanes: Dict[str, int] = {}
        self._lane: List[int] = []
        self._positions: List[Optional[bytes]] = []

    def __len__(self) -> int:
        return len(self._positions)

    @property
    def is_full(self) -> bool:
        return len(self) >= self.rows_max or self._bytes >= self.bytes_max

    def emit(
        self,
        topic: str,
        position: Dict[str, Any],
        value: Optional[bytes] = None,
        key: Optional[bytes] = None,
        lane: Optional[Dict[str, Any]] = None,
        timestamp: int = -1,
    ) -> None:
        """Adds a record. `position` is where reading goes on after it: it is stored once the record is durable."""
        self._topic.append(self._topics.setdefault(topic, len(self._topics)))
        self._lane.append(self._lanes.setdefault(_text(lane or {}), len(self._lanes)))
        self._positions.append(_text(position).encode())
        self._keys.append(key)
        self._values.append(value)
        self._times.append(timestamp)
        self._bytes += len(value or b"") + len(key or b"")

    def wire(self, idle_ms: int, finished: bool) -> source_task.Polled:
        times = self._times if any(time >= 0 for time in self._times) else []
        batch = types.Batch(
            len(self),
            list(self._topics),
            self._topic,
            [],
            [],
            [],
            times,
            longshore.column(self._info.key_format, self._keys),
            longshore.column(self._info.value_format, self._values),
            [],
            [],
            [],
            longshore.empty(),
        )
        positions = longshore.column(types.Format.JSON, self._positions)
        return source_task.Polled(batch, list(self._lanes), self._lane, positions, idle_ms, finished)


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
            except Finished:
                return batch.wire(0, True)
            return batch.wire(idle_ms or 0, False)

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
