// Write sources, sinks and transforms for Longshore as WASM plugins, in JavaScript.
//
// A call that throws a Failure fails as it says; any other exception is a bug of the plugin: it ends the task, whose status has what it says. Unit tests run without a
// component: longshore/testing.js stands in for the host.

export { Failure } from "./longshore/failure.js";
export { Secret } from "./longshore/config.js";
export { Record } from "./longshore/records.js";
export { source } from "./longshore/source.js";
export { sink } from "./longshore/sink.js";
export { transform } from "./longshore/transform.js";
export { Connection, connectionKeys } from "./longshore/connection.js";
export * as http from "./longshore/http.js";
export * as context from "./longshore/context.js";
export * as log from "./longshore/log.js";
export * as metrics from "./longshore/metrics.js";
export * as state from "./longshore/state.js";
