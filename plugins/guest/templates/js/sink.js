// Says in one sentence what it does: here, it counts what it is given.

import { Failure, metrics, sink } from "./longshore.js";

class Counting {
  static info = {
    name: "{name}",
    version: "0.1.0",
    description: "Says in one sentence what it does.",
    vendor: "Example",
    needs: { value: true, position: true },
    capabilities: { refuses: true },
  };
  // JSON Schema of what a user can set; keys as people write them.
  static schema = {
    type: "object",
    properties: {
      "required.field": { type: "string", default: "", description: "A field that every value must have." },
    },
  };

  constructor(config) {
    this.field = config["required.field"];
    this.taken = 0;
  }

  // Takes a batch. When the target fails: throw new Failure("transient", "..").after(record.row).
  put(records, refuse) {
    for (const record of records) {
      if (this.field !== "" && record.json()?.[this.field] === undefined) {
        refuse(record, new Failure("data", `the value has no field ${this.field}`));
        continue;
      }
      // Write it here.
      this.taken += 1;
    }
  }

  // Makes what was taken durable; only then its offsets may be committed.
  flush(upto) {
    metrics.add("records", this.taken);
    this.taken = 0;
    return upto;
  }
}

export const { plugin, planner, sinkTask } = sink(Counting);
