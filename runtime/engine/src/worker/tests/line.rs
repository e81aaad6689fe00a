//! A new leader plans every connector there is: a bounded number at once, and those that are slow hold nobody up.

use super::*;

/// As many as plan at once.
const AT_ONCE: usize = 16;

async fn with_connectors(count: usize, plan_ms: &str) -> Bench {
    let bench = Bench::new().await;
    let config = [
        ("connector.class", "fake-source"),
        ("topic", "t"),
        ("plan.ms", plan_ms),
    ];
    for number in 0..count {
        bench.create(&format!("c{number}"), &config).await;
    }
    for number in 0..count {
        let name = format!("c{number}");
        bench.shows(&name, "RUNNING [RUNNING]").await;
    }
    bench
}

fn most(bench: &Bench) -> usize {
    bench.probe.planning.lock().expect("no panic").1
}

#[tokio::test(start_paused = true)]
async fn i6_a_new_leader_plans_a_bounded_number_of_connectors_at_once() {
    let bench = with_connectors(60, "1000").await;
    let before = *bench.probe.plans.lock().expect("no panic");
    *bench.probe.planning.lock().expect("no panic") = (0, 0);
    let bench = bench.restarted().await;
    let plans = || *bench.probe.plans.lock().expect("no panic") - before;
    eventually("all were planned", || plans() == 60, || plans().to_string()).await;
    assert_eq!(most(&bench), AT_ONCE);
    bench.worker.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn plans_that_get_no_answer_hold_up_nobody_else_and_nobody_who_waits() {
    let bench = Bench::new().await;
    let slow = [
        ("connector.class", "fake-source"),
        ("topic", "t"),
        ("plan.ms", "60000"),
    ];
    for number in 0..20 {
        bench.create(&format!("slow{number}"), &slow).await;
    }
    let quick = [("connector.class", "fake-source"), ("topic", "t")];
    let start = tokio::time::Instant::now();
    bench.create("quick", &quick).await;
    // More than plan at once stood before it.
    bench.shows("quick", "RUNNING [RUNNING]").await;
    assert!(start.elapsed() < Duration::from_secs(10));
    for number in 20..60 {
        bench.create(&format!("slow{number}"), &slow).await;
    }
    let start = tokio::time::Instant::now();
    let restarted = bench.control.restart("quick", false, false).await;
    restarted.expect("restarted");
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "it waits in no line"
    );
    bench.worker.shutdown().await;
}

/// What stood in line is planned for what it is by then.
#[tokio::test(start_paused = true)]
async fn a_config_that_changes_while_it_stands_in_line_is_planned_once_as_it_is_then() {
    let bench = Bench::new().await;
    let slow = [
        ("connector.class", "fake-source"),
        ("topic", "t"),
        ("plan.ms", "4000"),
    ];
    for number in 0..AT_ONCE {
        bench.create(&format!("slow{number}"), &slow).await;
    }
    let quick = [("connector.class", "fake-source"), ("topic", "t")];
    bench.create("quick", &quick).await;
    bench.create("gone", &quick).await;
    for tasks_max in ["2", "3"] {
        let more = [quick.as_slice(), &[("tasks.max", tasks_max)]].concat();
        let put = bench.control.put_config("quick", flat(&more)).await;
        put.expect("stored");
    }
    bench.control.delete("gone").await.expect("deleted");
    let plans = || *bench.probe.plans.lock().expect("no panic");
    assert_eq!(plans(), AT_ONCE, "they stand in line");
    bench
        .shows("quick", "RUNNING [RUNNING RUNNING RUNNING]")
        .await;
    assert_eq!(plans(), AT_ONCE + 1);
    assert_eq!(bench.control.connectors().len(), AT_ONCE + 1);
    bench.worker.shutdown().await;
}
