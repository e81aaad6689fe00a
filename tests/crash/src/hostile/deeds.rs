//! The hostile connectors.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::super::Fleet;

/// What one of them knows and tells.
pub(super) const SECRET: &str = "hunter2-of-the-proof";
/// The good pair's topic, which hostile sinks read.
const TOPIC: &str = "good-in";

/// Where a deed is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plugin {
    Source,
    Sink,
    /// Of a source that behaves.
    Transform,
}

/// A connector with a misdeed, and how it must end.
pub(super) struct Deed {
    pub(super) name: &'static str,
    plugin: Plugin,
    misbehave: &'static str,
    /// The trace has one of these; without any its task goes on.
    causes: &'static [&'static str],
}

const LATE: &str = "did not return within";

const fn deed(
    name: &'static str,
    plugin: Plugin,
    misbehave: &'static str,
    causes: &'static [&'static str],
) -> Deed {
    Deed {
        name,
        plugin,
        misbehave,
        causes,
    }
}

/// All of them.
pub(super) const DEEDS: &[Deed] = &[
    deed("loop-in-poll", Plugin::Source, "poll:loop", &[LATE]),
    deed("loop-in-put", Plugin::Sink, "put:loop", &[LATE]),
    deed("loop-in-apply", Plugin::Transform, "apply:loop", &[LATE]),
    deed(
        "memory-in-poll",
        Plugin::Source,
        "poll:memory",
        &["ran out of memory"],
    ),
    deed(
        "memory-in-put",
        Plugin::Sink,
        "put:memory",
        &["ran out of memory"],
    ),
    deed(
        "memory-in-apply",
        Plugin::Transform,
        "apply:memory",
        &["ran out of memory"],
    ),
    deed("stack", Plugin::Source, "poll:stack", &["stack overflow"]),
    deed(
        "frames",
        Plugin::Transform,
        "apply:frames",
        &["overflowed its stack"],
    ),
    deed(
        "panic-in-poll",
        Plugin::Source,
        "poll:panic",
        &["on purpose in poll"],
    ),
    deed(
        "panic-in-put",
        Plugin::Sink,
        "put:panic",
        &["on purpose in put"],
    ),
    deed(
        "panic-in-flush",
        Plugin::Sink,
        "flush:panic",
        &["on purpose in flush"],
    ),
    deed(
        "garbage-in-poll",
        Plugin::Source,
        "poll:falling-ends",
        &["its ends fall"],
    ),
    deed(
        "garbage-in-put",
        Plugin::Sink,
        "put:row-number",
        &["there is no row"],
    ),
    deed(
        "garbage-in-apply",
        Plugin::Transform,
        "apply:keep-mark",
        &["neither 0 nor 1"],
    ),
    deed("huge-value", Plugin::Source, "poll:huge-value", &[""]),
    deed("flood", Plugin::Source, "poll:flood", &[]),
    deed("close-loop", Plugin::Source, "close:loop", &[]),
    deed("close-sleep", Plugin::Sink, "close:sleep", &[]),
    // Ten thousand in vain, or as many as the call's time allows.
    deed(
        "requests",
        Plugin::Source,
        "poll:requests",
        &["10000 of 10000 refused", LATE],
    ),
    deed("secret", Plugin::Source, "poll:betray", &["the secret is"]),
    deed(
        "secret-panic",
        Plugin::Source,
        "poll:betray-panic",
        &["on purpose, the secret is"],
    ),
];

impl Deed {
    /// Whether its task has no end, or a late one.
    pub(super) fn is_endless(&self) -> bool {
        self.causes.is_empty() || self.causes == [LATE]
    }

    pub(super) fn create(&self, fleet: &Fleet) -> Result<()> {
        let path = format!("/connectors/{}/config", self.name);
        fleet.rest("PUT", &path, Some(&self.config())).map(drop)
    }

    fn config(&self) -> Value {
        let string = "org.apache.kafka.connect.storage.StringConverter";
        let mut config = match self.plugin {
            Plugin::Source => json!({
                "connector.class": "probe-source", "misbehave": self.misbehave, "secret": SECRET,
            }),
            Plugin::Sink => json!({
                "connector.class": "probe-sink", "misbehave": self.misbehave, "topics": TOPIC,
            }),
            Plugin::Transform => json!({
                "connector.class": "probe-source", "transforms": "t",
                "transforms.t.type": "probe-transform", "transforms.t.misbehave": self.misbehave,
            }),
        };
        if self.plugin != Plugin::Sink {
            let more = json!({ "topic": format!("of-{}", self.name), "count": 1_000_000_000, "idle": 100 });
            if let (Some(config), Some(more)) = (config.as_object_mut(), more.as_object()) {
                config.extend(more.clone());
            }
        }
        for key in ["key.converter", "value.converter"] {
            config[key] = string.into();
        }
        config
    }

    /// Has a failed one do it again.
    pub(super) fn again(&self, fleet: &Fleet) -> Result<()> {
        if self.causes.is_empty() {
            return Ok(());
        }
        let path = format!(
            "/connectors/{}/restart?includeTasks=true&onlyFailed=true",
            self.name
        );
        fleet.rest("POST", &path, None).map(drop)
    }

    /// Whether its task is there.
    pub(super) fn began(&self, fleet: &Fleet) -> Result<bool> {
        let status = fleet.statuses(self.name);
        Ok(status.is_ok_and(|all| all.iter().all(|(_, status)| status["tasks"][0].is_object())))
    }

    /// How it ended, once it has: FAILED with a trace that blames the plugin, or RUNNING, as it should be; else what is wrong.
    pub(super) fn end(&self, fleet: &Fleet) -> Result<Option<Result<(), String>>> {
        let Ok(all) = fleet.statuses(self.name) else {
            // It was created a moment ago.
            return Ok(None);
        };
        let status = &all[0].1;
        ensure!(!status.to_string().contains(SECRET), "I8: {status}");
        let task = &status["tasks"][0];
        if self.causes.is_empty() {
            let wrong = format!("{} should go on: {status}", self.name);
            // Unless the machine is so busy that its call took too long.
            let late = task["trace"]
                .as_str()
                .is_some_and(|trace| trace.contains(LATE));
            return Ok(match task["state"].as_str() {
                Some("RUNNING") => Some(Ok(())),
                Some("FAILED") if late => Some(Ok(())),
                Some("FAILED") => Some(Err(wrong)),
                _ => None,
            });
        }
        if task["state"] != "FAILED" {
            return Ok(None);
        }
        let trace = task["trace"].as_str().unwrap_or_default();
        let plugin = match self.plugin {
            Plugin::Source => "the plugin probe-source 1.0.0",
            Plugin::Sink => "the plugin probe-sink 1.2.3",
            Plugin::Transform => "the plugin probe-transform 1.0.0-rc.1",
        };
        let named = trace.contains(plugin) && self.causes.iter().any(|cause| trace.contains(cause));
        let wrong = format!(
            "{} does not name {plugin} and {:?}: {trace}",
            self.name, self.causes
        );
        Ok(Some(if named { Ok(()) } else { Err(wrong) }))
    }

    /// Errors: the worker does not take it away in time.
    pub(super) fn delete(&self, fleet: &Fleet, patience: Duration) -> Result<()> {
        let start = Instant::now();
        let path = format!("/connectors/{}", self.name);
        let answer = fleet.answer(0, "DELETE", &path, None)?;
        let took = start.elapsed();
        ensure!(
            answer.status == 204,
            "{path}: {} {}",
            answer.status,
            answer.body
        );
        ensure!(took <= patience, "DELETE {path} took {took:?}");
        Ok(())
    }
}
