//! Several workers of one group, some of them dead or frozen at times.

use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use longshore_kit::servers::{Answer, wait_until};
use serde_json::Value;

use crate::postgres::steer::at_rest;
use crate::{Home, Worker};

/// Longer than an election, a session and a worker's start together.
const PATIENCE: Duration = Duration::from_secs(60);
/// A restart's pause may have grown as long as the fault before it.
const REST_MAX: Duration = Duration::from_secs(180);

/// The workers of a home, by number. Those that run are killed when this value is dropped.
#[derive(Debug)]
pub struct Fleet {
    workers: Vec<Option<Worker>>,
    // Order matters: the processes go before their folder.
    home: Home,
}

impl Fleet {
    /// Starts every worker of `home`, and waits until all answer and take requests.
    pub fn start(home: Home) -> Result<Self> {
        let mut fleet = Self {
            workers: (0..home.workers()).map(|_| None).collect(),
            home,
        };
        for number in 0..fleet.workers.len() {
            fleet.raise(number, None)?;
        }
        for worker in fleet.workers.iter_mut().flatten() {
            worker.ready()?;
        }
        fleet.until("every worker to be healthy", |fleet| {
            Ok(fleet
                .awake()
                .into_iter()
                .all(|number| fleet.healthy(number)))
        })?;
        Ok(fleet)
    }

    /// Where they work.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// How many there are, running or not.
    pub fn len(&self) -> usize {
        self.workers.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.workers.is_empty()
    }

    /// Starts a worker that does not run; `crash_at` is what LONGSHORE_CRASH_AT says. Does not wait for it.
    pub fn raise(&mut self, number: usize, crash_at: Option<&str>) -> Result<()> {
        ensure!(
            self.workers[number].is_none(),
            "worker {number} runs already"
        );
        self.workers[number] = Some(self.home.start_worker(number, crash_at)?);
        Ok(())
    }

    /// One more worker of the group, with keys that override the group's; waits until it is healthy. Its number.
    pub fn join(&mut self, more: &[(&str, &str)]) -> Result<usize> {
        let number = self.home.add_worker(more)?;
        self.workers.push(None);
        self.raise(number, None)?;
        self.worker(number)?.ready()?;
        self.until("the new worker to be healthy", |fleet| {
            Ok(fleet.healthy(number))
        })?;
        Ok(number)
    }

    /// A worker that runs or is frozen. Errors: it does not run.
    pub fn worker(&mut self, number: usize) -> Result<&mut Worker> {
        let worker = self.workers[number].as_mut();
        worker.with_context(|| format!("worker {number} does not run"))
    }

    /// SIGKILL, and it is gone. An error when it had ended by itself.
    pub fn kill(&mut self, number: usize) -> Result<()> {
        self.worker(number)?.kill()?;
        self.workers[number] = None;
        Ok(())
    }

    /// SIGTERM, and an end in order.
    pub fn stop_one(&mut self, number: usize) -> Result<()> {
        let worker = self.workers[number].take();
        worker
            .with_context(|| format!("worker {number} does not run"))?
            .stop()
    }

    /// SIGTERM to each in turn.
    pub fn stop(mut self) -> Result<()> {
        (0..self.workers.len())
            .filter(|number| self.workers[*number].is_some())
            .collect::<Vec<_>>()
            .into_iter()
            .try_for_each(|number| self.stop_one(number))
    }

    /// One that has ended by itself since the last look, with its status; it counts as not running from now on.
    pub fn ended(&mut self) -> Result<Option<(usize, ExitStatus)>> {
        for (number, slot) in self.workers.iter_mut().enumerate() {
            if let Some(worker) = slot
                && let Some(status) = worker.exited()?
            {
                *slot = None;
                return Ok(Some((number, status)));
            }
        }
        Ok(None)
    }

    /// Those that run and are not frozen.
    pub fn awake(&self) -> Vec<usize> {
        let awake = |worker: &Option<Worker>| worker.as_ref().is_some_and(|one| !one.is_frozen());
        (0..self.workers.len())
            .filter(|number| awake(&self.workers[*number]))
            .collect()
    }

    /// Whether a worker is through with its start.
    pub fn healthy(&self, number: usize) -> bool {
        self.ask(number, "GET", "/health", None).is_ok()
    }

    /// What one worker answers with success. Errors: it does not run, another status, no answer.
    pub fn ask(
        &self,
        number: usize,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value> {
        let worker = self.workers[number].as_ref();
        worker
            .with_context(|| format!("worker {number} does not run"))?
            .rest(method, path, body)
    }

    /// What one worker answers, whatever the status. Errors: it does not run, or does not answer.
    pub fn answer(
        &self,
        number: usize,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer> {
        let worker = self.workers[number].as_ref();
        worker
            .with_context(|| format!("worker {number} does not run"))?
            .answer(method, path, body)
    }

    /// The REST port of each worker.
    pub fn ports(&self) -> Vec<u16> {
        (0..self.len())
            .map(|number| self.home.port(number))
            .collect()
    }

    /// The first successful answer of any worker that is awake, asked in turns for a minute: one that starts, or has no leader yet, says 503.
    /// Errors: an answer 4xx or 500, which waiting does not change; nobody answers well.
    pub fn rest(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let mut said = String::from("no worker is awake");
        let mut found = None;
        wait_until(PATIENCE, || {
            for number in self.awake() {
                let worker = self.workers[number].as_ref();
                let answer = worker.map(|worker| worker.answer(method, path, body));
                match answer.context("it is awake")? {
                    Ok(answer) if (200..300).contains(&answer.status) => {
                        found = Some(answer.json()?);
                        return Ok(true);
                    }
                    // 409: Kafka Connect's word for "a rebalance is under way", and ours while a worker reads its topics.
                    Ok(answer) if !matches!(answer.status, 409 | 503 | 504) => {
                        bail!("{method} {path}: {} {}", answer.status, answer.body)
                    }
                    Ok(answer) => said = format!("{} {}", answer.status, answer.body),
                    Err(error) => said = format!("{error:#}"),
                }
            }
            Ok(false)
        })?;
        found.with_context(|| {
            format!("{method} {path}: nobody answers well for {PATIENCE:?}, the last: {said}")
        })
    }

    /// The status of a connector as any worker has it.
    pub fn status(&self, connector: &str) -> Result<Value> {
        self.rest("GET", &format!("/connectors/{connector}/status"), None)
    }

    /// The same as each worker that is awake has it; nothing of one that takes no requests yet. Errors: nobody answers well.
    pub fn statuses(&self, connector: &str) -> Result<Vec<(usize, Value)>> {
        let path = format!("/connectors/{connector}/status");
        let ask = |number| Some((number, self.ask(number, "GET", &path, None).ok()?));
        let all: Vec<(usize, Value)> = self.awake().into_iter().filter_map(ask).collect();
        ensure!(!all.is_empty(), "nobody shows the status of {connector}");
        Ok(all)
    }

    /// Which worker runs a task, as the status says; `None` while it is not RUNNING anywhere.
    pub fn owner(&self, connector: &str, task: u64) -> Result<Option<usize>> {
        let status = self.status(connector)?;
        let tasks = status["tasks"].as_array().map_or(&[][..], Vec::as_slice);
        let running = tasks
            .iter()
            .find(|at| at["id"] == task && at["state"] == "RUNNING");
        Ok(running.and_then(|task| self.number_of(&task["worker_id"])))
    }

    /// Which workers run a task, as each of them says itself by its metrics; a frozen one is not asked.
    pub fn holders(&self, connector: &str, task: u64) -> Result<Vec<usize>> {
        let labels = format!("{{connector=\"{connector}\",task=\"{task}\"}}");
        let mut holders = Vec::new();
        for number in self.awake() {
            let worker = self.workers[number].as_ref().context("it is awake")?;
            if worker
                .answer("GET", "/metrics", None)?
                .body
                .contains(&labels)
            {
                holders.push(number);
            }
        }
        Ok(holders)
    }

    /// The number of the worker that a status calls so.
    pub fn number_of(&self, worker_id: &Value) -> Option<usize> {
        (0..self.len()).find(|number| self.home.worker_id(*number) == *worker_id)
    }

    /// Waits until a task is RUNNING on a worker that `good` accepts.
    pub fn owner_when(
        &mut self,
        connector: &str,
        task: u64,
        good: impl Fn(usize) -> bool,
    ) -> Result<usize> {
        let mut owner = None;
        self.until("the task to run where it should", |fleet| {
            owner = fleet.owner(connector, task)?.filter(|number| good(*number));
            Ok(owner.is_some())
        })?;
        owner.context("the task runs")
    }

    /// Creates or changes a connector, and waits until all its tasks run.
    pub fn put(&mut self, connector: &str, config: &Value) -> Result<()> {
        let path = format!("/connectors/{connector}/config");
        self.rest("PUT", &path, Some(config))?;
        self.until(&format!("{connector} to run"), |fleet| {
            let status = match fleet.status(connector) {
                // A connector that was created a moment ago has none yet.
                Err(error) if error.to_string().contains(": 404 ") => return Ok(false),
                status => status?,
            };
            let tasks = status["tasks"].as_array().map_or(&[][..], Vec::as_slice);
            let known = fleet.rest("GET", &format!("/connectors/{connector}"), None)?;
            let wanted = known["tasks"].as_array().map_or(0, Vec::len);
            let runs = tasks.iter().filter(|task| task["state"] == "RUNNING");
            Ok(wanted > 0 && runs.count() == wanted)
        })
    }

    /// Waits until a connector's tasks run, are behind nothing, and have nothing to complain about, twice with a pause in between: late writes of
    /// one that was frozen get their time.
    pub(crate) fn settled(&mut self, connector: &str) -> Result<()> {
        for _ in 0..2 {
            let mut last = Vec::new();
            let rest = self.within(REST_MAX, "the connector to come to rest", |fleet| {
                last = fleet.statuses(connector)?;
                Ok(last.iter().all(|(_, status)| at_rest(status)))
            });
            rest.with_context(|| format!("{connector}: {last:?}"))?;
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    }

    /// Waits for a condition; fails with the ends of the logs when a worker ends by itself, or a minute passes.
    pub fn until(
        &mut self,
        what: &str,
        ready: impl FnMut(&mut Self) -> Result<bool>,
    ) -> Result<()> {
        self.within(PATIENCE, what, ready)
    }

    /// Waits for a condition, at most for `limit`.
    pub fn within(
        &mut self,
        limit: Duration,
        what: &str,
        mut ready: impl FnMut(&mut Self) -> Result<bool>,
    ) -> Result<()> {
        let good = wait_until(limit, || {
            self.nobody_ended(what)?;
            ready(self)
        });
        let why = match good {
            Ok(true) => return Ok(()),
            Ok(false) => format!("waited {limit:?} for {what}, in vain"),
            Err(error) => format!("waiting for {what}: {error:#}"),
        };
        bail!("{why}\n{}", self.log_tails())
    }

    fn nobody_ended(&mut self, what: &str) -> Result<()> {
        for (number, worker) in self.workers.iter_mut().enumerate() {
            if let Some(worker) = worker
                && let Some(status) = worker.exited()?
            {
                bail!("worker {number} ended by itself ({status}) during the wait for {what}");
            }
        }
        Ok(())
    }

    /// The last lines that each worker wrote, for error messages.
    pub fn log_tails(&self) -> String {
        let tail = |number| {
            let log = std::fs::read(self.home.log(number)).unwrap_or_default();
            let text = String::from_utf8_lossy(&log).into_owned();
            // The client library's complaints about connections would hide ours.
            let lines: Vec<&str> = text
                .lines()
                .filter(|line| !line.contains("[thrd:"))
                .collect();
            let last = lines[lines.len().saturating_sub(15)..].join("\n");
            format!(
                "-- worker {number} ({}):\n{last}",
                self.home.worker_id(number)
            )
        };
        (0..self.len()).map(tail).collect::<Vec<_>>().join("\n")
    }
}
