"""Transforms."""

import json
from typing import Any, Dict, List, Optional, Tuple, Type

import longshore
from wit_world.exports import plugin, record_transform
from wit_world.imports import types


class Edit:
    """What became of a batch. What is not changed stays, and costs nothing."""

    def __init__(self, batch: types.Batch):
        self._batch = batch
        self._keep = bytearray(b"\x01" * batch.count)
        self._values: Dict[int, Optional[bytes]] = {}
        self._topics: Dict[int, str] = {}
        self._headers: List[record_transform.HeaderEdit] = []
        self._failed: List[Tuple[int, longshore.Failure]] = []

    def drop(self, record: longshore.Record) -> None:
        self._keep[record.row] = 0

    def fail(self, record: longshore.Record, failure: longshore.Failure) -> None:
        self._failed.append((record.row, failure))

    def value(self, record: longshore.Record, value: Optional[bytes]) -> None:
        self._values[record.row] = value

    def json(self, record: longshore.Record, value: Any) -> None:
        self._values[record.row] = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()

    def topic(self, record: longshore.Record, topic: str) -> None:
        self._topics[record.row] = topic

    def header(self, record: longshore.Record, name: str, value: Optional[str]) -> None:
        """None removes every header of that name."""
        bytes_ = value.encode() if value is not None else None
        self._headers.append(record_transform.HeaderEdit(record.row, name, bytes_, types.Format.TEXT))

    def wire(self) -> record_transform.Edit:
        batch = self._batch
        value = None
        if self._values:
            rows = [
                self._values[row] if row in self._values else longshore.row_of(batch.value, row)
                for row in range(batch.count)
            ]
            value = longshore.column(batch.value.format, rows)
        topics: List[str] = []
        topic: List[int] = []
        if self._topics:
            names = [self._topics.get(record.row, record.topic) for record in longshore.records(batch)]
            topics = list(dict.fromkeys(names))
            numbers = {name: number for number, name in enumerate(topics)}
            topic = [numbers[name] for name in names]
        keep = bytes(self._keep) if 0 in self._keep else b""
        failed = longshore.row_errors(self._failed)
        return record_transform.Edit(keep, None, value, topics, topic, [], self._headers, failed)


_task: Any = None


def export(transform: Type[Any]) -> Tuple[type, type]:
    """The classes that app.py must show as Plugin and RecordTransform."""

    class RecordTransform:
        def start(self, config: str) -> None:
            global _task
            # The host asks connectors alone for their problems.
            _task = longshore.guarded(lambda: transform(longshore.checked(transform, longshore.parsed(transform, config))))

        def apply(self, records: types.Batch) -> record_transform.Edit:
            edit = Edit(records)
            for record in longshore.records(records):
                try:
                    _task.apply(record, edit)
                except longshore.Failure as failure:
                    edit.fail(record, failure)
            return edit.wire()

    return longshore.described(transform, plugin), RecordTransform
