use super::*;
use proptest::prelude::*;

fn budget(bytes: u64) -> Arc<Budget> {
    let limit = MemoryLimit {
        bytes,
        chosen: true,
    };
    Budget::new(limit, Metrics::new())
}

/// Fetches a batch of so many bytes on top of what it holds; false = it has to wait.
fn fetch(credit: &mut Credit, bytes: usize) -> bool {
    let may = credit.may_fetch();
    if may {
        credit.hold(usize::try_from(credit.held).expect("small") + bytes);
    }
    may
}

#[test]
fn a_task_that_holds_nothing_may_always_fetch() {
    let budget = budget(100);
    let (mut greedy, mut other) = (budget.join(), budget.join());
    assert!(fetch(&mut greedy, 1000));
    assert!(!greedy.may_fetch(), "there is no room left");
    assert!(fetch(&mut other, 10) && !other.may_fetch());
    other.hold(0);
    assert!(fetch(&mut other, 10), "progress, whatever the others hold");
}

#[test]
fn a_batch_that_is_being_fetched_has_its_room() {
    let budget = budget(100);
    let (mut one, mut two) = (budget.join(), budget.join());
    assert!(fetch(&mut one, 30) && fetch(&mut two, 30));
    assert!(one.may_fetch());
    assert_eq!(budget.used(), 90, "about as much as last time is promised");
    assert!(!two.may_fetch());
    one.hold(30);
    assert_eq!(
        budget.used(),
        90,
        "nothing came: the promise went to the one that waits"
    );
    assert!(two.may_fetch());
}

#[test]
fn who_waits_is_served_before_the_greedy() {
    let budget = budget(100);
    let (mut greedy, mut other) = (budget.join(), budget.join());
    assert!(fetch(&mut other, 10));
    while fetch(&mut greedy, 10) {}
    assert_eq!(budget.used(), 100);
    assert!(!other.may_fetch());
    greedy.hold(80);
    assert!(
        other.may_fetch() && !greedy.may_fetch(),
        "what became free was promised to the one that holds least"
    );
    other.hold(20);
    assert!(!other.may_fetch());
    greedy.hold(60);
    assert!(other.may_fetch() && greedy.may_fetch(), "room for both");
    greedy.hold(60);
    other.hold(30);
    assert!(fetch(&mut greedy, 5), "nobody waits");
}

#[test]
fn while_somebody_waits_nobody_gets_more_than_an_equal_part() {
    let budget = budget(90);
    let (mut greedy, mut large, mut small) = (budget.join(), budget.join(), budget.join());
    assert!(fetch(&mut greedy, 10) && fetch(&mut greedy, 10) && fetch(&mut greedy, 10));
    assert!(fetch(&mut large, 35));
    assert!(fetch(&mut small, 10));
    assert!(!large.may_fetch(), "75 of 90 are used, it expects 35");
    assert!(!greedy.may_fetch(), "there is room, but its part is 30");
    assert!(fetch(&mut small, 10), "it is below its part");
}

#[test]
fn whatever_way_a_task_ends_its_memory_is_free() {
    let budget = budget(100);
    let mut waits = budget.join();
    assert!(fetch(&mut waits, 50));
    let mut gone = budget.join();
    assert!(fetch(&mut gone, 50) && !gone.may_fetch() && !waits.may_fetch());
    gone.buffers().expect_err("too small");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _gone = gone;
        panic!("planted");
    }));
    assert!(panicked.is_err());
    assert_eq!(
        budget.used(),
        100,
        "held, and promised to the one that waited"
    );
    assert!(waits.may_fetch());
    drop(waits);
    assert_eq!(budget.used(), 0);
    let state = budget.state();
    assert!(state.tasks.is_empty() && state.waiting == 0);
}

#[tokio::test(start_paused = true)]
async fn a_promise_wakes_the_one_that_waits() {
    let budget = budget(100);
    let (mut one, mut two) = (budget.join(), budget.join());
    assert!(fetch(&mut one, 20) && fetch(&mut one, 20) && fetch(&mut two, 30));
    assert!(fetch(&mut one, 20) && !two.may_fetch());
    let wait = tokio::spawn(async move {
        let granted = tokio::time::timeout(std::time::Duration::from_secs(1), two.granted());
        granted.await.expect("a promise");
        two.may_fetch()
    });
    tokio::task::yield_now().await;
    one.hold(20);
    assert!(wait.await.expect("no panic"));
}

#[test]
fn consumers_share_half_of_it() {
    let mib = |n: u64| n << 20;
    let limit = |chosen| MemoryLimit {
        bytes: mib(64),
        chosen,
    };
    for chosen in [true, false] {
        let budget = Budget::new(limit(chosen), Metrics::new());
        let mut sinks = Vec::new();
        let failed = loop {
            let mut credit = budget.join();
            match credit.buffers() {
                Ok(bytes) => assert!(bytes.expect("a limit") as u64 >= BUFFERS.0),
                Err(error) => break Some(error),
            }
            sinks.push(credit);
            if sinks.len() == 100 {
                break None;
            }
        };
        // A default gives way: nothing that ran yesterday fails because of a number that nobody chose.
        assert_eq!(failed.is_some(), chosen);
        if let Some(error) = failed {
            assert!(
                budget.used() <= mib(32) && sinks.len() >= 8,
                "{}",
                sinks.len()
            );
            let text = error.to_string();
            assert!(
                text.contains("longshore.memory.max.bytes = 67108864"),
                "{text}"
            );
            sinks.pop();
            let mut again = budget.join();
            assert!(again.buffers().is_ok());
        }
        // Sources have the other half in any case.
        let mut source = budget.join();
        let mut fetched = 0;
        while fetch(&mut source, 1 << 20) {
            fetched += 1;
        }
        assert!(fetched >= 32, "{fetched}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Ask,
    Come(usize),
    Deliver(u8),
    Rest,
    Leave,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Ask),
        4 => (0usize..40).prop_map(Step::Come),
        4 => (1u8..=4).prop_map(Step::Deliver),
        1 => Just(Step::Rest),
        1 => Just(Step::Leave),
    ]
}

proptest! {
    /// Whatever tasks do: the sum agrees, it stays within the limit but for first batches and those larger than expected, and who waits is served in the end.
    #[test]
    fn it_adds_up_and_nobody_waits_for_ever(steps in proptest::collection::vec((0usize..4, step()), 1..300)) {
        let budget = budget(100);
        let mut tasks: Vec<(Credit, usize, bool)> = (0..4).map(|_| (budget.join(), 0, false)).collect();
        for (at, step) in steps {
            let (credit, held, asked) = &mut tasks[at];
            match step {
                Step::Ask => *asked = credit.may_fetch(),
                Step::Come(bytes) if *asked => {
                    *held += bytes;
                    *asked = false;
                    credit.hold(*held);
                }
                Step::Deliver(quarters) if !*asked => {
                    *held -= *held * usize::from(quarters) / 4;
                    credit.hold(*held);
                }
                Step::Rest => {
                    *asked = false;
                    credit.rest();
                }
                Step::Leave => tasks[at] = (budget.join(), 0, false),
                _ => {}
            }
            let held: usize = tasks.iter().map(|(_, held, _)| held).sum();
            prop_assert!(budget.used() >= held as u64);
            let state = budget.state();
            let sum: u64 = state.tasks.values().map(|task| task.held + task.promised).sum();
            prop_assert_eq!(state.records, sum);
            let charged: u64 = state.tasks.values().map(|task| (task.held + task.promised).max(task.expected)).sum();
            prop_assert_eq!(state.charged, charged);
            prop_assert_eq!(state.waiting, state.tasks.values().filter(|task| task.waits).count());
        }
        // Everything is delivered: everybody may go on.
        for (credit, held, asked) in &mut tasks {
            *held = 0;
            *asked = false;
            credit.hold(0);
        }
        for (credit, ..) in &mut tasks {
            prop_assert!(credit.may_fetch());
        }
    }
}
