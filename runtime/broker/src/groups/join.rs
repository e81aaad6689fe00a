//! Joining: new, returning and static members, and how a generation comes about.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::state::{JoinReply, Joined, Joining, Member, Phase, State};

type Answer = oneshot::Sender<JoinReply>;

fn refuse(answer: Answer, error: ResponseError, member_id: String) {
    let _ = answer.send(JoinReply {
        outcome: Err(error),
        member_id,
    });
}

impl State {
    /// Takes a request to join; the receiver tells the outcome, at once or when the generation is complete.
    pub(crate) fn join(
        &mut self,
        mut joining: Joining,
        now: Instant,
    ) -> oneshot::Receiver<JoinReply> {
        let (answer, receiver) = oneshot::channel();
        if let Err(error) = self.check(&joining) {
            refuse(answer, error, joining.member_id);
            return receiver;
        }
        let holder = joining
            .instance
            .as_ref()
            .and_then(|i| self.instances.get(i))
            .cloned();
        match (joining.member_id.is_empty(), holder) {
            (true, Some(old)) => self.replace(&old, joining, answer, now),
            (false, Some(old)) if old != joining.member_id => {
                refuse(answer, ResponseError::FencedInstanceId, joining.member_id)
            }
            (true, None) => {
                joining.member_id = new_member_id(&joining);
                if joining.id_first && joining.instance.is_none() {
                    self.promised
                        .insert(joining.member_id.clone(), now + session(&joining));
                    refuse(answer, ResponseError::MemberIdRequired, joining.member_id);
                } else {
                    self.add(joining, answer, now);
                }
            }
            (false, _) if self.members.contains_key(&joining.member_id) => {
                self.rejoin(joining, answer, now)
            }
            (false, _) if self.promised.remove(&joining.member_id).is_some() => {
                self.add(joining, answer, now)
            }
            (false, _) => refuse(answer, ResponseError::UnknownMemberId, joining.member_id),
        }
        receiver
    }

    fn check(&self, joining: &Joining) -> Result<(), ResponseError> {
        if self.phase == Phase::Dead {
            return Err(ResponseError::CoordinatorNotAvailable);
        }
        if !self.rules.session_ms.contains(&joining.session_ms) {
            return Err(ResponseError::InvalidSessionTimeout);
        }
        let empty = joining.protocol_type.is_empty() || joining.protocols.is_empty();
        let known = self.members.contains_key(&joining.member_id)
            || self.promised.contains_key(&joining.member_id);
        if !known && self.members.len() + self.promised.len() >= self.rules.max_members {
            return Err(ResponseError::GroupMaxSizeReached);
        }
        let other_type =
            !self.members.is_empty() && self.protocol_type.as_ref() != Some(&joining.protocol_type);
        let shared = |name: &str| {
            self.members
                .values()
                .all(|m| m.protocols.iter().any(|(n, _)| n == name))
        };
        if empty || other_type || !joining.protocols.iter().any(|(name, _)| shared(name)) {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        Ok(())
    }

    fn add(&mut self, joining: Joining, answer: Answer, now: Instant) {
        let first = self.members.is_empty();
        if first {
            self.protocol_type = Some(joining.protocol_type.clone());
        }
        if let Some(instance) = &joining.instance {
            self.instances
                .insert(instance.clone(), joining.member_id.clone());
        }
        let member = member(&joining, Some(answer), now);
        self.members.insert(joining.member_id, member);
        if first && self.phase == Phase::Empty && !self.rules.initial_delay.is_zero() {
            self.not_before = Some(now + self.rules.initial_delay);
        }
        self.prepare(now);
    }

    /// A member that is known joins again.
    fn rejoin(&mut self, joining: Joining, answer: Answer, now: Instant) {
        let is_leader = self.leader.as_ref() == Some(&joining.member_id);
        let Some(member) = self.members.get_mut(&joining.member_id) else {
            return;
        };
        let same = member.protocols == joining.protocols;
        member.protocols = joining.protocols;
        member.deadline = now + member.session;
        let settled = match self.phase {
            // It missed the answer: told again.
            Phase::Completing => same,
            // Only the leader or other wishes make a new generation.
            Phase::Stable => same && !is_leader,
            _ => false,
        };
        if settled {
            let joined = self.told(&joining.member_id, self.leader.clone().unwrap_or_default());
            let _ = answer.send(JoinReply {
                outcome: Ok(joined),
                member_id: joining.member_id,
            });
        } else {
            member.join = Some(answer);
            self.prepare(now);
        }
    }

    /// A static member came back under a new id: it takes the old one's place, in a stable group without a rebalance.
    fn replace(&mut self, old_id: &str, mut joining: Joining, answer: Answer, now: Instant) {
        let Some(at) = self.members.get_index_of(old_id) else {
            return;
        };
        joining.member_id = new_member_id(&joining);
        let new_id = joining.member_id.clone();
        let mut new = member(&joining, None, now);
        let Some((_, mut old)) = self.members.shift_remove_index(at) else {
            return;
        };
        old.answer_join(JoinReply {
            outcome: Err(ResponseError::FencedInstanceId),
            member_id: old_id.to_owned(),
        });
        old.answer_sync(Err(ResponseError::FencedInstanceId));
        new.assignment = old.assignment;
        self.members.shift_insert(at, new_id.clone(), new);
        if let Some(instance) = joining.instance {
            self.instances.insert(instance, new_id.clone());
        }
        let told_leader = self.leader.clone().unwrap_or_default();
        if self.leader.as_deref() == Some(old_id) {
            self.leader = Some(new_id.clone());
        }
        if self.phase == Phase::Stable && self.select_protocol() == self.protocol {
            // Told the leader of before, so that a returning leader does not assign anew.
            let joined = Joined {
                members: Vec::new(),
                ..self.told(&new_id, told_leader)
            };
            let _ = answer.send(JoinReply {
                outcome: Ok(joined),
                member_id: new_id,
            });
            return;
        }
        if let Some(member) = self.members.get_mut(&new_id) {
            member.join = Some(answer);
        }
        self.prepare(now);
    }

    /// Starts the next generation, or checks whether it is complete.
    fn prepare(&mut self, now: Instant) {
        if self.phase != Phase::Preparing {
            for member in self.members.values_mut() {
                member.answer_sync(Err(ResponseError::RebalanceInProgress));
            }
            self.phase = Phase::Preparing;
            self.phase_ends = Some(now + self.longest_rebalance());
        }
        self.complete_if_all_joined(now);
    }

    fn longest_rebalance(&self) -> Duration {
        self.members
            .values()
            .map(|m| m.rebalance)
            .max()
            .unwrap_or_default()
    }

    pub(super) fn rebalance_after_loss(&mut self, now: Instant) {
        if matches!(
            self.phase,
            Phase::Preparing | Phase::Completing | Phase::Stable
        ) {
            self.prepare(now);
        }
    }

    pub(super) fn complete_if_all_joined(&mut self, now: Instant) {
        let all = self.members.values().all(|m| m.join.is_some()) && self.promised.is_empty();
        let early = self.not_before.is_some_and(|at| at > now) && !self.members.is_empty();
        if self.phase == Phase::Preparing && all && !early {
            self.complete_join(now);
        }
    }

    /// The joining is over: whoever is not there is out (static members only when their session runs out).
    pub(super) fn complete_join(&mut self, now: Instant) {
        let absent: Vec<String> = self
            .members
            .iter()
            .filter(|(_, m)| m.join.is_none() && m.instance.is_none())
            .map(|(id, _)| id.clone())
            .collect();
        for id in absent {
            self.remove(&id);
        }
        self.not_before = None;
        self.generation += 1;
        if self.members.is_empty() {
            (self.phase, self.phase_ends, self.protocol, self.leader) =
                (Phase::Empty, None, None, None);
            return;
        }
        self.protocol = self.select_protocol();
        let joined = |id: &String| self.members.get(id).is_some_and(|m| m.join.is_some());
        let leader = self
            .leader
            .take()
            .filter(joined)
            .or_else(|| self.members.keys().find(|id| joined(id)).cloned());
        let Some(leader) = leader else {
            // Only absent static members are left: wait on for one of them.
            self.phase_ends = Some(now + self.longest_rebalance());
            return;
        };
        self.leader = Some(leader.clone());
        self.phase = Phase::Completing;
        self.phase_ends = Some(now + self.longest_rebalance());
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let joined = self.told(&id, leader.clone());
            if let Some(member) = self.members.get_mut(&id).filter(|m| m.join.is_some()) {
                member.deadline = now + member.session;
                member.answer_join(JoinReply {
                    outcome: Ok(joined),
                    member_id: id,
                });
            }
        }
    }

    /// The present generation as `member_id` is told it.
    fn told(&self, member_id: &str, leader: String) -> Joined {
        let protocol = self.protocol.clone().unwrap_or_default();
        let members = if leader == member_id {
            self.members
                .iter()
                .map(|(id, m)| (id.clone(), m.instance.clone(), m.metadata(Some(&protocol))))
                .collect()
        } else {
            Vec::new()
        };
        Joined {
            generation: self.generation,
            protocol,
            leader,
            members,
        }
    }

    /// Of the protocols all know, the one most members like best.
    fn select_protocol(&self) -> Option<String> {
        let shared = |name: &str| {
            self.members
                .values()
                .all(|m| m.protocols.iter().any(|(n, _)| n == name))
        };
        let mut votes: Vec<(&str, usize)> = Vec::new();
        for member in self.members.values() {
            let Some((favourite, _)) = member.protocols.iter().find(|(name, _)| shared(name))
            else {
                continue;
            };
            match votes.iter_mut().find(|(name, _)| name == favourite) {
                Some((_, count)) => *count += 1,
                None => votes.push((favourite, 1)),
            }
        }
        // The first of equals wins: `max_by_key` takes the last, hence the reversal.
        votes
            .iter()
            .rev()
            .max_by_key(|(_, count)| *count)
            .map(|(name, _)| (*name).to_owned())
    }
}

fn session(joining: &Joining) -> Duration {
    Duration::from_millis(joining.session_ms.max(0) as u64)
}

fn member(joining: &Joining, join: Option<Answer>, now: Instant) -> Member {
    let rebalance_ms = if joining.rebalance_ms > 0 {
        joining.rebalance_ms
    } else {
        joining.session_ms
    };
    Member {
        instance: joining.instance.clone(),
        client_id: joining.client_id.clone(),
        client_host: joining.client_host.clone(),
        session: session(joining),
        rebalance: Duration::from_millis(rebalance_ms as u64),
        protocols: joining.protocols.clone(),
        assignment: Bytes::new(),
        join,
        sync: None,
        deadline: now + session(joining),
    }
}

fn new_member_id(joining: &Joining) -> String {
    format!(
        "{}-{}",
        joining.instance.as_ref().unwrap_or(&joining.client_id),
        Uuid::new_v4()
    )
}
