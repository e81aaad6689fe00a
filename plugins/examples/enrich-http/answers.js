// What the service answers, asked as seldom as can be.

import { Connection, Failure, context, http, metrics } from "./longshore.js";
import { fits } from "./value.js";

// What must be left of a call's time for more requests: the answers that are there would be lost with the call.
const LEAST_MS = 200;
// How long a service that was away is not asked again: the records behind do not wait for it one by one.
const AWAY_MS = 1000;

/** In the place of an answer: the service was not asked, because it is away. */
export const AWAY = Symbol("away");

export class Answers {
  /** `cache`: of answers, by key. */
  constructor(config, cache) {
    this.url = config.url;
    this.connection = new Connection(config);
    this.timeoutMs = config["request.timeout.ms"];
    this.responseMax = config["answer.max.bytes"];
    this.concurrency = config.concurrency;
    this.cache = cache;
    // Of the batch that is being made.
    this.known = new Map();
    // Why the service was not asked, and until when it is not.
    this.away = undefined;
    this.awayUntil = 0;
  }

  /** The answer to a key that was asked for: JSON text, null for one that the service does not know, a Failure of the record, or AWAY. */
  of(key) {
    return this.known.get(key) ?? (this.known.has(key) ? null : AWAY);
  }

  /** Asks for what is not remembered, until something is wrong that is not about one key. */
  ask(keys) {
    this.known = new Map();
    const unknown = [];
    for (const key of keys) {
      const found = this.cache.get(key);
      if (found === undefined) {
        unknown.push(key);
      } else {
        this.known.set(key, found);
      }
    }
    metrics.add("cache_hits", this.known.size);
    for (let at = 0; at < unknown.length && this.mayAsk(); at += this.concurrency) {
      this.askAtOnce(unknown.slice(at, at + this.concurrency));
    }
  }

  mayAsk() {
    if (context.monotonicMs() < this.awayUntil) {
      return false;
    }
    if (context.stopping() || context.timeLeftMs() < LEAST_MS) {
      this.away = new Failure("rate-limited", "the batch takes longer than a call may: the rest is asked in the next one", { retryAfterMs: 0 });
      return false;
    }
    return true;
  }

  askAtOnce(keys) {
    const timeoutMs = Math.min(this.timeoutMs, context.timeLeftMs() - LEAST_MS / 2);
    const requests = keys.map((key) => ({
      url: this.url.replaceAll("{key}", () => http.encoded(key)),
      ...this.connection.options({ headers: { Accept: "application/json" }, timeoutMs, responseMax: this.responseMax, redirects: 3 }),
    }));
    metrics.add("requests", keys.length);
    http.sendAll(requests, this.concurrency).forEach((answer, at) => this.take(keys[at], answer));
  }

  take(key, answer) {
    const found = judged(answer);
    if (!(found instanceof Failure)) {
      this.cache.set(key, found);
    } else if (found.kind !== "data") {
      this.away = found;
      this.awayUntil = context.monotonicMs() + Number(found.retryAfterMs ?? AWAY_MS);
      return;
    }
    this.known.set(key, found);
  }
}

/** JSON text; null: the service does not know the key; or a Failure: one of kind data is about the key, any other about the service. */
function judged(answer) {
  if (answer instanceof Failure) {
    // An address that is not granted is config, no connection and no answer in time are transient: the host says it.
    return answer;
  }
  if (answer.status === 404) {
    return null;
  }
  try {
    answer.ok().json();
    const text = answer.text.trim();
    return fits(text) ? text : new Failure("data", "the service's answer nests too deep, or has a number that is too long");
  } catch (failure) {
    return failure.kind === "config" ? new Failure("data", `the service answers ${answer.status}`) : failure;
  }
}
