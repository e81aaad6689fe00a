use super::*;
use proptest::prelude::*;

fn member(number: u8, incarnation: &str) -> Member {
    Member {
        worker_id: format!("w{number}:8083"),
        incarnation: incarnation.to_owned(),
        https: false,
    }
}

fn view(members: Vec<Member>) -> View {
    View {
        me: member(0, "a"),
        leader: members.first().cloned(),
        members,
        generation: 1,
    }
}

fn firsts(numbers: impl IntoIterator<Item = u8>) -> View {
    view(
        numbers
            .into_iter()
            .map(|number| member(number, "a"))
            .collect(),
    )
}

fn tasks(counts: &[u32]) -> Desired {
    let connectors = counts.iter().enumerate();
    connectors
        .flat_map(|(n, count)| (0..*count).map(move |task| TaskId::new(format!("c{n:02}"), task)))
        .collect()
}

/// Forty tasks over twelve connectors.
fn forty() -> Desired {
    tasks(&[4, 4, 4, 4, 4, 4, 4, 4, 2, 2, 2, 2])
}

/// A leader that carries out what is planned, and counts the moves of each task.
#[derive(Default)]
struct Cluster {
    placed: Last,
    generation: u64,
    moves: BTreeMap<TaskId, usize>,
}

impl Cluster {
    fn new(wanted: &Desired, view: &View) -> Self {
        let mut cluster = Self::default();
        cluster.settle(wanted, view, false);
        cluster.moves.clear();
        cluster
    }
    fn step(&mut self, wanted: &Desired, view: &View, balance: bool) -> usize {
        let plan = plan(wanted, view, &self.placed, balance);
        assert_eq!(plan.tasks.keys().cloned().collect::<Desired>(), *wanted);
        self.placed.retain(|id, _| wanted.contains(id));
        let mut changed = 0;
        for id in plan.order {
            let home = &plan.tasks[&id];
            if self.placed.get(&id).is_some_and(|was| was.is_on(home)) {
                continue;
            }
            self.generation += 1;
            changed += 1;
            let placement = Placement {
                worker_id: home.worker_id.clone(),
                incarnation: home.incarnation.clone(),
                generation: self.generation,
                former: None,
            };
            *self.moves.entry(id.clone()).or_default() += 1;
            self.placed.insert(id, placement);
        }
        changed
    }
    fn settle(&mut self, wanted: &Desired, view: &View, balance: bool) {
        for _ in 0..10_000 {
            if self.step(wanted, view, balance) == 0 {
                return;
            }
        }
        panic!("it moves tasks for ever");
    }
    fn loads(&self, view: &View) -> Vec<usize> {
        let on = |member| self.placed.values().filter(move |was| was.is_on(member));
        view.members
            .iter()
            .map(|member| on(member).count())
            .collect()
    }
    fn on(&self, member: &Member) -> Desired {
        let placed = self.placed.iter();
        let on = placed.filter(|(_, was)| was.is_on(member));
        on.map(|(id, _)| id.clone()).collect()
    }
    /// How many tasks moved so many times.
    fn moved(&self) -> BTreeMap<usize, usize> {
        let mut counts = BTreeMap::new();
        for moves in self.moves.values() {
            *counts.entry(*moves).or_default() += 1;
        }
        counts
    }
}

#[test]
fn one_worker_has_everything() {
    let wanted = tasks(&[3, 1]);
    let alone = plan(&wanted, &firsts([0]), &Last::new(), true);
    assert!(alone.tasks.values().all(|home| *home == member(0, "a")));
    assert_eq!(alone.tasks.len(), 4);
    assert!(
        plan(&wanted, &firsts([]), &Last::new(), true)
            .tasks
            .is_empty()
    );
}

#[test]
fn each_connector_is_spread() {
    let view = firsts([0, 1, 2]);
    let cluster = Cluster::new(&forty(), &view);
    assert_eq!(cluster.loads(&view).iter().sum::<usize>(), 40);
    for member in &view.members {
        let on = cluster.on(member);
        for id in &on {
            let share = if id.connector.as_ref() < "c08" { 2 } else { 1 };
            assert!(of_connector(&on, id) <= share, "{id} on {member:?}");
        }
        assert!((13..=14).contains(&on.len()), "{}", on.len());
    }
}

#[test]
fn a_restarted_worker_has_its_tasks_back_when_its_old_incarnation_is_gone() {
    let wanted = forty();
    let mut cluster = Cluster::new(&wanted, &firsts([0, 1]));
    let had = cluster.on(&member(1, "a"));
    // As long as the broker lists the dead one, nothing is moved twice.
    let both = view(vec![member(0, "a"), member(1, "a"), member(1, "b")]);
    assert_eq!(cluster.step(&wanted, &both, true), 0);
    // Which of the two is dead is not known: neither gets new tasks.
    let mut more = wanted.clone();
    more.extend(
        tasks(&[6])
            .into_iter()
            .map(|id| TaskId::new("new", id.task)),
    );
    let plan = plan(&more, &both, &cluster.placed, true);
    let new = plan.tasks.iter().filter(|(id, _)| &*id.connector == "new");
    assert!(new.clone().count() == 6 && new.into_iter().all(|(_, home)| *home == member(0, "a")));
    let gone = view(vec![member(0, "a"), member(1, "b")]);
    cluster.settle(&wanted, &gone, false);
    assert_eq!(cluster.on(&member(1, "b")), had);
    assert_eq!(cluster.moved(), BTreeMap::from([(1, had.len())]));
}

/// Three workers are restarted one after another; a fourth, empty one stands by from the beginning.
#[test]
fn a_rolling_restart_with_a_spare_worker_moves_each_task_once() {
    let wanted = forty();
    let mut cluster = Cluster::new(&wanted, &firsts([0, 1, 2]));
    let mut members: Vec<Member> = (0..4).map(|number| member(number, "a")).collect();
    cluster.settle(&wanted, &view(members.clone()), false);
    assert_eq!(
        cluster.moved(),
        BTreeMap::new(),
        "a join moves nothing by itself"
    );
    for number in 0..3 {
        members.retain(|member| member.worker_id != format!("w{number}:8083"));
        cluster.settle(&wanted, &view(members.clone()), false);
        members.push(member(number, "b"));
        members.sort();
        cluster.settle(&wanted, &view(members.clone()), false);
    }
    assert_eq!(cluster.moved(), BTreeMap::from([(1, 40)]));
    let mut loads = cluster.loads(&view(members));
    loads.sort_unstable();
    assert_eq!(loads, [0, 13, 13, 14]);
}

/// So many tasks on each worker, by its number.
fn uneven(counts: &[usize]) -> (Desired, Cluster) {
    let wanted = forty();
    let mut cluster = Cluster::default();
    let homes = counts
        .iter()
        .zip(0..)
        .flat_map(|(count, number)| std::iter::repeat_n(number, *count));
    for (id, number) in wanted.iter().zip(homes) {
        cluster.generation += 1;
        let placement = Placement {
            worker_id: member(number, "a").worker_id,
            incarnation: "a".to_owned(),
            generation: cluster.generation,
            former: None,
        };
        cluster.placed.insert(id.clone(), placement);
    }
    (wanted, cluster)
}

/// Each of three workers leaves and comes back, and a fourth, empty one is there from the beginning; as the leader gives them, who came last stands first.
#[test]
fn a_rolling_restart_moves_each_task_once_from_an_uneven_start_too() {
    for counts in [[20, 20, 0], [0, 20, 20], [20, 0, 20], [14, 13, 13]] {
        let (wanted, mut cluster) = uneven(&counts);
        let mut members: Vec<Member> = (0..4).rev().map(|number| member(number, "a")).collect();
        for number in 0..3 {
            members.retain(|member| member.worker_id != format!("w{number}:8083"));
            cluster.settle(&wanted, &view(members.clone()), false);
            members.insert(0, member(number, "b"));
            cluster.settle(&wanted, &view(members.clone()), false);
        }
        assert_eq!(cluster.moved(), BTreeMap::from([(1, 40)]), "{counts:?}");
    }
}

/// Two of three are killed at once and come back before the broker has dropped their former starts: at last each has its part again.
#[test]
fn what_one_worker_took_alone_is_shared_with_those_that_come_back() {
    let wanted = tasks(&[2]);
    let mut cluster = Cluster::new(&wanted, &firsts([0]));
    assert_eq!(cluster.loads(&firsts([0])), [2]);
    let [stays, dead, back] = [member(0, "a"), member(1, "a"), member(1, "b")];
    let (dead_too, back_too) = (member(2, "a"), member(2, "b"));
    let listed_twice = view(vec![
        stays.clone(),
        dead,
        back.clone(),
        dead_too,
        back_too.clone(),
    ]);
    assert_eq!(cluster.step(&wanted, &listed_twice, true), 0);
    let gone = view(vec![stays, back, back_too]);
    cluster.settle(&wanted, &gone, false);
    assert_eq!(cluster.loads(&gone), [2, 0, 0], "not before it is calm");
    cluster.settle(&wanted, &gone, true);
    let mut loads = cluster.loads(&gone);
    loads.sort_unstable();
    assert_eq!(loads, [0, 1, 1]);
}

/// As a Deployment does it: each new worker is there before an old one goes, and at the end there are three new ones.
#[test]
fn a_rolling_replacement_moves_each_task_once_and_ends_even() {
    let wanted = forty();
    let mut members: Vec<Member> = (0..3).map(|number| member(number, "a")).collect();
    let mut cluster = Cluster::new(&wanted, &view(members.clone()));
    for number in 0..3 {
        members.push(member(number + 3, "a"));
        cluster.settle(&wanted, &view(members.clone()), false);
        members.remove(0);
        cluster.settle(&wanted, &view(members.clone()), false);
    }
    assert_eq!(cluster.moved(), BTreeMap::from([(1, 40)]));
    cluster.settle(&wanted, &view(members), true);
    assert_eq!(
        cluster.moved(),
        BTreeMap::from([(1, 40)]),
        "it is even already"
    );
}

/// With what is moved for balance once the group stays the same.
#[test]
fn a_rolling_restart_without_a_spare_worker_moves_each_task_twice_at_most() {
    let wanted = forty();
    let mut members: Vec<Member> = (0..3).map(|number| member(number, "a")).collect();
    let mut cluster = Cluster::new(&wanted, &view(members.clone()));
    for number in 0..3 {
        members.retain(|member| member.worker_id != format!("w{number}:8083"));
        cluster.settle(&wanted, &view(members.clone()), false);
        members.push(member(number, "b"));
        members.sort();
        cluster.settle(&wanted, &view(members.clone()), false);
    }
    let view = view(members);
    cluster.settle(&wanted, &view, true);
    assert!(
        *cluster.moved().keys().max().expect("moved") <= 2,
        "{:?}",
        cluster.moved()
    );
    let loads = cluster.loads(&view);
    assert!(
        loads.iter().max() <= loads.iter().min().map(|least| least + 1).as_ref(),
        "{loads:?}"
    );
}

#[test]
fn balance_moves_one_task_at_a_time_and_only_when_it_is_allowed() {
    let wanted = forty();
    let mut cluster = Cluster::new(&wanted, &firsts([0, 1, 2]));
    let joined = firsts([0, 1, 2, 3]);
    let waits = plan(&wanted, &joined, &cluster.placed, false);
    assert!(waits.uneven && waits.balanced.is_none());
    for _ in 0..10 {
        assert_eq!(cluster.step(&wanted, &joined, true), 1);
    }
    assert_eq!(cluster.loads(&joined), [10, 10, 10, 10]);
    let done = plan(&wanted, &joined, &cluster.placed, true);
    assert!(!done.uneven && done.balanced.is_none());
    // A difference of one is none.
    let mut fewer = wanted.clone();
    let first = fewer.pop_first().expect("a task");
    cluster.placed.remove(&first);
    assert_eq!(cluster.step(&fewer, &joined, true), 0);
}

#[test]
fn the_tasks_of_two_that_die_at_once_are_shared() {
    let wanted = forty();
    let mut cluster = Cluster::new(&wanted, &firsts([0, 1, 2, 3]));
    cluster.settle(&wanted, &firsts([2, 3]), false);
    assert_eq!(cluster.loads(&firsts([2, 3])), [20, 20]);
    assert_eq!(cluster.moved(), BTreeMap::from([(1, 20)]));
}

#[test]
fn no_spare_takes_much_more_than_its_share() {
    let (wanted, mut cluster) = uneven(&[40]);
    cluster.settle(&wanted, &firsts([1, 2, 3]), false);
    let mut loads = cluster.loads(&firsts([1, 2, 3]));
    loads.sort_unstable();
    assert_eq!(loads, [9, 10, 21]);
}

proptest! {
    #[test]
    fn every_task_is_placed_once_and_only_homeless_ones_move(
        counts in prop::collection::vec(0u32..6, 0..6),
        steps in prop::collection::vec((prop::collection::btree_set(0u8..5, 1..5), any::<bool>()), 1..6),
    ) {
        let wanted = tasks(&counts);
        let mut cluster = Cluster::default();
        for (members, balance) in steps {
            let seen = firsts(members.iter().copied());
            let before = cluster.placed.clone();
            cluster.step(&wanted, &seen, false);
            // I4: placed once each: it is a map, and `step` sees that it has all of them.
            for (id, now) in &cluster.placed {
                if let Some(was) = before.get(id) && seen.members.iter().any(|member| was.is_on(member)) {
                    prop_assert_eq!(was, now, "it was well where it was");
                }
                prop_assert!(seen.members.iter().any(|member| now.is_on(member)));
            }
            // The same again moves nothing.
            prop_assert_eq!(cluster.step(&wanted, &seen, false), 0);
            if balance {
                let before = cluster.loads(&seen);
                cluster.moves.clear();
                cluster.settle(&wanted, &seen, true);
                let loads = cluster.loads(&seen);
                let (most, least) = (loads.iter().max().copied().unwrap_or(0), loads.iter().min().copied().unwrap_or(0));
                prop_assert!(most <= least + UNEVEN, "{loads:?}");
                // No more moves than are needed.
                let fair = wanted.len() / seen.members.len();
                let over: usize = before.iter().map(|count| count.saturating_sub(fair)).sum();
                prop_assert!(cluster.moves.values().sum::<usize>() <= over, "{before:?} -> {loads:?}");
                prop_assert!(cluster.moves.values().all(|moves| *moves == 1));
            }
        }
    }
}
