// What plugins that talk to an HTTP service have in common in their configs: time limit, headers, and credential of every request.
//
//   static schema = { type: "object", properties: { url: {..}, ...connectionKeys }, required: ["url"] };
//   constructor(config) {
//     this.service = new Connection(config);
//     this.service.get(config.url).ok().json();
//   }

import * as http from "./http.js";

/** The keys that a config gets: to be spread into the properties of its schema. */
export const connectionKeys = {
  "request.timeout.ms": {
    type: "integer",
    minimum: 1,
    maximum: 600_000,
    default: 30_000,
    "x-importance": "LOW",
    description: "How long an answer may take, in milliseconds.",
  },
  headers: { type: "array", items: { type: "string" }, default: [], description: "Headers to send, each as name:value." },
  "auth.secret": { type: "string", "x-secret": true, description: "The credential; the host sends it, this plugin never sees it." },
  "auth.scheme": {
    type: "string",
    enum: ["bearer", "basic", "header"],
    default: "bearer",
    description: "How the credential is sent: bearer, basic (with auth.user), or header (named by auth.header).",
  },
  "auth.user": { type: "string", default: "", description: "The user of scheme basic." },
  "auth.header": { type: "string", default: "X-Api-Key", description: "The header of scheme header." },
};

/** Makes requests as a config says. */
export class Connection {
  #headers;
  #options;
  constructor({ headers = [], "request.timeout.ms": timeoutMs = 30_000, ...auth }) {
    this.#headers = headers.map((header) => {
      const at = header.indexOf(":");
      return at < 0 ? [header.trim(), ""] : [header.slice(0, at).trim(), header.slice(at + 1).trim()];
    });
    this.#options = { timeoutMs };
    const secret = auth["auth.secret"];
    const scheme = auth["auth.scheme"] ?? "bearer";
    if (secret && scheme === "bearer") {
      this.#options.bearer = secret;
    } else if (secret && scheme === "basic") {
      this.#options.basic = [auth["auth.user"] ?? "", secret];
    } else if (secret) {
      this.#options.secretHeader = [auth["auth.header"] ?? "X-Api-Key", secret];
    }
  }
  /** What is wrong with the address at the key `url`, as far as one can see: problems, as a plugin's check returns them. */
  static checkUrl(url) {
    return /^https?:\/\//.test(url) ? [] : [{ key: "url", message: "it begins with neither http:// nor https://" }];
  }
  /** What the schema cannot say, for a plugin's check. */
  static problems({ headers = [], ...auth }) {
    const problems = [];
    if (headers.some((header) => !header.includes(":"))) {
      problems.push({ key: "headers", message: "an entry has no colon", suggestion: "name:value" });
    }
    if (auth["auth.secret"] && auth["auth.scheme"] === "basic" && !auth["auth.user"]) {
      problems.push({ key: "auth.user", message: "scheme basic takes a user" });
    }
    return problems;
  }
  /** What every request takes, as options of http; what `more` says goes before. @param {http.Options} [more] */
  options({ headers, ...more } = {}) {
    const own = Array.isArray(headers) ? headers : Object.entries(headers ?? {});
    return { ...this.#options, ...more, headers: [...this.#headers, ...own] };
  }
  /** Sends a request. @param {http.Options} [more] */
  request(method, url, more) {
    return http.request(method, url, this.options(more));
  }
  /** Sends a GET request. @param {http.Options} [more] */
  get(url, more) {
    return this.request("GET", url, more);
  }
  /** Sends a POST request. @param {http.Options} [more] */
  post(url, more) {
    return this.request("POST", url, more);
  }
}
