// What a plugin is told by its config, and what it says about itself.

import { get } from "longshore:connector/secrets@0.1.0";
import { Failure, guarded } from "./failure.js";

/**
 * The value of a config key with x-secret: its key's name. The host puts the value into requests (see http), and the plugin sees it only under
 * the grant `secrets: reveal`. It is never shown.
 */
export class Secret {
  #value;
  constructor(given, key) {
    // The host writes {"secret": key}, or, where it is revealed, the value.
    this.key = given?.secret ?? key;
    this.#value = typeof given === "string" ? given : undefined;
  }
  /** The value, where it stands in the config itself. */
  get inConfig() {
    return this.#value;
  }
  /** The value, where the operator granted `secrets: reveal`. @returns {string|undefined} */
  revealed() {
    return this.#value ?? get(this.key);
  }
  toString() {
    return "[hidden]";
  }
  toJSON() {
    return "[hidden]";
  }
}

const isA = {
  string: (value) => typeof value === "string",
  integer: Number.isInteger,
  number: (value) => typeof value === "number",
  boolean: (value) => typeof value === "boolean",
  array: Array.isArray,
  object: (value) => typeof value === "object" && !Array.isArray(value),
};

/**
 * Reads a config: what is not set has the schema's default, what is x-secret is a Secret. The host checks it against the schema before; what is
 * checked here keeps a mistake from looking like a bug.
 */
export function parsed({ schema }, config) {
  const values = JSON.parse(config);
  for (const key of schema.required ?? []) {
    if (!(key in values)) {
      throw new Failure("config", `${key} is missing`);
    }
  }
  for (const [key, { type, default: otherwise, "x-secret": secret }] of Object.entries(schema.properties ?? {})) {
    if (otherwise !== undefined && !(key in values)) {
      // A copy: what one task does to its config, another does not see.
      values[key] = JSON.parse(JSON.stringify(otherwise));
    }
    const value = values[key] ?? null;
    if (value === null) {
      continue;
    }
    if (secret) {
      values[key] = new Secret(value, key);
      continue;
    }
    // A type that may be null is a list.
    const names = [type].flat().filter((name) => name in isA);
    if (names.length > 0 && !names.some((name) => isA[name](value))) {
      throw new Failure("config", `${key} is no ${names.join(" or ")}`);
    }
  }
  return values;
}

/** The exported interface `plugin` of a class with `info` and `schema`. */
export function plugin(type) {
  return {
    describe() {
      const { name, version, description, vendor = "", capabilities = {}, needs, keyFormat = "text", valueFormat = "json" } = type.info;
      const all = { key: true, value: true, headers: true, timestamp: true, position: true };
      return { name, version, description, vendor, capabilities, needs: needs ?? all, keyFormat, valueFormat };
    },
    configSchema: () => JSON.stringify(type.schema),
    check: (config) =>
      (type.check ? guarded(() => type.check(parsed(type, config))) : []).map(({ key = "", message, suggestion = "" }) => ({ key, message, suggestion })),
  };
}

/** The exported interface `planner`: a class may have `static plan(config, tasksMax)` and `static promise(config)`. */
export function planner(type, shares) {
  return {
    plan: (config, tasksMax) => (type.plan ? guarded(() => type.plan(parsed(type, config), tasksMax)).map(Object.entries) : shares(tasksMax)),
    promise(config) {
      const atLeastOnce = (method) => ({ level: "at-least-once", method });
      try {
        return type.promise?.(parsed(type, config)) ?? atLeastOnce("offsets are stored after the records");
      } catch (thrown) {
        if (!(thrown instanceof Failure)) {
          throw thrown;
        }
        return atLeastOnce(thrown.message);
      }
    },
  };
}
