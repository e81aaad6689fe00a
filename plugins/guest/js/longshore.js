// Write sources, sinks and transforms for Longshore as WASM plugins, in JavaScript.
//
// A call that throws a Failure fails as it says; any other exception is a bug of the plugin and ends the task.

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Why a call failed. Kinds: config, auth, data, transient, rate-limited, fenced, fatal. The message never holds a secret. */
export class Failure {
  constructor(kind, message, { retryAfterMs, context = {}, taken = 0 } = {}) {
    this.kind = kind;
    this.message = message;
    this.retryAfterMs = retryAfterMs === undefined ? undefined : BigInt(retryAfterMs);
    this.context = Object.entries(context).map(([name, value]) => [name, String(value)]);
    // Of a sink's put: how many leading records were taken.
    this.taken = taken;
  }
  wire() {
    return { kind: this.kind, message: this.message, retryAfterMs: this.retryAfterMs, context: this.context };
  }
}

function guarded(call) {
  try {
    return call();
  } catch (thrown) {
    throw thrown instanceof Failure ? thrown.wire() : thrown;
  }
}

const isA = {
  string: (value) => typeof value === "string",
  integer: Number.isInteger,
  number: (value) => typeof value === "number",
  boolean: (value) => typeof value === "boolean",
  array: Array.isArray,
  object: (value) => typeof value === "object" && !Array.isArray(value),
};

/** Reads a config. The host checks it against the schema before; what is checked here keeps a mistake from looking like a bug. */
function parsed({ schema }, config) {
  const values = JSON.parse(config);
  for (const key of schema.required ?? []) {
    if (!(key in values)) {
      throw new Failure("config", `${key} is missing`);
    }
  }
  for (const [key, { type, "x-secret": secret }] of Object.entries(schema.properties ?? {})) {
    const value = values[key] ?? null;
    // A secret stands there as an object that names its key.
    if (value !== null && !secret && isA[type]?.(value) === false) {
      throw new Failure("config", `${key} is no ${type}`);
    }
  }
  return values;
}

/** A column of rows: Uint8Array, string, or null. */
function column(format, rows) {
  const encoded = rows.map((row) => (typeof row === "string" ? encoder.encode(row) : row ?? null));
  if (encoded.every((row) => row === null)) {
    return { format, data: new Uint8Array(), ends: new Uint32Array(), nulls: new Uint8Array() };
  }
  const ends = new Uint32Array(rows.length);
  let end = 0;
  encoded.forEach((row, at) => {
    end += row === null ? 0 : row.length;
    ends[at] = end;
  });
  const data = new Uint8Array(end);
  encoded.forEach((row, at) => row !== null && data.set(row, ends[at] - row.length));
  const nulls = encoded.includes(null) ? Uint8Array.from(encoded, (row) => (row === null ? 1 : 0)) : new Uint8Array();
  return { format, data, ends, nulls };
}

function row(of, at) {
  if (at >= of.ends.length || (of.nulls.length > 0 && of.nulls[at] !== 0)) {
    return null;
  }
  return of.data.subarray(at === 0 ? 0 : of.ends[at - 1], of.ends[at]);
}

/** One record that came in. */
export class Record {
  constructor(batch, at) {
    this.batch = batch;
    this.row = at;
  }
  #named(numbers) {
    return this.batch.topics[numbers.length > 0 ? numbers[this.row] : 0] ?? "";
  }
  get topic() {
    return this.#named(this.batch.topic);
  }
  /** In a sink: the topic it was read from. */
  get origin() {
    return this.#named(this.batch.origin.length > 0 ? this.batch.origin : this.batch.topic);
  }
  get partition() {
    return this.batch.partition[this.row] ?? -1;
  }
  /** A BigInt. */
  get offset() {
    return this.batch.offset[this.row] ?? -1n;
  }
  get key() {
    return row(this.batch.key, this.row);
  }
  /** null is a tombstone. */
  get value() {
    return row(this.batch.value, this.row);
  }
  /** The value, read as JSON. Numbers beyond 2^53 lose digits. */
  json() {
    const value = this.value;
    if (value === null) {
      return null;
    }
    try {
      return JSON.parse(decoder.decode(value));
    } catch (error) {
      throw new Failure("data", `the value is no JSON: ${error.message}`);
    }
  }
  get headers() {
    const { headerEnds, headerName, headerNames, headerValue } = this.batch;
    const all = [];
    for (let at = this.row > 0 ? headerEnds[this.row - 1] : 0; at < (headerEnds[this.row] ?? 0); at += 1) {
      all.push([headerNames[headerName[at]], row(headerValue, at)]);
    }
    return all;
  }
}

function records(batch) {
  return Array.from({ length: batch.count }, (_, at) => new Record(batch, at));
}

const rowErrors = (rows) => rows.map(([at, failure]) => ({ row: at, error: failure.wire() }));

function plugin(type) {
  return {
    describe() {
      const { name, version, description, vendor = "", capabilities = {}, needs, keyFormat = "text", valueFormat = "json" } = type.info;
      const all = { key: true, value: true, headers: true, timestamp: true, position: true };
      return { name, version, description, vendor, capabilities, needs: needs ?? all, keyFormat, valueFormat };
    },
    configSchema: () => JSON.stringify(type.schema),
    check: (config) =>
      (type.check ? guarded(() => type.check(parsed(type, config))) : []).map(({ key = "", message, suggestion = "" }) => ({ key, message, suggestion })),
  };
}

function planner(type, shares) {
  return {
    plan: (config, tasksMax) => (type.plan ? guarded(() => type.plan(parsed(type, config), tasksMax)).map(Object.entries) : shares(tasksMax)),
    promise(config) {
      const atLeastOnce = (method) => ({ level: "at-least-once", method });
      try {
        return type.promise?.(parsed(type, config)) ?? atLeastOnce("offsets are stored after the records");
      } catch (thrown) {
        if (!(thrown instanceof Failure)) {
          throw thrown;
        }
        return atLeastOnce(thrown.message);
      }
    },
  };
}

/** What became of a batch. What is not changed stays, and costs nothing. */
class Edit {
  constructor(batch) {
    this.batch = batch;
    this.keep = null;
    this.values = new Map();
    this.topics = new Map();
    this.headers = [];
    this.failed = [];
  }
  drop(record) {
    this.keep ??= new Uint8Array(this.batch.count).fill(1);
    this.keep[record.row] = 0;
  }
  fail(record, failure) {
    this.failed.push([record.row, failure]);
  }
  /** A Uint8Array, a string, or null. */
  value(record, value) {
    this.values.set(record.row, value);
  }
  json(record, value) {
    this.values.set(record.row, JSON.stringify(value));
  }
  topic(record, topic) {
    this.topics.set(record.row, topic);
  }
  /** null removes every header of that name. */
  header(record, name, value) {
    this.headers.push({ row: record.row, name, value: value === null ? undefined : encoder.encode(value), format: "text" });
  }
  wire() {
    const all = records(this.batch);
    const value =
      this.values.size > 0
        ? column(this.batch.value.format, all.map((record) => (this.values.has(record.row) ? this.values.get(record.row) : record.value)))
        : undefined;
    let topics = [];
    let topic = new Uint32Array();
    if (this.topics.size > 0) {
      const names = all.map((record) => this.topics.get(record.row) ?? record.topic);
      topics = [...new Set(names)];
      topic = Uint32Array.from(names, (name) => topics.indexOf(name));
    }
    return {
      keep: this.keep ?? new Uint8Array(),
      key: undefined,
      value,
      topics,
      topic,
      timestampMs: new BigInt64Array(),
      headers: this.headers,
      failed: rowErrors(this.failed),
    };
  }
}

/** The exports of a transform: a class with `static info`, `static schema`, `constructor(config)` and `apply(record, edit)`. */
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
        for (const record of records(batch)) {
          try {
            task.apply(record, edit);
          } catch (thrown) {
            if (!(thrown instanceof Failure)) {
              throw thrown;
            }
            edit.fail(record, thrown);
          }
        }
        return edit.wire();
      },
    },
  };
}

/** Takes a source's records. */
class Batch {
  constructor(info, rowsMax, bytesMax) {
    Object.assign(this, { info, rowsMax, bytesMax, bytes: 0, rows: [], topics: new Map(), lanes: new Map() });
  }
  get isFull() {
    return this.rows.length >= this.rowsMax || this.bytes >= this.bytesMax;
  }
  /** Adds a record. `position` is where reading goes on after it: it is stored once the record is durable. */
  emit({ topic, position, value = null, key = null, lane = {}, timestamp = -1 }) {
    const number = (map, name) => map.get(name) ?? (map.set(name, map.size), map.size - 1);
    this.rows.push({
      topic: number(this.topics, topic),
      lane: number(this.lanes, JSON.stringify(lane)),
      position: JSON.stringify(position),
      value,
      key,
      timestamp: BigInt(timestamp),
    });
    this.bytes += (value?.length ?? 0) + (key?.length ?? 0);
  }
  wire(idleMs, finished) {
    const all = (name) => this.rows.map((one) => one[name]);
    const timed = this.rows.some((one) => one.timestamp >= 0n);
    return {
      records: {
        count: this.rows.length,
        topics: [...this.topics.keys()],
        topic: Uint32Array.from(all("topic")),
        partition: new Int32Array(),
        offset: new BigInt64Array(),
        origin: new Uint32Array(),
        timestampMs: timed ? BigInt64Array.from(all("timestamp")) : new BigInt64Array(),
        key: column(this.info.keyFormat ?? "text", all("key")),
        value: column(this.info.valueFormat ?? "json", all("value")),
        headerEnds: new Uint32Array(),
        headerNames: [],
        headerName: new Uint32Array(),
        headerValue: column("text", []),
      },
      lanes: [...this.lanes.keys()],
      lane: Uint32Array.from(all("lane")),
      positions: column("json", all("position")),
      idleMs,
      finished,
    };
  }
}

/**
 * The exports of a source: a class with `static info`, `static schema`, `constructor(config, stored)` (`stored`: objects with lane and
 * position) and `poll(batch, maxWaitMs)`, which returns the milliseconds that the host may wait, or "finished".
 */
export function source(type) {
  let task;
  const read = (stored) => stored.map(({ lane, position }) => ({ lane: JSON.parse(lane), position: JSON.parse(position) }));
  return {
    plugin: plugin(type),
    planner: planner(type, () => [[]]),
    sourceTask: {
      start(config, positions) {
        task = guarded(() => new type(parsed(type, config), read(positions)));
      },
      poll(maxRows, maxBytes, maxWaitMs) {
        const batch = new Batch(type.info, maxRows, maxBytes);
        const next = guarded(() => task.poll(batch, maxWaitMs));
        return next === "finished" ? batch.wire(0, true) : batch.wire(next ?? 0, false);
      },
      committed(positions) {
        guarded(() => task.committed?.(read(positions)));
      },
      close() {
        task?.close?.();
        task = undefined;
      },
    },
  };
}

/** The exports of a sink: a class with `static info`, `static schema`, `constructor(config)`, `put(records, refuse)` and `flush(upto)`. */
export function sink(type) {
  let task;
  return {
    plugin: plugin(type),
    planner: planner(type, (tasksMax) => Array.from({ length: tasksMax }, () => [])),
    sinkTask: {
      start(config) {
        task = guarded(() => new type(parsed(type, config)));
      },
      assigned: (at) => guarded(() => task.assigned?.(at)),
      put(batch) {
        const refused = [];
        try {
          task.put(records(batch), (record, failure) => refused.push([record.row, failure]));
        } catch (thrown) {
          if (!(thrown instanceof Failure)) {
            throw thrown;
          }
          // What lies behind comes again, and is judged again.
          const known = refused.filter(([at]) => at < thrown.taken);
          throw { error: thrown.wire(), taken: thrown.taken, refused: rowErrors(known) };
        }
        return rowErrors(refused);
      },
      flush: (upto) => guarded(() => task.flush(upto)),
      revoked: (at) => guarded(() => task.revoked?.(at)),
      close() {
        task?.close?.();
        task = undefined;
      },
    },
  };
}
