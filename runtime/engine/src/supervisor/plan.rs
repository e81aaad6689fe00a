//! Which worker runs which task: a pure function.

use crate::{
    ports::{Member, View},
    task::TaskId,
    views::assignment::Placement,
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// The tasks that are wanted.
pub type Desired = BTreeSet<TaskId>;
/// Where each task runs.
pub type Assignment = BTreeMap<TaskId, Member>;
/// Where each task was.
pub type Last = BTreeMap<TaskId, Placement>;

/// Nothing is moved for balance alone while the fullest worker has at most so many tasks more than the emptiest.
const UNEVEN: usize = 1;

/// What is planned.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// Every wanted task, once; nothing without members.
    pub tasks: Assignment,
    /// The tasks in the order in which they are to be placed: those that have stood still longest come first, so that they also move first when
    /// something is moved for balance, and a task that had to move just now is left alone.
    pub order: Vec<TaskId>,
    /// The one task that is moved for balance alone.
    pub balanced: Option<TaskId>,
    /// More are to be moved for balance, once that is allowed and this one runs.
    pub uneven: bool,
}

/// Places every wanted task once, and moves as few as possible:
/// * A task stays where it is as long as that worker is listed. A worker that came back while its old incarnation is gone has its tasks back.
/// * The tasks of a worker that is gone go to those with the fewest. One that has next to nothing, a spare or one that was just restarted, takes
///   all of them: then a rolling restart moves each task once. Where several have nothing, the first of the list does: the one that came last, which
///   is the last to go again. As long as a worker is listed twice, one of the two is dead: neither gets anything.
/// * A new task goes where its connector has the fewest tasks, and among those to the worker with the fewest.
/// * If nothing else is to be done and `balance` allows it, one task moves from the fullest worker to the emptiest.
pub fn plan(desired: &Desired, view: &View, last: &Last, balance: bool) -> Plan {
    let mut load = Load::new(&view.members);
    let (mut new, mut homeless) = (Vec::new(), Vec::new());
    for id in desired {
        match last.get(id) {
            None => new.push(id.clone()),
            Some(was) => match home(was, view) {
                Some(home) => load.put(home, id.clone()),
                None => homeless.push(id.clone()),
            },
        }
    }
    let settled = new.is_empty() && homeless.is_empty();
    let since = |id: &TaskId| last.get(id).map_or(u64::MAX, |was| was.generation);
    homeless.sort_by_key(|id| (since(id), id.clone()));
    let fair = desired.len().div_ceil(view.members.len().max(1));
    // A spare takes the place of one worker, also of one that had somewhat more than its share.
    let room = most_of_one(&homeless, last).clamp(fair, fair + fair / 2);
    for id in homeless {
        load.rescue(id, fair, room);
    }
    for id in new {
        load.spread(id);
    }
    let balanced = (settled && balance && load.doubtful == 0)
        .then(|| load.move_one(&since))
        .flatten();
    let uneven = load
        .gap()
        .is_some_and(|(most, least)| most > least + UNEVEN);
    let tasks = load.assignment();
    let mut order: Vec<TaskId> = tasks.keys().cloned().collect();
    order.sort_by_key(|id| (since(id), id.clone()));
    Plan {
        tasks,
        order,
        balanced,
        uneven,
    }
}

/// How many of these tasks the one worker had that had most of them.
fn most_of_one(homeless: &[TaskId], last: &Last) -> usize {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for was in homeless.iter().filter_map(|id| last.get(id)) {
        *counts.entry(was.worker_id.as_str()).or_default() += 1;
    }
    counts.into_values().max().unwrap_or(0)
}

fn home<'a>(was: &Placement, view: &'a View) -> Option<&'a Member> {
    let mut members = view.members.iter();
    let same = members.find(|member| was.is_on(member));
    same.or_else(|| {
        let mut members = view.members.iter();
        members.find(|member| member.worker_id == was.worker_id)
    })
}

/// What each worker has.
struct Load<'a> {
    /// Those that are listed twice stand at the end.
    workers: Vec<(&'a Member, BTreeSet<TaskId>)>,
    doubtful: usize,
    /// Who had next to nothing, found when the first homeless task comes.
    spare: Option<Option<usize>>,
}

impl<'a> Load<'a> {
    fn new(members: &'a [Member]) -> Self {
        let twice = |member: &&Member| {
            let same = |other: &&Member| other.worker_id == member.worker_id;
            members.iter().filter(same).count() > 1
        };
        let (twice, once): (Vec<&Member>, Vec<&Member>) = members.iter().partition(twice);
        // If all are, somebody must have it.
        let doubtful = if once.is_empty() { 0 } else { twice.len() };
        let workers = once.into_iter().chain(twice);
        Self {
            workers: workers.map(|member| (member, BTreeSet::new())).collect(),
            doubtful,
            spare: None,
        }
    }
    fn put(&mut self, on: &Member, id: TaskId) {
        let worker = self.workers.iter_mut().find(|(member, _)| *member == on);
        if let Some((_, tasks)) = worker {
            tasks.insert(id);
        }
    }
    /// Places a task whose worker is gone. `fair` is the share of each worker, `room` what a spare one takes.
    fn rescue(&mut self, id: TaskId, fair: usize, room: usize) {
        let spare = self.spare.unwrap_or_else(|| {
            let least = self.least(|_, tasks| tasks.len());
            least.filter(|least| self.workers[*least].1.len() * 2 < fair)
        });
        self.spare = Some(spare);
        let spare = spare.filter(|spare| self.workers[*spare].1.len() < room);
        let to = spare.or_else(|| self.least(|_, tasks| (tasks.len(), of_connector(tasks, &id))));
        if let Some(to) = to {
            self.workers[to].1.insert(id);
        }
    }
    /// Places a new task.
    fn spread(&mut self, id: TaskId) {
        if let Some(to) =
            self.least(|member, tasks| (of_connector(tasks, &id), tasks.len(), member))
        {
            self.workers[to].1.insert(id);
        }
    }
    /// Moves one task from the fullest worker to the emptiest: of the third that stood still longest, one whose connector has most tasks there.
    fn move_one(&mut self, since: &impl Fn(&TaskId) -> u64) -> Option<TaskId> {
        let (most, least) = self.gap()?;
        if most <= least + UNEVEN {
            return None;
        }
        let full = self.least(|_, tasks| Reverse(tasks.len()))?;
        let empty = self.least(|_, tasks| tasks.len())?;
        let tasks = &self.workers[full].1;
        let mut settled: Vec<&TaskId> = tasks.iter().collect();
        settled.sort_by_key(|id| (since(id), (*id).clone()));
        settled.truncate(tasks.len().div_ceil(3));
        let moved = settled
            .into_iter()
            .max_by_key(|id| {
                (
                    of_connector(tasks, id),
                    Reverse(since(id)),
                    Reverse((*id).clone()),
                )
            })?
            .clone();
        self.workers[full].1.remove(&moved);
        self.workers[empty].1.insert(moved.clone());
        Some(moved)
    }
    /// The most and the fewest tasks that a worker has.
    fn gap(&self) -> Option<(usize, usize)> {
        let counts = || self.workers.iter().map(|(_, tasks)| tasks.len());
        counts().max().zip(counts().min())
    }
    fn least<K: Ord>(&self, key: impl Fn(&'a Member, &BTreeSet<TaskId>) -> K) -> Option<usize> {
        let sure = self.workers.len() - self.doubtful;
        let workers = self.workers.iter().take(sure).enumerate();
        let least = workers.min_by_key(|(_, (member, tasks))| key(member, tasks));
        least.map(|(worker, _)| worker)
    }
    fn assignment(self) -> Assignment {
        let of = |(member, tasks): (&Member, BTreeSet<TaskId>)| {
            let member = member.clone();
            tasks.into_iter().map(move |id| (id, member.clone()))
        };
        self.workers.into_iter().flat_map(of).collect()
    }
}

/// How many tasks of a task's connector there are.
fn of_connector(tasks: &BTreeSet<TaskId>, id: &TaskId) -> usize {
    let from = TaskId::new(std::sync::Arc::clone(&id.connector), 0);
    let same = tasks.range(from..);
    same.take_while(|task| task.connector == id.connector)
        .count()
}

#[cfg(test)]
mod tests;
