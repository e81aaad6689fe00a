//! Several workers in one group.

use crate::{
    rig::Cluster,
    stray::{Stray, join_if_asked},
    workers::{Joining, leader, now, prepared, until, urls, worker},
};
use longshore_engine::ports::Membership;
use longshore_kit::servers::Signal;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_stays_while_others_join_and_another_follows_when_it_leaves() {
    let cluster = Cluster::start().await;
    let group = prepared(&cluster).await;
    // The last in the alphabet: `range` would hand the lead to those who come.
    let first = worker(&cluster, &group, "z:8083").await;
    assert_eq!(leader(&now(&first)), Some("z:8083"));
    let mut seen = first.view();
    let watched = tokio::spawn(async move {
        let mut leaders = Vec::new();
        while seen.changed().await.is_ok() {
            let view = seen.borrow_and_update().clone();
            leaders.push(leader(&view).map(str::to_owned));
        }
        leaders
    });
    let second = worker(&cluster, &group, "m:8083").await;
    let third = worker(&cluster, &group, "a:8083").await;
    let three = ["a:8083", "m:8083", "z:8083"];
    for member in [&first, &second, &third] {
        let all = until(member, "three workers and their leader", |v| {
            urls(v) == three && leader(v) == Some("z:8083")
        });
        all.await;
    }
    assert!(now(&first).leading() && !now(&second).leading());
    first.leave().await.expect("leave");
    drop(first);
    let leaders = watched.await.expect("no panic");
    let kept = leaders.iter().all(|l| l.as_deref() == Some("z:8083"));
    assert!(kept, "the lead was never in doubt: {leaders:?}");
    let view = until(&second, "a new leader", |v| {
        urls(v) == ["a:8083", "m:8083"] && v.leader.is_some()
    });
    let chosen = view.await.leader;
    let view = until(&third, "the same leader", |v| v.leader == chosen).await;
    assert_eq!(urls(&view), ["a:8083", "m:8083"]);
}

/// One that owns no partition has to say that it leaves, too: nobody waits for its session to end.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_does_not_lead_leaves_at_once() {
    let cluster = Cluster::start().await;
    let group = prepared(&cluster).await;
    let first = worker(&cluster, &group, "a:8083").await;
    let second = Joining::new(&group, "b:8083").session(300_000);
    let second = second.join(&cluster.settings).await.expect("join");
    until(&second, "both, and the first one leads", |v| {
        urls(v) == ["a:8083", "b:8083"] && leader(v) == Some("a:8083")
    })
    .await;
    second.leave().await.expect("leave");
    until(&first, "one worker", |v| urls(v) == ["a:8083"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_leaves_the_list_after_its_session() {
    join_if_asked().await;
    let cluster = Cluster::start().await;
    let group = prepared(&cluster).await;
    let this = "many::a_killed_worker_leaves_the_list_after_its_session";
    let mut killed = Stray::start(this, &cluster, &group, "a:8083");
    killed.until("leads", |view| view == "a:8083 of 1").await;
    let other = worker(&cluster, &group, "b:8083").await;
    until(&other, "both", |v| {
        urls(v) == ["a:8083", "b:8083"] && leader(v) == Some("a:8083")
    })
    .await;
    killed.signal(Signal::Kill);
    let lead = until(&other, "the lead", |v| v.leading()).await;
    assert_eq!(urls(&lead), ["b:8083"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_worker_sees_nobody_when_it_wakes_and_then_joins_again() {
    join_if_asked().await;
    let cluster = Cluster::start().await;
    let group = prepared(&cluster).await;
    let this = "many::a_frozen_worker_sees_nobody_when_it_wakes_and_then_joins_again";
    let mut zombie = Stray::start(this, &cluster, &group, "a:8083");
    zombie.until("leads", |view| view == "a:8083 of 1").await;
    let other = worker(&cluster, &group, "b:8083").await;
    zombie.until("both", |view| view == "a:8083 of 2").await;
    zombie.signal(Signal::Stop);
    until(&other, "the lead", |v| v.leading() && v.members.len() == 1).await;
    // Longer than its session by its own clock, too.
    tokio::time::sleep(Duration::from_secs(2)).await;
    zombie.signal(Signal::Continue);
    // The client joins again by itself, as an ordinary member.
    zombie.until("is back", |view| view == "b:8083 of 2").await;
    let both = until(&other, "both again", |v| v.members.len() == 2).await;
    assert!(both.leading());
    let views = zombie.views();
    let woken = views.iter().rposition(|v| v == "a:8083 of 2");
    // It cannot know what became of the group: it neither leads nor believes that its tasks are still its own.
    let since = &views[woken.expect("seen above") + 1..];
    assert!(since.iter().all(|v| !v.starts_with("a:8083")), "{views:?}");
}
