"""Says in one sentence what it does: here, it counts what it is given."""

import longshore
import longshore.sink
from longshore import metrics


class Counting:
    INFO = longshore.Info(
        name="{name}",
        version="0.1.0",
        description="Says in one sentence what it does.",
        vendor="Example",
        needs=longshore.Columns.VALUE | longshore.Columns.POSITION,
        capabilities=["refuses"],
    )
    # JSON Schema of what a user can set; keys as people write them.
    SCHEMA = {
        "type": "object",
        "properties": {
            "required.field": {"type": "string", "default": "", "description": "A field that every value must have."},
        },
    }

    def __init__(self, config):
        self.field = config["required.field"]
        self.taken = 0

    def put(self, records, refuse):
        """Takes a batch. When the target fails: raise longshore.Failure.transient("..").after(record.row)."""
        for record in records:
            if self.field:
                value = record.json()
                if not isinstance(value, dict) or self.field not in value:
                    refuse(record, longshore.Failure.data(f"the value has no field {self.field}"))
                    continue
            # Write it here.
            self.taken += 1

    def flush(self, upto):
        """Makes what was taken durable; only then its offsets may be committed."""
        metrics.add("records", self.taken)
        self.taken = 0
        return upto


Plugin, Planner, SinkTask = longshore.sink.export(Counting)
