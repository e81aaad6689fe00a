//! What only one worker of the group may carry out, and how it goes from the worker that was asked to that one.

use super::{
    ConnectorInfo, ConnectorOffsets, ControlError, ControlErrorKind, ControlResult, Stored,
    TargetState,
};
use crate::{ports::Version, task::TaskId};
use longshore_sdk::config::Flat;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// Something that the leader does, or a task's owner. It has no Debug: configs hold secrets (I8).
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Command {
    Create {
        name: String,
        config: Flat,
        initial: TargetState,
    },
    Put {
        name: String,
        config: Flat,
    },
    Patch {
        name: String,
        changes: BTreeMap<String, Option<String>>,
    },
    Delete {
        name: String,
    },
    Stop {
        name: String,
    },
    /// Plans anew and waits for the outcome.
    RestartAlone {
        name: String,
    },
    /// Writes the request to restart, which each worker reads.
    Restart {
        name: String,
        include_tasks: bool,
        only_failed: bool,
    },
    AlterOffsets {
        name: String,
        offsets: ConnectorOffsets,
    },
    ResetOffsets {
        name: String,
    },
    /// This start of a worker is about to leave: others are to have its tasks. No request of anybody, but the worker's own.
    Leave {
        worker: String,
        incarnation: String,
    },
    /// The only one that is not the leader's, but the owner's of the task.
    RestartTask {
        name: String,
        task: u32,
    },
}

impl Command {
    /// The task whose owner carries it out; `None` = the leader does.
    pub(super) fn task(&self) -> Option<TaskId> {
        match self {
            Self::RestartTask { name, task } => Some(TaskId::new(name.as_str(), *task)),
            _ => None,
        }
    }
    /// Whether a worker gives it by itself, and nobody has asked for it.
    pub(super) fn is_own(&self) -> bool {
        matches!(self, Self::Leave { .. })
    }
    /// The connector that it is about; empty where it is about none.
    pub(super) fn connector(&self) -> &str {
        match self {
            Self::Create { name, .. }
            | Self::Put { name, .. }
            | Self::Patch { name, .. }
            | Self::Delete { name }
            | Self::Stop { name }
            | Self::RestartAlone { name }
            | Self::Restart { name, .. }
            | Self::AlterOffsets { name, .. }
            | Self::ResetOffsets { name }
            | Self::RestartTask { name, .. } => name,
            Self::Leave { .. } => "",
        }
    }
    /// What it does, for the audit log.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Put { .. } => "put-config",
            Self::Patch { .. } => "patch-config",
            Self::Delete { .. } => "delete",
            Self::Stop { .. } => "stop",
            Self::RestartAlone { .. } | Self::Restart { .. } => "restart",
            Self::AlterOffsets { .. } => "alter-offsets",
            Self::ResetOffsets { .. } => "reset-offsets",
            Self::Leave { .. } => "leave",
            Self::RestartTask { .. } => "restart-task",
        }
    }
    /// What it does, for the text of a timeout.
    pub(super) fn doing(&self) -> &'static str {
        match self {
            Self::Create { .. } => "creating a connector",
            Self::Put { .. } | Self::Patch { .. } => "writing a connector's config",
            Self::Delete { .. } => "deleting a connector",
            Self::Stop { .. } => "writing a target state",
            Self::RestartAlone { .. } => "restarting a connector",
            Self::Restart { .. } => "writing a restart request",
            Self::AlterOffsets { .. } => "altering a connector's offsets",
            Self::ResetOffsets { .. } => "resetting a connector's offsets",
            Self::Leave { .. } => "handing over the tasks of a worker",
            Self::RestartTask { .. } => "restarting a task",
        }
    }
}

/// A command on its way to another worker: the body that is signed.
#[derive(Serialize, Deserialize)]
pub(super) struct Call<C> {
    /// The caller's worker id.
    pub(super) from: String,
    /// Which start of the caller, and its how many-th call: no call is taken twice.
    pub(super) incarnation: String,
    pub(super) number: u64,
    /// Which start of the called worker: a call that is recorded and sent to a later one is not taken.
    pub(super) to: String,
    /// Names the request for as long as it is tried.
    pub(super) request: String,
    /// Who asked, for the audit log.
    pub(super) user: String,
    pub(super) command: C,
}

/// What a command came to.
#[derive(Serialize, Deserialize)]
pub(super) enum Outcome {
    Nothing,
    Stored(Stored),
    Message(String),
}

/// A command that was carried out.
#[derive(Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) outcome: Outcome,
    /// The worker that was asked answers once its config view has read this far.
    pub(super) versions: Vec<Version>,
}

/// Why a command was not carried out.
pub(super) enum Miss {
    /// Nobody who may was there, or the outcome is unknown: the same request may be tried again.
    Again(String),
    /// It was judged, and refused.
    Refused(ControlError),
}

impl From<ControlError> for Miss {
    fn from(error: ControlError) -> Self {
        Self::Refused(error)
    }
}

/// The body of the answer to a [`Call`].
#[derive(Serialize, Deserialize)]
pub(super) enum Reply {
    Done(Done),
    Again(String),
    Refused(ControlError),
}

impl From<Result<Done, Miss>> for Reply {
    fn from(result: Result<Done, Miss>) -> Self {
        match result {
            Ok(done) => Self::Done(done),
            Err(Miss::Again(why)) => Self::Again(why),
            Err(Miss::Refused(error)) => Self::Refused(error),
        }
    }
}

impl From<Reply> for Result<Done, Miss> {
    fn from(reply: Reply) -> Self {
        match reply {
            Reply::Done(done) => Ok(done),
            Reply::Again(why) => Err(Miss::Again(why)),
            Reply::Refused(error) => Err(Miss::Refused(error)),
        }
    }
}

impl Done {
    /// Nothing to say but how far to read.
    pub(super) fn at(versions: Vec<Version>) -> Self {
        Self {
            outcome: Outcome::Nothing,
            versions,
        }
    }
    /// A stored config.
    pub(super) fn stored(created: bool, info: ConnectorInfo, versions: Vec<Version>) -> Self {
        Self {
            outcome: Outcome::Stored(Stored { created, info }),
            versions,
        }
    }
    /// A text; nothing was written to the config topic.
    pub(super) fn message(text: &str) -> Self {
        Self {
            outcome: Outcome::Message(text.to_owned()),
            versions: Vec::new(),
        }
    }
}

impl Outcome {
    pub(super) fn into_stored(self) -> ControlResult<Stored> {
        match self {
            Self::Stored(stored) => Ok(stored),
            _ => Err(unexpected()),
        }
    }
    pub(super) fn into_message(self) -> ControlResult<String> {
        match self {
            Self::Message(text) => Ok(text),
            _ => Err(unexpected()),
        }
    }
}

/// A worker of another version may answer what this one does not know.
fn unexpected() -> ControlError {
    let text = "The leader answered something else than it was asked for: workers of one group should have the same version";
    ControlError::new(ControlErrorKind::Bug, text)
}

/// The answer of a request that took too long.
pub(super) fn timed_out(doing: &str) -> ControlError {
    let text = format!("Request timed out. The worker is currently {doing}");
    let error = ControlError::new(ControlErrorKind::Timeout, text);
    error.suggest("look whether the broker answers; the request may still be carried out")
}

/// What a forwarded request leaves of its time for its own answer.
pub(super) const ANSWER_IN: Duration = Duration::from_secs(5);
