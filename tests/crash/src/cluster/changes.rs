//! Changes of the connectors through whichever worker, and what every worker must show in the end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use super::transfers::Transfers;
use crate::Fleet;

/// Longer than an election and a start together.
const PATIENCE: Duration = Duration::from_secs(90);

/// The connectors as the proof wants them.
pub(super) struct Changes {
    /// The last config of each that was acknowledged.
    wanted: BTreeMap<String, Value>,
    /// Those that carry records, by what they do: makes numbers, copies them.
    numbers: String,
    copy: String,
    transfers: Vec<String>,
    side: String,
    made: u32,
    asked_again: u32,
}

impl Changes {
    pub(super) fn new(transfers: &Transfers) -> Self {
        let connectors = transfers.connectors();
        Self {
            wanted: connectors.iter().cloned().collect(),
            numbers: transfers.numbers(),
            copy: transfers.copy(),
            transfers: connectors.iter().map(|(name, _)| name.clone()).collect(),
            side: transfers.name("side"),
            made: 0,
            asked_again: 0,
        }
    }

    /// One change, or two that end where they began.
    pub(super) fn make(&mut self, fleet: &Fleet, random: &mut StdRng) -> Result<()> {
        let name = self.transfers.choose(random).context("a transfer")?.clone();
        match random.random_range(0..7) {
            0 => self.set(fleet, random, &self.numbers.clone(), "rate", 100, 300)?,
            1 => self.set(fleet, random, &self.numbers.clone(), "tasks.max", 1, 4)?,
            2 => self.set(fleet, random, &self.copy.clone(), "tasks.max", 1, 3)?,
            3 => self.there_and_back(fleet, random, &name, "pause")?,
            4 => self.there_and_back(fleet, random, &name, "stop")?,
            5 => {
                let path = format!("/connectors/{name}/restart?includeTasks=true");
                self.ask(fleet, random, "POST", &path, None)?;
            }
            _ => self.toggle_side(fleet, random)?,
        }
        self.made += 1;
        Ok(())
    }

    fn set(
        &mut self,
        fleet: &Fleet,
        random: &mut StdRng,
        name: &str,
        key: &str,
        from: u32,
        below: u32,
    ) -> Result<()> {
        let mut config = self.wanted.get(name).context("a connector")?.clone();
        config[key] = random.random_range(from..below).to_string().into();
        let path = format!("/connectors/{name}/config");
        self.ask(fleet, random, "PUT", &path, Some(&config))?;
        self.wanted.insert(name.to_owned(), config);
        Ok(())
    }

    fn there_and_back(
        &mut self,
        fleet: &Fleet,
        random: &mut StdRng,
        name: &str,
        what: &str,
    ) -> Result<()> {
        self.ask(
            fleet,
            random,
            "PUT",
            &format!("/connectors/{name}/{what}"),
            None,
        )?;
        std::thread::sleep(Duration::from_millis(random.random_range(0..1500)));
        self.ask(
            fleet,
            random,
            "PUT",
            &format!("/connectors/{name}/resume"),
            None,
        )
    }

    /// A connector that carries nothing that counts comes and goes.
    fn toggle_side(&mut self, fleet: &Fleet, random: &mut StdRng) -> Result<()> {
        let side = self.side.clone();
        if self.wanted.remove(&side).is_some() {
            return self.ask(
                fleet,
                random,
                "DELETE",
                &format!("/connectors/{side}"),
                None,
            );
        }
        let rate = random.random_range(1..20).to_string();
        let config =
            json!({ "connector.class": "datagen", "tasks.max": "2", "topic": side, "rate": rate });
        let path = format!("/connectors/{side}/config");
        self.ask(fleet, random, "PUT", &path, Some(&config))?;
        self.wanted.insert(side, config);
        Ok(())
    }

    /// Asks whichever worker, and another one where that one is busy, gone or without a leader. Errors: a refusal that waiting does not change.
    fn ask(
        &mut self,
        fleet: &Fleet,
        random: &mut StdRng,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<()> {
        let start = Instant::now();
        let mut unsure = false;
        loop {
            let awake = fleet.awake();
            let number = *awake.choose(random).context("a worker that is awake")?;
            let said = match fleet.answer(number, method, path, body) {
                Ok(answer) if (200..300).contains(&answer.status) => return Ok(()),
                // It was done by the call whose answer was lost.
                Ok(answer) if unsure && method == "DELETE" && answer.status == 404 => return Ok(()),
                Ok(answer) if answer.status == 503 => answer.body,
                Ok(answer) => bail!(
                    "worker {number} answers {method} {path} with {} {}",
                    answer.status,
                    answer.body
                ),
                Err(error) => {
                    unsure = true;
                    format!("{error:#}")
                }
            };
            self.asked_again += 1;
            ensure!(
                start.elapsed() < PATIENCE,
                "{method} {path} is not taken for {PATIENCE:?}, the last answer is worker {number}'s: {said}\n{}",
                fleet.log_tails()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// What was changed, in words.
    pub(super) fn report(&self) -> String {
        format!(
            "  changes through whichever worker: {}, asked again {} times",
            self.made, self.asked_again
        )
    }

    /// Waits until every worker shows the connectors as they were acknowledged last.
    pub(super) fn settle(&self, fleet: &mut Fleet) -> Result<()> {
        fleet.within(PATIENCE, "every worker to show the last changes", |fleet| {
            Ok(self.check(fleet).is_ok())
        })?;
        self.check(fleet)
    }

    /// Errors: a worker shows another config than the last one that was acknowledged, or a connector that was deleted.
    pub(super) fn check(&self, fleet: &Fleet) -> Result<()> {
        for number in fleet.awake() {
            let shown = fleet.ask(number, "GET", "/connectors?expand=info", None)?;
            let shown = shown.as_object().context("no object")?;
            // On a broker that is shared, this group's topics are its own: there is nothing else.
            let names: Vec<&String> = shown.keys().collect();
            ensure!(
                shown.len() == self.wanted.len(),
                "worker {number} shows {names:?}, wanted are {:?}",
                self.wanted.keys()
            );
            for (name, wanted) in &self.wanted {
                let info = shown
                    .get(name)
                    .with_context(|| format!("worker {number} shows no {name}"))?;
                ensure!(
                    same(&info["info"]["config"], wanted),
                    "worker {number} shows {name} as {}, the last change was {wanted}",
                    info["info"]["config"]
                );
            }
        }
        Ok(())
    }
}

/// Whether a config is the one that was written: a worker adds its name.
pub(super) fn same(shown: &Value, wanted: &Value) -> bool {
    let mut shown = shown.clone();
    if let Some(shown) = shown.as_object_mut() {
        shown.remove("name");
    }
    shown == *wanted
}
