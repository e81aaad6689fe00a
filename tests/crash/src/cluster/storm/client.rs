//! One client: it writes its own connectors, one after the other, until each write is acknowledged.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use longshore_kit::servers::{Answer, http_with_head};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::Wanted;
use super::same;

/// A write that nobody takes for so long is a fault.
const TAKEN_MAX: Duration = Duration::from_secs(60);

/// What clients were answered.
#[derive(Debug, Default)]
pub(super) struct Tally {
    created: u64,
    changed: u64,
    deleted: u64,
    read_back: u64,
    /// 503 with a Retry-After.
    refused: u64,
    /// No answer: nobody listened, or the connection ended.
    unanswered: u64,
    slowest: Duration,
    /// Answers that no client should get.
    wrong: Vec<String>,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.created += other.created;
        self.changed += other.changed;
        self.deleted += other.deleted;
        self.read_back += other.read_back;
        self.refused += other.refused;
        self.unanswered += other.unanswered;
        self.slowest = self.slowest.max(other.slowest);
        self.wrong.extend(other.wrong);
    }

    pub(super) fn writes(&self) -> u64 {
        self.created + self.changed + self.deleted
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    pub(super) fn report(&self) -> String {
        format!(
            "  acknowledged: {} created, {} changed, {} deleted; {} read back; {} times 503 with Retry-After, {} calls without an answer; the slowest write took {:.1} s",
            self.created,
            self.changed,
            self.deleted,
            self.read_back,
            self.refused,
            self.unanswered,
            self.slowest.as_secs_f64()
        )
    }

    /// Errors: an answer that no client should get.
    pub(super) fn verdict(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.wrong.is_empty(),
            "{} wrong answers, the first: {}",
            self.wrong.len(),
            self.wrong[..self.wrong.len().min(5)].join("\n  ")
        );
        Ok(())
    }
}

/// A client and its connectors.
pub(super) struct Client {
    topic: String,
    wanted: Wanted,
    names: Vec<String>,
    ports: Vec<u16>,
    random: StdRng,
    version: u64,
    tally: Tally,
}

/// How a call ended.
enum End {
    Answer(Answer),
    /// It was not taken, for certain.
    Refused,
    /// Whether it was taken is not known.
    Unsure,
}

impl Client {
    pub(super) fn new(
        group: &str,
        names: impl Iterator<Item = String>,
        ports: &[u16],
        seed: u64,
    ) -> Self {
        let names: Vec<String> = names.collect();
        Self {
            topic: format!("{group}-records"),
            wanted: names
                .iter()
                .map(|name| (name.clone(), None))
                .collect::<BTreeMap<_, _>>(),
            names,
            ports: ports.to_vec(),
            random: StdRng::seed_from_u64(seed),
            version: 0,
            tally: Tally::default(),
        }
    }

    /// Writes until told to stop; what it wants now, and what it was answered.
    pub(super) fn run(mut self, stop: &AtomicBool) -> (Wanted, Tally) {
        while !stop.load(Ordering::Relaxed) {
            let Some(name) = self.names.choose(&mut self.random).cloned() else {
                break;
            };
            self.write(&name);
            std::thread::sleep(Duration::from_millis(self.random.random_range(0..200)));
        }
        (self.wanted, self.tally)
    }

    fn write(&mut self, name: &str) {
        self.version += 1;
        let there = self.wanted.get(name).cloned().flatten();
        let version = self.version.to_string();
        let path = format!("/connectors/{name}");
        let start = Instant::now();
        let (next, port) = match there {
            None => {
                // A few run; the others are there to be written.
                let state = if self.random.random_bool(0.1) {
                    "RUNNING"
                } else {
                    "STOPPED"
                };
                let config = json!({
                    "connector.class": "datagen", "tasks.max": "1", "topic": self.topic, "rate": "1", "seed": version,
                });
                let body = json!({ "name": name, "config": config, "initial_state": state });
                let port = self.until_taken("POST", "/connectors", Some(&body), 409);
                self.tally.created += u64::from(port.is_some());
                (Some(config), port)
            }
            Some(mut config) => match self.random.random_range(0..10) {
                0..2 => {
                    let port = self.until_taken("DELETE", &path, None, 404);
                    self.tally.deleted += u64::from(port.is_some());
                    (None, port)
                }
                2..5 => {
                    let patch = json!({ "seed": version });
                    config["seed"] = version.into();
                    let port =
                        self.until_taken("PATCH", &format!("{path}/config"), Some(&patch), 0);
                    self.tally.changed += u64::from(port.is_some());
                    (Some(config), port)
                }
                _ => {
                    config["seed"] = version.into();
                    let port = self.until_taken("PUT", &format!("{path}/config"), Some(&config), 0);
                    self.tally.changed += u64::from(port.is_some());
                    (Some(config), port)
                }
            },
        };
        self.tally.slowest = self.tally.slowest.max(start.elapsed());
        if let Some(port) = port {
            self.wanted.insert(name.to_owned(), next.clone());
            self.read_back(port, name, next.as_ref());
        }
    }

    /// Repeats a write at whichever worker until it is acknowledged; the port of the one that did. `done` is the status that says, after an
    /// unsure call, that it had been taken.
    fn until_taken(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        done: u16,
    ) -> Option<u16> {
        let (start, mut unsure) = (Instant::now(), false);
        let mut answer = None;
        while start.elapsed() < TAKEN_MAX {
            let port = *self.ports.choose(&mut self.random)?;
            match self.call(port, method, path, body) {
                End::Answer(answer) if answer.status < 300 => return Some(port),
                End::Answer(answer) if unsure && answer.status == done => return Some(port),
                End::Answer(said) => {
                    answer = Some(said);
                    break;
                }
                End::Refused => {}
                End::Unsure => unsure = true,
            }
            std::thread::sleep(Duration::from_millis(self.random.random_range(50..300)));
        }
        let said = answer.map_or_else(
            || format!("is not taken for {TAKEN_MAX:?}"),
            |said| format!("is answered {} {}", said.status, said.body),
        );
        self.tally.wrong.push(format!("{method} {path} {said}"));
        None
    }

    /// One call. 503 with a Retry-After is no fault; it does not say whether somebody took the write.
    fn call(&mut self, port: u16, method: &str, path: &str, body: Option<&Value>) -> End {
        match http_with_head(port, method, path, body) {
            Ok((answer, head)) if answer.status == 503 => {
                if head.to_ascii_lowercase().contains("\r\nretry-after:") {
                    self.tally.refused += 1;
                } else {
                    let wrong =
                        format!("{method} {path}: 503 without Retry-After: {}", answer.body);
                    self.tally.wrong.push(wrong);
                }
                End::Unsure
            }
            Ok((answer, _)) => End::Answer(answer),
            Err(error) => {
                self.tally.unanswered += 1;
                let kind = error
                    .downcast_ref::<std::io::Error>()
                    .map(std::io::Error::kind);
                match kind {
                    Some(ErrorKind::ConnectionRefused) => End::Refused,
                    _ => End::Unsure,
                }
            }
        }
    }

    /// Who acknowledged a write shows it from then on.
    fn read_back(&mut self, port: u16, name: &str, wanted: Option<&Value>) {
        let path = format!("/connectors/{name}/config");
        // Gone, or back and not through with its start: it has nothing to show.
        let End::Answer(answer) = self.call(port, "GET", &path, None) else {
            return;
        };
        self.tally.read_back += 1;
        let right = match wanted {
            None => answer.status == 404,
            Some(wanted) => {
                answer.status == 200 && answer.json().is_ok_and(|shown| same(&shown, wanted))
            }
        };
        if !right {
            self.tally.wrong.push(format!(
                "GET {path} right after an acknowledged write of {wanted:?}: {} {}",
                answer.status, answer.body
            ));
        }
    }
}
