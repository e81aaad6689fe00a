// Sinks.

import { parsed, planner, plugin } from "./config.js";
import { Failure, guarded, wired } from "./failure.js";
import { records, rowErrors } from "./records.js";

/** The exports of a sink: a class with `static info`, `static schema`, `constructor(config)`, `put(records, refuse)` and `flush(upto)`. */
export function sink(type) {
  let task;
  return {
    plugin: plugin(type),
    planner: planner(type, (tasksMax) => Array.from({ length: tasksMax }, () => [])),
    sinkTask: {
      start(config) {
        task = guarded(() => new type(parsed(type, config)));
      },
      assigned: (at) => guarded(() => task.assigned?.(at)),
      put(batch) {
        const refused = [];
        try {
          task.put(records(batch), (record, failure) => refused.push([record.row, failure]));
        } catch (thrown) {
          const taken = thrown instanceof Failure ? thrown.taken : 0;
          // What lies behind comes again, and is judged again.
          const known = refused.filter(([at]) => at < taken);
          throw { error: wired(thrown), taken, refused: rowErrors(known) };
        }
        return rowErrors(refused);
      },
      flush: (upto) => guarded(() => task.flush(upto)),
      revoked: (at) => guarded(() => task.revoked?.(at)),
      close() {
        task?.close?.();
        task = undefined;
      },
    },
  };
}
