//! Which worker runs which task: a pure function.

use crate::{
    ports::{Member, View},
    task::TaskId,
};
use std::collections::{BTreeMap, BTreeSet};

/// The tasks that are wanted.
pub type Desired = BTreeSet<TaskId>;
/// Where each task runs.
pub type Assignment = BTreeMap<TaskId, Member>;

/// Places every wanted task once. A task stays where it was as long as that worker is there; a worker that came back under its old address
/// (another incarnation) takes its tasks back; the others go to the workers with the fewest; what is uneven by more than one
/// is evened out with the fewest moves. Without members nothing is placed.
pub fn plan(desired: &Desired, view: &View, last: &Assignment) -> Assignment {
    let mut load: BTreeMap<&Member, Vec<TaskId>> = view
        .members
        .iter()
        .map(|member| (member, Vec::new()))
        .collect();
    let mut homeless = Vec::new();
    for id in desired {
        let home = last.get(id).and_then(|was| still_there(was, view));
        match home.and_then(|home| load.get_mut(home)) {
            Some(tasks) => tasks.push(id.clone()),
            None => homeless.push(id.clone()),
        }
    }
    for id in homeless {
        if let Some(tasks) = load.values_mut().min_by_key(|tasks| tasks.len()) {
            tasks.push(id);
        }
    }
    even_out(&mut load);
    load.into_iter()
        .flat_map(|(member, tasks)| tasks.into_iter().map(|id| (id, member.clone())))
        .collect()
}

fn still_there<'a>(was: &Member, view: &'a View) -> Option<&'a Member> {
    let same = view.members.iter().find(|member| *member == was);
    same.or_else(|| {
        view.members
            .iter()
            .find(|member| member.worker_id == was.worker_id)
    })
}

/// Moves one task at a time from the fullest to the emptiest worker, until they differ by one at most.
fn even_out(load: &mut BTreeMap<&Member, Vec<TaskId>>) {
    loop {
        let full = load.iter().max_by_key(|(_, tasks)| tasks.len());
        let empty = load.iter().min_by_key(|(_, tasks)| tasks.len());
        let (Some((full, most)), Some((empty, least))) = (full, empty) else {
            return;
        };
        if most.len() <= least.len() + 1 {
            return;
        }
        let (full, empty) = (*full, *empty);
        let moved = load.get_mut(full).and_then(Vec::pop);
        if let (Some(id), Some(tasks)) = (moved, load.get_mut(empty)) {
            tasks.push(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn member(number: u8) -> Member {
        Member {
            worker_id: format!("w{number}:8083"),
            incarnation: "a".to_owned(),
        }
    }
    fn view(members: impl IntoIterator<Item = u8>) -> View {
        let members: Vec<Member> = members.into_iter().map(member).collect();
        View {
            me: member(0),
            leader: members.first().cloned(),
            members,
            generation: 1,
        }
    }
    fn tasks(counts: &[u32]) -> Desired {
        let connectors = counts.iter().enumerate();
        connectors
            .flat_map(|(n, count)| (0..*count).map(move |task| TaskId::new(format!("c{n}"), task)))
            .collect()
    }
    fn loads(assignment: &Assignment, view: &View) -> Vec<usize> {
        let of = |member: &Member| assignment.values().filter(|home| *home == member).count();
        view.members.iter().map(of).collect()
    }

    #[test]
    fn one_worker_has_everything() {
        let wanted = tasks(&[3, 1]);
        let placed = plan(&wanted, &view([0]), &Assignment::new());
        assert_eq!(placed.keys().cloned().collect::<Desired>(), wanted);
        assert!(placed.values().all(|home| *home == member(0)));
        assert!(plan(&wanted, &view([]), &placed).is_empty());
    }

    #[test]
    fn a_restarted_worker_takes_its_tasks_back() {
        let wanted = tasks(&[4]);
        let before = plan(&wanted, &view([0, 1]), &Assignment::new());
        let mut after = view([0, 1]);
        after.members[1].incarnation = "b".to_owned();
        let placed = plan(&wanted, &after, &before);
        for (id, home) in &placed {
            assert_eq!(home.worker_id, before[id].worker_id);
        }
        assert!(placed.values().any(|home| home.incarnation == "b"));
    }

    proptest! {
        #[test]
        fn every_task_is_placed_once_evenly_and_stays(
            counts in prop::collection::vec(0u32..6, 0..6),
            before in prop::collection::btree_set(0u8..5, 1..5),
            now in prop::collection::btree_set(0u8..5, 1..5),
        ) {
            let wanted = tasks(&counts);
            let old = plan(&wanted, &view(before.iter().copied()), &Assignment::new());
            let seen = view(now.iter().copied());
            let new = plan(&wanted, &seen, &old);
            prop_assert_eq!(new.keys().cloned().collect::<Desired>(), wanted.clone());
            let loads = loads(&new, &seen);
            let (most, least) = (loads.iter().max().copied().unwrap_or(0), loads.iter().min().copied().unwrap_or(0));
            prop_assert!(most <= least + 1, "{loads:?}");
            // The same again moves nothing.
            prop_assert_eq!(&plan(&wanted, &seen, &new), &new);
            // A task moves only if its worker is gone or has more than its share.
            let fair = wanted.len().div_ceil(seen.members.len());
            for member in &seen.members {
                let had = old.values().filter(|home| *home == member).count();
                let kept = new.iter().filter(|(id, home)| *home == member && old.get(*id) == Some(member)).count();
                prop_assert!(kept >= had.min(fair.saturating_sub(1)), "{member:?} kept {kept} of {had}, fair {fair}");
            }
        }
    }
}
