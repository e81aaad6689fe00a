// What the package does with configs, records and failures. node --test plugins/guest/js/tests/
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { applied, host, incoming, rows } from "../longshore/testing.js";

const { Failure, context, log, metrics, sink, source, state, transform } = await import("../longshore.js");
const { parsed } = await import("../longshore/config.js");
const { Batch } = await import("../longshore/source.js");
const { Edit } = await import("../longshore/transform.js");
const { jsonText, records, row } = await import("../longshore/records.js");

const text = (bytes) => bytes && new TextDecoder().decode(bytes);
const info = { name: "x", version: "1.0.0", description: "X." };
const schema = {
  properties: {
    name: { type: ["string", "null"] },
    size: { type: "integer" },
    tags: { type: "array", default: ["a"] },
    token: { type: "string", "x-secret": true },
  },
};

beforeEach(() => host.reset());

test("a type that does not fit is named, and null is no type", () => {
  assert.equal(parsed({ schema }, '{"name":null,"size":1}').size, 1);
  for (const bad of ['{"name":1}', '{"size":"1"}', '{"size":1.5}', '{"tags":{}}']) {
    assert.throws(() => parsed({ schema }, bad), (failure) => failure instanceof Failure && failure.kind === "config");
  }
});

test("what is not set has the default of the schema and shares it with nobody", () => {
  parsed({ schema }, "{}").tags.push("b");
  assert.deepEqual(parsed({ schema }, "{}").tags, ["a"]);
  assert.deepEqual(parsed({ schema }, '{"tags":[]}').tags, []);
  assert.ok(!("name" in parsed({ schema }, "{}")));
});

test("a secret is its key, and its value is never shown", () => {
  const hidden = parsed({ schema }, '{"token":{"secret":"token"}}').token;
  assert.deepEqual([hidden.key, hidden.inConfig, hidden.revealed()], ["token", undefined, undefined]);
  host.secrets = { token: "s3cret" };
  assert.equal(hidden.revealed(), "s3cret");
  const { token } = parsed({ schema }, '{"token":"s3cret"}');
  assert.equal(token.revealed(), "s3cret");
  assert.ok(!`${token} ${JSON.stringify({ token })}`.includes("s3cret"));
});

test("what is put in comes out", () => {
  const batch = new Batch(info, 10, 1000);
  batch.emit({ topic: "a", position: { at: 0 }, value: "0", key: "k0" });
  const headers = [["h", "x"], ["h", null], ["g", new Uint8Array([121])]];
  batch.emit({ topic: "b", position: { at: 1 }, json: { "ü": 1 }, headers, timestamp: 5, lane: { file: "f" } });
  batch.emit({ topic: "a", position: { at: 2 }, partition: 3, headers: { h: "z" } });
  const plain = { topic: "a", key: null, value: null, headers: [], timestamp: null, partition: -1, lane: {} };
  assert.deepEqual(rows(batch), [
    { ...plain, key: "k0", value: "0", position: { at: 0 } },
    { ...plain, topic: "b", value: '{"ü":1}', headers: [["h", "x"], ["h", null], ["g", "y"]], timestamp: 5, lane: { file: "f" }, position: { at: 1 } },
    { ...plain, partition: 3, headers: [["h", "z"]], position: { at: 2 } },
  ]);
});

test("half a pair of surrogates is bad data, and leaves nothing behind", () => {
  const bad = (failure) => failure instanceof Failure && failure.kind === "data";
  const batch = new Batch(info, 10, 1000);
  for (const odd of [{ value: "\ud800" }, { key: "a\ud800" }, { headers: { g: "x", h: "\udc00" } }, { headers: { "\ud800": "x" } }, { topic: "\ud800" }]) {
    assert.throws(() => batch.emit({ topic: "a", position: {}, lane: { file: "f" }, ...odd }), bad, JSON.stringify(odd));
  }
  batch.emit({ topic: "b", position: { at: 1 }, json: "\ud800", key: "\ud83d\ude00" });
  assert.equal(rows(batch)[0].value, '"\\ud800"', "JSON can hold it");
  const { lanes, records: made } = batch.wire(0, false);
  assert.deepEqual([lanes, made.topics, made.headerNames], [["{}"], ["b"], []]);
  const given = incoming(["1", "2"]);
  const edit = new Edit(given);
  const [first] = records(given);
  for (const call of [() => edit.key(first, "\ud800"), () => edit.value(first, "\ud800"), () => edit.topic(first, "\ud800"), () => edit.header(first, "h", "\ud800")]) {
    assert.throws(call, bad);
  }
  const untouched = edit.wire();
  assert.deepEqual([untouched.key, untouched.value, untouched.topics, untouched.headers], [undefined, undefined, [], []]);
});

test("what says the same of every row is not sent, and everything counts for the size", () => {
  const batch = new Batch(info, 10, 30);
  batch.emit({ topic: "a", position: { at: 0 }, value: "0" });
  assert.ok(!batch.isFull);
  const { records: sent, lane } = batch.wire(0, false);
  assert.deepEqual([sent.topic, sent.partition, sent.timestampMs, lane, sent.headerEnds].map((list) => list.length), [0, 0, 0, 0, 0]);
  assert.equal(sent.key.ends.length, 0);
  batch.emit({ topic: "a", position: { at: 1 }, headers: { h: "x".repeat(20) } });
  assert.ok(batch.isFull);
  assert.throws(() => batch.emit({ topic: "a", position: 7 }), TypeError);
  assert.throws(() => batch.emit({ topic: "a", position: {}, json: () => 1 }), Failure);
  assert.equal(batch.length, 2);
});

test("records are what came", () => {
  const headers = [[["h", "1"], ["h", "2"]], [], [["n", null]]];
  const [one, two, three] = records(incoming([{ a: 1 }, null, "3"], { offset: 7, keys: ["k"], headers, timestamps: [5, -1, -1] }));
  assert.deepEqual([one.keyText, one.json(), one.offset, one.partition, one.topic, one.timestamp], ["k", { a: 1 }, 7n, 0, "input", 5]);
  assert.deepEqual([text(one.header("h")), one.header("n"), two.headers, three.headers], ["2", null, [], [["n", null]]]);
  assert.deepEqual([two.value, two.valueText, two.json(), two.keyText, two.timestamp, three.json()], [null, null, null, null, null, 3]);
  assert.throws(() => records(incoming(["{"]))[0].json(), (failure) => failure.kind === "data");
});

test("what a transform does not change does not travel back, and what it changes does", () => {
  const batch = incoming([1, null, 3], { keys: ["a", "b"], timestamps: [5, -1, 7] });
  const none = new Edit(batch).wire();
  assert.deepEqual([none.keep.length, none.key, none.value, none.topic.length, none.timestampMs.length], [0, undefined, undefined, 0, 0]);
  const [one, two, three] = records(batch);
  const edit = new Edit(batch);
  edit.drop(one);
  edit.key(two, "B");
  edit.json(three, { x: null });
  edit.json(two, null);
  edit.timestamp(two, 6);
  edit.topic(three, "other");
  edit.header(one, "h", "v");
  edit.header(one, "g", null);
  const made = edit.wire();
  assert.deepEqual([...made.keep], [0, 1, 1]);
  assert.deepEqual([0, 1, 2].map((at) => text(row(made.key, at))), ["a", "B", null]);
  assert.deepEqual([0, 1, 2].map((at) => text(row(made.value, at))), ["1", null, '{"x":null}']);
  assert.deepEqual([...made.timestampMs], [5n, 6n, 7n]);
  assert.deepEqual([...made.topic].map((number) => made.topics[number]), ["input", "input", "other"]);
  assert.deepEqual(made.headers.map(({ name, value }) => [name, value && text(value)]), [["h", "v"], ["g", undefined]]);
});

test("null is a record without a value, and what JSON cannot hold is bad data", () => {
  assert.deepEqual([jsonText(null), jsonText(undefined), jsonText("x")], [null, null, '"x"']);
  assert.throws(() => jsonText(() => 1), (failure) => failure.kind === "data");
});

test("a record that fails fails alone, and a transform with a problem does not start", () => {
  class Odd {
    static info = info;
    static schema = schema;
    static check({ name }) {
      return name === "odd" ? [{ key: "name", message: "it is odd", suggestion: "even" }] : [];
    }
    apply(record, edit) {
      if (record.json() % 2 === 1) {
        throw new Failure("data", "it is odd");
      }
      edit.json(record, 0);
    }
  }
  const { recordTransform } = transform(Odd);
  assert.throws(() => recordTransform.start('{"name":"odd"}'), { kind: "config", message: "name: it is odd: even" });
  recordTransform.start("{}");
  const { values, failed } = applied(recordTransform, incoming([1, 2]));
  assert.deepEqual([values, Object.keys(failed), failed[0].message], [["1", "0"], ["0"], "it is odd"]);
});

test("a batch is prepared before its records", () => {
  class Shared {
    static info = info;
    static schema = schema;
    prepare(all) {
      if (all.length > 2) {
        throw new Failure("transient", "it is away");
      }
      this.sum = all.reduce((sum, record) => sum + record.json(), 0);
    }
    apply(record, edit) {
      edit.json(record, this.sum);
    }
  }
  const { recordTransform } = transform(Shared);
  recordTransform.start("{}");
  assert.deepEqual(applied(recordTransform, incoming([1, 2])).values, ["3", "3"]);
  assert.throws(() => recordTransform.apply(incoming([1, 2, 3])), { kind: "transient" });
});

test("a sink's failure tells what was refused before it", () => {
  class Picky {
    static info = info;
    static schema = schema;
    put(all, refuse) {
      for (const record of all) {
        if (record.json() === 9) {
          throw new Failure("transient", "fail").after(record.row);
        }
        if (record.json() > 6) {
          refuse(record, new Failure("data", "bad"));
        }
      }
    }
  }
  const { sinkTask } = sink(Picky);
  sinkTask.start("{}");
  assert.deepEqual(sinkTask.put(incoming([1, 7])).map((refused) => refused.row), [1]);
  assert.throws(() => sinkTask.put(incoming([7, 2, 9, 8])), ({ error, taken, refused }) => {
    assert.deepEqual([error.kind, taken, refused.map((one) => one.row)], ["transient", 2, [0]]);
    return true;
  });
});

test("an exception that is no failure is a bug that says what it is", () => {
  class Broken {
    static info = info;
    static schema = schema;
    poll() {
      return undefined.nothing;
    }
    put() {
      return undefined.nothing;
    }
    apply() {
      return undefined.nothing;
    }
  }
  const [{ sourceTask }, { sinkTask }, { recordTransform }] = [source(Broken), sink(Broken), transform(Broken)];
  const bug = (thrown) => {
    assert.equal(thrown.kind, "fatal");
    assert.match(thrown.message, /^TypeError: .*undefined/);
    assert.match(thrown.context[0][1], /sdk\.test\.mjs/);
    return true;
  };
  sourceTask.start("{}", []);
  assert.throws(() => sourceTask.poll(1, 1, 1), bug);
  sinkTask.start("{}");
  assert.throws(() => sinkTask.put(incoming([1])), ({ error, taken, refused }) => taken === 0 && refused.length === 0 && bug(error));
  recordTransform.start("{}");
  assert.throws(() => recordTransform.apply(incoming([1])), bug);
});

test("a source goes on, waits and finishes", () => {
  class Counter {
    static info = info;
    static schema = schema;
    constructor(config, stored) {
      this.next = stored[0]?.position.next ?? 0;
    }
    poll(batch) {
      if (this.next === 2) {
        return "finished";
      }
      batch.emit({ topic: "t", json: this.next, position: { next: (this.next += 1) } });
      return 5;
    }
  }
  const { sourceTask } = source(Counter);
  sourceTask.start("{}", [{ lane: "{}", position: '{"next":1}' }]);
  const polled = sourceTask.poll(10, 1000, 100);
  assert.deepEqual([polled.idleMs, polled.finished, rows(polled)[0].position], [5, false, { next: 2 }]);
  assert.equal(sourceTask.poll(10, 1000, 100).finished, true);
});

test("progress gives way to what comes later in its lane", () => {
  class Filtered {
    static info = info;
    static schema = schema;
    poll(batch, maxWaitMs) {
      batch.advance({ position: { at: 1 } });
      batch.advance({ position: { at: 2 }, lane: { file: "f" } });
      batch.advance({ position: { at: 3 } });
      batch.emit({ topic: "t", position: { at: 4 }, lane: { file: "f" } });
      if (maxWaitMs === 0) {
        throw new Failure("transient", "not now");
      }
      assert.throws(() => batch.advance({ position: 7 }), TypeError);
      return "finished";
    }
  }
  const { sourceTask } = source(Filtered);
  sourceTask.start("{}", []);
  assert.throws(() => sourceTask.poll(10, 1000, 0), { kind: "transient" });
  assert.deepEqual(host.advanced, []);
  sourceTask.poll(10, 1000, 1);
  assert.deepEqual(host.advanced, [["{}", '{"at":3}']]);
});

test("a state is found as it was set", () => {
  assert.equal(state.get("t", 0), null);
  state.set("t", 0, { part: 7 });
  assert.deepEqual([state.get("t", 0), state.get("t", 1)], [{ part: 7 }, null]);
  state.set("t", 0, null);
  assert.equal(state.get("t", 0), null);
  host.states["t-0"] = "another version's";
  assert.equal(state.get("t", 0), null);
  assert.equal(host.lines[0][0], "warn");
});

test("a wait ends early when the task is stopped", () => {
  const before = context.nowMs();
  assert.equal(context.sleepMs(1500.7), false);
  assert.equal(context.nowMs() - before, 1500);
  assert.equal(context.sleepMs(-1), false);
  host.stopping = true;
  assert.ok(context.sleepMs(2 ** 40) && context.stopping());
});

test("lines and metrics carry their fields", () => {
  log.warn("the page is empty", { page: 7 });
  assert.deepEqual(host.lines, [["warn", "the page is empty", { page: "7" }]]);
  metrics.add("requests", 2, { status: 200 });
  metrics.set("left", 2.5);
  assert.deepEqual(host.metrics, [["requests", 2, { status: "200" }], ["left", 2.5, {}]]);
});
