//! A connector of a worker, steered and looked at by REST.

use std::time::Duration;

use anyhow::{Result, ensure};
use longshore_kit::servers::wait_until;
use serde_json::Value;

use crate::Worker;

/// A call that takes longer than this is worth a complaint.
const STANDING_MS: u64 = 10_000;

impl Worker {
    /// Creates a connector, once the worker has read its topics. Errors: it is refused, with the answer.
    pub(crate) fn run(&self, connector: &Value) -> Result<()> {
        let healthy = wait_until(Duration::from_secs(60), || {
            Ok(self.rest("GET", "/health", None).is_ok())
        })?;
        ensure!(
            healthy,
            "the worker takes no requests:\n{}",
            self.log_tail()
        );
        self.rest("POST", "/connectors", Some(connector)).map(drop)
    }

    /// What the status of a connector's tasks says beyond RUNNING; see [`complaints`].
    pub(crate) fn complaints(&self, connector: &str) -> Result<Vec<String>> {
        let status = self.rest("GET", &format!("/connectors/{connector}/status"), None)?;
        Ok(complaints(&status))
    }

    /// Waits until the connector's tasks run, are behind nothing, and have nothing to complain about, twice with a pause in between: late writes
    /// of one that was frozen get their time.
    pub(crate) fn settled(&mut self, connector: &str) -> Result<()> {
        let path = format!("/connectors/{connector}/status");
        for _ in 0..2 {
            let mut last = Value::Null;
            let good = wait_until(Duration::from_secs(120), || {
                last = self.rest("GET", &path, None)?;
                Ok(at_rest(&last))
            })?;
            ensure!(
                good,
                "{connector} does not come to rest: {last}\n{}",
                self.log_tail()
            );
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    }
}

/// What a connector's status says of its tasks beyond RUNNING: why one failed, is opened again, or stands still. Nothing where all is well.
pub(crate) fn complaints(status: &Value) -> Vec<String> {
    by_task(status).into_iter().map(|(_, said)| said).collect()
}

/// The same with the task's number.
pub(crate) fn by_task(status: &Value) -> Vec<(u64, String)> {
    let said = |text: &Value| text.as_str().map(str::to_owned);
    let of = |task: &Value| {
        let x = &task["x"];
        let blocked = said(&x["progress"]["blocked_on"]);
        let idle = x["progress"]["idle_ms"].as_u64().unwrap_or(0);
        // A call's name, such as "put", says where the task is; that it has been there for long says that something is wrong. Else it is an error.
        let blocked = match blocked {
            Some(call) if !call.contains(':') => (idle >= STANDING_MS)
                .then(|| format!("RUNNING, and for {idle} ms it has been in {call}")),
            other => other,
        };
        let idle_hands = (x["progress"]["partitions"] == 0)
            .then(|| "RUNNING, and it owns no partition".to_owned());
        let number = task["id"].as_u64().unwrap_or_default();
        let state = said(&task["state"]).filter(|state| state != "RUNNING");
        let all = [
            said(&task["trace"]),
            said(&x["reason"]),
            said(&x["restart"]["reason"]),
            said(&x["progress"]["unknown"]),
            blocked,
            idle_hands,
            state,
        ];
        all.into_iter().flatten().map(move |said| (number, said))
    };
    tasks(status).iter().flat_map(of).collect()
}

/// Whether a connector's tasks run, are behind nothing, and have nothing to complain about.
pub(crate) fn at_rest(status: &Value) -> bool {
    let caught_up = |task: &Value| {
        task["state"] == "RUNNING" && task["x"]["progress"]["lag"].as_i64().unwrap_or(0) == 0
    };
    let tasks = tasks(status);
    !tasks.is_empty() && tasks.iter().all(caught_up) && complaints(status).is_empty()
}

fn tasks(status: &Value) -> &[Value] {
    status["tasks"].as_array().map_or(&[], Vec::as_slice)
}
