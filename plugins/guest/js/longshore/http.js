// Requests, sent by the host: only to addresses that the operator granted, with credentials that the plugin never sees.
//
//   const prices = http.get(url, { query: { since: 7 }, bearer: config["auth.secret"] }).ok().json();
//   http.post(url, { json: { a: 1 }, headers: { "Idempotency-Key": key } }).ok();
//
// A request ends at the end of the call that makes it, at the latest: what did not answer by then is a Failure of kind transient.

import * as host from "longshore:connector/http@0.1.0";
import { Secret } from "./config.js";
import { Failure, asked } from "./failure.js";
import { bytes, text, unicode } from "./records.js";

/**
 * @typedef {object} Options
 * @property {Record<string, unknown>|[string, unknown][]} [headers]
 * @property {Record<string, unknown>|[string, unknown][]} [query] Parameters that are added to the address, encoded; null: left out.
 * @property {unknown} [json] What is sent along, as JSON.
 * @property {string|Uint8Array} [body] What is sent along, as it is.
 * @property {Secret|null} [bearer] Authorization: Bearer
 * @property {[string, Secret]} [basic] Authorization: Basic, with this user.
 * @property {[string, Secret]} [secretHeader] The secret as the value of this header.
 * @property {number} [timeoutMs] For all of it; 0 = the host's limit, which is the most that counts.
 * @property {number} [responseMax] How many bytes an answer may have; 0 = the host's limit, which is the most that counts.
 * @property {number} [redirects] How many are followed. A credential does not follow to another origin.
 */

const pairs = (given) => (Array.isArray(given) ? given : Object.entries(given ?? {}));

/** Percent-encodes everything but unreserved characters. Failures of kind data: the text is no Unicode. @param {string} value */
export function encoded(value) {
  return encodeURIComponent(unicode(value)).replace(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** The address with parameters. @param {string} url */
export function withQuery(url, query) {
  const known = pairs(query).filter(([, value]) => value !== null && value !== undefined);
  if (known.length === 0) {
    return url;
  }
  const added = known.map(([name, value]) => `${encoded(name)}=${encoded(String(value))}`).join("&");
  const at = url.indexOf("#");
  const [address, fragment] = at < 0 ? [url, ""] : [url.slice(0, at), url.slice(at)];
  const joint = !address.includes("?") ? "?" : /[?&]$/.test(address) ? "" : "&";
  return address + joint + added + fragment;
}

function base64(value) {
  return btoa(String.fromCharCode(...bytes(value)));
}

/** Where a secret goes: the host puts it there, or, where it stands in the config, the plugin does. */
function place(secret, placement, headers, name, written) {
  if (secret.inConfig === undefined) {
    return { key: secret.key, placement };
  }
  headers.push([name, written(secret.inConfig)]);
  return undefined;
}

/** A request as it crosses, and the config key of its credential. @param {Options} options */
function made(method, url, options = {}) {
  const { headers: given, query, json, body, bearer, basic, secretHeader, timeoutMs = 0, responseMax = 0, redirects = 0 } = options;
  const headers = pairs(given).map(([name, value]) => [unicode(name), unicode(String(value))]);
  let credential;
  let key;
  if (bearer) {
    key = bearer.key;
    credential = place(bearer, { tag: "bearer" }, headers, "Authorization", (value) => `Bearer ${value}`);
  }
  if (basic) {
    const [user, secret] = basic;
    key = secret.key;
    credential = place(secret, { tag: "basic", val: user }, headers, "Authorization", (value) => `Basic ${base64(`${user}:${value}`)}`);
  }
  if (secretHeader) {
    const [name, secret] = secretHeader;
    key = secret.key;
    credential = place(secret, { tag: "header", val: name }, headers, name, (value) => value);
  }
  let sent = bytes(body) ?? undefined;
  if (json !== undefined) {
    headers.push(["Content-Type", "application/json"]);
    sent = bytes(JSON.stringify(json));
  }
  const request = {
    method,
    url: unicode(withQuery(url, query)),
    headers,
    body: sent,
    timeoutMs: Math.trunc(timeoutMs),
    credential,
    maxResponseBytes: responseMax,
    redirectsMax: redirects,
  };
  return { request, key };
}

/**
 * Sends a request. An answer of any status is one (see Response.ok). Failures: config for an address that is not granted, with the grant that
 * would allow it; transient for no connection and no answer in time.
 * @param {string} method In capitals. @param {string} url @param {Options} [options] @returns {Response}
 */
export function request(method, url, options) {
  const { request: sent, key } = made(method, url, options);
  return new Response(asked(() => host.send(sent)), key);
}

/** Sends a GET request. @param {string} url @param {Options} [options] @returns {Response} */
export const get = (url, options) => request("GET", url, options);
/** Sends a POST request. @param {string} url @param {Options} [options] @returns {Response} */
export const post = (url, options) => request("POST", url, options);

/**
 * Sends several, at most `concurrency` at once (0 = as many as are granted). Answers come in the order of the requests, and one that got none
 * has a Failure in its place.
 * @param {({method?: string, url: string} & Options)[]} requests @param {number} [concurrency] @returns {(Response|Failure)[]}
 */
export function sendAll(requests, concurrency = 0) {
  const all = requests.map(({ method = "GET", url, ...options }) => made(method, url, options));
  const answers = host.sendAll(all.map((one) => one.request), concurrency);
  return answers.map(({ tag, val }, at) => (tag === "ok" ? new Response(val, all[at].key) : Failure.of({ payload: val })));
}

/**
 * The same as request, with the body left open, for what is large or endless: read it to its end, or close it.
 * @param {Options} [options] @returns {Opened}
 */
export function open(method, url, options) {
  const { request: sent, key } = made(method, url, options);
  return new Opened(asked(() => host.open(sent)), key);
}

/** An answer. */
export class Response {
  /** @param {{status: number, headers: [string, string][], body: Uint8Array}} answer */
  constructor({ status, headers, body }, credentialKey) {
    Object.assign(this, { status, headers, body, credentialKey });
  }
  /** The first header of a name, in any case. @returns {string|undefined} */
  header(name) {
    return this.headers.find(([known]) => known.toLowerCase() === name.toLowerCase())?.[1];
  }
  /** The body, read as UTF-8. @returns {string} */
  get text() {
    return text(this.body);
  }
  /** The body as JSON. Failures of kind data: it is none. The body is not quoted. */
  json() {
    try {
      return JSON.parse(this.text);
    } catch {
      throw new Failure("data", "the answer is no JSON", { context: { status: this.status } });
    }
  }
  /** The answer, if its status is 2xx; else it throws the Failure that the status calls for. @returns {this} */
  ok() {
    if (this.status >= 200 && this.status <= 299) {
      return this;
    }
    throw this.failure();
  }
  /** Retry-After, where it is a number of seconds. @returns {number|undefined} */
  get retryAfterMs() {
    const seconds = (this.header("Retry-After") ?? "").trim();
    return /^[0-9]{1,9}$/.test(seconds) ? Number(seconds) * 1000 : undefined;
  }
  /**
   * The kind that the status calls for: 401 and 403 auth, 429 and a 503 with Retry-After rate-limited, 408, 425 and other 5xx transient,
   * everything else config. The body is not quoted. @returns {Failure}
   */
  failure() {
    const { status, retryAfterMs, credentialKey } = this;
    if (status === 401 || status === 403) {
      const renew = credentialKey === undefined ? "it asks for a credential" : `renew ${credentialKey}, or its rights`;
      return new Failure("auth", `the server answers ${status}: ${renew}`);
    }
    if (status === 429) {
      return new Failure("rate-limited", "the server answers 429: too many requests", { retryAfterMs });
    }
    if (status === 503 && retryAfterMs !== undefined) {
      return new Failure("rate-limited", "the server answers 503: it is busy", { retryAfterMs });
    }
    if (status === 408 || status === 425 || (status >= 500 && status <= 599)) {
      return new Failure("transient", `the server answers ${status}`);
    }
    return new Failure("config", `the server answers ${status}: check the address`);
  }
}

/** An answer whose body is still open. */
export class Opened extends Response {
  #source;
  constructor({ status, headers, body }, credentialKey) {
    super({ status, headers, body: new Uint8Array() }, credentialKey);
    this.#source = body;
  }
  /** The next bytes, at most so many; null = the end. @returns {Uint8Array|null} */
  read(most = 65536) {
    const read = asked(() => this.#source.read(most));
    return read.length > 0 ? read : null;
  }
  /** Closes the connection. */
  close() {
    this.#source[Symbol.dispose ?? Symbol.for("dispose")]?.();
  }
}
