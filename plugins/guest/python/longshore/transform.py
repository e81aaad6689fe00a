"""Transforms."""

from typing import Any, Dict, List, Optional, Tuple, Type, Union

import longshore
from wit_world.exports import plugin, record_transform
from wit_world.imports import types


class Edit:
    """What became of a batch. What is not changed stays, and costs nothing."""

    def __init__(self, batch: types.Batch):
        self._batch = batch
        self._keep = bytearray(b"\x01" * batch.count)
        self._keys: Dict[int, Optional[bytes]] = {}
        self._values: Dict[int, Optional[bytes]] = {}
        self._times: Dict[int, int] = {}
        self._topics: Dict[int, str] = {}
        self._headers: List[record_transform.HeaderEdit] = []
        self._failed: List[Tuple[int, longshore.Failure]] = []

    def drop(self, record: longshore.Record) -> None:
        """Takes the record out of the stream."""
        self._keep[record.row] = 0

    def fail(self, record: longshore.Record, failure: longshore.Failure) -> None:
        """Says that the record cannot be transformed; a Failure that apply raises says the same."""
        self._failed.append((record.row, failure))

    def key(self, record: longshore.Record, key: Union[bytes, str, None]) -> None:
        """Replaces the key; None = null. INFO.needs must name keys."""
        self._keys[record.row] = longshore.as_bytes(key)

    def value(self, record: longshore.Record, value: Union[bytes, str, None]) -> None:
        """Replaces the value; None = null, a tombstone."""
        self._values[record.row] = longshore.as_bytes(value)

    def json(self, record: longshore.Record, value: Any) -> None:
        """Replaces the value by this one as JSON. Failures of kind data: JSON cannot hold it."""
        self._values[record.row] = longshore.json_bytes(value)

    def timestamp(self, record: longshore.Record, milliseconds: int) -> None:
        """Milliseconds since the Unix epoch; -1 = none. INFO.needs must name timestamps."""
        self._times[record.row] = milliseconds

    def topic(self, record: longshore.Record, topic: str) -> None:
        """Sends the record elsewhere."""
        self._topics[record.row] = longshore.unicode(topic)

    def header(self, record: longshore.Record, name: str, value: Optional[str]) -> None:
        """Sets a header, in place of all of its name; None removes them."""
        self._headers.append(
            record_transform.HeaderEdit(record.row, longshore.unicode(name), longshore.as_bytes(value), types.Format.TEXT)
        )

    def wire(self) -> record_transform.Edit:
        batch = self._batch
        topics: List[str] = []
        topic: List[int] = []
        if self._topics:
            names = [self._topics.get(record.row, record.topic) for record in longshore.records(batch)]
            topics = list(dict.fromkeys(names))
            numbers = {name: number for number, name in enumerate(topics)}
            topic = [numbers[name] for name in names]
        times: List[int] = []
        if self._times:
            known = batch.timestamp_ms or [-1] * batch.count
            times = [self._times.get(row, known[row]) for row in range(batch.count)]
        return record_transform.Edit(
            bytes(self._keep) if 0 in self._keep else b"",
            _changed(batch.key, self._keys, batch.count),
            _changed(batch.value, self._values, batch.count),
            topics,
            topic,
            times,
            self._headers,
            longshore.row_errors(self._failed),
        )


def _changed(column: types.Column, rows: Dict[int, Optional[bytes]], count: int) -> Optional[types.Column]:
    """The column with these rows in the place of its own; None = it stays."""
    if not rows:
        return None
    every = [rows[row] if row in rows else longshore.row_of(column, row) for row in range(count)]
    return longshore.column(column.format, every)


def edited(task: Any, batch: types.Batch) -> Edit:
    """Has a transform edit a batch. Failures: one of all records, of its prepare."""
    edit = Edit(batch)
    every = list(longshore.records(batch))
    if hasattr(task, "prepare"):
        task.prepare(every)
    for record in every:
        try:
            task.apply(record, edit)
        except longshore.Failure as failure:
            edit.fail(record, failure)
    return edit


_task: Any = None


def export(transform: Type[Any]) -> Tuple[type, type]:
    """The classes that app.py must show as Plugin and RecordTransform. A class may have `prepare(records)`, called with all
    records that the host gives in one call (about 64 KiB) before `apply` is with each of them: for what is asked once for many. A Failure that it
    raises is one of all of them."""

    class RecordTransform:
        def start(self, config: str) -> None:
            global _task
            # The host asks connectors alone for their problems.
            _task = longshore.guarded(lambda: transform(longshore.checked(transform, longshore.parsed(transform, config))))

        def apply(self, records: types.Batch) -> record_transform.Edit:
            return longshore.guarded(lambda: edited(_task, records)).wire()

    return longshore.described(transform, plugin), RecordTransform
