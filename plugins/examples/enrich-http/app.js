// Adds to each JSON object what an HTTP service knows about it: a customer's record to an order, a place's name to a reading.

import { Answers, AWAY } from "./answers.js";
import { Cache } from "./cache.js";
import { Connection, Failure, connectionKeys, context, transform } from "./longshore.js";
import { keyOf, withField } from "./value.js";

class Enrich {
  static info = {
    name: "enrich-http",
    version: "0.1.0",
    description: "Adds to JSON objects what an HTTP service knows about them.",
    vendor: "Longshore",
    needs: { value: true },
    keyFormat: "bytes",
  };
  static schema = {
    type: "object",
    properties: {
      url: { type: "string", minLength: 1, description: "The address to ask; {key} stands for the key, encoded.", "x-importance": "HIGH" },
      "key.field": { type: "string", minLength: 1, description: "The field whose value is the key: a name, or a path with dots.", "x-importance": "HIGH" },
      "target.field": { type: "string", minLength: 1, description: "The field that takes the answer.", "x-importance": "HIGH" },
      missing: { type: "string", enum: ["keep", "null", "fail"], default: "keep", description: "What becomes of records that the service does not know (404)." },
      concurrency: { type: "integer", minimum: 1, maximum: 64, default: 8, description: "How many requests are under way at once." },
      "cache.entries": { type: "integer", minimum: 0, maximum: 100000, default: 1000, description: "How many answers each task remembers; 0: none." },
      "cache.ttl.ms": { type: "integer", minimum: 0, default: 300000, description: "How long it remembers an answer." },
      "answer.max.bytes": { type: "integer", minimum: 1, maximum: 1048576, default: 65536, description: "The largest answer." },
      ...connectionKeys,
      "request.timeout.ms": { ...connectionKeys["request.timeout.ms"], maximum: 300000, default: 5000 },
    },
    required: ["url", "key.field", "target.field"],
  };

  constructor(config) {
    this.path = config["key.field"].split(".");
    this.target = config["target.field"];
    this.missing = config.missing;
    this.answers = new Answers(config, new Cache(config["cache.entries"], config["cache.ttl.ms"], context.monotonicMs));
  }

  static check(config) {
    const { url, "key.field": field } = config;
    const problems = [...Connection.checkUrl(url), ...Connection.problems(config)];
    if (!url.includes("{key}")) {
      problems.push({ key: "url", message: `it does not say where the value of ${field} goes`, suggestion: "write {key} into it" });
    }
    return problems;
  }

  // What the records of a call need is asked for at once, each key once.
  prepare(records) {
    // By record: its value and its key, or why there are none: it fails by itself, below.
    this.read = new Map(records.map((record) => [record, this.reading(record)]));
    const keys = Array.from(this.read.values(), (one) => one.key ?? null);
    this.answers.ask([...new Set(keys.filter((key) => key !== null))]);
  }

  reading(record) {
    try {
      const value = record.json();
      return { value, key: keyOf(value, this.path) };
    } catch (failure) {
      if (!(failure instanceof Failure)) {
        throw failure;
      }
      return { failure };
    }
  }

  apply(record, edit) {
    const { value, key, failure } = this.read.get(record);
    if (failure) {
      throw failure;
    }
    if (key === null) {
      return;
    }
    const found = this.answers.of(key);
    if (found === AWAY) {
      throw this.answers.away;
    }
    if (found instanceof Failure) {
      throw found;
    }
    if (found !== null) {
      edit.value(record, withField(record.valueText, value, this.target, found));
    } else if (this.missing === "null") {
      edit.value(record, withField(record.valueText, value, this.target, "null"));
    } else if (this.missing === "fail") {
      throw new Failure("data", "the service does not know the record's key (404)", { context: { field: this.path.join(".") } });
    }
  }
}

export const { plugin, recordTransform } = transform(Enrich);
