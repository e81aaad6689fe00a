// Of a sink: a small state for each partition, committed with the partition's offset, so that it goes where the partition goes.
//
//   state.set(topic, partition, { part: 7 });   // best within flush: it is committed with the offset that this flush returns, and must be true there
//   state.get(topic, partition);
//
// It can be missing at any time, since whoever sets the group's offsets otherwise (another tool, another runtime) leaves it out: a sink must be able
// to do without it, at the price of some more work. Where the target keeps the offsets there is none: there it keeps the state, too.

import * as host from "longshore:connector/state@0.1.0";
import { asked } from "./failure.js";
import { warn } from "./log.js";
import { jsonText } from "./records.js";

/**
 * The state of a partition, from `assigned` to `revoked`: what was set since, else what was committed with its offset. null = there is none, or it
 * is nothing that `set` wrote: that is logged. Failures of kind fatal: the partition is not this task's.
 * @param {string} topic @param {number} partition
 */
export function get(topic, partition) {
  const text = asked(() => host.get(topic, partition)) ?? null;
  try {
    return JSON.parse(text);
  } catch (error) {
    warn("the state of a partition is no JSON and is not used", { topic, partition, error: error.message });
    return null;
  }
}

/**
 * The state of a partition from now on, from `assigned` to `revoked`; null takes it away. It is stored as JSON text of 3 KiB at most, in the plain.
 * A state alone makes no commit. Failures of kind fatal: it is too long, or the partition is not this task's.
 * @param {string} topic @param {number} partition @param {unknown} value
 */
export const set = (topic, partition, value) => asked(() => host.set(topic, partition, jsonText(value) ?? ""));
