// Unit tests without a component: stands in for the host. Import it first, then the plugin by `await import`:
//
//   import { host, answer } from "./longshore/testing.js";
//   const { default: Prices } = await import("./prices.js");
//
//   test("a busy server is asked later", () => {
//     host.answer = () => answer(429, { headers: { "Retry-After": "7" } });
//     ..
//   });
//
// Takes Node 20. An app.js that does not import it is built without it.

import { register } from "node:module";

const interfaces = {
  log: ["enabled", "log"],
  metrics: ["add", "set", "observe"],
  context: ["task", "nowMs", "monotonicNs", "random", "sleepMs", "stopping", "timeLeftMs", "requestReplan"],
  secrets: ["get"],
  http: ["send", "sendAll", "open"],
  state: ["advance", "get", "set"],
};

/** What the host would say, for a test to set, and what it was told, for a test to read. */
class Host {
  constructor() {
    this.reset();
  }
  reset() {
    /** Answers each request, given as it crosses to the host: what `answer` makes; a Failure that it throws is the host's. */
    this.answer = ({ method, url }) => {
      throw new Error(`no test answers ${method} ${url}: set host.answer`);
    };
    this.requests = [];
    /** Level, message and fields. */
    this.lines = [];
    /** Name, number and labels. */
    this.metrics = [];
    this.clockMs = 1_700_000_000_000;
    this.timeLeftMs = 30_000;
    this.stopping = false;
    /** The secrets that may be seen. */
    this.secrets = {};
    this.exactlyOnce = false;
    this.replans = 0;
    /** Where sources go on without a record: lane and position, as JSON text. */
    this.advanced = [];
    /** Of sinks, by "topic-partition": JSON text. */
    this.states = {};
  }
}

export const host = new Host();

/** An answer to a request; a body that is neither bytes nor text is sent as JSON. */
export function answer(status = 200, { body = "", headers = {} } = {}) {
  const plain = typeof body === "string" || body instanceof Uint8Array;
  const sent = plain ? body : JSON.stringify(body);
  return { status, headers: Object.entries(headers), body: typeof sent === "string" ? new TextEncoder().encode(sent) : sent };
}

// The bindings of a component throw an error of the host with it as their payload.
function send(request) {
  host.requests.push(request);
  try {
    return host.answer(request);
  } catch (thrown) {
    throw thrown.wire === undefined ? thrown : Object.assign(new Error(thrown.message), { payload: thrown.wire() });
  }
}

function sendEach(request) {
  try {
    return { tag: "ok", val: send(request) };
  } catch (thrown) {
    if (thrown.payload === undefined) {
      throw thrown;
    }
    return { tag: "err", val: thrown.payload };
  }
}

function open(request) {
  const { status, headers, body } = send(request);
  let rest = body;
  const read = (most) => {
    const [now, then] = [rest.subarray(0, most), rest.subarray(most)];
    rest = then;
    return now;
  };
  const close = () => {
    rest = new Uint8Array();
  };
  return { status, headers, body: { read, [Symbol.dispose ?? Symbol.for("dispose")]: close } };
}

const counted = (name, labels, number) => host.metrics.push([name, Number(number), Object.fromEntries(labels)]);
const standIns = {
  log: { enabled: () => true, log: (level, message, fields) => host.lines.push([level, message, Object.fromEntries(fields)]) },
  metrics: { add: counted, set: counted, observe: counted },
  context: {
    task: () => ({ connector: "test", task: 0, hostVersion: "0.0.0", group: "connect-test", exactlyOnce: host.exactlyOnce }),
    nowMs: () => BigInt(host.clockMs),
    monotonicNs: () => BigInt(host.clockMs) * 1_000_000n,
    random: (count) => Uint8Array.from({ length: count }, (_, at) => (at * 37) % 256),
    sleepMs(ms) {
      host.clockMs += host.stopping ? 0 : ms;
      return host.stopping;
    },
    stopping: () => host.stopping,
    timeLeftMs: () => host.timeLeftMs,
    requestReplan() {
      host.replans += 1;
    },
  },
  secrets: { get: (key) => host.secrets[key] },
  state: {
    advance: (lane, position) => host.advanced.push([lane, position]),
    get: (topic, partition) => host.states[`${topic}-${partition}`] || undefined,
    set(topic, partition, state) {
      host.states[`${topic}-${partition}`] = state;
    },
  },
  http: { send, sendAll: (requests) => requests.map(sendEach), open },
};
globalThis[Symbol.for("longshore.host")] = standIns;

// `longshore:connector/http@0.1.0` is a module that hands its calls to the stand-in.
const sources = Object.entries(interfaces).map(([name, calls]) => {
  const lines = calls.map((call) => `export const ${call} = (...given) => host.${call}(...given);`);
  return [name, `const host = globalThis[Symbol.for("longshore.host")].${name};\n${lines.join("\n")}`];
});
const hooks = `
  const sources = ${JSON.stringify(Object.fromEntries(sources))};
  const name = (url) => /^longshore:connector\\/([a-z]+)@/.exec(url)?.[1];
  export const resolve = (given, context, next) =>
    sources[name(given)] === undefined ? next(given, context) : { url: given, format: "module", shortCircuit: true };
  export const load = (url, context, next) =>
    sources[name(url)] === undefined ? next(url, context) : { format: "module", source: sources[name(url)], shortCircuit: true };
`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);

const { column, jsonText, row, records } = await import("./records.js");

const given = (value) => (value instanceof Uint8Array || typeof value === "string" ? value : jsonText(value));

/**
 * A batch as a sink or a transform gets it: one partition of one topic, offsets that count up. Values that are neither Uint8Array, text nor
 * null are written as JSON.
 */
export function incoming(values, { topic = "input", partition = 0, offset = 0, keys = [], headers = [], timestamps = [] } = {}) {
  const every = headers.flat();
  const names = [...new Set(every.map(([name]) => name))];
  let end = 0;
  return {
    count: values.length,
    topics: [topic],
    topic: new Uint32Array(),
    partition: new Int32Array(values.length).fill(partition),
    offset: BigInt64Array.from(values, (_, at) => BigInt(offset + at)),
    origin: new Uint32Array(),
    timestampMs: BigInt64Array.from(timestamps, BigInt),
    key: column("text", values.map((_, at) => keys[at] ?? null)),
    value: column("json", values.map(given)),
    headerEnds: Uint32Array.from(headers, (one) => (end += one.length)),
    headerNames: names,
    headerName: Uint32Array.from(every, ([name]) => names.indexOf(name)),
    headerValue: column("text", every.map(([, value]) => value)),
  };
}

/** The records of a source's answer, or of its Batch: topic, key, value, headers, timestamp, partition, lane and position of each. */
export function rows(made) {
  const { records: batch, lanes, lane, positions } = made.records === undefined ? made.wire(0, false) : made;
  const text = (value) => value && new TextDecoder().decode(value);
  return records(batch).map((record) => ({
    topic: record.topic,
    key: record.keyText,
    value: record.valueText,
    headers: record.headers.map(([name, value]) => [name, text(value)]),
    timestamp: record.timestamp,
    partition: record.partition,
    lane: JSON.parse(lanes[lane[record.row] ?? 0]),
    position: JSON.parse(text(row(positions, record.row))),
  }));
}

/** What a transform's `recordTransform.apply` makes of a batch: the value of each row that is kept, and the error of each row that failed. */
export function applied(recordTransform, batch) {
  const { keep, value = batch.value, failed } = recordTransform.apply(batch);
  const kept = records(batch).filter(({ row: at }) => keep[at] !== 0);
  const values = kept.map(({ row: at }) => row(value, at)).map((one) => one && new TextDecoder().decode(one));
  return { values, failed: Object.fromEntries(failed.map(({ row: at, error }) => [at, error])) };
}
