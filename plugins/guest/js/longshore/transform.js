// Transforms.

import { parsed, plugin } from "./config.js";
import { Failure, guarded, wired } from "./failure.js";
import { bytes, column, jsonText, records, rowErrors, unicode } from "./records.js";

/** What became of a batch. What is not changed stays, and costs nothing. */
export class Edit {
  constructor(batch) {
    Object.assign(this, { batch, keep: null, keys: new Map(), values: new Map(), times: new Map(), topics: new Map(), headers: [], failed: [] });
  }
  /** Takes the record out of the stream. */
  drop(record) {
    this.keep ??= new Uint8Array(this.batch.count).fill(1);
    this.keep[record.row] = 0;
  }
  /** Says that the record cannot be transformed; a Failure that apply throws says the same. */
  fail(record, failure) {
    this.failed.push([record.row, failure]);
  }
  /** A Uint8Array, a string, or null. `info.needs` must name keys. */
  key(record, key) {
    this.keys.set(record.row, bytes(key));
  }
  /** A Uint8Array, a string, or null, which is a tombstone. */
  value(record, value) {
    this.values.set(record.row, bytes(value));
  }
  json(record, value) {
    this.values.set(record.row, bytes(jsonText(value)));
  }
  /** Sends the record elsewhere. */
  topic(record, topic) {
    this.topics.set(record.row, unicode(topic));
  }
  /** Milliseconds since the Unix epoch; -1 = none. `info.needs` must name timestamps. */
  timestamp(record, milliseconds) {
    this.times.set(record.row, BigInt(milliseconds));
  }
  /** Sets a header, in place of all of its name; null removes them. */
  header(record, name, value) {
    this.headers.push({ row: record.row, name: unicode(name), value: bytes(value) ?? undefined, format: "text" });
  }
  wire() {
    const { batch } = this;
    const all = records(batch);
    let topics = [];
    let topic = new Uint32Array();
    if (this.topics.size > 0) {
      const names = all.map((record) => this.topics.get(record.row) ?? record.topic);
      topics = [...new Set(names)];
      topic = Uint32Array.from(names, (name) => topics.indexOf(name));
    }
    const changed = (rows, own, of) =>
      rows.size > 0 ? column(own.format, all.map((record) => (rows.has(record.row) ? rows.get(record.row) : of(record)))) : undefined;
    return {
      keep: this.keep ?? new Uint8Array(),
      key: changed(this.keys, batch.key, (record) => record.key),
      value: changed(this.values, batch.value, (record) => record.value),
      topics,
      topic,
      timestampMs:
        this.times.size > 0
          ? BigInt64Array.from(all, ({ row }) => this.times.get(row) ?? batch.timestampMs[row] ?? -1n)
          : new BigInt64Array(),
      headers: this.headers,
      failed: rowErrors(this.failed),
    };
  }
}

/**
 * The exports of a transform: a class with `static info`, `static schema`, `constructor(config)` and `apply(record, edit)`. A class may have
 * `prepare(records)`, called with all records that the host gives in one call (about 64 KiB) before `apply` is with each of them: for what is
 * asked once for many. A Failure that it throws is one of all of them.
 */
export function transform(type) {
  let task;
  return {
    plugin: plugin(type),
    recordTransform: {
      start(config) {
        task = guarded(() => {
          const values = parsed(type, config);
          // The host asks connectors alone for their problems.
          for (const { key, message, suggestion } of type.check?.(values) ?? []) {
            throw new Failure("config", [key, message, suggestion].filter(Boolean).join(": "));
          }
          return new type(values);
        });
      },
      apply(batch) {
        const edit = new Edit(batch);
        const all = records(batch);
        guarded(() => task.prepare?.(all));
        for (const record of all) {
          try {
            task.apply(record, edit);
          } catch (thrown) {
            if (!(thrown instanceof Failure)) {
              throw wired(thrown);
            }
            edit.fail(record, thrown);
          }
        }
        return edit.wire();
      },
    },
  };
}
