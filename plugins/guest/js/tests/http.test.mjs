// Requests and answers. node --test plugins/guest/js/tests/
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { answer, host } from "../longshore/testing.js";

const { Connection, Failure, Secret, connectionKeys, http } = await import("../longshore.js");
const { parsed } = await import("../longshore/config.js");

const text = (bytes) => new TextDecoder().decode(bytes);
const response = (status, headers = {}, body = "", key = undefined) => new http.Response(answer(status, { headers, body }), key);

function failed(call) {
  try {
    call();
  } catch (thrown) {
    assert.ok(thrown instanceof Failure, `${thrown}`);
    return thrown;
  }
  return assert.fail("it must fail");
}

beforeEach(() => {
  host.reset();
  host.answer = ({ url }) => answer(200, { body: { got: url } });
});

test("parameters are added and encoded", () => {
  for (const [url, expected] of [
    ["http://x/y", "http://x/y?a%20b=%C3%BC%26%3D%27"],
    ["http://x/y?z=1", "http://x/y?z=1&a%20b=%C3%BC%26%3D%27"],
    ["http://x/y?", "http://x/y?a%20b=%C3%BC%26%3D%27"],
    ["http://x/y#f", "http://x/y?a%20b=%C3%BC%26%3D%27#f"],
  ]) {
    assert.equal(http.withQuery(url, { "a b": "ü&='", none: null }), expected);
  }
  assert.equal(http.withQuery("http://x/y", {}), "http://x/y");
});

test("text that is no Unicode is bad data, and no bug of the plugin", () => {
  for (const call of [() => http.encoded("\ud800"), () => http.get("http://x", { query: { a: "x\udc00" } }), () => http.withQuery("http://x", { "\ud800": 1 })]) {
    assert.equal(failed(call).kind, "data");
  }
  assert.equal(http.encoded("😀"), "%F0%9F%98%80");
});

test("a request crosses as it was asked for", () => {
  const got = http.post("http://x", { json: { "ü": [1] }, headers: { A: 1 }, timeoutMs: 5.5, responseMax: 6, redirects: 2 });
  assert.deepEqual(got.ok().json(), { got: "http://x" });
  const [sent] = host.requests;
  assert.deepEqual([sent.method, sent.timeoutMs, sent.maxResponseBytes, sent.redirectsMax], ["POST", 5, 6, 2]);
  assert.deepEqual(sent.headers, [["A", "1"], ["Content-Type", "application/json"]]);
  assert.equal(text(sent.body), '{"ü":[1]}');
  http.request("PUT", "http://x", { body: "ü" });
  assert.deepEqual([host.requests[1].method, text(host.requests[1].body)], ["PUT", "ü"]);
  http.get("http://x");
  assert.deepEqual([host.requests[2].body, host.requests[2].credential], [undefined, undefined]);
});

test("a credential is named where it is hidden and sent where it is not", () => {
  http.get("http://x", { bearer: new Secret({ secret: "auth.token" }, "auth.token") });
  assert.deepEqual(host.requests[0].credential, { key: "auth.token", placement: { tag: "bearer" } });
  assert.deepEqual(host.requests[0].headers, []);
  http.get("http://x", { basic: ["user", new Secret("pässword", "auth.token")] });
  assert.equal(host.requests[1].credential, undefined);
  assert.deepEqual(host.requests[1].headers, [["Authorization", "Basic dXNlcjpww6Rzc3dvcmQ="]]);
  http.get("http://x", { bearer: undefined });
  assert.equal(host.requests[2].credential, undefined);
});

test("several are answered in their order, and one that fails fails alone", () => {
  host.answer = ({ url }) => {
    if (url.endsWith("2")) {
      throw new Failure("transient", "it is away");
    }
    return answer(200, { body: { url } });
  };
  const [one, two, three] = http.sendAll([1, 2, 3].map((at) => ({ url: `http://x/${at}` })), 2);
  assert.deepEqual([one.json().url, two.kind, three.json().url], ["http://x/1", "transient", "http://x/3"]);
});

test("an open body is read to its end, and closed", () => {
  host.answer = () => answer(200, { body: "abcde" });
  const opened = http.open("GET", "http://x");
  assert.deepEqual([opened.status, text(opened.read(2)), text(opened.read()), opened.read()], [200, "ab", "cde", null]);
  const closed = http.open("GET", "http://x");
  closed.close();
  assert.equal(closed.read(), null);
});

test("what the host refuses is a failure with the grant", () => {
  host.answer = () => {
    throw new Failure("config", "x is not granted", { context: { grant: "longshore.wasm.grants.p.net: x" } });
  };
  const failure = failed(() => http.get("http://x"));
  assert.deepEqual([failure.kind, failure.context], ["config", [["grant", "longshore.wasm.grants.p.net: x"]]]);
  host.answer = () => {
    throw new TypeError("a bug");
  };
  assert.throws(() => http.get("http://x"), TypeError);
});

test("statuses become the kind that calls for the right reaction", () => {
  for (const [status, headers, kind, retryAfterMs] of [
    [401, {}, "auth"],
    [403, {}, "auth"],
    [404, {}, "config"],
    [408, {}, "transient"],
    [425, {}, "transient"],
    [429, { "retry-after": "7" }, "rate-limited", 7000n],
    [429, { "Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT" }, "rate-limited"],
    [500, {}, "transient"],
    [503, {}, "transient"],
    [503, { "Retry-After": " 1 " }, "rate-limited", 1000n],
    [302, {}, "config"],
  ]) {
    const failure = failed(() => response(status, headers).ok());
    assert.deepEqual([failure.kind, failure.retryAfterMs], [kind, retryAfterMs], `${status}`);
  }
  assert.equal(response(204).ok().status, 204);
  assert.match(failed(() => response(401, {}, "", "auth.token").ok()).message, /auth\.token/);
});

test("a body that is no JSON is bad data, and is not quoted", () => {
  for (const body of ["s3cret", "", new Uint8Array([255]), "[".repeat(1_000_000)]) {
    const failure = failed(() => response(200, {}, body).json());
    assert.equal(failure.kind, "data");
    assert.ok(!failure.message.includes("s3cret"));
  }
});

test("a connection's keys are in every request", () => {
  const schema = { properties: { url: { type: "string" }, ...connectionKeys } };
  const sent = (config) => {
    const values = parsed({ schema }, JSON.stringify(config));
    assert.deepEqual(Connection.problems(values), []);
    new Connection(values).get("http://x", { query: { a: 1 }, headers: { B: 2 } });
    return host.requests.at(-1);
  };
  const secret = { "auth.secret": { secret: "auth.secret" } };
  const request = sent({ headers: ["A: 1:2"], "request.timeout.ms": 5, ...secret });
  assert.deepEqual([request.timeoutMs, request.headers, request.url], [5, [["A", "1:2"], ["B", "2"]], "http://x?a=1"]);
  assert.deepEqual(request.credential, { key: "auth.secret", placement: { tag: "bearer" } });
  assert.deepEqual(sent({ "auth.scheme": "header", ...secret }).credential.placement, { tag: "header", val: "X-Api-Key" });
  assert.deepEqual(sent({ "auth.scheme": "basic", "auth.user": "u", ...secret }).credential.placement, { tag: "basic", val: "u" });
  assert.deepEqual([sent({}).credential, sent({}).timeoutMs], [undefined, 30_000]);
});

test("what the schema cannot say of a connection is found", () => {
  const schema = { properties: connectionKeys };
  const bad = parsed({ schema }, '{"headers":["A"],"auth.scheme":"basic","auth.secret":{"secret":"auth.secret"}}');
  assert.deepEqual(Connection.problems(bad).map(({ key }) => key), ["headers", "auth.user"]);
  assert.equal(Connection.checkUrl("ftp://x")[0].key, "url");
  assert.deepEqual(Connection.checkUrl("https://x"), []);
});
