// Sources.

import { advance } from "longshore:connector/state@0.1.0";
import { parsed, planner, plugin } from "./config.js";
import { asked, guarded } from "./failure.js";
import { bytes, column, jsonText, unicode } from "./records.js";

const number = (map, name) => map.get(name) ?? (map.set(name, map.size), map.size - 1);

function positionText(position) {
  if (typeof position !== "object" || position === null || Array.isArray(position)) {
    throw new TypeError("a position is an object with named fields");
  }
  return JSON.stringify(position);
}

/** Takes a source's records. */
export class Batch {
  constructor(info, rowsMax, bytesMax) {
    Object.assign(this, { info, rowsMax, bytesMax, bytes: 0, rows: [], topics: new Map(), lanes: new Map(), names: new Map() });
    // Lanes that go on without a record, and where.
    this.advanced = new Map();
  }
  get length() {
    return this.rows.length;
  }
  get isFull() {
    return this.rows.length >= this.rowsMax || this.bytes >= this.bytesMax;
  }
  /**
   * Adds a record. `position` is where reading goes on after it: it is stored once the record is durable. `json` is a value to be written as
   * JSON. Without a partition the key chooses, without a timestamp the time of publishing counts.
   * @param {{topic: string, position: object, value?: string|Uint8Array|null, json?: unknown, key?: string|Uint8Array|null, lane?: object,
   *   timestamp?: number|bigint, headers?: Record<string, string|Uint8Array|null>|[string, string|Uint8Array|null][], partition?: number}} record
   */
  emit({ topic, position, value = null, json, key = null, lane = {}, timestamp = -1, headers = [], partition = -1 }) {
    const named = (Array.isArray(headers) ? headers : Object.entries(headers)).map(([name, one]) => [unicode(name), bytes(one)]);
    const laneText = JSON.stringify(lane);
    const row = {
      position: bytes(positionText(position)),
      value: bytes(json === undefined ? value : jsonText(json)),
      key: bytes(key),
      timestamp: BigInt(timestamp),
      partition,
    };
    unicode(topic);
    // Nothing fails from here on: a record is there as a whole, or not at all.
    row.headers = named.map(([name, one]) => [number(this.names, name), one]);
    row.topic = number(this.topics, topic);
    row.lane = number(this.lanes, laneText);
    this.advanced.delete(laneText);
    this.rows.push(row);
    const sized = [row.position, row.value, row.key, ...row.headers.map(([, one]) => one)];
    this.bytes += sized.reduce((sum, one) => sum + (one?.length ?? 0), 0);
  }
  /**
   * Progress without a record (a page that was empty or filtered out, an ETag, a cursor that moved on): once all that was returned so far in this
   * lane is durable, the records of this batch included, reading goes on at `position`. What is emitted or said later in the lane takes its place.
   * Nothing of it counts if the poll fails. Call it when the position has changed, not at every poll: each change costs a commit. The host takes
   * at most 1,000 lanes, 64 KiB a position and 1 MiB for one poll.
   * @param {{position: object, lane?: object}} to
   */
  advance({ position, lane = {} }) {
    const [name, text] = [JSON.stringify(lane), positionText(position)];
    this.advanced.delete(name);
    this.advanced.set(name, text);
  }
  wire(idleMs, finished) {
    const all = (name) => this.rows.map((one) => one[name]);
    // An empty list says the same of every row.
    const unless = (type, name, absent) => (this.rows.every((one) => one[name] === absent) ? new type() : type.from(all(name)));
    const headers = all("headers").flat();
    let end = 0;
    const ends = Uint32Array.from(this.rows, (one) => (end += one.headers.length));
    return {
      records: {
        count: this.rows.length,
        topics: [...this.topics.keys()],
        topic: unless(Uint32Array, "topic", 0),
        partition: unless(Int32Array, "partition", -1),
        offset: new BigInt64Array(),
        origin: new Uint32Array(),
        timestampMs: unless(BigInt64Array, "timestamp", -1n),
        key: column(this.info.keyFormat ?? "text", all("key")),
        value: column(this.info.valueFormat ?? "json", all("value")),
        headerEnds: headers.length > 0 ? ends : new Uint32Array(),
        headerNames: [...this.names.keys()],
        headerName: Uint32Array.from(headers, ([name]) => name),
        headerValue: column("text", headers.map(([, one]) => one)),
      },
      lanes: [...this.lanes.keys()],
      lane: unless(Uint32Array, "lane", 0),
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
        const next = guarded(() => {
          const next = task.poll(batch, maxWaitMs);
          asked(() => batch.advanced.forEach((position, lane) => advance(lane, position)));
          return next;
        });
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
