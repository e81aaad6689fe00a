// Runs without a component: node --test
import assert from "node:assert/strict";
import { test } from "node:test";

import { applied, incoming } from "./longshore/testing.js";

const { recordTransform } = await import("./app.js");

test("objects get the field, and nothing else changes", () => {
  recordTransform.start('{"field":"by","text":"me"}');
  const { values, failed } = applied(recordTransform, incoming([{ a: 1 }, null, 7]));
  assert.deepEqual([values, Object.keys(failed)], [['{"a":1,"by":"me"}', null, "7"], ["2"]]);
});
