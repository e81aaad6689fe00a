// Metrics of the plugin's own, shown with the worker's as `longshore_plugin_<name>`.
//
//   metrics.add("requests", 1, { status: "200" });

import * as host from "longshore:connector/metrics@0.1.0";

const pairs = (labels) => Object.entries(labels).map(([name, value]) => [name, String(value)]);

/** Adds to a counter. @param {number|bigint} [delta] @param {Record<string, unknown>} [labels] */
export const add = (name, delta = 1, labels = {}) => host.add(name, pairs(labels), BigInt(delta));
/** Sets a gauge. @param {number} value @param {Record<string, unknown>} [labels] */
export const set = (name, value, labels = {}) => host.set(name, pairs(labels), value);
/** Counts a value into a histogram. @param {number} value @param {Record<string, unknown>} [labels] */
export const observe = (name, value, labels = {}) => host.observe(name, pairs(labels), value);
