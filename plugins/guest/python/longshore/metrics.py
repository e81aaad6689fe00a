"""Metrics of the plugin's own, shown with the worker's as `longshore_plugin_<name>`; labels are keyword arguments.

    metrics.add("requests", status="200")
"""

from typing import Any, Dict, List, Tuple

from longshore import readable
from wit_world.imports import metrics


def _labels(labels: Dict[str, Any]) -> List[Tuple[str, str]]:
    return [(name, readable(value)) for name, value in labels.items()]


def add(name: str, delta: int = 1, /, **labels: str) -> None:
    """Adds to a counter."""
    metrics.add(name, _labels(labels), delta)


def set(name: str, value: float, /, **labels: str) -> None:
    """Sets a gauge."""
    metrics.set(name, _labels(labels), float(value))


def observe(name: str, value: float, /, **labels: str) -> None:
    """Counts a value into a histogram."""
    metrics.observe(name, _labels(labels), float(value))
