"""Says in one sentence what it does: here, it counts."""

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
        self.limit = config["limit"]
        # The offsets of a connector may hold lanes of another version or another config, too.
        mine = [position for lane, position in stored if lane == {}]
        self.next = mine[0].get("next") if mine else 0
        if not isinstance(self.next, int):
            raise longshore.Failure.config(
                "the stored offset is none of this version: reset the connector's offsets"
            )

    def poll(self, batch, max_wait_ms):
        """Returns how many milliseconds the host may wait before it asks again."""
        while self.next < self.limit:
            if batch.is_full:
                return 0
            batch.emit(self.topic, {"next": self.next + 1}, key=str(self.next), json={"count": self.next})
            self.next += 1
        raise longshore.source.Finished()


Plugin, Planner, SourceTask = longshore.source.export(Counter)
