// Says in one sentence what it does: here, it adds a field to values that are JSON objects.

import { Failure, transform } from "./longshore.js";

class AddField {
  static info = {
    name: "{name}",
    version: "0.1.0",
    description: "Says in one sentence what it does.",
    vendor: "Example",
    needs: { value: true },
    keyFormat: "bytes",
  };
  // JSON Schema of what a user can set; keys as people write them.
  static schema = {
    type: "object",
    properties: {
      field: { type: "string", minLength: 1, description: "The field to add.", "x-importance": "HIGH" },
      text: { type: "string", default: "", description: "Its value." },
    },
    required: ["field"],
  };

  constructor({ field, text }) {
    Object.assign(this, { field, text });
  }

  // What is not changed here stays. A Failure is one of this record.
  apply(record, edit) {
    const fields = record.json();
    if (fields === null) {
      return;
    }
    if (typeof fields !== "object" || Array.isArray(fields)) {
      throw new Failure("data", "the value is no JSON object");
    }
    edit.json(record, { ...fields, [this.field]: this.text });
  }
}

export const { plugin, recordTransform } = transform(AddField);
