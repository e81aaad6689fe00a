//! Who the task is, clocks, dice and waits.

use super::Services;
use crate::bindings::host::longshore::connector::context::{Host, TaskInfo};
use std::{
    sync::LazyLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// The most that `random` gives at once.
const RANDOM_MAX: usize = 64 * 1024;

/// Where `monotonic-ns` counts from.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Host for Services {
    async fn task(&mut self) -> wasmtime::Result<TaskInfo> {
        Ok(TaskInfo {
            connector: self.caller.connector.to_string(),
            task: self.caller.task.unwrap_or(0),
            host_version: self.host_version.clone(),
            group: self.caller.group.clone(),
            exactly_once: self.caller.exactly_once,
        })
    }
    async fn now_ms(&mut self) -> wasmtime::Result<u64> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Ok(since.map_or(0, |since| since.as_millis() as u64))
    }
    async fn monotonic_ns(&mut self) -> wasmtime::Result<u64> {
        Ok(START.elapsed().as_nanos() as u64)
    }
    async fn random(&mut self, count: u32) -> wasmtime::Result<Vec<u8>> {
        let count = count as usize;
        if count > RANDOM_MAX {
            // Fewer bytes than asked for would be worse than none.
            return Err(wasmtime::Error::msg(format!(
                "context.random was asked for {count} bytes; it gives {RANDOM_MAX} at most"
            )));
        }
        let mut bytes = vec![0; count];
        aws_lc_rs::rand::fill(&mut bytes)
            .map_err(|_| wasmtime::Error::msg("this system has no source of random numbers"))?;
        Ok(bytes)
    }
    async fn sleep_ms(&mut self, ms: u32) -> wasmtime::Result<bool> {
        let time = Duration::from_millis(ms.into());
        let stopping = self.caller.stopping.clone();
        Ok(tokio::time::timeout(time, stopping.wait()).await.is_ok())
    }
    async fn stopping(&mut self) -> wasmtime::Result<bool> {
        Ok(self.caller.stopping.is_set())
    }
    async fn time_left_ms(&mut self) -> wasmtime::Result<u32> {
        // Outside of a call there is nothing to be late for.
        let left = self.deadline.map_or(Duration::ZERO, |deadline| {
            deadline.saturating_duration_since(tokio::time::Instant::now())
        });
        Ok(u32::try_from(left.as_millis()).unwrap_or(u32::MAX))
    }
    async fn request_replan(&mut self) -> wasmtime::Result<()> {
        if let Some(replan) = &self.caller.replan {
            replan();
        }
        Ok(())
    }
}
