//! The task, its clocks, randomness and waits; off WASM, the machine's.

use std::time::Duration;

/// Which task this is.
#[derive(Clone, Debug)]
pub struct TaskInfo {
    /// The connector's name.
    pub connector: String,
    /// The task's number.
    pub task: u32,
    /// Of the host: semantic version.
    pub host_version: String,
    /// Of a sink: its consumer group.
    pub group: Option<String>,
    /// Of a sink: whether a target that can keep offsets is to keep them.
    pub exactly_once: bool,
}

#[cfg(target_family = "wasm")]
mod host {
    use super::{Duration, TaskInfo};
    use crate::abi::longshore::connector::{context, secrets};

    pub(super) fn task() -> TaskInfo {
        let task = context::task();
        TaskInfo {
            connector: task.connector,
            task: task.task,
            host_version: task.host_version,
            group: task.group,
            exactly_once: task.exactly_once,
        }
    }
    pub(super) fn sleep(time: Duration) -> bool {
        context::sleep_ms(u32::try_from(time.as_millis()).unwrap_or(u32::MAX))
    }
    pub(super) use context::{
        monotonic_ns, now_ms, random, request_replan, stopping, time_left_ms,
    };
    pub(super) use secrets::get as secret;
}

#[cfg(not(target_family = "wasm"))]
mod host {
    use super::{Duration, TaskInfo};
    use std::time::{Instant, SystemTime};

    pub(super) fn task() -> TaskInfo {
        TaskInfo {
            connector: "test".to_owned(),
            task: 0,
            host_version: "0.0.0".to_owned(),
            group: None,
            exactly_once: false,
        }
    }
    pub(super) fn now_ms() -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
    }
    pub(super) fn monotonic_ns() -> u64 {
        thread_local! {
            static START: Instant = Instant::now();
        }
        START.with(|start| u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
    /// Not random enough for more than tests.
    pub(super) fn random(count: u32) -> Vec<u8> {
        let mut state = monotonic_ns() | 1;
        let next = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state.to_be_bytes()[0]
        });
        next.take(count as usize).collect()
    }
    pub(super) fn sleep(_: Duration) -> bool {
        false
    }
    pub(super) fn stopping() -> bool {
        false
    }
    pub(super) fn time_left_ms() -> u32 {
        u32::MAX
    }
    pub(super) fn request_replan() {}
    pub(super) fn secret(_: &str) -> Option<String> {
        None
    }
}

/// Which task this is.
pub fn task() -> TaskInfo {
    host::task()
}

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> u64 {
    host::now_ms()
}

/// Nanoseconds since some moment; never falls.
pub fn monotonic_ns() -> u64 {
    host::monotonic_ns()
}

/// Cryptographically strong bytes, at most 64 KiB.
pub fn random(count: u32) -> Vec<u8> {
    host::random(count)
}

/// Waits; true = early, because the task is being stopped. Off WASM it does not wait.
pub fn sleep(time: Duration) -> bool {
    host::sleep(time)
}

/// Whether the task is being stopped: long work should end.
pub fn stopping() -> bool {
    host::stopping()
}

/// How long the call that is being made may still take; what is under way then is thrown away. Off WASM there is no end.
pub fn time_left() -> Duration {
    Duration::from_millis(host::time_left_ms().into())
}

/// Of a source: the work has changed, `plan` is to be asked again.
pub fn request_replan() {
    host::request_replan();
}

pub(crate) fn secret(key: &str) -> Option<String> {
    host::secret(key)
}
