//! A consumer group: who should own what, and who does.

use longshore_engine::ports::Subscription;
use longshore_sdk::{TopicOffsets, TopicPartition, TopicStates};
use std::collections::BTreeMap;

/// A member's number; later members have higher ones.
pub type MemberId = u64;

/// A consumer group.
#[derive(Default)]
pub(super) struct Group {
    members: BTreeMap<MemberId, Member>,
    /// Who should own what.
    pub(super) wanted: BTreeMap<TopicPartition, MemberId>,
    /// Who does.
    pub(super) owner: BTreeMap<TopicPartition, MemberId>,
    pub(super) committed: TopicOffsets,
    /// What stands beside them.
    pub(super) metadata: TopicStates,
}

struct Member {
    subscription: Subscription,
    /// What it has lost and does not know of.
    lost: Vec<TopicPartition>,
    out: bool,
}

/// What a member learns at a poll.
pub(super) enum News {
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
    Lost(Vec<TopicPartition>),
}

impl Group {
    pub(super) fn members(&self) -> Vec<MemberId> {
        self.members.keys().copied().collect()
    }
    pub(super) fn join(&mut self, member: MemberId, subscription: Subscription) {
        self.members.insert(
            member,
            Member {
                subscription,
                lost: Vec::new(),
                out: false,
            },
        );
    }
    pub(super) fn leave(&mut self, member: MemberId) {
        self.members.remove(&member);
        self.owner.retain(|_, owner| *owner != member);
        self.wanted.retain(|_, wanted| *wanted != member);
    }
    /// Whether the broker knows the member.
    pub(super) fn is_in(&self, member: MemberId) -> bool {
        self.members.get(&member).is_some_and(|known| !known.out)
    }
    pub(super) fn give(&mut self, at: &TopicPartition, member: MemberId) {
        if self.members.contains_key(&member) {
            self.wanted.insert(at.clone(), member);
        }
    }
    pub(super) fn evict(&mut self, member: MemberId) {
        let Some(evicted) = self.members.get_mut(&member) else {
            return;
        };
        let owned = self.owner.iter().filter(|(_, owner)| **owner == member);
        evicted.lost.extend(owned.map(|(at, _)| at.clone()));
        evicted.out = true;
        self.owner.retain(|_, owner| *owner != member);
        self.wanted.retain(|_, wanted| *wanted != member);
    }
    pub(super) fn subscription(&self, member: MemberId) -> Option<Subscription> {
        self.members
            .get(&member)
            .map(|member| member.subscription.clone())
    }
    /// Spreads what nobody is meant to own over the members that are in; takes from the richest for one that has nothing.
    pub(super) fn balance(&mut self, partitions: &[TopicPartition]) {
        let present: Vec<MemberId> = self
            .members
            .iter()
            .filter(|(_, member)| !member.out)
            .map(|(id, _)| *id)
            .collect();
        if present.is_empty() {
            return;
        }
        let load = |wanted: &BTreeMap<TopicPartition, MemberId>, id: MemberId| {
            wanted.values().filter(|owner| **owner == id).count()
        };
        for at in partitions {
            if !self.wanted.contains_key(at) {
                let poorest = present
                    .iter()
                    .copied()
                    .min_by_key(|id| load(&self.wanted, *id));
                self.wanted.extend(poorest.map(|id| (at.clone(), id)));
            }
        }
    }
    /// Moves partitions until no member has two more than another.
    pub(super) fn even_out(&mut self) {
        loop {
            let mut loads: Vec<(usize, MemberId)> = Vec::new();
            for (id, _) in self.members.iter().filter(|(_, member)| !member.out) {
                loads.push((
                    self.wanted.values().filter(|owner| *owner == id).count(),
                    *id,
                ));
            }
            let (Some(poor), Some(rich)) =
                (loads.iter().min().copied(), loads.iter().max().copied())
            else {
                return;
            };
            if rich.0 < poor.0 + 2 {
                return;
            }
            let moved = self
                .wanted
                .iter()
                .find(|(_, owner)| **owner == rich.1)
                .map(|(at, _)| at.clone());
            self.wanted.extend(moved.map(|at| (at, poor.1)));
        }
    }
    pub(super) fn news(&mut self, member: MemberId) -> Option<News> {
        let known = self.members.get_mut(&member)?;
        if !known.lost.is_empty() {
            known.out = false;
            return Some(News::Lost(std::mem::take(&mut known.lost)));
        }
        known.out = false;
        let to_go: Vec<_> = self
            .owner
            .iter()
            .filter(|(at, owner)| **owner == member && self.wanted.get(*at) != Some(&member))
            .map(|(at, _)| at.clone())
            .collect();
        if !to_go.is_empty() {
            return Some(News::Revoked(to_go));
        }
        let to_come: Vec<_> = self
            .wanted
            .iter()
            .filter(|(at, wanted)| **wanted == member && !self.owner.contains_key(*at))
            .map(|(at, _)| at.clone())
            .collect();
        self.owner
            .extend(to_come.iter().map(|at| (at.clone(), member)));
        (!to_come.is_empty()).then_some(News::Assigned(to_come))
    }
    pub(super) fn release(&mut self, member: MemberId, at: &[TopicPartition]) {
        self.owner
            .retain(|partition, owner| *owner != member || !at.contains(partition));
    }
    pub(super) fn commit(
        &mut self,
        member: MemberId,
        offsets: &TopicOffsets,
        metadata: &TopicStates,
    ) -> TopicOffsets {
        let owned = offsets
            .iter()
            .filter(|(at, _)| self.owner.get(*at) == Some(&member));
        let accepted: TopicOffsets = owned.map(|(at, offset)| (at.clone(), *offset)).collect();
        self.take(&accepted, metadata);
        accepted
    }
    /// Offsets with what is to stand beside them.
    pub(super) fn take(&mut self, offsets: &TopicOffsets, metadata: &TopicStates) {
        self.committed.extend(offsets.clone());
        for at in offsets.keys() {
            match metadata.get(at) {
                Some(text) => drop(self.metadata.insert(at.clone(), text.clone())),
                None => drop(self.metadata.remove(at)),
            }
        }
    }
    pub(super) fn metadata(&self, at: &[TopicPartition]) -> TopicStates {
        let known = self.metadata.iter();
        let known = known.filter(|(partition, _)| at.contains(partition));
        known.map(|(at, text)| (at.clone(), text.clone())).collect()
    }
}
