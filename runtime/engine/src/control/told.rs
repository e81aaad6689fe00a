//! What only the workers that run tasks know of them. Who is asked for statuses asks each of those once, for all tasks together, and not for long.

use super::{
    Control, TaskStateInfo,
    called::Answered,
    command::{Call, Miss},
    forward::foreign,
};
use crate::{ports::Member, providers::scrub, task::TaskId, views::status::State};
use bytes::Bytes;
use futures::future::join_all;
use longshore_sdk::ErrorKind;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::Instant;

/// How long the other workers together have to answer: a status is not waited for any longer.
const TELL_MAX: Duration = Duration::from_secs(1);

/// What one worker asks another. It changes nothing, so that it stands in no audit log.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Question {
    /// How a connector's tasks are there; `None` = those of all connectors.
    Tasks { connector: Option<String> },
}

/// The body of the answer to a [`Question`].
#[derive(Serialize, Deserialize)]
enum Answer {
    Told(Told),
    /// This start of the worker was not asked.
    Again(String),
}

/// What a worker knows of its tasks.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Told {
    /// Why it moves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    out: Option<String>,
    connectors: BTreeMap<String, OfConnector>,
}

#[derive(Default, Serialize, Deserialize)]
struct OfConnector {
    /// Why its tasks here give less than the config promises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lowered: Option<String>,
    tasks: BTreeMap<u32, OfTask>,
}

/// A task as its worker shows it.
#[derive(Serialize, Deserialize)]
pub(super) struct OfTask {
    state: String,
    /// Only what is not in the status topic yet: traces may be long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x: Option<Value>,
}

impl Told {
    /// Why the worker moves nothing.
    pub(super) fn out(&self) -> Option<&str> {
        self.out.as_deref()
    }
    /// `None` = the worker does not have the task.
    pub(super) fn of(&self, connector: &str, task: u32) -> Option<&OfTask> {
        self.connectors.get(connector)?.tasks.get(&task)
    }
}

impl OfTask {
    /// Its worker's word counts more than what was read of it.
    pub(super) fn over(&self, shown: &mut TaskStateInfo) {
        if self.trace.is_some() || self.state != shown.state {
            shown.trace.clone_from(&self.trace);
        }
        shown.state.clone_from(&self.state);
        shown.x.clone_from(&self.x);
    }
}

/// What other workers have told, by their ids; or why one has not.
pub(super) struct Others(BTreeMap<String, Result<Told, Silence>>);

/// Why a worker has told nothing, in words.
pub(super) enum Silence {
    /// It is not in the group: what it ran goes to another one.
    Gone(String),
    /// It does not answer: how its tasks are is not known.
    Mute(String),
}

impl Silence {
    pub(super) fn words(&self) -> &str {
        match self {
            Self::Gone(words) | Self::Mute(words) => words,
        }
    }
}

impl Others {
    /// Nobody was asked: nothing is shown of what they know.
    pub(super) fn not_asked() -> Self {
        Self(BTreeMap::new())
    }
    /// What a worker has told; `None` = it was not asked.
    pub(super) fn of(&self, worker_id: &str) -> Option<Result<&Told, &Silence>> {
        Some(self.0.get(worker_id)?.as_ref())
    }
    /// Why any of a connector's tasks gives less than its config promises.
    pub(super) fn lowered(&self, connector: &str) -> Option<String> {
        let mut told = self.0.values().filter_map(|told| told.as_ref().ok());
        told.find_map(|told| told.connectors.get(connector)?.lowered.clone())
    }
}

impl Control {
    /// Asks other workers, each once and all at the same time (I6).
    pub(super) async fn ask(&self, connector: Option<&str>, workers: BTreeSet<String>) -> Others {
        if workers.is_empty() {
            return Others::not_asked();
        }
        let until = Instant::now() + TELL_MAX;
        let company = self.cx.whereabouts.company(&self.cx.view());
        let ask = |worker_id: String| {
            // Listed twice, a worker has died and come back: the address is the same.
            let member = company.iter().rfind(|member| member.worker_id == worker_id);
            async move {
                let told = match member {
                    None => Err(Silence::Gone(format!(
                        "the worker {worker_id} is not in the group: its tasks go to another one"
                    ))),
                    Some(member) => {
                        let told = tokio::time::timeout_at(until, self.ask_one(member, connector));
                        let told = told.await.unwrap_or_else(|_| Err(late(member)));
                        told.map_err(Silence::Mute)
                    }
                };
                (worker_id, told)
            }
        };
        Others(
            join_all(workers.into_iter().map(ask))
                .await
                .into_iter()
                .collect(),
        )
    }
    async fn ask_one(&self, member: &Member, connector: Option<&str>) -> Result<Told, String> {
        let question = Question::Tasks {
            connector: connector.map(str::to_owned),
        };
        let me = self.cx.view().me;
        let sent = self.call(&question, &Bytes::new(), &me, member).await;
        let sent = sent.map_err(|miss| match miss {
            Miss::Again(why) => format!("the worker at {} was not asked: {why}", member.url()),
            Miss::Refused(error) => error.message,
        })?;
        let answer = sent.map_err(|error| {
            tracing::debug!(worker = %member.url(), %error, "another worker could not be asked for its tasks");
            match error.kind() {
                ErrorKind::Auth => format!(
                    "the worker at {} is of a version that does not tell, or has another session key",
                    member.url()
                ),
                _ => scrub(error.message()).into_owned(),
            }
        })?;
        match serde_json::from_slice(&answer) {
            Ok(Answer::Told(told)) => Ok(told),
            Ok(Answer::Again(why)) => Err(why),
            Err(_) => Err(foreign(member)),
        }
    }

    /// Answers another worker's question. `body` comes with a signature that was found to be right.
    pub(super) fn tell(&self, body: &[u8]) -> Answered {
        let Ok(call) = serde_json::from_slice::<Call<Question>>(body) else {
            // A worker of another version, perhaps: it has the key.
            return Answered::Refused("it cannot be read");
        };
        let me = self.cx.view().me;
        let answer = if call.to != me.incarnation {
            Answer::Again(format!("the worker at {} was started anew", me.url()))
        } else if !self.calls.take(&call.incarnation, call.number) {
            return Answered::Refused("it was taken before");
        } else {
            let Question::Tasks { connector } = call.command;
            Answer::Told(self.told(connector.as_deref()))
        };
        match serde_json::to_vec(&answer) {
            Ok(answer) => Answered::Reply(Bytes::from(answer), None),
            Err(_) => Answered::Refused("its answer cannot be written"),
        }
    }
    /// What this worker knows of its own tasks.
    fn told(&self, connector: Option<&str>) -> Told {
        let out = self.out();
        let names = match connector {
            Some(name) => vec![name.to_owned()],
            None => self.connectors(),
        };
        let of = |name: &String| {
            let tasks = self.task_statuses(name).into_iter();
            let tasks = tasks.filter(|(_, status)| status.worker_id == self.cx.settings.worker_id);
            let tasks = tasks.map(|(task, status)| {
                let id = TaskId::new(name.as_str(), task);
                let (state, x) = self.own_state(&id, status.state, out.as_deref());
                let halted = self.halted(state);
                let unwritten = status.trace.filter(|_| !self.cx.status.is_written(&id));
                let state = halted.as_ref().map_or(state, |_| State::Failed);
                let (trace, state) = (halted.or(unwritten), state.name().to_owned());
                (task, OfTask { state, trace, x })
            });
            let lowered = self.cx.lowered.of(name);
            OfConnector {
                lowered: lowered.map(|reason| scrub(&reason).into_owned()),
                tasks: tasks.collect(),
            }
        };
        let connectors = names.into_iter().filter_map(|name| {
            let known = of(&name);
            (known.lowered.is_some() || !known.tasks.is_empty()).then_some((name, known))
        });
        Told {
            connectors: connectors.collect(),
            out,
        }
    }
}

fn late(member: &Member) -> String {
    let limit = TELL_MAX.as_secs();
    format!(
        "the worker at {} did not answer within {limit} s",
        member.url()
    )
}
