// Runs natively, where the SDK stands beside app.js (build.sh puts it there): node --test tests/
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { answer, applied, host, incoming } from "../longshore/testing.js";

const { recordTransform } = await import("../app.js");
const { Failure } = await import("../longshore.js");

const config = { url: "http://x/{key}", "key.field": "a.id", "target.field": "about" };
const start = (more = {}) => recordTransform.start(JSON.stringify({ ...config, ...more }));
const of = (id) => ({ a: { id } });
const asked = () => host.requests.map(({ url }) => url.replace("http://x/", ""));
const kinds = ({ failed }) => Object.values(failed).map(({ kind }) => kind);

beforeEach(() => {
  host.reset();
  host.answer = ({ url }) => answer(200, { body: { path: url } });
});

test("each key is asked for once, and remembered", () => {
  start();
  const { values, failed } = applied(recordTransform, incoming([of("1"), of("2"), of("1"), null, { b: 1 }]));
  assert.deepEqual(failed, {});
  assert.deepEqual(values.map((value) => JSON.parse(value)), [
    { a: { id: "1" }, about: { path: "http://x/1" } },
    { a: { id: "2" }, about: { path: "http://x/2" } },
    { a: { id: "1" }, about: { path: "http://x/1" } },
    null,
    { b: 1 },
  ]);
  applied(recordTransform, incoming([of("2"), of("3")]));
  assert.deepEqual(asked(), ["1", "2", "3"]);
});

test("without a cache a key is still asked for once in a batch", () => {
  start({ "cache.entries": 0 });
  applied(recordTransform, incoming([of("1"), of("1")]));
  applied(recordTransform, incoming([of("1")]));
  assert.deepEqual(asked(), ["1", "1"]);
});

test("a value keeps its digits and its form, and so does an answer", () => {
  start();
  host.answer = () => answer(200, { body: ' {"n": 12345678901234567890.10}\n' });
  const { values } = applied(recordTransform, incoming(['{ "big": 9007199254740993, "a":{"id":true} }']));
  assert.deepEqual(values, ['{ "big": 9007199254740993, "a":{"id":true},"about":{"n": 12345678901234567890.10}}']);
});

test("a field that is there is replaced, whatever its name", () => {
  start({ "target.field": "__proto__" });
  const { values } = applied(recordTransform, incoming(['{"__proto__":1,"a":{"id":"1"}}']));
  assert.deepEqual(values, ['{"a":{"id":"1"},"__proto__":{"path":"http://x/1"}}']);
});

test("odd keys and values fail alone, and are not asked for", () => {
  start();
  const odd = [["list"], 7, of([1]), of({}), '{"a":{"id":9007199254740993}}', { a: "text" }, of(null), of("ü/?"), '{"a":{"id":"\\ud800"}}', of("😀")];
  const { failed } = applied(recordTransform, incoming(odd));
  assert.deepEqual(Object.keys(failed), ["0", "1", "2", "3", "4", "8"]);
  assert.deepEqual([...new Set(kinds({ failed }))], ["data"]);
  assert.deepEqual(asked(), ["%C3%BC%2F%3F", "%F0%9F%98%80"]);
});

test("a key that leads to something that every object has is not there", () => {
  start({ "key.field": "constructor.name" });
  assert.deepEqual(applied(recordTransform, incoming([{ a: 1 }])).values, ['{"a":1}']);
  assert.deepEqual(asked(), []);
});

test("what the service does not know is what missing says, and remembered", () => {
  host.answer = () => answer(404);
  for (const [missing, value] of [["keep", '{"a":{"id":"1"}}'], ["null", '{"a":{"id":"1"},"about":null}']]) {
    start({ missing });
    assert.deepEqual(applied(recordTransform, incoming([of("1")])).values, [value]);
    applied(recordTransform, incoming([of("1")]));
  }
  start({ missing: "fail" });
  assert.deepEqual(kinds(applied(recordTransform, incoming([of("1")]))), ["data"]);
  assert.equal(asked().length, 3);
});

test("a service that is away is asked no more, and what it answered before counts", () => {
  start({ concurrency: 1 });
  const statuses = { 2: answer(503), 4: answer(429, { headers: { "Retry-After": "7" } }) };
  host.answer = ({ url }) => statuses[url.at(-1)] ?? answer(200, { body: "1" });
  const first = applied(recordTransform, incoming([of("1"), of("2"), of("3")]));
  assert.deepEqual([kinds(first), asked()], [["transient", "transient"], ["1", "2"]]);
  applied(recordTransform, incoming([of("2")]));
  assert.deepEqual(asked(), ["1", "2"], "it is left alone for a second");
  host.clockMs += 1000;
  const later = applied(recordTransform, incoming([of("3"), of("4"), of("5")]));
  assert.deepEqual([later.failed[1].retryAfterMs, later.failed[2].kind], [7000n, "rate-limited"]);
  host.clockMs += 6999;
  applied(recordTransform, incoming([of("5")]));
  assert.deepEqual(asked(), ["1", "2", "3", "4"]);
});

test("a refused credential is named, and is not tried for every record", () => {
  start({ "auth.secret": { secret: "auth.secret" }, concurrency: 1 });
  host.answer = () => answer(401);
  const { failed } = applied(recordTransform, incoming([of("1"), of("2")]));
  assert.deepEqual([failed[0].kind, failed[1].kind, asked()], ["auth", "auth", ["1"]]);
  assert.match(failed[0].message, /auth\.secret/);
  assert.deepEqual(host.requests[0].credential, { key: "auth.secret", placement: { tag: "bearer" } });
});

test("an address that is not granted is the host's word", () => {
  start();
  host.answer = () => {
    throw new Failure("config", "x is not granted", { context: { grant: "net: x" } });
  };
  const { failed } = applied(recordTransform, incoming([of("1")]));
  assert.deepEqual([failed[0].kind, failed[0].context], ["config", [["grant", "net: x"]]]);
});

test("an answer that is no JSON, or no answer, is bad data of its record alone", () => {
  start();
  const bodies = { 1: answer(200, { body: "{" }), 2: answer(200), 3: answer(302), 4: answer(400), 5: answer(200, { body: "null" }) };
  host.answer = ({ url }) => bodies[url.at(-1)];
  const { values, failed } = applied(recordTransform, incoming([1, 2, 3, 4, 5].map((id) => of(String(id)))));
  assert.deepEqual(kinds({ failed }), ["data", "data", "data", "data"]);
  assert.equal(values[4], '{"a":{"id":"5"},"about":null}');
});

test("an answer that the host would not take as a part of a value is bad data", () => {
  start();
  const nested = (depth) => `${"[".repeat(depth)}"]\\"${"9".repeat(2000)}"${"]".repeat(depth)}`;
  const bodies = { 1: nested(127), 2: nested(128), 3: `[${"9".repeat(1001)}]`, 4: '{"a":"[[\\u005b"}' };
  host.answer = ({ url }) => answer(200, { body: bodies[url.at(-1)] });
  const { failed } = applied(recordTransform, incoming(["1", "2", "3", "4"].map(of)));
  assert.deepEqual([Object.keys(failed), kinds({ failed })], [["1", "2"], ["data", "data"]]);
});

test("a batch ends in time, and at once when the task is stopped", () => {
  start({ concurrency: 2 });
  host.answer = () => {
    host.timeLeftMs -= 15_000;
    return answer(200, { body: "1" });
  };
  const { values, failed } = applied(recordTransform, incoming(["1", "2", "3"].map(of)));
  assert.equal(values[1], '{"a":{"id":"2"},"about":1}');
  assert.deepEqual([failed[2].kind, failed[2].retryAfterMs], ["rate-limited", 0n]);
  Object.assign(host, { timeLeftMs: 30_000, stopping: true });
  assert.deepEqual(kinds(applied(recordTransform, incoming(["3"].map(of)))), ["rate-limited"]);
  assert.deepEqual(asked(), ["1", "2"]);
});

test("no request takes longer than the call has left", () => {
  start({ "request.timeout.ms": 5000 });
  applied(recordTransform, incoming([of("1")]));
  host.timeLeftMs = 1000;
  applied(recordTransform, incoming([of("2")]));
  assert.deepEqual(host.requests.map(({ timeoutMs }) => timeoutMs), [5000, 900]);
});

test("a config with a problem does not start", () => {
  for (const [bad, key] of [[{ url: "http://x/" }, "url"], [{ url: "x/{key}" }, "url"], [{ headers: ["x"] }, "headers"]]) {
    assert.throws(() => start(bad), ({ kind, message }) => kind === "config" && message.startsWith(key));
  }
});
