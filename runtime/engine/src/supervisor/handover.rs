//! How a task goes from one living worker to another: a sink starts there before it ends here, a source the other way round. Pure.

use crate::{
    ports::{Member, View},
    views::{
        assignment::{Former, Placement},
        status::{State, Status},
    },
};
use std::time::Duration;
use tokio::time::Instant;

/// How long a sink runs on where it was, at most, until its new owner says how it is there (I6).
pub(super) const OVERLAP_MAX: Duration = Duration::from_secs(10);
/// How long it runs on once the new owner has said so: opened is not joined yet, and an empty group is slow to let anybody in.
pub(super) const OVERLAP_MORE: Duration = Duration::from_secs(1);

/// When a task began to come, or to go, by a placement.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Handover {
    began: Option<(u64, Instant)>,
    /// The new owner runs it, since this time.
    taken: Option<Instant>,
}

impl Handover {
    /// Since when this worker knows of the placement.
    fn since(&mut self, generation: u64, now: Instant) -> Instant {
        match self.began {
            Some((same, at)) if same == generation => at,
            _ => {
                self.began = Some((generation, now));
                self.taken = None;
                now
            }
        }
    }
    /// Until when a source that was moved here waits at most; none = it may start. Its former owner has let go, is gone, or had `patience`.
    pub(super) fn waits(
        &mut self,
        placement: &Placement,
        view: &View,
        said: Option<&Status>,
        patience: Duration,
        now: Instant,
    ) -> Option<Instant> {
        let until = self.since(placement.generation, now) + patience;
        let former = placement.former.as_ref()?;
        let there = view.members.iter().any(|member| former.is(member));
        let waits = there && until > now && !said.is_some_and(|said| let_go(former, said));
        waits.then_some(until)
    }
    /// Until when a sink that was moved elsewhere runs on here at most; none = it may stop. Its new owner runs it, is gone, or took too long.
    pub(super) fn runs_on(
        &mut self,
        placement: &Placement,
        view: &View,
        said: Option<&Status>,
        now: Instant,
    ) -> Option<Instant> {
        let mut until = self.since(placement.generation, now) + OVERLAP_MAX;
        let there = view.members.iter().any(|member| placement.is_on(member));
        if said.is_some_and(|said| has_taken(placement, said)) {
            until = until.min(*self.taken.get_or_insert(now) + OVERLAP_MORE);
        }
        (there && until > now).then_some(until)
    }
}

/// Whether a placement elsewhere reckons with this worker, which has the task by `generation`. Otherwise it was taken to be gone.
pub(super) fn awaits(placement: &Placement, me: &Member, generation: u64) -> bool {
    let former = placement.former.as_ref();
    former.is_some_and(|former| former.is(me) && former.generation == generation)
}

/// Whether a status shows that the former owner runs the task no more.
pub(super) fn let_go(former: &Former, said: &Status) -> bool {
    if said.generation > former.status_generation() {
        return true;
    }
    // A failed task is closed; a later word of its owner would show what it is now.
    let over = matches!(said.state, State::Unassigned | State::Failed);
    over && said.worker_id == former.worker_id && said.generation == former.status_generation()
}

/// Whether a status shows that the new owner runs the task, or cannot.
fn has_taken(placement: &Placement, said: &Status) -> bool {
    let known = matches!(said.state, State::Running | State::Paused | State::Failed);
    known
        && said.worker_id == placement.worker_id
        && said.generation >= placement.status_generation()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(number: u8) -> Member {
        Member {
            worker_id: format!("w{number}"),
            incarnation: "a".to_owned(),
            https: false,
        }
    }
    fn view(numbers: &[u8]) -> View {
        View {
            me: member(0),
            leader: None,
            members: numbers.iter().map(|number| member(*number)).collect(),
            generation: 1,
        }
    }
    fn said(number: u8, generation: i32, state: State) -> Status {
        Status {
            state,
            trace: None,
            worker_id: format!("w{number}"),
            generation,
            version: None,
        }
    }
    /// From worker 1, where it ran by generation 5, to worker 2.
    fn moved() -> Placement {
        let former = Former {
            worker_id: "w1".to_owned(),
            incarnation: "a".to_owned(),
            generation: 5,
        };
        Placement {
            worker_id: "w2".to_owned(),
            incarnation: "a".to_owned(),
            generation: 7,
            former: Some(former),
        }
    }
    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_source_waits_until_its_former_owner_has_let_go() {
        let now = Instant::now();
        for (who, said, waits) in [
            ("nothing is said", None, true),
            ("it runs there", Some(said(1, 5, State::Running)), true),
            ("it is paused there", Some(said(1, 5, State::Paused)), true),
            (
                "it is restarted there",
                Some(said(1, 5, State::Restarting)),
                true,
            ),
            ("it has let go", Some(said(1, 5, State::Unassigned)), false),
            (
                "it has failed there",
                Some(said(1, 5, State::Failed)),
                false,
            ),
            ("an older word", Some(said(1, 4, State::Unassigned)), true),
            (
                "another's older word",
                Some(said(3, 4, State::Unassigned)),
                true,
            ),
            ("mine", Some(said(2, 7, State::Paused)), false),
        ] {
            let mut handover = Handover::default();
            let until = handover.waits(&moved(), &view(&[1, 2]), said.as_ref(), PATIENCE, now);
            assert_eq!(until.is_some(), waits, "{who}");
        }
        let mut handover = Handover::default();
        let running = said(1, 5, State::Running);
        let mut waits = |members: &[u8], now| {
            handover
                .waits(&moved(), &view(members), Some(&running), PATIENCE, now)
                .is_some()
        };
        assert!(!waits(&[2], now), "it is gone");
        assert!(waits(&[1, 2], now));
        assert!(waits(&[1, 2], now + PATIENCE / 2));
        assert!(!waits(&[1, 2], now + PATIENCE), "I6: it had its time");
        // Moved again, it has its time again.
        let again = Placement {
            generation: 8,
            ..moved()
        };
        let until = handover.waits(
            &again,
            &view(&[1, 2]),
            Some(&running),
            PATIENCE,
            now + PATIENCE,
        );
        assert_eq!(until, Some(now + PATIENCE * 2));
        let fresh = Placement {
            former: None,
            ..moved()
        };
        assert_eq!(
            handover.waits(&fresh, &view(&[1, 2]), None, PATIENCE, now),
            None
        );
    }

    #[test]
    fn who_was_taken_to_be_gone_is_not_waited_for() {
        assert!(awaits(&moved(), &member(1), 5));
        assert!(!awaits(&moved(), &member(1), 4), "that was another time");
        assert!(!awaits(&moved(), &member(3), 5));
        let alone = Placement {
            former: None,
            ..moved()
        };
        assert!(!awaits(&alone, &member(1), 5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_sink_runs_on_until_its_new_owner_runs_it() {
        let now = Instant::now();
        for (who, said, until) in [
            ("nothing is said", None, Some(OVERLAP_MAX)),
            (
                "my own word",
                Some(said(1, 5, State::Running)),
                Some(OVERLAP_MAX),
            ),
            (
                "it opens there",
                Some(said(2, 7, State::Unassigned)),
                Some(OVERLAP_MAX),
            ),
            (
                "it runs there",
                Some(said(2, 7, State::Running)),
                Some(OVERLAP_MORE),
            ),
            (
                "it is paused there",
                Some(said(2, 7, State::Paused)),
                Some(OVERLAP_MORE),
            ),
            (
                "it has failed there",
                Some(said(2, 7, State::Failed)),
                Some(OVERLAP_MORE),
            ),
            (
                "it ran there once",
                Some(said(2, 6, State::Running)),
                Some(OVERLAP_MAX),
            ),
        ] {
            let mut handover = Handover::default();
            let found = handover.runs_on(&moved(), &view(&[1, 2]), said.as_ref(), now);
            assert_eq!(found, until.map(|until| now + until), "{who}");
        }
        let mut handover = Handover::default();
        let running = said(2, 7, State::Running);
        let first = handover.runs_on(&moved(), &view(&[1, 2]), Some(&running), now);
        let later = now + OVERLAP_MORE;
        assert_eq!(first, Some(later));
        assert_eq!(
            handover.runs_on(&moved(), &view(&[1, 2]), Some(&running), later),
            None
        );
        let mut handover = Handover::default();
        assert_eq!(
            handover.runs_on(&moved(), &view(&[1]), None, now),
            None,
            "it is gone"
        );
        assert!(
            handover
                .runs_on(&moved(), &view(&[1, 2]), None, now)
                .is_some()
        );
        let overdue = now + OVERLAP_MAX;
        assert_eq!(
            handover.runs_on(&moved(), &view(&[1, 2]), None, overdue),
            None,
            "I6"
        );
    }
}
