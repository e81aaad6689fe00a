//! A worker that shuts down in order hands its tasks over while it is still a member: nothing waits for its session to end, and no sink's group is empty in between.

use super::{Supervisor, handover::OVERLAP_MAX};
use crate::ports::{Member, View};
use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long a worker that is to leave waits for somebody to be given its tasks. Without a leader that knows of it they move once it has left.
const PLACED_IN: Duration = Duration::from_secs(3);
/// How long it stays for all of it (I6).
pub(crate) const DEPART_MAX: Duration = OVERLAP_MAX;

/// Who is about to leave the group, as the leader was told. It is in memory alone: whoever leaves says it again and again, to whoever leads.
#[derive(Default)]
pub(crate) struct Departures(Mutex<BTreeSet<(String, String)>>);

impl Departures {
    /// Notes a worker that is about to leave, by its id and its start; it may do so often. False = nobody stays who could take its tasks.
    pub(crate) fn note(&self, worker_id: &str, incarnation: &str, view: &View) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // I6: at most as many as the group has members. One that is not listed for a moment says it again.
        all.retain(|start| view.members.iter().any(|member| is(member, start)));
        if all.insert((worker_id.to_owned(), incarnation.to_owned())) {
            tracing::info!(
                worker = worker_id,
                "about to leave: its tasks go to other workers"
            );
        }
        view.members.iter().any(|member| !is_among(member, &all))
    }
    /// The group as tasks are placed on it: without those that are about to leave. Where nobody stays it is as it is, and everything stays where it is.
    pub(crate) fn without(&self, view: &View) -> View {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut staying = view.clone();
        staying.members.retain(|member| !is_among(member, &all));
        if staying.members.is_empty() {
            staying.members.clone_from(&view.members);
        }
        staying
    }
}

fn is_among(member: &Member, all: &BTreeSet<(String, String)>) -> bool {
    all.iter().any(|start| is(member, start))
}

fn is(member: &Member, (worker_id, incarnation): &(String, String)) -> bool {
    member.worker_id == *worker_id && member.incarnation == *incarnation
}

impl Supervisor {
    /// Until when this worker, which is to leave since `since`, stays for its tasks at most; none = it has none any more, or nobody takes them.
    pub(super) fn stays(&self, view: &View, since: Instant, now: Instant) -> Option<Instant> {
        let others = view.members.iter().any(|member| *member != view.me);
        let until = since + DEPART_MAX;
        if self.tasks.is_empty() || !others || !view.members.contains(&view.me) || until <= now {
            return None;
        }
        let moves = self.cx.assignments.read(|placed| {
            let mut placements = self.tasks.keys().filter_map(|id| placed.of(id));
            placements.any(|placement| !placement.is_on(&view.me))
        });
        if moves {
            return Some(until);
        }
        Some(since + PLACED_IN).filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(number: u8, incarnation: &str) -> Member {
        Member {
            worker_id: format!("w{number}"),
            incarnation: incarnation.to_owned(),
            https: false,
        }
    }
    fn view(members: &[Member]) -> View {
        View {
            me: member(0, "a"),
            leader: members.first().cloned(),
            members: members.to_vec(),
            generation: 1,
        }
    }

    #[test]
    fn who_leaves_is_no_target_unless_nobody_stays() {
        let departures = Departures::default();
        let three = view(&[member(0, "a"), member(1, "a"), member(2, "a")]);
        assert_eq!(departures.without(&three), three);
        assert!(departures.note("w1", "a", &three));
        assert!(departures.note("w1", "a", &three), "it says it again");
        let left = departures.without(&three).members;
        assert_eq!(left, [member(0, "a"), member(2, "a")]);
        // Its next start stays.
        let back = view(&[member(0, "a"), member(1, "b"), member(2, "a")]);
        assert_eq!(departures.without(&back), back);
        assert!(departures.note("w0", "a", &three));
        assert!(
            !departures.note("w2", "a", &three),
            "nobody is left to take its tasks"
        );
        assert_eq!(departures.without(&three), three);
    }

    #[test]
    fn i6_who_is_gone_is_forgotten() {
        let departures = Departures::default();
        for start in 0..100 {
            let start = start.to_string();
            departures.note("w1", &start, &view(&[member(0, "a"), member(1, &start)]));
        }
        assert_eq!(departures.0.lock().expect("no panic").len(), 1);
    }
}
