"""Says in one sentence what it does: here, it adds a field to values that are JSON objects."""

import longshore
import longshore.transform


class AddField:
    INFO = longshore.Info(
        name="{name}",
        version="0.1.0",
        description="Says in one sentence what it does.",
        vendor="Example",
        needs=longshore.Columns.VALUE,
        key_format=longshore.Format.BYTES,
    )
    # JSON Schema of what a user can set; keys as people write them.
    SCHEMA = {
        "type": "object",
        "properties": {
            "field": {"type": "string", "minLength": 1, "description": "The field to add.", "x-importance": "HIGH"},
            "text": {"type": "string", "default": "", "description": "Its value."},
        },
        "required": ["field"],
    }

    def __init__(self, config):
        self.field = config["field"]
        self.text = config["text"]

    def apply(self, record, edit):
        """What is not changed here stays. A Failure is one of this record."""
        fields = record.json()
        if fields is None:
            return
        if not isinstance(fields, dict):
            raise longshore.Failure.data("the value is no JSON object")
        fields[self.field] = self.text
        edit.json(record, fields)


Plugin, RecordTransform = longshore.transform.export(AddField)
