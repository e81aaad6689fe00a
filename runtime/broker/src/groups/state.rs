//! The state machine of one group. Synchronous and told the time, so that tests need neither sockets nor clocks.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use indexmap::IndexMap;
use kafka_protocol::error::ResponseError;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::subscription::names_topic;
use crate::config::Config;

/// What the configuration says about groups.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(super) session_ms: std::ops::RangeInclusive<i32>,
    pub(super) initial_delay: Duration,
    pub(super) max_members: usize,
}

impl Rules {
    pub(crate) fn new(config: &Config) -> Rules {
        Rules {
            session_ms: config.group_min_session_timeout_ms..=config.group_max_session_timeout_ms,
            initial_delay: Duration::from_millis(config.group_initial_rebalance_delay_ms),
            max_members: config.limits.group_members,
        }
    }
}

/// Where a group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Empty,
    /// Members are joining the next generation.
    Preparing,
    /// They have joined; the leader has not sent the assignment yet.
    Completing,
    Stable,
    /// Deleted; whoever still holds it has to look again.
    Dead,
}

impl Phase {
    /// The protocol's name for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Phase::Empty => "Empty",
            Phase::Preparing => "PreparingRebalance",
            Phase::Completing => "CompletingRebalance",
            Phase::Stable => "Stable",
            Phase::Dead => "Dead",
        }
    }
}

/// A request to join.
#[derive(Debug)]
pub(crate) struct Joining {
    pub(crate) member_id: String,
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session_ms: i32,
    pub(crate) rebalance_ms: i32,
    pub(crate) protocol_type: String,
    pub(crate) protocols: Vec<(String, Bytes)>,
    /// From JoinGroup 4 on a new member is given its id first, and joins with it.
    pub(crate) id_first: bool,
}

/// A generation, as told to a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) generation: i32,
    pub(crate) protocol: String,
    pub(crate) leader: String,
    /// For the leader only: id, instance, metadata of everybody.
    pub(crate) members: Vec<(String, Option<String>, Bytes)>,
}

/// The answer to a request to join.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct JoinReply {
    pub(crate) outcome: Result<Joined, ResponseError>,
    pub(crate) member_id: String,
}

/// The answer to a request for an assignment.
pub(crate) type SyncReply = Result<Bytes, ResponseError>;

/// Who claims to be a member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who<'a> {
    pub(crate) member_id: &'a str,
    pub(crate) instance: Option<&'a str>,
    pub(crate) generation: i32,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(super) session: Duration,
    pub(super) rebalance: Duration,
    pub(super) protocols: Vec<(String, Bytes)>,
    pub(crate) assignment: Bytes,
    pub(super) join: Option<oneshot::Sender<JoinReply>>,
    pub(super) sync: Option<oneshot::Sender<SyncReply>>,
    pub(super) deadline: Instant,
}

impl Member {
    /// What the member said about `protocol`.
    pub(crate) fn metadata(&self, protocol: Option<&str>) -> Bytes {
        self.protocols
            .iter()
            .find(|(name, _)| Some(name.as_str()) == protocol)
            .map(|(_, m)| m.clone())
            .unwrap_or_default()
    }

    /// It waits for an answer: it is alive whatever its deadline says.
    pub(super) fn waits(&self) -> bool {
        self.join.is_some() || self.sync.is_some()
    }

    pub(super) fn answer_join(&mut self, reply: JoinReply) {
        if let Some(join) = self.join.take() {
            // Gone is gone: its session runs out.
            let _ = join.send(reply);
        }
    }

    pub(super) fn answer_sync(&mut self, reply: SyncReply) {
        if let Some(sync) = self.sync.take() {
            let _ = sync.send(reply);
        }
    }
}

/// One group.
#[derive(Debug)]
pub(crate) struct State {
    pub(super) rules: Rules,
    pub(crate) phase: Phase,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(super) leader: Option<String>,
    pub(crate) members: IndexMap<String, Member>,
    /// Ids given out and not yet joined with.
    pub(super) promised: HashMap<String, Instant>,
    /// Static members: instance to member id.
    pub(super) instances: HashMap<String, String>,
    /// When joining (or handing out the assignment) has to be over.
    pub(super) phase_ends: Option<Instant>,
    /// The first generation waits until then for more members.
    pub(super) not_before: Option<Instant>,
    /// A task looks after the deadlines.
    pub(crate) watched: bool,
}

impl State {
    pub(crate) fn new(rules: Rules) -> State {
        State {
            rules,
            phase: Phase::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: IndexMap::new(),
            promised: HashMap::new(),
            instances: HashMap::new(),
            phase_ends: None,
            not_before: None,
            watched: false,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.promised.is_empty()
    }

    /// Marks the group deleted.
    pub(crate) fn bury(&mut self) -> Result<(), ResponseError> {
        if !self.members.is_empty() {
            return Err(ResponseError::NonEmptyGroup);
        }
        self.phase = Phase::Dead;
        Ok(())
    }

    /// Whether a member subscribes to `topic`, as far as its metadata can be read.
    pub(crate) fn subscribes(&self, topic: &str) -> bool {
        self.members.values().any(|m| {
            m.protocols
                .iter()
                .any(|(_, metadata)| names_topic(metadata, topic))
        })
    }

    /// Whether this is a member of this very generation; says what is wrong if not.
    fn known(&self, who: &Who<'_>) -> Result<(), ResponseError> {
        if let Some(holder) = who.instance.and_then(|i| self.instances.get(i))
            && holder != who.member_id
        {
            return Err(ResponseError::FencedInstanceId);
        }
        if self.phase == Phase::Dead || !self.members.contains_key(who.member_id) {
            return Err(ResponseError::UnknownMemberId);
        }
        if who.generation != self.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        Ok(())
    }

    fn refresh(&mut self, member_id: &str, now: Instant) {
        if let Some(member) = self.members.get_mut(member_id) {
            member.deadline = now + member.session;
        }
    }

    pub(crate) fn heartbeat(&mut self, who: &Who<'_>, now: Instant) -> Result<(), ResponseError> {
        self.known(who)?;
        self.refresh(who.member_id, now);
        if self.phase == Phase::Preparing {
            Err(ResponseError::RebalanceInProgress)
        } else {
            Ok(())
        }
    }

    /// Whether offsets may be committed in this name. A group without members takes them from anybody who claims no generation.
    pub(crate) fn may_commit(
        &mut self,
        who: &Who<'_>,
        transactional: bool,
        now: Instant,
    ) -> Result<(), ResponseError> {
        let unclaimed = who.generation < 0 && who.member_id.is_empty();
        if unclaimed && (transactional || self.members.is_empty()) {
            return Ok(());
        }
        self.known(who)?;
        self.refresh(who.member_id, now);
        if self.phase == Phase::Completing {
            Err(ResponseError::RebalanceInProgress)
        } else {
            Ok(())
        }
    }

    /// Takes a member's request for its assignment, and the leader's plan.
    pub(crate) fn sync(
        &mut self,
        who: &Who<'_>,
        assignments: Vec<(String, Bytes)>,
        now: Instant,
    ) -> Result<oneshot::Receiver<SyncReply>, ResponseError> {
        self.known(who)?;
        self.refresh(who.member_id, now);
        let (answer, receiver) = oneshot::channel();
        let Some(member) = self.members.get_mut(who.member_id) else {
            return Err(ResponseError::UnknownMemberId);
        };
        match self.phase {
            Phase::Stable => drop(answer.send(Ok(member.assignment.clone()))),
            Phase::Completing => {
                member.sync = Some(answer);
                if self.leader.as_deref() == Some(who.member_id) {
                    self.assign(assignments, now);
                }
            }
            Phase::Preparing => return Err(ResponseError::RebalanceInProgress),
            Phase::Empty | Phase::Dead => return Err(ResponseError::UnknownMemberId),
        }
        Ok(receiver)
    }

    fn assign(&mut self, assignments: Vec<(String, Bytes)>, now: Instant) {
        let mut planned: HashMap<String, Bytes> = assignments.into_iter().collect();
        for (id, member) in &mut self.members {
            member.assignment = planned.remove(id).unwrap_or_default();
            member.deadline = now + member.session;
            member.answer_sync(Ok(member.assignment.clone()));
        }
        self.phase = Phase::Stable;
        self.phase_ends = None;
    }

    /// Lets a member go at its own wish.
    pub(crate) fn leave(&mut self, member_id: &str, now: Instant) -> Result<(), ResponseError> {
        if self.promised.remove(member_id).is_some() {
            self.complete_if_all_joined(now);
            return Ok(());
        }
        if !self.members.contains_key(member_id) {
            return Err(ResponseError::UnknownMemberId);
        }
        self.remove(member_id);
        self.rebalance_after_loss(now);
        Ok(())
    }

    /// Takes a member out, answering whatever it waits for.
    pub(super) fn remove(&mut self, member_id: &str) {
        let Some(mut member) = self.members.shift_remove(member_id) else {
            return;
        };
        member.answer_join(JoinReply {
            outcome: Err(ResponseError::UnknownMemberId),
            member_id: member_id.to_owned(),
        });
        member.answer_sync(Err(ResponseError::UnknownMemberId));
        if let Some(instance) = &member.instance {
            self.instances.remove(instance);
        }
        if self.leader.as_deref() == Some(member_id) {
            self.leader = None;
        }
    }

    /// Lets everything happen whose time has come: promised ids, sessions, the end of a phase.
    pub(crate) fn expire(&mut self, now: Instant) {
        let promised = self.promised.len();
        self.promised.retain(|_, until| *until > now);
        let mut lost = promised != self.promised.len();
        let late: Vec<String> = self
            .members
            .iter()
            .filter(|(_, m)| !m.waits() && m.deadline <= now)
            .map(|(id, _)| id.clone())
            .collect();
        for id in late {
            tracing::info!(member = id, "group member is gone: its session ran out");
            self.remove(&id);
            lost = true;
        }
        let over = self.phase_ends.is_some_and(|at| at <= now);
        if over && self.phase == Phase::Completing {
            let silent: Vec<String> = self
                .members
                .iter()
                .filter(|(_, m)| m.sync.is_none())
                .map(|(id, _)| id.clone())
                .collect();
            for id in silent {
                self.remove(&id);
            }
            lost = true;
        }
        if over && self.phase == Phase::Preparing {
            self.promised.clear();
            self.complete_join(now);
        } else if lost {
            self.rebalance_after_loss(now);
        } else if self.not_before.is_some_and(|at| at <= now) {
            self.complete_if_all_joined(now);
        }
    }

    /// When [`State::expire`] has to be called next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let sessions = self
            .members
            .values()
            .filter(|m| !m.waits())
            .map(|m| m.deadline);
        let delay = self.not_before.filter(|_| self.phase == Phase::Preparing);
        sessions
            .chain(self.promised.values().copied())
            .chain(self.phase_ends)
            .chain(delay)
            .min()
    }
}
