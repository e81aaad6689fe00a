// Says in one sentence what it does: here, it counts.

import { Failure, source } from "./longshore.js";

class Counter {
  static info = {
    name: "{name}",
    version: "0.1.0",
    description: "Says in one sentence what it does.",
    vendor: "Example",
    capabilities: { ends: true },
  };
  // JSON Schema of what a user can set; keys as people write them.
  static schema = {
    type: "object",
    properties: {
      topic: { type: "string", minLength: 1, description: "The topic to publish to.", "x-importance": "HIGH" },
      limit: { type: "integer", minimum: 0, default: 100, description: "How far to count." },
    },
    required: ["topic"],
  };
  static promise() {
    return { level: "exactly-once", method: "the same position is always followed by the same records" };
  }

  // `stored`: lanes and positions, as they were emitted.
  constructor({ topic, limit }, stored) {
    // The offsets of a connector may hold lanes of another version or another config, too.
    const mine = stored.find(({ lane }) => Object.keys(lane).length === 0);
    const next = mine ? mine.position.next : 0;
    if (typeof next !== "number") {
      throw new Failure("config", "the stored offset is none of this version: reset the connector's offsets");
    }
    Object.assign(this, { topic, limit, next });
  }

  // Returns how many milliseconds the host may wait before it asks again, or "finished".
  poll(batch) {
    while (this.next < this.limit) {
      if (batch.isFull) {
        return 0;
      }
      const count = this.next;
      batch.emit({ topic: this.topic, key: String(count), json: { count }, position: { next: count + 1 } });
      this.next += 1;
    }
    return "finished";
  }
}

export const { plugin, planner, sourceTask } = source(Counter);
