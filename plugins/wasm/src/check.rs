//! What an author is told of a plugin before anybody runs it: how it answers bad input, and whether it keeps what it promises.
//!
//! It runs on the same traits as the engine, without one. A plugin may refuse a config that was made up for it, and may be refused what it
//! asks the host for: neither is wrong. A trap, a call that does not come back and an answer that breaks the contract are.

mod compare;
mod group;
mod sample;
mod sink;
mod source;
mod transform;

use crate::{Loaded, Registered};
use longshore_sdk::{
    Error, ErrorKind,
    config::{Definition, Finding, Flat},
};
use std::{future::Future, time::Duration};

/// What came of one case.
#[derive(Clone, Debug)]
pub struct Case {
    /// What was looked at.
    pub case: &'static str,
    /// Whether it was in order.
    pub ok: bool,
    /// What was seen, or what is wrong.
    pub note: String,
}

/// Longer than any call of a plugin may take by default.
const CALL_MAX: Duration = Duration::from_secs(60);

/// Goes through the cases that fit the plugin. `config` is one that the plugin's author knows to work; without it one is made up from the
/// schema, and less can be seen. It blocks, for minutes if the plugin hangs in every call; it must not be called within a runtime of tokio's.
pub fn check(loaded: &Loaded, config: Option<&Flat>) -> Vec<Case> {
    let mut cases = Cases::default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(all(loaded, config, &mut cases)),
        Err(error) => cases.add("start", Err(error.to_string())),
    }
    cases.0
}

async fn all(loaded: &Loaded, config: Option<&Flat>, cases: &mut Cases) {
    let definition = match &loaded.plugin {
        Registered::Source(source) => source.definition(),
        Registered::Sink(sink) => sink.definition(),
        Registered::Transform(transform) => (transform.definition)(),
    };
    cases.add("describe", described(loaded));
    cases.add("schema", documented(&definition));
    let made_up = sample::config(&definition);
    let good = config.unwrap_or(&made_up);
    let told = definition.check(good);
    cases.add("config", fits(&told, config.is_some()));
    if !told.is_empty() {
        return;
    }
    match &loaded.plugin {
        Registered::Source(source) => {
            source::check(loaded, source.as_ref(), good, cases).await;
        }
        Registered::Sink(sink) => sink::check(loaded, sink.as_ref(), good, cases).await,
        Registered::Transform(transform) => {
            transform::check(loaded, transform, good, cases).await;
        }
    }
}

#[derive(Default)]
struct Cases(Vec<Case>);

impl Cases {
    fn add(&mut self, case: &'static str, outcome: Result<String, String>) {
        let ok = outcome.is_ok();
        let note = outcome.unwrap_or_else(|problem| problem);
        self.0.push(Case { case, ok, note });
    }
}

fn described(loaded: &Loaded) -> Result<String, String> {
    if loaded.vendor.trim().is_empty() {
        return Err("describe names no vendor".to_owned());
    }
    let (name, version) = (loaded.name, loaded.version);
    Ok(format!("{name} {version} by {}", loaded.vendor))
}

fn documented(definition: &Definition) -> Result<String, String> {
    let silent = definition.keys.iter();
    let silent = silent.filter(|key| key.documentation.is_empty());
    let silent: Vec<&str> = silent.map(|key| key.name.as_str()).collect();
    if silent.is_empty() {
        return Ok(format!("{} keys, each described", definition.keys.len()));
    }
    Err(format!("keys without a description: {}", silent.join(", ")))
}

fn fits(told: &[Finding], given: bool) -> Result<String, String> {
    let texts: Vec<String> = told.iter().map(ToString::to_string).collect();
    match (texts.is_empty(), given) {
        (true, true) => Ok("the given config fits the schema".to_owned()),
        (true, false) => Ok("made up from the schema; give one that works to see more".to_owned()),
        (false, true) => Err(texts.join("; ")),
        (false, false) => Err(format!(
            "no config could be made up from the schema, give one: {}",
            texts.join("; ")
        )),
    }
}

/// Waits for a call that the host ends by itself, and says so if it does not.
async fn in_time<T>(
    call: impl Future<Output = longshore_sdk::Result<T>>,
) -> longshore_sdk::Result<T> {
    let late = || {
        Error::bug(
            "check",
            format!("no answer within {} s", CALL_MAX.as_secs()),
        )
    };
    let answer = tokio::time::timeout(CALL_MAX, call).await;
    answer.unwrap_or_else(|_| Err(late()))
}

/// An error that a plugin may give; a broken promise is none.
fn allowed(error: &Error) -> Result<String, String> {
    match error.kind() {
        ErrorKind::Bug => Err(error.message().to_owned()),
        kind => Ok(format!("it answers {}: {}", kind.name(), error.message())),
    }
}

/// How a case ended: an answer of the plugin's may end it early.
type Outcome = longshore_sdk::Result<Result<String, String>>;

/// What an early end says.
fn judged(outcome: Outcome) -> Result<String, String> {
    outcome.unwrap_or_else(|error| allowed(&error))
}

/// An error that passes by itself: the same call is made again.
fn passes(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Transient | ErrorKind::Throttled(_))
}

/// Takes the network away from the plugin until it is dropped.
struct Outage<'a>(&'a Loaded);

impl<'a> Outage<'a> {
    fn of(loaded: &'a Loaded) -> Self {
        loaded.provisions.cut_network(true);
        Self(loaded)
    }
}

impl Drop for Outage<'_> {
    fn drop(&mut self) {
        self.0.provisions.cut_network(false);
    }
}

/// Plans for several numbers of tasks, each twice.
fn planned(
    plans: &[(u32, Vec<longshore_sdk::Share>, Vec<longshore_sdk::Share>)],
) -> Result<String, String> {
    for (tasks, plan, again) in plans {
        if plan.len() > *tasks as usize {
            return Err(format!("{} shares for {tasks} tasks", plan.len()));
        }
        if plan != again {
            return Err(format!(
                "two plans for {tasks} tasks differ: tasks would restart without need"
            ));
        }
    }
    let counts = plans
        .iter()
        .map(|(tasks, plan, _)| format!("{} for {tasks}", plan.len()));
    Ok(format!("shares: {}", counts.collect::<Vec<_>>().join(", ")))
}

/// What a check of the system found, which is for the config's author; that it broke is for the plugin's. The two look alike in the engine's
/// answers, so that the host's own words tell.
fn looked(found: &[Finding]) -> Result<String, String> {
    let broke = |text: &&Finding| {
        text.key.is_empty() && text.problem.ends_with("its instance was thrown away")
    };
    match found.iter().find(broke) {
        Some(broke) => Err(broke.problem.clone()),
        None => Ok(format!("{} findings", found.len())),
    }
}

/// The same of several answers: the first that is not allowed.
fn none_breaks(answers: &[(&str, Option<Error>)]) -> Result<String, String> {
    for (what, error) in answers {
        if let Some(Err(problem)) = error.as_ref().map(allowed) {
            return Err(format!("{what}: {problem}"));
        }
    }
    Ok(format!("{} answers, none breaks anything", answers.len()))
}
