// Runs without a component: node --test
import assert from "node:assert/strict";
import { test } from "node:test";

import { rows } from "./longshore/testing.js";

const { sourceTask } = await import("./app.js");

// What one poll makes.
function counted(stored, limit) {
  sourceTask.start(JSON.stringify({ topic: "t", limit }), stored);
  return rows(sourceTask.poll(1000, 1 << 20, 1000));
}

test("it goes on behind every position", () => {
  const made = counted([], 3);
  assert.deepEqual(made.map(({ value }) => value), ['{"count":0}', '{"count":1}', '{"count":2}']);
  made.forEach(({ lane, position }, at) => {
    const stored = { lane: JSON.stringify(lane), position: JSON.stringify(position) };
    assert.deepEqual(counted([stored], 3), made.slice(at + 1));
    // A lane of somebody else's says nothing.
    assert.deepEqual(counted([{ ...stored, lane: '{"other":1}' }], 3), made);
  });
});
