"""Measures: numbers with a unit, in another unit."""

import math
import re

import longshore

# What each unit is of, its size in the first unit of its kind, and where it begins. Upper and lower case differ: mb is no MB.
UNITS = {
    "m": ("length", 1.0, 0.0), "mm": ("length", 0.001, 0.0), "cm": ("length", 0.01, 0.0), "km": ("length", 1000.0, 0.0),
    "in": ("length", 0.0254, 0.0), "ft": ("length", 0.3048, 0.0), "yd": ("length", 0.9144, 0.0), "mi": ("length", 1609.344, 0.0),
    "kg": ("mass", 1.0, 0.0), "mg": ("mass", 1e-6, 0.0), "g": ("mass", 0.001, 0.0), "t": ("mass", 1000.0, 0.0),
    "oz": ("mass", 0.028349523125, 0.0), "lb": ("mass", 0.45359237, 0.0),
    "K": ("temperature", 1.0, 0.0), "C": ("temperature", 1.0, 273.15), "F": ("temperature", 5 / 9, 459.67 * 5 / 9),
    "s": ("time", 1.0, 0.0), "ms": ("time", 0.001, 0.0), "us": ("time", 1e-6, 0.0), "min": ("time", 60.0, 0.0),
    "h": ("time", 3600.0, 0.0), "d": ("time", 86400.0, 0.0),
    "B": ("data", 1.0, 0.0), "kB": ("data", 1e3, 0.0), "MB": ("data", 1e6, 0.0), "GB": ("data", 1e9, 0.0), "TB": ("data", 1e12, 0.0),
    "KiB": ("data", 1024.0, 0.0), "MiB": ("data", 1024.0**2, 0.0), "GiB": ("data", 1024.0**3, 0.0), "TiB": ("data", 1024.0**4, 0.0),
    "m/s": ("speed", 1.0, 0.0), "km/h": ("speed", 1 / 3.6, 0.0), "mph": ("speed", 0.44704, 0.0), "kn": ("speed", 1852 / 3600, 0.0),
    "Pa": ("pressure", 1.0, 0.0), "hPa": ("pressure", 100.0, 0.0), "kPa": ("pressure", 1000.0, 0.0), "bar": ("pressure", 1e5, 0.0),
    "psi": ("pressure", 6894.757293168, 0.0),
}
MEASURE = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*°?\s*(\S+)?")
# What a float holds, less the digits that the conversion makes up.
DIGITS = 12


class Measures:
    def __init__(self, entry, unit):
        if unit not in UNITS:
            raise longshore.Failure.config(f"unit.fields has {entry}: write field=unit, with one of {', '.join(UNITS)}")
        self.unit = unit

    def of(self, value):
        """A number stays: it is in the unit already. Raises ValueError where it is no measure."""
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return value
        found = MEASURE.fullmatch(value.strip()) if isinstance(value, str) else None
        if found is None:
            raise ValueError("it is no number with a unit")
        number, unit = float(found[1]), found[2] or self.unit
        if unit not in UNITS:
            raise ValueError(f"its unit {unit[:16]} is not known")
        (kind, size, begin), (wanted, wanted_size, wanted_begin) = UNITS[unit], UNITS[self.unit]
        if kind != wanted:
            raise ValueError(f"{unit} is a unit of {kind}, {self.unit} of {wanted}")
        if unit != self.unit:
            number = float(f"{(number * size + begin - wanted_begin) / wanted_size:.{DIGITS}g}")
        if not math.isfinite(number):
            raise ValueError("it is beyond what a number holds")
        return int(number) if number.is_integer() and abs(number) < 2**53 else number
