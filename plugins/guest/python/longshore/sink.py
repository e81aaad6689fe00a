"""Sinks."""

from typing import Any, List, Optional, Tuple, Type

import longshore
from componentize_py_types import Err
from wit_world.exports import plugin, sink_task
from wit_world.imports import types

_task: Any = None


def export(sink: Type[Any]) -> Tuple[type, type, type]:
    """The classes that app.py must show as Plugin, Planner and SinkTask."""

    class SinkTask:
        def start(self, config: str) -> None:
            global _task
            _task = longshore.guarded(lambda: sink(longshore.parsed(sink, config)))

        def assigned(self, at: List[sink_task.TopicPartition]) -> Optional[List[sink_task.TopicOffset]]:
            if hasattr(_task, "assigned"):
                return longshore.guarded(lambda: _task.assigned(at))
            return None

        def put(self, records: types.Batch) -> List[types.RowError]:
            refused: List[Tuple[int, longshore.Failure]] = []
            try:
                _task.put(list(longshore.records(records)), lambda record, failure: refused.append((record.row, failure)))
            except longshore.Failure as failure:
                # What lies behind comes again, and is judged again.
                known = [(row, error) for row, error in refused if row < failure.taken]
                raise Err(sink_task.PutError(failure.wire(), failure.taken, longshore.row_errors(known))) from None
            return longshore.row_errors(refused)

        def flush(self, upto: List[sink_task.TopicOffset]) -> List[sink_task.TopicOffset]:
            return longshore.guarded(lambda: _task.flush(upto))

        def revoked(self, at: List[sink_task.TopicPartition]) -> None:
            if hasattr(_task, "revoked"):
                longshore.guarded(lambda: _task.revoked(at))

        def close(self) -> None:
            global _task
            if hasattr(_task, "close"):
                _task.close()
            _task = None

    each_task = longshore.planned(sink, lambda tasks_max: [[] for _ in range(tasks_max)])
    return longshore.described(sink, plugin), each_task, SinkTask
