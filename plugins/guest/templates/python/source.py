"""Says in one sentence what it does: here, it counts."""

import json

import longshore
import longshore.source


class Counter:
    INFO = longshore.Info(
        name="{name}",
        version="0.1.0",
        description="Says in one sentence what it does.",
        vendor="Example",
        capabilities=["ends"],
    )
    # JSON Schema of what a user can set; keys as people write them.
    SCHEMA = {
        "type": "object",
        "properties": {
            "topic": {"type": "string", "minLength": 1, "description": "The topic to publish to.", "x-importance": "HIGH"},
            "limit": {"type": "integer", "minimum": 0, "default": 100, "description": "How far to count."},
        },
        "required": ["topic"],
    }

    @staticmethod
    def promise(config):
        return longshore.Level.EXACTLY_ONCE, "the same position is always followed by the same records"

    def __init__(self, config, stored):
        """`stored`: lanes and positions, as they were emitted."""
        self.topic = config["topic"]
        self.limit = config.get("limit", 100)
        self.next = stored[0][1].get("next") if stored else 0
        if not isinstance(self.next, int):
            raise longshore.Failure.config(
                "the stored offset is none of this version: reset the connector's offsets"
            )

    def poll(self, batch, max_wait_ms):
        """Returns how many milliseconds the host may wait before it asks again."""
        while self.next < self.limit:
            if batch.is_full:
                return 0
            value = json.dumps({"count": self.next}).encode()
            batch.emit(self.topic, {"next": self.next + 1}, value=value, key=str(self.next).encode())
            self.next += 1
        raise longshore.source.Finished()


Plugin, Planner, SourceTask = longshore.source.export(Counter)
