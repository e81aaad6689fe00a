//! The records of the status topic, byte for byte.

use crate::views::text;
use bytes::Bytes;
use serde::Deserialize;

/// A key of the status topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Connector(String),
    Task(String, u32),
    Topic { topic: String, connector: String },
}

impl Key {
    pub(super) fn parse(key: &[u8]) -> Option<Self> {
        let key = std::str::from_utf8(key).ok()?.strip_prefix("status-")?;
        if let Some(name) = key.strip_prefix("connector-") {
            Some(Self::Connector(name.to_owned()))
        } else if let Some(rest) = key.strip_prefix("task-") {
            // Connectors' names may hold dashes: the number stands at the end.
            let (name, task) = rest.rsplit_once('-')?;
            Some(Self::Task(name.to_owned(), task.parse().ok()?))
        } else {
            // A topic's name holds no colon.
            let (topic, connector) = key.strip_prefix("topic-")?.split_once(":connector-")?;
            Some(Self::Topic {
                topic: topic.to_owned(),
                connector: connector.to_owned(),
            })
        }
    }
    pub(super) fn bytes(&self) -> Bytes {
        Bytes::from(match self {
            Self::Connector(name) => format!("status-connector-{name}"),
            Self::Task(name, task) => format!("status-task-{name}-{task}"),
            Self::Topic { topic, connector } => {
                format!("status-topic-{topic}:connector-{connector}")
            }
        })
    }
}

/// A state; tasks are never STOPPED.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum State {
    Unassigned,
    Running,
    Paused,
    Stopped,
    Failed,
    Restarting,
    Destroyed,
}

impl State {
    /// Whether a worker that says so of a task has it: it runs, rests, or is about to.
    pub fn is_live(self) -> bool {
        !matches!(
            self,
            Self::Unassigned | Self::Failed | Self::Destroyed | Self::Stopped
        )
    }
    /// As records and answers spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unassigned => "UNASSIGNED",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
            Self::Failed => "FAILED",
            Self::Restarting => "RESTARTING",
            Self::Destroyed => "DESTROYED",
        }
    }
}

/// How a connector or task is, and who says so.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Status {
    /// The state.
    pub state: State,
    /// Why it failed.
    #[serde(default)]
    pub trace: Option<String>,
    /// The worker that says so.
    #[serde(default)]
    pub worker_id: String,
    /// Of a task: the assignment generation that the worker has it under. Of a connector: the worker's view of the group.
    #[serde(default)]
    pub generation: i32,
    /// The plugin's version; older workers do not write it.
    #[serde(default)]
    pub version: Option<String>,
}

/// How much of a trace is kept.
const TRACE_MAX: usize = 32 << 10;

impl Status {
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        serde_json::from_slice(value).ok()
    }
    /// The value of its record.
    pub(super) fn json(&self) -> Bytes {
        let mut json = format!("{{\"state\":\"{}\",\"trace\":", self.state.name());
        optional(self.trace.as_deref().map(shortened), &mut json);
        json.push_str(",\"worker_id\":");
        text::string(&self.worker_id, &mut json);
        json.push_str(&format!(",\"generation\":{},\"version\":", self.generation));
        optional(self.version.as_deref(), &mut json);
        json.push('}');
        Bytes::from(json)
    }
    /// Whether this worker should say it although `now` stands there: not the same again; and a worker that lets go does not speak
    /// over one that took over, nor hide a failure.
    pub(super) fn replaces(&self, now: &Self) -> bool {
        if now.is_newer_than(self) {
            return false;
        }
        if self.state == State::Unassigned {
            let taken_over = now.worker_id != self.worker_id && now.generation == self.generation;
            if taken_over || now.state == State::Failed {
                return false;
            }
        }
        self.says_else(now)
    }
    /// The same for a connector, of which the leader alone speaks: the generation is each worker's own count of its views, so that the next
    /// leader's may be less. One that leaves takes back its own word only.
    pub(super) fn follows(&self, now: &Self) -> bool {
        let own = now.worker_id == self.worker_id && now.state != State::Failed;
        (own || self.state != State::Unassigned) && self.says_else(now)
    }
    fn says_else(&self, now: &Self) -> bool {
        (self.state, &self.trace, &self.worker_id, &self.version)
            != (now.state, &now.trace, &now.worker_id, &now.version)
    }
    /// Whether another worker has the task under a later assignment than the one that `other` speaks of.
    pub(super) fn is_newer_than(&self, other: &Self) -> bool {
        self.worker_id != other.worker_id && self.generation > other.generation
    }
}

fn optional(value: Option<&str>, into: &mut String) {
    match value {
        Some(value) => text::string(value, into),
        None => into.push_str("null"),
    }
}

fn shortened(trace: &str) -> &str {
    let mut end = trace.len().min(TRACE_MAX);
    while !trace.is_char_boundary(end) {
        end -= 1;
    }
    &trace[..end]
}

/// A topic that a connector used.
pub(super) struct TopicUse {
    pub(super) topic: String,
    pub(super) connector: String,
    pub(super) task: u32,
    pub(super) discovered_ms: i64,
}

impl TopicUse {
    /// The value of its record.
    pub(super) fn json(&self) -> Bytes {
        let mut json = String::from("{\"topic\":{\"name\":");
        text::string(&self.topic, &mut json);
        json.push_str(",\"connector\":");
        text::string(&self.connector, &mut json);
        json.push_str(&format!(
            ",\"task\":{},\"discoverTimestamp\":{}}}}}",
            self.task, self.discovered_ms
        ));
        Bytes::from(json)
    }
}
