"""The task, its clocks, randomness and waits."""

from wit_world.imports import context
from wit_world.imports.context import TaskInfo

_MS_MAX = 0xFFFF_FFFF


def task() -> TaskInfo:
    """Which task this is: connector, task, host_version; of a sink group, and exactly_once: whether a target that can keep offsets is to."""
    return context.task()


def now_ms() -> int:
    """Milliseconds since the Unix epoch."""
    return context.now_ms()


def monotonic_ns() -> int:
    """Nanoseconds since some moment; never falls."""
    return context.monotonic_ns()


def random(count: int) -> bytes:
    """Cryptographically strong bytes, at most 64 KiB."""
    return context.random(count)


def sleep_ms(ms: float) -> bool:
    """Waits; True = early, because the task is being stopped."""
    return context.sleep_ms(min(max(int(ms), 0), _MS_MAX))


def stopping() -> bool:
    """Whether the task is being stopped: long work should end."""
    return context.stopping()


def time_left_ms() -> int:
    """How long the call that is being made may still take; what is under way then is thrown away with the task's memory."""
    return context.time_left_ms()


def request_replan() -> None:
    """Of a source: the work has changed, `plan` is to be asked again."""
    context.request_replan()
