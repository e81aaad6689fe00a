// Records as they cross: column by column.

import { Failure } from "./failure.js";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

// JSON may hold half a pair of surrogates, and UTF-8 may not. (A component knows no \p{..}.)
const NO_UNICODE = /[\ud800-\udfff]/u;

/** The text, if it can cross to the host. Failures of kind data: it has half a pair of surrogates. @param {string} text */
export function unicode(text) {
  if (NO_UNICODE.test(text)) {
    throw new Failure("data", "text has half a pair of surrogates (\\ud800 to \\udfff alone): it is no Unicode");
  }
  return text;
}

/**
 * Text as UTF-8; a Uint8Array as it is; null and undefined are null. Failures of kind data: the text is no Unicode (see unicode).
 * @returns {Uint8Array|null}
 */
export const bytes = (value) => (typeof value === "string" ? encoder.encode(unicode(value)) : value ?? null);

/** Bytes read as UTF-8. */
export const text = (value) => decoder.decode(value);

/** A value as JSON text; null is null, which is a record without a value. @returns {string|null} */
export function jsonText(value) {
  const json = value === null || value === undefined ? null : JSON.stringify(value);
  if (json === undefined) {
    throw new Failure("data", `the value is nothing that JSON can hold: a ${typeof value}`);
  }
  return json;
}

/** A column of rows: Uint8Array, string, or null. */
export function column(format, rows) {
  const encoded = rows.map(bytes);
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

/** A row of a column; null = null. */
export function row(of, at) {
  if (at >= of.ends.length || (of.nulls.length > 0 && of.nulls[at] !== 0)) {
    return null;
  }
  return of.data.subarray(at === 0 ? 0 : of.ends[at - 1], of.ends[at]);
}

/** One record that came in. Columns that the plugin's `info.needs` does not name are absent. */
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
  /** Milliseconds since the Unix epoch. @returns {number|null} */
  get timestamp() {
    const time = this.batch.timestampMs[this.row] ?? -1n;
    return time >= 0n ? Number(time) : null;
  }
  /** @returns {Uint8Array|null} */
  get key() {
    return row(this.batch.key, this.row);
  }
  /** @returns {string|null} */
  get keyText() {
    return this.key && text(this.key);
  }
  /** null is a tombstone. @returns {Uint8Array|null} */
  get value() {
    return row(this.batch.value, this.row);
  }
  /** @returns {string|null} */
  get valueText() {
    return this.value && text(this.value);
  }
  /** The value, read as JSON. Numbers beyond 2^53 lose digits. */
  json() {
    const value = this.valueText;
    if (value === null) {
      return null;
    }
    try {
      return JSON.parse(value);
    } catch (error) {
      throw new Failure("data", `the value is no JSON: ${error.message}`);
    }
  }
  /** Names and values, in their order. @returns {[string, Uint8Array|null][]} */
  get headers() {
    const { headerEnds, headerName, headerNames, headerValue } = this.batch;
    const all = [];
    for (let at = this.row > 0 ? headerEnds[this.row - 1] : 0; at < (headerEnds[this.row] ?? 0); at += 1) {
      all.push([headerNames[headerName[at]], row(headerValue, at)]);
    }
    return all;
  }
  /** The last header of a name, which is the one that counts. @returns {Uint8Array|null} */
  header(name) {
    return this.headers.findLast(([known]) => known === name)?.[1] ?? null;
  }
}

export function records(batch) {
  return Array.from({ length: batch.count }, (_, at) => new Record(batch, at));
}

export const rowErrors = (rows) => rows.map(([at, failure]) => ({ row: at, error: failure.wire() }));
