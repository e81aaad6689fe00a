// Why a call failed.

/** @typedef {"config"|"auth"|"data"|"transient"|"rate-limited"|"fenced"|"fatal"} Kind Who can act on a failure; it decides what the host does. */

/**
 * Why a call failed. The message says what to do, and never holds a secret.
 *
 * config: the author of the config can act, and auth the owner of a credential: the task fails until they do. data: this record is bad, and
 * errors.tolerance decides. transient: the same call is made again, with backoff, and a source must then return the same records again;
 * rate-limited: the same after `retryAfterMs`, and it costs no attempt. fenced: another instance has the work.
 */
export class Failure extends Error {
  /**
   * @param {Kind} kind
   * @param {string} message
   * @param {{retryAfterMs?: number|bigint, context?: Record<string, unknown>, taken?: number}} [more] `taken`: of a sink's put, how many
   * leading records were taken
   */
  constructor(kind, message, { retryAfterMs, context = {}, taken = 0 } = {}) {
    super(message);
    this.name = "Failure";
    this.kind = kind;
    this.retryAfterMs = retryAfterMs === undefined ? undefined : BigInt(retryAfterMs);
    this.context = Object.entries(context).map(([name, value]) => [name, String(value)]);
    this.taken = taken;
  }
  /** For a sink's put: how many leading records were taken before it. @param {number} taken */
  after(taken) {
    this.taken = taken;
    return this;
  }
  wire() {
    return { kind: this.kind, message: this.message, retryAfterMs: this.retryAfterMs, context: this.context };
  }
  /** What the host throws, as a Failure; anything else as it is. */
  static of(thrown) {
    const { kind, message, retryAfterMs, context } = thrown?.payload ?? {};
    return kind === undefined ? thrown : new Failure(kind, message, { retryAfterMs, context: Object.fromEntries(context ?? []) });
  }
}

/** Asks the host: an error of its own is thrown as a Failure. */
export function asked(call) {
  try {
    return call();
  } catch (thrown) {
    throw Failure.of(thrown);
  }
}

/**
 * What was thrown, as it crosses. Any other exception than a Failure is a bug of the plugin, which ends the task: of kind fatal, since the host would
 * not hear what it says otherwise.
 */
export function wired(thrown) {
  if (thrown instanceof Failure) {
    return thrown.wire();
  }
  const places = String(thrown?.stack ?? "").split("\n").filter((line) => line.includes("@") || line.trim().startsWith("at "));
  return { kind: "fatal", message: String(thrown), retryAfterMs: undefined, context: places.slice(0, 3).map((line) => ["at", line.trim()]) };
}

/** Hands what is thrown to the host. */
export function guarded(call) {
  try {
    return call();
  } catch (thrown) {
    throw wired(thrown);
  }
}
