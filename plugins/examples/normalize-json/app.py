"""Brings times and measures in JSON values into one form, whatever form they came in."""

import longshore
import longshore.transform
from measures import Measures
from times import Times


def names(key, path):
    """The names on a path."""
    found = path.strip().split(".")
    if "" in found:
        raise longshore.Failure.config(f"{key} has the path {path!r}, in which a name is empty")
    return found


class Normalize:
    INFO = longshore.Info(
        name="normalize-json",
        version="0.1.0",
        description="Brings times and measures in JSON values into one form.",
        vendor="Longshore",
        needs=longshore.Columns.VALUE,
        key_format=longshore.Format.BYTES,
    )
    SCHEMA = {
        "type": "object",
        "properties": {
            "time.fields": {
                "type": "array",
                "items": {"type": "string"},
                "default": [],
                "description": "Fields that hold times: names, or paths with dots.",
            },
            "time.input": {
                "type": "string",
                "enum": ["auto", "s", "ms", "us", "ns"],
                "default": "auto",
                "description": "What a number counts since 1970; auto: it is told by its size.",
            },
            "time.output": {
                "type": "string",
                "enum": ["iso", "ms"],
                "default": "iso",
                "description": "What times become: ISO 8601 in UTC, or milliseconds since 1970.",
            },
            "time.zone": {
                "type": "string",
                "default": "+00:00",
                "description": "The offset of times that do not name one.",
            },
            "unit.fields": {
                "type": "array",
                "items": {"type": "string"},
                "default": [],
                "description": "Fields that hold measures, each with the unit that they become: distance=m, room.temperature=C.",
            },
            "on.error": {
                "type": "string",
                "enum": ["fail", "keep"],
                "default": "fail",
                "description": "What becomes of a record with a field that cannot be read: it fails, or the field stays as it is.",
            },
        },
    }

    def __init__(self, config):
        times = Times(config["time.input"], config["time.output"], config["time.zone"])
        self.fields = [(names("time.fields", path), times) for path in config["time.fields"]]
        for entry in config["unit.fields"]:
            path, _, unit = entry.partition("=")
            self.fields.append((names("unit.fields", path), Measures(entry, unit.strip())))
        if not self.fields:
            raise longshore.Failure.config("time.fields and unit.fields are empty: name a field in one of them")
        self.keep = config["on.error"] == "keep"

    @staticmethod
    def check(config):
        try:
            Normalize(config)
        except longshore.Failure as failure:
            # The message begins with its key.
            return [(failure.message.split(" ")[0], failure.message, "")]
        return []

    def apply(self, record, edit):
        value = record.json()
        changed = False
        for path, form in self.fields:
            changed |= self.normalize(value, path, form)
        if changed:
            edit.json(record, value)

    def normalize(self, value, path, form):
        """Changes the field at the path, in every element of arrays on the way; whether it did. What is not there, or null, is left alone."""
        if isinstance(value, list):
            # All of them: any() would stop at the first.
            return any([self.normalize(element, path, form) for element in value])
        name, rest = path[0], path[1:]
        if not isinstance(value, dict) or value.get(name) is None:
            return False
        if rest:
            return self.normalize(value[name], rest, form)
        try:
            made = form.of(value[name])
        except (ValueError, OverflowError) as error:
            if self.keep:
                return False
            raise longshore.Failure.data(f"the field {name} cannot be read: {error}") from None
        changed = made != value[name] or type(made) is not type(value[name])
        value[name] = made
        return changed


Plugin, RecordTransform = longshore.transform.export(Normalize)
