"""Of a sink: a small state for each partition, committed with the partition's offset, so that it goes where the partition goes.

    state.set(topic, partition, {"part": 7})     # best within flush: it is committed with the offset that this flush returns, and must be true there
    state.get(topic, partition)

It can be missing at any time, since whoever sets the group's offsets otherwise (another tool, another runtime) leaves it out: a sink must be able to
do without it, at the price of some more work. Where the target keeps the offsets there is none: there it keeps the state, too.
"""

import json
from typing import Any

from componentize_py_types import Err
from longshore import Failure, json_bytes, log
from wit_world.imports import state


def get(topic: str, partition: int) -> Any:
    """The state of a partition, from `assigned` to `revoked`: what was set since, else what was committed with its offset. None = there is none,
    or it is nothing that `set` wrote: that is logged. Failures of kind fatal: the partition is not this task's."""
    try:
        text = state.get(topic, partition)
    except Err as error:
        raise Failure.of(error.value) from None
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        log.warn("the state of a partition is no JSON and is not used", topic=topic, partition=partition, error=error)
        return None


def set(topic: str, partition: int, value: Any) -> None:
    """The state of a partition from now on, from `assigned` to `revoked`; None takes it away. It is stored as JSON text of 3 KiB at most, in the
    plain. A state alone makes no commit. Failures of kind fatal: it is too long, or the partition is not this task's."""
    try:
        state.set(topic, partition, (json_bytes(value) or b"").decode())
    except Err as error:
        raise Failure.of(error.value) from None
