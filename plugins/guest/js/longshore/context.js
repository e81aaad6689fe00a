// The task, its clocks, randomness and waits.

import * as host from "longshore:connector/context@0.1.0";

/** Which task this is. @returns {{connector: string, task: number, hostVersion: string, group?: string, exactlyOnce: boolean}} */
export const task = () => host.task();
/** Milliseconds since the Unix epoch. @returns {number} */
export const nowMs = () => Number(host.nowMs());
/** Milliseconds since some moment, with digits behind the point; never falls. @returns {number} */
export const monotonicMs = () => Number(host.monotonicNs()) / 1e6;
/** Cryptographically strong bytes, at most 64 KiB. @param {number} count @returns {Uint8Array} */
export const random = (count) => host.random(count);
/** Waits; true = early, because the task is being stopped. @param {number} ms @returns {boolean} */
export const sleepMs = (ms) => host.sleepMs(Math.min(Math.max(Math.trunc(ms), 0), 0xffff_ffff));
/** Whether the task is being stopped: long work should end. @returns {boolean} */
export const stopping = () => host.stopping();
/** How long the call that is being made may still take; what is under way then is thrown away with the task's memory. @returns {number} */
export const timeLeftMs = () => host.timeLeftMs();
/** Of a source: the work has changed, `plan` is to be asked again. */
export const requestReplan = () => host.requestReplan();
