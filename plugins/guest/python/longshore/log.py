"""Log lines, lower case. The host adds connector and task, limits the rate, cuts what is long and blots out known secrets.

    log.warn("the page is empty", page=7)
"""

from typing import Any

from longshore import readable
from wit_world.imports import log
from wit_world.imports.log import Level


def enabled(level: Level) -> bool:
    """Whether lines of this level are wanted at all."""
    return log.enabled(level)


def line(level: Level, message: str, /, **fields: Any) -> None:
    """Writes a line, if its level is wanted."""
    if log.enabled(level):
        log.log(level, readable(message), [(readable(name), readable(value)) for name, value in fields.items()])


def debug(message: str, /, **fields: Any) -> None:
    line(Level.DEBUG, message, **fields)


def info(message: str, /, **fields: Any) -> None:
    line(Level.INFO, message, **fields)


def warn(message: str, /, **fields: Any) -> None:
    line(Level.WARN, message, **fields)


def error(message: str, /, **fields: Any) -> None:
    line(Level.ERROR, message, **fields)
