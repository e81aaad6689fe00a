// Log lines, lower case. The host adds connector and task, limits the rate, cuts what is long and blots out known secrets.
//
//   log.warn("the page is empty", { page: 7 });

import * as host from "longshore:connector/log@0.1.0";

/** Whether lines of this level are wanted at all. @param {"trace"|"debug"|"info"|"warn"|"error"} level */
export const enabled = (level) => host.enabled(level);

/** Writes a line, if its level is wanted. @param {Record<string, unknown>} [fields] */
export function line(level, message, fields = {}) {
  if (host.enabled(level)) {
    host.log(level, message, Object.entries(fields).map(([name, value]) => [name, String(value)]));
  }
}

export const debug = (message, fields) => line("debug", message, fields);
export const info = (message, fields) => line("info", message, fields);
export const warn = (message, fields) => line("warn", message, fields);
export const error = (message, fields) => line("error", message, fields);
