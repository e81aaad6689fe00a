// Runs natively: node --test tests/cache.test.mjs
import assert from "node:assert/strict";
import test from "node:test";

import { Cache } from "../cache.js";

test("what was not used for longest goes first", () => {
  const cache = new Cache(2, 10, () => 0);
  cache.set("a", 1);
  cache.set("b", 2);
  cache.get("a");
  cache.set("c", 3);
  assert.deepEqual(["a", "b", "c"].map((key) => cache.get(key)), [1, undefined, 3]);
});

test("an answer is forgotten after its time, however often it is used", () => {
  let now = 0;
  const cache = new Cache(2, 10, () => now);
  cache.set("a", 1);
  now = 9;
  assert.equal(cache.get("a"), 1);
  now = 10;
  assert.equal(cache.get("a"), undefined);
});

test("a cache of no entries remembers nothing", () => {
  const cache = new Cache(0, 10, () => 0);
  cache.set("a", 1);
  assert.equal(cache.get("a"), undefined);
});
