// JSON values: the key that they hold, and the field that they get.

import { Failure } from "./longshore.js";

// JSON may hold half a pair of surrogates.
const NO_UNICODE = /[\ud800-\udfff]/u;

/** The value at the path, as text; null: it is not there. */
export function keyOf(value, path) {
  if (value === null) {
    return null;
  }
  if (typeof value !== "object" || Array.isArray(value)) {
    throw new Failure("data", "the value is no JSON object");
  }
  const within = (at, name) => (typeof at === "object" && at !== null && Object.hasOwn(at, name) ? at[name] : null);
  const key = path.reduce(within, value);
  if (key === null) {
    return null;
  }
  if (typeof key === "object") {
    throw new Failure("data", `${path.join(".")} is neither text, number nor boolean`);
  }
  // Another number has been read than the one that was written: its answer would be another's.
  if (typeof key === "number" && Math.abs(key) > Number.MAX_SAFE_INTEGER) {
    throw new Failure("data", `${path.join(".")} is a number beyond 2^53, which JavaScript cannot hold: let it be text`);
  }
  // It would fail the request, and the other records with it.
  if (NO_UNICODE.test(key)) {
    throw new Failure("data", `${path.join(".")} has half a pair of surrogates: it is no Unicode, and no part of an address`);
  }
  return String(key);
}

// The host takes no JSON that nests deeper than 128, nor numbers of more than 1,000 characters. One level is the record's own.
const DEPTH_MAX = 127;
const NUMBER_TOO_LONG = /[-+.0-9eE]{1001}/;

/** Whether JSON text may become a part of a record's value. */
export function fits(json) {
  const bare = json.replace(/"[^"\\]*(?:\\.[^"\\]*)*"/g, '""');
  let depth = 0;
  let deepest = 0;
  for (const letter of bare) {
    depth += "[{".includes(letter) ? 1 : "]}".includes(letter) ? -1 : 0;
    deepest = Math.max(deepest, depth);
  }
  return deepest <= DEPTH_MAX && !NUMBER_TOO_LONG.test(bare);
}

/**
 * The text of a JSON object with one more field, whose value is JSON text. All else stays as it was written, numbers of any length among it; only
 * where the field is there already the object is written anew.
 */
export function withField(text, object, field, json) {
  if (Object.hasOwn(object, field)) {
    const rest = Object.entries(object).filter(([name]) => name !== field);
    return withField(JSON.stringify(Object.fromEntries(rest)), {}, field, json);
  }
  const open = text.trim().slice(0, -1).trimEnd();
  return `${open}${open === "{" ? "" : ","}${JSON.stringify(field)}:${json}}`;
}
