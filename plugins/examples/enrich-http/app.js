// Adds to each JSON object what an HTTP service knows about it: a customer's record to an order, a place's name to a reading.

import { send } from "longshore:connector/http@0.1.0";
import { monotonicNs, stopping, timeLeftMs } from "longshore:connector/context@0.1.0";
import { add } from "longshore:connector/metrics@0.1.0";
import { Cache } from "./cache.js";
import { Failure, transform } from "./longshore.js";

const decoder = new TextDecoder();
// What must be left of a call's time for one more request: the answers that are there would be lost with the call.
const LEAST_MS = 200;
// How long a service that was away is not asked again: the rest of its batch does not wait for it record by record.
const AWAY_MS = 1000;

const now = () => Number(monotonicNs() / 1000000n);

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
      "request.timeout.ms": { type: "integer", minimum: 1, maximum: 300000, default: 5000, description: "How long an answer may take." },
      "cache.entries": { type: "integer", minimum: 0, maximum: 100000, default: 1000, description: "How many answers each task remembers; 0: none." },
      "cache.ttl.ms": { type: "integer", minimum: 0, default: 300000, description: "How long it remembers an answer." },
      "answer.max.bytes": { type: "integer", minimum: 1, maximum: 1048576, default: 65536, description: "The largest answer." },
      "auth.secret": { type: "string", "x-secret": true, description: "The credential, sent as Bearer; the plugin never sees it." },
    },
    required: ["url", "key.field", "target.field"],
  };

  constructor(config) {
    this.url = config.url;
    this.path = config["key.field"].split(".");
    this.target = config["target.field"];
    this.missing = config.missing ?? "keep";
    this.timeoutMs = config["request.timeout.ms"] ?? 5000;
    this.bytesMax = config["answer.max.bytes"] ?? 65536;
    this.credential = config["auth.secret"] ? { key: "auth.secret", placement: { tag: "bearer" } } : undefined;
    this.cache = new Cache(config["cache.entries"] ?? 1000, config["cache.ttl.ms"] ?? 300000, now);
    // The last answer that was none, and until when it counts.
    this.away = { until: 0, failure: undefined };
  }

  static check({ url, "key.field": field }) {
    const problems = [];
    if (!/^https?:\/\//.test(url)) {
      problems.push({ key: "url", message: "it is no address that begins with http:// or https://" });
    } else if (!url.includes("{key}")) {
      problems.push({ key: "url", message: `it does not say where the value of ${field} goes`, suggestion: "write {key} into it" });
    }
    return problems;
  }

  apply(record, edit) {
    const value = record.json();
    if (value === null) {
      return;
    }
    if (typeof value !== "object" || Array.isArray(value)) {
      throw new Failure("data", "the value is no JSON object");
    }
    const key = this.path.reduce((at, name) => at?.[name], value) ?? null;
    if (key === null) {
      return;
    }
    if (typeof key === "object") {
      throw new Failure("data", `${this.path.join(".")} is neither text, number nor boolean`);
    }
    const found = this.known(String(key));
    if (found !== undefined) {
      edit.json(record, { ...value, [this.target]: found });
    }
  }

  // What the service knows about the key; undefined = nothing is added.
  known(key) {
    let found = this.cache.get(key);
    if (found === undefined) {
      found = this.asked(key);
      this.cache.set(key, found);
    } else {
      add("cache_hits", [], 1n);
    }
    if (found.there) {
      return found.answer;
    }
    if (this.missing === "fail") {
      throw new Failure("data", "the service does not know the record's key (404)", { context: { field: this.path.join(".") } });
    }
    return this.missing === "null" ? null : undefined;
  }

  asked(key) {
    if (now() < this.away.until) {
      throw this.away.failure;
    }
    try {
      return this.ask(key);
    } catch (failure) {
      if (failure.kind === "transient" || failure.kind === "rate-limited") {
        const waitMs = Number(failure.retryAfterMs ?? AWAY_MS);
        this.away = { until: now() + waitMs, failure };
      }
      throw failure;
    }
  }

  ask(key) {
    const left = timeLeftMs();
    if (stopping() || left < LEAST_MS) {
      throw new Failure("transient", "the batch took too long: what was asked is remembered, and the rest is asked when it is tried again");
    }
    add("requests", [], 1n);
    const { status, headers, body } = this.send(key, Math.min(this.timeoutMs, left - LEAST_MS / 2));
    if (status === 404) {
      return { there: false };
    }
    if (status === 401 || status === 403) {
      throw new Failure("auth", `the service answers ${status}: renew auth.secret, or its rights`);
    }
    if (status === 429) {
      const [, seconds] = headers.find(([name]) => name.toLowerCase() === "retry-after") ?? [];
      const retryAfterMs = /^[0-9]{1,5}$/.test(seconds) ? Number(seconds) * 1000 : undefined;
      throw new Failure("rate-limited", "the service answers 429", { retryAfterMs });
    }
    // Away, or not well: nothing is wrong with the record.
    if (status === 408 || status === 425 || status >= 500) {
      throw new Failure("transient", `the service answers ${status}`);
    }
    if (status < 200 || status > 299) {
      throw new Failure("data", `the service answers ${status}`);
    }
    try {
      return { there: true, answer: JSON.parse(decoder.decode(body)) };
    } catch (error) {
      throw new Failure("data", "the service's answer is no JSON");
    }
  }

  send(key, timeoutMs) {
    try {
      return send({
        method: "GET",
        url: this.url.replaceAll("{key}", () => encodeURIComponent(key)),
        headers: [["accept", "application/json"]],
        body: undefined,
        timeoutMs: Math.floor(timeoutMs),
        credential: this.credential,
        maxResponseBytes: this.bytesMax,
        redirectsMax: 3,
      });
    } catch (thrown) {
      // An address that is not granted is config, no connection and no answer in time are transient: the host says it.
      const { kind, message, retryAfterMs } = thrown?.payload ?? {};
      throw kind === undefined ? thrown : new Failure(kind, message, { retryAfterMs });
    }
  }
}

export const { plugin, recordTransform } = transform(Enrich);
