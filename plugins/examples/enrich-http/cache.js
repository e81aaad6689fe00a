/** Answers by key: those used last, for a while. */
export class Cache {
  // `now`: milliseconds that never fall.
  constructor(entries, ttlMs, now) {
    Object.assign(this, { entries, ttlMs, now, known: new Map() });
  }
  /** undefined = it is not known, or not any more. */
  get(key) {
    const found = this.known.get(key);
    if (found === undefined) {
      return undefined;
    }
    // A Map keeps the order of insertion: the first is what was not used for longest.
    this.known.delete(key);
    if (this.now() - found.at >= this.ttlMs) {
      return undefined;
    }
    this.known.set(key, found);
    return found.value;
  }
  set(key, value) {
    if (this.entries === 0) {
      return;
    }
    if (this.known.size >= this.entries) {
      this.known.delete(this.known.keys().next().value);
    }
    this.known.set(key, { value, at: this.now() });
  }
}
