//! The leader's placements: what is planned is written, one write at a time.

use super::{
    Supervisor, earlier, handover,
    plan::{self, Desired},
};
use crate::{
    ports::{Member, TermEntry, TermLog, View},
    task::TaskId,
    views::{
        assignment::{self, Former, Placement},
        config::Connector as Wanted,
        status::State,
    },
};
use longshore_sdk::{Error, Result};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long after a failed write the next one is tried.
const WRITE_AGAIN: Duration = Duration::from_secs(1);
/// How long writing placements and reading them back may take (I6).
const WRITE_MAX: Duration = Duration::from_secs(90);
/// How long a task that was moved for balance may take to run before the next one moves.
const SETTLE_MAX: Duration = Duration::from_secs(60);

/// How far the leader is with placing tasks.
#[derive(Default)]
pub(super) struct Placing {
    writing: bool,
    /// Not before this time.
    again: Option<Instant>,
    /// Who was there when it last looked, who came last first, and since when it has been the same.
    members: Vec<Member>,
    since: Option<Instant>,
    /// The task that was moved last for balance alone, and when.
    moved: Option<(TaskId, Instant)>,
}

type Change = (TaskId, Option<Placement>);

impl Placing {
    pub(super) fn is_writing(&self) -> bool {
        self.writing
    }
    /// Notes who is there. Every worker does so: who comes to lead knows how long the group has been the same.
    pub(super) fn look(&mut self, view: &View, now: Instant) {
        let same = |member: &Member| view.members.contains(member);
        let there = self.members.iter().filter(|member| same(member)).count();
        if self.since.is_some() && there == self.members.len() && there == view.members.len() {
            return;
        }
        let stayed = self.members.iter().filter(|member| same(member));
        let came = view.members.iter();
        let came = came.filter(|member| !self.members.contains(member));
        self.members = came.chain(stayed).cloned().collect();
        self.since = Some(now);
    }
    /// The same group, with who came last first: where tasks have to go somewhere, that one is the last to be restarted again.
    fn latest_first(&self, mut view: View) -> View {
        let place = |member: &Member| self.members.iter().position(|one| one == member);
        view.members.sort_by_key(place);
        view
    }
}

impl Supervisor {
    /// Places what is wanted, if this worker leads. Returns when to look again.
    pub(super) fn place(
        &mut self,
        wanted: &BTreeMap<String, Wanted>,
        view: &View,
        now: Instant,
    ) -> Option<Instant> {
        if self.placing.writing || !self.cx.leading.is_held() {
            return None;
        }
        if let Some(again) = self.placing.again.filter(|again| *again > now) {
            return Some(again);
        }
        let calm = self.placing.since.unwrap_or(now) + self.cx.settings.rebalance_delay;
        let unsettled = self.unsettled(now);
        let staying = self.cx.departures.without(view);
        let all_stay = staying.members == view.members;
        let staying = self.placing.latest_first(staying);
        let balance = calm <= now && unsettled.is_none() && all_stay;
        let (changes, balanced, uneven) = self.changes(wanted, view, &staying, balance);
        let mut wake = unsettled;
        if uneven && calm > now {
            earlier(&mut wake, Some(calm));
        }
        if changes.is_empty() {
            return wake;
        }
        if let Some(id) = balanced {
            tracing::info!(task = %id, "moved, so that the workers have equally many");
            self.placing.moved = Some((id, now));
        }
        self.placing.writing = true;
        let cx = Arc::clone(&self.cx);
        self.crew.place(async move {
            let entries = changes.into_iter().map(|(id, placement)| {
                let (key, value) = assignment::record(&id, placement.as_ref());
                TermEntry {
                    log: TermLog::Coordination,
                    key,
                    value,
                    request: None,
                }
            });
            let written = async {
                let written = cx.leading.put(entries.collect()).await?;
                cx.assignments.reach(&written).await;
                Ok(())
            };
            let written = tokio::time::timeout(WRITE_MAX, written).await;
            written.unwrap_or_else(|_| {
                // What is planned from a view that lacks them would be placed twice: the next term reads to the end first.
                cx.leading.give_up();
                let text = "the assignments were not read back in time";
                Err(Error::transient("place", text))
            })
        });
        wake
    }

    /// The placements were written, or not; either way the views are compared anew.
    pub(super) fn placed(&mut self, placed: Result<()>) {
        self.placing.writing = false;
        self.placing.again = None;
        if let Err(error) = placed {
            tracing::warn!(%error, "the assignments could not be written");
            self.placing.again = Some(Instant::now() + WRITE_AGAIN);
        }
    }

    /// Until when the task that moved last is waited for; none once its new owner has said how it is.
    fn unsettled(&mut self, now: Instant) -> Option<Instant> {
        let (id, at) = self.placing.moved.as_ref()?;
        let placement = self.cx.assignments.read(|now| now.of(id).cloned());
        let waits = placement.is_some_and(|placement| {
            let said = self.cx.status.task(id);
            !said.is_some_and(|said| {
                said.worker_id == placement.worker_id
                    && said.generation == placement.status_generation()
                    && said.state != State::Unassigned
            })
        });
        let until = *at + SETTLE_MAX;
        if waits && until > now {
            return Some(until);
        }
        self.placing.moved = None;
        None
    }

    /// What the leader has to write so that every wanted task is placed on a worker of `staying`; which task moves for balance, and whether more are to.
    fn changes(
        &self,
        wanted: &BTreeMap<String, Wanted>,
        view: &View,
        staying: &View,
        balance: bool,
    ) -> (Vec<Change>, Option<TaskId>, bool) {
        let ids = wanted.iter().flat_map(|(name, connector)| {
            let count = u32::try_from(connector.tasks.len()).unwrap_or(u32::MAX);
            let name: Arc<str> = name.as_str().into();
            (0..count).map(move |task| TaskId::new(Arc::clone(&name), task))
        });
        let desired: Desired = ids.collect();
        // A status of a greater generation would be believed before that of the new owner: a Kafka Connect cluster may have written it.
        let said = self.cx.status.log().read(|said| said.generation());
        let said = u64::try_from(said).unwrap_or(0);
        self.cx.assignments.read(|now| {
            let plan = plan::plan(&desired, staying, now.all(), balance);
            let mut generation = now.generation().max(said);
            let mut changes: Vec<Change> = Vec::new();
            for id in plan.order {
                let (was, Some(member)) = (now.of(&id), plan.tasks.get(&id)) else {
                    continue;
                };
                if was.is_some_and(|was| was.is_on(member)) {
                    continue;
                }
                generation += 1;
                let placement = Placement {
                    worker_id: member.worker_id.clone(),
                    incarnation: member.incarnation.clone(),
                    generation,
                    former: match was {
                        Some(was) => self.former(&id, was, member, view),
                        None => self.leaving(&id, member, view),
                    },
                };
                changes.push((id, Some(placement)));
            }
            let gone = now.all().keys().filter(|id| !desired.contains(*id));
            changes.extend(gone.map(|id| (id.clone(), None)));
            (changes, plan.balanced, plan.uneven)
        })
    }

    /// Who has to let go of a task first. Where it moves on before its new owner has come to it, as when several workers leave together, that is
    /// whoever this one waits for: it has the task still (I4).
    fn former(&self, id: &TaskId, was: &Placement, to: &Member, view: &View) -> Option<Former> {
        let before = was.former.as_ref().filter(|before| {
            let there = view.members.iter().any(|member| before.is(member));
            let said = self.cx.status.task(id);
            let holds = said.is_some_and(|said| !handover::let_go(before, &said));
            there && !before.is(to) && holds
        });
        before.cloned().or_else(|| former(was, view))
    }

    /// Who still has a task that was taken off and is wanted again, as when a connector is stopped and resumed at once; nobody where it comes back to
    /// the same worker, which starts it once it has ended.
    fn leaving(&self, id: &TaskId, to: &Member, view: &View) -> Option<Former> {
        let said = self.cx.status.task(id)?;
        let generation = u64::try_from(said.generation).ok()?;
        let elsewhere = said.state.is_live() && said.worker_id != to.worker_id;
        let mut members = view.members.iter().filter(|_| elsewhere);
        let member = members.find(|member| member.worker_id == said.worker_id)?;
        Some(Former {
            worker_id: member.worker_id.clone(),
            incarnation: member.incarnation.clone(),
            generation,
        })
    }
}

/// Who has to let go of a task first; nobody if that worker is gone.
fn former(was: &Placement, view: &View) -> Option<Former> {
    let there = view.members.iter().any(|member| was.is_on(member));
    there.then(|| Former {
        worker_id: was.worker_id.clone(),
        incarnation: was.incarnation.clone(),
        generation: was.generation,
    })
}
