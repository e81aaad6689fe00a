// Runs without a component: node --test
import assert from "node:assert/strict";
import { test } from "node:test";

import { host, incoming } from "./longshore/testing.js";

const { sinkTask } = await import("./app.js");

test("values without the field are refused alone", () => {
  sinkTask.start('{"required.field":"a"}');
  const refused = sinkTask.put(incoming([{ a: 1 }, { b: 1 }, null, { a: 2 }]));
  assert.deepEqual(refused.map(({ row }) => row), [1, 2]);
  assert.deepEqual(sinkTask.flush(["t-0@4"]), ["t-0@4"]);
  assert.deepEqual(host.metrics, [["records", 2, {}]]);
});
