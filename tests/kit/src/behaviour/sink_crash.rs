//! Cases for sinks in which tasks die, or lose what they have.

use super::{
    driver::{Driver, another, partitions},
    random::{Random, SEEDS},
    report::{Fail, Outcome, bounded, hold},
    sink::SinkRig,
};
use longshore_sdk::ErrorKind;
use std::time::Duration;

/// What was flushed is there after a crash, whether or not its offsets were committed (I3).
pub(super) async fn flushed_survives_a_crash(rig: &mut impl SinkRig) -> Outcome {
    let mut driver = Driver::new(rig, 30);
    driver.open().await?;
    driver.put(30).await?;
    driver.commit().await?;
    driver.kill();
    driver.finish("killed after flush and commit").await?;
    Ok(())
}

pub(super) async fn unflushed_comes_again(rig: &mut impl SinkRig) -> Outcome {
    let mut driver = Driver::new(rig, 60);
    driver.open().await?;
    driver.put(20).await?;
    driver.commit().await?;
    driver.put(20).await?;
    driver.kill();
    driver.open().await?;
    driver.put(10).await?;
    driver.flush().await?;
    // Flushed, but not committed: a target that keeps the offsets knows better than the group.
    driver.kill();
    driver.open().await?;
    driver.put(5).await?;
    bounded("close", driver.task().close()).await??;
    driver.kill();
    driver
        .finish("killed before flush, killed before commit, closed before flush")
        .await
}

pub(super) async fn kills_at_random_lose_nothing(rig: &mut impl SinkRig) -> Outcome {
    let mut driver = Driver::new(rig, 0);
    for seed in SEEDS {
        let mut random = Random::new(seed);
        driver.total += 60;
        let mut kills = 0;
        while kills < 8 {
            if driver.task.is_none() {
                driver.open().await?;
            }
            match random.below(6) {
                0..=2 => {
                    driver.put(1 + random.below(9)).await?;
                }
                3 => driver.commit().await?,
                4 => {
                    driver.flush().await?;
                    driver.kill();
                    kills += 1;
                }
                _ => {
                    driver.kill();
                    kills += 1;
                }
            }
        }
    }
    driver
        .finish("killed at random, 8 times for each seed")
        .await
}

/// A task that is over may be dropped within a call (I7 protects only calls that are to be resumed).
pub(super) async fn calls_dropped_half_way_lose_nothing(rig: &mut impl SinkRig) -> Outcome {
    let mut driver = Driver::new(rig, 120);
    for round in 0..10 {
        driver.open().await?;
        driver.put(5).await?;
        if round % 2 == 0 {
            driver.commit().await?;
        }
        let batch = driver.next(5);
        let upto = driver.position.clone();
        let task = driver.task();
        let call = async {
            if round % 3 == 0 {
                task.flush(&upto).await.map(|_| ())
            } else {
                task.put(&batch).await.map(|_| ())
            }
        };
        // Whether it is done by then or not: its answer is never seen.
        let _ = tokio::time::timeout(Duration::ZERO, call).await;
        driver.kill();
    }
    driver.finish("dropped within put and flush").await
}

pub(super) async fn revoked_after_flush_loses_nothing(rig: &mut impl SinkRig) -> Outcome {
    let mut driver = Driver::new(rig, 60);
    driver.open().await?;
    for round in 0..3 {
        driver.put(10).await?;
        driver.commit().await?;
        let gone = &partitions()[..=round];
        bounded("revoked", driver.task().revoked(gone)).await??;
        let claimed = bounded("assigned", driver.task().assigned(gone)).await??;
        driver.start(gone, &claimed.unwrap_or_default());
    }
    driver
        .finish("revoked after a flush and assigned again")
        .await
}

/// Partitions are lost without a flush; a sink that cannot take back what it wrote must fail its next flush.
pub(super) async fn lost_partitions_come_again(rig: &mut impl SinkRig) -> Outcome {
    let mut driver = Driver::new(rig, 90);
    for lost in [1, 2, 3] {
        driver.open().await?;
        driver.put(9).await?;
        driver.commit().await?;
        driver.put(9).await?;
        let gone = &partitions()[..lost];
        bounded("revoked", driver.task().revoked(gone)).await??;
        let claimed = bounded("assigned", driver.task().assigned(gone)).await??;
        driver.start(gone, &claimed.unwrap_or_default());
        let batch = driver.next(9);
        if bounded("put", driver.task().put(&batch)).await?.is_ok() {
            driver.advance(&batch);
            let upto = driver.position.clone();
            if let Ok(flushed) = bounded("flush", driver.task().flush(&upto)).await? {
                driver.committed.extend(flushed);
            }
        }
        // A flush that failed is never called again on its task (I3).
        driver.kill();
    }
    driver
        .finish("lost without a flush and assigned again")
        .await
}

/// Of two tasks that write the same target, one is refused or fenced (I4).
pub(super) async fn two_owners_exclude_each_other(rig: &mut impl SinkRig) -> Outcome {
    if !rig.connector().plugin().capabilities.keeps_offsets {
        return Err(Fail::Beside("the target does not keep the offsets"));
    }
    let mut driver = Driver::new(rig, 30);
    driver.open().await?;
    driver.put(10).await?;
    let second = match another(&*driver.rig).await? {
        Ok(mut task) => match bounded("assigned", task.assigned(&partitions())).await? {
            Ok(_) => Some(task),
            Err(error) => {
                hold!(
                    error.kind() == ErrorKind::Fenced,
                    "a second claim is an error of kind {}",
                    error.kind().name()
                );
                None
            }
        },
        Err(error) => {
            hold!(
                error.kind() == ErrorKind::Fenced,
                "a second task is an error of kind {}",
                error.kind().name()
            );
            None
        }
    };
    if second.is_some() {
        // The second has the claim: the first is a zombie, whose writes must not count.
        let upto = driver.position.clone();
        let zombie = bounded("flush", driver.task().flush(&upto)).await?;
        let fenced = zombie
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::Fenced);
        hold!(fenced, "a task without its claim may flush: {zombie:?}");
        driver.kill();
        drop(second);
    }
    driver.finish("with a second owner").await
}
